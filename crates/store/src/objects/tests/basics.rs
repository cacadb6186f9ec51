//! Limits, quotas, sharing between namespaces, what the disk shows, and several threads.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use seal::{Object, Timestamp};

use super::world::{GRACE, Op, World, content, folder, id, id_of, space};
use crate::database::Database;
use crate::objects::{Limits, MAX_OBJECT, Namespace, ObjectError, ObjectId, ObjectStore, Usage};

const NOW: Timestamp = Timestamp(1_800_000_000_000);

#[test]
fn what_is_too_long_is_not_stored_and_none_of_its_batch() {
    let world = World::new();
    let longest = vec![7; MAX_OBJECT];
    world.store().put_many(&space(0), &[Object::of(longest.clone())], NOW).unwrap();
    assert_eq!(world.store().get(&id_of(&longest)).unwrap(), longest);
    let long = vec![7; MAX_OBJECT + 1];
    let batch = [4].map(content).into_iter().chain([long]).map(Object::of).collect::<Vec<_>>();
    let refused = world.store().put_many(&space(0), &batch, NOW);
    assert!(matches!(refused, Err(ObjectError::TooLong { len, .. }) if len == MAX_OBJECT as u64 + 1));
    assert!(!world.store().has(&id(4)).unwrap());
    assert_eq!(world.store().absent(&[id(4), id_of(&longest)]).unwrap(), [id(4)]);
}

#[test]
fn an_object_is_stored_once_and_stays_until_nobody_holds_it() {
    let mut world = World::new();
    world.run(&Op::Put(0, vec![7]), None);
    let before = world.store().totals().unwrap();
    world.run(&Op::Put(0, vec![7, 7]), None);
    world.run(&Op::Put(1, vec![7]), None);
    assert_eq!(world.store().totals().unwrap(), before);
    let full = Usage { objects: 1, bytes: 1500, quota: None };
    assert_eq!((world.store().usage(&space(0)).unwrap(), world.store().usage(&space(1)).unwrap()), (full, full));
    let late = |days: u32| NOW.plus(Duration::from_secs(86400) * days);
    world.store().release(&space(0), &[id(7), id(7), id(6)], late(30)).unwrap();
    assert_eq!(world.store().collect(late(90), GRACE).unwrap().objects, 0);
    world.store().release(&space(1), &[id(7)], late(90)).unwrap();
    assert_eq!(world.store().usage(&space(1)).unwrap(), Usage::default());
    assert_eq!(world.store().collect(late(96), GRACE).unwrap().objects, 0);
    assert_eq!(world.store().get(&id(7)).unwrap(), content(7), "it is there for the time of grace");
    // Held again in time, and for good.
    assert!(world.store().hold(&space(2), &[id(7)]).unwrap().is_empty());
    assert_eq!(world.store().collect(late(200), GRACE).unwrap().objects, 0);
    world.store().forget(&space(2), late(200)).unwrap();
    assert_eq!(world.store().collect(late(208), GRACE).unwrap().bytes, 1500);
    while world.store().compact(1 << 20).unwrap().more {}
    assert!(matches!(world.store().get(&id(7)), Err(ObjectError::Missing(_))));
    assert_eq!(world.store().totals().unwrap().garbage, 0);
}

#[test]
fn a_quota_counts_each_object_once_and_in_full() {
    let world = World::new();
    let put = |items: &[u8]| {
        let objects: Vec<_> = items.iter().map(|n| Object::of(content(*n))).collect();
        world.store().put_many(&space(0), &objects, NOW)
    };
    world.store().set_quota(&space(0), Some(2000)).unwrap();
    put(&[7, 7]).unwrap();
    let refused = put(&[7, 6, 14]);
    assert!(matches!(refused, Err(ObjectError::OverQuota { quota: 2000, used: 1500, wanted: 1000 })), "{refused:?}");
    assert!(!world.store().has(&id(6)).unwrap());
    put(&[7, 6, 6, 6]).unwrap();
    assert_eq!(world.store().usage(&space(0)).unwrap(), Usage { objects: 2, bytes: 2000, quota: Some(2000) });
    put(&[0]).unwrap();
    // What others hold is no way around it.
    world.store().put_many(&space(1), &[Object::of(content(15))], NOW).unwrap();
    assert!(matches!(world.store().hold(&space(0), &[id(15)]), Err(ObjectError::OverQuota { .. })));
    world.store().set_quota(&space(0), Some(10)).unwrap();
    put(&[7]).unwrap();
    assert!(matches!(put(&[5]), Err(ObjectError::OverQuota { .. })));
    world.store().release(&space(0), &[id(7), id(6)], NOW).unwrap();
    world.store().set_quota(&space(0), None).unwrap();
    put(&[15, 23, 31]).unwrap();
}

