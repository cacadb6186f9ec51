//! Devices that lost the files of their spaces.

use std::path::Path;

use store::space::Standing;

use super::*;

fn files(dir: &Path, ending: &str) -> Vec<std::path::PathBuf> {
    let all = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    all.filter(|path| path.to_string_lossy().ends_with(ending)).collect()
}

/// Nothing is left of the spaces but the objects and the logs, of which so many bytes of the end are lost.
fn lose(dir: &Path, marks: bool, bytes: usize) {
    for path in files(&dir.join("spaces"), "") {
        if marks || !path.to_string_lossy().ends_with(".mark") {
            std::fs::remove_file(path).unwrap();
        }
    }
    for path in files(&dir.join("objects"), ".log") {
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - bytes]).unwrap();
    }
}

async fn rebuilt_after(marks: bool, bytes: usize) {
    let [ada, bob] = devices();
    let (ledger, wire) = shared(&ada, &bob).await;
    let ids = bob.write(ledger, "one", &[bytes_of(1)]).unwrap();
    bob.write(ledger, "two", &[bytes_of(2)]).unwrap();
    until("ada has both", || ada.names(ledger).len() == 2 && ada.has(&ids[0])).await;
    wire.cut();
    drop(wire);
    let bob = again(bob, |dir| lose(dir, marks, bytes)).await;
    assert!(bob.spaces.get(ledger).is_none());
    let made = bob.spaces.rebuild().unwrap();
    assert!(made.len() == 1 && made.iter().all(|(id, made)| *id == ledger && made.is_ok()));
    let standing = || bob.kept(ledger).space.standing().unwrap();
    let whole = !marks && bytes == 0;
    assert_eq!(standing() == Standing::Good, whole, "{:?}", standing());
    if !whole {
        assert!(!bob.can_write(ledger), "nothing is signed before others were asked");
    }
    let wire = link(&ada, &bob);
    until("others were asked", || standing() == Standing::Good && bob.can_write(ledger)).await;
    bob.write(ledger, "three", &[bytes_of(3)]).unwrap();
    until("ada has all", || ada.names(ledger).len() == 3).await;
    assert_eq!(bob.names(ledger), ada.names(ledger));
    assert!(wire.offences().is_empty());
    let said = ada.log();
    for alarm in ["space.forked", "space.rollback", "space.withheld"] {
        assert!(!said.iter().any(|event| event == alarm), "{alarm}");
    }
}

fn bytes_of(seed: u8) -> Vec<u8> {
    bytes(seed, 30_000)
}

#[tokio::test(flavor = "multi_thread")]
async fn with_its_watermark_and_the_whole_log_a_device_goes_on_by_itself() {
    rebuilt_after(false, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_watermark_a_device_asks_others_before_it_signs_anything() {
    rebuilt_after(true, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn own_changes_that_the_log_has_lost_come_back_from_others_before_a_number_is_signed_twice() {
    rebuilt_after(false, 64).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_both_they_come_back_too() {
    rebuilt_after(true, 64).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_space_that_others_tell_of_again_is_the_one_whose_changes_lie_in_the_log() {
    let [ada, bob] = devices();
    let (ledger, wire) = shared(&ada, &bob).await;
    bob.write(ledger, "one", &[bytes_of(1)]).unwrap();
    until("ada has it", || ada.names(ledger).len() == 1).await;
    wire.cut();
    drop(wire);
    let bob = again(bob, |dir| lose(dir, true, 0)).await;
    // Nobody makes it anew: it is learned of, and all of it is here already.
    let _wire = link(&ada, &bob);
    until("bob writes", || bob.spaces.get(ledger).is_some() && bob.can_write(ledger)).await;
    bob.write(ledger, "two", &[bytes_of(2)]).unwrap();
    until("ada has both", || ada.names(ledger).len() == 2).await;
    assert!(!ada.log().iter().any(|event| event == "space.forked"));
}
