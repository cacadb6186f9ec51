//! Random operations, transactions that fail, and reopenings: the file says what memory says.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use logic::ledger::{MemoryShelf, Shelf, Shelved};
use logic::space::{Key, MemoryRows, Rows, Table};
use proptest::prelude::*;
use seal::DeviceKey;
use testkit::Dice;
use warren_store::space::{Note, Reader, Reading, SpaceError, SpaceStore, Worth};

use super::{Place, chain, data};

const TABLES: [Table; 10] = [
    Table::Node,
    Table::Version,
    Table::Head,
    Table::Place,
    Table::Been,
    Table::Child,
    Table::Mount,
    Table::Commit,
    Table::Flag,
    Table::Name,
];

/// What must be in the file.
#[derive(Clone, Default)]
struct Model {
    rows: MemoryRows,
    shelf: MemoryShelf,
    notes: BTreeMap<logic::ledger::CommitId, Note>,
    values: BTreeMap<(usize, Vec<u8>), Vec<u8>>,
}

const KINDS: [&str; 2] = ["keys", "heads"];

/// Few and short, so that they meet; empty ones too.
fn bytes(dice: &mut Dice) -> Vec<u8> {
    vec![dice.below(3) as u8; dice.below(3) as usize]
}

fn key(dice: &mut Dice) -> Key {
    Key { group: bytes(dice), part: bytes(dice), rest: bytes(dice) }
}

fn note(dice: &mut Dice) -> Note {
    use logic::ledger::{CommitId, Why};
    let by = CommitId::from_bytes(dice.bytes());
    let worths = [
        Worth::Unjudged,
        Worth::Effective,
        Worth::Again,
        Worth::Void(Why::Forked),
        Worth::Void(Why::CapVoid),
        Worth::Void(Why::RoleTooLow),
        Worth::Void(Why::OutsideRealm),
        Worth::Void(Why::Revoked(by)),
        Worth::Void(Why::Circular),
        Worth::Void(Why::NotFounder),
    ];
    let readings = [Reading::Sealed, Reading::Waits, Reading::Opened, Reading::Unreadable, Reading::TooNew];
    Note {
        worth: worths[dice.below(10) as usize],
        reading: readings[dice.below(5) as usize],
        applied: dice.permille(500),
    }
}

fn sorted(mut rows: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    rows.sort();
    rows
}

/// Everything that can be asked gives the same answer.
fn compare(reader: &Reader<'_>, model: &Model, all: &[Shelved], dice: &mut Dice) -> Result<(), SpaceError> {
    for _ in 0..20 {
        let (table, key) = (TABLES[dice.below(9) as usize], key(dice));
        assert_eq!(reader.get(table, &key)?, model.rows.get(table, &key).unwrap());
        for part in [None, Some(&key.part[..])] {
            let expected = model.rows.scan(table, &key.group, part).unwrap();
            assert_eq!(sorted(reader.scan(table, &key.group, part)?), sorted(expected));
        }
    }
    for shelved in all {
        let (id, header) = (shelved.commit.id(), shelved.commit.header());
        assert_eq!(reader.stored(&id), model.shelf.stored(&id));
        assert_eq!(reader.at(header.device, header.seq), model.shelf.at(header.device, header.seq));
        assert_eq!(reader.after(&id), model.shelf.after(&id));
        let bytes = |commit: Option<logic::ledger::Commit>| commit.map(|commit| commit.to_bytes());
        assert_eq!(bytes(reader.commit(&id)), bytes(model.shelf.commit(&id)));
        assert_eq!(reader.note(&id)?, model.notes.get(&id).copied());
    }
    assert_eq!(reader.commits()?, model.notes.len() as u64);
    compare_lists(reader, model)?;
    for (number, kind) in KINDS.into_iter().enumerate() {
        let expected = model.values.iter().filter(|((of, _), _)| *of == number);
        let expected: Vec<_> = expected.map(|((_, name), value)| (name.clone(), value.clone())).collect();
        for (name, value) in &expected {
            assert_eq!(reader.value(kind, name)?.as_ref(), Some(value));
        }
        assert_eq!(reader.values(kind)?, expected);
    }
    Ok(())
}

