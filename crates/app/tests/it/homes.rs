//! What can happen to a home, and to those who start a device in it: parts that are missing, emptied or misspelt, a full
//! disk, a caller who has locks of its own.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::device::{Device, PASSPHRASE, Ran, names_in, wait, warren};
use crate::faults::Disk;

#[test]
fn a_home_whose_keystore_is_missing_is_touched_by_nothing() {
    let alice = Device::founder("alice", "home");
    let (keystore, away) = (alice.home().join("keystore"), alice.files().join("keystore"));
    fs::rename(&keystore, &away).unwrap();
    let before = fs::read(alice.home().join("database")).unwrap();
    for command in [
        &["up", "--detach"][..],
        &["init", "--name", "eve", "--circle", "other"],
        &["join", "acid-brave-coral-dune", "--name", "eve"],
        &["status"],
        &["config"],
    ] {
        let ran = alice.run(command).fails(16, "keystore");
        assert!(ran.stderr.contains("missing") && ran.stderr.contains("backup"), "{}", ran.stderr);
        assert!(!ran.stderr.contains("init"), "leads to the loss of everything: {}", ran.stderr);
        assert!(fs::read(alice.home().join("database")).unwrap() == before, "{command:?} changed the database");
        assert!(!keystore.exists());
    }
    fs::rename(&away, &keystore).unwrap();
    alice.up();
    assert_eq!(alice.status()["circle"]["name"], "home");
}

#[test]
fn a_database_that_was_emptied_is_no_new_one() {
    let alice = Device::founder("alice", "home");
    let database = alice.home().join("database");
    let whole = fs::read(&database).unwrap();
    fs::write(&database, "").unwrap();
    alice.run(["up", "--detach"]).fails(16, "empty");
    alice.run(["join", "acid-brave-coral-dune", "--name", "eve"]).fails(16, "empty");
    assert_eq!(database.metadata().unwrap().len(), 0);
    fs::remove_file(&database).unwrap();
    alice.run(["up", "--detach"]).fails(16, "missing");
    assert!(!database.exists());
    fs::write(&database, whole).unwrap();
    alice.up();
}

/// Flips a bit in stored values of `device`'s database: in the largest one, or in all others. Tells how many.
fn flip(device: &Device, the_largest: bool) -> usize {
    let database = rusqlite::Connection::open(device.home().join("database")).unwrap();
    let mut rows: Vec<(Vec<u8>, Vec<u8>, Vec<u8>)> = {
        let mut read = database.prepare("SELECT kind, id, body FROM records ORDER BY length(body)").unwrap();
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        read.query_map([], row).unwrap().map(Result::unwrap).collect()
    };
    let largest = rows.split_off(rows.len() - 1);
    let chosen = if the_largest { largest } else { rows };
    for (kind, id, body) in &chosen {
        let mut body = body.clone();
        let middle = body.len() / 2;
        body[middle] ^= 1;
        database.execute("UPDATE records SET body = ? WHERE kind = ? AND id = ?", (body, kind, id)).unwrap();
    }
    chosen.len()
}

#[test]
fn a_port_that_the_system_chose_is_kept_and_one_that_was_named_is_not() {
    let alice = Device::founder("alice", "home");
    let port = || {
        let port = alice.status()["addresses"][0].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
        alice.down();
        port
    };
    alice.up();
    let chosen = port();
    // One that is free now.
    let named = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    alice.run(["up", "--detach", "--port", &named]).ok();
    assert_eq!(port(), named);
    alice.up();
    assert_eq!(port(), chosen);
}

#[test]
fn a_bit_that_flips_costs_the_value_that_it_is_in_and_nothing_else_but_the_roster_is_refused() {
    let (alice, bob) = Device::trusting_pair();
    bob.down();
    alice.wait_state("bob", "away");
    alice.run(["peers", "rename", "bob", "bobby"]).ok();
    alice.run(["invite"]).ok();
    let file = alice.file("a.txt", "text");
    alice.queue(&file, "bobby", &[]);
    let mut piped = alice.command(["send", "-", "--to", "bobby", "--no-wait"]);
    Ran::of(piped.stdin(fs::File::open(&file).unwrap()).output().unwrap()).ok();
    alice.down();
    let spool = alice.home().join("spool");
    assert_eq!(names_in(&spool).len(), 1);

    let flipped = flip(&alice, false);
    assert!(flipped >= 5, "note, trace, invitation, port, two transfers: {flipped}");
    alice.up();
    let log = alice.run(["log", "--json", "--event", "record.damaged"]).json();
    assert_eq!(log.as_array().unwrap().len(), flipped, "{log}");
    for table in ["member notes", "device traces", "invitations", "ports", "transfers"] {
        let named = log.as_array().unwrap().iter().any(|entry| entry["details"]["table"] == table);
        assert!(named, "{table} is not in {log}");
    }
    assert_eq!(names_in(&spool).len(), 1, "what a lost transfer may need was removed");
    assert!(alice.transfers().is_empty());
    // The note may have said that bob is blocked.
    assert_eq!(alice.peer("bob")["state"], "blocked");
    alice.run(["peers", "unblock", "bob"]).ok();
    bob.up();
    alice.wait_online("bob");
    alice.run(["send", &file, "--to", "bob"]).ok();
    alice.run(["invite"]).ok();
    alice.down();

    // Without the roster, somebody who was removed would be let in again.
    assert_eq!(flip(&alice, true), 1);
    let before = fs::read(alice.home().join("database")).unwrap();
    let refused = alice.run(["up", "--detach"]).fails(16, "damaged");
    assert!(refused.stderr.contains("circle") && refused.stderr.contains("backup"), "{}", refused.stderr);
    assert!(fs::read(alice.home().join("database")).unwrap() == before);
}

