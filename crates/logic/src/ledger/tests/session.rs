//! Conversations: whatever is cut and in whatever order devices meet, everything arrives and then there is silence.

use std::collections::VecDeque;

use seal::DeviceId;
use serde_bytes::ByteBuf;
use testkit::Dice;

use super::random::newcomer;
use super::world::{NOW, Node, World, people};
use crate::Misbehaved;
use crate::ledger::rules::Rules;
use crate::ledger::session::{Out, Session};
use crate::ledger::sync::{self, Message};
use crate::ledger::*;

/// One end of a conversation. The ledger may not be there yet.
struct End {
    session: Session,
    ledger: Option<Ledger>,
    shelf: MemoryShelf,
    inbox: VecDeque<Message>,
    withheld: usize,
    settled: bool,
}

impl End {
    fn of(node: &Node, peer: DeviceId) -> Self {
        let session = Session::new(node.ledger.id(), peer);
        Self::with(session, Some(node.ledger.clone()), node.shelf.clone())
    }

    fn empty(name: CommitId, peer: DeviceId) -> Self {
        Self::with(Session::new(name, peer), None, MemoryShelf::default())
    }

    fn with(session: Session, ledger: Option<Ledger>, shelf: MemoryShelf) -> Self {
        Self { session, ledger, shelf, inbox: VecDeque::new(), withheld: 0, settled: false }
    }

    /// Through bytes, as on the wire.
    fn hear(&mut self, message: &Message) {
        let frame = message.frame().unwrap();
        self.inbox.push_back(Message::read(frame.body()).unwrap());
    }

    /// Takes one message; gives what goes back.
    fn step(&mut self) -> Result<Vec<Message>, Misbehaved> {
        let Some(message) = self.inbox.pop_front() else { return Ok(Vec::new()) };
        let out = self.session.handle(message, &mut self.ledger, &self.shelf, NOW)?;
        while let Some(action) = self.ledger.as_mut().and_then(|ledger| ledger.poll(&self.shelf)) {
            if let Action::Store(shelved) = action {
                self.shelf.store(*shelved);
            }
        }
        let mut back = Vec::new();
        for out in out {
            match out {
                Out::Send(message) => back.push(message),
                Out::Withheld(_) => self.withheld += 1,
                Out::Settled => self.settled = true,
                Out::Opened | Out::Shown(_) | Out::Head(_) => {}
            }
        }
        back.extend(self.session.news(self.ledger.as_ref()));
        Ok(back)
    }
}

/// Lets two ends talk, taking turns at random, until there is silence or `patience` messages have gone. True: silence.
fn talk(a: &mut End, b: &mut End, dice: &mut Dice, patience: usize) -> bool {
    let news = [&mut *a, &mut *b].map(|end| end.session.news(end.ledger.as_ref()).unwrap());
    a.hear(&news[1]);
    b.hear(&news[0]);
    for _ in 0..patience {
        let (speaker, listener) = match (a.inbox.is_empty(), b.inbox.is_empty()) {
            (true, true) => return true,
            (false, true) => (&mut *a, &mut *b),
            (true, false) => (&mut *b, &mut *a),
            (false, false) if dice.permille(500) => (&mut *a, &mut *b),
            (false, false) => (&mut *b, &mut *a),
        };
        for message in speaker.step().unwrap() {
            listener.hear(&message);
        }
    }
    false
}

fn tips(ledger: &Ledger) -> Vec<Seen> {
    let mut tips = sync::summary(ledger);
    tips.sort();
    tips
}

#[test]
fn two_devices_have_the_same_after_a_talk_and_then_are_silent() {
    for seed in 0..25 {
        let world = World::history(seed);
        let mut dice = Dice::new(seed);
        let keys = &people().keys;
        for (one, other) in [(0, 1), (2, 5), (7, 3)] {
            let mut a = End::of(&world.nodes[one], keys[other].id());
            let mut b = End::of(&world.nodes[other], keys[one].id());
            // Cut anywhere, and again.
            for patience in [3, 7, 1000] {
                a.session = Session::new(world.nodes[0].ledger.id(), keys[other].id());
                b.session = Session::new(world.nodes[0].ledger.id(), keys[one].id());
                a.inbox.clear();
                b.inbox.clear();
                let silent = talk(&mut a, &mut b, &mut dice, patience);
                assert!(silent || patience < 1000, "seed {seed}: they never stop");
            }
            assert_eq!(tips(a.ledger.as_ref().unwrap()), tips(b.ledger.as_ref().unwrap()), "seed {seed}");
            assert!(a.settled && b.settled && a.withheld + b.withheld == 0);
        }
    }
}

