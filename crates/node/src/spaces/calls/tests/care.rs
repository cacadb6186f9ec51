//! The care of what is stored, as it is asked for.

use api::types::*;
use api::{Reply, Request};
use logic::ledger::SpaceRole;

use super::world::Home;

fn care(home: &Home, action: StoreAction) -> StoreCared {
    match home.call(Request::StoreCare(StoreCare { action })).unwrap() {
        Reply::StoreCare(said) => said,
        other => panic!("{other:?}"),
    }
}

#[test]
fn nothing_is_wrong_with_a_whole_store_whatever_is_asked() {
    let ada = Home::founder("ada");
    ada.create("ours");
    ada.write("a", "text");
    for action in [StoreAction::Check, StoreAction::Repair, StoreAction::Rebuild, StoreAction::Check] {
        let said = care(&ada, action);
        assert!(said.ok && said.damaged.is_empty(), "{said:?}");
        assert!(said.holds.iter().any(|line| line.starts_with("ours: all")), "{said:?}");
    }
}

#[test]
fn a_damaged_tree_is_made_anew() {
    let ada = Home::founder("ada");
    ada.create("ours");
    ada.write("a", "text");
    let file = std::fs::read_dir(ada.dir().join("spaces")).unwrap().map(|entry| entry.unwrap().path());
    let path = file.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "space")).unwrap();
    let other = rusqlite::Connection::open(path).unwrap();
    other.execute("UPDATE tree SET body = zeroblob(80) WHERE kind = 5", []).unwrap();
    drop(other);
    assert!(!care(&ada, StoreAction::Check).ok);
    let said = care(&ada, StoreAction::Repair);
    assert!(said.ok && said.mended.len() == 1, "{said:?}");
    let listed = ada.kept("ours").space.tree(|tree| Ok(tree.list(logic::space::Node::ROOT)?.len())).unwrap();
    assert_eq!(listed, 1);
}

#[test]
fn what_was_noted_of_changes_is_found_out_anew() {
    let ada = Home::founder("ada");
    ada.create("ours");
    ada.write("a", "text");
    ada.write("b", "text");
    let other = rusqlite::Connection::open(ada.file_of_space()).unwrap();
    other.execute("UPDATE commits SET note = zeroblob(80)", []).unwrap();
    drop(other);
    assert!(!care(&ada, StoreAction::Check).ok);
    let said = care(&ada, StoreAction::Repair);
    assert!(said.ok && said.mended.len() == 1, "{said:?}");
    assert_eq!(ada.shows().len(), 2);
}

#[test]
fn a_damaged_log_is_written_anew_and_goes_on() {
    for action in [StoreAction::Repair, StoreAction::Rebuild] {
        let ada = Home::founder("ada");
        ada.create("ours");
        (0..20).for_each(|number| ada.write(&format!("{number}"), "text"));
        let logs = std::fs::read_dir(ada.dir().join("objects")).unwrap().map(|file| file.unwrap().path());
        let log = logs.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "log")).unwrap();
        let mut bytes = std::fs::read(&log).unwrap();
        let place = bytes.len() / 2;
        bytes[place..place + 3000].fill(0xa5);
        std::fs::write(&log, bytes).unwrap();
        assert!(!care(&ada, StoreAction::Check).ok);
        let said = care(&ada, action);
        assert!(said.ok && said.mended.iter().any(|line| line.contains("the log of its changes")), "{said:?}");
        ada.write("later", "text");
        let kept = ada.kept("ours");
        let (mut there, all) = (0, kept.space.peek(|reader| Ok(reader.commits()?)).unwrap());
        let count = |_| {
            there += 1;
            Ok(())
        };
        kept.space.read_log(count).unwrap();
        assert_eq!(there, all, "each once");
        assert!(care(&ada, StoreAction::Check).ok);
    }
}

#[test]
fn contents_whose_pack_is_gone_are_missed() {
    let ada = Home::founder("ada");
    ada.create("ours");
    let object = seal::Object::of(vec![7; 50_000]);
    let objects = &ada.spaces().objects;
    objects.put_many(&ada.kept("ours").namespace(), &[object], crate::clock::now()).unwrap();
    for file in std::fs::read_dir(ada.dir().join("objects")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "pack") {
            std::fs::remove_file(path).unwrap();
        }
    }
    // As at a start.
    objects.rebuild(crate::clock::now()).unwrap();
    let said = care(&ada, StoreAction::Check);
    assert!(!said.ok && said.damaged.iter().any(|line| line.contains("1 objects that were stored here")), "{said:?}");
}

#[test]
fn what_is_asked_of_a_storage_device_can_be_changed_and_lifted() {
    let ada = Home::founder("ada");
    let _vault = ada.member("vault");
    ada.create("ours");
    let share = |quota| {
        let (space, path, role) = ("ours".into(), "".into(), "storage".into());
        ada.calls.share(&SpaceShare { space, path, member: "vault".into(), role, quota })
    };
    let asked = || {
        let kept = ada.kept("ours");
        kept.space
            .look(|ledger, _| {
                let member = ledger.judgement().grants().find(|(_, grant)| grant.role == SpaceRole::Storage);
                let member = member.map(|(_, grant)| grant.member);
                Ok(member.and_then(|member| crate::spaces::between::allowance::asked(ledger, member)))
            })
            .unwrap()
    };
    share(Some(1 << 30)).unwrap();
    assert_eq!(asked(), Some(1 << 30));
    share(Some(2 << 30)).unwrap();
    assert_eq!(asked(), Some(2 << 30));
    assert!(share(None).is_err(), "it has that role already");
    share(Some(0)).unwrap();
    assert_eq!(asked(), None);
    // Whoever reads is not limited.
    let quota = SpaceQuota { space: "ours".into(), limit: Some(1) };
    assert!(ada.call(Request::SpaceQuota(quota)).is_err());
}

#[test]
fn how_much_of_the_past_is_kept_can_be_chosen_and_is_shown() {
    let ada = Home::founder("ada");
    ada.create("ours");
    let set = |history| ada.call(Request::SpaceHistory(SpaceHistory { space: "ours".into(), history }));
    for history in
        [History { days: Some(90), versions: None }, History { days: None, versions: Some(10) }, History::default()]
    {
        set(history).unwrap();
        assert_eq!(ada.calls.space("ours").unwrap().history, history);
    }
    assert!(set(History { days: Some(1), versions: Some(1) }).is_err());
    assert!(set(History { days: None, versions: Some(0) }).is_err());
    let tidy = StoreTidy { space: None, preview: true };
    let Reply::StoreTidy(found) = ada.call(Request::StoreTidy(tidy)).unwrap() else { panic!() };
    assert_eq!(found.spaces.len(), 1);
}
