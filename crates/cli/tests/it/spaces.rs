//! Spaces: what people and scripts see, what reaches the device, and how each command ends.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use api::Request;
use api::types::*;

use crate::fake::FakeHost;
use crate::stage::Stage;

/// Requests that reached the running device.
fn asked(stage: &Stage) -> Vec<Request> {
    stage.host.device.as_ref().unwrap().asked.lock().unwrap().clone()
}

/// The last request, as JSON.
fn last(stage: &Stage) -> serde_json::Value {
    serde_json::to_value(asked(stage).pop().unwrap()).unwrap()
}

#[tokio::test]
async fn looking_at_spaces() {
    let mut stage = Stage::new();
    for line in [
        "space",
        "space list",
        "space info home",
        "access home",
        "access home:Photos",
        "ls home:",
        "ls home",
        "ls home:Photos",
        "ls home:notes.txt",
        "ls home:*.jpg",
        "ls -d home:Photos",
        "ls -l home:",
        "ls -r home: --deleted --at 2h",
        "log home:notes.txt",
        "diff home:notes.txt",
        "diff home:Photos --from 1w",
        "diff home:same",
        "conflicts",
        "conflicts home --diff",
        "sync",
        "jobs",
        "verify home",
        "cat home:notes.txt",
        "cat home:notes.txt home:notes.txt --offset 1k --length 10",
    ] {
        let ran = stage.run(line).await;
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{line}");
    }
    stage.golden("spaces-looking");
}

#[tokio::test]
async fn looking_at_spaces_as_json() {
    let mut stage = Stage::new();
    for (line, documents) in [
        ("space list --json", 1),
        ("space info home --json", 1),
        ("access home --json", 1),
        ("ls -r home: --deleted --json", 8),
        ("log home:notes.txt --json", 4),
        ("diff home:notes.txt --json", 1),
        ("conflicts --json", 1),
        ("sync --json", 1),
        ("jobs --json", 1),
        ("verify home --json", 1),
        ("evidence export home --json", 1),
    ] {
        let ran = stage.run(line).await;
        assert_eq!((ran.code, ran.out.lines().count()), (0, documents), "{line}");
        for line in ran.out.lines() {
            let _: serde_json::Value = serde_json::from_str(line).unwrap();
        }
    }
    stage.golden("spaces-json");
}

#[tokio::test]
async fn a_terminal_gets_columns() {
    let mut stage = Stage::new();
    for columns in [200, 60, 20] {
        stage.columns = Some(columns);
        let ran = stage.run("ls home: --deleted --color never").await;
        // One name that is too long for the terminal stands alone on its line.
        let fits = |line: &str| line.chars().count() <= columns.into() || !line.trim().contains("  ");
        assert!(ran.out.lines().all(fits), "{}", ran.out);
    }
    stage.columns = Some(120);
    stage.run("ls -l home: --color always").await;
    stage.run("diff home:notes.txt --color always").await;
    stage.golden("spaces-columns");
}

#[tokio::test]
async fn long_listings_come_in_parts() {
    let mut stage = Stage::new();
    for line in ["ls -r home:many", "ls home:many --json", "ls -l home:many"] {
        let before = asked(&stage).len();
        let ran = stage.run(line).await;
        assert_eq!(ran.out.lines().count(), 2500, "{line}");
        let queries: Vec<_> = asked(&stage)[before..].to_vec();
        let after = |request: &Request| match request {
            Request::TreeList(query) => query.after.as_ref().map(TreePath::shown),
            other => panic!("{other:?}"),
        };
        let after: Vec<_> = queries.iter().map(after).collect();
        assert_eq!(after, [None, Some("many/0999".into()), Some("many/1999".into())], "{line}");
    }
    stage.full = true;
    let before = asked(&stage).len();
    assert_eq!(stage.run("ls -r home:many").await.code, 14);
    assert_eq!(asked(&stage).len() - before, 1, "the device was asked for what nobody reads");
}

