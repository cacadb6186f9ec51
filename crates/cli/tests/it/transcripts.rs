//! What people and scripts see.

use api::Request;
use api::types::*;

use crate::fake::FakeHost;
use crate::stage::Stage;

/// Requests that reached the running device.
fn asked(stage: &Stage) -> Vec<Request> {
    stage.host.device.as_ref().unwrap().asked.lock().unwrap().clone()
}

#[tokio::test]
async fn looking() {
    let mut stage = Stage::new();
    for line in [
        "status",
        "peers",
        "peers show bo",
        "invites",
        "transfers",
        "transfers --all",
        "transfers show aaaa",
        "inbox",
        "log",
        "config",
        "config port",
        "version",
    ] {
        stage.run(line).await;
    }
    stage.golden("looking");
}

#[tokio::test]
async fn a_narrow_terminal_breaks_nothing() {
    let mut stage = Stage::new();
    stage.columns = Some(20);
    let ran = stage.run("invite").await;
    assert!(!ran.out.contains('\u{2588}'), "a QR code that does not fit: {}", ran.out);
    assert!(ran.err.contains("columns"), "{}", ran.err);
    stage.columns = Some(60);
    let ran = stage.run("peers --color never").await;
    for whole in ["direct, tcp", "laptop", "editor", "not verified"] {
        assert!(ran.out.contains(whole), "{whole}: {}", ran.out);
    }
    assert!(ran.out.lines().all(|line| line.chars().count() <= 60), "{}", ran.out);
    stage.columns = Some(160);
    assert!(stage.run("invite").await.out.contains('\u{2588}'));
    assert!(stage.run("peers --color never").await.out.starts_with("NAME"));
}

#[tokio::test]
async fn looking_as_json() {
    let mut stage = Stage::new();
    for line in [
        "status --json",
        "peers --json",
        "invites --json",
        "transfers --all --json",
        "inbox --json",
        "log --json",
        "config --json",
        "config port --json",
        "version --json",
    ] {
        let ran = stage.run(line).await;
        assert_eq!(ran.out.lines().count(), 1, "{line}");
        let _: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    }
    stage.golden("looking-json");
}

#[tokio::test]
async fn doing() {
    let mut stage = Stage::new();
    for line in [
        "invite --role reader --expires 2h --uses 3",
        "invite --json",
        "invite --revoke 3kq7",
        "peers add 192.0.2.7:4100",
        "peers rule bo --auto-accept 2GiB",
        "peers block bo",
        "peers|rename|bo|",
        "peers remove bo --yes",
        "peers verify bo --yes",
        "transfers pause aaaa",
        "transfers resume gggg7777",
        "transfers limit 5M/s",
        "transfers limit off --json",
        "inbox accept --all",
        "inbox reject bbbb2222",
        "config received_dir /srv/in",
        "config|received_dir|",
        "lock",
    ] {
        let ran = stage.run(line).await;
        assert_eq!(ran.code, 0, "{line}: {}", ran.err);
    }
    stage.golden("doing");
    let rule = asked(&stage).into_iter().find_map(|request| match request {
        Request::AcceptRule(rule) => Some(rule),
        _ => None,
    });
    assert_eq!(rule, Some(AcceptRule { name: "bo".into(), auto_accept: Some(2 << 30) }));
}

#[tokio::test]
async fn founding_and_joining() {
    let mut stage = Stage::with(FakeHost::empty());
    stage.somebody_there = true;
    stage.answers = vec!["four good random words", "four good random words"];
    stage.run("init --name ada --circle family").await;
    stage.answers = vec!["pass", "other"];
    stage.run("init --name ada").await;
    stage.somebody_there = false;
    stage.run("init --name ada").await;
    stage.passphrase = Some("from the environment");
    stage.run("join acid brave coral dune --name bo --at 192.0.2.1:4100").await;
    stage.golden("founding");
    let inits = stage.host.inits.lock().unwrap();
    assert_eq!(inits.len(), 1);
    assert_eq!(inits[0].device, "desk");
    assert_eq!(inits[0].passphrase.0, "four good random words");
    let joins = stage.host.joins.lock().unwrap();
    assert_eq!(joins[0].0.invitation, "acid-brave-coral-dune");
    assert_eq!(joins[0].1.0, "from the environment");
}

