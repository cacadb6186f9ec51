//! Sending to somebody outside any circle, by a one-time code: no home, no running device.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::device::{PASSPHRASE, Ran, Running, assert_same_tree, names_in, wait, warren};
use crate::faults::Disk;
use crate::tree::{noise, odd_tree};

/// A command of somebody who has nothing but a folder.
pub fn bare(dir: &Path, args: &[&str]) -> Command {
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

pub fn receive(dir: &Path, args: &[&str]) -> Ran {
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
    let (sending, code, link, at) = sender(here.path(), &["send", "note", "--json"]);
    receive(there.path(), &[&wrong_guess(&code), "--at", &at]).fails(13, "");
    assert_ne!(receive(there.path(), &[&code, "--at", &at]).code, 0);
    assert_ne!(receive(there.path(), &[&link]).code, 0);
    assert_eq!(std::fs::read_dir(there.path()).unwrap().count(), 0, "a wrong guess left something behind");
    let ended = sending.finish().fails(13, "");
    let transfer = ended.last()["transfers"][0].clone();
    assert_eq!(
        (transfer["state"].as_str(), transfer["problem_code"].as_str()),
        (Some("failed"), Some("bad_invitation"))
    );
    assert!(transfer["problem"].as_str().unwrap().starts_with("somebody tried a wrong code"), "{transfer}");
    receive(there.path(), &["not a code", "--at", &at]).fails(13, "");
}

#[test]
fn whoever_waits_with_a_code_is_told_in_words_that_it_is_void() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(here.path().join("note"), "for one").unwrap();
    let mut sending = Running::start(bare(here.path(), &["send", "note"]));
    let code = sending.text("code  ");
    receive(there.path(), &[&wrong_guess(&code)]).fails(13, "");
    let ended = sending.finish();
    assert_eq!(ended.code, 13, "{}", ended.stderr);
    assert!(ended.stdout.contains("somebody tried a wrong code"), "{}", ended.stdout);
}

/// Another code with the same first word.
fn wrong_guess(code: &str) -> String {
    let (nameplate, rest) = code.split_once('-').unwrap();
    let guess = if rest == "abandon-abandon-abandon" { "zoo-zoo-zoo" } else { "abandon-abandon-abandon" };
    format!("{nameplate}-{guess}")
}

/// Waits until so many bytes are there; gives how many there are.
fn wait_for_bytes(receiving: &mut Running, at_least: u64) -> u64 {
    let line = receiving.line(|line| line["transfer"]["bytes_done"].as_u64().is_some_and(|done| done > at_least));
    line["transfer"]["bytes_done"].as_u64().unwrap()
}

#[test]
fn a_receiver_whose_disk_is_full_keeps_what_it_has_and_goes_on_once_there_is_room() {
    const SIZE: u64 = 10 << 20;
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let Some(_disk) = Disk::new(&there.path().join("disk"), "16m") else { return };
    let (out, ballast) = (there.path().join("disk/out"), there.path().join("disk/ballast"));
    std::fs::write(here.path().join("big.bin"), noise(8, SIZE as usize)).unwrap();
    let args = ["send", "big.bin", "--limit", "2MB", "--patience", "60s", "--json"];
    let (mut sending, code, _, at) = sender(here.path(), &args);
    let out_arg = out.to_str().unwrap().to_owned();
    let again = ["receive", &code, "--at", &at, "--yes", "--json", "--patience", "2s", "--out", &out_arg];
    let mut receiving = Running::start(bare(there.path(), &again));
    wait_for_bytes(&mut receiving, SIZE / 4);
    assert!(std::fs::write(&ballast, vec![1; 16 << 20]).is_err(), "the disk is larger than it should be");
    // Both say why; the receiver gives up and keeps what it has, the sender waits.
    sending.line(|line| line["transfer"]["problem_code"] == "disk_full");
    let stuck = receiving.finish().fails(14, "");
    assert_eq!(stuck.last()["transfers"][0]["problem_code"], "disk_full");
    assert!(out.join(".warren-partial").exists() && names_in(&out).is_empty());
    std::fs::remove_file(&ballast).unwrap();
    Ran::of(bare(there.path(), &again).output().unwrap()).ok();
    assert_same_tree(&here.path().join("big.bin"), &out.join("big.bin"));
    sending.finish().ok();
}

