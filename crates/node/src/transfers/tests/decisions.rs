//! What users decide: pauses, landing folders, ids, and what is left when it is over.

use super::super::*;
use super::story::{MIB, pair, random, request};
use super::world::{Link, until};
use api::types::PausedBy;
use std::fs;

const SLOW: Option<u64> = Some(3_000_000);

#[tokio::test(flavor = "multi_thread")]
async fn what_both_sides_have_paused_goes_on_when_both_want_it() {
    let (a, b, top) = pair();
    fs::write(&top, random(8 * MIB, 1)).unwrap();
    let (from, to) = (a.start(), b.start());
    from.link_up(Link::up(&a, &b, &to, i64::MAX));
    for (one, other) in [(&from, &to), (&to, &from)] {
        let slow = SendRequest { limit: SLOW, ..request(&top) };
        let id = from.send(&slow, &[b.key.id()]).unwrap().remove(0).id;
        until(&to, &id, |view| view.bytes_wire > 0).await;
        one.pause(&id).unwrap();
        let by = |who: PausedBy| move |view: &Transfer| view.paused_by == Some(who);
        until(one, &id, by(PausedBy::This)).await;
        until(other, &id, by(PausedBy::Other)).await;
        other.pause(&id).unwrap();
        until(one, &id, by(PausedBy::Both)).await;
        until(other, &id, by(PausedBy::Both)).await;
        other.resume(&id).unwrap();
        let view = until(other, &id, by(PausedBy::Other)).await;
        assert_eq!((view.state, view.rate, view.eta_s), (TransferState::Paused, 0, None));
        until(one, &id, by(PausedBy::This)).await;
        one.resume(&id).unwrap();
        until(one, &id, |view| view.state == TransferState::Running && view.paused_by.is_none()).await;
        until(other, &id, |view| view.state == TransferState::Running && view.paused_by.is_none()).await;
        one.cancel(&id).unwrap();
        until(other, &id, |view| view.state.is_final()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_on_all_sending_is_no_limit_of_the_single_transfers() {
    let (a, b, top) = pair();
    fs::write(&top, random(3 * MIB, 1)).unwrap();
    let (from, to) = (a.start(), b.start());
    from.limit_all(Some(1));
    from.link_up(Link::up(&a, &b, &to, i64::MAX));
    let mut ids = Vec::new();
    for _ in 0..2 {
        ids.push(from.send(&request(&top), &[b.key.id()]).unwrap().remove(0).id);
    }
    for id in &ids {
        let running = until(&from, id, |view| view.state == TransferState::Running).await;
        assert_eq!(running.rate_limit, None);
        from.limit(id, None).unwrap();
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let sent: u64 = ids.iter().map(|id| from.get(id).unwrap().bytes_wire).sum();
    assert!(sent < MIB as u64, "{sent} bytes at one per second");
    from.limit_all(None);
    for id in &ids {
        until(&from, id, |view| view.state == TransferState::Done).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_few_letters_of_an_id_mean_nobody() {
    let (a, b, top) = pair();
    fs::write(&top, b"x").unwrap();
    *b.decision.lock().unwrap() = Decision::Ask;
    let (from, to) = (a.start(), b.start());
    from.link_up(Link::up(&a, &b, &to, i64::MAX));
    let id = from.send(&request(&top), &[b.key.id()]).unwrap().remove(0).id;
    until(&to, &id, |view| view.state == TransferState::Offered).await;
    for short in ["", &id[..1], &id[..3]] {
        let tried = [
            to.accept(short, None).map(drop),
            to.reject(short).map(drop),
            from.pause(short).map(drop),
            from.cancel(short).map(drop),
            from.limit(short, None),
            from.get(short).map(drop),
        ];
        assert!(tried.iter().all(|tried| matches!(tried, Err(TransferError::TooShort(_)))), "{tried:?}");
    }
    assert_eq!(to.get(&id[..4]).unwrap().state, TransferState::Offered);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_cannot_be_used_is_refused_and_another_one_can_be_named() {
    let (a, b, top) = pair();
    fs::write(&top, random(MIB, 3)).unwrap();
    let (bad, good) = (b.home.path().join("bad"), b.home.path().join("good"));
    fs::write(&bad, b"no folder").unwrap();
    let (from, to) = (a.start(), b.start());
    from.link_up(Link::up(&a, &b, &to, i64::MAX));
    *b.decision.lock().unwrap() = Decision::Ask;
    let offered = from.send(&request(&top), &[b.key.id()]).unwrap().remove(0).id;
    until(&to, &offered, |view| view.state == TransferState::Offered).await;
    // Nobody looks at the folder where a rule accepts.
    *b.decision.lock().unwrap() = Decision::Accept { to: Some(bad.clone()), ceiling: None };
    let stuck = from.send(&request(&top), &[b.key.id()]).unwrap().remove(0).id;
    until(&to, &stuck, |view| view.problem_code.is_some()).await;
    for id in [&offered, &stuck] {
        let (to, id, bad, good) = (to.clone(), id.clone(), bad.clone(), good.clone());
        let accepting = tokio::task::spawn_blocking(move || {
            let before = to.get(&id).unwrap().state;
            assert!(matches!(to.accept(&id, Some(&bad)), Err(TransferError::Landing { .. })));
            assert_eq!(to.get(&id).unwrap().state, before);
            to.accept(&id, Some(&good)).unwrap();
        });
        accepting.await.unwrap();
    }
    for id in [&offered, &stuck] {
        until(&from, id, |view| view.state == TransferState::Done).await;
    }
    let mut landed: Vec<_> = fs::read_dir(&good).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    landed.sort();
    assert_eq!(landed, ["tree", "tree (2)"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_transfers_that_are_over_and_others_lose_nothing() {
    let (a, b, top) = pair();
    fs::write(&top, random(8 * MIB, 1)).unwrap();
    let (from, to) = (a.start(), b.start());
    from.link_up(Link::up(&a, &b, &to, i64::MAX));
    let slow = SendRequest { limit: SLOW, ..request(&top) };
    let id = from.send(&slow, &[b.key.id()]).unwrap().remove(0).id;
    until(&to, &id, |view| view.bytes_done > 0).await;
    let left = || Landing::open(&b.received_dir()).unwrap().unfinished().unwrap();
    assert_eq!(left().len(), 1);
    to.part_from(a.key.id());
    assert_eq!(to.get(&id).unwrap().state, TransferState::Failed);
    while !left().is_empty() {
        tokio::task::yield_now().await;
    }
    // A crash has left it; and somebody else receives into the same folder.
    let over = id.parse::<TransferId>().unwrap();
    for id in [over.0, [9; 16]] {
        drop(Landing::open(&b.received_dir()).unwrap().begin(&id).unwrap());
    }
    while b.all().unwrap().records.iter().all(|(_, record)| Record::from_bytes(record).unwrap().ended.is_none()) {
        tokio::task::yield_now().await;
    }
    let _again = b.start();
    while left().contains(&over.0) {
        tokio::task::yield_now().await;
    }
    assert_eq!(left(), [[9; 16]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_is_not_shown_as_offered_after_a_cut() {
    let (a, b, top) = pair();
    fs::write(&top, random(8 * MIB, 1)).unwrap();
    let (from, to) = (a.start(), b.start());
    let id = from.send(&request(&top), &[b.key.id()]).unwrap().remove(0).id;
    let link = Link::up(&a, &b, &to, 3_000_000);
    from.link_up(link.clone());
    until(&from, &id, |view| view.state == TransferState::Waiting).await;
    from.link_down(&link);
    let mut snapshots = from.subscribe();
    from.link_up(Link::up(&a, &b, &to, i64::MAX));
    until(&from, &id, |view| view.state == TransferState::Done).await;
    while let Ok(view) = snapshots.try_recv() {
        assert_ne!(view.state, TransferState::Offered);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_sent_is_refused_at_once() {
    let (a, b, _) = pair();
    let from = a.start();
    let sent = |request: SendRequest| from.send(&request, &[b.key.id()]);
    let nothing = sent(SendRequest { text: Some(String::new()), ..SendRequest::default() });
    assert!(matches!(nothing, Err(TransferError::NothingToSend(_))), "{nothing:?}");
    let nowhere = sent(request(&a.home.path().join("nowhere")));
    assert!(matches!(nowhere, Err(TransferError::NoSource(_))), "{nowhere:?}");
    // A file that not even root may read, where the kernel has it.
    let secret = Path::new("/proc/sys/net/ipv4/route/flush");
    if secret.exists() && fs::File::open(secret).is_err() {
        assert!(matches!(sent(request(secret)), Err(TransferError::NoSource(_))));
    }
    assert!(from.list().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_turns_out_to_be_more_than_a_rule_accepts_waits_for_a_person_and_is_nobodys_fault() {
    for elsewhere in [false, true] {
        let (a, b, top) = pair();
        fs::create_dir(&top).unwrap();
        for number in 0..4 {
            fs::write(top.join(format!("{number}")), random(MIB, number)).unwrap();
        }
        *b.decision.lock().unwrap() = Decision::Accept { to: None, ceiling: Some(3 << 20) };
        let (from, to) = (a.start(), b.start());
        from.link_up(Link::up(&a, &b, &to, i64::MAX));
        let id = from.send(&request(&top), &[b.key.id()]).unwrap().remove(0).id;
        let told = |view: &Transfer| view.problem.as_deref().is_some_and(|problem| problem.contains("rule accepts"));
        until(&from, &id, told).await;
        until(&to, &id, |view| view.state == TransferState::Offered).await;
        // The sender asks again, and is told that somebody thinks about it.
        until(&from, &id, |view| view.state == TransferState::Offered).await;
        assert_eq!(to.get(&id).unwrap().problem, None);
        assert_eq!(
            fs::read_dir(b.received_dir()).map_or(0, |found| {
                found.filter(|entry| !entry.as_ref().unwrap().file_name().as_encoded_bytes().starts_with(b".")).count()
            }),
            0
        );
        let folder = if elsewhere { b.home.path().join("other") } else { b.received_dir() };
        let (acceptor, named, other) = (to.clone(), id.clone(), folder.clone());
        let accepting =
            tokio::task::spawn_blocking(move || acceptor.accept(&named, elsewhere.then_some(&*other)).unwrap());
        accepting.await.unwrap();
        until(&from, &id, |view| view.state == TransferState::Done).await;
        let landed = fs::read_dir(folder.join("tree")).unwrap().count();
        assert_eq!((landed, fs::read(folder.join("tree/3")).unwrap() == random(MIB, 3)), (4, true));
        let offences =
            b.events.lock().unwrap().iter().filter(|event| matches!(event.what, What::Misbehaved(_))).count();
        assert_eq!(offences, 0);
        while !Landing::open(&b.received_dir()).unwrap().unfinished().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    }
}
