//! Disks that are full or locked, sources that change or vanish, and kills at any moment.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::device::{Device, assert_same_tree, names_in, wait, wait_or};
use crate::tree::noise;

/// True where the long tests were asked for.
pub fn long() -> bool {
    std::env::var_os("WARREN_LONG").is_some_and(|value| value == "1")
}

#[test]
fn a_source_that_vanishes_or_changes_is_said() {
    let (alice, bob) = Device::trusting_pair();
    // Gone before anybody could take it.
    bob.down();
    alice.wait_state("bob", "away");
    let gone = alice.file("gone", "soon gone");
    let lost = alice.queue(&gone, "bob", &[]);
    let tree = alice.files().join("tree");
    std::fs::create_dir(&tree).unwrap();
    std::fs::write(tree.join("stays"), "stays").unwrap();
    Command::new("mkfifo").arg(tree.join("pipe")).status().unwrap();
    let partly = alice.queue(tree.to_str().unwrap(), "bob", &[]);
    std::fs::remove_file(&gone).unwrap();
    bob.up();
    let failed = alice.wait_transfer(&lost, "failed");
    assert!(failed["problem"].as_str().unwrap().contains("gone"), "{failed}");
    let done = alice.wait_transfer(&partly, "done");
    assert!(done["warnings"].to_string().contains("pipe"), "nothing is said about what cannot be sent: {done}");
    assert_eq!(names_in(&bob.received().join("tree")), ["stays"]);

    // Changed while it is sent: noticed and said; what lands is never a mixture that claims to be whole.
    let size = 40 << 20;
    let path = alice.files().join("changing");
    let first = noise(1, size);
    alice.file("changing", &first);
    let other = noise(2, size);
    let id = alice.queue(path.to_str().unwrap(), "bob", &["--limit", "2MB"]);
    wait("some of it", || alice.transfer(&id)["bytes_done"].as_u64().unwrap() > 2 << 20);
    std::fs::write(&path, &other).unwrap();
    assert_eq!(alice.transfer(&id)["state"], "running", "it was over too early for this test");
    alice.run(["transfers", "limit", "off", &id]).ok();
    wait("its end", || ["done", "failed"].contains(&alice.transfer(&id)["state"].as_str().unwrap()));
    let ended = alice.transfer(&id);
    match std::fs::read(bob.received().join("changing")) {
        Ok(landed) => assert!(landed == other || landed == first, "a mixture of two states landed: {ended}"),
        Err(_) => assert!(ended.to_string().contains("chang"), "nothing is said about the change: {ended}"),
    }
}

/// A file system in memory of its own size; gone with this value.
pub struct Disk(PathBuf);

impl Disk {
    pub fn new(at: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let options = format!("size={size},mode=0755");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(at.to_owned()));
        }
        eprintln!("skipped: this machine does not let the test mount a tmpfs (needs root)");
        None
    }

    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        assert!(Command::new("mount").args(["-o", &options]).arg(&self.0).status().unwrap().success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l"]).arg(&self.0).status();
    }
}

#[test]
fn a_full_or_locked_disk_is_said_and_the_transfer_waits_for_it() {
    let (alice, bob) = Device::trusting_pair();
    let Some(disk) = Disk::new(&bob.files().join("disk"), "4m") else { return };
    let landing = disk.0.join("landing");
    bob.land_in(&landing);
    let big = alice.file("big.bin", noise(3, 9 << 20));
    let stuck = |id: &str, needle: &str| {
        for device in [&alice, &bob] {
            wait_or(
                &format!("{needle:?} to be said"),
                || device.transfer(id)["problem"].as_str().is_some_and(|problem| problem.contains(needle)),
                || device.transfer(id).to_string(),
            );
        }
        assert_ne!(alice.transfer(id)["state"], "failed");
        assert!(names_in(&landing).is_empty());
    };
    let id = alice.queue(&big, "bob", &[]);
    stuck(&id, "full");
    disk.remount("size=64m");
    alice.wait_transfer(&id, "done");
    assert_same_tree(Path::new(&big), &landing.join("big.bin"));
    std::fs::remove_file(landing.join("big.bin")).unwrap();

    disk.remount("ro");
    let id = alice.queue(&big, "bob", &[]);
    stuck(&id, "");
    disk.remount("rw");
    alice.wait_transfer(&id, "done");
    assert_same_tree(Path::new(&big), &landing.join("big.bin"));
    bob.down();
}

/// A tree that takes a moment: large, many, and empty.
fn work(dir: &Path, round: u64) {
    std::fs::create_dir_all(dir.join("many/empty")).unwrap();
    std::fs::write(dir.join("large"), noise(round, 12 << 20)).unwrap();
    for i in 0..150 {
        std::fs::write(dir.join("many").join(i.to_string()), noise(round ^ i, (i as usize * 997) % 30_000)).unwrap();
    }
}

/// What has landed is whole at any moment.
fn check_landed(received: &Path, sources: &Path) {
    for name in names_in(received) {
        assert_same_tree(&sources.join(&name), &received.join(&name));
    }
}

#[test]
fn kills_at_any_moment_lose_nothing_and_break_nothing() {
    let rounds = if long() { 200 } else { 6 };
    let (alice, bob) = Device::trusting_pair();
    let mut dice = u64::from(std::process::id()) << 16 | 1;
    eprintln!("seed {dice}");
    let mut roll = move |sides: u64| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        dice % sides
    };
    for round in 0..rounds {
        let name = format!("round-{round}");
        let tree = alice.files().join(&name);
        work(&tree, round);
        let id = alice.queue(tree.to_str().unwrap(), "bob", &["--limit", "8MB"]);
        let killed = if roll(2) == 0 { &alice } else { &bob };
        // The random moment: not a wait for anything.
        std::thread::sleep(Duration::from_millis(roll(1800)));
        killed.kill();
        check_landed(&bob.received(), &alice.files());
        killed.up();
        alice.run(["transfers", "limit", "off", &id]).ok();
        alice.wait_transfer(&id, "done");
        bob.wait_transfer(&id, "done");
        check_landed(&bob.received(), &alice.files());
        assert_same_tree(&tree, &bob.received().join(&name));
        std::fs::remove_dir_all(bob.received().join(&name)).unwrap();
        std::fs::remove_dir_all(&tree).unwrap();
    }
    assert!(names_in(&bob.received()).is_empty());
    assert!(names_in(&bob.received().join(".warren-partial")).is_empty());
}
