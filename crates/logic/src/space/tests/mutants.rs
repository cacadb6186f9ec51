//! Every rule is needed: without it some history breaks what must hold, and the tests notice.

use std::panic::catch_unwind;

use super::properties::{Checked, effects, nothing_lost, orders, retraction, the_past};
use super::{names, plans};
use crate::space::rules::Rule;

/// Random histories that are tried, at most.
const HISTORIES: u64 = 400;

#[track_caller]
fn is_missed(rule: Rule, chosen: &[fn()], random: &[fn(u64) -> Checked]) {
    let chosen_notice = || chosen.iter().any(|test| catch_unwind(test).is_err());
    let random_notice =
        |seed: u64| random.iter().any(|test| catch_unwind(|| test(seed)).map_or(true, |checked| checked.is_err()));
    let missed = rule.without(|| chosen_notice() || (0..HISTORIES).any(random_notice));
    assert!(missed, "no history shows that the rule is needed");
}

macro_rules! mutants {
    ($($name:ident: $rule:ident, $chosen:expr, $random:expr;)*) => {
        $(#[test] fn $name() { is_missed(Rule::$rule, &$chosen, &$random); })*
    };
}

const FOLD: [fn(u64) -> Checked; 5] = [orders, retraction, effects, nothing_lost, the_past];
const PLANS: [fn(u64) -> Checked; 3] = [plans::restored_space, plans::restored_directory, plans::undone];

mutants! {
    edits_win_over_deletes: EditWins, [], FOLD;
    moves_win_over_deletes: MoveWins, [], FOLD;
    what_is_superseded_is_no_head: Superseded, [], FOLD;
    what_is_taken_out_supersedes_nothing: Retracted, [], FOLD;
    the_latest_head_is_shown: LatestHead, [], FOLD;
    the_latest_place_counts: LatestPlace, [], FOLD;
    rings_are_opened: RingsOpen, [], FOLD;
    the_latest_move_of_a_ring_is_set_aside: LatestOfRing, [], FOLD;
    what_was_set_aside_comes_back: AsideComesBack, [], FOLD;
    directories_are_held_by_what_is_in_them: Holding, [], FOLD;
    what_nobody_made_is_not_there: Made, [], FOLD;
    what_has_no_place_is_in_lost_and_found: LostFound, [], FOLD;
    who_came_first_keeps_the_name: FirstKeepsName, [], FOLD;
    names_are_folded: Folded, [], FOLD;
    names_of_others_stay_theirs: FreeNames, [names::the_name_of_a_twin_is_never_taken_by_another], [];
    commits_go_in_once: Once, [], FOLD;
    realms_are_shown_once: RealmOnce, [names::a_realm_is_shown_once_and_nobody_reaches_out_of_it], [];
    ids_are_the_makers: OwnIds, [names::changes_that_cannot_count_are_refused], [];
    views_open_their_rings: ViewRings, [], [the_past];
    what_is_below_stays_superseded: Through, [plans::undo_leaves_what_others_deleted_later], [];
    plans_hold_what_hangs_together: PlanTies, [plans::what_hangs_together_is_held_where_it_is], [];
    plans_lead_up: PlanRings, [plans::what_was_around_does_not_stay_inside], [];
    plans_bring_directories_above: PlanParents, [], PLANS;
    plans_give_twins_their_names: PlanTwins, [], PLANS;
    plans_delete_what_they_free: PlanDeletesFreed, [plans::what_is_deleted_does_not_come_back_by_a_move_that_is_freed], [];
    plans_delete_what_they_move: PlanDeletesMoved, [], PLANS;
    undo_looks_at_rings: UndoKnots, [plans::undo_lets_count_what_was_set_aside], [];
    undo_looks_at_rings_of_the_view: UndoViewKnots, [plans::undo_finds_rings_that_left_no_trace], [];
    the_homeless_go_to_the_root: PlanHomeless, [plans::what_a_plan_frees_from_lost_and_found_goes_to_the_root], [];
}
