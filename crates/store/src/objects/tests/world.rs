//! A store and what it should hold.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use seal::{Object, RecordKey, Timestamp};

use super::disk::{self, Fault};
use crate::database::Database;
use crate::objects::{HeldPlace, Limits, Namespace, ObjectError, ObjectId, ObjectStore, Recovered};

/// Small packs, so that few objects fill many.
pub(super) const LIMITS: Limits = Limits { pack: 2000, keep_free: 0 };

/// In memory where there is such a place: thousands of fsyncs.
pub(super) fn folder() -> tempfile::TempDir {
    let memory = std::path::Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

pub(super) fn content(n: u8) -> Vec<u8> {
    let len = [0, 1, 7, 8, 40, 200, 500, 1500][usize::from(n) % 8];
    (0..len).map(|i: u32| (i * 31 + u32::from(n) * 7 + i / 250) as u8).collect()
}

pub(super) fn id_of(bytes: &[u8]) -> ObjectId {
    ObjectId::of(bytes)
}

pub(super) fn id(n: u8) -> ObjectId {
    id_of(&content(n))
}

pub(super) fn space(n: u8) -> Namespace {
    Namespace([n; 32])
}

pub(super) const GRACE: Duration = Duration::from_secs(7 * 86400);

#[derive(Debug, Clone)]
pub(super) enum Op {
    Put(u8, Vec<u8>),
    Hold(u8, u8),
    Release(u8, Vec<u8>),
    Forget(u8),
    Collect,
    Compact(u64),
    Check,
    Rebuild,
    Reopen,
    Damage(u32),
}

pub(super) fn any_op() -> impl Strategy<Value = Op> {
    let (ns, n) = (0..3u8, 0..40u8);
    let several = prop::collection::vec(n.clone(), 0..8);
    prop_oneof![
        6 => (ns.clone(), several.clone()).prop_map(|(ns, items)| Op::Put(ns, items)),
        1 => (ns.clone(), n).prop_map(|(ns, n)| Op::Hold(ns, n)),
        5 => (ns.clone(), several).prop_map(|(ns, items)| Op::Release(ns, items)),
        1 => ns.prop_map(Op::Forget),
        2 => Just(Op::Collect),
        3 => prop_oneof![Just(1), Just(3000), Just(1 << 20)].prop_map(Op::Compact),
        1 => Just(Op::Check),
        1 => Just(Op::Rebuild),
        1 => Just(Op::Reopen),
        1 => any::<u32>().prop_map(Op::Damage),
    ]
}

pub(super) fn any_fault() -> impl Strategy<Value = Option<(u32, Fault, u64)>> {
    let fault = prop_oneof![
        1 => Just(Fault::Full),
        1 => Just(Fault::StaysFull),
        1 => Just(Fault::Broken),
        3 => Just(Fault::Crash),
    ];
    prop::option::of((0..20u32, fault, any::<u64>()))
}

pub(super) struct World {
    pub(super) dir: tempfile::TempDir,
    pub(super) key: RecordKey,
    store: Option<ObjectStore>,
    /// Who holds what.
    held: BTreeSet<(u8, u8)>,
    now: Timestamp,
    doing: String,
}

impl World {
    pub(super) fn new() -> Self {
        let (dir, key) = (folder(), RecordKey::generate());
        drop(Database::create(&dir.path().join("database"), key.clone()).unwrap());
        let mut world = Self {
            dir,
            key,
            store: None,
            held: BTreeSet::new(),
            now: Timestamp::from_seconds(1_800_000_000),
            doing: String::new(),
        };
        world.open();
        world
    }

    pub(super) fn store(&self) -> &ObjectStore {
        self.store.as_ref().unwrap()
    }

    pub(super) fn close(&mut self) {
        self.store = None;
    }

    pub(super) fn open(&mut self) -> Recovered {
        self.try_open().unwrap()
    }

    fn try_open(&mut self) -> Result<Recovered, ObjectError> {
        self.close();
        let database = Database::open(&self.dir.path().join("database"), self.key.clone()).unwrap();
        let (store, recovered) = ObjectStore::open(&self.dir.path().join("objects"), database, LIMITS, self.now)?;
        self.store = Some(store);
        Ok(recovered)
    }

    pub(super) fn packs(&self) -> Vec<std::path::PathBuf> {
        let entries = std::fs::read_dir(self.dir.path().join("objects")).unwrap();
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    }

    /// Does it, with a fault on the way; then once more without, if it failed. Everything must be as it should be before
    /// and after that. Tells whether the fault happened.
    pub(super) fn run(&mut self, op: &Op, fault: Option<(u32, Fault, u64)>) -> bool {
        self.now = self.now.plus(Duration::from_secs(86400));
        self.doing = format!("{op:?} with {fault:?}");
        if let Op::Damage(at) = op {
            self.damage(*at);
            return false;
        }
        let crash = matches!(fault, Some((_, Fault::Crash, _)));
        disk::begin(fault.map(|(steps, fault, _)| (steps, fault)), fault.map_or(1, |fault| fault.2));
        let outcome = self.attempt(op);
        let failed = if crash { disk::cut_power() } else { disk::end() };
        if let (Err(error), Some((_, Fault::Full | Fault::StaysFull, _))) = (&outcome, fault) {
            assert!(matches!(error, ObjectError::DiskFull(_)), "a full disk is taken for something else: {error:?}");
        }
        assert!(failed || outcome.is_ok(), "{op:?} failed by itself: {outcome:?}");
        if crash || self.store.is_none() {
            self.open();
        }
        if outcome.is_err() {
            let touched: BTreeSet<_> = touched(op).into_iter().map(id).collect();
            self.verify(|held| !touched.contains(&id(held.1)), false);
            self.attempt(op).unwrap();
        }
        self.expect(op);
        self.verify(|_| true, true);
        failed
    }

    fn attempt(&mut self, op: &Op) -> Result<(), ObjectError> {
        let now = self.now;
        match op {
            Op::Put(ns, items) => {
                let mut putting = self.store().putting(&space(*ns));
                for items in items.chunks(2) {
                    let objects: Vec<_> = items.iter().map(|n| Object::of(content(*n))).collect();
                    putting.add(&objects)?;
                }
                putting.finish(now)
            }
            Op::Hold(ns, n) => self.store().hold(&space(*ns), &[id(*n)]).map(drop),
            Op::Release(ns, items) => {
                let ids: Vec<_> = items.iter().map(|n| id(*n)).collect();
                self.store().release(&space(*ns), &ids, now)
            }
            Op::Forget(ns) => self.store().forget(&space(*ns), now),
            Op::Collect => self.store().collect(now, GRACE).map(drop),
            Op::Compact(budget) => self.store().compact(*budget).map(drop),
            Op::Check => {
                let mut place = None;
                loop {
                    let checked = self.store().check(place, 600)?;
                    let held = |damaged: &ObjectId| self.held.iter().any(|(_, n)| id(*n) == *damaged);
                    assert!(!checked.damaged.iter().any(held), "{checked:?}");
                    place = checked.next;
                    if place.is_none() {
                        return Ok(());
                    }
                }
            }
            Op::Rebuild => self.store().rebuild(now).map(drop),
            Op::Reopen => self.try_open().map(drop),
            Op::Damage(_) => Ok(()),
        }
    }

    /// What should be held after `op`.
    fn expect(&mut self, op: &Op) {
        match op {
            Op::Put(ns, items) => self.held.extend(items.iter().map(|n| (*ns, *n))),
            // It may be there although nobody holds it any more.
            Op::Hold(ns, n) => {
                let ids = self.ids_held(*ns);
                if ids.contains(&id(*n)) {
                    self.held.insert((*ns, *n));
                }
            }
            Op::Release(ns, items) => {
                // Short contents are the same for several numbers.
                let ids: BTreeSet<_> = items.iter().map(|n| id(*n)).collect();
                self.held.retain(|held| held.0 != *ns || !ids.contains(&id(held.1)));
            }
            Op::Forget(ns) => self.held.retain(|held| held.0 != *ns),
            _ => {}
        }
    }

    fn ids_held(&self, ns: u8) -> BTreeSet<ObjectId> {
        let (mut ids, mut next) = (BTreeSet::new(), Some(HeldPlace::default()));
        while let Some(place) = next {
            let (some, after) = self.store().held(&space(ns), place).unwrap();
            ids.extend(some);
            next = after;
        }
        ids
    }

    fn verify(&self, which: impl Fn(&(u8, u8)) -> bool, exactly: bool) {
        for held in self.held.iter().filter(|held| which(held)) {
            let bytes = self.store().get(&id(held.1));
            assert_eq!(
                bytes.as_ref().ok().map(Object::bytes),
                Some(&content(held.1)[..]),
                "object {} is lost by {}: {bytes:?}",
                held.1,
                self.doing
            );
        }
        if exactly {
            let mut expected: BTreeMap<u8, BTreeMap<ObjectId, u64>> = (0..3).map(|ns| (ns, BTreeMap::new())).collect();
            for (ns, n) in &self.held {
                expected.get_mut(ns).unwrap().insert(id(*n), content(*n).len() as u64);
            }
            for (ns, objects) in expected {
                let usage = self.store().usage(&space(ns)).unwrap();
                assert_eq!(
                    (usage.objects, usage.bytes),
                    (objects.len() as u64, objects.values().sum()),
                    "{ns}: {}",
                    self.doing
                );
                assert_eq!(self.ids_held(ns), objects.keys().copied().collect(), "{ns}");
            }
        }
    }

    /// One bit of a pack changes. Nothing wrong may be read; what is reported is put again, and all is well.
    fn damage(&mut self, at: u32) {
        let packs = self.packs();
        let Some(path) = packs.get(at as usize % packs.len().max(1)) else { return };
        let mut bytes = std::fs::read(path).unwrap();
        let place = (at as usize / 64) % bytes.len();
        bytes[place] ^= 1 << (at % 8);
        std::fs::write(path, bytes).unwrap();
        let mut place = None;
        loop {
            let checked = self.store().check(place, 1000).unwrap();
            place = checked.next;
            if place.is_none() {
                break;
            }
        }
        let wanting: BTreeSet<_> = self.store().wanting(0).unwrap().into_iter().map(|(_, id)| id).collect();
        for (ns, n) in self.held.clone() {
            match self.store().get(&id(n)) {
                Ok(bytes) => assert_eq!(bytes, content(n)),
                Err(ObjectError::Damaged(found)) => {
                    assert_eq!(found, id(n));
                    assert!(wanting.contains(&found));
                    self.store().put_many(&space(ns), &[Object::of(content(n))], self.now).unwrap();
                }
                other => panic!("{other:?}"),
            }
        }
        self.verify(|_| true, true);
    }
}

/// What a step that failed may or may not have changed.
fn touched(op: &Op) -> Vec<u8> {
    match op {
        Op::Release(_, items) => items.clone(),
        Op::Forget(_) => (0..=255).collect(),
        _ => Vec::new(),
    }
}
