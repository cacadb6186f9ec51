//! Old copies that are put back.

use logic::ledger::CommitId;
use warren_store::space::{SpaceError, SpaceStore, Standing, Watermark};

use super::{Place, write};

fn mark(commits: u64, statements: u64) -> Watermark {
    Watermark { commits, tip: CommitId::from_bytes([commits as u8; 32]), statements }
}

fn raise(store: &SpaceStore, mark: Watermark) -> Result<(), SpaceError> {
    store.transaction(|tx| tx.raise(mark))
}

/// Copies the database (with its log) as it is now.
fn backup(place: &Place) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let files = ["space.db", "space.db-wal"].map(|name| place.dir.path().join(name));
    files.into_iter().filter_map(|path| Some((path.clone(), std::fs::read(path).ok()?))).collect()
}

/// Puts the copy into the files that are there.
fn write_over(place: &Place, copy: &[(std::path::PathBuf, Vec<u8>)]) {
    let _ = std::fs::remove_file(place.dir.path().join("space.db-wal"));
    copy.iter().for_each(|(path, bytes)| std::fs::write(path, bytes).unwrap());
}

/// Puts the copy in the place of the files that are there.
fn put_back(place: &Place, copy: &[(std::path::PathBuf, Vec<u8>)]) {
    for name in ["space.db", "space.db-wal", "space.db-shm"] {
        let _ = std::fs::remove_file(place.dir.path().join(name));
    }
    for (path, bytes) in copy {
        std::fs::write(path, bytes).unwrap();
    }
}

#[test]
fn an_older_database_is_noticed_and_can_catch_up_but_not_write_beside_what_was_shown() {
    let place = Place::new();
    let store = place.create();
    assert_eq!(store.standing().unwrap(), Standing::Good);
    raise(&store, mark(3, 1)).unwrap();
    let old = backup(&place);
    raise(&store, mark(5, 2)).unwrap();
    drop(store);
    write_over(&place, &old);

    let store = place.open();
    let noticed = Standing::RolledBack { here: mark(3, 1), shown: mark(5, 2) };
    assert_eq!(store.standing().unwrap(), noticed);
    for less in [mark(4, 2), mark(5, 1), Watermark { tip: CommitId::from_bytes([9; 32]), ..mark(5, 2) }] {
        assert!(matches!(raise(&store, less), Err(SpaceError::WouldGoBack)), "{less:?}");
    }
    assert!(matches!(store.mirror(), Err(SpaceError::WouldGoBack)));
    drop(store);
    assert_eq!(place.open().standing().unwrap(), noticed, "it does not forget by being opened");
    // Files in the place of others: the watermark may be a copy as well. Clocks of file systems are coarse.
    std::thread::sleep(std::time::Duration::from_millis(20));
    put_back(&place, &old);
    let store = place.open();
    assert_eq!(store.standing().unwrap(), Standing::Unknown);
    assert!(matches!(raise(&store, mark(6, 2)), Err(SpaceError::Unguarded)), "whoever was not asked does not sign");
    assert!(matches!(store.vouch(mark(4, 2)), Err(SpaceError::WouldGoBack)));
    store.vouch(mark(5, 2)).unwrap();
    assert_eq!(store.standing().unwrap(), Standing::Good);
    raise(&store, mark(6, 2)).unwrap();
}

#[test]
fn a_copy_of_all_of_it_signs_nothing_before_others_were_asked() {
    let place = Place::new();
    let store = place.create();
    raise(&store, mark(3, 1)).unwrap();
    drop(store);
    let beside = place.dir.path().join("space.db.mark");
    let (old, guard) = (backup(&place), std::fs::read(&beside).unwrap());
    raise(&place.open(), mark(5, 2)).unwrap();
    // Clocks of file systems are coarse.
    std::thread::sleep(std::time::Duration::from_millis(20));
    put_back(&place, &old);
    std::fs::write(&beside, guard).unwrap();
    for _ in 0..2 {
        let store = place.open();
        assert_eq!(store.standing().unwrap(), Standing::Unknown);
        assert!(matches!(raise(&store, mark(4, 1)), Err(SpaceError::Unguarded)));
        assert!(matches!(store.mirror(), Err(SpaceError::Unguarded)));
    }
    place.open().vouch(mark(5, 2)).unwrap();
    let store = place.open();
    assert_eq!(store.standing().unwrap(), Standing::Good);
    raise(&store, mark(6, 2)).unwrap();
}

#[test]
fn a_copy_of_a_directory_is_in_doubt_also_where_the_watermark_was_copied_later() {
    let place = Place::new();
    let store = place.create();
    raise(&store, mark(3, 1)).unwrap();
    let old = backup(&place);
    raise(&store, mark(5, 2)).unwrap();
    drop(store);
    std::thread::sleep(std::time::Duration::from_millis(20));
    let copy = tempfile::tempdir().unwrap();
    for (path, bytes) in &old {
        std::fs::write(copy.path().join(path.file_name().unwrap()), bytes).unwrap();
    }
    std::fs::copy(place.dir.path().join("space.db.mark"), copy.path().join("space.db.mark")).unwrap();
    let store = SpaceStore::open(&copy.path().join("space.db"), &place.key).unwrap();
    assert_eq!(store.standing().unwrap(), Standing::Unknown, "the original may have gone on after that as well");
    assert!(matches!(raise(&store, mark(6, 2)), Err(SpaceError::Unguarded)));
}

