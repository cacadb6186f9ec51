//! Files that are torn, changed, older than others or gone.

use std::fs;
use std::path::PathBuf;

use seal::{Object, RecordKey, Timestamp};

use super::world::{GRACE, content, id, space};
use crate::database::Database;
use crate::objects::pack::{PackKey, ReadAt, Scanner, read_pack_header, record_len};
use crate::objects::{Limits, ObjectError, ObjectStore, Recovered};

const NOW: Timestamp = Timestamp(1_800_000_000_000);

/// Everything in one pack.
const LIMITS: Limits = Limits { pack: 1 << 20, keep_free: 0 };

/// A home's objects and index; closed whenever nobody asks.
struct Disk {
    dir: tempfile::TempDir,
    key: RecordKey,
}

impl Disk {
    fn new() -> Self {
        let disk = Self { dir: super::world::folder(), key: RecordKey::generate() };
        disk.fresh_index();
        disk
    }

    fn fresh_index(&self) {
        let _ = fs::remove_file(self.database());
        drop(Database::create(&self.database(), self.key.clone()).unwrap());
    }

    fn database(&self) -> PathBuf {
        self.dir.path().join("database")
    }

    fn open(&self) -> (ObjectStore, Recovered) {
        self.open_with(LIMITS)
    }

    fn open_with(&self, limits: Limits) -> (ObjectStore, Recovered) {
        let database = Database::open(&self.database(), self.key.clone()).unwrap();
        ObjectStore::open(&self.dir.path().join("objects"), database, limits, NOW).unwrap()
    }

    fn put(&self, items: &[u8]) {
        put(&self.open().0, items);
    }

