//! Every rule is needed: without it some history breaks what must hold, and the questions notice.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use super::check::Case;
use super::chosen;
use super::random::newcomer;
use super::world::World;
use crate::ledger::rules::Rules;
use crate::ledger::*;
use testkit::Dice;

/// Random histories that are tried, at most.
const HISTORIES: u64 = 60;

type History = BTreeMap<CommitId, Commit>;

fn histories() -> &'static Vec<History> {
    static HISTORIES_MADE: OnceLock<Vec<History>> = OnceLock::new();
    HISTORIES_MADE.get_or_init(|| {
        let chosen = [
            chosen::duel(),
            chosen::three_in_a_ring(),
            chosen::siblings(),
            chosen::lost_device(),
            chosen::accomplice(),
            chosen::realms(),
            chosen::back_again(),
        ];
        let chosen = chosen.into_iter().map(|(world, _)| world.all);
        chosen.chain((0..HISTORIES).map(|seed| World::history(seed).all)).collect()
    })
}

/// True if the history shows that these rules are not enough.
fn is_broken(history: &History, rules: Rules) -> bool {
    let examine = || {
        let node = newcomer(history, &mut Dice::new(5), rules);
        Case::new(history, &node).check().is_err()
    };
    // Rules that lead in a circle panic.
    catch_unwind(AssertUnwindSafe(examine)).unwrap_or(true)
}

#[track_caller]
fn is_missed(without: impl Fn(&mut Rules)) {
    let mut rules = Rules::ALL;
    without(&mut rules);
    let broken = histories().iter().position(|history| is_broken(history, rules));
    assert!(broken.is_some(), "no history shows that the rule is needed");
}

macro_rules! mutants {
    ($($name:ident: $rule:ident,)*) => {
        $(#[test] fn $name() { is_missed(|rules| rules.$rule = false); })*
    };
}

mutants! {
    revocations_void: revoke,
    what_the_revoker_knew_stays: cut,
    the_cap_must_count: cap,
    the_role_must_allow_it: role,
    siblings_do_not_revoke_owners: above,
    depth_decides_between_owners: shallower,
    forks_end_what_counts: fork,
    only_the_founding_member_settles_forks: founder,
    realms_may_keep_out: inherit,
    grants_count_on_their_realm: realm,
    revocations_stay_on_their_realm: scope,
    who_was_revoked_may_be_granted_again: again,
    devices_that_were_revoked_stay_so: lost,
    the_older_device_wins: elder,
    rights_do_not_lead_in_a_circle: circle,
}

#[test]
fn all_rules_together_hold() {
    for (number, history) in histories().iter().enumerate() {
        assert!(!is_broken(history, Rules::ALL), "history {number} (7 chosen ones, then seeds from 0)");
    }
}
