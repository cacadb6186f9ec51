//! The rules of the table, on a virtual clock.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use proptest::prelude::*;
use seal::{DeviceId, Timestamp};

use super::{Action, CloseReason, DEAD_AFTER, DOUBLED_FOR, LASTING, PAUSE_MAX, Presence, Up, YIELD};

fn device(byte: u8) -> DeviceId {
    DeviceId::from_bytes([byte; 32])
}

fn drain(presence: &mut Presence) -> Vec<Action> {
    std::iter::from_fn(|| presence.poll()).collect()
}

fn at(ms: i64) -> Timestamp {
    Timestamp(ms)
}

fn up(link: u64, peer: u8, boot: u8, dialled: bool) -> Up {
    Up { link, device: device(peer), boot: [boot; 16], dialled }
}

/// A table of device 1 that wants device 2.
fn table() -> Presence {
    let mut presence = Presence::new(device(1), 7);
    presence.want(device(2), at(0));
    presence
}

#[test]
fn the_smaller_id_dials_at_once_and_the_greater_one_yields() {
    let mut small = table();
    small.tick(at(0));
    assert_eq!(drain(&mut small), [Action::Dial(device(2))]);

    let mut great = Presence::new(device(3), 7);
    great.want(device(2), at(0));
    great.tick(at(0));
    assert_eq!(drain(&mut great), []);
    assert_eq!(great.wake_at(), Some(at(0).plus(YIELD)));
}

#[test]
fn a_device_never_dials_itself_nor_twice_at_once() {
    let mut presence = table();
    presence.want(device(1), at(0));
    presence.tick(at(0));
    presence.tick(at(1));
    assert_eq!(drain(&mut presence), [Action::Dial(device(2))]);
}

#[test]
fn a_silent_link_is_pinged_then_dropped_and_dialled_again() {
    let mut presence = table();
    presence.up(up(10, 2, 1, true), at(0));
    assert_eq!(drain(&mut presence), [Action::Online(device(2))]);
    let mut seen = Vec::new();
    while presence.link(device(2)).is_some() {
        let now = presence.wake_at().unwrap();
        presence.tick(now);
        seen.extend(drain(&mut presence));
        assert!(now <= at(0).plus(DEAD_AFTER));
    }
    let dropped = [Action::Close(10, CloseReason::Silent), Action::Offline(device(2)), Action::Dial(device(2))];
    assert_eq!(seen, [[Action::Ping(10); 3].as_slice(), dropped.as_slice()].concat());
}

#[test]
fn an_answer_keeps_a_link_alive() {
    let mut presence = table();
    presence.up(up(10, 2, 1, true), at(0));
    for second in 1..100 {
        presence.heard(10, at(second * 1000));
        presence.tick(at(second * 1000));
    }
    assert_eq!(presence.link(device(2)), Some(10));
}

#[test]
fn a_restarted_peer_replaces_its_old_link_at_once() {
    let mut presence = table();
    presence.up(up(10, 2, 1, true), at(0));
    presence.up(up(11, 2, 2, false), at(5));
    assert_eq!(drain(&mut presence), [Action::Online(device(2)), Action::Close(10, CloseReason::Duplicate)]);
    assert_eq!(presence.link(device(2)), Some(11));
    presence.down(10, at(6));
    assert_eq!(drain(&mut presence), [], "the end of a replaced link says nothing");
}

#[test]
fn two_copies_of_a_device_are_told_and_do_not_take_turns() {
    let mut presence = table();
    let (mut told, mut in_use) = (0, None);
    for half_second in 3..600_i64 {
        // The copies dial in turn, whatever becomes of their links. Odd links are those of one, even ones of the other.
        let (link, now) = (u64::try_from(half_second).unwrap(), at(half_second * 500));
        presence.up(up(link, 2, u8::from(link.is_multiple_of(2)), false), now);
        presence.heard(presence.link(device(2)).unwrap(), now);
        told += drain(&mut presence).iter().filter(|action| **action == Action::Doubled(device(2))).count();
        if told > 0 {
            let copy = presence.link(device(2)).unwrap() % 2;
            assert_eq!(*in_use.get_or_insert(copy), copy, "they take turns");
        }
    }
    let minutes = usize::try_from(300 / DOUBLED_FOR.as_secs()).unwrap();
    assert!((2..=minutes + 1).contains(&told), "{told}");

    // The copy in use ends: the other one is let in.
    let used = presence.link(device(2)).unwrap();
    presence.down(used, at(300_000));
    presence.up(up(1000, 2, u8::from(!used.is_multiple_of(2)), false), at(300_100));
    assert_eq!(presence.link(device(2)), Some(1000));
}

