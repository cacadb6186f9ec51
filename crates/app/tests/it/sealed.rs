//! Files sealed to members and under passphrases, also as seen by the `age` tool.

use std::process::{Command, Stdio};

use crate::device::{Device, Ran};
use crate::tree::noise;

/// The `age` tool, where this machine has it.
fn has_age() -> bool {
    let there = Command::new("age").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !there {
        eprintln!("skipped: no age on this machine (Debian package `age`)");
    }
    there
}

#[test]
fn members_open_what_is_sealed_to_them_and_nobody_else_does() {
    let (alice, bob) = Device::pair();
    let carol = Device::joined(&alice, "carol");
    alice.wait_online("carol");
    let plain = noise(4, 3_000_001);
    let file = alice.file("taxes.pdf", &plain);
    let sealed = alice.run(["encrypt", &file, "--to", "bob", "--json"]).json();
    assert_eq!(sealed["bytes"], 3_000_001);
    let path = sealed["output"].as_str().unwrap().to_owned();
    assert!(path.ends_with("/taxes.pdf.age"));
    alice.run(["encrypt", &file, "--to", "bob"]).fails(4, "");
    alice.run(["encrypt", &file, "--to", "bop"]).fails(3, "did you mean");

    for (device, name) in [(&bob, "bob"), (&alice, "alice")] {
        let out = device.files().join(format!("{name}.pdf"));
        device.run(["decrypt", &path, "--out", out.to_str().unwrap()]).ok();
        assert!(std::fs::read(&out).unwrap() == plain);
        device.run(["decrypt", &path, "--out", out.to_str().unwrap()]).fails(4, "");
    }
    let out = carol.files().join("carol.pdf");
    carol.run(["decrypt", &path, "--out", out.to_str().unwrap()]).fails(10, "");
    // Without keys it is not the passphrase of a file that is missing.
    let nobody = Device::new(1);
    let given = nobody.command(["decrypt", &path, "--out", out.to_str().unwrap()]);
    Ran::of({ given }.env("WARREN_FILE_PASSPHRASE", "some other words").output().unwrap()).fails(7, "warren up");
    let mut damaged = std::fs::read(&path).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    let damaged = bob.file("damaged.age", damaged);
    bob.run(["decrypt", &damaged, "--out", out.to_str().unwrap()]).fails(16, "");
    assert!(!out.exists(), "a damaged file leaves something behind");

    if has_age() {
        let recipient = bob.status()["identity"]["recipient"].as_str().unwrap().to_owned();
        let theirs = bob.files().join("theirs.age");
        let status = Command::new("age").args(["-r", &recipient, "-o", theirs.to_str().unwrap(), &file]).status();
        assert!(status.unwrap().success());
        let out = bob.files().join("theirs");
        bob.run(["decrypt", theirs.to_str().unwrap(), "--out", out.to_str().unwrap()]).ok();
        assert!(std::fs::read(&out).unwrap() == plain);
    }
}

/// Never that of a device.
const FILE_PASSPHRASE: &str = "four other random words";

