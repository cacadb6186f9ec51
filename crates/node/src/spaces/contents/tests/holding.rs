//! Which objects are wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Seek, SeekFrom, Write};

use seal::{Object, ObjectId};
use store::objects::HeldPlace;

use super::super::{hold_again, hold_new};
use super::*;

fn wanted(home: &Home) -> BTreeSet<ObjectId> {
    let mut found = BTreeSet::new();
    hold_new(home.kept(), &home.spaces().objects, false, |ids| {
        found.extend(ids.iter().copied());
        Ok(())
    })
    .unwrap();
    found
}

fn put_back(home: &Home, all: &BTreeMap<ObjectId, Object>, ids: &BTreeSet<ObjectId>) {
    let objects: Vec<_> = ids.iter().map(|id| all[id].clone()).collect();
    home.spaces().objects.put_many(&home.kept().namespace(), &objects, clock::now()).unwrap();
}

#[test]
fn everything_that_is_named_is_wanted_until_it_is_here() {
    let mut home = Home::new();
    let dir = home.work().join("d");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("plain"), noise(1, 2 << 20)).unwrap();
    let mut file = fs::File::create(dir.join("long")).unwrap();
    for number in 0..600_u64 {
        file.seek(SeekFrom::Start(number * (200 << 10))).unwrap();
        file.write_all(&noise((number % 251) as u8, 100)).unwrap();
    }
    drop(file);
    home.put(&dir, "");
    let objects = &home.spaces().objects;
    let (ids, _) = objects.held(&home.kept().namespace(), HeldPlace::default()).unwrap();
    let all: BTreeMap<ObjectId, Object> = ids.iter().map(|id| (*id, objects.get(id).unwrap())).collect();
    for entry in fs::read_dir(home.dir.path().join("objects")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|suffix| suffix == "pack") {
            fs::remove_file(path).unwrap();
        }
    }
    home.restart();

    let first = wanted(&home);
    assert!(!first.is_empty() && first.len() < all.len(), "{} of {}", first.len(), all.len());
    // The list of the long file is looked for every time, and once it is here, so is what it lists.
    put_back(&home, &all, &first);
    let second = wanted(&home);
    assert!(!second.is_empty() && second.is_disjoint(&first));
    put_back(&home, &all, &second);
    assert_eq!(wanted(&home), BTreeSet::new());
    let both: BTreeSet<_> = first.union(&second).copied().collect();
    assert_eq!(both, all.keys().copied().collect());
    assert!(home.read("d/long", 0..u64::MAX).unwrap() == fs::read(dir.join("long")).unwrap());

    fs::write(dir.join("more"), noise(9, 1 << 20)).unwrap();
    home.put(&dir, "");
    assert_eq!(wanted(&home), BTreeSet::new());
    hold_again(home.kept()).unwrap();
    assert_eq!(wanted(&home), BTreeSet::new());
}

#[test]
fn what_could_not_be_remembered_is_wanted_again() {
    let mut home = Home::new();
    let file = home.work().join("f");
    fs::write(&file, noise(1, 1 << 20)).unwrap();
    home.put(&file, "");
    for entry in fs::read_dir(home.dir.path().join("objects")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|suffix| suffix == "pack") {
            fs::remove_file(path).unwrap();
        }
    }
    home.restart();
    let fails = |_: &[ObjectId]| Err(crate::spaces::SpaceFault::Unfinished);
    hold_new(home.kept(), &home.spaces().objects, false, fails).unwrap_err();
    // How many chunks a file has is a secret of the space.
    assert!(!wanted(&home).is_empty());
    assert_eq!(wanted(&home).len(), 0);
}
