//! What users see.

use super::super::*;
use super::world::{Device, Link, portrait, until};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};

pub const MIB: usize = 1 << 20;

pub fn random(len: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; len];
    ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

/// A tree with everything that must survive.
fn tree(top: &Path) {
    fs::create_dir_all(top.join("deep/er/est")).unwrap();
    fs::create_dir_all(top.join("empty")).unwrap();
    fs::write(top.join("big"), random(5 * MIB + 77, 1)).unwrap();
    fs::write(top.join("exactly two blocks"), random(2 * MIB, 2)).unwrap();
    fs::write(top.join("nothing"), b"").unwrap();
    fs::write(top.join("deep/er/est/a;b\nc"), random(1000, 3)).unwrap();
    fs::write(top.join(OsStr::from_bytes(b"not \xff\xfe utf8")), b"bytes").unwrap();
    fs::write(top.join("zeros"), vec![0; 1000]).unwrap();
    let sparse = fs::File::create(top.join("sparse")).unwrap();
    sparse.set_len(4 * MIB as u64 + 5).unwrap();
    sparse.write_all_at(b"island", 2 * MIB as u64 + 9).unwrap();
    fs::write(top.join("run.sh"), b"#!/bin/sh\n").unwrap();
    fs::set_permissions(top.join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("../../outside", top.join("deep/link")).unwrap();
    symlink("/etc/passwd", top.join("absolute link")).unwrap();
    for n in 0..300 {
        fs::write(top.join(format!("deep/er/{n}")), random(n * 7, n as u64)).unwrap();
    }
    let old = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
    fs::File::open(top.join("big")).unwrap().set_modified(old).unwrap();
    fs::File::open(top.join("deep/er")).unwrap().set_modified(old).unwrap();
}

pub fn request(path: &Path) -> SendRequest {
    SendRequest { paths: vec![path.to_owned()], ..SendRequest::default() }
}

pub fn pair() -> (Arc<Device>, Arc<Device>, PathBuf) {
    let (a, b) = (Device::new(1), Device::new(2));
    let top = a.home.path().join("tree");
    (a, b, top)
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_in_a_tree_arrives_as_it_was() {
    let (a, b, top) = pair();
    tree(&top);
    let (from, to) = (a.start(), b.start());
    from.link_up(Link::up(&a, &b, &to, i64::MAX));
    let id = from.send(&request(&top), &[b.key.id()]).unwrap().remove(0).id;
    let done = until(&from, &id, |view| view.state.is_final()).await;
    assert_eq!((done.state, &done.warnings), (TransferState::Done, &Vec::new()));
    assert_eq!(portrait(&top), portrait(&b.received_dir().join("tree")));
    assert_eq!((done.files_done, done.bytes_done), (done.files_total, done.bytes_total));
    let blocks = fs::metadata(b.received_dir().join("tree/sparse")).unwrap();
    assert!(std::os::unix::fs::MetadataExt::blocks(&blocks) < 4096, "holes stay holes");
    let there = until(&to, &id, |view| view.state.is_final()).await;
    assert_eq!((there.state, there.receipt), (TransferState::Done, done.receipt));
    assert_eq!(fs::read_dir(b.received_dir()).unwrap().count(), 1, "nothing else is left");
    assert!(a.offences().is_empty() && b.offences().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn cuts_and_restarts_at_any_byte_cost_no_verified_block() {
    let mut dice = ChaCha8Rng::seed_from_u64(11);
    for _ in 0..4 {
        let (a, b, top) = pair();
        tree(&top);
        let mut from = a.start();
        let id = from.send(&request(&top), &[b.key.id()]).unwrap().remove(0).id;
        let mut cuts = 0u64;
        loop {
            let to = b.start();
            let bytes = if cuts > 20 { i64::MAX } else { dice.random_range(1..3_000_000) };
            let link = Link::up(&a, &b, &to, bytes);
            from.link_up(link.clone());
            let ended = |view: &Transfer| matches!(view.state, TransferState::Done | TransferState::Waiting);
            let view = until(&from, &id, |view| ended(view)).await;
            from.link_down(&link);
            if view.state == TransferState::Done {
                let lost = view.bytes_wire.saturating_sub(view.bytes_total);
                assert!(lost <= cuts * 3_000_000, "{lost} of {} in {cuts} cuts", view.bytes_total);
                // What was counted by a process that died is not forgotten: all but the zeros has come somehow.
                let content = view.bytes_total - (3 * MIB as u64 + 5 + 1000);
                let there = until(&to, &id, |view| view.state.is_final()).await;
                assert!(view.bytes_wire >= content && there.bytes_wire >= content, "{view:?} {there:?}");
                break;
            }
            cuts += 1;
            // Both processes die; what is on their disks stays.
            while to.list().iter().any(|view| view.state == TransferState::Running) {
                tokio::task::yield_now().await;
            }
            from = a.start();
        }
        assert_eq!(portrait(&top), portrait(&b.received_dir().join("tree")));
        assert!(a.offences().is_empty() && b.offences().is_empty(), "{:?} {:?}", a.offences(), b.offences());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rate_after_a_restart_is_that_of_what_flowed_since() {
    let (a, b, top) = pair();
    fs::write(&top, random(8 * MIB, 1)).unwrap();
    let (from, to) = (a.start(), b.start());
    let id = from.send(&request(&top), &[b.key.id()]).unwrap().remove(0).id;
    from.link_up(Link::up(&a, &b, &to, 5_000_000));
    until(&from, &id, |view| view.state == TransferState::Waiting).await;
    until(&to, &id, |view| view.state == TransferState::Waiting).await;
    // Killed: what was counted and not stored is gone, what is on the disk is not.
    let (from, to) = (a.start(), b.start());
    from.link_up(Link::up(&a, &b, &to, i64::MAX));
    for service in [&from, &to] {
        let done = until(service, &id, |view| view.state.is_final()).await;
        assert!(done.flow_ms.is_some() && done.bytes_wire >= 8 * MIB as u64, "{done:?}");
        assert!((1..=6 * MIB as u64).contains(&done.flow_bytes), "{} bytes since the restart", done.flow_bytes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_changed_between_runs_arrives_as_it_is_now() {
    let (a, b, top) = pair();
    tree(&top);
    let from = a.start();
    let id = from.send(&request(&top), &[b.key.id()]).unwrap().remove(0).id;
    let to = b.start();
    let link = Link::up(&a, &b, &to, 6_000_000);
    from.link_up(link.clone());
    until(&from, &id, |view| view.state == TransferState::Waiting).await;
    from.link_down(&link);
    fs::remove_file(top.join("big")).unwrap();
    fs::remove_dir_all(top.join("deep/er")).unwrap();
    fs::write(top.join("deep/er"), b"a file where a folder was").unwrap();
    fs::remove_file(top.join("nothing")).unwrap();
    fs::create_dir(top.join("nothing")).unwrap();
    fs::write(top.join("nothing/new"), random(3 * MIB, 9)).unwrap();
    fs::write(top.join("exactly two blocks"), random(MIB, 2)).unwrap();
    from.link_up(Link::up(&a, &b, &to, i64::MAX));
    let done = until(&from, &id, |view| view.state.is_final()).await;
    assert_eq!(done.state, TransferState::Done, "{:?}", done.problem);
    assert_eq!(portrait(&top), portrait(&b.received_dir().join("tree")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_alone_and_ten_bytes_need_no_lanes() {
    let (a, b, top) = pair();
    fs::write(&top, b"ten bytes!").unwrap();
    let (from, to) = (a.start(), b.start());
    from.link_up(Link::up(&a, &b, &to, i64::MAX));
    let text = SendRequest { text: Some("see you at eight".into()), ..SendRequest::default() };
    for request in [request(&top), text] {
        let id = from.send(&request, &[b.key.id()]).unwrap().remove(0).id;
        let done = until(&from, &id, |view| view.state.is_final()).await;
        assert_eq!((done.state, done.lane), (TransferState::Done, None));
        assert_eq!(to.get(&id).unwrap().text, request.text);
    }
    assert_eq!(fs::read(b.received_dir().join("tree")).unwrap(), b"ten bytes!");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_user_decides_where_no_rule_does() {
    let (a, b, top) = pair();
    fs::write(&top, random(3 * MIB, 1)).unwrap();
    *b.decision.lock().unwrap() = Decision::Ask;
    let (from, to) = (a.start(), b.start());
    from.link_up(Link::up(&a, &b, &to, i64::MAX));
    let mut ids = Vec::new();
    for _ in 0..2 {
        let id = from.send(&request(&top), &[b.key.id()]).unwrap().remove(0).id;
        until(&to, &id, |view| view.state == TransferState::Offered).await;
        ids.push(id);
    }
    to.reject(&ids[0]).unwrap();
    let elsewhere = b.home.path().join("elsewhere");
    to.accept(&ids[1], Some(&elsewhere)).unwrap();
    assert_eq!(until(&from, &ids[0], |view| view.state.is_final()).await.state, TransferState::Rejected);
    assert_eq!(until(&from, &ids[1], |view| view.state.is_final()).await.state, TransferState::Done);
    assert_eq!(fs::read(elsewhere.join("tree")).unwrap(), fs::read(&top).unwrap());
    assert!(matches!(to.accept(&ids[0], None), Err(TransferError::Over(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_can_pause_go_on_limit_and_cancel() {
    let (a, b, top) = pair();
    fs::write(&top, random(8 * MIB, 1)).unwrap();
    let (from, to) = (a.start(), b.start());
    from.link_up(Link::up(&a, &b, &to, i64::MAX));
    for (one, other) in [(&from, &to), (&to, &from)] {
        let slow = SendRequest { limit: Some(3_000_000), ..request(&top) };
        let id = from.send(&slow, &[b.key.id()]).unwrap().remove(0).id;
        until(&to, &id, |view| view.bytes_wire > 0).await;
        one.pause(&id).unwrap();
        until(other, &id, |view| view.state == TransferState::Paused).await;
        one.resume(&id).unwrap();
        until(other, &id, |view| view.state == TransferState::Running).await;
        one.cancel(&id).unwrap();
        assert_eq!(until(other, &id, |view| view.state.is_final()).await.state, TransferState::Cancelled);
        assert_eq!(one.get(&id).unwrap().state, TransferState::Cancelled);
    }
    let slow = SendRequest { limit: Some(1), ..request(&top) };
    let id = from.send(&slow, &[b.key.id()]).unwrap().remove(0).id;
    until(&to, &id, |view| view.state == TransferState::Running).await;
    from.limit(&id, None).unwrap();
    assert_eq!(until(&from, &id, |view| view.state.is_final()).await.state, TransferState::Done);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_receipt_is_given_again_and_nothing_is_sent_twice() {
    let (a, b, top) = pair();
    fs::write(&top, random(3 * MIB, 1)).unwrap();
    let from = a.start();
    let to = b.start();
    let id = from.send(&request(&top), &[b.key.id()]).unwrap().remove(0).id;
    from.link_up(Link::up(&a, &b, &to, i64::MAX));
    until(&from, &id, |view| view.state.is_final()).await;
    // The sender forgets the end: as if it had been killed before the receipt came.
    let item = from.find(&id).unwrap();
    item.store(|record| (record.ended, record.receipt) = (None, None)).unwrap();
    let from = a.start();
    from.link_up(Link::up(&a, &b, &to, i64::MAX));
    let done = until(&from, &id, |view| view.state.is_final()).await;
    assert_eq!(done.state, TransferState::Done);
    assert!(done.receipt.is_some());
    assert_eq!(fs::read_dir(b.received_dir()).unwrap().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_learns_later_that_a_transfer_was_given_up_while_it_was_away() {
    let (a, b, top) = pair();
    tree(&top);
    let (from, to) = (a.start(), b.start());
    let mut ids = Vec::new();
    for _ in 0..2 {
        let id = from.send(&request(&top), &[b.key.id()]).unwrap().remove(0).id;
        let link = Link::up(&a, &b, &to, 2_000_000);
        from.link_up(link.clone());
        until(&from, &id, |view| view.state == TransferState::Waiting).await;
        from.link_down(&link);
        ids.push(id);
    }
    from.cancel(&ids[0]).unwrap();
    from.link_up(Link::up(&a, &b, &to, i64::MAX));
    assert_eq!(until(&to, &ids[0], |view| view.state.is_final()).await.state, TransferState::Cancelled);
    assert_eq!(until(&to, &ids[1], |view| view.state.is_final()).await.state, TransferState::Done);
    let left = || fs::read_dir(b.received_dir()).unwrap().count();
    while left() > 1 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_vanished_ends_the_transfer_on_both_sides() {
    let (a, b, top) = pair();
    tree(&top);
    let (from, to) = (a.start(), b.start());
    let id = from.send(&request(&top), &[b.key.id()]).unwrap().remove(0).id;
    let link = Link::up(&a, &b, &to, 2_000_000);
    from.link_up(link.clone());
    until(&from, &id, |view| view.state == TransferState::Waiting).await;
    from.link_down(&link);
    fs::remove_dir_all(&top).unwrap();
    from.link_up(Link::up(&a, &b, &to, i64::MAX));
    let failed = until(&from, &id, |view| view.state.is_final()).await;
    assert_eq!(failed.state, TransferState::Failed);
    assert!(failed.problem.is_some_and(|problem| problem.contains("tree")));
    assert_eq!(until(&to, &id, |view| view.state.is_final()).await.state, TransferState::Cancelled);
}
