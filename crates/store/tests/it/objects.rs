//! The store of objects on real disks: full ones, power cuts, and processes that are killed.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::volume::Volume;
use seal::{Object, RecordKey, Timestamp};
use warren_store::database::Database;
use warren_store::objects::{Limits, Namespace, ObjectError, ObjectId, ObjectStore};

const SPACE: Namespace = Namespace([7; 32]);
const NOW: Timestamp = Timestamp(1_800_000_000_000);
const LIMITS: Limits = Limits { pack: 256 << 10, keep_free: 0 };

fn key() -> RecordKey {
    RecordKey::from_bytes(&[1; 32])
}

fn create(home: &Path) {
    drop(Database::create(&home.join("database"), key()).unwrap());
}

fn open(home: &Path, limits: Limits) -> ObjectStore {
    let database = Database::open(&home.join("database"), key()).unwrap();
    ObjectStore::open(&home.join("objects"), database, limits, NOW).unwrap().0
}

fn object(n: u32) -> Vec<u8> {
    let mut bytes = vec![0; 100 + (n as usize * 977) % 30_000];
    blake3::Hasher::new().update(&n.to_be_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

fn id(n: u32) -> ObjectId {
    ObjectId::of(&object(n))
}

fn put(store: &ObjectStore, numbers: std::ops::Range<u32>) -> Result<(), ObjectError> {
    let objects: Vec<_> = numbers.map(|n| Object::of(object(n))).collect();
    store.put_many(&SPACE, &objects, NOW)
}

#[test]
fn a_full_disk_loses_nothing_and_the_store_goes_on_when_there_is_room() {
    for keep_free in [0, 300 << 10] {
        let Some(volume) = Volume::in_memory(4 << 20) else { return };
        create(volume.path());
        let limits = Limits { keep_free, ..LIMITS };
        let store = open(volume.path(), limits);
        let mut stored = 0;
        let full = loop {
            match put(&store, stored..stored + 3) {
                Ok(()) => stored += 3,
                Err(full) => break full,
            }
        };
        assert!(matches!(full, ObjectError::DiskFull(_)) && full.to_string().contains("full"), "{full:?}");
        for _ in 0..20 {
            assert!(matches!(put(&store, stored..stored + 3), Err(ObjectError::DiskFull(_))));
        }
        (0..stored).for_each(|n| assert_eq!(store.get(&id(n)).unwrap(), object(n)));
        assert_eq!(store.usage(&SPACE).unwrap().objects, u64::from(stored));
        if keep_free > 0 {
            // What is kept free is enough to make room.
            let ids: Vec<_> = (0..stored / 2).map(id).collect();
            store.release(&SPACE, &ids, NOW).unwrap();
            store.collect(NOW.plus(Duration::from_secs(7200)), Duration::ZERO).unwrap();
            while store.compact(1 << 20).unwrap().more {}
            put(&store, stored..stored + 3).unwrap();
            drop(store);
        } else {
            drop(store);
            std::fs::remove_file(volume.path().join("ballast")).ok();
            assert!(volume.grow(16 << 20));
            put(&open(volume.path(), limits), stored..stored + 3).unwrap();
        }
        let store = open(volume.path(), limits);
        (stored / 2..stored + 3).for_each(|n| assert_eq!(store.get(&id(n)).unwrap(), object(n)));
        assert!(store.check(None, u64::MAX).unwrap().damaged.is_empty());
    }
}

#[test]
fn what_was_put_and_what_was_moved_survives_a_power_cut() {
    let Some(volume) = Volume::ext4(128 << 20) else { return };
    create(volume.path());
    let store = open(volume.path(), LIMITS);
    (0..10).for_each(|n| put(&store, n * 20..n * 20 + 20).unwrap());
    drop(store);
    volume.cut_power();
    let store = open(volume.path(), LIMITS);
    (0..200).for_each(|n| assert_eq!(store.get(&id(n)).unwrap(), object(n)));

    let ids: Vec<_> = (0..200).filter(|n| n % 3 > 0).map(id).collect();
    store.release(&SPACE, &ids, NOW).unwrap();
    store.collect(NOW.plus(Duration::from_secs(7200)), Duration::ZERO).unwrap();
    while store.compact(1 << 20).unwrap().more {}
    drop(store);
    volume.cut_power();
    let store = open(volume.path(), LIMITS);
    (0..200).filter(|n| n % 3 == 0).for_each(|n| assert_eq!(store.get(&id(n)).unwrap(), object(n)));
    assert!(store.holds_known().unwrap());
    assert_eq!(store.totals().unwrap().objects, 67);
}

/// Puts, releases and compacts until it is killed; says what it has finished.
#[test]
fn child() {
    let Some(home) = std::env::var_os("WARREN_TEST_OBJECTS") else { return };
    let store = open(Path::new(&home), LIMITS);
    let mut from = std::env::var("WARREN_TEST_FROM").unwrap().parse::<u32>().unwrap();
    let say = |what: String| std::io::stdout().write_all(format!("\n{what}\n").as_bytes()).unwrap();
    loop {
        put(&store, from..from + 10).unwrap();
        say(format!("put {from}"));
        let released: Vec<_> = (from..from + 10).filter(|n| n % 4 > 0).map(id).collect();
        store.release(&SPACE, &released, NOW).unwrap();
        store.collect(NOW.plus(Duration::from_secs(7200)), Duration::ZERO).unwrap();
        store.compact(64 << 10).unwrap();
        from += 10;
    }
}

#[test]
fn a_process_that_is_killed_at_any_time_loses_nothing_that_it_has_said() {
    let home = tempfile::tempdir().unwrap();
    create(home.path());
    let mut next = 0;
    for round in 0..12u32 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "objects::child", "--nocapture"])
            .env("WARREN_TEST_OBJECTS", home.path())
            .env("WARREN_TEST_FROM", next.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said = 0;
        // Killed at another moment each time: after so many batches, in the middle of whatever comes next.
        let mut last = |line: String| {
            let from = line.strip_prefix("put ")?.parse::<u32>().ok()?;
            next = from + 10;
            said += 1;
            (said > round % 5 + 1).then_some(())
        };
        while let Some(Ok(line)) = lines.next() {
            if last(line).is_some() {
                break;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines.map_while(Result::ok) {
            last(line);
        }
        let store = open(home.path(), LIMITS);
        (0..next).filter(|n| n % 4 == 0).for_each(|n| assert_eq!(store.get(&id(n)).unwrap(), object(n)));
        assert!(store.holds_known().unwrap() && store.wanting(0).unwrap().is_empty());
        // The batch that was cut off may be there or not; it can be put (again) in any case.
        put(&store, next..next + 10).unwrap();
        (next..next + 10).for_each(|n| assert_eq!(store.get(&id(n)).unwrap(), object(n)));
        next += 10;
    }
}
