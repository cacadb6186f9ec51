//! What a locked or stopped device gives away, and to whom it opens.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::device::{Device, PASSPHRASE, Ran, assert_same_tree, wait};
use crate::tree::noise;

#[test]
fn a_locked_device_serves_nobody_and_goes_on_once_unlocked() {
    let (alice, bob) = Device::trusting_pair();
    let size = 24 << 20;
    let big = alice.file("big.bin", noise(9, size));
    let id = alice.queue(&big, "bob", &["--limit", "4MB"]);
    wait("some of it", || alice.transfer(&id)["bytes_done"].as_u64().unwrap() > 2 << 20);
    bob.run(["lock"]).ok();
    let status = bob.status();
    assert_eq!(status["locked"], true);
    assert!(status["identity"].is_null() && status["circle"].is_null(), "{status}");
    for command in [&["peers"][..], &["transfers"], &["inbox"], &["log"], &["invites"], &["invite"], &["cert", "show"]]
    {
        bob.run(command).fails(5, "");
    }
    bob.run(["send", &big, "--to", "alice"]).fails(5, "");
    alice.wait_state("bob", "away");
    alice.wait_transfer(&id, "waiting");
    assert!(!bob.received().join("big.bin").exists());

    bob.run_as("not the passphrase", ["unlock"]).fails(6, "wrong passphrase");
    bob.run(["unlock"]).ok();
    bob.run_as("not the passphrase", ["unlock"]).fails(6, "wrong passphrase");
    bob.run(["unlock"]).ok();
    alice.run(["transfers", "limit", "off", &id]).ok();
    alice.wait_transfer(&id, "done");
    assert_same_tree(Path::new(&big), &bob.received().join("big.bin"));
    let events = bob.events();
    for event in ["device.locked", "device.unlocked", "login.failed"] {
        assert!(events.iter().any(|e| e == event), "no {event} in {events:?}");
    }
    let started = |events: &[String]| events.iter().filter(|e| *e == "device.started").count();
    assert_eq!(started(&events), 1, "an unlock is no start: {events:?}");

    // A device may also start locked.
    bob.down();
    bob.run(["up", "--detach", "--locked"]).ok();
    bob.run(["peers"]).fails(5, "unlock");
    bob.run(["unlock"]).ok();
    bob.wait_online("alice");
    assert_eq!(started(&bob.events()), 2);
}

/// How often a text stands in the memory of a process; `None`: this system does not let a test look.
fn in_memory(pid: u64, text: &str) -> Option<usize> {
    use std::os::unix::fs::FileExt;
    let memory = std::fs::File::open(format!("/proc/{pid}/mem")).ok()?;
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    let mut hits = 0;
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (from, to) = line.split_once(' ')?.0.split_once('-')?;
        let (from, to) = (u64::from_str_radix(from, 16).ok()?, u64::from_str_radix(to, 16).ok()?);
        let mut bytes = vec![0; usize::try_from(to - from).ok()?];
        // Not every mapping can be read, `[vvar]` for one.
        if memory.read_exact_at(&mut bytes, from).is_ok() {
            hits += bytes.windows(text.len()).filter(|window| *window == text.as_bytes()).count();
        }
    }
    Some(hits)
}

#[test]
fn the_passphrase_is_gone_from_memory() {
    let alice = Device::founder("alice", "home");
    alice.up();
    let pid = alice.status()["pid"].as_u64().unwrap();
    // The name of the device is there, so looking works.
    match in_memory(pid, "alice-box") {
        None => eprintln!("skipped: this system does not let the memory of others be read"),
        Some(hits) => {
            assert_ne!(hits, 0);
            assert_eq!(in_memory(pid, PASSPHRASE), Some(0), "while it is unlocked");
            alice.run(["lock"]).ok();
            assert_eq!(in_memory(pid, PASSPHRASE), Some(0), "after lock");
        }
    }
}