#[test]
fn a_full_disk_is_not_taken_for_damage() {
    let alice = Device::new(1);
    let Some(_disk) = Disk::new(&alice.home(), "8m") else { return };
    alice.run(["init", "--name", "alice", "--circle", "home"]).ok();
    let ballast = alice.home().join("ballast");
    assert!(fs::write(&ballast, vec![1; 9 << 20]).is_err(), "the disk is larger than it should be");
    let refused = alice.run(["up", "--detach"]).fails(14, "free some space");
    assert!(!refused.stderr.contains("backup"), "{}", refused.stderr);
    fs::remove_file(&ballast).unwrap();
    alice.up();
    // Full while it runs.
    assert!(fs::write(&ballast, vec![1; 9 << 20]).is_err());
    alice.run(["invite"]).fails(14, "free some space");
    fs::remove_file(&ballast).unwrap();
    alice.run(["invite"]).ok();
    alice.down();
}

#[test]
fn a_mistake_in_the_settings_is_named_and_mended_by_command() {
    let alice = Device::founder("alice", "home");
    let settings = alice.home().join("settings.toml");
    fs::write(&settings, "lan = false\nport = \"many\"\ncolour = \"red\"\n").unwrap();
    for command in [&["up", "--detach"][..], &["config"]] {
        let ran = alice.run(command).fails(2, "settings.toml, line 2: port cannot be");
        assert!(ran.stderr.contains("warren config port"), "no way out: {}", ran.stderr);
    }
    alice.run(["config", "port", "0"]).ok();
    alice.run(["config"]).fails(2, "colour");
    alice.run(["config", "--unset", "colour"]).ok();
    assert_eq!(alice.run(["config", "lan"]).ok().stdout.trim(), "false");
    fs::write(&settings, "lan = false\nport = [1\n").unwrap();
    alice.run(["config", "port", "0"]).fails(2, "settings.toml, line 2");
}

#[test]
fn a_device_in_the_background_holds_nothing_of_its_starter_and_is_gone_after_down() {
    let alice = Device::founder("alice", "home");
    let lock = alice.file("lock", "");
    let script = "exec 9>>\"$1\" 3<\"$1\" 45<\"$1\"; flock -n 9 || exit 99; exec \"$0\" up --detach --quiet";
    let ran = Command::new("bash")
        .args(["-c", script, env!("CARGO_BIN_EXE_warren"), &lock])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("WARREN_HOME", alice.home())
        .env("WARREN_PASSPHRASE", PASSPHRASE)
        .stdin(Stdio::null())
        .output();
    let quiet = Ran::of(ran.unwrap()).ok();
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""), "--quiet is not quiet");
    let pid = alice.status()["pid"].to_string();
    let held = fs::metadata(&lock).unwrap().ino();
    for fd in fs::read_dir(format!("/proc/{pid}/fd")).unwrap() {
        let fd = fd.unwrap().path();
        assert!(fs::metadata(&fd).map_or(0, |open| open.ino()) != held, "{} is the caller's", fd.display());
    }
    assert!(Command::new("flock").args(["-n", &lock, "true"]).status().unwrap().success());
    alice.down();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    assert!(stat.is_empty() || stat.contains(") Z "), "it lives on: {stat}");
}

/// The demo with its temporary folders below `dir`.
fn demo(dir: &Path, args: &[&str]) -> Command {
    let mut command = warren();
    command.arg("demo").args(args).env("TMPDIR", dir);
    command
}

#[test]
fn the_demo_takes_what_it_has_room_for_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let (temporary, files) = (dir.path().join("tmp"), dir.path().join("files"));
    fs::create_dir(&temporary).unwrap();
    fs::create_dir(&files).unwrap();
    Ran::of(demo(&temporary, &["--size", "900TiB"]).output().unwrap()).fails(14, "free");
    assert!(names_in(&temporary).is_empty());

    // Ended from outside while it writes, and while devices run.
    for (size, sign) in [("400MiB", "holiday/film.bin"), ("1kB", "bo/home/keystore")] {
        let mut child =
            demo(&temporary, &["--size", size]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait(&format!("the demo to come to {sign}"), || {
            names_in(&temporary).iter().any(|name| temporary.join(name).join(sign).exists())
        });
        assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(130));
        assert!(names_in(&temporary).is_empty(), "left behind: {:?}", names_in(&temporary));
    }

    fs::write(files.join("note"), "to be sent").unwrap();
    assert!(Command::new("mkfifo").arg(files.join("pipe")).status().unwrap().success());
    let ran = Ran::of(demo(&temporary, &["--files", files.to_str().unwrap()]).output().unwrap()).ok();
    assert!(ran.stderr.contains("left out"), "{}", ran.stderr);
    assert!(names_in(&temporary).is_empty());
}