#[tokio::test]
async fn doing_things_to_spaces() {
    let mut stage = Stage::new();
    for line in [
        "space create photos",
        "space rename home|our home",
        "space keep home on-demand",
        "space history home 90d",
        "space quota home 50G",
        "store repair",
        "store rebuild --json",
        "store tidy --preview",
        "store tidy home --yes",
        "space share home --with bo,cy --role editor",
        "space share home:Photos --with bo --role reader --json",
        "space share home --path Photos --with vault --role storage --quota 50G",
        "space unshare home --with bo --preview",
        "space unshare home --with bo --yes",
        "space forget home --force --yes",
        "mkdir -p home:work/2026 home:play",
        "mv home:a home:b home:archive",
        "cp home:Photos work: --at 1w",
        "rm home:notes.txt --yes",
        "rm home:notes.txt --yes --json",
        "rm home:notes.txt --yes --quiet",
        "rm -r home:many --preview",
        "restore home:notes.txt --preview",
        "restore home:notes.txt --yes",
        "restore home:same --at 2h",
        "undo --member bo --since 2h --in home --preview",
        "undo --device bo/laptop --since 2h --in home --yes",
        "conflicts resolve 7f3a --keep mine",
        "conflicts resolve 7f3a --keep both --preview --json",
        "device lost bo/phone --preview",
        "device lost bo/phone --yes",
        "sync Documents home:Documents",
        "sync Documents home --once",
        "sync Documents",
        "sync --stop Documents",
        "jobs cancel 3kq7",
    ] {
        let line =
            if line.contains('|') { line.replace(' ', "|").replace("our|home", "our home") } else { line.to_owned() };
        let ran = stage.run(&line).await;
        assert_eq!(ran.code, 0, "{line}: {}", ran.err);
    }
    let here = std::env::current_dir().unwrap();
    stage.golden_without("spaces-doing", here.to_str().unwrap());
}

#[tokio::test]
async fn putting_and_getting() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().to_str().unwrap();
    std::fs::write(dir.path().join("12:30.txt"), "x").unwrap();
    let mut stage = Stage::new();
    stage.stdin = b"from a pipe";
    for line in [
        format!("put {at}/12:30.txt home:"),
        format!("put {at}/12:30.txt home:new --json"),
        format!("put {at}/12:30.txt home:new --json --quiet"),
        format!("put {at}/12:30.txt home:part"),
        format!("put {at}/12:30.txt home:fail"),
        format!("put {at}/12:30.txt home:taken --new"),
        format!("put {at}/nothing home:"),
        format!("put {at}/12:30.txt {at}"),
        format!("put --delete {at} home:Photos"),
        "put - home:a.txt".to_owned(),
        "put - home:".to_owned(),
        format!("put - {at} home:"),
        "write home:a.txt --if-version 3f9c2a71".to_owned(),
        "write home:dir/".to_owned(),
        format!("get home:a {at}"),
        format!("get home:a --to {at} --quiet"),
        format!("get home:part home:b {at} --existing skip"),
        "get home:fail".to_owned(),
        "get home:a work:b".to_owned(),
        "get notes.txt".to_owned(),
        "get home:a out --to in".to_owned(),
        "get home:a -".to_owned(),
        "cat home:cut".to_owned(),
        "cat home:nothing".to_owned(),
    ] {
        stage.run(&line).await;
    }
    stage.columns = Some(80);
    stage.run("cat home:picture").await;
    stage.run("evidence export home").await;
    stage.somebody_there = true;
    stage.run("write home:a.txt").await;
    stage.golden_without("spaces-putting", at);
    let spooled = asked(&stage).into_iter().find_map(|request| match request {
        Request::TreePut(put) if put.spool.is_some() => Some(put),
        _ => None,
    });
    let expected = TreePut { space: "home".into(), to: "a.txt".into(), exact: true, ..TreePut::default() };
    assert_eq!(spooled, Some(TreePut { spool: Some("spooled1".into()), ..expected }));
}

