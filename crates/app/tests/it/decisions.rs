//! Who decides what is received, and who steers a transfer.

use crate::device::{Device, names_in, wait};
use crate::tree::noise;

#[test]
fn offers_wait_for_a_decision_unless_a_rule_made_it() {
    let (alice, bob) = Device::pair();
    let note = alice.file("note.txt", "hello bob\n");
    let first = alice.queue(&note, "bob", &[]);
    let offer = bob.offer();
    assert_eq!((offer["peer"].as_str(), offer["bytes_total"].as_u64()), (Some("alice"), Some(10)));
    assert_eq!((offer["names"][0].as_str(), offer["id"].as_str()), (Some("note.txt"), Some(first.as_str())));
    assert!(names_in(&bob.received()).is_empty());
    bob.run(["inbox", "accept", &first[..6]]).ok();
    alice.wait_transfer(&first, "done");
    assert_eq!(std::fs::read_to_string(bob.received().join("note.txt")).unwrap(), "hello bob\n");
    assert!(bob.transfer(&first)["landed"][0].as_str().unwrap().ends_with("/note.txt"));

    // Rejected; then accepted into another folder.
    let second = alice.queue(&note, "bob", &[]);
    bob.run(["inbox", "reject", bob.offer()["id"].as_str().unwrap()]).ok();
    alice.wait_transfer(&second, "rejected");
    let third = alice.queue(&note, "bob", &[]);
    bob.offer();
    // What is no id, and no folder, decides nothing.
    bob.run(["inbox", "accept", ""]).fails(2, "too short");
    bob.run(["inbox", "accept", &third, "--out", "/proc/nope"]).fails(15, "/proc/nope");
    bob.run(["config", "received_dir", "/proc/nope"]).fails(15, "/proc/nope");
    bob.run(["send", &note, "--to", "bob"]).fails(3, "is you");
    bob.offer();
    let other = bob.files().join("other");
    bob.run(["inbox", "accept", &third, "--out", other.to_str().unwrap()]).ok();
    alice.wait_transfer(&third, "done");
    assert_eq!(names_in(&other), ["note.txt"]);
    assert_eq!(names_in(&bob.received()), ["note.txt"]);

    // A rule takes what is small and asks about what is not.
    bob.run(["peers", "rule", "alice", "--auto-accept", "1MB"]).ok();
    assert_eq!(bob.peer("alice")["auto_accept"], 1_000_000);
    let small = alice.queue(&alice.file("small", noise(1, 1_000_000)), "bob", &[]);
    alice.wait_transfer(&small, "done");
    let large = alice.queue(&alice.file("large", noise(1, 1_000_001)), "bob", &[]);
    assert_eq!(bob.offer()["id"].as_str(), Some(large.as_str()));
    assert!(!bob.received().join("large").exists());

    // An offer survives the restart of the one who has not decided.
    bob.kill();
    bob.up();
    assert_eq!(bob.offer()["id"].as_str(), Some(large.as_str()));
    bob.run(["inbox", "accept", &large]).ok();
    alice.wait_transfer(&large, "done");
    assert!(std::fs::read(bob.received().join("large")).unwrap() == noise(1, 1_000_001));
    bob.run(["inbox", "accept", &large]).fails(2, "");
    bob.run(["inbox", "accept", "zzzzzzzz"]).fails(3, "");
}

#[test]
fn the_limit_of_all_sending_holds_for_all_of_it_and_after_a_restart() {
    let (alice, bob) = Device::trusting_pair();
    alice.run(["transfers", "limit", "0"]).fails(2, "off");
    alice.run(["transfers", "limit", "1"]).ok();
    assert_eq!(alice.run(["config", "rate_limit", "--json"]).json()["value"], "1");
    alice.down();
    alice.up();
    alice.wait_online("bob");
    let big = alice.file("big.bin", noise(5, 3 << 20));
    let ids = [alice.queue(&big, "bob", &[]), alice.queue(&big, "bob", &["--limit", "1GB"])];
    for id in &ids {
        wait("it to run", || alice.transfer(id)["state"] == "running");
        alice.run(["transfers", "limit", "off", id]).ok();
        assert_eq!(alice.transfer(id)["rate_limit"], serde_json::Value::Null);
    }
    let sent = || ids.iter().map(|id| alice.transfer(id)["bytes_wire"].as_u64().unwrap()).sum::<u64>();
    assert!(sent() < 1 << 20, "{} bytes at one byte per second", sent());
    alice.run(["config", "rate_limit", "off"]).ok();
    for id in &ids {
        alice.wait_transfer(id, "done");
        assert_eq!(bob.wait_transfer(id, "done")["bytes_wire"], alice.transfer(id)["bytes_wire"]);
    }
}

#[test]
fn both_sides_pause_resume_limit_and_cancel() {
    let (alice, bob) = Device::trusting_pair();
    let big = alice.file("big.bin", noise(5, 24 << 20));
    let moved = |id: &str| alice.transfer(id)["bytes_done"].as_u64().unwrap();
    for steers in [&alice, &bob] {
        let id = alice.queue(&big, "bob", &["--limit", "4MB"]);
        wait("some of it", || moved(&id) > 1 << 20);
        steers.run(["transfers", "pause", &id]).ok();
        alice.wait_transfer(&id, "paused");
        bob.wait_transfer(&id, "paused");
        let by = |device: &Device| device.transfer(&id)["paused_by"].as_str().map(str::to_owned);
        let other = if std::ptr::eq(steers, &alice) { &bob } else { &alice };
        assert_eq!((by(steers).as_deref(), by(other).as_deref()), (Some("this"), Some("other")));
        other.run(["transfers", "resume", &id]).ok();
        assert_eq!(other.transfer(&id)["state"], "paused", "it was paused by the other side");
        // A restart does not end a pause.
        steers.kill();
        steers.up();
        alice.wait_online("bob");
        bob.wait_online("alice");
        assert_eq!(steers.transfer(&id)["state"], "paused");
        assert!(!bob.received().join("big.bin").exists());
        steers.run(["transfers", "resume", &id]).ok();
        wait("it to go on", || alice.transfer(&id)["state"] == "running");
        steers.run(["transfers", "cancel", &id]).ok();
        alice.wait_transfer(&id, "cancelled");
        bob.wait_transfer(&id, "cancelled");
        wait("the partial tree to be gone", || names_in(&bob.received().join(".warren-partial")).is_empty());
        assert!(names_in(&bob.received()).is_empty());
        alice.run(["transfers", "resume", &id]).fails(2, "");
    }
    let id = alice.queue(&big, "bob", &["--limit", "1MB"]);
    wait("it to run", || alice.transfer(&id)["state"] == "running");
    assert_eq!(alice.transfer(&id)["rate_limit"], 1_000_000);
    alice.run(["transfers", "limit", "off", &id]).ok();
    alice.wait_transfer(&id, "done");
    assert!(std::fs::read(bob.received().join("big.bin")).unwrap() == noise(5, 24 << 20));
}