#[test]
fn restarts_are_no_copies() {
    let mut presence = table();
    for run in 1..20 {
        presence.up(up(run.into(), 2, run, run % 2 == 0), at(i64::from(run) * 100));
        assert_eq!(presence.link(device(2)), Some(run.into()));
        assert!(!drain(&mut presence).contains(&Action::Doubled(device(2))));
    }
}

#[test]
fn a_link_that_does_not_last_is_not_dialled_again_at_once() {
    let mut presence = table();
    let mut now = at(0);
    for link in 0..5 {
        presence.up(up(link, 2, 1, true), now);
        presence.down(link, now);
        drain(&mut presence);
        let next = presence.wake_at().unwrap();
        assert!(next > now, "link {link}");
        now = next;
    }
    assert!(now >= at(10_000), "the pauses do not grow: {now:?}");
    presence.up(up(9, 2, 1, true), now);
    let lasted = now.plus(LASTING);
    presence.down(9, lasted);
    assert_eq!(presence.wake_at(), Some(lasted));
}

#[test]
fn a_link_from_an_unwanted_device_is_closed() {
    let mut presence = table();
    presence.up(up(10, 9, 1, false), at(0));
    assert_eq!(drain(&mut presence), [Action::Close(10, CloseReason::Unwanted)]);
    presence.up(up(11, 2, 1, false), at(0));
    presence.forget(device(2));
    assert_eq!(
        drain(&mut presence),
        [Action::Online(device(2)), Action::Close(11, CloseReason::Unwanted), Action::Offline(device(2))]
    );
}

#[test]
fn pauses_grow_to_a_bound_and_a_sighting_ends_them() {
    let mut presence = table();
    let mut now = at(0);
    let mut last = Duration::ZERO;
    for failure in 0..12 {
        presence.tick(now);
        assert_eq!(drain(&mut presence), [Action::Dial(device(2))]);
        presence.dial_failed(device(2), now);
        let next = presence.wake_at().unwrap();
        last = next.since(now);
        assert!(last <= PAUSE_MAX * 5 / 4, "failure {failure}: {last:?}");
        now = next;
    }
    assert!(last >= PAUSE_MAX * 3 / 4);
    presence.tick(now);
    drain(&mut presence);
    presence.dial_failed(device(2), now);
    presence.sighted(device(2), now);
    presence.tick(now);
    assert_eq!(drain(&mut presence), [Action::Dial(device(2))]);
}

proptest! {
    /// Both sides dial at the same moment and learn of the two links in any order: they keep the same one.
    #[test]
    fn two_sides_keep_the_same_of_two_links(small_first: bool, great_first: bool) {
        let (mut small, mut great) = (Presence::new(device(1), 1), Presence::new(device(2), 2));
        small.want(device(2), at(0));
        great.want(device(1), at(0));
        // Link 1 was dialled by device 1, link 2 by device 2.
        let mut of_small = [up(1, 2, 5, true), up(2, 2, 5, false)];
        let mut of_great = [up(1, 1, 6, false), up(2, 1, 6, true)];
        if small_first { of_small.reverse() }
        if great_first { of_great.reverse() }
        for (a, b) in of_small.into_iter().zip(of_great) {
            small.up(a, at(0));
            great.up(b, at(0));
        }
        prop_assert_eq!(small.link(device(2)), Some(1));
        prop_assert_eq!(great.link(device(1)), Some(1));
    }

    /// Whatever happens in whatever order: every link that came up and is not in use was told to close or went down.
    #[test]
    fn no_link_is_leaked(steps in prop::collection::vec((0u8..5, 2u8..5, 1u8..3, any::<bool>()), 0..60)) {
        let mut presence = Presence::new(device(1), 3);
        let (mut open, mut next) = (std::collections::BTreeSet::new(), 0);
        for peer in 2..5 { presence.want(device(peer), at(0)); }
        for (time, (what, peer, boot, dialled)) in steps.into_iter().enumerate() {
            let now = at(i64::try_from(time).unwrap() * 2000);
            match what {
                0 | 1 => { next += 1; open.insert(next); presence.up(up(next, peer, boot, dialled), now) }
                2 => if let Some(link) = presence.link(device(peer)) { open.remove(&link); presence.down(link, now) },
                3 => presence.tick(now),
                _ => presence.dial_failed(device(peer), now),
            }
            for action in drain(&mut presence) {
                if let Action::Close(link, _) = action { open.remove(&link); }
            }
        }
        let used: std::collections::BTreeSet<_> = (2..5).filter_map(|peer| presence.link(device(peer))).collect();
        prop_assert_eq!(open, used);
    }
}