#[test]
fn a_receiver_that_is_killed_goes_on_where_it_was() {
    const SIZE: u64 = 40 << 20;
    let (here, there, elsewhere) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let content = noise(8, SIZE as usize);
    std::fs::write(here.path().join("big.bin"), &content).unwrap();
    let (sending, code, link, at) = sender(here.path(), &["send", "big.bin", "--limit", "4MB", "--json"]);
    let again = ["receive", &code, "--at", &at, "--yes", "--json"];
    let mut receiving = Running::start(bare(there.path(), &again));
    let before = wait_for_bytes(&mut receiving, SIZE / 4);
    receiving.kill();
    let partial = there.path().join(".warren-partial");
    assert!(names_in(there.path()).is_empty(), "{:?}", names_in(there.path()));
    let key = partial.join(format!("key-{}", code.split('-').next().unwrap()));
    assert_eq!(std::fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);

    // Whoever overheard the code gets nothing, and spoils nothing.
    receive(elsewhere.path(), &[&code, "--at", &at]).fails(13, "same folder");
    receive(elsewhere.path(), &[&link]).fails(13, "same folder");
    assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);

    let mut receiving = Running::start(bare(there.path(), &again));
    wait_for_bytes(&mut receiving, before + 1);
    receive(there.path(), &[&code, "--at", &at]).fails(8, "another `warren receive`");

    // The same command at once after Ctrl-C, whatever somebody else tried meanwhile.
    receiving.interrupt();
    let stopped = receiving.finish();
    assert_eq!(stopped.code, 130, "{}", stopped.stderr);
    receive(elsewhere.path(), &[&wrong_guess(&code), "--at", &at]).fails(13, "");
    // Where the sender is need not be said again, nor asked on the network.
    let receiving = Running::start(bare(there.path(), &["receive", &code, "--yes", "--json"]));
    let got = receiving.finish().ok().last()["transfers"][0].clone();
    assert!(std::fs::read(there.path().join("big.bin")).unwrap() == content);
    assert!(!partial.exists(), "something was left behind");
    let sent = sending.finish().ok().last()["transfers"][0].clone();
    assert_eq!(sent["state"], "done");
    // Nothing that was verified came twice; what was on its way when the receiver died did.
    assert_eq!(got["bytes_wire"], SIZE);
    let wire_out = sent["bytes_wire"].as_u64().unwrap();
    assert!((SIZE..SIZE + (24 << 20)).contains(&wire_out), "{wire_out} bytes over the wire for {SIZE}");
}

#[test]
fn a_sender_that_is_gone_is_said_and_what_came_is_kept() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(here.path().join("big.bin"), noise(9, 32 << 20)).unwrap();
    let partial = there.path().join(".warren-partial");
    let send = ["send", "big.bin", "--limit", "4MB", "--json"];
    let (mut sending, code, _, at) = sender(here.path(), &send);
    let mut receiving = Running::start(bare(there.path(), &["receive", &code, "--at", &at, "--yes", "--json"]));
    wait_for_bytes(&mut receiving, 2 << 20);
    sending.kill();
    receiving.line(|line| line["transfer"]["problem"].as_str().is_some_and(|problem| problem.contains("is away")));
    receiving.interrupt();
    let ended = receiving.finish();
    assert_eq!(ended.code, 130, "{}", ended.stderr);
    let transfer = ended.last()["transfers"][0].clone();
    assert_eq!((transfer["state"].as_str(), transfer["problem_code"].as_str()), (Some("waiting"), Some("unreachable")));
    assert!(names_in(there.path()).is_empty());
    assert_eq!(std::fs::read_dir(&partial).unwrap().count(), 2, "the tree and the key");
    receive(there.path(), &[&code, "--at", &at]).fails(11, "");
    assert_eq!(std::fs::read_dir(&partial).unwrap().count(), 2, "a try that failed took something away");

    // In words, and with an end to the waiting. What came from a sender that was not met for a week goes.
    let key = partial.join(format!("key-{}", code.split('-').next().unwrap()));
    let set_age = |days: u64| {
        let at = std::time::SystemTime::now() - Duration::from_secs(days * 24 * 3600);
        std::fs::File::options().write(true).open(&key).unwrap().set_modified(at).unwrap();
    };
    set_age(6);
    receive(there.path(), &["acid-brave-coral-dune", "--at", &at]).fails(11, "");
    assert_eq!(std::fs::read_dir(&partial).unwrap().count(), 2, "what may still be of use was removed");
    set_age(8);
    receive(there.path(), &["acid-brave-coral-dune", "--at", &at]).fails(11, "");
    assert!(!partial.exists(), "what is of no use was kept");
    let (mut sending, code, _, at) = sender(here.path(), &send);
    let mut receiving =
        Running::start(bare(there.path(), &["receive", &code, "--at", &at, "--yes", "--patience", "12s"]));
    wait("something to come", || partial.exists() && std::fs::read_dir(&partial).unwrap().count() == 2);
    assert!(!receiving.is_over());
    sending.kill();
    let ended = receiving.finish().fails(11, "the sender is away; trying to reach it again");
    assert!(ended.stderr.contains("What arrived is kept in"), "{}", ended.stderr);
    assert!(ended.stdout.contains("waiting to go on: the sender is away"), "{}", ended.stdout);
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
    run(&["send", "input", "--patience", "1s"]).fails(11, "no longer works");
    run(&["send", "--text", ""]).fails(2, "empty");
    let join = bare(here.path(), &["join", &link, "--name", "x"]).env("WARREN_PASSPHRASE", PASSPHRASE).output();
    Ran::of(join.unwrap()).fails(13, "warren receive");
    run(&["receive", &link]).fails(2, "--yes");
}
