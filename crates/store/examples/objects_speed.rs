//! Measures the store of objects against `cp` and `sync` of one file, and of as many files as there are objects, on the
//! same bytes, in the same run:
//!
//! ```text
//! cargo run --release -p warren-store --example objects_speed -- FOLDER [rounds]
//! ```
//!
//! FOLDER (it is created, and what it is given is removed again) decides which file system is measured. Every run ends
//! durable on disk; the time until then is printed in seconds, the best and the median of the rounds.

#![allow(clippy::print_stdout, reason = "a program for the terminal")]

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use seal::{Object, RecordKey, Timestamp};
use warren_store::database::Database;
use warren_store::objects::{Limits, Namespace, ObjectStore};

type Outcome<T> = Result<T, Box<dyn Error>>;

const SPACE: Namespace = Namespace([7; 32]);

/// How many objects of how many bytes, and how many of them are put together.
struct Case {
    count: usize,
    len: usize,
    batch: usize,
}

const CASES: [Case; 4] = [
    Case { count: 1024, len: 1 << 20, batch: 32 },
    Case { count: 1024, len: 1 << 20, batch: 1 },
    Case { count: 100_000, len: 1 << 10, batch: 4000 },
    Case { count: 100_000, len: 1 << 10, batch: 500 },
];

fn main() -> Outcome<()> {
    let mut arguments = std::env::args_os().skip(1);
    let work = PathBuf::from(arguments.next().ok_or("which folder?")?).join("objects_speed");
    let rounds: usize = arguments.next().map_or(Ok(3), |n| n.to_string_lossy().parse())?;
    fs::create_dir_all(&work)?;
    for case in &CASES {
        println!("{} objects of {} bytes, {} together", case.count, case.len, case.batch);
        let source = work.join("source");
        fs::write(&source, noise(case.count * case.len))?;
        let mut times: Vec<(&str, Vec<Duration>)> = Vec::new();
        for round in 0..rounds {
            let target = work.join(format!("target {round}"));
            fs::create_dir_all(&target)?;
            let mut note = |what, time| match times.iter_mut().find(|(known, _)| *known == what) {
                Some((_, all)) => all.push(time),
                None => times.push((what, vec![time])),
            };
            note("cp, sync -f", timed(&target, || by_cp(&source, &target))?);
            measure(case, &source, &target, &mut note)?;
            fs::remove_dir_all(&target)?;
        }
        for (what, mut all) in times {
            all.sort();
            let best = all[0].as_secs_f64();
            let rate = (case.count * case.len) as f64 / best / f64::from(1 << 20);
            println!("  {what:24} best {best:7.3}  median {:7.3}  {rate:6.0} MiB/s", all[all.len() / 2].as_secs_f64());
        }
    }
    fs::remove_dir_all(&work)?;
    Ok(())
}

fn measure(case: &Case, source: &Path, target: &Path, note: &mut impl FnMut(&'static str, Duration)) -> Outcome<()> {
    let bytes = fs::read(source)?;
    let objects: Vec<Object> = bytes.chunks(case.len).map(|b| Object::of(b.to_vec())).collect();
    let database = || Database::open(&target.join("database"), RecordKey::from_bytes(&[1; 32]));
    drop(Database::create(&target.join("database"), RecordKey::from_bytes(&[1; 32]))?);
    let open = || -> Outcome<ObjectStore> {
        Ok(ObjectStore::open(&target.join("objects"), database()?, Limits::default(), now())?.0)
    };
    let store = open()?;
    note(
        "put_many",
        timed(target, || Ok(objects.chunks(case.batch).try_for_each(|b| store.put_many(&SPACE, b, now()))?))?,
    );
    note(
        "put_many, all known",
        timed(target, || Ok(objects.chunks(case.batch).try_for_each(|b| store.put_many(&SPACE, b, now()))?))?,
    );
    note("get", timed(target, || Ok(objects.iter().try_for_each(|object| store.get(&object.id()).map(drop))?))?);
    note("check", timed(target, || Ok(store.check(None, u64::MAX).map(|_| ())?))?);
    let (odd, kept): (Vec<_>, Vec<_>) = objects.iter().map(Object::id).enumerate().partition(|(n, _)| n % 3 > 0);
    let odd: Vec<_> = odd.into_iter().map(|(_, id)| id).collect();
    note("release two of three", timed(target, || Ok(store.release(&SPACE, &odd, now())?))?);
    note(
        "collect",
        timed(target, || {
            while store.collect(now().plus(Duration::from_secs(7200)), Duration::ZERO)?.more {}
            Ok(())
        })?,
    );
    note(
        "compact",
        timed(target, || {
            while store.compact(64 << 20)?.more {}
            Ok(())
        })?,
    );
    drop(store);
    note("open", timed(target, || open().map(drop))?);
    let store = open()?;
    note("rebuild of a third", timed(target, || Ok(store.rebuild(now()).map(|_| ())?))?);
    assert!(kept.iter().all(|(_, id)| store.has(id).unwrap_or(false)), "something is lost");
    Ok(())
}

fn by_cp(source: &Path, target: &Path) -> Outcome<()> {
    Command::new("cp").arg(source).arg(target.join("copy")).status()?;
    sync(target)
}

/// Begins with nothing dirty in memory.
fn timed(target: &Path, run: impl FnOnce() -> Outcome<()>) -> Outcome<Duration> {
    sync(target)?;
    let start = Instant::now();
    run()?;
    Ok(start.elapsed())
}

fn sync(path: &Path) -> Outcome<()> {
    Ok(Command::new("sync").arg("-f").arg(path).status().map(drop)?)
}

fn now() -> Timestamp {
    SystemTime::now().into()
}

/// xorshift64*: fast, and incompressible enough.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1u64;
    let mut bytes = Vec::with_capacity(len);
    while bytes.len() < len {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend_from_slice(&state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
    }
    bytes
}
