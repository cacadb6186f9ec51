//! Objects that are put one after the other: several batches beside each other, and beside everything else.

use std::thread;
use std::time::Duration;

use proptest::prelude::{Just, ProptestConfig, Strategy, prop_oneof, proptest};
use seal::{Object, Timestamp};

use super::world::{World, content, id, space};
use crate::objects::{ObjectError, Putting, Usage};

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn object(n: u8) -> Object {
    Object::of(content(n))
}

#[test]
fn nothing_is_here_before_it_is_finished_and_nothing_is_left_of_what_is_not() {
    let mut world = World::new();
    let store = world.store().clone();
    let mut putting = store.putting(&space(0));
    putting.add(&[object(4), object(7)]).unwrap();
    assert_eq!(putting.bytes(), (content(4).len() + content(7).len()) as u64);
    putting.add(&[object(7)]).unwrap();
    assert!(!store.has(&id(4)).unwrap());
    assert_eq!(store.usage(&space(0)).unwrap(), Usage::default());
    putting.finish(NOW).unwrap();
    assert_eq!(store.usage(&space(0)).unwrap().objects, 2);
    let before = store.totals().unwrap();
    putting.add(&[object(12), object(4)]).unwrap();
    assert_eq!(putting.bytes(), content(12).len() as u64, "what is here is not written again");
    drop(putting);
    assert_eq!(store.totals().unwrap(), before);
    let sizes = |world: &World| world.packs().iter().map(|path| path.metadata().unwrap().len()).collect::<Vec<_>>();
    let left = sizes(&world);
    // The same place is used by whoever comes next.
    store.put_many(&space(0), &[object(12)], NOW).unwrap();
    assert_eq!(sizes(&world).len(), left.len());
    drop(store);
    world.open();
    assert_eq!([4, 7, 12].map(|n| world.store().get(&id(n)).unwrap()), [4, 7, 12].map(content));
}

#[test]
fn a_quota_counts_what_is_on_its_way() {
    let world = World::new();
    world.store().set_quota(&space(0), Some(2000)).unwrap();
    let mut putting = world.store().putting(&space(0));
    putting.add(&[object(7)]).unwrap();
    assert!(matches!(putting.add(&[object(15)]), Err(ObjectError::OverQuota { .. })));
    putting.finish(NOW).unwrap();
    assert!(!world.store().has(&id(7)).unwrap(), "after an error nothing of it is here");
    let (mut one, mut other) = (world.store().putting(&space(0)), world.store().putting(&space(0)));
    one.add(&[object(7)]).unwrap();
    other.add(&[object(15)]).unwrap();
    one.finish(NOW).unwrap();
    assert!(matches!(other.finish(NOW), Err(ObjectError::OverQuota { .. })));
    assert_eq!(world.store().usage(&space(0)).unwrap().bytes, 1500);
}

#[test]
fn whoever_makes_the_index_anew_waits_for_who_puts() {
    let world = World::new();
    let store = world.store().clone();
    let mut putting = store.putting(&space(0));
    putting.add(&[object(4)]).unwrap();
    thread::scope(|scope| {
        let rebuilding = scope.spawn(|| store.rebuild(NOW));
        thread::sleep(Duration::from_millis(50));
        putting.add(&[object(12)]).unwrap();
        assert!(!rebuilding.is_finished());
        putting.finish(NOW).unwrap();
        rebuilding.join().unwrap().unwrap();
    });
    assert_eq!([4, 12].map(|n| store.get(&id(n)).unwrap()), [4, 12].map(content));
}

#[derive(Debug, Clone)]
enum Step {
    Add(usize, u8),
    Finish(usize),
    Drop(usize),
    Release(u8),
    Tidy,
    Check,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..3_usize, 0..16_u8).prop_map(|(which, n)| Step::Add(which, n)),
        2 => (0..3_usize).prop_map(Step::Finish),
        1 => (0..3_usize).prop_map(Step::Drop),
        2 => (0..16_u8).prop_map(Step::Release),
        1 => Just(Step::Tidy),
        1 => Just(Step::Check),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn batches_do_not_disturb_each_other(steps in proptest::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        let store = world.store().clone();
        let mut puttings: Vec<(Putting, Vec<u8>)> = (0..3).map(|n| (store.putting(&space(n)), Vec::new())).collect();
        let mut held: Vec<std::collections::BTreeSet<u8>> = vec![Default::default(); 3];
        let mut now = NOW;
        for step in steps {
            now = now.plus(Duration::from_secs(86_400 * 30));
            match step {
                Step::Add(which, n) => {
                    puttings[which].0.add(&[object(n)]).unwrap();
                    puttings[which].1.push(n);
                }
                Step::Finish(which) => {
                    let (putting, added) = &mut puttings[which];
                    match putting.finish(now) {
                        Ok(()) => held[which].extend(added.drain(..)),
                        // What was here when it was added has gone since: nobody held it.
                        Err(ObjectError::Missing(gone)) => {
                            assert!(added.iter().any(|n| id(*n) == gone));
                            added.clear();
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
                Step::Drop(which) => puttings[which] = (store.putting(&space(which as u8)), Vec::new()),
                Step::Release(n) => {
                    store.release(&space(0), &[id(n)], now).unwrap();
                    // Short contents are the same for several numbers.
                    held[0].retain(|held| id(*held) != id(n));
                }
                Step::Tidy => {
                    store.collect(now, Duration::from_secs(86_400)).unwrap();
                    while store.compact(1000).unwrap().more {}
                }
                Step::Check => assert_eq!(store.check(None, u64::MAX).unwrap().damaged, []),
            }
            for n in held.iter().flatten() {
                assert_eq!(store.get(&id(*n)).unwrap(), content(*n));
            }
        }
        drop((puttings, store));
        world.open();
        for n in held.iter().flatten() {
            assert_eq!(world.store().get(&id(*n)).unwrap(), content(*n));
        }
    }
}