#[test]
fn who_knows_only_the_name_gets_the_whole_ledger_and_no_other() {
    let mut world = World::new(3);
    world.begin();
    for _ in 0..1_200 {
        world.write(0, RealmId::ROOT).unwrap();
    }
    let keys = &people().keys;
    let mut old = End::of(&world.nodes[0], keys[1].id());
    let mut new = End::empty(world.nodes[0].ledger.id(), keys[0].id());
    assert!(talk(&mut old, &mut new, &mut Dice::new(1), 1000));
    assert_eq!(tips(new.ledger.as_ref().unwrap()), tips(&world.nodes[0].ledger));

    // Somebody answers with another ledger under that name.
    let mut new = End::empty(CommitId::from_bytes([7; 32]), keys[0].id());
    let first = world.nodes[0].shelf.commit(&world.nodes[0].ledger.id()).unwrap();
    new.hear(&Message::Have(vec![Seen { device: keys[0].id(), seq: 0, id: CommitId::from_bytes([7; 32]) }]));
    assert!(matches!(new.step().unwrap()[..], [Message::Have(_), ..] | [Message::Want(_), ..]));
    new.hear(&Message::Commits { commits: vec![ByteBuf::from(first.to_bytes())], more: false });
    assert_eq!(new.step(), Err(Misbehaved::CommitForeign));
    assert!(new.ledger.is_none());
}

#[test]
fn whoever_promises_and_does_not_give_is_asked_once() {
    let world = World::history(4);
    let all = newcomer(&world.all, &mut Dice::new(4), Rules::ALL);
    let keys = &people().keys;
    let lie = Seen { device: keys[3].id(), seq: 1 << 40, id: CommitId::from_bytes([9; 32]) };
    let known: Vec<_> = all.shelf.commits().take(5).map(|commit| ByteBuf::from(commit.to_bytes())).collect();
    for commits in [vec![], known] {
        let mut end = End::of(&all, keys[3].id());
        end.hear(&Message::Have(vec![lie]));
        let asked = |said: Vec<Message>| said.iter().filter(|message| matches!(message, Message::Want(_))).count();
        assert_eq!(asked(end.step().unwrap()), 1);
        end.hear(&Message::Commits { commits: commits.clone(), more: true });
        assert_eq!((asked(end.step().unwrap()), end.withheld), (0, 1));
        // An answer that nobody asked for.
        end.hear(&Message::Commits { commits, more: true });
        assert_eq!(end.step(), Err(Misbehaved::FrameOutOfTurn));
    }
}

#[test]
fn statements_are_about_this_ledger_and_hold() {
    let world = World::history(1);
    let node = &world.nodes[0];
    let keys = &people().keys;
    let mut end = End::of(node, keys[1].id());
    let say = |ledger| HeadStatement::make(&keys[1], ledger, 1, NOW, node.ledger.frontier());
    let good = say(node.ledger.id());
    let head = |statement: &HeadStatement| Message::Head(ByteBuf::from(statement.as_bytes()));
    let heard = end.session.handle(head(&good), &mut end.ledger, &end.shelf, NOW).unwrap();
    assert_eq!(heard, [Out::Head(Box::new(good.clone()))]);
    let mut broken = good.as_bytes().to_vec();
    *broken.last_mut().unwrap() ^= 1;
    for bad in [head(&say(CommitId::ZERO)), Message::Head(ByteBuf::from(broken))] {
        let heard = end.session.handle(bad, &mut end.ledger, &end.shelf, NOW);
        assert_eq!(heard, Err(Misbehaved::HeadStatementInvalid));
    }
}
