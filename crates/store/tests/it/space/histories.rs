//! The engines on the file and in memory at once: every look-up gives the same, whatever is cancelled and reopened.

use std::cell::RefCell;
use std::collections::BTreeMap;

use logic::ledger::{Action, Commit, CommitId, Ledger, MemoryShelf, Past, Shelf, Stored, Verdict};
use logic::space::{Key, MemoryRows, Node, Rows, Table, Tree};
use proptest::prelude::*;
use seal::DeviceId;
use testkit::Dice;
use warren_store::space::{Note, Reader, Reading, SpaceError, SpaceStore, Transaction, Worth};

use super::model::cases;
use super::{Place, garden, society};

/// Rows of the file that are compared with rows in memory.
struct BothRows<'a> {
    file: &'a Transaction<'a>,
    memory: &'a RefCell<MemoryRows>,
}

impl Rows for BothRows<'_> {
    type Error = SpaceError;

    fn get(&self, table: Table, key: &Key) -> Result<Option<Vec<u8>>, SpaceError> {
        let found = self.file.get(table, key)?;
        assert_eq!(found, self.memory.borrow().get(table, key).unwrap());
        Ok(found)
    }

    fn put(&mut self, table: Table, key: &Key, row: &[u8]) -> Result<(), SpaceError> {
        self.memory.borrow_mut().put(table, key, row).unwrap();
        self.file.put(table, key, row)
    }

    fn delete(&mut self, table: Table, key: &Key) -> Result<(), SpaceError> {
        self.memory.borrow_mut().delete(table, key).unwrap();
        self.file.delete(table, key)
    }

    fn scan(&self, table: Table, group: &[u8], part: Option<&[u8]>) -> Result<Vec<Vec<u8>>, SpaceError> {
        let found = self.file.scan(table, group, part)?;
        let (mut a, mut b) = (found.clone(), self.memory.borrow().scan(table, group, part).unwrap());
        a.sort();
        b.sort();
        assert_eq!(a, b);
        Ok(found)
    }
}

/// Everything that a reader can see, whatever the order of the rows.
fn see<R: Rows>(tree: &Tree<R>) -> Vec<String>
where
    R::Error: std::fmt::Debug,
{
    let nodes = tree.subtree(Node::ROOT).unwrap();
    let each = nodes.into_iter().map(|node| {
        let (path, list) = (tree.path(node).unwrap(), tree.list(node).unwrap());
        format!("{path:?} {list:?} {:?} {:?}", tree.stat(node).unwrap(), tree.history(node).unwrap())
    });
    let conflicts = tree.conflicts(Node::ROOT.realm).unwrap();
    let mut seen: Vec<_> = each.chain(conflicts.iter().map(|conflict| format!("{conflict:?}"))).collect();
    seen.sort();
    seen
}

/// What ends a transaction on purpose.
#[derive(Debug)]
enum Ended {
    Cancelled,
    Failed(SpaceError),
}

impl<E: Into<SpaceError>> From<E> for Ended {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

fn tree_history(seed: u64) {
    let mut dice = Dice::new(seed ^ 0xd1ce);
    let mut order = garden::history(seed, 40);
    dice.shuffle(&mut order);
    let place = Place::new();
    let mut store = place.create();
    let memory = RefCell::new(MemoryRows::default());
    let mut done = 0;
    while done < order.len() {
        let next = (done + 1 + dice.below(5) as usize).min(order.len());
        let before = memory.borrow().clone();
        let outcome = store.transaction(|tx| {
            let mut tree = Tree::new(BothRows { file: tx, memory: &memory });
            for commit in &order[done..next] {
                tree.apply(&commit.origin, &commit.changes)?;
            }
            if dice.permille(300) {
                // Taken out and in again: those that the ledger judges anew.
                let some: Vec<_> = (0..2).map(|_| &order[dice.below(next as u64) as usize]).collect();
                for commit in &some {
                    tree.retract(&commit.origin, &commit.changes)?;
                }
                for commit in some.iter().rev() {
                    tree.apply(&commit.origin, &commit.changes)?;
                }
            }
            if dice.permille(200) { Err(Ended::Cancelled) } else { Ok(()) }
        });
        match outcome {
            Ok(()) => done = next,
            Err(Ended::Cancelled) => *memory.borrow_mut() = before,
            Err(Ended::Failed(error)) => panic!("seed {seed}: {error}"),
        }
        if dice.permille(150) {
            drop(store);
            store = place.open();
        }
    }
    let memory = memory.into_inner();
    let count = memory.len() as u64;
    let expected = see(&Tree::new(memory));
    let seen = store.read(|reader| Ok::<_, SpaceError>(see(&Tree::new(reader)))).unwrap();
    assert_eq!(seen, expected, "seed {seed}");
    let report = store.check().unwrap();
    assert!(report.is_whole() && report.rows == count, "seed {seed}: {report:?}");
}

/// Commits of the file that are compared with commits in memory.
struct BothShelves<'a> {
    file: &'a Reader<'a>,
    memory: &'a MemoryShelf,
}

impl Shelf for BothShelves<'_> {
    fn stored(&self, id: &CommitId) -> Option<Stored> {
        let found = self.file.stored(id);
        assert_eq!(found, self.memory.stored(id));
        found
    }

    fn at(&self, device: DeviceId, seq: u64) -> Vec<CommitId> {
        let found = self.file.at(device, seq);
        assert_eq!(found, self.memory.at(device, seq));
        found
    }

    fn after(&self, id: &CommitId) -> Option<Past> {
        let found = self.file.after(id);
        assert_eq!(found, self.memory.after(id));
        found
    }

    fn commit(&self, id: &CommitId) -> Option<Commit> {
        let found = self.file.commit(id);
        assert_eq!(found, self.memory.commit(id));
        found
    }
}

