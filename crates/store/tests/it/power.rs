//! What was acknowledged is there after the power was cut: ext4 is stopped without writing anything more.

use crate::volume::Volume;
use logic::ledger::CommitId;
use seal::RecordKey;
use warren_store::database::Database;
use warren_store::durable::{self, Existing};
use warren_store::landing::{Landing, LandingFile};
use warren_store::space::{SpaceError, SpaceStore, Standing, Watermark};
use warren_store::{FileMeta, RelPath};

fn rel(path: &str) -> RelPath {
    RelPath::new(path.split('/')).unwrap()
}

#[test]
fn the_method_really_loses_what_is_not_durable() {
    let Some(volume) = Volume::ext4(64 << 20) else { return };
    std::fs::write(volume.path().join("not-durable"), "x").unwrap();
    volume.cut_power();
    assert!(!volume.path().join("not-durable").exists());
}

#[test]
fn durable_writes_and_database_values_survive() {
    let Some(volume) = Volume::ext4(64 << 20) else { return };
    let (path, key) = (volume.path().join("database"), RecordKey::generate());
    {
        let database = Database::create(&path, key.clone()).unwrap();
        for n in 0..50u32 {
            database.table("numbers").put(&n.to_be_bytes(), &n).unwrap();
            database.events().append(&n).unwrap();
            durable::write(&volume.path().join("small"), &n.to_be_bytes(), Existing::Replace).unwrap();
        }
    }
    volume.cut_power();
    let database = Database::open(&path, key).unwrap();
    assert_eq!(database.table::<u32>("numbers").len().unwrap(), 50);
    assert!(matches!(database.events::<u32>().newest(1).unwrap().as_slice(), [(50, Ok(49))]));
    assert_eq!(std::fs::read(volume.path().join("small")).unwrap(), 49u32.to_be_bytes());
}

#[test]
fn transactions_and_watermarks_of_a_space_survive() {
    let Some(volume) = Volume::ext4(64 << 20) else { return };
    let (path, key) = (volume.path().join("space.db"), RecordKey::generate());
    let store = SpaceStore::create(&path, &key, CommitId::ZERO).unwrap();
    for n in 1..=30u64 {
        let written: Result<(), SpaceError> = store.transaction(|tx| {
            tx.set_value("numbers", &n.to_be_bytes(), &[7; 3000])?;
            tx.raise(Watermark { commits: n, tip: CommitId::from_bytes([n as u8; 32]), statements: n })
        });
        written.unwrap();
    }
    drop(store);
    volume.cut_power();
    let store = SpaceStore::open(&path, &key).unwrap();
    assert_eq!(store.standing().unwrap(), Standing::Good);
    let read: Result<_, SpaceError> =
        store.read(|reader| Ok((reader.watermark()?.commits, reader.values("numbers")?.len())));
    assert_eq!(read.unwrap(), (30, 30));
}

#[test]
fn what_has_landed_survives_whether_few_or_many() {
    for files in [1, 3, 300] {
        let Some(volume) = Volume::ext4(64 << 20) else { return };
        let received = volume.path().join("received");
        let building = Landing::open(&received).unwrap().begin(&[1; 16]).unwrap();
        building.create_dir(&rel("top")).unwrap();
        building.create_dir(&rel("top/inner")).unwrap();
        for n in 0..files {
            building.put_file(&rel(&format!("top/inner/{n}")), &[n as u8; 5000], &FileMeta::default()).unwrap();
        }
        drop(building.finish().unwrap());
        volume.cut_power();
        for n in 0..files {
            let bytes = std::fs::read(received.join(format!("top/inner/{n}"))).unwrap();
            assert_eq!(bytes, [n as u8; 5000], "{n} of {files}");
        }
        let again = Landing::open(&received).unwrap().begin(&[1; 16]).unwrap();
        assert!(again.is_complete());
        again.finish().unwrap().settle().unwrap();
        assert_eq!(std::fs::read_dir(&received).unwrap().count(), 1);
    }
}

#[test]
fn a_large_file_that_was_cut_is_read_back_truthfully() {
    let Some(volume) = Volume::ext4(128 << 20) else { return };
    let received = volume.path().join("received");
    let building = Landing::open(&received).unwrap().begin(&[1; 16]).unwrap();
    building.create_dir(&rel("synced")).unwrap();
    let file = building.create_file(&rel("large"), false).unwrap();
    file.reserve(32 << 20).unwrap();
    for block in 0..24u64 {
        file.write_at(block << 20, &vec![block as u8 + 1; 1 << 20]).unwrap();
    }
    drop((file, building));
    volume.cut_power();

    // Whatever is left of it can be gone on from: the missing blocks are written again and all of it lands.
    let building = Landing::open(&received).unwrap().begin(&[1; 16]).unwrap();
    let resumed = building.resume_file(&rel("large")).unwrap();
    let file: LandingFile = resumed.map_or_else(|| building.create_file(&rel("large"), false), Ok).unwrap();
    let mut buffer = vec![0; 1 << 20];
    for block in 0..32u64 {
        let expected = vec![block as u8 + 1; 1 << 20];
        let read = file.read_at(block << 20, &mut buffer).unwrap();
        if buffer[..read] != expected {
            file.write_at(block << 20, &expected).unwrap();
        }
    }
    file.close(&FileMeta::default()).unwrap();
    drop(building.finish().unwrap());
    volume.cut_power();
    let bytes = std::fs::read(received.join("large")).unwrap();
    assert!(
        bytes.len() == 32 << 20
            && bytes.chunks(1 << 20).enumerate().all(|(n, b)| b.iter().all(|x| *x as usize == n + 1))
    );
}