    fn packs(&self) -> Vec<PathBuf> {
        fs::read_dir(self.dir.path().join("objects")).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    fn only_pack(&self) -> PathBuf {
        let packs = self.packs();
        assert_eq!(packs.len(), 1);
        packs[0].clone()
    }
}

fn put(store: &ObjectStore, items: &[u8]) {
    let objects: Vec<_> = items.iter().map(|n| Object::of(content(*n))).collect();
    store.put_many(&space(0), &objects, NOW).unwrap();
}

fn assert_has(store: &ObjectStore, items: &[u8]) {
    for n in items {
        assert_eq!(store.get(&id(*n)).unwrap(), content(*n), "{n}");
    }
}

fn is_missing(store: &ObjectStore, n: u8) -> bool {
    matches!(store.get(&id(n)), Err(ObjectError::Missing(missing)) if missing == id(n))
}

#[test]
fn a_record_that_is_torn_at_any_byte_is_cut_off() {
    let disk = Disk::new();
    disk.put(&[4, 5]);
    let (pack, index) = (disk.only_pack(), fs::read(disk.database()).unwrap());
    let acknowledged = fs::metadata(&pack).unwrap().len();
    disk.put(&[12]);
    let whole = fs::read(&pack).unwrap();
    let end = acknowledged as usize + 56 + content(12).len();
    for torn in acknowledged as usize..end {
        for zeros in [false, true] {
            let mut bytes = whole.clone();
            if zeros {
                bytes[torn..].fill(0);
                if bytes[..end] == whole[..end] {
                    continue;
                }
            } else {
                bytes.truncate(torn);
            }
            fs::write(&pack, bytes).unwrap();
            fs::write(disk.database(), &index).unwrap();
            let (store, recovered) = disk.open();
            assert_eq!(recovered.objects_found, 0, "torn at {torn}");
            assert_eq!(fs::metadata(&pack).unwrap().len(), acknowledged, "torn at {torn}");
            assert_has(&store, &[4, 5]);
            assert!(is_missing(&store, 12));
            if torn % 16 == 0 {
                put(&store, &[12, 6]);
                drop(store);
                assert_has(&disk.open().0, &[4, 5, 12, 6]);
            }
        }
    }
}

#[test]
fn what_an_older_index_does_not_know_is_taken_in_and_kept_for_the_time_of_grace() {
    let disk = Disk::new();
    disk.put(&[4, 5]);
    let index = fs::read(disk.database()).unwrap();
    disk.put(&[6, 7, 14]);
    fs::write(disk.database(), index).unwrap();
    let (store, recovered) = disk.open();
    assert_eq!(recovered, Recovered { objects_found: 3, ..Recovered::default() });
    assert_has(&store, &[4, 5, 6, 7, 14]);
    assert_eq!(store.usage(&space(0)).unwrap().objects, 2);
    assert_eq!(store.collect(NOW.plus(GRACE / 2), GRACE).unwrap().objects, 0);
    let size = fs::metadata(disk.only_pack()).unwrap().len();
    put(&store, &[6]);
    assert_eq!(fs::metadata(disk.only_pack()).unwrap().len(), size, "stored once more");
    assert_eq!(store.collect(NOW.plus(GRACE * 2), GRACE).unwrap().objects, 2);
    assert_has(&store, &[4, 5, 6]);
    assert!(is_missing(&store, 7));
}

#[test]
fn without_an_index_everything_is_found_and_nothing_removed_until_holds_are_known() {
    let disk = Disk::new();
    disk.put(&[4, 5, 6]);
    disk.put(&[7, 12]);
    disk.fresh_index();
    let (store, recovered) = disk.open();
    assert_eq!(recovered, Recovered { packs_found: 1, objects_found: 5, ..Recovered::default() });
    assert_has(&store, &[4, 5, 6, 7, 12]);
    drop(store);
    let (store, recovered) = disk.open();
    assert_eq!(recovered, Recovered::default());
    assert!(!store.holds_known().unwrap());
    let late = NOW.plus(GRACE * 2);
    assert!(matches!(store.collect(late, GRACE), Err(ObjectError::HoldsUnknown)));
    assert_eq!(store.hold(&space(0), &[id(4), id(7), id(20)]).unwrap(), [id(20)]);
    store.confirm_holds().unwrap();
    assert_eq!(store.collect(late, GRACE).unwrap().objects, 3);
    while store.compact(1 << 20).unwrap().more {}
    assert_has(&store, &[4, 7]);
    assert_eq!(store.usage(&space(0)).unwrap().bytes, (content(4).len() + content(7).len()) as u64);
}

#[test]
fn a_pack_that_is_gone_is_told_of_and_may_come_back() {
    let disk = Disk::new();
    disk.put(&[4, 5]);
    let first = disk.only_pack();
    let (store, _) = disk.open_with(Limits { pack: 64, keep_free: 0 });
    put(&store, &[6, 7]);
    // While it runs.
    let bytes = fs::read(&first).unwrap();
    drop(store);
    fs::remove_file(&first).unwrap();
    let (store, recovered) = disk.open();
    assert_eq!(recovered, Recovered { packs_lost: 1, ..Recovered::default() });
    assert_has(&store, &[6, 7]);
    assert!(is_missing(&store, 4) && !store.has(&id(4)).unwrap());
    let mut wanting: Vec<_> = store.wanting(0).unwrap().into_iter().map(|(_, id)| id).collect();
    wanting.sort();
    let mut expected = [id(4), id(5)];
    expected.sort();
    assert_eq!(wanting, expected);
    put(&store, &[5]);
    assert_eq!(store.usage(&space(0)).unwrap().objects, 4, "still held");
    drop(store);
    fs::write(&first, bytes).unwrap();
    let (store, recovered) = disk.open();
    assert_eq!((recovered.packs_found, recovered.objects_restored), (1, 1));
    assert_has(&store, &[4, 5, 6, 7]);
    assert!(store.wanting(0).unwrap().is_empty());
}

#[test]
fn a_pack_that_vanishes_while_the_store_is_open_is_missing_and_can_be_put_again() {
    let disk = Disk::new();
    disk.put(&[4, 5]);
    let (store, _) = disk.open_with(Limits { pack: 64, keep_free: 0 });
    fs::remove_file(disk.only_pack()).unwrap();
    store.files.forget_handles();
    assert!(is_missing(&store, 4) && !store.has(&id(4)).unwrap());
    put(&store, &[4, 6]);
    drop(store);
    assert_has(&disk.open().0, &[4, 6]);
}

#[test]
fn an_index_from_before_a_compaction_finds_what_was_moved() {
    let disk = Disk::new();
    disk.put(&[4, 5, 6, 7]);
    let (store, _) = disk.open();
    store.release(&space(0), &[id(6), id(7)], NOW).unwrap();
    drop(store);
    let index = fs::read(disk.database()).unwrap();
    let (store, _) = disk.open();
    assert_eq!(store.collect(NOW.plus(GRACE * 2), GRACE).unwrap().objects, 2);
    while store.compact(1 << 20).unwrap().more {}
    drop(store);
    fs::write(disk.database(), index).unwrap();
    let (store, recovered) = disk.open();
    assert_eq!((recovered.packs_lost, recovered.packs_found, recovered.objects_restored), (1, 1, 2));
    assert_has(&store, &[4, 5]);
    assert!(is_missing(&store, 7));
    assert!(!store.holds_known().unwrap());
}

#[test]
fn a_pack_from_before_loses_only_what_came_after() {
    let disk = Disk::new();
    disk.put(&[4, 5]);
    let older = fs::read(disk.only_pack()).unwrap();
    disk.put(&[6, 7]);
    fs::write(disk.only_pack(), older).unwrap();
    let (store, _) = disk.open();
    assert_has(&store, &[4, 5]);
    assert!(is_missing(&store, 6) && is_missing(&store, 7));
    put(&store, &[12, 7]);
    drop(store);
    let (store, recovered) = disk.open();
    assert_eq!(recovered, Recovered::default());
    assert_has(&store, &[4, 5, 7, 12]);
    assert!(is_missing(&store, 6));
}

#[test]
fn a_changed_byte_is_never_read_and_hides_nothing_else() {
    let disk = Disk::new();
    disk.put(&[3, 4, 12, 2]);
    let (pack, whole) = (disk.only_pack(), fs::read(disk.only_pack()).unwrap());
    let index = fs::read(disk.database()).unwrap();
    let spans: Vec<(u8, std::ops::Range<usize>)> = {
        let mut at = 64;
        [3, 4, 12, 2]
            .map(|n| {
                (
                    n,
                    at..{
                        at += record_len(content(n).len() as u64) as usize;
                        at
                    },
                )
            })
            .into()
    };
    for place in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[place] ^= 1 << (place % 8);
        fs::write(&pack, &bytes).unwrap();
        fs::write(disk.database(), &index).unwrap();
        let (store, _) = disk.open();
        let hit = spans.iter().find(|(_, span)| span.contains(&place));
        let mut damaged = Vec::new();
        for (n, _) in &spans {
            match store.get(&id(*n)) {
                Ok(found) => assert_eq!(found, content(*n)),
                Err(ObjectError::Damaged(found)) => damaged.push(found),
                other => panic!("{other:?}"),
            }
        }
        assert!(damaged.iter().all(|id_| hit.is_some_and(|(n, _)| id(*n) == *id_)), "{place}");
        let checked = store.check(None, u64::MAX).unwrap();
        // What was mended lies at the end now, and is met there once more.
        assert_eq!((checked.objects - checked.mended, &checked.damaged), (4, &damaged), "{place}");
        put(&store, &[3, 4, 12, 2]);
        assert!(store.check(None, u64::MAX).unwrap().damaged.is_empty());
        drop(store);

        // The same without any index; from time to time, because it takes longer.
        if place % 5 == 0 {
            disk.packs().iter().for_each(|path| fs::remove_file(path).unwrap());
            fs::write(&pack, &bytes).unwrap();
            disk.fresh_index();
            let (store, _) = disk.open();
            for (n, span) in &spans {
                if !span.contains(&place) {
                    assert_eq!(store.get(&id(*n)).unwrap(), content(*n), "{place}");
                }
            }
        }
        disk.packs().iter().filter(|path| **path != pack).for_each(|path| fs::remove_file(path).unwrap());
    }
}