fn compare_lists(reader: &Reader<'_>, model: &Model) -> Result<(), SpaceError> {
    let order = |id: &logic::ledger::CommitId| model.shelf.stored(id).unwrap().header.lamport;
    let ids = |keep: &dyn Fn(&Note) -> bool| {
        let mut ids: Vec<_> = model.notes.iter().filter(|(_, note)| keep(note)).map(|(id, _)| *id).collect();
        ids.sort_by_key(|id| (order(id), *id));
        ids
    };
    let listed = |logged: Vec<warren_store::space::Logged>| {
        assert!(logged.is_sorted_by_key(|logged| logged.moment));
        assert!(logged.iter().all(|logged| model.notes[&logged.id] == logged.note));
        let mut ids: Vec<_> = logged.into_iter().map(|logged| logged.id).collect();
        ids.sort_by_key(|id| (order(id), *id));
        ids
    };
    assert_eq!(listed(reader.unsettled(1000)?), ids(&|note| !note.is_settled()));
    let waiting = ids(&|note| note.reading == Reading::Waits);
    let epoch = logic::ledger::CommitId::from_bytes([8; 32]);
    assert_eq!(listed(reader.waiting_for(logic::ledger::RealmId::ROOT, epoch, 1000)?), waiting);
    let wanted: u64 = reader.wanted_keys()?.iter().map(|(_, _, count)| count).sum();
    assert_eq!(wanted, waiting.len() as u64);
    let mut log = Vec::new();
    while let page = reader.log(log.last().map(|last: &warren_store::space::Logged| last.moment), 3)?
        && !page.is_empty()
    {
        log.extend(page);
    }
    log.reverse();
    assert_eq!(listed(log), ids(&|_| true));
    Ok(())
}

/// One thing that is done to both.
fn act(
    tx: &warren_store::space::Transaction<'_>,
    model: &mut Model,
    all: &[Shelved],
    dice: &mut Dice,
) -> Result<(), SpaceError> {
    let mut rows = tx;
    let (table, at) = (TABLES[dice.below(9) as usize], key(dice));
    let length = [0, 1, 30, 31, 32, 200, 6000][dice.below(7) as usize];
    let value = vec![dice.below(256) as u8; length];
    match dice.below(12) {
        0..=4 => {
            rows.put(table, &at, &value)?;
            model.rows.put(table, &at, &value).unwrap();
        }
        5 | 6 => {
            rows.delete(table, &at)?;
            model.rows.delete(table, &at).unwrap();
        }
        7 | 8 => {
            let shelved = &all[dice.below(all.len() as u64) as usize];
            tx.store(shelved)?;
            model.shelf.store(shelved.clone());
            let fresh = Note { worth: Worth::Unjudged, reading: Reading::Sealed, applied: false };
            model.notes.entry(shelved.commit.id()).or_insert(fresh);
        }
        9 => {
            let id = all[dice.below(all.len() as u64) as usize].commit.id();
            let note = note(dice);
            match model.notes.get_mut(&id) {
                Some(known) => {
                    tx.set_note(&id, &note)?;
                    *known = note;
                }
                None => assert!(matches!(tx.set_note(&id, &note), Err(SpaceError::NoSuchCommit))),
            }
        }
        10 => {
            let (kind, name) = (dice.below(2) as usize, bytes(dice));
            if dice.permille(700) {
                tx.set_value(KINDS[kind], &name, &value)?;
                model.values.insert((kind, name), value);
            } else {
                tx.remove_value(KINDS[kind], &name)?;
                model.values.remove(&(kind, name));
            }
        }
        _ if dice.permille(100) => {
            tx.clear_tree()?;
            model.rows = MemoryRows::default();
            model.notes.values_mut().for_each(|note| note.applied = false);
        }
        _ => {}
    }
    Ok(())
}

/// What ends a transaction on purpose.
#[derive(Debug)]
enum Ended {
    Cancelled,
    Failed(SpaceError),
}

