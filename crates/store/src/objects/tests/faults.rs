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

/// Then everything that nobody holds goes, and packs are written anew until there is nothing to do.
fn ending(world: &mut World, mut fault: impl FnMut(usize) -> Option<(u32, Fault, u64)>, at: usize) {
    for (n, op) in [Op::Reopen, Op::Compact(1), Op::Compact(1 << 20), Op::Collect].into_iter().enumerate() {
        world.run(&op, fault(at + n));
        (0..8).for_each(|_| world.run(&Op::Check, None));
    }
    for n in 4..8 {
        world.run(&[Op::Collect, Op::Compact(1), Op::Compact(1 << 20), Op::Reopen][n - 4], fault(at + n));
    }
    world.run(&Op::Compact(1 << 20), None);
    let totals = world.store().totals().unwrap();
    assert!(totals.garbage <= totals.bytes / 2 + 64, "{totals:?}");
}

#[test]
fn a_fault_at_any_step_loses_nothing_and_leaves_the_store_usable() {
    let story = story();
    for fault in [Fault::Full, Fault::StaysFull, Fault::Broken, Fault::Crash] {
        for at in 0..story.len() + 8 {
            for step in 0..14 {
                for dice in 0..if fault == Fault::Crash { 3 } else { 1 } {
                    let fault = |n: usize| (n == at).then_some((step, fault, dice * 0x9E37_79B9_7F4A_7C15 + 77));
                    let mut world = World::new();
                    for (n, op) in story.iter().enumerate() {
                        world.run(op, fault(n));
                    }
                    ending(&mut world, fault, story.len());
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_in_whatever_order(ops in prop::collection::vec((any_op(), any_fault()), 1..40)) {
        let mut world = World::new();
        for (op, fault) in &ops {
            world.run(op, *fault);
        }
    }
}
