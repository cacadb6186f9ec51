//! Many runs.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::deeds::{Deed, Must};
use super::device::Habits;
use super::world::{Plan, Report, World};

/// Steps that are simulated in every test run, all runs of [`nothing_that_goes_wrong_breaks_anything`] together.
const STEPS: u64 = 1_000_000;

/// A run; a panic in it is a fault as well.
fn run(plan: Plan) -> Result<Report, String> {
    let words = format!("{plan:?}");
    catch_unwind(AssertUnwindSafe(|| World::run(plan))).unwrap_or_else(|_| Err(format!("a panic in {words}")))
}

/// Runs until there were so many steps; gives how many there were.
fn until(steps: u64, plan: impl Fn(u64) -> Plan + Sync) -> u64 {
    let (next, done) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while done.load(Ordering::Relaxed) < steps {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let report = run(plan(seed)).unwrap_or_else(|fault| panic!("{fault}"));
                    done.fetch_add(report.steps, Ordering::Relaxed);
                }
            });
        }
    });
    done.into_inner()
}

#[test]
fn nothing_that_goes_wrong_breaks_anything() {
    let done = until(STEPS, |seed| if seed % 2 == 0 { Plan::honest(seed) } else { Plan::mixed(seed) });
    assert!(done >= STEPS);
}

/// Replays one run: `SIM_SEED=0x... SIM_PLAN=honest|mixed|<number of a deed> cargo test -p warren-logic replays_a_run`.
#[test]
fn replays_a_run() {
    let number = |text: String| match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).unwrap(),
        None => text.parse().unwrap(),
    };
    let seed = std::env::var("SIM_SEED").map_or(1, number);
    let plan = match std::env::var("SIM_PLAN").as_deref() {
        Ok("mixed") => Plan::mixed(seed),
        Ok("honest") | Err(_) => Plan::honest(seed),
        Ok(deed) => Plan::alone(Deed::ALL[deed.parse::<usize>().unwrap() - 1], seed),
    };
    World::run(plan).unwrap();
}

#[test]
fn a_seed_gives_the_same_run() {
    let report = |_| World::run(Plan::mixed(4)).unwrap();
    let [one, other] = [0, 1].map(report);
    assert_eq!((one.steps, one.commits, &one.alarms), (other.steps, other.commits, &other.alarms));
}

/// Each deed alone: nobody honest is hurt, and whoever did it is noticed where that is possible.
#[test]
fn every_deed_alone_is_noticed_or_does_nothing() {
    let mut unnoticed = BTreeSet::new();
    for deed in Deed::ALL.into_iter().filter(|deed| deed.is_here()) {
        let mut noticed = 0;
        for seed in 0..8 {
            let report = run(Plan::alone(deed, seed)).unwrap_or_else(|fault| panic!("{deed:?}: {fault}"));
            let cheat = report.cheats.first().copied().unwrap_or_default();
            noticed += usize::from(report.alarms.iter().any(|(_, alarm)| deed.is_noticed_by(alarm, cheat)));
        }
        if deed.must() == Must::BeNoticed && noticed == 0 {
            unnoticed.insert(deed);
        }
    }
    assert!(unnoticed.is_empty(), "never noticed: {unnoticed:?}");
}

/// True if some run shows that something is missing.
fn is_missed(habits: Habits) -> bool {
    (0..400).any(|seed| {
        let plan = if seed % 4 == 0 { Plan::honest(seed) } else { Plan::mixed(seed) };
        run(Plan { habits, steps: 1500, ..plan }).is_err()
    })
}

macro_rules! mutants {
    ($($name:ident: $($part:ident).+,)*) => {
        $(
            #[test]
            fn $name() {
                let mut habits = Habits::GOOD;
                habits.$($part).+ = false;
                assert!(is_missed(habits), "no run shows that it is needed");
            }
        )*
    };
}

mutants! {
    it_looks_at_its_mark_before_it_signs: guard,
    it_says_nothing_before_it_is_durable: durable,
    the_cut_of_a_revocation: rules.cut,
    revocations_void: rules.revoke,
    the_cap_must_count: rules.cap,
    the_role_must_allow_it: rules.role,
    siblings_do_not_revoke_owners: rules.above,
    forks_end_what_counts: rules.fork,
    revocations_stay_on_their_realm: rules.scope,
    grants_count_on_their_realm: rules.realm,
    realms_may_keep_out: rules.inherit,
    who_was_revoked_may_be_granted_again: rules.again,
}
