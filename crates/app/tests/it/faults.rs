//! Disks that are full or locked, sources that change or vanish, and kills at any moment.

use std::io::Write;
use std::os::unix::fs::FileExt;
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
fn a_source_that_cannot_be_sent_is_said() {
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
}

#[test]
fn transfers_that_do_not_fit_together_land_one_after_the_other() {
    let (alice, bob) = Device::trusting_pair();
    let Some(_disk) = Disk::new(&bob.files().join("disk"), "48m") else { return };
    let out = bob.files().join("disk/out");
    bob.land_in(&out);
    let files = [alice.file("one", noise(1, 30 << 20)), alice.file("two", noise(2, 30 << 20))];
    let ids = files.each_ref().map(|file| alice.queue(file, "bob", &["--limit", "8MB"]));
    let state = |id: &str| alice.transfer(id)["state"].as_str().unwrap().to_owned();
    wait("one of them to be done", || ids.iter().any(|id| state(id) == "done"));
    let (first, second) = if state(&ids[0]) == "done" { (0, 1) } else { (1, 0) };
    let waits = alice.wait_transfer(&ids[second], "waiting");
    assert_eq!(waits["problem_code"], "disk_full", "{waits}");
    assert!(bob.transfer(&ids[second])["problem"].as_str().unwrap().contains("more are needed"));
    assert_same_tree(Path::new(&files[first]), &out.join(["one", "two"][first]));
    // It goes on by itself once there is room.
    std::fs::remove_file(out.join(["one", "two"][first])).unwrap();
    alice.wait_transfer(&ids[second], "done");
    assert_same_tree(Path::new(&files[second]), &out.join(["one", "two"][second]));
}

#[test]
fn both_sides_show_the_same_share_while_the_disk_is_full() {
    let (alice, bob) = Device::trusting_pair();
    let Some(_disk) = Disk::new(&bob.files().join("disk"), "16m") else { return };
    bob.land_in(&bob.files().join("disk/out"));
    let big = alice.file("big", noise(1, 10 << 20));
    let id = alice.queue(&big, "bob", &["--limit", "2MB"]);
    wait("some of it", || bob.transfer(&id)["bytes_done"].as_u64().unwrap() > 3 << 20);
    let ballast = bob.files().join("disk/ballast");
    assert!(std::fs::write(&ballast, vec![1; 16 << 20]).is_err(), "the disk is larger than it should be");
    for device in [&alice, &bob] {
        wait("it to be stuck", || device.transfer(&id)["problem_code"] == "disk_full");
    }
    let done = |device: &Device| device.transfer(&id)["bytes_done"].as_u64().unwrap();
    assert!(done(&bob) > 3 << 20);
    // It is tried again meanwhile.
    for _ in 0..6 {
        assert_eq!(done(&alice), done(&bob));
        std::thread::sleep(Duration::from_millis(500));
    }
    std::fs::remove_file(&ballast).unwrap();
    alice.wait_transfer(&id, "done");
}

/// What the transfer's warnings say about a file.
fn warning<'a>(transfer: &'a serde_json::Value, file: &str) -> Option<&'a str> {
    let warnings = transfer["warnings"].as_array().unwrap();
    warnings.iter().filter_map(|line| line.as_str()).find(|line| line.contains(file))
}

#[test]
fn a_source_that_changes_while_it_is_sent_arrives_as_it_is_at_the_end() {
    let (alice, bob) = Device::trusting_pair();
    let size = 40 << 20;
    let path = alice.files().join("changing");
    alice.file("changing", noise(1, size));
    let mut sending = alice.start(["send", path.to_str().unwrap(), "--to", "bob", "--limit", "4MB", "--json"]);
    let line = sending.line(|line| line["transfer"]["bytes_done"].as_u64().is_some_and(|done| done > 6 << 20));
    let id = line["transfer"]["id"].as_str().unwrap().to_owned();
    // In the middle of what was sent already, and more at the end: twice.
    for round in 0..2 {
        let file = std::fs::File::options().append(true).open(&path).unwrap();
        (&file).write_all(&noise(2 + round, 1_234_567)).unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.write_all_at(&noise(4 + round, 300_000), (2 + round) << 20).unwrap();
    }
    assert_eq!(alice.transfer(&id)["state"], "running", "it was over too early for this test");
    alice.run(["transfers", "limit", "off", &id]).ok();
    let ended = sending.finish().ok().last()["transfers"][0].clone();
    assert_eq!((ended["state"].as_str(), ended["files_failed"].as_u64()), (Some("done"), Some(0)));
    assert_same_tree(&path, &bob.received().join("changing"));
    assert_eq!(warning(&ended, "changing"), Some("changing: changed while it was being sent; sent again"));
    assert!(alice.events().iter().any(|event| event == "transfer.file_changed"), "{:?}", alice.events());

    // One that grew before anybody took it: what was offered as small is not small any more.
    bob.run(["peers", "rule", "alice", "--ask"]).ok();
    let grown = alice.file("grown", "small");
    let id = alice.queue(&grown, "bob", &[]);
    let offer = bob.offer()["id"].as_str().unwrap().to_owned();
    alice.file("grown", noise(6, 2 << 20));
    bob.run(["inbox", "accept", &offer]).ok();
    let ended = alice.wait_transfer(&id, "done");
    assert_same_tree(Path::new(&grown), &bob.received().join("grown"));
    assert!(warning(&ended, "grown").is_some_and(|line| line.contains("changed")), "{ended}");
}

