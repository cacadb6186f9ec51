//! The disk fails, or everything ends, at each step of what the store does.

use proptest::prelude::*;

use super::disk::Fault;
use super::world::{Op, World, any_fault, any_op};

/// Does a bit of everything, with several packs and much garbage.
fn story() -> Vec<Op> {
    vec![
        Op::Put(0, vec![7, 6, 5, 0]),
        Op::Put(1, vec![7, 15, 23, 31]),
        Op::Put(2, vec![4, 4, 2]),
        Op::Reopen,
        Op::Release(0, vec![7, 6]),
        Op::Release(1, vec![15, 31]),
        Op::Hold(2, 5),
        Op::Put(0, vec![13]),
        Op::Reopen,
        Op::Check,
        Op::Rebuild,
        Op::Forget(2),
        Op::Put(1, vec![39, 14]),
    ]
}

/// Then everything that nobody holds goes, and packs are written anew.
fn whole_story() -> Vec<Op> {
    let mut story = story();
    story.extend([Op::Collect, Op::Reopen, Op::Compact(1), Op::Check, Op::Compact(1 << 20), Op::Reopen]);
    story
}

/// Every step of the `at`th operation, until it is done before the fault comes.
fn each_step(story: &[Op], at: usize, fault: Fault) {
    for step in 0.. {
        let mut happened = false;
        for dice in 0u64..if fault == Fault::Crash { 2 } else { 1 } {
            let mut world = World::new();
            for (n, op) in story.iter().enumerate() {
                let fault = (n == at).then_some((step, fault, 0x9E37_79B9 * (dice + 3)));
                happened |= world.run(op, fault);
            }
            world.run(&Op::Compact(1 << 20), None);
            let totals = world.store().totals().unwrap();
            assert!(totals.garbage <= totals.bytes / 2, "{totals:?}");
        }
        if !happened {
            break;
        }
    }
}

fn each_step_of_all(fault: Fault) {
    let story = whole_story();
    (0..story.len()).for_each(|at| each_step(&story, at, fault));
}

#[test]
fn space_that_is_missing_at_any_step_loses_nothing_and_leaves_the_store_usable() {
    each_step_of_all(Fault::Full);
    each_step_of_all(Fault::StaysFull);
}

#[test]
fn a_disk_that_fails_at_any_step_loses_nothing_and_leaves_the_store_usable() {
    each_step_of_all(Fault::Broken);
}

#[test]
fn power_that_is_cut_at_any_step_loses_nothing() {
    each_step_of_all(Fault::Crash);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_in_whatever_order(ops in prop::collection::vec((any_op(), any_fault()), 1..40)) {
        let mut world = World::new();
        for (op, fault) in &ops {
            world.run(op, *fault);
        }
    }
}
