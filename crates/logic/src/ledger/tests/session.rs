//! Conversations: whatever is cut and in whatever order devices meet, everything arrives and then there is silence.

use std::collections::VecDeque;

use serde_bytes::ByteBuf;
use testkit::Dice;

use super::random::newcomer;
use super::world::{NOW, Node, World, people};
use crate::Misbehaved;
use crate::ledger::rules::Rules;
use crate::ledger::session::{Begin, Newcomer, Out, Session};
use crate::ledger::sync::{self, Message};
use crate::ledger::*;

/// One end of a conversation.
struct End {
    session: Session,
    node: Node,
    inbox: VecDeque<Message>,
    withheld: usize,
    settled: bool,
}

impl End {
    fn of(node: &Node) -> Self {
        Self::with(Session::new(node.ledger.id()), node.clone())
    }

    fn with(session: Session, node: Node) -> Self {
        Self { session, node, inbox: VecDeque::new(), withheld: 0, settled: false }
    }

    /// Through bytes, as on the wire.
    fn hear(&mut self, message: &Message) {
        self.inbox.push_back(wired(message));
    }

    /// Takes one message; gives what goes back.
    fn step(&mut self) -> Result<Vec<Message>, Misbehaved> {
        let Some(message) = self.inbox.pop_front() else { return Ok(Vec::new()) };
        let outs = self.session.handle(message, &self.node.ledger, &self.node.shelf)?;
        let mut back = Vec::new();
        for out in outs {
            self.perform(out, &mut back)?;
        }
        back.extend(self.session.news(&self.node.ledger));
        Ok(back)
    }

    fn perform(&mut self, out: Out, back: &mut Vec<Message>) -> Result<(), Misbehaved> {
        match out {
            Out::Send(message) => back.push(message),
            Out::Take(commits) => {
                let mut new = 0;
                for commit in commits {
                    new += usize::from(self.node.take(&commit)? == Taken::Accepted);
                }
                self.node.perform();
                if let Some(out) = self.session.taken(new, &self.node.ledger, &self.node.shelf) {
                    self.perform(out, back)?;
                }
            }
            Out::Withheld(_) => self.withheld += 1,
            Out::Settled => self.settled = true,
            Out::Shown(_) | Out::Head(_) => {}
        }
        Ok(())
    }
}

/// What comes out of the wire.
fn wired(message: &Message) -> Message {
    Message::read(message.frame().unwrap().body()).unwrap()
}

/// Lets two ends talk, taking turns at random, until there is silence or `patience` messages have gone. True: silence.
fn talk(a: &mut End, b: &mut End, dice: &mut Dice, patience: usize) -> bool {
    let news = [&mut *a, &mut *b].map(|end| end.session.news(&end.node.ledger));
    news[1].iter().for_each(|news| a.hear(news));
    news[0].iter().for_each(|news| b.hear(news));
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
        for (one, other) in [(0, 1), (2, 5), (7, 3)] {
            let mut a = End::of(&world.nodes[one]);
            let mut b = End::of(&world.nodes[other]);
            // Cut anywhere, and again.
            for patience in [3, 7, 1000] {
                for end in [&mut a, &mut b] {
                    end.session = Session::new(world.nodes[0].ledger.id());
                    end.inbox.clear();
                }
                let silent = talk(&mut a, &mut b, &mut dice, patience);
                assert!(silent || patience < 1000, "seed {seed}: they never stop");
            }
            assert_eq!(tips(&a.node.ledger), tips(&b.node.ledger), "seed {seed}");
            assert!(a.settled && b.settled && a.withheld + b.withheld == 0);
        }
    }
}

#[test]
fn who_knows_only_the_name_gets_the_whole_ledger() {
    let mut world = World::new(3);
    world.begin();
    for _ in 0..1_200 {
        world.write(0, RealmId::ROOT).unwrap();
    }
    let mut old = End::of(&world.nodes[0]);
    let mut newcomer = Newcomer::new(world.nodes[0].ledger.id());
    assert!(matches!(newcomer.handle(Message::Have(Vec::new())), Ok(Begin::Wait)));
    let have = old.session.news(&old.node.ledger).unwrap();
    let Ok(Begin::Send(want)) = newcomer.handle(wired(&have)) else { panic!("does not ask") };
    old.hear(&want);
    let answer = old.step().unwrap().remove(0);
    let Ok(Begin::Found(first, mut session)) = newcomer.handle(wired(&answer)) else { panic!("no beginning") };
    let mut node = Node::new(Rules::ALL);
    assert_eq!(node.ledger.id(), first.id());
    node.perform();
    let Some(Out::Send(want)) = session.begin(&node.ledger, &node.shelf) else { panic!("does not go on") };
    old.hear(&want);
    let mut new = End::with(session, node);
    for message in old.step().unwrap() {
        new.hear(&message);
    }
    assert!(talk(&mut old, &mut new, &mut Dice::new(1), 1000));
    assert_eq!(tips(&new.node.ledger), tips(&world.nodes[0].ledger));
}

