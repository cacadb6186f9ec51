//! Contents between devices.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_device_takes_everything_and_gives_it_to_others_when_the_writer_is_away() {
    let [ada, storage, bob] = devices();
    let ledger = ada.found().space.id();
    ada.grant(ledger, &storage, SpaceRole::Storage);
    ada.grant(ledger, &bob, SpaceRole::Reader);
    // Before they meet, and after.
    let mut ids = ada.write(ledger, "first", &[bytes(1, 3000), bytes(2, 100_000)]).unwrap();
    let wire = link(&ada, &storage);
    until("storage has entered", || storage.role(ledger) == Some(SpaceRole::Storage)).await;
    let many: Vec<_> = (0..40_u8).map(|seed| bytes(seed, 20_000 + usize::from(seed))).collect();
    ids.extend(ada.write(ledger, "second", &many).unwrap());
    until("stored", || ids.iter().all(|id| storage.has(id))).await;
    let with_bob = link(&ada, &bob);
    // The key comes from an owner; the contents may come from anybody.
    until("bob reads", || bob.names(ledger).len() == 2).await;
    with_bob.cut();
    wire.cut();
    ada.between.stop().await;
    let last = link(&storage, &bob);
    until("bob has all", || ids.iter().all(|id| bob.has(id))).await;
    assert!(storage.names(ledger).is_empty(), "it cannot read");
    assert!(last.offences().is_empty() && wire.offences().is_empty());
    let standing = storage.between.standing(&storage.kept(ledger)).unwrap();
    assert_eq!(standing.state, api::types::SpaceState::Storage);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_offered_to_a_storage_device_that_is_only_learning_of_the_space() {
    let [ada, storage] = devices();
    let ledger = ada.found().space.id();
    ada.grant(ledger, &storage, SpaceRole::Storage);
    let ids = ada.write(ledger, "first", &[bytes(1, 3000)]).unwrap();
    let _wire = link(&ada, &storage);
    until("stored", || storage.has(&ids[0])).await;
    // An offer that came too early is refused, and the next one waits for half a minute.
    assert!(!storage.log().iter().any(|event| event == "space.refused"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_device_keeps_to_its_quota_and_says_so() {
    let [ada, storage] = devices();
    let ledger = ada.found().space.id();
    ada.grant(ledger, &storage, SpaceRole::Storage);
    let _wire = link(&ada, &storage);
    until("storage has entered", || storage.role(ledger) == Some(SpaceRole::Storage)).await;
    storage.spaces.objects.set_quota(&storage.kept(ledger).namespace(), Some(50_000)).unwrap();
    let ids = ada.write(ledger, "large", &[bytes(1, 40_000), bytes(2, 40_000)]).unwrap();
    until("it says so", || storage.log().iter().any(|event| event == "space.storage_full")).await;
    assert!(!ids.iter().all(|id| storage.has(id)));
    assert!(storage.spaces.objects.usage(&storage.kept(ledger).namespace()).unwrap().bytes <= 50_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn contents_of_another_space_are_not_given_even_to_somebody_who_knows_their_names() {
    let [ada, bob] = devices();
    let (ledger, _wire) = shared(&ada, &bob).await;
    let private = ada.found().space.id();
    let secret = ada.write(private, "secret", &[bytes(1, 1000)]).unwrap();
    let known = ada.write(ledger, "known", &[bytes(2, 1000)]).unwrap();
    bob.between.fetch_soon(ledger, &known).await.unwrap();
    let denied = bob.between.fetch_soon(ledger, &secret).await;
    assert!(denied.is_err() && !bob.has(&secret[0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_peer_has_not_is_asked_of_the_next() {
    let [ada, bob, carl] = devices();
    let (ledger, with_bob) = shared(&ada, &bob).await;
    ada.grant(ledger, &carl, SpaceRole::Editor);
    let with_carl = link(&ada, &carl);
    until("carl writes", || carl.can_write(ledger)).await;
    with_bob.cut();
    let ids = ada.write(ledger, "one", &[bytes(1, 1000), bytes(2, 2000)]).unwrap();
    until("carl has it", || ids.iter().all(|id| carl.has(id))).await;
    with_carl.cut();
    ada.between.stop().await;
    let _both = link(&bob, &carl);
    until("bob has it", || ids.iter().all(|id| bob.has(id))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_demand_fetches_what_is_read_and_nothing_else() {
    let [ada, bob] = devices();
    let (ledger, _wire) = shared(&ada, &bob).await;
    bob.spaces.set_wish(&bob.kept(ledger), crate::spaces::list::Wish { on_demand: true }).unwrap();
    let ids = ada.write(ledger, "big", &[bytes(1, 1000), bytes(2, 2000)]).unwrap();
    until("bob sees it", || bob.names(ledger) == ["big"]).await;
    bob.between.fetch_soon(ledger, &ids[1..]).await.unwrap();
    assert!(bob.has(&ids[1]) && !bob.has(&ids[0]));
    assert!(matches!(bob.spaces.objects.get(&ids[0]), Err(error) if is_missing(&error)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_object_is_not_given_and_fetched_again() {
    let [ada, bob] = devices();
    let (ledger, _wire) = shared(&ada, &bob).await;
    let ids = ada.write(ledger, "file", &[bytes(1, 50_000)]).unwrap();
    until("bob has it", || bob.has(&ids[0])).await;
    damage(&ada);
    assert!(ada.spaces.objects.get(&ids[0]).is_err());
    // Somebody asks for it: that is how it is noticed.
    let room = ada.between.room_of(ledger);
    assert!(ada.between.read_damaged(&room, ids[0]));
    until("mended", || ada.spaces.objects.get(&ids[0]).is_ok()).await;
    assert!(ada.log().iter().any(|event| event == "space.damaged"));
}

/// Turns bits of the contents in every pack of a device.
fn damage(dev: &Dev) {
    for entry in walk(&dev.dir.path().join("objects")) {
        let mut pack = std::fs::read(&entry).unwrap();
        let len = pack.len();
        if len > 40_000 {
            pack[len / 2] ^= 0x55;
            std::fs::write(&entry, pack).unwrap();
        }
    }
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(walk(&path)) } else { found.push(path) }
    }
    found
}
