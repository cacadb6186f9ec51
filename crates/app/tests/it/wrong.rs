//! Wrong input, as people give it: a clear error, the documented exit code, and nothing lost.

use crate::device::{Device, free_lan_port};

#[test]
fn a_wrong_passphrase_is_refused_and_slows_the_next_try_down() {
    let alice = Device::founder("alice", "home");
    let wrong = |device: &Device| {
        let mut command = device.command(["up", "--detach"]);
        command.env("WARREN_PASSPHRASE", "not the passphrase");
        crate::device::Ran::of(command.output().unwrap())
    };
    for _ in 0..3 {
        wrong(&alice).fails(5, "wrong passphrase");
    }
    let slowed = wrong(&alice);
    assert!(slowed.stderr.contains("try again in") || slowed.stderr.contains("next try"), "{}", slowed.stderr);
}

#[test]
fn a_short_passphrase_makes_no_device() {
    let device = Device::new(free_lan_port());
    let mut command = device.command(["init", "--name", "alice", "--circle", "home"]);
    command.env("WARREN_PASSPHRASE", "short");
    crate::device::Ran::of(command.output().unwrap()).fails(2, "at least 8 characters");
    device.run(["status"]).fails(9, "no device");
}

#[test]
fn receivers_and_paths_that_do_not_exist_are_named() {
    let alice = Device::founder("alice", "home");
    alice.up();
    let bob = Device::joined(&alice, "bob");
    bob.up();
    alice.wait_online("bob");
    let note = alice.files().join("note");
    std::fs::write(&note, "x").unwrap();
    let unknown = alice.run(["send", note.to_str().unwrap(), "--to", "bop"]);
    assert_eq!(unknown.code, 4, "{}", unknown.stderr);
    assert!(unknown.stderr.contains("did you mean bob"), "{}", unknown.stderr);
    let absent = alice.run(["send", "/nowhere/at/all", "--to", "bob"]);
    assert_ne!(absent.code, 0);
    assert!(absent.stderr.contains("/nowhere/at/all"), "{}", absent.stderr);
}

#[test]
fn a_wrong_code_burns_the_invitation() {
    let alice = Device::founder("alice", "home");
    alice.up();
    let invitation = alice.run(["invite", "--json"]).json();
    let code = invitation["code"].as_str().unwrap();
    let (nameplate, rest) = code.split_once('-').unwrap();
    let guess = if rest == "abandon-abandon-abandon" { "zoo-zoo-zoo" } else { "abandon-abandon-abandon" };
    let mallory = Device::new(free_lan_port());
    let at = alice.run(["status", "--json"]).json()["addresses"][0].as_str().unwrap().to_owned();
    let guessed = mallory.run(["join", &format!("{nameplate}-{guess}"), "--name", "mallory", "--at", &at, "--yes"]);
    assert_ne!(guessed.code, 0, "{}", guessed.stdout);
    let state = alice.run(["invites", "--json"]).json()[0]["state"].clone();
    assert_eq!(state, "burned");
    let late = mallory.run(["join", code, "--name", "mallory", "--at", &at, "--yes"]);
    assert_ne!(late.code, 0, "a burned code still works: {}", late.stdout);
    assert!(!mallory.home().join("keystore").exists(), "a failed join leaves a device behind");
}

#[test]
fn a_second_device_in_one_home_is_refused() {
    let alice = Device::founder("alice", "home");
    alice.up();
    alice.run(["up", "--detach"]).fails(8, "running already");
    alice.run(["init", "--name", "eve", "--circle", "other"]).fails(12, "");
}