#[test]
fn a_passphrase_opens_without_any_device() {
    let nobody = Device::new(1);
    let plain = noise(6, 70_000);
    let file = nobody.file("notes", &plain);
    let under = |passphrase, args: Vec<&str>| {
        Ran::of(nobody.command(args).env("WARREN_FILE_PASSPHRASE", passphrase).output().unwrap())
    };
    for armor in [false, true] {
        let sealed = nobody.files().join(format!("sealed-{armor}.age"));
        let mut args = vec!["encrypt", &file, "--out", sealed.to_str().unwrap()];
        if armor {
            args.push("--armor");
        }
        nobody.run(args.clone()).fails(5, "WARREN_FILE_PASSPHRASE");
        under(FILE_PASSPHRASE, args).ok();
        assert_eq!(std::fs::read(&sealed).unwrap().starts_with(b"-----BEGIN AGE"), armor);
        let decrypt = vec!["decrypt", sealed.to_str().unwrap()];
        under("not the passphrase", decrypt.clone()).fails(6, "");
        under(FILE_PASSPHRASE, decrypt).ok();
        let opened = nobody.files().join(format!("sealed-{armor}"));
        assert!(std::fs::read(&opened).unwrap() == plain);

        // `age` asks for passphrases on a terminal only: `script` is one.
        if has_age() && Command::new("script").arg("--version").stdout(Stdio::null()).status().is_ok() {
            let theirs = nobody.files().join(format!("theirs-{armor}"));
            let command = format!("age -d -o '{}' '{}'", theirs.display(), sealed.display());
            let mut child = Command::new("script")
                .args(["-qec", &command, "/dev/null"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            std::io::Write::write_all(child.stdin.as_mut().unwrap(), format!("{FILE_PASSPHRASE}\n").as_bytes())
                .unwrap();
            Ran::of(child.wait_with_output().unwrap()).ok();
            assert!(std::fs::read(&theirs).unwrap() == plain);
        }
    }
    // A locked device lacks nothing that this takes; a file that is sealed to its member it cannot open.
    let alice = Device::founder("alice", "home");
    alice.up();
    let to_members = alice.file("plain", &plain);
    alice.run(["encrypt", &to_members, "--to", "alice"]).ok();
    alice.run(["lock"]).ok();
    let sealed = nobody.files().join("sealed-true.age");
    let out = alice.files().join("opened");
    let decrypt = |file: &str| {
        let mut command = alice.command(["decrypt", file, "--out", out.to_str().unwrap()]);
        Ran::of(command.env("WARREN_FILE_PASSPHRASE", FILE_PASSPHRASE).output().unwrap())
    };
    decrypt(sealed.to_str().unwrap()).ok();
    assert!(std::fs::read(&out).unwrap() == plain);
    std::fs::remove_file(&out).unwrap();
    decrypt(&format!("{to_members}.age")).fails(5, "warren unlock");
    assert!(!out.exists());

    let out = nobody.files().join("x");
    under(FILE_PASSPHRASE, vec!["decrypt", &file, "--out", out.to_str().unwrap()]).fails(16, "");
}

/// Runs a command with this on its standard input; whatever its output is, it is bytes.
fn piped(mut command: Command, input: &[u8]) -> (Option<i32>, Vec<u8>, String) {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_vec());
    // A command that refuses does not read it.
    let feeding = std::thread::spawn(move || drop(std::io::Write::write_all(&mut stdin, &input)));
    let ran = child.wait_with_output().unwrap();
    feeding.join().unwrap();
    (ran.status.code(), ran.stdout, String::from_utf8(ran.stderr).unwrap())
}

#[test]
fn pipes_are_sealed_and_opened_on_the_way() {
    let (alice, bob) = Device::pair();
    let plain = noise(5, 5_000_001);
    for armor in [false, true] {
        let args = [&["encrypt", "-", "--to", "bob"][..], if armor { &["--armor"] } else { &[] }].concat();
        let (code, sealed, said) = piped(alice.command(args), &plain);
        assert_eq!((code, said.as_str()), (Some(0), ""));
        assert_eq!(sealed.starts_with(b"-----BEGIN AGE"), armor);
        for device in [&alice, &bob] {
            let (code, opened, said) = piped(device.command(["decrypt", "-"]), &sealed);
            assert_eq!((code, said.as_str()), (Some(0), ""));
            assert!(opened == plain);
        }
        // What comes out before the damage is genuine, and the end is not taken for the end.
        let mut damaged = sealed.clone();
        let late = damaged.len() - 1000;
        damaged[late] ^= 1;
        for bad in [&damaged, &sealed[..sealed.len() - 70_000]] {
            let (code, opened, said) = piped(bob.command(["decrypt", "-"]), bad);
            assert_eq!(code, Some(16), "{said}");
            assert!(said.contains("damaged or cut short") && said.contains("not the whole"), "{said}");
            assert!(opened.len() > 4 << 20 && opened.len() < plain.len() && plain.starts_with(&opened));
        }
        // Into a file it is all or nothing.
        let out = bob.files().join(format!("out-{armor}"));
        let to_file = ["decrypt", "-", "--out", out.to_str().unwrap()];
        assert_eq!(piped(bob.command(to_file), &damaged).0, Some(16));
        assert!(!out.exists());
        assert_eq!(piped(bob.command(to_file), &sealed).0, Some(0));
        assert!(std::fs::read(&out).unwrap() == plain);
    }
    let events = bob.events();
    assert!(events.iter().any(|event| event == "file.decrypted"), "{events:?}");
    assert!(alice.events().iter().any(|event| event == "file.encrypted"));

    // Under a passphrase it takes no device, and a file on one side.
    let nobody = Device::new(1);
    let under = |args: &[&str], input: &[u8]| {
        let mut command = nobody.command(args);
        command.env("WARREN_FILE_PASSPHRASE", FILE_PASSPHRASE);
        piped(command, input)
    };
    let (code, sealed, _) = under(&["encrypt", "-"], &plain);
    assert_eq!(code, Some(0));
    let file = nobody.file("sealed.age", &sealed);
    let (code, opened, _) = under(&["decrypt", &file, "--out", "-"], b"");
    assert!(code == Some(0) && opened == plain);
    assert_eq!(piped(nobody.command(["decrypt", "-"]), &sealed).0, Some(5));
    let (code, _, said) = under(&["decrypt", "-"], b"no sealed file at all");
    assert!(code == Some(16) && said.contains("not an age file"), "{said}");

    if has_age() {
        let recipient = bob.status()["identity"]["recipient"].as_str().unwrap().to_owned();
        let mut age = Command::new("age");
        age.args(["-a", "-r", &recipient]);
        let (_, sealed, _) = piped(age, &plain);
        let (code, opened, _) = piped(bob.command(["decrypt", "-"]), &sealed);
        assert!(code == Some(0) && opened == plain);
    }
}