#[tokio::test]
async fn one_thing_becomes_the_place_unless_a_directory_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().to_str().unwrap();
    std::fs::write(dir.path().join("f"), "x").unwrap();
    let mut stage = Stage::new();
    for (to, exact) in
        [("home:", false), ("home:Photos", false), ("home:new", true), ("home:notes.txt", true), ("home:new/", false)]
    {
        stage.run(&format!("put {at}/f {to}")).await;
        assert_eq!(last(&stage)["with"]["exact"], exact, "{to}");
    }
    for (line, exact) in [
        (format!("get home:a {at}"), false),
        (format!("get home:a {at}/new"), true),
        (format!("get home:a {at}/f"), true),
        (format!("get home:a {at}/new/"), false),
        (format!("get home:a* {at}/new"), false),
        (format!("get home:a home:b {at}/new"), false),
    ] {
        stage.run(&line).await;
        assert_eq!(last(&stage)["with"]["exact"], exact, "{line}");
    }
}

#[tokio::test]
async fn paths_are_bytes_on_both_sides() {
    let dir = tempfile::tempdir().unwrap();
    let local = dir.path().join(OsStr::from_bytes(b"not \xff utf-8"));
    std::fs::write(&local, "x").unwrap();
    let stage = Stage::new();
    let place = OsStr::from_bytes(b"home:caf\xe9/").to_os_string();
    for args in [vec!["put".into(), local.clone().into_os_string(), place.clone()], vec!["ls".into(), place]] {
        let args = std::iter::once(OsString::from("warren")).chain(args);
        let host = stage.host.clone();
        warren_cli::run_on(warren_cli::Terminal::of_process(), args, move |_| Ok(host)).await;
    }
    let asked = asked(&stage);
    let [Request::TreePut(put), Request::TreeList(list)] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!(put.sources[0].0, local.as_os_str().as_bytes());
    assert_eq!((put.to.0.as_slice(), put.exact), (&b"caf\xe9"[..], false));
    assert_eq!(list.path.0, b"caf\xe9");
}

#[tokio::test]
async fn what_destroys_shows_what_it_would_do_and_asks() {
    let mut stage = Stage::new();
    let lines = [
        "rm -r home:many",
        "restore home:notes.txt --at 2h",
        "undo --member bo --since 2h --in home",
        "space unshare home --with bo",
        "device lost bo/phone",
        "space forget home",
    ];
    let did = |stage: &Stage, from: usize| {
        let asked = asked(stage);
        asked[from..].iter().any(|request| {
            let with: serde_json::Value = serde_json::from_slice(&request.body().unwrap()).unwrap();
            with["preview"] == false || matches!(request, Request::SpaceForget(_))
        })
    };
    for line in lines {
        let before = asked(&stage).len();
        let ran = stage.run(line).await;
        assert_eq!(ran.code, 2, "nobody could answer: {line}");
        assert!(!did(&stage, before), "{line}");
        stage.somebody_there = true;
        stage.answers = vec!["n"];
        assert_eq!(stage.run(line).await.code, 130, "{line}");
        assert!(!did(&stage, before), "{line}");
        stage.answers = vec!["y"];
        stage.run(line).await;
        assert!(did(&stage, before), "{line}");
        stage.somebody_there = false;
    }
    stage.run("rm home:a --json").await;
    stage.golden("spaces-asking");
}