#[test]
fn what_vanishes_in_the_middle_is_named_and_the_rest_arrives() {
    let (alice, bob) = Device::trusting_pair();
    let tree = alice.files().join("tree");
    std::fs::create_dir_all(tree.join("sub")).unwrap();
    let names = ["a-first", "b-gone", "c-folder", "d-link", "sub/stays", "z-stays"];
    for (seed, name) in (0..).zip(names) {
        let size = if name == "a-first" { 24 << 20 } else { 1_500_000 };
        std::fs::write(tree.join(name), noise(seed, size)).unwrap();
    }
    let mut sending = alice.start(["send", tree.to_str().unwrap(), "--to", "bob", "--limit", "4MB", "--json"]);
    let line = sending.line(|line| line["transfer"]["bytes_done"].as_u64().is_some_and(|done| done > 2 << 20));
    let id = line["transfer"]["id"].as_str().unwrap().to_owned();
    for name in ["b-gone", "c-folder", "d-link"] {
        std::fs::remove_file(tree.join(name)).unwrap();
    }
    std::fs::create_dir(tree.join("c-folder")).unwrap();
    std::os::unix::fs::symlink("a-first", tree.join("d-link")).unwrap();
    assert_eq!(alice.transfer(&id)["state"], "running", "it was over too early for this test");
    alice.run(["transfers", "limit", "off", &id]).ok();
    let ran = sending.finish();
    assert_eq!(ran.code, 15, "{}", ran.stderr);
    let ended = ran.last()["transfers"][0].clone();
    assert_eq!((ended["state"].as_str(), ended["files_failed"].as_u64()), (Some("done"), Some(3)), "{ended}");
    assert!(warning(&ended, "b-gone").is_some_and(|line| line.contains("it vanished")), "{ended}");
    for name in ["c-folder", "d-link"] {
        assert!(warning(&ended, name).is_some_and(|line| line.contains("no longer a plain file")), "{ended}");
    }
    let landed = bob.received().join("tree");
    assert_eq!(names_in(&landed), ["a-first", "sub", "z-stays"]);
    for name in ["a-first", "sub/stays", "z-stays"] {
        assert!(std::fs::read(tree.join(name)).unwrap() == std::fs::read(landed.join(name)).unwrap(), "{name}");
    }
    let there = bob.transfer(&id);
    assert_eq!((there["state"].as_str(), there["files_failed"].as_u64()), (Some("done"), Some(3)), "{there}");
    assert_eq!(alice.events().iter().filter(|event| *event == "transfer.file_failed").count(), 3);
    // It stays so over a restart.
    alice.kill();
    alice.up();
    assert_eq!(alice.transfer(&id)["files_failed"], 3);
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
    for device in [&alice, &bob] {
        assert!(!device.events().contains(&"peer.misbehaved".to_owned()), "a crash is taken for an offence");
    }
}

#[test]
fn a_home_that_was_copied_and_runs_twice_is_told() {
    let (alice, bob) = Device::pair();
    bob.down();
    let copy = Device::beside(&alice);
    std::fs::remove_dir_all(copy.home()).unwrap();
    let copied = Command::new("cp").arg("-a").args([bob.home(), copy.home()]).status().unwrap();
    assert!(copied.success());
    bob.up();
    copy.up();
    wait("alice to be told", || alice.events().iter().any(|event| event == "peer.doubled"));
    alice.wait_online("bob");
}
