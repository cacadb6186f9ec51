//! Exit codes, hints, and that nothing from outside acts on a terminal.

use api::{ApiError, ErrorCode, Request};
use warren_cli::exit_code;

use crate::fake::{EVIL, FakeHost};
use crate::stage::Stage;

#[tokio::test]
async fn every_error_code_has_its_exit_code_for_people_and_scripts() {
    for code in ErrorCode::ALL {
        let error = ApiError::new(*code, "it failed").hint("do this");
        let mut stage = Stage::with(FakeHost::failing(error));
        let ran = stage.run("status").await;
        assert_eq!((ran.code, ran.out.as_str()), (exit_code(*code), ""), "{code:?}");
        assert_eq!(ran.err, "error: it failed\nhint: do this\n");
        let ran = stage.run("status --json").await;
        assert_eq!(ran.code, exit_code(*code));
        let error: serde_json::Value = serde_json::from_str(&ran.err).unwrap();
        assert_eq!(error["error"]["code"], serde_json::to_value(code).unwrap());
        assert_eq!(error["error"]["hint"], "do this");
        assert_ne!(ran.code, 0);
    }
}

#[test]
fn documented_exit_codes_are_the_real_ones() {
    let docs = include_str!("../../../../docs/exit-codes.md");
    for code in ErrorCode::ALL {
        let name = serde_json::to_value(code).unwrap();
        let name = name.as_str().unwrap();
        let line = docs.lines().find(|line| line.contains(&format!("`{name}`")));
        let line = line.unwrap_or_else(|| panic!("{name} is not documented"));
        assert!(line.starts_with(&format!("| {} |", exit_code(*code))), "{line}");
    }
}

#[tokio::test]
async fn what_was_typed_does_not_bury_what_is_wrong_with_it() {
    let mut stage = Stage::new();
    let long = "x".repeat(5_000);
    for line in [long.clone(), format!("transfers limit {long}"), format!("transfers show {long}")] {
        let ran = stage.run(&line).await;
        assert!(ran.code != 0 && ran.err.len() < 500 && ran.err.contains("xxx…"), "{}", ran.err);
    }
}

#[tokio::test]
async fn mistakes_get_a_next_step() {
    let mut stage = Stage::new();
    for line in [
        "sned",
        "send|a|--too|bo",
        "send|--text||--to|bo",
        "transfers limit 0",
        "invite --role king",
        "invite --expires soon",
        "invite --uses 0",
        "peers rule bo",
        "peers rule bo --auto-accept lots",
        "peers block bu",
        "peers show xavier",
        "peers remove bo",
        "transfers pause",
        "transfers show zzzz",
        "config recieved_dir",
        "inbox accept",
        "decrypt nothing.age",
        "unlock",
        "init --name ada",
        "up",
        "sned --json",
    ] {
        let ran = stage.run(line).await;
        assert_ne!(ran.code, 0, "{line}");
        assert_eq!(ran.out, "", "{line}");
    }
    stage.golden("mistakes");
}

#[tokio::test]
async fn without_a_device_the_way_to_one_is_told() {
    let mut stage = Stage::with(FakeHost::stopped());
    stage.run("status").await;
    stage.run("up").await;
    stage.passphrase = Some("wrong");
    stage.run("up").await;
    stage.run("config").await;
    stage.golden("stopped");
    let mut stage = Stage::with(FakeHost::empty());
    stage.run("status").await;
    stage.run("up").await;
    stage.run("send|--text|hi|--to|bo|--json").await;
    stage.golden("empty");
}

#[tokio::test]
async fn nothing_from_outside_acts_on_the_terminal() {
    let lines = [
        "peers",
        "transfers --all",
        "transfers show cccc",
        "inbox",
        "inbox accept --all",
        "log",
        "peers --json",
        "inbox --json",
        "log --json",
        "receive --yes --once",
    ];
    let mut stage = Stage::new();
    for line in lines {
        let ran = stage.run(line).await;
        let shown = format!("{}{}", ran.out, ran.err);
        assert!(shown.contains("evil"), "{line}");
        let acts = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
        assert!(!shown.contains(acts), "{line}: {shown:?}");
    }
    let error = ApiError::new(ErrorCode::Refused, EVIL).hint(EVIL);
    let mut stage = Stage::with(FakeHost::failing(error));
    for line in ["status", "status --json"] {
        let ran = stage.run(line).await;
        assert!(!ran.err.contains(['\u{1b}', '\u{9b}', '\u{7}', '\r', '\u{202e}']), "{:?}", ran.err);
    }
}

#[tokio::test]
async fn passphrases_are_never_taken_from_arguments() {
    let mut stage = Stage::with(FakeHost::empty());
    for line in ["init --name ada --passphrase secret", "up --passphrase secret", "join x --name y --passphrase secret"]
    {
        assert_eq!(stage.run(line).await.code, 2, "{line}");
    }
}

#[tokio::test]
async fn a_result_that_could_not_be_written_is_an_error() {
    let mut stage = Stage::new();
    stage.full = true;
    for line in ["peers --json", "status", "--help", "transfers --json"] {
        let ran = stage.run(line).await;
        assert_eq!(ran.code, exit_code(ErrorCode::DiskFull), "{line}");
        assert!(ran.err.contains("cannot write to standard output"), "{line}: {}", ran.err);
    }
}

#[tokio::test]
async fn an_input_that_ends_gives_no_passphrase() {
    for line in ["unlock", "passphrase", "init --name ada"] {
        let mut stage = if line.starts_with("init") { Stage::with(FakeHost::empty()) } else { Stage::new() };
        stage.somebody_there = true;
        let ran = stage.run(line).await;
        assert_eq!(ran.code, 130, "{line}: {}", ran.err);
        if let Some(device) = &stage.host.device {
            let asked = device.asked.lock().unwrap();
            assert!(!asked.iter().any(|request| matches!(request, Request::Unlock(_) | Request::ChangePassphrase(_))));
        }
        assert!(stage.host.inits.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_damaged_entry_hides_no_other_and_is_no_success() {
    let mut stage = Stage::new();
    let ran = stage.run("log --event damaged").await;
    assert_eq!(ran.code, 16);
    assert!(ran.out.contains("device.started") && ran.out.contains("log.damaged"), "{}", ran.out);
    assert!(ran.err.contains("1 entry"), "{}", ran.err);
}