#[tokio::test]
async fn mistakes_with_spaces_get_a_next_step() {
    let mut stage = Stage::new();
    for line in [
        "ls",
        "ls hom:",
        "ls home:nothing",
        "ls :Photos",
        "ls home:../etc",
        "cat notes.txt",
        "cat /etc/passwd",
        "log notes.txt",
        "log home: --follow",
        "mv home:a",
        "mv home:a work:b",
        "mkdir home:a work:b",
        "rm home:Photos",
        "restore home:",
        "space info home:Photos",
        "space create home",
        "space forget home --yes",
        "space share home --with boo --role reader",
        "space share home --with bo --role king",
        "space share home --with bo --role reader --quota 5G",
        "space share home:a --path b --with bo --role reader",
        "space history home 0d",
        "space quota home much",
        "space unshare home --with boo",
        "undo --since 2h --in home",
        "undo --member boo --since 2h --in home",
        "device lost boo",
        "conflicts resolve zzzz --keep mine",
        "sync --stop",
        "sync Documents --once",
        "evidence check /no/such/file",
        "verify work",
    ] {
        let ran = stage.run(line).await;
        assert_ne!(ran.code, 0, "{line}");
        assert!(ran.out.is_empty() || line == "verify work", "{line}");
    }
    stage.golden("spaces-mistakes");
}

#[tokio::test]
async fn ctrl_c_ends_the_work_and_says_that_what_is_done_stays() {
    let mut stage = Stage::new();
    stage.interrupt = true;
    let file = format!("{}/Cargo.toml", env!("CARGO_MANIFEST_DIR"));
    for line in [format!("put {file} home:slow"), format!("put {file} home:slow --json"), "get home:away".to_owned()] {
        let ran = stage.run(&line).await;
        assert_eq!(ran.code, 130, "{line}");
        assert!(matches!(asked(&stage).pop(), Some(Request::CancelJob(_))), "{line}");
    }
    stage.golden_without("spaces-interrupted", env!("CARGO_MANIFEST_DIR"));
}

#[tokio::test(start_paused = true)]
async fn contents_that_nobody_online_has_are_waited_for_as_long_as_was_asked() {
    let mut stage = Stage::new();
    for (line, seconds) in
        [("get home:away", 30), ("get home:away --patience 10min", 600), ("get home:away --patience 0s", 0)]
    {
        let begun = tokio::time::Instant::now();
        let ran = stage.run(line).await;
        assert_eq!((ran.code, begun.elapsed().as_secs()), (11, seconds), "{line}: {}", ran.err);
    }
    stage.golden("spaces-away");
}

#[tokio::test]
async fn evidence_goes_into_a_file_and_is_checked_without_a_device() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("home.evidence");
    let at = file.to_str().unwrap();
    let mut stage = Stage::new();
    stage.run(&format!("evidence export home 1 -o {at}")).await;
    assert_eq!(std::fs::read(&file).unwrap(), b"WRN\0evidence");
    stage.run(&format!("evidence export home -o {at}")).await;
    assert_eq!(stage.run("evidence export home").await.out, "WRN\0evidence");
    let mut nobody = Stage::with(FakeHost::empty());
    nobody.run(&format!("evidence check {at}")).await;
    nobody.run(&format!("evidence check {at} --json")).await;
    nobody.stdin = b"nonsense";
    nobody.run("evidence check -").await;
    stage.golden_without("spaces-evidence", at);
    nobody.golden_without("spaces-evidence-check", at);
}

#[tokio::test]
async fn nothing_in_a_space_acts_on_the_terminal() {
    let mut stage = Stage::new();
    for line in [
        "space list",
        "space info home",
        "access home",
        "ls home:",
        "ls -l home:",
        "ls home: --json",
        "log home:",
        "log home: --json",
        "diff home:notes.txt",
        "diff home:Photos",
        "diff home:notes.txt --json",
        "conflicts --diff",
        "restore home:notes.txt --yes",
        "undo --member bo --since 1h --in home --yes",
        "space unshare home --with bo --preview",
        "verify work",
        "verify work --json",
        "device lost bo/phone --preview",
        "sync",
        "get home:a",
        "get home:part",
    ] {
        let ran = stage.run(line).await;
        let shown = format!("{}{}", ran.out, ran.err);
        assert!(shown.contains("evil"), "{line}: {shown}");
        let acts = |c: char| (c.is_control() && !matches!(c, '\n' | '\t')) || ('\u{202a}'..='\u{202e}').contains(&c);
        assert!(!shown.contains(acts), "{line}: {shown:?}");
    }
}
