//! What is cut off, full, changed meanwhile or ended by the user.

use std::sync::atomic::{AtomicBool, Ordering};

use api::types::JobState;
use api::{ApiError, ErrorCode};
use logic::ledger::RealmId;

use super::super::jobs::Jobs;
use super::super::sealing::Sealing;
use super::*;

#[test]
fn what_was_sealed_before_a_crash_is_named_by_nothing() {
    let mut home = Home::new();
    let commits = home.commits();
    let mut sealing = Sealing::new(home.kept(), &home.spaces().objects, RealmId::ROOT).unwrap();
    sealing.chunk(0, &noise(1, 3 << 20)).unwrap();
    sealing.finish().unwrap();
    drop(sealing);
    home.restart();
    assert_eq!((home.commits(), home.names("").len()), (commits, 0));
    let file = home.work().join("f");
    fs::write(&file, noise(1, 3 << 20)).unwrap();
    home.put(&file, "");
    assert_eq!(home.read("f", 0..9).unwrap(), noise(1, 9));
}

#[test]
fn what_does_not_fit_is_not_committed() {
    let home = Home::new();
    let objects = &home.spaces().objects;
    objects.set_quota(&home.kept().namespace(), Some(1 << 20)).unwrap();
    let file = home.work().join("f");
    fs::write(&file, noise(1, 20 << 20)).unwrap();
    let commits = home.commits();
    let error = home.put_with(&asked(&file, "")).0.unwrap_err();
    assert_eq!(ApiError::from(error).code, ErrorCode::DiskFull);
    assert_eq!((home.commits(), home.names("").len()), (commits, 0));
    objects.set_quota(&home.kept().namespace(), None).unwrap();
    home.put(&file, "");
    assert!(fs::read(home.get("f").join("f")).unwrap() == noise(1, 20 << 20));
}

#[test]
fn a_file_that_changes_all_the_time_is_left_out_and_told_of() {
    let home = Home::new();
    let dir = home.work().join("d");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("calm"), "calm").unwrap();
    fs::write(dir.join("wild"), noise(1, 8 << 20)).unwrap();
    let stop = AtomicBool::new(false);
    let job = std::thread::scope(|scope| {
        scope.spawn(|| {
            use std::os::unix::fs::FileExt;
            let file = fs::File::options().write(true).open(dir.join("wild")).unwrap();
            while !stop.load(Ordering::Relaxed) {
                file.write_all_at(&seal::random::<8>(), 0).unwrap();
            }
        });
        let job = home.put(&dir, "");
        stop.store(true, Ordering::Relaxed);
        job
    });
    assert_eq!((job.files_done, job.files_failed), (1, 1), "{job:?}");
    assert!(job.warnings[0].contains("d/wild changes"), "{job:?}");
    assert_eq!(home.names("d"), ["calm"]);
    assert_eq!(home.put(&dir, "").files_done, 1);
}

#[test]
fn work_that_is_ended_keeps_what_is_committed_and_names_nothing_that_is_not_there() {
    let home = Home::new();
    let dir = home.work().join("d");
    fs::create_dir(&dir).unwrap();
    for number in 0..2600_u32 {
        fs::write(dir.join(number.to_string()), noise(number as u8, 600)).unwrap();
    }
    let hub = EventHub::default();
    let jobs = Jobs::new(hub);
    let (kept, objects, put_) = (home.kept().clone(), home.spaces().objects.clone(), asked(&dir, ""));
    let job = jobs.start("put", "docs", move |progress| put(&kept, &objects, &put_, progress)).unwrap();
    assert_eq!(job.state, JobState::Running);
    while home.entry("d").is_none() {
        std::thread::yield_now();
    }
    jobs.cancel(&job.id).unwrap();
    let ended = jobs.wait(&job.id);
    assert_eq!(ended.state, JobState::Cancelled, "{ended:?}");
    let names = home.names("d");
    assert_eq!(names.len() as u64, ended.files_done);
    assert!((1..2600).contains(&names.len()), "{}", names.len());
    for name in names {
        let number: u32 = name.parse().unwrap();
        assert_eq!(home.read(&format!("d/{name}"), 0..9999).unwrap(), noise(number as u8, 600));
    }
    // The rest goes on from there.
    let job = home.put(&dir, "");
    assert_eq!(job.files_same + job.files_done, 2600);
    assert_eq!(home.names("d").len(), 2600);
}

#[test]
fn nothing_runs_after_the_jobs_were_stopped() {
    let jobs = Jobs::new(EventHub::default());
    let running = Arc::new(());
    let held = running.clone();
    let work = move |progress: &Progress| {
        let _held = held;
        loop {
            progress.go_on()?;
            std::thread::yield_now();
        }
    };
    let job = jobs.start("put", "docs", work).unwrap();
    jobs.stop();
    assert_eq!(Arc::strong_count(&running), 1);
    assert_eq!(jobs.all()[0].state, JobState::Cancelled);
    assert_eq!(jobs.start("put", "docs", |_| Ok(())).unwrap_err().code, ErrorCode::Locked);
    assert_eq!(jobs.cancel("nobody").unwrap_err().code, ErrorCode::NotFound);
    assert_eq!(jobs.cancel(&job.id).unwrap().state, JobState::Cancelled);
}

#[test]
fn work_that_panics_has_failed_and_ended_work_is_forgotten_in_the_end() {
    let jobs = Jobs::new(EventHub::default());
    let job = jobs.start("get", "docs", |_| panic!("on purpose")).unwrap();
    assert_eq!(jobs.wait(&job.id).state, JobState::Failed);
    for _ in 0..120 {
        let job = jobs.start("get", "docs", |_| Ok(())).unwrap();
        jobs.wait(&job.id);
    }
    assert_eq!(jobs.all().len(), 100);
    assert!(jobs.all().iter().all(|job| job.state == JobState::Done));
}
