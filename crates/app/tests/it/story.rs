//! Init, invite, join, send, cut, go on, verify.

use crate::device::{Device, assert_same_tree, wait};
use crate::tree::{noise, odd_tree};

/// Two running members who know each other.
fn pair() -> (Device, Device) {
    let alice = Device::founder("alice", "home");
    alice.up();
    let bob = Device::joined(&alice, "bob");
    bob.up();
    alice.wait_online("bob");
    bob.wait_online("alice");
    (alice, bob)
}

#[test]
fn a_folder_arrives_as_it_was() {
    let (alice, bob) = pair();
    bob.trust("alice");
    let tree = alice.files().join("odd tree");
    odd_tree(&tree);
    alice.run(["send", tree.to_str().unwrap(), "--to", "bob"]).ok();
    assert_same_tree(&tree, &bob.received().join("odd tree"));

    alice.run(["send", tree.to_str().unwrap(), "--to", "bob"]).ok();
    assert_same_tree(&tree, &bob.received().join("odd tree (2)"));
    assert!(
        !bob.received().join(".warren-partial").exists()
            || std::fs::read_dir(bob.received().join(".warren-partial")).unwrap().next().is_none()
    );
}

#[test]
fn an_offer_waits_for_a_decision() {
    let (alice, bob) = pair();
    let note = alice.files().join("note.txt");
    std::fs::write(&note, "hello bob\n").unwrap();
    alice.run(["send", note.to_str().unwrap(), "--to", "bob", "--no-wait"]).ok();
    wait("the offer", || bob.run(["inbox", "--json"]).json().as_array().unwrap().len() == 1);
    let offer = bob.run(["inbox", "--json"]).json()[0].clone();
    assert_eq!((offer["peer"].as_str(), offer["bytes_total"].as_u64()), (Some("alice"), Some(10)));
    assert_eq!(offer["names"][0], "note.txt");
    assert!(!bob.received().join("note.txt").exists());
    bob.run(["inbox", "accept", offer["id"].as_str().unwrap()]).ok();
    wait("the file", || bob.received().join("note.txt").exists());
    assert_eq!(std::fs::read_to_string(bob.received().join("note.txt")).unwrap(), "hello bob\n");

    alice.run(["send", note.to_str().unwrap(), "--to", "bob", "--no-wait"]).ok();
    wait("the second offer", || bob.run(["inbox", "--json"]).json().as_array().unwrap().len() == 1);
    let offer = bob.run(["inbox", "--json"]).json()[0].clone();
    bob.run(["inbox", "reject", offer["id"].as_str().unwrap()]).ok();
    wait("the rejection", || alice.transfers().iter().any(|t| t["state"] == "rejected"));
}

#[test]
fn a_killed_receiver_goes_on_where_it_was() {
    let (alice, bob) = pair();
    bob.trust("alice");
    let big = alice.files().join("big.bin");
    std::fs::write(&big, noise(1, 64 << 20)).unwrap();
    alice.run(["send", big.to_str().unwrap(), "--to", "bob", "--no-wait", "--limit", "40MB"]).ok();
    wait("a third of it", || alice.transfers()[0]["bytes_done"].as_u64().unwrap() > 20 << 20);
    bob.kill();
    wait("the cut to be noticed", || alice.transfers()[0]["state"] == "waiting");
    assert!(!bob.received().join("big.bin").exists());
    bob.up();
    wait("the end", || alice.transfers()[0]["state"] == "done");
    assert_same_tree(&big, &bob.received().join("big.bin"));
    let wire = alice.transfers()[0]["bytes_wire"].as_u64().unwrap();
    assert!(wire < (64 << 20) + (24 << 20), "{wire} bytes for 64 MiB");
}

#[test]
fn a_killed_sender_goes_on_where_it_was() {
    let (alice, bob) = pair();
    bob.trust("alice");
    let big = alice.files().join("big.bin");
    std::fs::write(&big, noise(2, 64 << 20)).unwrap();
    alice.run(["send", big.to_str().unwrap(), "--to", "bob", "--no-wait", "--limit", "40MB"]).ok();
    wait("a third of it", || alice.transfers()[0]["bytes_done"].as_u64().unwrap() > 20 << 20);
    alice.kill();
    alice.up();
    wait("the end", || alice.transfers()[0]["state"] == "done");
    assert_same_tree(&big, &bob.received().join("big.bin"));
}
