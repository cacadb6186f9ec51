//! Standard input on its way: sealed on the disk, gone when nobody needs it, never half of it.

use std::io::Write;
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};

use crate::device::{Device, Ran, names_in, wait};
use crate::faults::Disk;
use crate::strangers::{bare, receive};
use crate::tree::noise;

/// Stands everywhere in what is sent.
const PLANTED: &[u8] = b"warren-planted-word";

/// Content with the planted word in every few hundred bytes.
fn planted(len: usize) -> Vec<u8> {
    let mut content = Vec::with_capacity(len + 512);
    for (seed, piece) in noise(17, len).chunks(300).enumerate() {
        content.extend_from_slice(piece);
        content.extend_from_slice(PLANTED);
        content.extend_from_slice(&seed.to_le_bytes());
    }
    content
}

/// Insists that no file below holds the planted word.
#[track_caller]
fn assert_sealed(dir: &Path) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let (path, kind) = entry.map(|entry| (entry.path(), entry.file_type().unwrap())).unwrap();
        if kind.is_dir() {
            assert_sealed(&path);
        } else if kind.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            assert!(!bytes.windows(PLANTED.len()).any(|window| window == PLANTED), "readable: {}", path.display());
        }
    }
}

fn spooled(device: &Device) -> usize {
    names_in(&device.home().join("spool")).len()
}

/// A command whose standard input stays open.
fn feed(device: &Device, args: &[&str]) -> (Child, ChildStdin) {
    let mut command = device.unguarded(args);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let input = child.stdin.take().unwrap();
    (child, input)
}

#[test]
fn what_was_piped_lies_sealed_until_everybody_has_it() {
    let (alice, bob) = Device::trusting_pair();
    bob.down();
    alice.wait_state("bob", "away");
    let content = planted(3 << 20);
    let piped = |name: &str| {
        std::fs::write(alice.files().join("input"), &content).unwrap();
        let mut command = alice.command(["send", "-", "--name", name, "--to", "bob", "--no-wait", "--json"]);
        command.stdin(std::fs::File::open(alice.files().join("input")).unwrap());
        let sent = Ran::of(command.output().unwrap()).json();
        std::fs::remove_file(alice.files().join("input")).unwrap();
        sent["transfers"][0]["id"].as_str().unwrap().to_owned()
    };
    let (kept, unwanted) = (piped("kept.bin"), piped("unwanted.bin"));
    assert_eq!(spooled(&alice), 2);
    assert_sealed(&alice.home());
    alice.run(["transfers", "cancel", &unwanted]).ok();
    wait("what is not wanted to be gone", || spooled(&alice) == 1);
    alice.run(["send", "-", "--name", "../up", "--to", "bob"]).fails(2, "cannot be the name of a file");
    assert_eq!(spooled(&alice), 1);

    // It survives the device, and what a crash left behind does not.
    alice.kill();
    std::fs::write(alice.home().join("spool").join("00".repeat(16)), "left").unwrap();
    std::fs::write(alice.home().join("spool").join("01.new"), "left").unwrap();
    alice.up();
    assert_eq!(spooled(&alice), 1);
    assert_sealed(&alice.home());
    bob.up();
    alice.wait_transfer(&kept, "done");
    assert!(std::fs::read(bob.received().join("kept.bin")).unwrap() == content);
    assert_eq!(names_in(&bob.received()), ["kept.bin"]);
    wait("the spool to be empty", || spooled(&alice) == 0);
}

#[test]
fn nothing_is_left_of_what_was_not_sent() {
    let alice = Device::founder("alice", "home");
    let to_nobody = alice.file("input", planted(1 << 20));
    alice.up();
    let mut command = alice.command(["send", "-", "--to", "nobody"]);
    command.stdin(std::fs::File::open(to_nobody).unwrap());
    Ran::of(command.output().unwrap()).fails(3, "nobody");
    assert_eq!(spooled(&alice), 0);

    // Ctrl-C, and a kill, in the middle.
    for signal in ["-INT", "-KILL"] {
        let (mut child, mut input) = feed(&alice, &["send", "-", "--to", "nobody"]);
        input.write_all(&planted(1 << 20)).unwrap();
        wait("something to arrive", || spooled(&alice) == 1);
        let pid = child.id().to_string();
        assert!(std::process::Command::new("kill").args([signal, &pid]).status().unwrap().success());
        let code = child.wait().unwrap().code();
        assert_eq!(code, (signal == "-INT").then_some(130));
        wait("nothing to be left", || spooled(&alice) == 0);
    }
    assert!(alice.transfers().is_empty());

    // A disk that fills up in the middle, however much would still come.
    let Some(_disk) = Disk::new(&alice.home().join("spool"), "2m") else { return };
    let (child, mut input) = feed(&alice, &["send", "-", "--to", "nobody"]);
    let pouring = std::thread::spawn(move || while input.write_all(&[7; 1 << 16]).is_ok() {});
    Ran::of(child.wait_with_output().unwrap()).fails(14, "could not keep what was handed over");
    pouring.join().unwrap();
    assert_eq!(spooled(&alice), 0);
    alice.down();
}

#[test]
fn without_a_device_what_was_piped_has_no_name_on_the_disk() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let content = planted(2 << 20);
    let mut sending = bare(here.path(), &["send", "-", "--name", "piped", "--json"]);
    let mut child = sending.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(&content).unwrap();
    assert_eq!(std::fs::read_dir(here.path()).unwrap().count(), 0);
    drop(input);
    let mut line = String::new();
    let mut lines = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut lines, &mut line).unwrap();
    let code: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(std::fs::read_dir(here.path()).unwrap().count(), 0);
    receive(there.path(), &[code["link"].as_str().unwrap()]).ok();
    assert!(std::fs::read(there.path().join("piped")).unwrap() == content);
    std::io::copy(&mut lines, &mut std::io::sink()).unwrap();
    assert!(child.wait().unwrap().success());
}
