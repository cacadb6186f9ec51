//! Spaces, as people live them: three devices, one of which only stores. Create, share, put, edit on both sides, conflict,
//! settle, delete, restore, take somebody out, check, and damage on the disk.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;

use crate::device::{Device, Ran, assert_same_tree, wait, wait_or};
use crate::tree::odd_tree;

/// What only those who share the space may ever see.
const CANARY: &str = "the canary sings at noon";

/// Writes a file of a space.
#[track_caller]
fn write(device: &Device, place: &str, content: &str) -> Value {
    let mut command = device.command(["write", "-p", place, "--json", "--quiet"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(content.as_bytes()).unwrap();
    Ran::of(child.wait_with_output().unwrap()).ok().last()["job"].clone()
}

/// Lines of JSON.
#[track_caller]
fn lines<const N: usize>(device: &Device, args: [&str; N]) -> Vec<Value> {
    let ran = device.run(args).ok();
    ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Paths that are shown in a space.
fn paths(device: &Device, place: &str) -> Vec<Value> {
    let entries = lines(device, ["ls", "-r", place, "--json"]);
    entries.into_iter().map(|entry| entry["path"].clone()).collect()
}

fn cat(device: &Device, place: &str) -> String {
    let ran = device.run(["cat", place]);
    if ran.code == 0 { ran.stdout } else { String::new() }
}

#[track_caller]
fn wait_content(device: &Device, place: &str, content: &str) {
    wait_or(
        &format!("{place} to be {content:?}"),
        || cat(device, place) == content,
        || device.run(["cat", place]).stderr,
    );
}

#[track_caller]
fn wait_same_listing(one: &Device, other: &Device, place: &str) {
    let expected = paths(one, place);
    wait_or(
        &format!("{place} to look the same on both"),
        || paths(other, place) == expected,
        || format!("{:?} is not {expected:?}", paths(other, place)),
    );
}

fn info(device: &Device, space: &str) -> Value {
    let spaces = device.run(["space", "list", "--json"]).json();
    spaces.as_array().unwrap().iter().find(|known| known["name"] == space).cloned().unwrap_or_default()
}

/// Three devices that share `home`: alice owns it, bob edits it, vault stores it.
fn three() -> (Device, Device, Device) {
    let (alice, bob) = Device::pair();
    let vault = Device::joined(&alice, "vault");
    alice.wait_online("vault");
    let made = alice.run(["space", "create", "home", "--json"]).json();
    assert_eq!((made["name"].as_str(), made["role"].as_str()), (Some("home"), Some("owner")));
    alice.run(["space", "create", "home"]).fails(4, "");
    let access = alice.run(["space", "share", "home", "--with", "bob", "--role", "editor", "--json"]).json();
    assert_eq!(access.as_array().unwrap().len(), 2, "{access}");
    alice.run(["space", "share", "home", "--with", "vault", "--role", "storage", "--quota", "1G"]).ok();
    for (device, role) in [(&bob, "editor"), (&vault, "storage")] {
        wait_or(
            &format!("the space to come with the role {role}"),
            // Whoever only stores it does not know its name.
            || device.run(["space", "list", "--json"]).json()[0]["role"] == role,
            || device.run(["space", "list"]).stdout,
        );
    }
    (alice, bob, vault)
}

#[test]
fn a_tree_is_shared_changed_on_both_sides_and_brought_back() {
    let (alice, bob, vault) = three();

    // A folder with everything that is odd goes in here and comes out there.
    let tree = alice.files().join("odd tree");
    odd_tree(&tree);
    let put = alice.run(["put", tree.to_str().unwrap(), "home:", "--json", "--quiet"]).ok().last();
    assert_eq!((put["kind"].as_str(), put["job"]["state"].as_str()), (Some("result"), Some("done")), "{put}");
    wait_same_listing(&alice, &bob, "home:");
    let out = bob.files();
    bob.run(["get", "home:odd tree", out.to_str().unwrap(), "--patience", "2min"]).ok();
    assert_same_tree(&tree, &out.join("odd tree"));
    // Nothing is overwritten, and what is there can be skipped.
    bob.run(["get", "home:odd tree", out.to_str().unwrap(), "--existing", "skip"]).ok();
    assert_same_tree(&tree, &out.join("odd tree"));

    // Both write, each sees what the other wrote.
    write(&alice, "home:notes.txt", CANARY);
    wait_content(&bob, "home:notes.txt", CANARY);
    write(&bob, "home:notes.txt", "bread");
    wait_content(&alice, "home:notes.txt", "bread");
    assert_eq!(bob.run(["cat", "home:notes.txt", "--offset", "1", "--length", "3"]).ok().stdout, "rea");
    bob.run(["mkdir", "-p", "home:work/2026"]).ok();
    bob.run(["mv", "home:notes.txt", "home:work"]).ok();
    wait_content(&alice, "home:work/notes.txt", "bread");

    // What is deleted on one side is brought back on the other.
    alice.run(["rm", "home:odd tree"]).fails(2, "");
    alice.run(["rm", "-r", "home:odd tree"]).fails(2, "nobody can answer");
    let shown = paths(&alice, "home:").len();
    let plan = alice.run(["rm", "-r", "home:odd tree", "--preview", "--json"]).json();
    assert_eq!((plan["preview"].as_bool(), paths(&alice, "home:").len()), (Some(true), shown), "{plan}");
    alice.run(["rm", "-r", "home:odd tree", "--yes"]).ok();
    wait_same_listing(&alice, &bob, "home:");
    alice.run(["cat", "home:odd tree"]).fails(3, "");
    bob.run(["restore", "home:odd tree", "--yes"]).ok();
    wait_same_listing(&bob, &alice, "home:");
    assert_eq!(paths(&alice, "home:").len(), shown);

    the_past_can_be_read(&alice);
    a_storage_device_reads_nothing(&vault);
}

/// Every version is listed, can be read, and can be brought back.
fn the_past_can_be_read(alice: &Device) {
    let history = lines(alice, ["log", "home:work/notes.txt", "--json"]);
    let canary = CANARY.len() as u64;
    let first = history.iter().find(|version| version["size"] == canary).unwrap_or_else(|| panic!("{history:?}"));
    let first = first["id"].as_str().unwrap();
    // It had another name then: either means it, and under the one of today it comes back where it is.
    for path in ["home:notes.txt", "home:work/notes.txt"] {
        assert_eq!(alice.run(["cat", path, "--at", &first[..8]]).ok().stdout, CANARY);
    }
    alice.run(["restore", "home:work/notes.txt", "--at", first, "--yes"]).ok();
    assert_eq!(cat(alice, "home:work/notes.txt"), CANARY);
    let diff = alice.run(["diff", "home:work/notes.txt", "--json"]).json();
    assert!(diff["text"].as_str().unwrap().contains("+the canary"), "{diff}");
    alice.run(["restore", "home:notes.txt", "--at", first, "--yes"]).ok();
    assert_eq!(cat(alice, "home:notes.txt"), CANARY);
}

/// It keeps everything and can read neither a name nor a byte.
fn a_storage_device_reads_nothing(vault: &Device) {
    let spaces = vault.run(["space", "list", "--json"]).json();
    let id = spaces[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(spaces[0]["state"], "storage", "{spaces}");
    wait("the contents to be stored", || {
        let spaces = vault.run(["space", "list", "--json"]).json();
        spaces[0]["stored_bytes"].as_u64() > Some(0) && spaces[0]["missing_objects"] == 0
    });
    assert_eq!(vault.run(["ls", "-r", &format!("{id}:")]).stdout, "");
    for file in files_below(&vault.home()) {
        let bytes = std::fs::read(&file).unwrap();
        for secret in [CANARY, "notes.txt", "odd tree"] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret:?} is in {}", file.display());
        }
    }
}

#[test]
fn both_sides_of_a_conflict_are_kept_until_somebody_settles_it() {
    let (alice, bob, vault) = three();
    write(&alice, "home:plan.txt", "begin\n");
    wait_content(&bob, "home:plan.txt", "begin\n");
    assert_eq!(alice.run(["conflicts", "--json"]).json().as_array().unwrap().len(), 0);

    // Neither sees what the other writes.
    bob.down();
    vault.down();
    write(&alice, "home:plan.txt", "begin\nby alice\n");
    alice.down();
    bob.up();
    write(&bob, "home:plan.txt", "begin\nby bob\n");
    alice.up();
    vault.up();
    let conflicts = |device: &Device| device.run(["conflicts", "home", "--json"]).json().as_array().unwrap().clone();
    for device in [&alice, &bob] {
        wait("the conflict to be told", || conflicts(device).len() == 1);
    }
    let conflict = conflicts(&alice)[0].clone();
    assert_eq!((conflict["path"].as_str(), conflict["kind"].as_str()), (Some("plan.txt"), Some("versions")));
    assert_eq!(conflict["sides"].as_array().unwrap().len(), 2, "{conflict}");
    assert!(conflict["diff"].as_str().unwrap().contains("by bob"), "{conflict}");
    assert_eq!(conflict["id"], conflicts(&bob)[0]["id"]);

    let id = conflict["id"].as_str().unwrap();
    alice.run(["conflicts", "resolve", id, "--keep", "theirs"]).ok();
    for device in [&alice, &bob] {
        wait("the conflict to be settled", || conflicts(device).is_empty());
        wait_content(device, "home:plan.txt", "begin\nby bob\n");
    }
    // What was not kept is still there.
    let mine = conflict["sides"].as_array().unwrap().iter().find(|side| side["mine"] == true).unwrap();
    let version = mine["version"].as_str().unwrap();
    assert_eq!(alice.run(["cat", "home:plan.txt", "--at", version]).ok().stdout, "begin\nby alice\n");
    drop(vault);
}

#[test]
fn whoever_is_taken_out_reads_nothing_new_and_damage_is_found() {
    let (alice, bob, _vault) = three();
    write(&alice, "home:notes.txt", CANARY);
    // What is short lies in the change itself; this is an object.
    write(&alice, "home:notes.txt", &format!("{CANARY}\n").repeat(10_000));
    write(&alice, "home:notes.txt", CANARY);
    wait_content(&bob, "home:notes.txt", CANARY);
    let meaning = alice.run(["space", "unshare", "home", "--with", "bob", "--preview", "--json"]).json();
    assert_eq!((meaning["preview"].as_bool(), meaning["could_read_files"].as_u64()), (Some(true), Some(1)));
    alice.run(["space", "unshare", "home", "--with", "bob"]).fails(2, "nobody can answer");
    let done = alice.run(["space", "unshare", "home", "--with", "bob", "--yes", "--json"]).json();
    assert_eq!((done["preview"].as_bool(), done["rekeyed"].as_bool()), (Some(false), Some(true)), "{done}");
    write(&alice, "home:after.txt", "not for bob");
    wait("bob to know", || info(&bob, "home")["state"] == "revoked");
    assert_ne!(bob.run(["cat", "home:after.txt"]).code, 0);

    let found = alice.run(["verify", "home", "--json"]).json();
    assert_eq!((found["ok"].as_bool(), found["cheats"].as_array().map(Vec::len)), (Some(true), Some(0)), "{found}");
    let evidence = alice.files().join("nothing.evidence");
    std::fs::write(&evidence, "no evidence").unwrap();
    // One bit of what is stored turns over.
    alice.down();
    let packs = files_below(&alice.home().join("objects"));
    let packs = packs.iter().filter(|path| path.extension().is_some_and(|end| end == "pack"));
    let largest = packs.max_by_key(|path| std::fs::metadata(path).unwrap().len()).unwrap();
    let mut bytes = std::fs::read(largest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(largest, bytes).unwrap();
    alice.up();
    let found = alice.run(["verify", "home", "--json"]);
    assert_eq!(found.code, 18, "{}{}", found.stdout, found.stderr);
    assert!(!found.last()["damaged"].as_array().unwrap().is_empty(), "{}", found.stdout);
    let stranger = Device::beside(&alice);
    let ran = stranger.run([OsStr::new("evidence"), "check".as_ref(), evidence.as_os_str()]);
    assert!(matches!(ran.code, 1 | 16), "{}", ran.stderr);
}

/// All files of a folder and its folders.
fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for item in std::fs::read_dir(dir).unwrap() {
        let item = item.unwrap();
        match item.file_type().unwrap() {
            kind if kind.is_dir() => found.extend(files_below(&item.path())),
            kind if kind.is_file() => found.push(item.path()),
            _ => {}
        }
    }
    found
}

#[test]
fn one_file_is_shared_and_nothing_beside_it() {
    let (alice, bob) = Device::pair();
    alice.run(["space", "create", "home"]).ok();
    alice.run(["mkdir", "home:letters"]).ok();
    write(&alice, "home:letters/plan.txt", "a plan");
    write(&alice, "home:letters/secret.txt", CANARY);
    alice.run(["space", "share", "home", "--path", "letters/plan.txt", "--with", "bob", "--role", "editor"]).ok();
    wait_content(&bob, "plan.txt:plan.txt", "a plan");
    let seen = lines(&bob, ["ls", "-r", "plan.txt:", "--json"]);
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!((seen[0]["kind"].as_str(), seen[0]["shared"].as_bool()), (Some("file"), Some(true)));
    write(&bob, "plan.txt:plan.txt", "bob's plan");
    wait_content(&alice, "home:letters/plan.txt", "bob's plan");
    bob.run(["rm", "--yes", "plan.txt:plan.txt"]).fails(10, "nothing else is shared with you");
    alice.run(["mv", "home:letters/plan.txt", "home:plan-b.txt"]).ok();
    wait_content(&bob, "plan-b.txt:plan-b.txt", "bob's plan");
    alice.run(["space", "unshare", "home", "--path", "plan-b.txt", "--with", "bob", "--yes"]).ok();
    write(&alice, "home:plan-b.txt", "without bob");
    wait("bob to know", || info(&bob, "plan-b.txt")["state"] == "revoked");
    assert_eq!(bob.run(["cat", "plan-b.txt:plan-b.txt"]).ok().stdout, "bob's plan");
    assert_eq!(alice.run(["verify", "home"]).code, 0);
}