#[test]
fn a_newcomer_takes_no_other_ledger_and_nothing_that_it_did_not_ask_for() {
    let world = World::history(2);
    let name = CommitId::from_bytes([7; 32]);
    let tip = Seen { device: people().keys[0].id(), seq: 0, id: name };
    let commits = |ids: &[CommitId]| Message::Commits {
        commits: ids.iter().map(|id| ByteBuf::from(world.nodes[0].shelf.commit(id).unwrap().to_bytes())).collect(),
        more: false,
    };
    let mut newcomer = Newcomer::new(name);
    assert!(matches!(newcomer.handle(commits(&[])), Err(Misbehaved::FrameOutOfTurn)));
    assert!(matches!(newcomer.handle(Message::Have(vec![tip])), Ok(Begin::Send(Message::Want(_)))));
    assert!(matches!(newcomer.handle(Message::Have(vec![tip])), Ok(Begin::Wait)), "it has asked");
    assert!(matches!(newcomer.handle(commits(&[world.nodes[0].ledger.id()])), Err(Misbehaved::CommitForeign)));
    assert!(matches!(newcomer.handle(commits(&[])), Err(Misbehaved::CommitFirstWrong)));
}

#[test]
fn whoever_promises_and_does_not_give_is_asked_once() {
    let world = World::history(4);
    let all = newcomer(&world.all, &mut Dice::new(4), Rules::ALL);
    let lie = Seen { device: people().keys[3].id(), seq: 1 << 40, id: CommitId::from_bytes([9; 32]) };
    let known: Vec<_> = all.shelf.commits().take(5).map(|commit| ByteBuf::from(commit.to_bytes())).collect();
    for commits in [vec![], known] {
        let mut end = End::of(&all);
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
fn what_is_told_while_a_question_is_open_is_asked_for_after_it() {
    let mut world = World::new(5);
    world.begin();
    let mut end = End::of(&world.nodes[2]);
    let one = world.write(0, RealmId::ROOT).unwrap();
    let then = sync::summary(&world.nodes[0].ledger);
    let two = world.write(0, RealmId::ROOT).unwrap();
    let asked = |said: &[Message]| match said {
        [Message::Want(wants), ..] => wants.iter().map(|want| want.goal.id).collect(),
        _ => Vec::new(),
    };
    end.hear(&Message::Have(then));
    assert_eq!(asked(&end.step().unwrap()), [one]);
    // Somebody else was faster, and the peer has more by now.
    end.node.take(&world.all[&one]).unwrap();
    end.node.perform();
    end.hear(&Message::Have(sync::summary(&world.nodes[0].ledger)));
    assert!(asked(&end.step().unwrap()).is_empty(), "one question at a time");
    let commits = vec![ByteBuf::from(world.all[&one].to_bytes())];
    end.hear(&Message::Commits { commits, more: false });
    assert_eq!(asked(&end.step().unwrap()), [two]);
    assert_eq!(end.withheld, 0);
}

#[test]
fn statements_are_about_this_ledger_and_hold() {
    let world = World::history(1);
    let node = &world.nodes[0];
    let keys = &people().keys;
    let mut end = End::of(node);
    let say = |ledger| HeadStatement::make(&keys[1], ledger, 1, NOW, node.ledger.frontier());
    let good = say(node.ledger.id());
    let head = |statement: &HeadStatement| Message::Head(ByteBuf::from(statement.as_bytes()));
    let heard = end.session.handle(head(&good), &end.node.ledger, &end.node.shelf).unwrap();
    assert_eq!(heard, [Out::Head(Box::new(good.clone()))]);
    let mut broken = good.as_bytes().to_vec();
    *broken.last_mut().unwrap() ^= 1;
    for bad in [head(&say(CommitId::ZERO)), Message::Head(ByteBuf::from(broken))] {
        let heard = end.session.handle(bad, &end.node.ledger, &end.node.shelf);
        assert_eq!(heard, Err(Misbehaved::HeadStatementInvalid));
    }
}
