//! Crashes: what a transaction has not committed is not there, what was acknowledged is.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use logic::ledger::{CommitId, Shelf};
use logic::space::{Key, Rows, Table};
use seal::{DeviceKey, RecordKey};
use warren_store::space::{Note, Reading, SpaceError, SpaceStore, Standing, Watermark, Worth};

use super::{Place, chain, write};

fn key(n: u32) -> Key {
    Key { group: n.to_be_bytes().to_vec(), part: vec![], rest: vec![] }
}

/// The files as a crash at this moment leaves them.
fn image(place: &Place) -> Place {
    let copy = Place { key: place.key.clone(), ..Place::new() };
    for entry in std::fs::read_dir(place.dir.path()).unwrap() {
        let entry = entry.unwrap();
        // The index of the log is in memory and made anew.
        if !entry.file_name().to_string_lossy().ends_with("-shm") {
            std::fs::copy(entry.path(), copy.dir.path().join(entry.file_name())).unwrap();
        }
    }
    copy
}

#[test]
fn a_crash_at_any_point_of_a_transaction_leaves_what_was_before() {
    let place = Place::new();
    let store = place.create();
    let commits = chain(&DeviceKey::from_seed(&[1; 32]), 40);
    write(&store, |mut tx| {
        tx.put(Table::Node, &key(0), b"before")?;
        tx.store(&commits[0])
    });
    let mut images = Vec::new();
    write(&store, |mut tx| {
        for n in 1..2000u32 {
            tx.put(Table::Node, &key(n), &[7; 300])?;
            if n % 400 == 0 {
                tx.put(Table::Node, &key(0), b"after")?;
                tx.store(&commits[n as usize / 400])?;
                images.push(image(&place));
            }
        }
        tx.set_value("ledger", b"", b"state")
    });
    for image in images {
        let crashed = image.open();
        let report = crashed.check().unwrap();
        assert_eq!((report.rows, report.commits, report.is_whole()), (1, 1, true), "{report:?}");
        assert_eq!(crashed.read(|reader| reader.get(Table::Node, &key(0))).unwrap().unwrap(), b"before");
    }
    let crashed = image(&place).open();
    let report = crashed.check().unwrap();
    assert_eq!((report.rows, report.is_whole()), (2000, true));
    assert_eq!(crashed.read(|reader| reader.value("ledger", b"")).unwrap().unwrap(), b"state");
}

#[test]
fn what_is_accepted_and_not_applied_is_found_after_a_crash() {
    let place = Place::new();
    let store = place.create();
    let commits = chain(&DeviceKey::from_seed(&[1; 32]), 4);
    write(&store, |tx| commits.iter().try_for_each(|shelved| tx.store(shelved)));
    let ids: Vec<CommitId> = commits.iter().map(|shelved| shelved.commit.id()).collect();
    write(&store, |tx| {
        tx.set_note(&ids[0], &Note { worth: Worth::Effective, reading: Reading::Opened, applied: true })?;
        tx.set_note(&ids[1], &Note { worth: Worth::Effective, reading: Reading::Opened, applied: false })?;
        tx.set_note(&ids[2], &Note { worth: Worth::Effective, reading: Reading::Waits, applied: false })
    });
    let crashed = image(&place);
    drop(store);
    let store = crashed.open();
    let todo = |store: &SpaceStore| -> Vec<CommitId> {
        store.read(|reader| reader.unsettled(9)).unwrap().into_iter().map(|logged| logged.id).collect()
    };
    assert_eq!(todo(&store), [ids[1], ids[3]]);
    // One that is in the tree and no longer counts is to be taken out.
    write(&store, |tx| tx.judged(&ids[0], Worth::Void(logic::ledger::Why::Forked)));
    assert_eq!(todo(&store), [ids[0], ids[1], ids[3]]);
}

/// Where the child works; set by the parent.
const FOLDER: &str = "WARREN_TEST_SPACE_FOLDER";

/// Writes until it is killed, and says what is acknowledged. Does nothing in an ordinary run.
#[test]
fn writes_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let path = Path::new(&folder).join("space.db");
    let key_of = RecordKey::from_bytes(&[3; 32]);
    let store = if path.exists() {
        SpaceStore::open(&path, &key_of).unwrap()
    } else {
        SpaceStore::create(&path, &key_of, CommitId::from_bytes([5; 32])).unwrap()
    };
    let commits = chain(&DeviceKey::from_seed(&[1; 32]), 400);
    let mut next = store.read(|reader| reader.commits()).unwrap() as usize;
    while next < commits.len() {
        let shelved = &commits[next];
        store
            .transaction::<_, SpaceError>(|mut tx| {
                tx.store(shelved)?;
                for n in 0..20 {
                    tx.put(Table::Node, &key(next as u32 * 20 + n), &[7; 200])?;
                }
                let tip = shelved.commit.id();
                tx.raise(Watermark { commits: next as u64 + 1, tip, statements: 0 })
            })
            .unwrap();
        next += 1;
        println!("acknowledged {next}");
    }
}

#[test]
fn whoever_is_killed_has_lost_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = 0u64;
    for round in 0..8 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "space::crash::writes_until_it_is_killed", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for _ in 0..3 + round * 2 {
            let Some(line) = lines.by_ref().map(Result::unwrap).find(|line| line.contains("acknowledged")) else {
                break;
            };
            acknowledged = line.rsplit(' ').next().unwrap().parse().unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines.map_while(Result::ok).filter(|line| line.contains("acknowledged")) {
            acknowledged = line.rsplit(' ').next().unwrap().parse().unwrap();
        }
        let store = SpaceStore::open(&folder.path().join("space.db"), &RecordKey::from_bytes(&[3; 32])).unwrap();
        let report = store.check().unwrap();
        assert!(report.is_whole(), "{report:?}");
        assert!(report.commits == acknowledged || report.commits == acknowledged + 1);
        assert_eq!(report.rows, report.commits * 20);
        assert_eq!(store.standing().unwrap(), Standing::Good);
        let tip = store.read(|reader| reader.watermark()).unwrap();
        assert_eq!(tip.commits, report.commits);
        assert!(store.read(|reader| Ok::<_, SpaceError>(reader.stored(&tip.tip))).unwrap().is_some());
    }
    assert!(acknowledged > 8);
}