#[test]
fn a_header_that_is_damaged_is_mended_while_the_index_is_there() {
    let disk = Disk::new();
    disk.put(&[4, 5]);
    let pack = disk.only_pack();
    let mut bytes = fs::read(&pack).unwrap();
    bytes[64 + 9] ^= 1;
    fs::write(&pack, bytes).unwrap();
    let (store, _) = disk.open();
    assert_eq!(store.check(None, u64::MAX).unwrap().mended, 1);
    drop(store);
    disk.fresh_index();
    assert_has(&disk.open().0, &[4, 5]);
}

#[test]
fn a_rebuild_trusts_nothing_that_the_index_says() {
    let disk = Disk::new();
    disk.put(&[4, 5, 6, 7]);
    drop(disk.open());
    let raw = rusqlite::Connection::open(disk.database()).unwrap();
    raw.execute_batch(
        "UPDATE objects SET start = start + 8 WHERE number = 1;
         UPDATE objects SET pack = 77 WHERE number = 2;
         UPDATE objects SET len = 5000000 WHERE number = 3;
         DELETE FROM objects WHERE number = 4",
    )
    .unwrap();
    drop(raw);
    let (store, _) = disk.open();
    assert!(matches!(store.get(&id(4)), Err(ObjectError::Damaged(_))));
    assert!(is_missing(&store, 5));
    assert!(matches!(store.get(&id(6)), Err(ObjectError::Damaged(_))));
    store.rebuild(NOW).unwrap();
    assert_has(&store, &[4, 5, 6, 7]);
}

