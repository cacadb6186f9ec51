//! Init, invite, join, compare words, send, cut, go on, verify.

use crate::device::{Device, assert_same_tree, names_in, wait};
use crate::tree::{noise, odd_tree};

#[test]
fn three_people_form_a_circle_and_share_a_folder() {
    let alice = Device::founder("alice", "home");
    let up = alice.run(["up", "--detach", "--json"]).json();
    assert_eq!((up["locked"].as_bool(), up["circle"]["name"].as_str()), (Some(false), Some("home")));

    // Bob types the code, blanks and case as people type them.
    let bob = Device::beside(&alice);
    let invitation = alice.run(["invite", "--json"]).json();
    assert_eq!(invitation["role"], "editor");
    let words: Vec<String> = invitation["code"].as_str().unwrap().split('-').map(str::to_uppercase).collect();
    assert_eq!(words.len(), 4);
    let mut join = vec!["join"];
    join.extend(words.iter().map(String::as_str));
    join.extend(["--name", "bob", "--device", "bob-box", "--yes", "--json"]);
    let joined = bob.run(join).json();
    assert_eq!((joined["name"].as_str(), joined["inviter"].as_str()), (Some("bob"), Some("alice")));
    bob.up();

    // Carol uses the link, with a device that is set up already and runs.
    let carol = Device::joined(&alice, "carol");
    for (one, name) in [(&alice, "bob"), (&alice, "carol"), (&bob, "alice"), (&bob, "carol"), (&carol, "bob")] {
        one.wait_online(name);
    }
    assert_eq!(joined["circle_id"], alice.status()["circle"]["id"]);
    assert_eq!(alice.status()["circle"]["members"], 3);

    // The words are the same on both sides, at joining and later, and others for each pair.
    let words = alice.peer("bob")["safety_words"].clone();
    assert_eq!(words.as_str().unwrap().split_whitespace().count(), 6, "{words}");
    assert_eq!(words, bob.peer("alice")["safety_words"]);
    assert_eq!(words, joined["safety_words"]);
    assert_ne!(words, alice.peer("carol")["safety_words"]);
    assert_eq!(carol.peer("bob")["safety_words"], bob.peer("carol")["safety_words"]);
    assert_eq!(alice.peer("bob")["verified"], false);
    alice.run(["peers", "verify", "bob", "--yes"]).ok();
    assert_eq!(alice.peer("bob")["verified"], true);
    alice.run(["peers", "verify", "bob", "--undo"]).ok();
    assert_eq!(alice.peer("bob")["verified"], false);
    let bob_seen = alice.peer("bob");
    assert_eq!(
        (bob_seen["path"].as_str(), bob_seen["key_agreement"].as_str()),
        (Some("direct"), Some("X25519MLKEM768"))
    );

    // One sends to all; carol has not said that she wants it.
    bob.trust("alice");
    carol.trust("alice");
    let tree = alice.files().join("odd tree");
    odd_tree(&tree);
    let sent = alice.run(["send", tree.to_str().unwrap(), "--all", "--json"]).ok().last();
    assert_eq!(sent["kind"], "result");
    let transfers = sent["transfers"].as_array().unwrap();
    assert_eq!(transfers.len(), 2);
    for transfer in transfers {
        assert_eq!(transfer["state"], "done", "{transfer}");
        assert_eq!(transfer["bytes_done"], transfer["bytes_total"]);
        assert!(transfer["receipt"].is_string());
    }
    assert_same_tree(&tree, &bob.received().join("odd tree"));
    assert_same_tree(&tree, &carol.received().join("odd tree"));

    // Nothing is overwritten.
    alice.run(["send", tree.to_str().unwrap(), "--to", "bob"]).ok();
    assert_same_tree(&tree, &bob.received().join("odd tree"));
    assert_same_tree(&tree, &bob.received().join("odd tree (2)"));
    assert!(names_in(&bob.received().join(".warren-partial")).is_empty());

    // One has it, one said no, one is away: each is told for itself.
    carol.run(["peers", "rule", "alice", "--ask"]).ok();
    let note = alice.file("note.txt", "for both");
    let mut sending = alice.start(["send", &note, "--to", "bob,carol", "--json"]);
    carol.run(["inbox", "reject", carol.offer()["id"].as_str().unwrap()]).ok();
    let result = sending.line(|line| line["kind"] == "result");
    let state_of = |peer: &str| {
        let transfers = result["transfers"].as_array().unwrap();
        transfers.iter().find(|t| t["peer"] == peer).unwrap()["state"].clone()
    };
    assert_eq!((state_of("bob").as_str(), state_of("carol").as_str()), (Some("done"), Some("rejected")));
    assert_eq!(sending.finish().code, 17);

    // A text alone, and standard input under a name.
    carol.down();
    alice.wait_state("carol", "away");
    alice.run(["send", "--text", "dinner at 8", "--to", "carol", "--patience", "0s"]).fails(11, "");
    carol.up();
    let text = carol.offer();
    assert_eq!((text["text"].as_str(), text["files_total"].as_u64()), (Some("dinner at 8"), Some(0)));
    carol.run(["inbox", "accept", "--all"]).ok();
    wait("the text", || alice.transfers().iter().any(|t| t["text"] == "dinner at 8" && t["state"] == "done"));
    let mut piped = alice.command(["send", "-", "--name", "piped.bin", "--to", "bob"]);
    let input = noise(3, 3 << 20);
    std::fs::write(alice.files().join("input"), &input).unwrap();
    piped.stdin(std::fs::File::open(alice.files().join("input")).unwrap());
    crate::device::Ran::of(piped.output().unwrap()).ok();
    assert!(std::fs::read(bob.received().join("piped.bin")).unwrap() == input);
    wait("the spool to be empty", || names_in(&alice.home().join("spool")).is_empty());
    the_log_tells(&alice, &bob);
}