impl From<SpaceError> for Ended {
    fn from(error: SpaceError) -> Self {
        Self::Failed(error)
    }
}

/// Commits of two devices, one of which forked its chain; every other one with what it had seen.
fn commits() -> Vec<Shelved> {
    let keys = [DeviceKey::from_seed(&[1; 32]), DeviceKey::from_seed(&[2; 32])];
    let mut all: Vec<_> = keys.iter().flat_map(|key| chain(key, 8)).collect();
    let twin = data(&keys[0], 5, all[4].commit.id(), b"another one");
    all.push(Shelved { branch: 1, ..twin });
    for shelved in all.iter_mut().step_by(2) {
        shelved.after = Some(logic::ledger::Past::default());
    }
    all
}

fn run(seed: u64) {
    let mut dice = Dice::new(seed);
    let place = Place::new();
    let mut store = place.create();
    let mut model = Model::default();
    let all = commits();
    for _ in 0..12 {
        let mut next = model.clone();
        let cancel = dice.permille(250);
        let outcome = store.transaction(|tx| {
            for _ in 0..dice.below(25) {
                act(tx, &mut next, &all, &mut dice)?;
            }
            compare(tx, &next, &all, &mut dice)?;
            // Who reads meanwhile sees nothing of it.
            store.read(|reader| compare(reader, &model, &all, &mut dice))?;
            if cancel { Err(Ended::Cancelled) } else { Ok(()) }
        });
        match outcome {
            Ok(()) => model = next,
            Err(Ended::Cancelled) => assert!(cancel),
            Err(Ended::Failed(error)) => panic!("{error}"),
        }
        if dice.permille(300) {
            drop(store);
            store = place.open();
        }
        store.read(|reader| compare(reader, &model, &all, &mut dice)).unwrap();
    }
    let report = store.check().unwrap();
    assert_eq!((report.rows, report.commits), (model.rows.len() as u64, model.notes.len() as u64));
    // The commits are no chain here: some were never stored.
    let gaps = report.damage.keys().all(|part| *part == warren_store::space::Part::Heads);
    assert!(gaps && report.damage.values().all(|damage| !damage.totals), "{report:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_file_is_as_memory(seed in any::<u64>().no_shrink()) {
        run(seed);
    }
}

/// How many: PROPTEST_CASES, else few enough for every day.
pub fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(24)
}

#[test]
fn readers_go_on_beside_a_writer_and_never_see_half_of_a_transaction() {
    let place = Place::new();
    let store: SpaceStore = place.create();
    let name = |n: u8| Key { group: vec![1], part: vec![], rest: vec![n] };
    let done = &AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let store = store.clone();
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    store
                        .read(|reader| {
                            let rows = reader.scan(Table::Node, &[1], None)?;
                            assert!(rows.is_empty() || rows.len() == 5);
                            assert!(rows.windows(2).all(|pair| pair[0] == pair[1]), "rows of two transactions");
                            let again = reader.get(Table::Node, &name(3))?;
                            assert_eq!(again.as_ref(), rows.first(), "not one point in time");
                            Ok::<_, SpaceError>(())
                        })
                        .unwrap();
                }
            });
        }
        for round in 0..200u8 {
            super::write(&store, |mut tx| (0..5).try_for_each(|n| tx.put(Table::Node, &name(n), &[round; 50])));
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_reader_cannot_write_and_a_panic_leaves_nothing() {
    let place = Place::new();
    let store = place.create();
    let key = Key { group: vec![1], part: vec![], rest: vec![] };
    let refused = store.read(|mut reader| reader.put(Table::Node, &key, b"x"));
    assert!(matches!(refused, Err(SpaceError::ReadOnly)));
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = store.transaction::<(), SpaceError>(|mut tx| {
            tx.put(Table::Node, &key, b"x")?;
            panic!("on purpose");
        });
    }));
    assert!(panicked.is_err());
    assert_eq!(store.read(|reader| reader.get(Table::Node, &key)).unwrap(), None);
    super::write(&store, |mut tx| tx.put(Table::Node, &key, b"y"));
    assert!(store.check().unwrap().is_whole());
}
