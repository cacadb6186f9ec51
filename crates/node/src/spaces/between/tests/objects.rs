//! Contents between devices.

use logic::ledger::{Control, Kind as CommitKind};

use super::super::allowance::asked;
use super::*;
use crate::spaces::list::Wish;

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

/// A storage device of a space, linked to the device that founded it.
async fn with_storage() -> (Dev, Dev, CommitId, Link) {
    let [ada, storage] = devices();
    let ledger = ada.found().space.id();
    ada.grant(ledger, &storage, SpaceRole::Storage);
    let wire = link(&ada, &storage);
    until("storage has entered", || storage.role(ledger) == Some(SpaceRole::Storage)).await;
    (ada, storage, ledger, wire)
}

impl Dev {
    fn taken(&self, ledger: CommitId) -> u64 {
        self.spaces.taken(&self.kept(ledger)).unwrap()
    }

    fn limit(&self, ledger: CommitId, quota: Option<u64>) {
        let kept = self.kept(ledger);
        self.spaces.set_wish(&kept, Wish { quota, ..kept.wish() }).unwrap();
    }

    /// Asks so much of a member's storage devices.
    fn ask(&self, ledger: CommitId, of: &Dev, bytes: Option<u64>) {
        let control = Control::Limit { member: of.member, bytes };
        let kept = self.kept(ledger);
        let asked =
            kept.space.change(|work| kept.space.rule(work, RealmId::ROOT, CommitKind::Limit, &control, clock::now()));
        asked.unwrap();
    }

