//! Devices that keep the rules.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_shared_is_learned_entered_and_written_by_both() {
    let [ada, bob] = devices();
    let (ledger, wire) = shared(&ada, &bob).await;
    let first = ada.write(ledger, "from ada", &[bytes(1, 5000), bytes(2, 100)]).unwrap();
    let second = bob.write(ledger, "from bob", &[bytes(3, 70_000)]).unwrap();
    until("names", || ada.names(ledger).len() == 2 && bob.names(ledger).len() == 2).await;
    until("objects", || first.iter().all(|id| bob.has(id)) && second.iter().all(|id| ada.has(id))).await;
    assert!(wire.offences().is_empty(), "{:?}", wire.offences());
    let log = bob.log();
    for event in ["space.learned", "space.entered"] {
        assert_eq!(log.iter().filter(|entry| *entry == event).count(), 1, "{log:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_signed_what_it_holds_still_teaches_a_newcomer_and_tells_it_the_statements() {
    let [ada, bob] = devices();
    let ledger = ada.found().space.id();
    ada.grant(ledger, &bob, SpaceRole::Reader);
    until("ada has a room", || ada.between.room(ledger).is_some()).await;
    let room = ada.between.room_of(ledger);
    room.state(clock::now()).unwrap();
    assert!(room.statements().iter().any(|statement| statement.held().device == ada.id()));
    let wire = link(&ada, &bob);
    until("bob has it", || bob.role(ledger) == Some(SpaceRole::Reader)).await;
    let told = || bob.between.room_of(ledger).statements().iter().any(|one| one.held().device == ada.id());
    until("bob knows what ada signed", told).await;
    assert!(wire.offences().is_empty(), "{:?}", wire.offences());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_apart_meets_again_over_a_new_link() {
    let [ada, bob] = devices();
    let (ledger, wire) = shared(&ada, &bob).await;
    wire.cut();
    ada.write(ledger, "a", &[bytes(1, 10)]).unwrap();
    bob.write(ledger, "b", &[bytes(2, 10)]).unwrap();
    let again = link(&ada, &bob);
    // A third one takes its place at once.
    let third = link(&ada, &bob);
    until("both", || ada.names(ledger) == ["a", "b"] && bob.names(ledger) == ["a", "b"]).await;
    assert!(again.offences().is_empty() && third.offences().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_learned_of_it_passes_it_on_while_the_one_who_granted_is_away() {
    let [ada, bob, carl] = devices();
    let (ledger, wire) = shared(&ada, &bob).await;
    ada.grant(ledger, &carl, SpaceRole::Reader);
    let decided = ada.kept(ledger).space.look(|ledger, _| Ok(ledger.judgement().controls().count())).unwrap();
    until("bob knows", || {
        bob.kept(ledger).space.look(|ledger, _| Ok(ledger.judgement().controls().count())).unwrap() == decided
    })
    .await;
    wire.cut();
    ada.between.stop().await;
    let _link = link(&bob, &carl);
    until("carl has it", || carl.role(ledger) == Some(SpaceRole::Reader)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_who_does_not_know_of_a_grant_hears_of_it_from_whom_it_is_for() {
    let [ada, bob, carl] = devices();
    let (ledger, with_bob) = shared(&ada, &bob).await;
    with_bob.cut();
    ada.grant(ledger, &carl, SpaceRole::Editor);
    let with_carl = link(&ada, &carl);
    until("carl writes", || carl.can_write(ledger)).await;
    with_carl.cut();
    carl.write(ledger, "from carl", &[bytes(9, 999)]).unwrap();
    bob.write(ledger, "from bob", &[bytes(8, 999)]).unwrap();
    let both = link(&bob, &carl);
    until("both", || bob.names(ledger).len() == 2).await;
    until("both", || carl.names(ledger).len() == 2).await;
    assert!(both.offences().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_revoked_hears_that_and_nothing_later() {
    let [ada, bob] = devices();
    let (ledger, wire) = shared(&ada, &bob).await;
    ada.write(ledger, "before", &[]).unwrap();
    until("before", || bob.names(ledger) == ["before"]).await;
    let target = logic::ledger::Target::Member(bob.member);
    let reason = logic::ledger::RevokeReason::Withdrawn;
    ada.kept(ledger).space.revoke(RealmId::ROOT, target, reason, clock::now()).unwrap();
    let later = ada.write(ledger, "after", &[bytes(5, 50)]).unwrap();
    until("bob knows", || bob.role(ledger).is_none()).await;
    let held = |dev: &Dev| dev.kept(ledger).space.look(|ledger, _| Ok(ledger.frontier().of(ada.id()))).unwrap();
    let (ada_has, bob_has) = (held(&ada).unwrap().0, held(&bob).unwrap().0);
    // The key that was made anew and what is under it: two commits that bob does not get.
    until("settled", || ada.log().iter().any(|event| event == "space.refused")).await;
    assert_eq!(bob_has + 2, ada_has);
    assert!(!bob.has(&later[0]));
    assert!(wire.offences().is_empty());
    // Said once, however often it comes back.
    let mut wire = wire;
    for _ in 0..3 {
        wire.cut();
        wire = link(&ada, &bob);
        until("they talk", || !ada.between.peers().values().all(|online| online.sessions.is_empty())).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert_eq!(ada.log().iter().filter(|event| *event == "space.refused").count(), 1);
}