#[test]
fn a_doubt_lasts_until_somebody_vouches() {
    let place = Place::new();
    let store = place.create();
    raise(&store, mark(3, 1)).unwrap();
    store.doubt().unwrap();
    drop(store);
    let store = place.open();
    assert_eq!(store.standing().unwrap(), Standing::Unknown);
    assert!(matches!(raise(&store, mark(4, 1)), Err(SpaceError::Unguarded)));
    store.vouch(mark(7, 9)).unwrap();
    assert_eq!(store.read(|reader| reader.watermark()).unwrap(), mark(7, 9));
    assert!(matches!(raise(&store, mark(6, 9)), Err(SpaceError::WouldGoBack)));
    raise(&store, mark(8, 9)).unwrap();
}

#[test]
fn a_lost_or_foreign_copy_of_the_watermark_is_no_reason_to_go_on() {
    let place = Place::new();
    let store = place.create();
    raise(&store, mark(3, 1)).unwrap();
    drop(store);
    let beside = place.dir.path().join("space.db.mark");
    let other = Place::new();
    drop(SpaceStore::create(&other.path(), &place.key, CommitId::from_bytes([6; 32])).unwrap());
    let foreign = std::fs::read(other.dir.path().join("space.db.mark")).unwrap();
    for bytes in [None, Some(foreign), Some(Vec::new()), Some(vec![1; 100])] {
        match bytes {
            None => std::fs::remove_file(&beside).unwrap(),
            Some(bytes) => std::fs::write(&beside, bytes).unwrap(),
        }
        let store = place.open();
        assert_eq!(store.standing().unwrap(), Standing::Unknown);
        assert!(matches!(raise(&store, mark(4, 1)), Err(SpaceError::Unguarded)));
    }
    let store = place.open();
    assert!(matches!(store.mirror(), Err(SpaceError::Unguarded)));
    store.vouch(mark(3, 1)).unwrap();
    assert_eq!(store.standing().unwrap(), Standing::Good);
    raise(&store, mark(4, 1)).unwrap();
}

#[test]
fn a_database_that_is_made_anew_knows_what_was_shown() {
    let place = Place::new();
    raise(&place.create(), mark(3, 1)).unwrap();
    put_back(&place, &[]);
    let store = place.create();
    let noticed = Standing::RolledBack { here: Watermark::default(), shown: mark(3, 1) };
    assert_eq!(store.standing().unwrap(), noticed);
    assert!(matches!(raise(&store, mark(1, 0)), Err(SpaceError::WouldGoBack)));
}

#[test]
fn a_crash_between_the_two_copies_is_no_rollback() {
    let place = Place::new();
    let store = place.create();
    raise(&store, mark(1, 1)).unwrap();
    let beside = place.dir.path().join("space.db.mark");
    let old = std::fs::read(&beside).unwrap();
    raise(&store, mark(2, 1)).unwrap();
    drop(store);
    std::fs::write(&beside, old).unwrap();
    let store = place.open();
    assert_eq!(store.standing().unwrap(), Standing::Good, "opening mends it");
    drop(store);
    assert_eq!(place.open().standing().unwrap(), Standing::Good);
}

#[test]
fn a_watermark_that_cannot_be_written_is_said_and_made_good() {
    let place = Place::new();
    let store = place.create();
    raise(&store, mark(1, 1)).unwrap();
    let beside = place.dir.path().join("space.db.mark");
    let bytes = std::fs::read(&beside).unwrap();
    std::fs::remove_file(&beside).unwrap();
    std::fs::create_dir(&beside).unwrap();
    assert!(matches!(raise(&store, mark(2, 1)), Err(SpaceError::Unmirrored(_))));
    assert_eq!(store.read(|reader| reader.watermark()).unwrap(), mark(2, 1));
    assert_eq!(store.standing().unwrap(), Standing::Behind);
    std::fs::remove_dir(&beside).unwrap();
    std::fs::write(&beside, bytes).unwrap();
    store.mirror().unwrap();
    assert_eq!(store.standing().unwrap(), Standing::Good);
}

#[test]
fn a_cancelled_transaction_raises_nothing() {
    let place = Place::new();
    let store = place.create();
    let cancelled = store.transaction::<(), SpaceError>(|tx| {
        tx.raise(mark(9, 9))?;
        Err(SpaceError::ReadOnly)
    });
    assert!(cancelled.is_err());
    assert_eq!(store.standing().unwrap(), Standing::Good);
    write(&store, |tx| tx.raise(mark(1, 1)));
}
