//! Several devices keep one space, each on a disk of its own; what they say goes from hand to hand.

#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use logic::ledger::session::{Begin, Newcomer, Session};
use logic::ledger::sync::Message;
use logic::ledger::{CommitId, Control, Draft, Entry, Kind as CommitKind, RealmId, RevokeReason, SpaceRole, Target};
use logic::space::{Change, Content, Kind, Node, NodeId, NodeKind, Written};
use logic::transfer::path::RelPath;
use seal::pki::Role;
use seal::{Keyring, MemberId, Timestamp};
use serde_bytes::ByteBuf;
use testkit::TestCircle;

use super::{Space, SpaceFault};

const NOW: Timestamp = testkit::circle::FOUNDED;

/// A person's device, with room for one space.
struct Device {
    keys: Arc<Keyring>,
    member: MemberId,
    chain: Vec<ByteBuf>,
    dir: tempfile::TempDir,
    space: Option<Space>,
}

struct Circle {
    circle: TestCircle,
}

impl Circle {
    fn new() -> Self {
        Self { circle: TestCircle::new(7) }
    }

    fn device(&mut self, name: &str) -> Device {
        let member = self.circle.member(name, Role::Editor);
        let device = self.circle.device(&member, "desk");
        let chain = device.chain.iter().map(|certificate| ByteBuf::from(certificate.der())).collect();
        let keys = Arc::new(Keyring { device: device.key, ..Keyring::generate() });
        Device { keys, member: member.id(), chain, dir: tempfile::tempdir().unwrap(), space: None }
    }
}

impl Device {
    fn path(&self) -> PathBuf {
        self.dir.path().join("space.db")
    }

    fn found(&mut self, circle: &Circle) {
        let root = circle.circle.root.der().to_vec();
        self.space =
            Some(Space::found(&self.path(), self.keys.clone(), root, self.chain.clone(), "ours", NOW).unwrap());
    }

    /// Ends without a word, and begins again from what is on the disk.
    fn restart(&mut self) {
        self.space = None;
        self.space = Some(Space::open(&self.path(), self.keys.clone()).unwrap());
    }

    fn space(&self) -> &Space {
        self.space.as_ref().unwrap()
    }

    fn write(&self, name: &str, text: &str) -> Result<(), SpaceFault> {
        let written = |bytes: &[u8]| Written {
            content: Content::File {
                size: bytes.len() as u64,
                hash: *blake3::hash(bytes).as_bytes(),
                manifest: ByteBuf::from(bytes),
            },
            ..Written::default()
        };
        let name = ByteBuf::from(name.as_bytes());
        self.space().write(RealmId::ROOT, NOW, |tree, device, seq| {
            let found = tree.entry(Node::ROOT, &name)?;
            let mut changes = Vec::new();
            let (node, bases) = match found {
                Some(entry) => (entry.node.id, tree.heads(entry.node)?),
                None => {
                    let node = NodeId::of(&device, seq, 0, NodeKind::File);
                    changes.push(Change::Make { node, kind: Kind::File, parent: NodeId::ROOT, name: name.clone() });
                    (node, Vec::new())
                }
            };
            changes.push(Change::Put { node, bases, written: written(text.as_bytes()) });
            Ok((changes, ()))
        })?;
        Ok(())
    }

    /// Names and contents of what the root shows.
    fn shows(&self) -> Vec<(String, String)> {
        let read = |tree: &logic::space::Tree<&store::space::Reader<'_>>| {
            let mut shown = Vec::new();
            for entry in tree.list(Node::ROOT)? {
                let version = tree.stat(entry.node)?.unwrap().version.unwrap();
                let Some(Written { content: Content::File { manifest, .. }, .. }) = version.written else { continue };
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                shown.push((text(&entry.name), text(&manifest)));
            }
            Ok(shown)
        };
        self.space().tree(read).unwrap()
    }
}

/// Lets two devices talk until both are silent.
fn talk(one: &Device, other: &Device) {
    let ends = [one, other];
    let mut sessions = ends.map(|end| Session::new(end.space().id()));
    let mut inboxes: [VecDeque<Message>; 2] = Default::default();
    for _ in 0..1000 {
        for (number, end) in ends.iter().enumerate() {
            let news = end.space().news(&mut sessions[number]).unwrap();
            inboxes[1 - number].extend(news);
        }
        let Some(number) = inboxes.iter().position(|inbox| !inbox.is_empty()) else { return };
        let message = inboxes[number].pop_front().unwrap();
        let peer = ends[1 - number].keys.device.id();
        let heard = ends[number].space().hear(&mut sessions[number], peer, message, NOW).unwrap();
        assert!(heard.withheld.is_empty() && heard.outcome.refused.is_empty());
        inboxes[1 - number].extend(heard.answers);
    }
    panic!("they never stop");
}