/// Each thing that was done is in the log, and no content is.
fn the_log_tells(alice: &Device, bob: &Device) {
    let (ours, theirs) = (alice.events(), bob.events());
    for event in [
        "circle.founded",
        "device.started",
        "invitation.made",
        "member.joined",
        "peer.connected",
        "peer.disconnected",
        "peer.verified",
        "offer.sent",
        "offer.rejected",
        "transfer.done",
    ] {
        assert!(ours.iter().any(|e| e == event), "no {event} in {ours:?}");
    }
    for event in ["circle.joined", "peer.rule_set", "offer.received", "offer.accepted", "transfer.done"] {
        assert!(theirs.iter().any(|e| e == event), "no {event} in {theirs:?}");
    }
    for entry in
        [alice, bob].iter().flat_map(|d| d.run(["log", "--json", "-n", "10000"]).json().as_array().unwrap().clone())
    {
        assert_ne!(entry["event"], "peer.misbehaved", "{entry}");
        assert_ne!(entry["event"], "error.raised", "{entry}");
        for content in ["dinner at 8", "for both"] {
            assert!(!entry.to_string().contains(content), "content in the log: {entry}");
        }
    }
}

#[test]
fn a_killed_side_goes_on_where_it_was() {
    let (alice, bob) = Device::trusting_pair();
    let size = 48 << 20;
    let big = alice.file("big.bin", noise(1, size));
    let path = alice.files().join("big.bin");
    for (round, killed) in [&bob, &alice].into_iter().enumerate() {
        let id = alice.queue(&big, "bob", &["--limit", "8MB"]);
        wait("a third of it", || alice.transfer(&id)["bytes_done"].as_u64().unwrap() > (size / 3) as u64);
        killed.kill();
        assert_eq!(names_in(&bob.received()).len(), round, "something landed before it was whole");
        if round == 0 {
            wait("the cut to be noticed", || alice.transfer(&id)["state"] == "waiting");
        }
        killed.up();
        wait("the start", || alice.transfer(&id)["state"] == "running");
        alice.run(["transfers", "limit", "off", &id]).ok();
        let done = alice.wait_transfer(&id, "done");
        let name = if round == 0 { "big.bin" } else { "big (2).bin" };
        assert_same_tree(&path, &bob.received().join(name));
        let wire = done["bytes_wire"].as_u64().unwrap() as usize;
        assert!(wire < size + (size / 4), "{wire} bytes over the wire for {size}: {done}");
    }
}
