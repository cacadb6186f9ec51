//! Wrong input, as people give it: a clear error, the documented exit code, and nothing lost.

use crate::device::{Device, Ran, lan_port, warren};

#[test]
fn a_short_passphrase_makes_no_device() {
    let device = Device::new(lan_port());
    let init = ["init", "--name", "alice", "--circle", "home"];
    device.run_as("short", init).fails(2, "at least 8 characters");
    device.run(["status"]).fails(9, "no device");
    device.run_as("", init).fails(5, "WARREN_PASSPHRASE");
    for name in ["", " alice", "a/b", "a\u{202e}b", "a\nb"] {
        device.run(["init", "--name", name, "--circle", "home"]).fails(2, "");
    }
    device.run(["up", "--detach"]).fails(9, "warren init");
}

#[test]
fn receivers_and_paths_that_do_not_exist_are_named() {
    let (alice, _bob) = Device::pair();
    let note = alice.file("note", "x");
    alice.run(["send", &note, "--to", "bop"]).fails(3, "did you mean");
    alice.run(["send", "/nowhere/at/all", "--to", "bob"]).fails(3, "/nowhere/at/all");
    alice.run(["send", "--to", "bob"]).fails(2, "nothing to send");
    let link = |name: &str, to: &str| {
        let link = alice.files().join(name);
        std::os::unix::fs::symlink(to, &link).unwrap();
        link.to_str().unwrap().to_owned()
    };
    alice.run(["send", &link("dangling", "nowhere"), "--to", "bob"]).fails(3, "dangling");
    alice.run(["send", &link("loop", "loop"), "--to", "bob"]).fails(15, "loop");
    alice.run(["send", &note, "--to", "alice"]).fails(3, "");
    alice.run(["config", "recieved_dir", "x"]).fails(3, "received_dir");
    alice.run(["config", "port", "many"]).fails(2, "port");
    alice.run(["transfers", "show", "zzzzzzzz"]).fails(3, "zzzzzzzz");
    alice.run(["invite", "--revoke", "zzzzzzzz"]).fails(3, "");
    alice.run(["peers", "add", "nonsense"]).fails(2, "IP:PORT");
    alice.run(["peers", "add", "127.0.0.1:1"]).fails(11, "127.0.0.1:1");
    let error = alice.run(["send", &note, "--to", "bop", "--json"]);
    assert_eq!((error.code, error.stdout.as_str()), (3, ""));
    let error: serde_json::Value = serde_json::from_str(&error.stderr).unwrap();
    assert_eq!(error["error"]["code"], "not_found");
    // Each command with --json is one document.
    for command in [
        &["status"][..],
        &["peers"],
        &["transfers"],
        &["inbox"],
        &["invites"],
        &["log"],
        &["config"],
        &["version"],
        &["cert", "show"],
    ] {
        alice.run(command.iter().chain(&["--json"])).json();
    }
}

#[test]
fn a_second_device_in_one_home_is_refused() {
    let alice = Device::founder("alice", "home");
    alice.run(["peers"]).fails(7, "warren up");
    alice.up();
    alice.run(["up", "--detach"]).fails(8, "running already");
    alice.run(["init", "--name", "eve", "--circle", "other"]).fails(4, "");
    alice.down();
    alice.run(["init", "--name", "eve", "--circle", "other"]).fails(4, "");
    alice.run(["down"]).fails(7, "");
    Ran::of(warren().args(["--home", "/dev/null/x", "status"]).output().unwrap()).fails(15, "this is a file");
    let long = "x".repeat(300);
    Ran::of(warren().args(["send", &long]).output().unwrap()).fails(15, "255 bytes");
    Ran::of(warren().arg("sned").output().unwrap()).fails(2, "send");
}