/// The newcomer learns of the space from the other, and enters.
fn meet(old: &Device, new: &mut Device) {
    let mut newcomer = Newcomer::new(old.space().id());
    let mut session = Session::new(old.space().id());
    let have = old.space().news(&mut session).unwrap().unwrap();
    let Ok(Begin::Send(want)) = newcomer.handle(have) else { panic!("does not ask") };
    let heard = old.space().hear(&mut session, new.keys.device.id(), want, NOW).unwrap();
    let Ok(Begin::Found(genesis, _)) = newcomer.handle(heard.answers[0].clone()) else { panic!("no beginning") };
    new.space = Some(Space::adopt(&new.path(), new.keys.clone(), *genesis).unwrap());
    talk(old, new);
    new.space().enter(new.chain.clone(), NOW).unwrap();
    talk(old, new);
}

fn pair() -> (Circle, Device, Device) {
    let mut circle = Circle::new();
    let (mut ada, mut bob) = (circle.device("Ada"), circle.device("Bob"));
    ada.found(&circle);
    ada.space().grant(RealmId::ROOT, bob.member, SpaceRole::Editor, NOW).unwrap();
    meet(&ada, &mut bob);
    ada.space().rekey_where_due(NOW).unwrap();
    talk(&ada, &bob);
    (circle, ada, bob)
}