#[tokio::test(start_paused = true)]
async fn whoever_does_not_answer_is_waited_for_as_long_as_was_asked() {
    let mut stage = Stage::new();
    let begun = tokio::time::Instant::now();
    let ran = stage.run("send|--text|hi|--to|silent|--patience|10min").await;
    assert_eq!((ran.code, begun.elapsed().as_secs() / 60), (11, 10), "{}", ran.err);
    let ran = stage.run("send|--text|hi|--to|silent|--patience|0s").await;
    assert_eq!(ran.code, 11, "{}", ran.err);
    stage.golden("silent");
    let forever = stage.run("send|--text|hi|--to|silent");
    assert!(tokio::time::timeout(std::time::Duration::from_secs(24 * 3600), forever).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn whoever_has_the_code_and_no_room_is_waited_for_ten_minutes_and_keeps_what_it_has() {
    let mut stage = Stage::with(FakeHost::stopped());
    let begun = tokio::time::Instant::now();
    let ran = stage.run("send|--text|full").await;
    assert_eq!((ran.code, begun.elapsed().as_secs() / 60), (14, 10), "{}", ran.err);
    let cancelled = |stage: &Stage| {
        let asked = stage.host.passing.asked.lock().unwrap();
        asked.iter().any(|request| matches!(request, Request::CancelTransfer(_)))
    };
    assert!(!cancelled(&stage), "the receiver was told to throw away what it has");
    stage.golden("no-room");
    let forever = stage.run("send|--text|gone");
    assert!(tokio::time::timeout(std::time::Duration::from_secs(23 * 3600), forever).await.is_err());
}

#[tokio::test]
async fn sending() {
    let mut stage = Stage::new();
    let path = env!("CARGO_MANIFEST_DIR");
    for line in [
        "send|--text|hi|--to|bo,cy".to_owned(),
        "send|--text|hi|--to|bo|--json".to_owned(),
        "send|--text|hi|--to|bo,no".to_owned(),
        "send|--text|hi|--to|no".to_owned(),
        "send|--text|hi|--to|most".to_owned(),
        "send|--text|hi|--to|away|--patience|0s".to_owned(),
        "send|--text|hi|--to|slow|--patience|0s".to_owned(),
        "send|--text|hi|--to|full|--patience|0s".to_owned(),
        "send|--text|hi|--to|denied|--patience|0s".to_owned(),
        "send|--text|hi|--to|away|--no-wait".to_owned(),
        "send|--text|hi|--to|boo".to_owned(),
        "send --to bo".to_owned(),
        "send /no/such/file --to bo".to_owned(),
        "send|--text|hi".to_owned(),
        "send|--text|hi|--no-wait".to_owned(),
    ] {
        stage.run(&line).await;
    }
    stage.golden("sending");
    stage.run(&format!("send|{path}/src|--to|bo|--limit|5M")).await;
    let Some(Request::Send(send)) = asked(&stage).pop() else { panic!("no send") };
    assert_eq!(send.paths, [format!("{path}/src")]);
    assert_eq!(send.rate_limit, Some(5_000_000));
}

#[tokio::test]
async fn a_path_of_bytes_is_sent_as_bytes() {
    use std::os::unix::ffi::OsStrExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(std::ffi::OsStr::from_bytes(b"not \xff utf-8"));
    std::fs::write(&path, "x").unwrap();
    let stage = Stage::new();
    let args = ["warren".into(), "send".into(), path.clone().into_os_string(), "--to".into(), "bo".into()];
    let host = stage.host.clone();
    let code = warren_cli::run_on(warren_cli::Terminal::of_process(), args.into_iter(), move |_| Ok(host)).await;
    assert_eq!(code, 0);
    let Some(Request::Send(send)) = asked(&stage).pop() else { panic!("no send") };
    assert!(send.paths.is_empty());
    let raw = data_encoding::BASE64URL_NOPAD.decode(send.paths_raw[0].as_bytes()).unwrap();
    assert_eq!(raw, path.as_os_str().as_bytes());
}

#[tokio::test]
async fn standard_input_is_handed_over() {
    let mut stage = Stage::new();
    stage.stdin = b"from a pipe";
    let ran = stage.run("send - --name notes.txt --to bo").await;
    assert_eq!(ran.code, 0, "{}", ran.err);
    let Some(Request::Send(send)) = asked(&stage).pop() else { panic!("no send") };
    assert_eq!(send.spool, Some(FromSpool { id: "spooled1".into(), name: "notes.txt".into() }));
    assert!(send.paths.is_empty());
    assert_eq!(*stage.host.device.as_ref().unwrap().spooled.lock().unwrap(), b"from a pipe");

    assert_eq!(stage.run("send -").await.code, 0);
    assert_eq!(*stage.host.passing.spooled.lock().unwrap(), b"from a pipe");
    assert_eq!(stage.run(&format!("send - {} --to bo", env!("CARGO_MANIFEST_DIR"))).await.code, 2);
    stage.somebody_there = true;
    assert_eq!(stage.run("send - --to bo").await.code, 2);
}

#[tokio::test]
async fn receiving() {
    let mut stage = Stage::new();
    stage.run("receive").await;
    stage.run("receive acid-brave-coral-dune").await;
    stage.run("receive --yes --once").await;
    stage.run("receive acid brave coral dune --yes").await;
    stage.somebody_there = true;
    stage.answers = vec!["n"];
    stage.run("receive acid-brave-coral-dune").await;
    stage.answers = vec!["y"];
    stage.run("receive acid-brave-coral-dune --json").await;
    stage.answers = vec!["no"];
    stage.run("receive --once").await;
    stage.golden("receiving");
}

#[tokio::test]
async fn sealing_files() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("plain");
    std::fs::write(&file, "hello").unwrap();
    let file = file.to_str().unwrap();
    let mut stage = Stage::with(FakeHost::stopped());
    stage.passphrase = Some("of the device");
    assert_eq!(stage.run(&format!("encrypt {file}")).await.code, 5, "sealed under the device's passphrase");
    stage.file_passphrase = Some("of the file");
    assert_eq!(stage.run(&format!("encrypt {file}")).await.code, 0);
    assert_eq!(stage.run(&format!("encrypt {file} --to bo")).await.code, 7);
    assert_eq!(stage.run(&format!("decrypt {file}")).await.code, 2);
    assert_eq!(stage.run(&format!("decrypt {file} -o {file}.out")).await.code, 0);
    stage.file_passphrase = None;
    assert_eq!(stage.run(&format!("decrypt {file} -o {file}.out")).await.code, 5);
    stage.stdin = b"from a pipe\nmore";
    assert_eq!(stage.run(&format!("encrypt {file} --file-passphrase-file -")).await.code, 0);
    let asked = stage.host.passing.asked.lock().unwrap();
    let under = |request: &Request| match request {
        Request::Encrypt(encrypt) => encrypt.passphrase.as_ref().map(|passphrase| passphrase.0.clone()),
        Request::Decrypt(decrypt) => decrypt.passphrase.as_ref().map(|passphrase| passphrase.0.clone()),
        _ => None,
    };
    let passphrases: Vec<_> = asked.iter().map(under).collect();
    let file_passphrase = Some("of the file".to_owned());
    assert_eq!(passphrases, [file_passphrase.clone(), None, file_passphrase, None, Some("from a pipe".to_owned())]);
    assert!(matches!(&asked[0], Request::Encrypt(e) if e.output == format!("{file}.age")));
}

#[tokio::test]
async fn sealing_streams() {
    let mut stage = Stage::new();
    stage.stdin = b"content";
    stage.run("encrypt - --to bo").await;
    stage.run("encrypt - --to boo").await;
    stage.run("encrypt -").await;
    stage.file_passphrase = Some("of the file");
    stage.run("encrypt -").await;
    stage.run("encrypt - --to bo -o /x/sealed.age").await;
    stage.run("encrypt - --file-passphrase-file -").await;
    stage.stdin = b"to:age1bo:content";
    stage.run("decrypt -").await;
    stage.run("decrypt - --json").await;
    stage.run("decrypt - --json --out /x/plain").await;
    stage.stdin = b"pass:of the file:half of it, then damaged";
    stage.run("decrypt -").await;
    stage.file_passphrase = None;
    stage.run("decrypt -").await;
    // Who sits at the keyboard is asked, although standard input is a pipe.
    stage.answers = vec!["typed"];
    stage.run("decrypt -").await;
    // Terminals.
    stage.columns = Some(100);
    stage.stdin = b"to:age1bo:some text\n";
    stage.run("decrypt -").await;
    stage.stdin = b"to:age1bo:\x1b[2J";
    stage.run("decrypt -").await;
    stage.run("encrypt - --to bo").await;
    stage.stdin = b"content";
    stage.run("encrypt - --to bo --armor").await;
    stage.somebody_there = true;
    stage.run("encrypt - --to bo --armor").await;
    stage.golden("sealing-streams");
    let mut stage = Stage::with(FakeHost::stopped());
    stage.stdin = b"to:age1bo:content";
    assert_eq!(stage.run("decrypt -").await.code, 7);
    assert_eq!(stage.run("encrypt - --to bo").await.code, 7);
}

#[tokio::test]
async fn man_pages_and_completions_are_complete() {
    let dir = tempfile::tempdir().unwrap();
    let mut stage = Stage::with(FakeHost::empty());
    assert_eq!(stage.run(&format!("man {}", dir.path().display())).await.code, 0);
    for name in ["warren.1", "warren-send.1", "warren-peers.1", "warren-space.1", "warren-ls.1", "warren-restore.1"] {
        let page = std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert!(page.contains(".TH") && page.contains("EXTRA"), "{name}");
    }
    let rule = std::fs::read_to_string(dir.path().join("warren-peers-rule.1")).unwrap();
    assert!(rule.contains(".TH warren-peers-rule") && rule.contains("auto"), "{rule}");
    for shell in ["bash", "zsh", "fish"] {
        let ran = stage.run(&format!("completions {shell}")).await;
        assert!(ran.out.contains("transfers") && ran.out.contains("unshare"), "{shell}");
        let json: serde_json::Value =
            serde_json::from_str(&stage.run(&format!("--json completions {shell}")).await.out).unwrap();
        assert_eq!(json["script"].as_str(), Some(&*ran.out));
    }
}

#[tokio::test]
async fn the_version_is_json_where_that_is_asked_for() {
    let mut stage = Stage::with(FakeHost::empty());
    let (option, command) = (stage.run("--json --version").await, stage.run("version --json").await);
    assert_eq!((option.code, &option.out), (0, &command.out));
    assert!(option.out.starts_with("{\"version\":"), "{}", option.out);
}

#[tokio::test]
async fn unit_runs_this_home() {
    let mut stage = Stage::with(FakeHost::stopped());
    let ran = stage.run("service").await;
    assert!(ran.out.contains("--home \"/home/ada/warren\" up --locked"), "{}", ran.out);
    let ran = stage.run("service --passphrase-file /etc/secret%1 --json").await;
    assert!(ran.out.contains("--passphrase-file \\\"/etc/secret%%1\\\" up\\n"), "{}", ran.out);
    assert_eq!(stage.run("service --name ../../evil").await.code, 2);
    assert_eq!(stage.run("service --force").await.code, 2);
}
