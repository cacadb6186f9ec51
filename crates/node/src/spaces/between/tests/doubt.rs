//! Homes that are put back from an older copy.

use std::path::Path;

use store::space::Standing;

use super::super::evidence;
use super::*;

/// The home of a device as it is now.
fn copy_of(dev: &Dev) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    // File systems say when a file was born by a coarse clock.
    std::thread::sleep(Duration::from_millis(20));
    copy_all(dev.dir.path(), copy.path());
    copy
}

fn copy_all(from: &Path, to: &Path) {
    for item in std::fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        let target = to.join(item.file_name());
        if item.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy_all(&item.path(), &target);
        } else {
            std::fs::copy(item.path(), target).unwrap();
        }
    }
}

/// The device ends, and another home takes its place.
async fn replaced(dev: Dev, dir: tempfile::TempDir) -> Dev {
    dev.between.stop().await;
    let keys = dev.keys.clone();
    drop(dev);
    let database = Database::open(&dir.path().join("database"), keys.records.clone()).unwrap();
    let circle = Circle::open(&database, keys.clone()).unwrap();
    start(Person { keys, dir, database, circle })
}

fn may_write(dev: &Dev, ledger: CommitId, name: &str) -> bool {
    dev.write(ledger, name, &[bytes(9, 10)]).is_ok()
}

/// Ada writes more, and bob knows it and what she signed; then she gets an older home.
async fn put_back() -> (CommitId, Dev, Dev, Vec<u8>) {
    let [ada, bob] = devices();
    let (ledger, wire) = shared(&ada, &bob).await;
    ada.write(ledger, "early", &[bytes(1, 10)]).unwrap();
    until("early", || bob.names(ledger) == ["early"]).await;
    let old = copy_of(&ada);
    ada.write(ledger, "late", &[bytes(2, 10)]).unwrap();
    bob.write(ledger, "bob's", &[bytes(3, 10)]).unwrap();
    until("all", || ada.names(ledger).len() == 3 && bob.names(ledger).len() == 3).await;
    let room = ada.between.room_of(ledger);
    let newest = || room.statements().into_iter().find(|one| one.held().device == ada.id());
    let signs_all = || newest().is_some_and(|one| one.held().frontier == room.held().unwrap());
    until("ada signs what she holds", signs_all).await;
    let signed = newest().unwrap().as_bytes().to_vec();
    let told = || bob.between.room_of(ledger).statements().iter().any(|one| one.as_bytes() == signed);
    until("bob knows", told).await;
    wire.cut();
    drop(room);
    let ada = replaced(ada, old).await;
    until("a room", || ada.between.room(ledger).is_some()).await;
    assert_eq!(ada.names(ledger), ["early"]);
    (ledger, ada, bob, signed)
}

fn is_blameless(dev: &Dev, ledger: CommitId) {
    assert_eq!(evidence::all(&dev.kept(ledger).space).unwrap(), vec![]);
    let forked = dev.kept(ledger).space.look(|ledger, _| Ok(ledger.judgement().forked().count()));
    assert_eq!(forked.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_home_signs_nothing_before_it_has_asked_and_then_goes_on() {
    let (ledger, ada, bob, _) = put_back().await;
    assert!(!may_write(&ada, ledger, "beside it"));
    assert!(ada.log().contains(&"space.older".to_owned()));
    let wire = link(&ada, &bob);
    until("ada may write", || may_write(&ada, ledger, "after it")).await;
    until("bob has it", || bob.names(ledger) == ["after it", "bob's", "early", "late"]).await;
    assert_eq!(ada.names(ledger), bob.names(ledger));
    let signed = |dev: &Dev| {
        let of = dev.between.room_of(ledger).statements().into_iter().find(|one| one.held().device == ada.id());
        of.map(|one| one.held().clone())
    };
    until("she signs it", || {
        signed(&bob).is_some_and(|held| held.frontier == ada.between.room_of(ledger).held().unwrap())
    })
    .await;
    is_blameless(&bob, ledger);
    assert!(wire.offences().is_empty(), "{:?}", wire.offences());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_disk_cannot_show_by_itself_is_noticed_when_own_signatures_come_back() {
    let (ledger, ada, bob, _) = put_back().await;
    // A snapshot of a machine: nothing says that it is a copy.
    let space = &ada.kept(ledger).space;
    assert!(space.vouch(0).unwrap());
    assert_eq!(space.standing().unwrap(), Standing::Good);
    let before = ada.log().iter().filter(|event| *event == "space.older").count();
    let _wire = link(&ada, &bob);
    until("it is noticed", || ada.log().iter().filter(|event| *event == "space.older").count() > before).await;
    until("ada may write", || may_write(&ada, ledger, "after it")).await;
    until("bob has it", || bob.names(ledger).contains(&"after it".to_owned())).await;
    is_blameless(&bob, ledger);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_comes_back_alone_ends_signing_until_what_it_says_is_here() {
    let (ledger, ada, _bob, signed) = put_back().await;
    let room = ada.between.room_of(ledger);
    let statement = logic::ledger::HeadStatement::read(&signed).unwrap();
    assert!(room.hear_own(statement.clone()).unwrap());
    assert!(!room.hear_own(statement).unwrap(), "once is enough");
    // Somebody who does not have it either.
    room.facts().asked.insert(ada.id());
    assert!(!room.resolve().unwrap() && !may_write(&ada, ledger, "beside it"));
    assert!(!room.state(clock::now()).unwrap(), "it would say less than before");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_space_of_nobody_else_is_what_is_here() {
    let [ada] = devices();
    let ledger = ada.found().space.id();
    ada.write(ledger, "early", &[bytes(1, 10)]).unwrap();
    let old = copy_of(&ada);
    ada.write(ledger, "late", &[bytes(2, 10)]).unwrap();
    let ada = replaced(ada, old).await;
    until("ada may write", || may_write(&ada, ledger, "after it")).await;
    assert_eq!(ada.names(ledger), ["after it", "early"]);
}