#[test]
fn passphrases_change_and_guessing_gets_slow() {
    let alice = Device::founder("alice", "home");
    alice.up();
    let new = alice.file("new", "another good passphrase\n");
    let change = |old: &str| alice.run_as(old, ["passphrase", "--new-passphrase-file", &new]);
    let noted = |name: &str| alice.events().iter().filter(|e| *e == name).count();
    change(PASSPHRASE).ok();
    alice
        .run_as("another good passphrase", ["passphrase", "--new-passphrase-file", &alice.file("old", PASSPHRASE)])
        .ok();
    assert_eq!((noted("login.failed"), noted("passphrase.changed")), (0, 2));
    // Locked, it is noted as well, with the wrong tries before it; what comes to nothing takes none of them away.
    alice.run(["lock"]).ok();
    change("not the passphrase").fails(6, "wrong passphrase");
    alice.run(["passphrase", "--new-passphrase-file", &alice.file("short", "short")]).fails(2, "8 characters");
    change(PASSPHRASE).ok();
    alice.run_as("another good passphrase", ["unlock"]).ok();
    assert_eq!((noted("login.failed"), noted("passphrase.changed")), (1, 3));
    alice.down();
    alice.run(["up", "--detach"]).fails(6, "wrong passphrase");
    alice.run_as("another good passphrase", ["up", "--detach"]).ok();
    assert!(alice.events().iter().any(|e| e == "passphrase.changed"));
    alice.down();

    // Guesses wait longer and longer, over restarts as well; the right one is not even tried before its time.
    let slowed = (0..6).map(|_| alice.run_as("a guess", ["up", "--detach"])).find(|ran| ran.stderr.contains(" s"));
    slowed.expect("six guesses in a row cost no time").fails(6, "possible in");
    let early = alice.run_as("another good passphrase", ["up", "--detach"]);
    if early.code != 0 {
        early.fails(6, "try again in");
    }
    let mut last = Ran { code: 0, stdout: String::new(), stderr: String::new() };
    wait("the delay to end", || {
        last = alice.run_as("another good passphrase", ["up", "--detach"]);
        last.code == 0
    });
    assert!(alice.events().iter().any(|e| e == "login.failed"));
}

/// All files below `dir`.
fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for item in std::fs::read_dir(dir).unwrap() {
        let path = item.unwrap().path();
        match path.symlink_metadata().unwrap().file_type() {
            kind if kind.is_dir() => found.extend(files_below(&path)),
            kind if kind.is_file() => found.push(path),
            _ => {}
        }
    }
    found
}

#[test]
fn a_stopped_device_shows_no_names() {
    let alice = Device::founder("plantedalice", "plantedcircle");
    alice.up();
    let bob = Device::joined(&alice, "plantedbob");
    alice.wait_online("plantedbob");
    bob.trust("plantedalice");
    let done = alice.file("plantedfile.txt", "plantedcontent");
    alice.run(["send", &done, "--to", "plantedbob", "--text", "plantedtext"]).ok();
    alice.run(["peers", "rename", "plantedbob", "plantedpet"]).ok();
    bob.run(["peers", "rule", "plantedalice", "--ask"]).ok();
    let open = alice.queue(&alice.file("plantedopen.txt", "plantedopen"), "plantedpet", &["--text", "plantedtext"]);
    assert_eq!(bob.offer()["id"].as_str(), Some(open.as_str()));
    alice.run(["peers", "remove", "plantedpet", "--reason", "plantedreason", "--yes"]).ok();
    alice.run(["invite"]).ok();
    let ids = [alice.status()["identity"]["device_id"].clone(), bob.status()["identity"]["device_id"].clone()];
    let addresses: Vec<_> =
        [&alice, &bob].iter().flat_map(|d| d.status()["addresses"].as_array().unwrap().clone()).collect();
    alice.down();
    bob.kill();

    let mut secrets = vec!["planted".to_owned(), PASSPHRASE.to_owned()];
    secrets.extend(ids.iter().chain(&addresses).map(|value| value.as_str().unwrap().to_owned()));
    for device in [&alice, &bob] {
        let files = files_below(&device.home());
        assert!(files.len() >= 3, "{files:?}");
        assert_eq!(std::fs::metadata(device.home()).unwrap().permissions().mode() & 0o777, 0o700);
        for file in files {
            let mode = std::fs::metadata(&file).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", file.display());
            let bytes = std::fs::read(&file).unwrap();
            for secret in &secrets {
                let found = bytes.windows(secret.len()).any(|window| window.eq_ignore_ascii_case(secret.as_bytes()));
                assert!(!found, "{secret} stands in {}", file.display());
            }
        }
        let keystore = std::fs::metadata(device.home().join("keystore")).unwrap();
        assert_eq!(keystore.permissions().mode() & 0o777, 0o600);
    }
}