#[test]
fn a_check_goes_on_where_it_was_over_restarts() {
    let mut world = World::new();
    world.run(&Op::Put(0, vec![4, 5, 6, 7, 14, 15]), None);
    let (mut place, mut objects, mut slices) = (None, 0, 0);
    loop {
        let checked = world.store().check(place, 1).unwrap();
        objects += checked.objects;
        slices += 1;
        place = checked.next;
        if place.is_none() {
            break;
        }
        world.open();
    }
    assert_eq!((objects, slices), (6, 7));
}

#[test]
fn a_locked_home_does_not_show_who_holds_what() {
    let mut world = World::new();
    let namespace = Namespace(*b"this-is-the-id-of-a-secret-space");
    let items: Vec<Vec<u8>> = (0..200).map(content).collect();
    for bytes in &items {
        world.store().put_many(&namespace, &[Object::of(bytes.to_vec())], NOW).unwrap();
        world.store().put_many(&space(9), &[Object::of(bytes.to_vec())], NOW).unwrap();
    }
    let index = rusqlite::Connection::open(world.dir.path().join("database")).unwrap();
    let tags: i64 = index.query_row("SELECT count(DISTINCT tag) FROM holds", [], |row| row.get(0)).unwrap();
    let holds: i64 = index.query_row("SELECT count(*) FROM holds", [], |row| row.get(0)).unwrap();
    assert_eq!(tags, holds, "equal tags would tell who holds the same");
    for path in world.packs().into_iter().chain(["database", "database-wal"].map(|name| world.dir.path().join(name))) {
        let bytes = fs::read(&path).unwrap();
        assert!(!bytes.windows(16).any(|window| window == &namespace.0[..16]), "{path:?}");
        if path.extension().is_some() {
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
    let mode = fs::metadata(world.dir.path().join("objects")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    world.close();
}

#[test]
fn a_store_is_open_once_and_leaves_what_is_not_its_own_alone() {
    let world = World::new();
    let stray = world.dir.path().join("objects/notes.txt");
    fs::write(&stray, "not a pack").unwrap();
    let database = Database::open(&world.dir.path().join("database"), world.key.clone()).unwrap();
    let again = ObjectStore::open(&world.dir.path().join("objects"), database, Limits::default(), NOW);
    assert!(matches!(again, Err(ObjectError::InUse(_))));
    let mut world = world;
    world.open();
    assert!(stray.exists());
}

#[test]
fn what_must_stay_free_stays_free() {
    let dir = folder();
    let database = Database::create(&dir.path().join("database"), seal::RecordKey::generate()).unwrap();
    let limits = Limits { keep_free: u64::MAX, ..Limits::default() };
    let (store, _) = ObjectStore::open(&dir.path().join("objects"), database, limits, NOW).unwrap();
    let full = store.put_many(&space(0), &[Object::of(content(4))], NOW).unwrap_err();
    assert!(matches!(full, ObjectError::DiskFull(_)));
    assert!(full.to_string().contains("full"), "{full}");
    assert_eq!(store.usage(&space(0)).unwrap(), Usage::default());
}

#[test]
fn reading_goes_on_while_others_put_release_and_compact() {
    let world = World::new();
    let kept: Vec<ObjectId> = (0..40).map(id).collect();
    let contents: Vec<_> = (0..40).map(content).collect();
    let objects: Vec<_> = contents.iter().cloned().map(Object::of).collect();
    world.store().put_many(&space(0), &objects, NOW).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for reader in 0..2 {
            let (store, kept, contents, done) = (world.store().clone(), &kept, &contents, &done);
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    for (id, bytes) in kept.iter().zip(contents).skip(reader) {
                        assert_eq!(&store.get(id).unwrap(), bytes);
                    }
                }
            });
        }
        for round in 0..60u8 {
            let noise: Vec<_> = (0..5u8).map(|n| [round, n].repeat(150)).collect();
            let mut objects: Vec<_> = noise.iter().cloned().map(Object::of).collect();
            let again = usize::from(round) % 40;
            objects.push(Object::of(contents[again].clone()));
            world.store().put_many(&space(1), &objects, NOW).unwrap();
            let ids: Vec<_> = objects.iter().map(Object::id).collect();
            world.store().release(&space(1), &ids, NOW).unwrap();
            world.store().collect(NOW.plus(GRACE * 2), GRACE).unwrap();
            world.store().compact(2000).unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(world.store().check(None, u64::MAX).unwrap().damaged.is_empty());
}
