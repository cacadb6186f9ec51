//! A simulated network: packets between numbered nodes, on a virtual clock.
//!
//! Two kinds of use: as datagrams (loss, duplication, reordering), or as streams of whole messages that arrive in order
//! until the connection is cut, as TLS and QUIC give them ([`Conditions::stream`]). A man in the middle is an [`Evil`]:
//! it sees every packet and says what travels instead.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use seal::Timestamp;

use crate::Dice;

/// Number of a node in the simulation.
pub type NodeNo = usize;

/// One message on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Sender.
    pub from: NodeNo,
    /// Receiver.
    pub to: NodeNo,
    /// Contents.
    pub bytes: Vec<u8>,
}

/// How well the network works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conditions {
    /// Shortest time on the way.
    pub delay_min: Duration,
    /// Longest time on the way.
    pub delay_max: Duration,
    /// Packets lost, in a thousand.
    pub loss: u16,
    /// Packets that arrive twice, in a thousand.
    pub duplicates: u16,
    /// Packets between the same two nodes never overtake each other.
    pub ordered: bool,
}

impl Conditions {
    /// A stream of messages: delayed, complete, in order.
    pub const fn stream() -> Self {
        Self {
            delay_min: Duration::from_millis(1),
            delay_max: Duration::from_millis(80),
            loss: 0,
            duplicates: 0,
            ordered: true,
        }
    }

    /// Datagrams over a bad network: a fifth is lost, a tenth arrives twice, any order.
    pub const fn hostile() -> Self {
        Self {
            delay_min: Duration::from_millis(1),
            delay_max: Duration::from_millis(900),
            loss: 200,
            duplicates: 100,
            ordered: false,
        }
    }
}

/// Somebody on the wire. Called for each packet; returns what travels instead (nothing: dropped).
pub type Evil = Box<dyn FnMut(Packet) -> Vec<Packet>>;

/// What happens next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// A packet arrives.
    Arrival(Packet),
    /// A timer that a node set with [`Network::wake`].
    Timer(NodeNo),
}

/// The network with its clock.
pub struct Network {
    now: Timestamp,
    conditions: Conditions,
    dice: Dice,
    /// By time, then in the order of sending.
    queue: BTreeMap<(Timestamp, u64), Happening>,
    sent: u64,
    last_arrival: BTreeMap<(NodeNo, NodeNo), Timestamp>,
    cut: BTreeSet<(NodeNo, NodeNo)>,
    evil: Option<Evil>,
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Network(at {:?}, {} on the way)", self.now, self.queue.len())
    }
}

impl Network {
    /// A quiet network at `start`.
    pub fn new(seed: u64, conditions: Conditions, start: Timestamp) -> Self {
        Self {
            now: start,
            conditions,
            dice: Dice::new(seed),
            queue: BTreeMap::new(),
            sent: 0,
            last_arrival: BTreeMap::new(),
            cut: BTreeSet::new(),
            evil: None,
        }
    }

    /// The virtual time.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Chance of this run, for choices of the test itself.
    pub fn dice(&mut self) -> &mut Dice {
        &mut self.dice
    }

    /// From now on somebody sits on the wire.
    pub fn infiltrate(&mut self, evil: Evil) {
        self.evil = Some(evil);
    }

    /// Sends a packet.
    pub fn send(&mut self, from: NodeNo, to: NodeNo, bytes: Vec<u8>) {
        let packet = Packet { from, to, bytes };
        let packets = match &mut self.evil {
            Some(evil) => evil(packet),
            None => vec![packet],
        };
        for packet in packets {
            let copies = 1 + u8::from(self.dice.permille(self.conditions.duplicates));
            for _ in 0..copies {
                self.carry(packet.clone());
            }
        }
    }

    fn carry(&mut self, packet: Packet) {
        if self.cut.contains(&(packet.from, packet.to)) || self.dice.permille(self.conditions.loss) {
            return;
        }
        let pair = (packet.from, packet.to);
        let mut at = self.now.plus(self.dice.duration(self.conditions.delay_min, self.conditions.delay_max));
        if self.conditions.ordered {
            at = at.max(self.last_arrival.get(&pair).copied().unwrap_or(at));
            self.last_arrival.insert(pair, at);
        }
        self.schedule(at, Happening::Arrival(packet));
    }

    /// Wakes a node at that time, or at once if it is over.
    pub fn wake(&mut self, node: NodeNo, at: Timestamp) {
        self.schedule(at.max(self.now), Happening::Timer(node));
    }

    fn schedule(&mut self, at: Timestamp, happening: Happening) {
        self.sent += 1;
        self.queue.insert((at, self.sent), happening);
    }

    /// Cuts the connection of two nodes: what is on the way is lost, nothing new gets through.
    pub fn cut(&mut self, a: NodeNo, b: NodeNo) {
        self.cut.extend([(a, b), (b, a)]);
        let pairs = [(a, b), (b, a)];
        self.queue.retain(|_, happening| !matches!(happening, Happening::Arrival(packet) if pairs.contains(&(packet.from, packet.to))));
    }

    /// Restores the connection of two nodes.
    pub fn heal(&mut self, a: NodeNo, b: NodeNo) {
        self.cut.remove(&(a, b));
        self.cut.remove(&(b, a));
    }

    /// What happens next, at its time; `None`: nothing is planned any more.
    pub fn step(&mut self) -> Option<Happening> {
        let ((at, _), happening) = self.queue.pop_first()?;
        self.now = at;
        Some(happening)
    }

    /// Like [`Self::step`], but nothing after `end`; then the clock shows `end`.
    pub fn step_until(&mut self, end: Timestamp) -> Option<Happening> {
        if self.queue.first_key_value().is_some_and(|((at, _), _)| *at <= end) {
            return self.step();
        }
        self.now = self.now.max(end);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{Conditions, Happening, Network};
    use seal::Timestamp;

    fn run(seed: u64, conditions: Conditions) -> Vec<(Timestamp, Happening)> {
        let mut network = Network::new(seed, conditions, Timestamp(0));
        for n in 0..50 {
            network.send(0, 1, vec![n]);
        }
        std::iter::from_fn(|| network.step().map(|happening| (network.now(), happening))).collect()
    }

    fn contents(run: &[(Timestamp, Happening)]) -> Vec<u8> {
        let byte = |happening: &Happening| match happening {
            Happening::Arrival(packet) => packet.bytes[0],
            Happening::Timer(_) => u8::MAX,
        };
        run.iter().map(|(_, happening)| byte(happening)).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_run() {
        assert_eq!(run(5, Conditions::hostile()), run(5, Conditions::hostile()));
        assert_ne!(run(5, Conditions::hostile()), run(6, Conditions::hostile()));
    }

    #[test]
    fn a_stream_is_complete_and_in_order() {
        assert_eq!(contents(&run(5, Conditions::stream())), (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn a_hostile_network_loses_doubles_and_reorders() {
        let seen = contents(&run(5, Conditions::hostile()));
        let mut sorted = seen.clone();
        sorted.sort_unstable();
        assert_ne!(seen, sorted);
        let all = sorted.len();
        sorted.dedup();
        assert!(sorted.len() < 50 && sorted.len() < all);
    }

    #[test]
    fn a_cut_loses_what_is_on_the_way() {
        let mut network = Network::new(1, Conditions::stream(), Timestamp(0));
        network.send(0, 1, vec![1]);
        network.cut(0, 1);
        network.send(1, 0, vec![2]);
        assert_eq!(network.step(), None);
        network.heal(0, 1);
        network.send(0, 1, vec![3]);
        assert!(network.step().is_some());
    }
}