#[test]
fn records_inside_an_object_are_not_taken_for_records() {
    let disk = Disk::new();
    disk.put(&[4]);
    let pack = disk.only_pack();
    // A peer who has seen a pack, and one who guesses what a record looks like.
    let mut evil = fs::read(&pack).unwrap();
    evil.extend(PackKey::new(&[0; 16]).record_header(0, &id(7), 4 << 20));
    let evil = evil.repeat(3);
    let (store, _) = disk.open();
    store.put_many(&space(0), &[Object::of(evil.clone())], NOW).unwrap();
    put(&store, &[5]);
    drop(store);
    let mut bytes = fs::read(&pack).unwrap();
    let start = 64 + record_len(content(4).len() as u64) as usize;
    bytes[start + 1] ^= 1;
    fs::write(&pack, &bytes).unwrap();
    disk.fresh_index();
    let (store, recovered) = disk.open();
    assert_eq!(recovered.objects_found, 2);
    assert_has(&store, &[4, 5]);
}

#[test]
fn a_renamed_pack_is_known_by_its_header_and_one_without_header_by_its_name() {
    let disk = Disk::new();
    disk.put(&[4, 5]);
    let (pack, bytes) = (disk.only_pack(), fs::read(disk.only_pack()).unwrap());
    let renamed = pack.with_file_name("00112233445566778899aabbccddeeff.pack");
    fs::rename(&pack, &renamed).unwrap();
    disk.fresh_index();
    let (store, _) = disk.open();
    assert_has(&store, &[4, 5]);
    // Nothing is added to it: it would not be found there.
    put(&store, &[6]);
    drop(store);
    assert_eq!(fs::read(&renamed).unwrap(), bytes);
    fs::remove_file(&renamed).unwrap();
    let mut headless = bytes.clone();
    headless[..64].fill(7);
    fs::write(&pack, headless).unwrap();
    disk.fresh_index();
    assert_has(&disk.open().0, &[4, 5, 6]);
}

#[test]
fn a_scanner_finds_records_behind_one_that_is_cut_off() {
    let pack_id = [3; 16];
    let (key, mut bytes) = (PackKey::new(&pack_id), crate::objects::pack::pack_header(&pack_id).to_vec());
    bytes.extend(key.record_header(64, &id(7), 3000));
    let start = bytes.len() as u64;
    bytes.extend(key.record_header(start, &id(4), content(4).len() as u32));
    bytes.extend(content(4));
    assert_eq!(read_pack_header(&bytes[..]).unwrap(), Some(pack_id));
    let found: Vec<_> = Scanner::new(&bytes[..], key, 0, bytes.len() as u64).collect();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].id, found[0].offset, found[0].sound), (id(4), start, true));
}

/// One sector of it cannot be read.
struct BadSector(Vec<u8>, u64);

impl ReadAt for BadSector {
    fn read_full_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<usize> {
        if (offset..offset + buffer.len() as u64).contains(&self.1) {
            return Err(std::io::ErrorKind::Other.into());
        }
        self.0[..].read_full_at(offset, buffer)
    }
}

#[test]
fn a_bad_sector_hides_only_what_lies_in_it() {
    let key = PackKey::new(&[3; 16]);
    let mut bytes = crate::objects::pack::pack_header(&[3; 16]).to_vec();
    for n in (7..120).step_by(8) {
        bytes.extend(key.record_header(bytes.len() as u64, &id(n), 1500));
        bytes.extend(content(n));
        bytes.resize(bytes.len().next_multiple_of(8), 0);
    }
    let end = bytes.len() as u64;
    let mut scanner = Scanner::new(&bytes[..], key.clone(), 0, end);
    assert_eq!(scanner.by_ref().filter(|record| record.sound).count(), 15);
    assert!(!scanner.met_unreadable());
    let bad = BadSector(bytes, 9000);
    let mut scanner = Scanner::new(&bad, key, 0, end);
    assert!(scanner.by_ref().filter(|record| record.sound).count() >= 11);
    assert!(scanner.met_unreadable());
}