/// A device that keeps its ledger in a file.
struct Keeper {
    place: Place,
    store: SpaceStore,
    ledger: Ledger,
    memory: MemoryShelf,
}

impl Keeper {
    fn new() -> Self {
        let place = Place::new();
        let store = SpaceStore::create(&place.path(), &place.key, society::genesis().id()).unwrap();
        let ledger = Ledger::open(society::genesis().clone()).unwrap();
        let mut keeper = Self { place, store, ledger, memory: MemoryShelf::default() };
        keeper.take(&[], false);
        keeper
    }

    fn take(&mut self, commits: &[Commit], cancel: bool) {
        let before = self.memory.clone();
        let Self { store, ledger, memory, .. } = self;
        let outcome = store.transaction(|tx| {
            for commit in commits {
                ledger.handle(commit.clone(), None, society::NOW, &BothShelves { file: tx, memory }).unwrap();
                while let Some(action) = ledger.poll(&BothShelves { file: tx, memory }) {
                    perform(tx, memory, action)?;
                }
            }
            while let Some(action) = ledger.poll(&BothShelves { file: tx, memory }) {
                perform(tx, memory, action)?;
            }
            tx.set_value("ledger", b"", &ledger.to_bytes())?;
            if cancel { Err(Ended::Cancelled) } else { Ok(()) }
        });
        match outcome {
            Ok(()) => {}
            Err(Ended::Cancelled) => {
                self.memory = before;
                self.load();
            }
            Err(Ended::Failed(error)) => panic!("{error}"),
        }
    }

    fn load(&mut self) {
        let stored: Result<_, SpaceError> = self.store.read(|reader| {
            let state = reader.value("ledger", b"")?.unwrap();
            Ok(Ledger::from_bytes(&state, reader).unwrap())
        });
        self.ledger = stored.unwrap();
    }

    fn reopen(mut self) -> Self {
        drop(self.store);
        self.store = self.place.open();
        self.load();
        self
    }
}

fn perform(tx: &Transaction<'_>, memory: &mut MemoryShelf, action: Action) -> Result<(), SpaceError> {
    match action {
        Action::Store(shelved) => {
            tx.store(&shelved)?;
            memory.store(*shelved);
        }
        Action::Effective(id) => {
            let note = tx.judged(&id, Worth::Effective)?;
            if note.reading == Reading::Sealed {
                tx.set_note(&id, &Note { reading: Reading::Opened, applied: true, ..note })?;
            }
        }
        Action::Again(id) => {
            let note = tx.judged(&id, Worth::Again)?;
            tx.set_note(&id, &Note { applied: note.reading == Reading::Opened, ..note })?;
        }
        Action::Void(id, why) => {
            let note = tx.judged(&id, Worth::Void(why))?;
            tx.set_note(&id, &Note { applied: false, ..note })?;
        }
        _ => {}
    }
    Ok(())
}

fn ledger_history(seed: u64) {
    let mut dice = Dice::new(seed ^ 0xd1ce);
    let mut all = society::history(seed);
    dice.shuffle(&mut all);
    let mut keeper = Keeper::new();
    let mut rest = &all[..];
    while !rest.is_empty() {
        let (some, later) = rest.split_at((1 + dice.below(20) as usize).min(rest.len()));
        if dice.permille(250) {
            keeper.take(some, true);
        }
        keeper.take(some, false);
        rest = later;
        if dice.permille(150) {
            keeper = keeper.reopen();
        }
    }
    // What waited when it was switched off comes again, until nothing is new.
    for _ in 0..2 {
        keeper.take(&all, false);
    }
    let mut expected = Ledger::open(society::genesis().clone()).unwrap();
    let mut shelf = MemoryShelf::default();
    all.sort_by_key(|commit| commit.header().lamport);
    for commit in &all {
        expected.handle(commit.clone(), None, society::NOW, &shelf).unwrap();
        while let Some(action) = expected.poll(&shelf) {
            if let Action::Store(shelved) = action {
                shelf.store(*shelved);
            }
        }
    }
    // Numbers of branches depend on the order of arrival; what every commit is worth does not.
    let ids: BTreeMap<CommitId, Verdict> = all
        .iter()
        .map(|commit| {
            let stored = shelf.stored(&commit.id()).unwrap();
            let control = expected.judgement().control(&commit.id());
            (commit.id(), control.unwrap_or_else(|| expected.judgement().counts(&stored)))
        })
        .collect();
    keeper
        .store
        .read(|reader| {
            assert_eq!(reader.commits()?, ids.len() as u64);
            for (id, verdict) in &ids {
                let note = reader.note(id)?.unwrap();
                match verdict {
                    Verdict::Effective => assert!(note.worth.counts(), "seed {seed}: {note:?}"),
                    Verdict::Void(why) => assert_eq!(note.worth, Worth::Void(*why), "seed {seed}"),
                }
            }
            Ok::<_, SpaceError>(())
        })
        .unwrap();
    let report = keeper.store.check().unwrap();
    assert!(report.is_whole(), "seed {seed}: {report:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_tree_is_the_same_on_disk(seed in any::<u64>().no_shrink()) {
        tree_history(seed);
    }

    #[test]
    fn the_ledger_is_the_same_on_disk(seed in any::<u64>().no_shrink()) {
        ledger_history(seed);
    }
}
