//! Sending to somebody outside any circle, by a one-time code: no home, no running device.

use std::path::Path;
use std::process::Command;

use crate::device::{PASSPHRASE, Ran, Running, assert_same_tree, names_in, warren};
use crate::tree::{noise, odd_tree};

/// A command of somebody who has nothing but a folder.
fn bare(dir: &Path, args: &[&str]) -> Command {
    let mut command = warren();
    command.args(args).current_dir(dir).env("WARREN_HOME", dir.join("home")).env("TMPDIR", dir);
    command
}

/// A sender that waits; code, link and first address.
fn sender(dir: &Path, args: &[&str]) -> (Running, String, String, String) {
    let mut sending = Running::start(bare(dir, args));
    let made = sending.line(|line| line["kind"] == "code");
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let at = text(&made["addresses"][0]);
    (sending, text(&made["code"]), text(&made["link"]), at)
}

fn receive(dir: &Path, args: &[&str]) -> Ran {
    Ran::of(bare(dir, &[&["receive", "--yes", "--json"], args].concat()).output().unwrap())
}

#[test]
fn a_code_a_link_or_an_address_brings_a_tree_to_anybody() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let tree = here.path().join("odd tree");
    odd_tree(&tree);
    for way in ["code", "link", "at"] {
        let (sending, code, link, at) = sender(here.path(), &["send", "odd tree", "--text", "for you", "--json"]);
        let out = there.path().join(way);
        let args = match way {
            "code" => vec![code.as_str()],
            "link" => vec![link.as_str()],
            _ => vec![code.as_str(), "--at", at.as_str()],
        };
        let got = receive(there.path(), &[args, vec!["--out", out.to_str().unwrap()]].concat()).ok();
        assert_eq!(got.last()["transfers"][0]["text"], "for you");
        assert_same_tree(&tree, &out.join("odd tree"));
        let sent = sending.finish().ok();
        assert_eq!(sent.last()["transfers"][0]["state"], "done");
        // The code is spent.
        assert_ne!(receive(there.path(), &[&code, "--at", &at]).code, 0);
    }
    assert!(!here.path().join("home").exists() && !there.path().join("home").exists(), "a home was made");
}

#[test]
fn a_wrong_guess_ends_a_code_and_nobody_else_gets_it() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(here.path().join("note"), "for one").unwrap();
    let (mut sending, code, link, at) = sender(here.path(), &["send", "note", "--json"]);
    let (nameplate, rest) = code.split_once('-').unwrap();
    let guess = if rest == "abandon-abandon-abandon" { "zoo-zoo-zoo" } else { "abandon-abandon-abandon" };
    receive(there.path(), &[&format!("{nameplate}-{guess}"), "--at", &at]).fails(13, "");
    assert_ne!(receive(there.path(), &[&code, "--at", &at]).code, 0);
    assert_ne!(receive(there.path(), &[&link]).code, 0);
    assert!(names_in(there.path()).is_empty(), "{:?}", names_in(there.path()));
    sending.kill();
    receive(there.path(), &["not a code", "--at", &at]).fails(13, "");
}

#[test]
fn a_receiver_that_is_killed_leaves_nothing_wrong_behind() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(here.path().join("big.bin"), noise(8, 32 << 20)).unwrap();
    let (mut sending, code, _, at) = sender(here.path(), &["send", "big.bin", "--limit", "4MB", "--json"]);
    let mut receiving = Running::start(bare(there.path(), &["receive", &code, "--at", &at, "--yes", "--json"]));
    receiving.line(|line| line["transfer"]["bytes_done"].as_u64().is_some_and(|done| done > 1 << 20));
    receiving.kill();
    assert!(names_in(there.path()).is_empty(), "{:?}", names_in(there.path()));
    // The code was good for one device, and that one is gone: another one is told so at once.
    receive(there.path(), &[&code, "--at", &at]).fails(13, "");
    assert!(!sending.is_over(), "the sender gave up");
    assert!(names_in(there.path()).is_empty());
}

#[test]
fn standard_input_goes_by_code_and_wrong_use_is_explained() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let input = noise(11, 2 << 20);
    std::fs::write(here.path().join("input"), &input).unwrap();
    let mut command = bare(here.path(), &["send", "-", "--name", "piped", "--json"]);
    command.stdin(std::fs::File::open(here.path().join("input")).unwrap());
    let mut sending = Running::start(command);
    let link = sending.line(|line| line["kind"] == "code")["link"].as_str().unwrap().to_owned();
    receive(there.path(), &[&link]).ok();
    sending.finish().ok();
    assert!(std::fs::read(there.path().join("piped")).unwrap() == input);
    assert_eq!(names_in(here.path()), ["input"], "the spool was left behind");

    let run = |args: &[&str]| Ran::of(bare(here.path(), args).output().unwrap());
    run(&["send"]).fails(2, "nothing to send");
    run(&["send", "nowhere"]).fails(3, "nowhere");
    run(&["send", "input", "--no-wait"]).fails(2, "one-time code");
    let join = bare(here.path(), &["join", &link, "--name", "x"]).env("WARREN_PASSPHRASE", PASSPHRASE).output();
    Ran::of(join.unwrap()).fails(13, "warren receive");
    run(&["receive", &link]).fails(2, "--yes");
}