/// What the API on TCP answers to a request for the status with these headers: the status line and the rest.
fn ask(address: &str, headers: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(stream, "POST /v1/status HTTP/1.1\r\n{headers}Content-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_api_on_tcp_is_there_when_asked_for_and_opens_to_its_token_only() {
    let alice = Device::founder("alice", "home");
    alice.up();
    assert!(alice.status()["api"].is_null());
    alice.down();
    alice.run(["up", "--detach", "--api-port", "0"]).ok();
    let url = alice.status()["api"].as_str().unwrap().to_owned();
    let address = url.strip_prefix("http://").unwrap();
    assert!(address.starts_with("127.0.0.1:"));
    let file = alice.home().join("run/api.token");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let token = std::fs::read_to_string(&file).unwrap();

    let good = ask(address, &format!("Host: {address}\r\nAuthorization: Bearer {token}\r\n"));
    assert!(good.starts_with("HTTP/1.1 200") && good.contains("alice"), "{good}");
    let port = address.rsplit(':').next().unwrap();
    for (host, key, more) in [
        (address, "", ""),
        (address, &*token.replace(&token[..4], "zzzz"), ""),
        (&*format!("evil.example:{port}"), &*token, ""),
        (address, &*token, "Origin: http://evil.example\r\n"),
    ] {
        let refused = ask(address, &format!("Host: {host}\r\nAuthorization: Bearer {key}\r\n{more}"));
        assert!(refused.starts_with("HTTP/1.1 403") && !refused.contains("alice"), "{refused}");
    }
    alice.down();
    assert!(!file.exists() && std::net::TcpStream::connect(address).is_err());

    // What a killed device leaves behind is no key to the next one.
    alice.run(["up", "--detach", "--api-port", "0"]).ok();
    alice.kill();
    assert!(file.exists());
    alice.up();
    assert!(alice.status()["api"].is_null() && !file.exists());
}

/// Runs a shell script on a terminal of its own; `None` where there is no `script` (Debian package bsdutils).
fn on_a_terminal(device: &Device, text: &str) -> Option<Ran> {
    if std::process::Command::new("script").arg("--version").stdout(std::process::Stdio::null()).status().is_err() {
        eprintln!("skipped: no `script` on this machine");
        return None;
    }
    let script = device.file("on-a-terminal.sh", text);
    let mut command = std::process::Command::new("script");
    command.args(["-qec", &format!("sh '{script}'"), "/dev/null"]).env("WARREN_HOME", device.home());
    command.env("WARREN", env!("CARGO_BIN_EXE_warren")).env("FILES", device.files());
    let piped = std::process::Stdio::piped;
    let mut child = command.stdin(piped()).stdout(piped()).stderr(piped()).spawn().unwrap();
    // Its end would be typed as Ctrl-D.
    let _nobody_types = child.stdin.take();
    Some(Ran::of(child.wait_with_output().unwrap()))
}

#[test]
fn a_signal_at_a_passphrase_prompt_gives_the_terminal_back() {
    let alice = Device::founder("alice", "home");
    // `asked SIGNAL COMMAND`: sends the signal once the terminal does not show any more what is typed.
    let script = "
        cd \"$FILES\"; echo secret > plain
        asked() {
            signal=$1; shift
            (until stty -a </dev/tty | tr ' ' '\\n' | grep -qx -e -echo; do sleep 0.05; done; kill -$signal \"$(cat pid)\") &
            sh -c 'echo $$ > pid; exec \"$@\"' - \"$@\" </dev/tty
            echo \"ended by $?\"
            stty -a </dev/tty | tr ' ' '\\n' | grep -qx echo && echo 'it shows again'
            stty -a </dev/tty | tr ' ' '\\n' | grep -qx isig && echo 'it interrupts again'
            stty echo isig </dev/tty
        }
        asked TERM \"$WARREN\" encrypt plain
        asked INT \"$WARREN\" up
    ";
    let Some(ran) = on_a_terminal(&alice, script) else { return };
    let (text, lines) = (&ran.stdout, ran.stdout.lines().map(str::trim));
    let told: Vec<_> = lines.filter(|line| line.starts_with("ended") || line.starts_with("it ")).collect();
    let again = ["it shows again", "it interrupts again"];
    assert_eq!(told, [["ended by 143"].as_slice(), &again, &["ended by 130"], &again].concat(), "{text}");
    assert!(!alice.files().join("plain.age").exists());
}
