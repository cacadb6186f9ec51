//! Members come, are blocked, renamed and removed; invitations end.

use crate::device::{Device, wait};

fn invite(device: &Device, more: &[&str]) -> (String, String, String) {
    let mut args = vec!["invite", "--json"];
    args.extend(more);
    let made = device.run(args).json();
    let text = |key: &str| made[key].as_str().unwrap().to_owned();
    (text("id"), text("code"), text("link"))
}

fn state_of(device: &Device, id: &str) -> String {
    let invitations = device.run(["invites", "--json"]).json();
    let found = invitations.as_array().unwrap().iter().find(|i| i["id"] == id).unwrap();
    found["state"].as_str().unwrap().to_owned()
}

#[test]
fn invitations_end_as_they_should() {
    let alice = Device::founder("alice", "home");
    alice.up();
    let stranger = Device::beside(&alice);
    let join = |how: &str, name: &str| stranger.run(["join", how, "--name", name, "--yes"]);
    let no_device = || assert!(!stranger.home().join("keystore").exists(), "a failed join leaves a device behind");

    let (id, code, link) = invite(&alice, &[]);
    alice.run(["invite", "--revoke", &id[..6]]).ok();
    assert_eq!(state_of(&alice, &id), "revoked");
    join(&link, "eve").fails(13, "");
    no_device();
    assert_ne!(join(&code, "eve").code, 0);

    let (id, _, link) = invite(&alice, &["--expires", "1s"]);
    wait("its end", || state_of(&alice, &id) == "expired");
    join(&link, "eve").fails(13, "");
    no_device();

    // A wrong guess ends the code and the link with it; the right code comes too late.
    let (id, code, link) = invite(&alice, &[]);
    let (nameplate, rest) = code.split_once('-').unwrap();
    let guess = if rest == "abandon-abandon-abandon" { "zoo-zoo-zoo" } else { "abandon-abandon-abandon" };
    let at = alice.status()["addresses"][0].as_str().unwrap().to_owned();
    stranger.run(["join", &format!("{nameplate}-{guess}"), "--name", "eve", "--at", &at, "--yes"]).fails(13, "");
    assert_eq!(state_of(&alice, &id), "burned");
    stranger.run(["join", &code, "--name", "eve", "--at", &at, "--yes"]).fails(13, "");
    join(&link, "eve").fails(13, "");
    no_device();
    assert!(alice.events().iter().any(|e| e == "invitation.burned"));

    // A name that is taken leaves the invitation good; then it is used up.
    let (id, _, link) = invite(&alice, &[]);
    join(&link, "Alice").fails(4, "");
    join(&link, "bad/name").fails(2, "");
    // Nor a name that would receive what is sent to somebody's device id.
    let device_id = alice.status()["identity"]["device_id"].as_str().unwrap().to_owned();
    join(&link, &device_id[..12]).fails(4, "");
    join(&link, &device_id).fails(2, "");
    join(&link, "All").fails(2, "");
    no_device();
    assert_eq!(state_of(&alice, &id), "open");
    join(&link, "bob").ok();
    assert_eq!(state_of(&alice, &id), "used");
    let late = Device::beside(&alice);
    late.run(["join", &link, "--name", "carol", "--yes"]).fails(13, "");
    late.run(["join", "warren:join/nonsense", "--name", "carol", "--yes"]).fails(13, "");
    late.run(["join", "no such code here", "--name", "carol", "--yes"]).fails(13, "");

    // Who is in a circle does not join a second one.
    let (_, _, link) = invite(&alice, &[]);
    assert_ne!(join(&link, "bob2").code, 0);
    stranger.up();
    assert_ne!(join(&link, "bob2").code, 0);
}

#[test]
fn a_joiner_that_is_killed_as_soon_as_it_is_booked_is_a_member() {
    let alice = Device::founder("alice", "home");
    alice.up();
    let bob = Device::beside(&alice);
    let (_, _, link) = invite(&alice, &[]);
    let mut follow = alice.start(["log", "--follow", "--json", "--event", "member.joined"]);
    let mut joining = bob.start(["join", &link, "--name", "bob", "--yes"]);
    follow.line(|entry| entry["event"] == "member.joined");
    joining.kill();
    bob.run(["join", &link, "--name", "bob", "--yes"]).fails(4, "in a circle already");
    bob.up();
    alice.wait_online("bob");
    bob.wait_online("alice");
}

