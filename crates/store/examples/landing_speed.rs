//! Measures the two ends of a transfer on disk against `cp -r` and `sync`, on the same data, in the same run:
//!
//! ```text
//! cargo run --release -p warren-store --example landing_speed -- FOLDER [rounds]
//! ```
//!
//! FOLDER (it is created, and what it is given is removed again) decides which file system is measured. Every run ends
//! durable on disk; the time until then is printed in seconds, the best and the median of the rounds.
//!
//! Nothing is deleted between the rounds: ext4 does not use an inode again for some minutes after its deletion, and
//! steps over thousands of them for every new file (`recently_deleted` in fs/ext4/ialloc.c), which would be all that
//! is measured. For the same reason a second run at once is slower than the first, for every program.

#![allow(clippy::print_stdout, reason = "a program for the terminal")]

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use warren_store::landing::{Building, Landing};
use warren_store::source::{EntryKind, Source};

type Outcome<T> = Result<T, Box<dyn Error>>;

const BLOCK: usize = 1 << 20;

fn main() -> Outcome<()> {
    let mut arguments = std::env::args_os().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("which folder?")?);
    let rounds: usize = arguments.next().map_or(Ok(5), |n| n.to_string_lossy().parse())?;
    fs::create_dir_all(&folder)?;
    let work = folder.join("landing_speed");
    let (large, small) = (work.join("large"), work.join("small"));
    make_large(&large)?;
    make_small(&small)?;
    for (what, data) in [("1 GiB", &large), ("10,000 files", &small)] {
        let (mut cp, mut ours, mut source) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..rounds {
            let target = |how: &str| work.join(format!("{what} {how} {round}"));
            cp.push(measure(&target("cp"), |to| copy_by_cp(data, to))?);
            ours.push(measure(&target("landing"), |to| copy_by_us(data, to))?);
            source.push(measure(&target("source"), |_| read_all(data))?);
        }
        print(what, "cp -r, sync -f", cp);
        print(what, "source to landing", ours);
        print(what, "source alone", source);
    }
    fs::remove_dir_all(&work)?;
    Ok(())
}

/// Every run begins with nothing dirty in memory and an empty target.
fn measure(target: &Path, run: impl Fn(&Path) -> Outcome<()>) -> Outcome<Duration> {
    fs::create_dir_all(target)?;
    sync(target)?;
    let start = Instant::now();
    run(target)?;
    Ok(start.elapsed())
}

fn print(what: &str, how: &str, mut times: Vec<Duration>) {
    times.sort();
    let seconds = |d: Duration| d.as_secs_f64();
    let (best, median) = (seconds(times[0]), seconds(times[times.len() / 2]));
    println!("{what:12} {how:18} best {best:6.2}  median {median:6.2}");
}

fn copy_by_cp(from: &Path, to: &Path) -> Outcome<()> {
    let done = Command::new("cp").arg("-r").arg(from).arg(to).status()?;
    if !done.success() {
        return Err("cp failed".into());
    }
    sync(to)
}

fn copy_by_us(from: &Path, to: &Path) -> Outcome<()> {
    let source = Source::new([from])?;
    let building = Landing::open(to)?.begin(&[7; 16])?;
    let mut buffer = vec![0; BLOCK];
    for entry in source.walk() {
        let entry = entry?;
        match entry.kind {
            EntryKind::Directory => building.create_dir(&entry.path)?,
            EntryKind::Symlink { target } => building.symlink(&entry.path, &target)?,
            EntryKind::File { .. } => copy_file(&source, &building, &entry.path, &mut buffer)?,
        }
    }
    building.finish()?.settle()?;
    Ok(())
}

fn copy_file(source: &Source, building: &Building, path: &warren_store::RelPath, buffer: &mut [u8]) -> Outcome<()> {
    let file = source.open(path)?;
    let first = file.read_at(0, buffer)?;
    if first as u64 == file.len() {
        return Ok(building.put_file(path, &buffer[..first], &file.meta())?);
    }
    let target = building.create_file(path, file.meta().executable)?;
    target.reserve(file.len())?;
    target.write_at(0, &buffer[..first])?;
    let mut offset = first as u64;
    while offset < file.len() {
        let read = file.read_at(offset, buffer)?;
        target.write_at(offset, &buffer[..read])?;
        offset += read as u64;
    }
    Ok(target.close(&file.meta())?)
}

fn read_all(from: &Path) -> Outcome<()> {
    let source = Source::new([from])?;
    let mut buffer = vec![0; BLOCK];
    for entry in source.walk() {
        let entry = entry?;
        if let EntryKind::File { size, .. } = entry.kind {
            let file = source.open(&entry.path)?;
            let mut offset = 0;
            while offset < size {
                offset += file.read_at(offset, &mut buffer)? as u64;
            }
            if file.changed()? {
                return Err("somebody changes the data".into());
            }
        }
    }
    Ok(())
}

fn sync(path: &Path) -> Outcome<()> {
    Command::new("sync").arg("-f").arg(path).status()?;
    Ok(())
}

fn make_large(folder: &Path) -> Outcome<()> {
    fs::create_dir_all(folder)?;
    let mut noise = Noise(1);
    let mut bytes = Vec::with_capacity(1 << 30);
    while bytes.len() < 1 << 30 {
        bytes.extend_from_slice(&noise.next().to_le_bytes());
    }
    Ok(fs::write(folder.join("file"), bytes)?)
}

/// 10,000 files of 0.5 to 64 KiB, spread evenly over the logarithm, in three levels.
fn make_small(folder: &Path) -> Outcome<()> {
    let mut noise = Noise(2);
    for number in 0..10_000u64 {
        let dir = folder.join(format!("{}/{}", number / 1000, number / 100 % 10));
        fs::create_dir_all(&dir)?;
        let exponent = 9.0 + 7.0 * (noise.next() % 1000) as f64 / 1000.0;
        let size = exponent.exp2() as usize;
        let bytes: Vec<u8> = std::iter::repeat_with(|| noise.next().to_le_bytes()).flatten().take(size).collect();
        fs::write(dir.join(format!("file-{number}")), bytes)?;
    }
    Ok(())
}

/// xorshift64*: fast, and incompressible enough.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }
}
