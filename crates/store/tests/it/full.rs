//! A full disk is said to be one, and damages nothing that was there.

use crate::volume::Volume;
use logic::ledger::CommitId;
use seal::RecordKey;
use warren_store::database::{Database, DatabaseError};
use warren_store::durable::{self, Existing};
use warren_store::landing::{Landing, LandingError};
use warren_store::space::{SpaceError, SpaceStore};
use warren_store::{FileMeta, RelPath};

fn rel(path: &str) -> RelPath {
    RelPath::new(path.split('/')).unwrap()
}

#[test]
fn a_landing_says_so_goes_on_later_and_can_be_abandoned() {
    let Some(volume) = Volume::in_memory(1 << 20) else { return };
    let received = volume.path().join("received");
    let landing = Landing::open(&received).unwrap();
    assert!(landing.free_space().unwrap() <= 1 << 20);
    let building = landing.begin(&[1; 16]).unwrap();
    building.put_file(&rel("kept"), &[1; 4096], &FileMeta::default()).unwrap();
    let file = building.create_file(&rel("large"), false).unwrap();
    assert!(matches!(file.reserve(64 << 20), Err(LandingError::DiskFull { .. })));
    let full = file.write_at(0, &vec![7; 2 << 20]).unwrap_err();
    assert!(matches!(&full, LandingError::DiskFull { path } if path.ends_with("large")), "{full}");
    let small = building.put_file(&rel("small"), &[1; 65536], &FileMeta::default());
    assert!(matches!(small, Err(LandingError::DiskFull { .. })));
    drop((file, building));

    let building = landing.begin(&[1; 16]).unwrap();
    building.remove(&rel("large")).unwrap();
    building.remove(&rel("small")).unwrap();
    assert!(building.resume_file(&rel("kept")).unwrap().is_some());
    building.finish().unwrap().settle().unwrap();
    assert_eq!(std::fs::read(received.join("kept")).unwrap(), [1; 4096]);

    let building = landing.begin(&[2; 16]).unwrap();
    let file = building.create_file(&rel("large"), false).unwrap();
    file.write_at(0, &vec![7; 2 << 20]).unwrap_err();
    drop(file);
    building.abandon().unwrap();
    assert_eq!(std::fs::read_dir(&received).unwrap().count(), 1);
}

#[test]
fn a_durable_write_keeps_the_old_bytes() {
    let Some(volume) = Volume::in_memory(256 << 10) else { return };
    let path = volume.path().join("keys");
    durable::write(&path, b"old", Existing::Replace).unwrap();
    durable::write(&path, &vec![1; 1 << 20], Existing::Replace).unwrap_err();
    assert_eq!(std::fs::read(&path).unwrap(), b"old");
    assert_eq!(std::fs::read_dir(volume.path()).unwrap().count(), 1);
    durable::write(&path, b"new", Existing::Replace).unwrap();
}

#[test]
fn the_database_keeps_every_value_it_has_acknowledged() {
    let Some(volume) = Volume::in_memory(1 << 20) else { return };
    let path = volume.path().join("database");
    let key = RecordKey::generate();
    let ballast = volume.path().join("ballast");
    std::fs::write(&ballast, vec![1; 128 << 10]).unwrap();
    let database = Database::create(&path, key.clone()).unwrap();
    let table = database.table::<Vec<u8>>("values");
    let mut stored = 0u32;
    let full = loop {
        match table.put(&stored.to_be_bytes(), &vec![7; 10_000]) {
            Ok(()) => stored += 1,
            Err(e) => break e,
        }
    };
    assert!(matches!(full, DatabaseError::DiskFull), "{full}");
    assert_eq!(table.len().unwrap(), u64::from(stored));
    drop((table, database));
    // SQLite needs a little room for the index of its log.
    std::fs::remove_file(ballast).unwrap();
    let table = Database::open(&path, key).unwrap().table::<Vec<u8>>("values");
    assert_eq!(table.all().unwrap().values.len(), stored as usize);
}

#[test]
fn a_database_that_cannot_be_opened_for_want_of_space_is_not_damaged() {
    let Some(volume) = Volume::in_memory(1 << 20) else { return };
    let path = volume.path().join("database");
    let key = RecordKey::generate();
    let database = Database::create(&path, key.clone()).unwrap();
    database.table("values").put(b"key", &7u32).unwrap();
    drop(database);
    let ballast = volume.path().join("ballast");
    fill(&std::fs::File::create(&ballast).unwrap()).unwrap();
    let refused = Database::open(&path, key.clone()).unwrap_err();
    assert!(matches!(refused, DatabaseError::DiskFull), "a full disk is taken for something else: {refused:?}");
    std::fs::remove_file(ballast).unwrap();
    assert_eq!(Database::open(&path, key).unwrap().table::<u32>("values").get(b"key").unwrap(), Some(7));
}

#[test]
fn the_file_of_a_space_keeps_every_transaction_it_has_acknowledged() {
    let Some(volume) = Volume::in_memory(2 << 20) else { return };
    let (path, key) = (volume.path().join("space.db"), RecordKey::generate());
    let ballast = volume.path().join("ballast");
    std::fs::write(&ballast, vec![1; 128 << 10]).unwrap();
    let store = SpaceStore::create(&path, &key, CommitId::ZERO).unwrap();
    let mut stored = 0u32;
    let full = loop {
        let written: Result<(), SpaceError> = store.transaction(|tx| {
            tx.set_value("values", &stored.to_be_bytes(), &[7; 5000])?;
            tx.set_value("count", b"", &(stored + 1).to_be_bytes())
        });
        match written {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, SpaceError::Database(DatabaseError::DiskFull)), "{full}");
    let whole = |store: &SpaceStore| {
        store.read(|reader| Ok::<_, SpaceError>((reader.value("count", b"")?, reader.values("values")?.len()))).unwrap()
    };
    let expected = (Some(stored.to_be_bytes().to_vec()), stored as usize);
    assert_eq!(whole(&store), expected);
    drop(store);
    std::fs::remove_file(ballast).unwrap();
    let store = SpaceStore::open(&path, &key).unwrap();
    assert_eq!(whole(&store), expected);
    assert!(store.check().unwrap().is_whole());
}

/// Takes every byte that is left.
fn fill(mut file: &std::fs::File) -> std::io::Result<()> {
    loop {
        match std::io::Write::write_all(&mut file, &[1; 512]) {
            Err(e) if e.kind() == std::io::ErrorKind::StorageFull => return Ok(()),
            other => other?,
        }
    }
}