#[test]
fn roles_decide_who_may_invite() {
    let alice = Device::founder("alice", "home");
    alice.up();
    let mut members = Vec::new();
    for role in ["admin", "reader", "storage"] {
        let member = Device::beside(&alice);
        let (_, _, link) = invite(&alice, &["--role", role]);
        let joined = member.run(["join", &link, "--name", role, "--yes", "--json"]).json();
        assert_eq!(joined["role"], role);
        member.up();
        members.push(member);
    }
    for member in &members[1..] {
        member.run(["invite"]).fails(10, "admin");
        member.wait_online("alice");
        member.run(["peers", "remove", "alice", "--yes"]).fails(10, "");
    }
    // An admin's guest is a member for everybody.
    let dan = Device::joined(&members[0], "dan");
    alice.wait_online("dan");
    dan.wait_online("reader");
    assert_eq!(alice.status()["circle"]["members"], 5);
}

#[test]
fn whoever_is_blocked_or_removed_stays_outside() {
    let (alice, bob) = Device::pair();
    let carol = Device::joined(&alice, "carol");
    carol.wait_online("bob");
    alice.wait_online("carol");

    alice.run(["peers", "rename", "bob", "brother"]).ok();
    assert_eq!(alice.peer("brother")["member"], "bob");
    assert_eq!(carol.peer("bob")["name"], "bob");
    alice.run(["peers", "rename", "brother"]).ok();
    alice.peer("bob");
    alice.run(["peers", "rename", "nobody", "x"]).fails(3, "");
    alice.run(["peers", "rename", "bob", "Alice"]).fails(4, "you are called");

    // Blocked: cut at once, kept out, and let in again.
    alice.run(["peers", "block", "bob"]).ok();
    assert_eq!(alice.peer("bob")["state"], "blocked");
    bob.wait_state("alice", "away");
    let note = bob.file("note", "let me in");
    bob.run(["send", &note, "--to", "alice", "--patience", "0s"]).fails(11, "");
    assert_eq!(alice.run(["inbox", "--json"]).json().as_array().unwrap().len(), 0);
    assert_ne!(bob.run(["peers", "add", alice.status()["addresses"][0].as_str().unwrap()]).code, 0);
    assert_eq!(alice.peer("bob")["state"], "blocked");
    alice.run(["peers", "unblock", "bob"]).ok();
    alice.wait_online("bob");
    assert_eq!(alice.offer()["names"][0], "note");

    // Removed: nobody believes him any more, whoever he asks.
    let words = alice.peer("carol")["safety_words"].clone();
    let open = alice.queue(&alice.file("late", "too late"), "bob", &[]);
    alice.run(["peers", "remove", "bob", "--reason", "left", "--yes"]).ok();
    assert!(alice.wait_transfer(&open, "failed")["problem"].as_str().unwrap().contains("removed"));
    for device in [&alice, &carol] {
        wait("bob to be gone", || device.peers().iter().all(|p| p["name"] != "bob" || p["state"] == "removed"));
        wait("the members to be two", || device.status()["circle"]["members"] == 2);
    }
    let at = carol.status()["addresses"][0].as_str().unwrap().to_owned();
    assert_ne!(bob.run(["peers", "add", &at]).code, 0);
    wait("bob to hear of it", || bob.status()["circle"]["removed"] == true);
    bob.run(["send", &note, "--to", "carol"]).fails(10, "removed from the circle");
    bob.run(["peers", "add", &at]).fails(10, "removed from the circle");
    assert!(bob.events().iter().any(|e| e == "member.removed"));
    bob.kill();
    bob.up();
    assert_ne!(bob.run(["peers", "add", &at]).code, 0);
    for name in ["alice", "carol"] {
        assert!(bob.peers().iter().all(|p| p["name"] != name || p["state"] != "online"), "{:?}", bob.peers());
    }
    assert_ne!(alice.run(["send", &note, "--to", "bob", "--no-wait"]).code, 0, "something is sent to who was removed");
    assert!(alice.events().iter().any(|e| e == "member.removed"));

    // The others go on, also over a restart, and the name is free again.
    carol.kill();
    carol.up();
    alice.wait_online("carol");
    assert_eq!(alice.peer("carol")["safety_words"], words);
    carol.trust("alice");
    alice.run(["send", &note, "--to", "carol"]).ok();
    let bob = Device::joined(&alice, "bob");
    carol.wait_online("bob");
    bob.wait_online("carol");
    assert_eq!(alice.peers().len(), 2);
    assert_eq!(alice.run(["peers", "--all", "--json"]).json().as_array().unwrap().len(), 3);
    assert_eq!(
        alice.run(["peers", "show", "bob", "--json"]).json()["device_id"],
        bob.status()["identity"]["device_id"]
    );
    bob.trust("alice");
    for name in ["bob", "bob/bob-box"] {
        alice.run(["send", &note, "--to", name]).ok();
        alice.run(["peers", "verify", name, "--yes"]).ok();
    }
}