    fn said(&self, event: &str) -> bool {
        self.log().iter().any(|said| said == event)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_device_keeps_to_the_limit_of_its_own_owner_and_both_sides_say_so() {
    let (ada, storage, ledger, wire) = with_storage().await;
    let limit = storage.taken(ledger) + 100_000;
    storage.limit(ledger, Some(limit));
    let ids = ada.write(ledger, "large", &[bytes(1, 40_000), bytes(2, 70_000)]).unwrap();
    until("both say so", || storage.said("space.storage_full") && ada.said("space.device_full")).await;
    assert!(storage.has(&ids[0]), "what there is room for is taken");
    assert!(!storage.has(&ids[1]) && storage.taken(ledger) <= limit);
    let standing = ada.between.standing(&ada.kept(ledger)).unwrap();
    let there = standing.devices[&storage.id()];
    assert!(there.full && there.current != Some(true), "it has not all");
    let standing = storage.between.standing(&storage.kept(ledger)).unwrap();
    assert!(standing.full.is_some() && standing.allowance.unwrap().limit == limit);
    // A full device is offered again and says no before anything is sent for nothing: no offence on either side.
    assert!(wire.offences().is_empty());
    storage.limit(ledger, None);
    until("there is room", || storage.has(&ids[1])).await;
    until("it is full no more", || !ada.between.standing(&ada.kept(ledger)).unwrap().devices[&storage.id()].full).await;
}

/// The packs of a device are gone.
fn lose_packs(dir: &std::path::Path) {
    let packs = walk(&dir.join("objects")).into_iter();
    let packs = packs.filter(|path| path.extension().is_some_and(|ending| ending == "pack"));
    packs.for_each(|path| std::fs::remove_file(path).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_device_knows_what_it_lost_and_gets_it_back() {
    let (ada, storage, ledger, wire) = with_storage().await;
    let ids = ada.write(ledger, "file", &[bytes(1, 40_000), bytes(2, 70_000)]).unwrap();
    until("stored", || ids.iter().all(|id| storage.has(id))).await;
    let current = |ada: &Dev, storage: &Dev| {
        let standing = ada.between.standing(&ada.kept(ledger)).unwrap();
        standing.devices[&storage.id()].current
    };
    until("it has all", || current(&ada, &storage) == Some(true)).await;
    wire.cut();
    drop(wire);
    let storage = again(storage, lose_packs).await;
    assert!(ids.iter().all(|id| !storage.has(id)));
    until("it knows", || storage.between.standing(&storage.kept(ledger)).unwrap().missing_objects > 0).await;
    let wire = link(&ada, &storage);
    until("it has them again", || ids.iter().all(|id| storage.has(id))).await;
    assert!(wire.offences().is_empty());
    // Lost on both devices: whoever is asked knows by that.
    wire.cut();
    drop(wire);
    let (ada, storage) = (again(ada, lose_packs).await, again(storage, lose_packs).await);
    let _wire = link(&ada, &storage);
    until("it has not all", || current(&ada, &storage) == Some(false)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_smallest_of_what_is_asked_and_what_is_given_holds() {
    let (ada, storage, ledger, _wire) = with_storage().await;
    let taken = storage.taken(ledger);
    ada.ask(ledger, &storage, Some(taken + 200_000));
    let allowed = || storage.between.allowance_of(ledger).map(|allowance| allowance.limit);
    until("it is asked for less", || allowed() == Some(taken + 200_000)).await;
    storage.limit(ledger, Some(taken + 300_000));
    assert_eq!(allowed(), Some(taken + 200_000), "what is given does not raise what is asked");
    storage.spaces.limit_storage(taken + 100_000);
    assert_eq!(allowed(), Some(taken + 100_000));
    storage.spaces.limit_storage(0);
    ada.ask(ledger, &storage, None);
    until("it is asked for everything", || allowed() == Some(taken + 300_000)).await;
    // Who reads is not limited: it would lose what it wrote.
    ada.limit(ledger, Some(1));
    ada.spaces.limit_storage(1);
    assert_eq!(ada.between.allowance_of(ledger), None);
    ada.write(ledger, "mine", &[bytes(3, 3000)]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_for_one_member_is_none_for_another_and_the_latest_counts() {
    let (ada, storage, ledger, _wire) = with_storage().await;
    ada.ask(ledger, &storage, Some(1));
    ada.ask(ledger, &storage, Some(5 << 20));
    ada.ask(ledger, &ada, Some(1));
    let last = ada.kept(ledger).space.look(|ledger, _| Ok(asked(ledger, storage.member))).unwrap();
    assert_eq!(last, Some(5 << 20));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_spaces_that_a_device_cannot_read_share_one_limit() {
    let (ada, storage, one, _wire) = with_storage().await;
    let other = ada.found().space.id();
    ada.grant(other, &storage, SpaceRole::Storage);
    until("both are kept", || storage.role(other) == Some(SpaceRole::Storage)).await;
    let all = storage.taken(one) + storage.taken(other) + 120_000;
    storage.spaces.limit_storage(all);
    let first = ada.write(one, "first", &[bytes(1, 60_000)]).unwrap();
    until("the first is stored", || storage.has(&first[0])).await;
    let second = ada.write(other, "second", &[bytes(2, 60_000)]).unwrap();
    until("there is no room", || storage.said("space.storage_full")).await;
    assert!(!storage.has(&second[0]) && storage.taken(one) + storage.taken(other) <= all);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_count_and_stop_at_the_limit_too() {
    let (ada, storage, ledger, wire) = with_storage().await;
    let limit = storage.taken(ledger) + 200_000;
    storage.limit(ledger, Some(limit));
    for number in 0..120 {
        ada.write(ledger, &format!("{number:0200}"), &vec![bytes(1, 10); 50]).unwrap();
    }
    until("it says so", || storage.said("space.storage_full")).await;
    // One message of commits is taken or not; what it brings is stored with what is needed to find it again.
    assert!(storage.taken(ledger) < limit + 400_000, "{} of {limit}", storage.taken(ledger));
    assert!(wire.offences().is_empty());
    storage.limit(ledger, None);
    let whole = |dev: &Dev| dev.kept(ledger).space.peek(|store| Ok(store.commits()?)).unwrap();
    until("all is there", || whole(&storage) == whole(&ada)).await;
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
    bob.spaces.set_wish(&bob.kept(ledger), Wish { on_demand: true, ..Default::default() }).unwrap();
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