fn lines(lines: &[(&str, &str)]) -> Vec<(String, String)> {
    lines.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

#[test]
fn two_people_write_and_both_see_it_also_after_a_restart() {
    let (_circle, mut ada, mut bob) = pair();
    ada.write("hello", "from ada").unwrap();
    talk(&ada, &bob);
    bob.write("hello", "from bob, who has read it").unwrap();
    bob.write("other", "new").unwrap();
    talk(&bob, &ada);
    let all = lines(&[("hello", "from bob, who has read it"), ("other", "new")]);
    assert_eq!((ada.shows(), bob.shows()), (all.clone(), all.clone()));
    ada.restart();
    bob.restart();
    assert_eq!((ada.shows(), bob.shows()), (all.clone(), all));
    ada.write("other", "again").unwrap();
    talk(&bob, &ada);
    assert_eq!(bob.shows()[1].1, "again");
}

#[test]
fn what_was_written_before_somebody_came_is_read_by_the_way_back_of_the_keys() {
    let mut circle = Circle::new();
    let (mut ada, mut bob, mut carl) = (circle.device("Ada"), circle.device("Bob"), circle.device("Carl"));
    ada.found(&circle);
    ada.write("first", "one").unwrap();
    ada.space().grant(RealmId::ROOT, bob.member, SpaceRole::Reader, NOW).unwrap();
    meet(&ada, &mut bob);
    assert!(bob.shows().is_empty(), "nobody gave it a key yet");
    ada.space().rekey_where_due(NOW).unwrap();
    ada.write("second", "two").unwrap();
    talk(&ada, &bob);
    assert_eq!(bob.shows(), lines(&[("first", "one"), ("second", "two")]));
    assert!(matches!(bob.write("mine", "x"), Err(SpaceFault::MayNot(SpaceRole::Editor))));
    // Whoever has no role keeps it and reads nothing; it does not even get a key.
    meet(&bob, &mut carl);
    ada.space().rekey_where_due(NOW).unwrap();
    talk(&ada, &carl);
    assert!(carl.shows().is_empty());
}

#[test]
fn keys_are_not_changed_again_and_again() {
    let (_circle, ada, bob) = pair();
    let made = ada.space().change(|work| {
        let control = Control::Realm { inherit: true, file: false };
        ada.space().rule(work, RealmId::ROOT, CommitKind::Realm, &control, NOW)
    });
    let inside = RealmId::made_by(made.unwrap().0);
    talk(&ada, &bob);
    // Who reads around may not read inside any more.
    ada.space().revoke(inside, Target::Member(bob.member), RevokeReason::Withdrawn, NOW).unwrap();
    let count = || ada.space().look(|ledger, _| Ok(ledger.judgement().controls().count())).unwrap();
    let before = count();
    ada.space().rekey_where_due(NOW).unwrap();
    assert_eq!(count(), before, "a new key would be no better");
}

#[test]
fn who_offers_nothing_to_seal_a_key_to_makes_nobody_change_keys_for_ever() {
    let mut circle = Circle::new();
    let (mut ada, mut bob) = (circle.device("Ada"), circle.device("Bob"));
    ada.found(&circle);
    ada.space().grant(RealmId::ROOT, bob.member, SpaceRole::Reader, NOW).unwrap();
    let genesis = ada.space().look(|ledger, _| Ok(ledger.control(&ledger.id()).cloned())).unwrap().unwrap();
    bob.space = Some(Space::adopt(&bob.path(), bob.keys.clone(), genesis).unwrap());
    talk(&ada, &bob);
    let draft = Draft {
        kind: CommitKind::Enter,
        realm: RealmId::ROOT,
        cap: CommitId::ZERO,
        epoch: CommitId::ZERO,
        time: NOW,
        sure: true,
    };
    let entry = Control::Enter(Entry { chain: bob.chain.clone(), sealing: Vec::new() }).to_bytes();
    bob.space().change(|work| bob.space().sign(work, &draft, |_| Ok(entry)).map(drop)).unwrap();
    talk(&bob, &ada);
    let count = || ada.space().look(|ledger, _| Ok(ledger.judgement().controls().count())).unwrap();
    let before = count();
    ada.space().rekey_where_due(NOW).unwrap();
    assert_eq!(count(), before);
}

#[test]
fn whoever_is_revoked_reads_nothing_later_and_what_it_writes_counts_for_nobody() {
    let (_circle, ada, bob) = pair();
    bob.write("kept", "before").unwrap();
    talk(&ada, &bob);
    ada.space().revoke(RealmId::ROOT, Target::Member(bob.member), RevokeReason::Withdrawn, NOW).unwrap();
    ada.write("secret", "after").unwrap();
    // Bob has not heard of it and goes on.
    bob.write("late", "does not count").unwrap();
    talk(&ada, &bob);
    assert_eq!(ada.shows(), lines(&[("kept", "before"), ("secret", "after")]));
    assert_eq!(bob.shows(), lines(&[("kept", "before")]));
    assert!(matches!(bob.write("more", "x"), Err(SpaceFault::MayNot(_))));
}

#[test]
fn a_disk_that_was_put_back_signs_nothing_until_it_has_caught_up() {
    let (_circle, ada, mut bob) = pair();
    bob.write("one", "1").unwrap();
    talk(&ada, &bob);
    bob.space = None;
    let old = std::fs::read(bob.path()).unwrap();
    bob.restart();
    bob.write("two", "2").unwrap();
    talk(&ada, &bob);
    bob.space = None;
    // The database of yesterday, without its write-ahead log.
    for entry in std::fs::read_dir(bob.dir.path()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name != "space.db" && !name.ends_with(".mark") {
            std::fs::remove_file(path).unwrap();
        }
    }
    std::fs::write(bob.path(), old).unwrap();
    bob.restart();
    assert_eq!(bob.shows(), lines(&[("one", "1")]));
    assert!(matches!(bob.write("three", "3"), Err(SpaceFault::Store(_))), "it would sign a number twice");
    assert_eq!(bob.shows(), lines(&[("one", "1")]), "nothing of what failed is left");
    talk(&ada, &bob);
    bob.write("three", "3").unwrap();
    talk(&ada, &bob);
    let all = lines(&[("one", "1"), ("three", "3"), ("two", "2")]);
    assert_eq!((ada.shows(), bob.shows()), (all.clone(), all));
    assert_eq!(ada.space().look(|ledger, _| Ok(ledger.judgement().forked().count())).unwrap(), 0);
}

#[test]
fn a_batch_with_an_offence_is_not_taken_and_does_no_harm() {
    let (_circle, ada, bob) = pair();
    ada.write("good", "1").unwrap();
    let mut session = Session::new(bob.space().id());
    let mut theirs = Session::new(bob.space().id());
    let have = ada.space().news(&mut theirs).unwrap().unwrap();
    let peer = ada.keys.device.id();
    let want = bob.space().hear(&mut session, peer, have, NOW).unwrap().answers.remove(0);
    let answer = ada.space().hear(&mut theirs, bob.keys.device.id(), want, NOW).unwrap().answers.remove(0);
    let Message::Commits { mut commits, more } = answer else { panic!("no answer") };
    let mut forged = commits[0].to_vec();
    *forged.last_mut().unwrap() ^= 1;
    commits.push(ByteBuf::from(forged));
    let heard = bob.space().hear(&mut session, peer, Message::Commits { commits, more }, NOW);
    assert!(matches!(heard, Err(SpaceFault::Misbehaved(_))));
    assert!(bob.shows().is_empty());
    talk(&ada, &bob);
    assert_eq!(bob.shows(), lines(&[("good", "1")]));
}

#[test]
fn what_two_wrote_apart_is_kept_and_shown_alike() {
    let (_circle, mut ada, bob) = pair();
    ada.write("doc", "base").unwrap();
    talk(&ada, &bob);
    ada.write("doc", "ada's").unwrap();
    bob.write("doc", "bob's").unwrap();
    bob.write("new", "bob's").unwrap();
    talk(&ada, &bob);
    ada.restart();
    assert_eq!(ada.shows(), bob.shows());
    let conflicts = |device: &Device| device.space().tree(|tree| Ok(tree.conflicts(RealmId::ROOT)?)).unwrap();
    assert_eq!(conflicts(&ada).len(), 1);
    assert_eq!(conflicts(&ada), conflicts(&bob));
    // A path leads to what is shown.
    let path = RelPath::parse(b"new").unwrap();
    assert!(bob.space().tree(|tree| Ok(tree.lookup(&path)?)).unwrap().is_some());
}
