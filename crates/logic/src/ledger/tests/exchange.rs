//! Exchange: whoever asks gets everything, in bounded answers, with nothing that waits.

use super::random::newcomer;
use super::world::{Node, World};
use crate::Misbehaved;
use crate::ledger::rules::Rules;
use crate::ledger::sync::{self, Message, Want};
use crate::ledger::*;
use crate::limits::SYNC_LOCATOR;
use seal::DeviceId;
use testkit::Dice;

/// Asks `other` until there is nothing left. Returns how many answers it took.
fn pull(node: &mut Node, other: &Node) -> usize {
    for round in 0..200 {
        let have = Message::Have(sync::summary(&other.ledger)).frame().unwrap();
        let Ok(Message::Have(tips)) = Message::read(have.body()) else { panic!("not what was sent") };
        let wants = sync::wants(&node.ledger, &node.shelf, &tips);
        if wants.is_empty() {
            return round;
        }
        let answer = sync::serve(&other.ledger, &other.shelf, &wants).frame().unwrap();
        let Ok(Message::Commits { commits, .. }) = Message::read(answer.body()) else { panic!("not what was sent") };
        assert!(!commits.is_empty(), "nothing came of {wants:?}");
        for commit in sync::read_commits(&commits).unwrap() {
            assert_ne!(node.take(&commit), Ok(Taken::Waiting), "the answer is out of order");
        }
        node.perform();
    }
    panic!("the exchange does not end");
}

#[test]
fn everything_arrives_from_anybody_in_any_state() {
    for seed in 0..25 {
        let world = World::history(seed);
        let all = newcomer(&world.all, &mut Dice::new(seed), Rules::ALL);
        for node in &world.nodes {
            let mut node = node.clone();
            pull(&mut node, &all);
            let missing = world.all.keys().filter(|id| !node.has(id)).count();
            assert_eq!(missing, 0, "seed {seed}: {missing} commits never came");
            assert_eq!(sync::wants(&node.ledger, &node.shelf, &sync::summary(&all.ledger)), []);
        }
    }
}

#[test]
fn a_long_chain_comes_in_bounded_answers() {
    let mut world = World::new(2);
    world.begin();
    for _ in 0..1_500 {
        world.write(0, RealmId::ROOT).unwrap();
    }
    let mut node = Node::new(Rules::ALL);
    assert_eq!(pull(&mut node, &world.nodes[0]), 2);
    assert!(node.shelf.commits().count() > 1_500);
    // One more costs one question, with a short list of what is known.
    world.write(0, RealmId::ROOT).unwrap();
    let wants = sync::wants(&node.ledger, &node.shelf, &sync::summary(&world.nodes[0].ledger));
    assert!(wants.len() == 1 && wants[0].here.len() <= SYNC_LOCATOR);
    let Message::Commits { commits, more } = sync::serve(&world.nodes[0].ledger, &world.nodes[0].shelf, &wants) else {
        panic!("no answer")
    };
    assert_eq!((commits.len(), more), (1, false));
}

#[test]
fn a_newcomer_asks_for_the_beginning_by_its_name() {
    let mut world = World::new(2);
    world.begin();
    let goal = Seen { device: DeviceId::from_bytes([0; 32]), seq: 0, id: world.nodes[0].ledger.id() };
    let answer = sync::serve(&world.nodes[0].ledger, &world.nodes[0].shelf, &[Want { goal, here: vec![] }]);
    let Message::Commits { commits, .. } = answer else { panic!("no answer") };
    let first = sync::read_commits(&commits).unwrap().remove(0);
    assert_eq!(first.id(), goal.id);
    assert!(Ledger::open(first).is_ok());
}

#[test]
fn too_much_in_one_message_is_refused() {
    let goal = Seen { device: DeviceId::from_bytes([0; 32]), seq: 0, id: CommitId::ZERO };
    let want = Want { goal, here: vec![CommitId::ZERO; SYNC_LOCATOR + 1] };
    let frame = Message::Want(vec![want]).frame().unwrap();
    assert_eq!(Message::read(frame.body()), Err(Misbehaved::SyncTooLong));
}
