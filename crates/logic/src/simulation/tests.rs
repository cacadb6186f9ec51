//! Many runs.

#![allow(clippy::print_stdout)]

use std::any::Any;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use super::deeds::{Deed, Must};
use super::device::Habits;
use super::world::{Plan, Report, World};

/// Steps that are simulated in every test run, besides those of single deeds: together more than a million.
const STEPS: u64 = 800_000;
/// Steps of the long check.
const LONG: u64 = 20_000_000;

/// A run; a panic in it is a fault as well.
fn run(plan: Plan) -> Result<Report, String> {
    let words = format!("{plan:?}");
    let said = |panic: Box<dyn Any + Send>| match panic.downcast_ref::<String>() {
        Some(said) => said.clone(),
        None => panic.downcast_ref::<&str>().map_or("?".to_owned(), |said| (*said).to_owned()),
    };
    catch_unwind(AssertUnwindSafe(|| World::run(plan))).unwrap_or_else(|panic| Err(format!("{}\n{words}", said(panic))))
}

/// Runs until there were so many steps.
fn until(steps: u64, plan: impl Fn(u64) -> Plan + Sync) {
    let (done, faults) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let begun = std::time::Instant::now();
    spread(|seed| {
        match run(plan(seed)) {
            Ok(report) => drop(done.fetch_add(report.steps, Ordering::Relaxed)),
            Err(fault) => faults.lock().unwrap().push(fault),
        }
        done.load(Ordering::Relaxed) < steps && faults.lock().unwrap().len() < 3
    });
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
    let seconds = begun.elapsed().as_secs().max(1);
    println!("{} steps, {} a second", done.load(Ordering::Relaxed), done.load(Ordering::Relaxed) / seconds);
}

#[test]
fn nothing_that_goes_wrong_breaks_anything() {
    until(STEPS, |seed| if seed % 2 == 0 { Plan::honest(seed) } else { Plan::mixed(seed) });
}

/// Far more, and fifty devices: `WARREN_LONG=1`, in `scripts/long`.
#[test]
fn nothing_that_goes_wrong_breaks_anything_for_long() {
    if std::env::var_os("WARREN_LONG").is_none_or(|value| value != "1") {
        return;
    }
    until(LONG / 2, |seed| match seed % 4 {
        0 => Plan::honest(1_000_000 + seed),
        _ => Plan::mixed(1_000_000 + seed),
    });
    until(LONG / 2, |seed| Plan { devices: 50, steps: 200_000, crashes: 5, ..Plan::mixed(2_000_000 + seed) });
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

/// Does work number 0, 1, 2, ... on all processors, until it says that it is enough.
fn spread(work: impl Fn(u64) -> bool + Sync) {
    let next = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| while work(next.fetch_add(1, Ordering::Relaxed)) {});
        }
    });
}

/// Runs of each deed alone.
const ALONE: u64 = 3;

/// Each deed alone: nobody honest is hurt, and whoever did it is noticed where that is possible.
#[test]
fn every_deed_alone_is_noticed_or_does_nothing() {
    let deeds: Vec<_> = Deed::ALL.into_iter().filter(|deed| deed.is_here()).collect();
    let noticed = Mutex::new(BTreeSet::new());
    let faults = Mutex::new(Vec::new());
    spread(|number| {
        let Some(deed) = deeds.get((number / ALONE) as usize).copied() else { return false };
        match run(Plan::alone(deed, number % ALONE)) {
            Ok(report) => {
                let cheat = report.cheats.first().copied().unwrap_or_default();
                if report.alarms.iter().any(|(_, alarm)| deed.is_noticed_by(alarm, cheat)) {
                    noticed.lock().unwrap().insert(deed);
                }
            }
            Err(fault) => faults.lock().unwrap().push(format!("{deed:?}: {fault}")),
        }
        true
    });
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
    let noticed = noticed.into_inner().unwrap();
    let unnoticed: Vec<_> =
        deeds.iter().filter(|deed| deed.must() == Must::BeNoticed && !noticed.contains(deed)).collect();
    assert!(unnoticed.is_empty(), "never noticed: {unnoticed:?}");
}

/// True if some run shows that something is missing.
fn is_missed(habits: Habits) -> bool {
    let missed = AtomicBool::new(false);
    spread(|seed| {
        let plan = if seed % 4 == 0 { Plan::honest(seed) } else { Plan::mixed(seed) };
        if run(Plan { habits, steps: 1500, ..plan }).is_err() {
            missed.store(true, Ordering::Relaxed);
        }
        !missed.load(Ordering::Relaxed) && seed < 400
    });
    missed.into_inner()
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
