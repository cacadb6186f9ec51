//! Somebody who does not keep the rules: an ordinary device, whose messages are changed on their way out ([`Cheat::twist`])
//! and which signs what an honest one would not ([`Cheat::act`]).

use std::collections::BTreeSet;

use seal::{DeviceId, DeviceKey, MemberId, Timestamp};
use serde_bytes::ByteBuf;
use testkit::Dice;

use super::deeds::Deed;
use super::device::{Device, Image};
use super::keys;
use super::people::people;
use crate::ledger::sync::Message;
use crate::ledger::{
    Commit, CommitId, Control, EpochId, Frontier, Header, Kind, RealmId, RevokeReason, Seen, Shelf, SpaceRole, Target,
    VERSION,
};
use crate::limits::{COMMIT_HEADER_BYTES, SYNC_TIPS};
use crate::space::{Change, Kind as Node, NodeId, NodeKind};

/// Names that a disk cannot hold, or that look like others.
const BAD_NAMES: [&[u8]; 6] = [b"..", b"a/b", b"nul\0nul", b"", b"CON", "\u{202e}txt.exe".as_bytes()];

pub(super) struct Cheat {
    pub(super) number: usize,
    pub(super) deeds: Vec<Deed>,
    /// Somebody who joins late, and knows nobody else at first.
    pub(super) newcomer: Option<usize>,
    /// Whose commits it leaves out.
    victim: Option<DeviceId>,
    /// Commits that it does not give.
    hidden: BTreeSet<CommitId>,
    /// Statements that were made once.
    heads: Vec<Vec<u8>>,
    /// Commits that nobody takes.
    tricks: Vec<Vec<u8>>,
    /// Its disk as it was.
    pub(super) image: Option<Image>,
}

fn bytes(message: &Message) -> Vec<u8> {
    postcard::to_stdvec(message).expect("plain data")
}

/// How long a varint is.
fn varint(mut number: usize) -> usize {
    let mut bytes = 1;
    while number >= 128 {
        number /= 128;
        bytes += 1;
    }
    bytes
}

fn pick<T: Clone>(dice: &mut Dice, list: &[T]) -> Option<T> {
    (!list.is_empty()).then(|| list[dice.below(list.len() as u64) as usize].clone())
}

impl Cheat {
    pub(super) fn new(number: usize, deeds: Vec<Deed>) -> Self {
        let (hidden, heads, tricks) = Default::default();
        Self { number, deeds, newcomer: None, victim: None, hidden, heads, tricks, image: None }
    }

    fn does(&self, deed: Deed) -> bool {
        self.deeds.contains(&deed)
    }

    /// What travels instead of a message: bodies of frames.
    pub(super) fn twist(&mut self, device: &Device, to: usize, message: Message, dice: &mut Dice) -> Vec<Vec<u8>> {
        let mut sent = Vec::new();
        if self.does(Deed::ReplayHead) {
            self.heads.extend(
                device.heads().into_iter().flat_map(|heads| heads.all()).take(3).map(|head| head.as_bytes().to_vec()),
            );
            self.heads.dedup();
        }
        let message = match message {
            Message::Have(tips) => {
                let tips = self.tips(device, to, tips, dice);
                if self.does(Deed::Bombs) && dice.permille(100) {
                    let tip = Seen { device: device.id, seq: 1, id: CommitId::ZERO };
                    return vec![bytes(&Message::Have(vec![tip; SYNC_TIPS + 1]))];
                }
                if self.does(Deed::Reorder) && dice.permille(300) {
                    sent.push(bytes(&Message::Have(tips.clone())));
                }
                if self.does(Deed::ReplayHead) && dice.permille(300) {
                    sent.push(bytes(&Message::Have(tips.clone())));
                    sent.extend(pick(dice, &self.heads).map(|head| bytes(&Message::Head(ByteBuf::from(head)))));
                    return sent;
                }
                Message::Have(tips)
            }
            Message::Commits { commits, more } => {
                Message::Commits { commits: self.commits(device, commits, dice), more }
            }
            other => other,
        };
        sent.push(bytes(&message));
        sent
    }

    /// The tips that it shows.
    fn tips(&mut self, device: &Device, to: usize, mut tips: Vec<Seen>, dice: &mut Dice) -> Vec<Seen> {
        if self.does(Deed::DropTail) || (self.does(Deed::OlderToNewcomer) && self.newcomer == Some(to)) {
            let long: Vec<_> =
                tips.iter().filter(|tip| tip.seq > 1 && tip.device != device.id).map(|tip| tip.device).collect();
            if self.victim.is_none() {
                self.victim = pick(dice, &long);
            }
            let all = self.does(Deed::OlderToNewcomer);
            for tip in tips.iter_mut().filter(|tip| tip.seq > 1 && (all || Some(tip.device) == self.victim)) {
                let seq = tip.seq - tip.seq.min(3);
                let older = device.db.shelf.at(tip.device, seq).first().copied();
                *tip = older.map_or(*tip, |id| Seen { device: tip.device, seq, id });
            }
        }
        if self.does(Deed::ShowFork) {
            let half = |device: DeviceId| people().number(device).map_or(0, |number| number / 2 % 2);
            let side = to / 2 % 2;
            tips.retain(|tip| tip.device == device.id || tip.device == people().id(0) || half(tip.device) == side);
        }
        if self.does(Deed::Equivocate) {
            // One branch for each half.
            let side = u32::try_from(to / 2 % 2).unwrap_or(0);
            let branch = |tip: &Seen| device.db.shelf.stored(&tip.id).map_or(0, |stored| stored.branch);
            let forked = tips.iter().filter(|tip| tip.device == device.id).count() > 1;
            tips.retain(|tip| !forked || tip.device != device.id || branch(tip) % 2 == side);
        }
        tips
    }

    /// The commits that it gives.
    fn commits(&mut self, device: &Device, mut commits: Vec<ByteBuf>, dice: &mut Dice) -> Vec<ByteBuf> {
        let read = |bytes: &ByteBuf| Commit::read(bytes).expect("its own disk is whole");
        if self.does(Deed::WithholdOne) && self.hidden.len() < 3 {
            let middle: Vec<_> = commits.iter().map(read).filter(|commit| commit.header().kind == Kind::Data).collect();
            self.hidden.extend(pick(dice, &middle).map(|commit| commit.id()));
        }
        if self.does(Deed::HideControl) {
            let decided = |commit: &Commit| matches!(commit.header().kind, Kind::Grant | Kind::Revoke);
            let decisions = commits.iter().map(read).filter(|commit| decided(commit) && commit.header().seq > 6);
            self.hidden.extend(decisions.map(|commit| commit.id()));
        }
        commits.retain(|bytes| self.hidden.is_empty() || !self.hidden.contains(&read(bytes).id()));
        if commits.is_empty() {
            return commits;
        }
        let at = dice.below(commits.len() as u64) as usize;
        let commit = read(&commits[at]);
        let header = postcard::to_stdvec(commit.header()).expect("plain data").len();
        let start = varint(header);
        if self.does(Deed::FlipHeader) && dice.permille(300) {
            let bit = dice.below(header as u64 * 8) as usize;
            commits[at][start + bit / 8] ^= 1 << (bit % 8);
        } else if self.does(Deed::FlipBody) && dice.permille(300) && !commit.body().is_empty() {
            let bit = dice.below(commit.body().len() as u64 * 8) as usize;
            let last = commits[at].len() - 1;
            commits[at][last - bit / 8] ^= 1 << (bit % 8);
        } else if self.does(Deed::WrongCommit) && dice.permille(500) {
            let all: Vec<_> = device.db.shelf.commits().cloned().collect();
            commits[at] = pick(dice, &all).map_or_else(|| commits[at].clone(), |other| ByteBuf::from(other.to_bytes()));
        } else if self.does(Deed::Forge) && dice.permille(300) {
            let forged =
                if dice.permille(500) { stranger(dice) } else { altered(&commits[at], &commit, start, header) };
            commits.push(ByteBuf::from(forged));
        } else if self.does(Deed::Reorder) {
            let again = commits[at].clone();
            commits.push(again);
            dice.shuffle(&mut commits);
        } else if self.does(Deed::Bombs) && dice.permille(300) {
            let mut bomb = postcard::to_stdvec(&ByteBuf::from(vec![1; COMMIT_HEADER_BYTES + 1])).expect("plain data");
            bomb.extend([0xff; 70]);
            commits.push(ByteBuf::from(bomb));
        } else if let Some(trick) = pick(dice, &self.tricks).filter(|_| dice.permille(300)) {
            commits.push(ByteBuf::from(trick));
        }
        commits
    }

    /// Signs something.
    pub(super) fn act(&mut self, device: &mut Device, now: Timestamp, dice: &mut Dice) {
        let Some(deed) = pick(dice, &self.deeds) else { return };
        let Some(hand) = Hand::of(device, now, dice) else { return };
        let me = people().member(device.number);
        let others: Vec<MemberId> = people().members[..8].iter().copied().filter(|member| *member != me).collect();
        let reason = RevokeReason::Cheated;
        match deed {
            Deed::Equivocate => {
                let Some(header) = hand.header(device, hand.tip, true, Kind::Data) else { return };
                for number in 0..2 {
                    hand.data(device, header.clone(), number, dice);
                }
            }
            Deed::WriteAfterRevoke | Deed::ReaderWrites => {
                let Some(header) = hand.header(device, hand.tip, true, Kind::Data) else { return };
                hand.data(device, header, 0, dice);
            }
            Deed::Backdate => {
                let base = if dice.permille(700) { hand.tip } else { pick(dice, &hand.own).unwrap_or(hand.tip) };
                let Some(header) = hand.header(device, base, false, Kind::Data) else { return };
                hand.data(device, header, 0, dice);
            }
            Deed::GrantSelf => {
                let control = match (dice.below(3), pick(dice, &others)) {
                    (0, Some(member)) => Control::Revoke { target: Target::Member(member), reason },
                    (1, Some(member)) => Control::Grant { member, role: SpaceRole::Owner },
                    _ => Control::Grant { member: me, role: SpaceRole::Owner },
                };
                hand.control(device, hand.tip, true, &control);
            }
            Deed::Sybils => {
                let Some(member) = pick(dice, &others) else { return };
                hand.control(device, hand.tip, false, &Control::Grant { member, role: SpaceRole::Owner });
            }
            Deed::OldKey if dice.permille(500) => {
                let Some(mut header) = hand.header(device, hand.tip, true, Kind::Data) else { return };
                let oldest =
                    device.ledger().and_then(|ledger| ledger.judgement().epochs(RealmId::ROOT).first().copied());
                header.epoch = oldest.map_or(header.epoch, |epoch| epoch.id);
                hand.data(device, header, 0, dice);
            }
            Deed::OldKey if dice.permille(150) => {
                device.rekey(RealmId::ROOT, now, dice.bytes(), |rekey, _| {
                    rekey.wraps.retain(|wrap| people().number(wrap.device).is_some_and(|number| number / 2 % 2 == 0));
                });
            }
            Deed::TwoKeys if dice.permille(100) => {
                let other = dice.bytes();
                device.rekey(RealmId::ROOT, now, dice.bytes(), |rekey, _| {
                    for wrap in rekey.wraps.iter_mut().step_by(2) {
                        *wrap = keys::wrap(wrap.device, RealmId::ROOT, rekey.number, &other);
                    }
                });
            }
            Deed::SwapBodies => {
                let theirs: Vec<_> = device
                    .db
                    .shelf
                    .commits()
                    .filter(|c| c.header().kind == Kind::Data && c.device() != device.id)
                    .cloned()
                    .collect();
                let Some(other) = pick(dice, &theirs) else { return };
                let Some(header) = hand.header(device, hand.tip, true, Kind::Data) else { return };
                device.sign_header(header, now, |_| other.body().to_vec());
            }
            Deed::HugeNumbers => self.huge(&hand, device, dice),
            Deed::Grind => {
                let Some(header) = hand.header(device, hand.tip, true, Kind::Data) else { return };
                let Some(key) = device.db.keys.get(&header.epoch).copied() else { return };
                let tries: Vec<_> = (0..16)
                    .map(|number| keys::seal_body(&key, &header, &edit(device, &header, number, dice)))
                    .collect();
                let id = |body: &Vec<u8>| {
                    Commit::make(&people().keys[device.number], header.clone(), body.clone()).map(|c| c.id())
                };
                let Some(best) = tries.into_iter().min_by_key(|body| id(body).ok()) else { return };
                device.sign_header(header, now, |_| best);
            }
            Deed::OtherSpace => {
                let Some(header) = hand.header(device, hand.tip, true, Kind::Data) else { return };
                let other = Header { ledger: CommitId::from_bytes(dice.bytes()), ..header.clone() };
                let realm = Header { realm: RealmId::from_bytes(dice.bytes()), ..header.clone() };
                let epoch = Header { epoch: people().ledger(), ..header };
                for header in [other, realm, epoch] {
                    self.trick(device, header, b"x".to_vec());
                }
            }
            Deed::BadNames if dice.permille(100) => {
                let Some(header) = hand.header(device, hand.tip, true, Kind::Data) else { return };
                let Some(key) = device.db.keys.get(&header.epoch).copied() else { return };
                let make = |(index, name): (u32, &&[u8])| {
                    let node = NodeId::of(&device.id, header.seq, index, NodeKind::File);
                    Change::Make { node, kind: Node::File, parent: NodeId::ROOT, name: ByteBuf::from(*name) }
                };
                let changes: Vec<_> = (0..).zip(&BAD_NAMES).map(make).collect();
                let Ok(plain) = Change::write_all(&changes) else { return };
                device.sign_header(header, now, |header| keys::seal_body(&key, header, &plain));
            }
            _ => {}
        }
    }

    fn huge(&mut self, hand: &Hand, device: &mut Device, dice: &mut Dice) {
        let Some(header) = hand.header(device, hand.tip, true, Kind::Data) else { return };
        match dice.below(3) {
            0 => {
                // The year 2200.
                hand.data(device, Header { time: Timestamp(7_258_118_400_000), ..header }, 0, dice);
            }
            1 => {
                let lamport = u64::MAX - dice.below(2);
                self.trick(device, Header { lamport, ..header }, b"x".to_vec());
            }
            _ => {
                let previous = CommitId::from_bytes(dice.bytes());
                self.trick(device, Header { seq: u64::MAX, previous, ..header }, b"x".to_vec());
            }
        }
    }

    /// Signs what its own ledger would not take.
    fn trick(&mut self, device: &Device, header: Header, body: Vec<u8>) {
        let commit = Commit::make(&people().keys[device.number], header, body);
        self.tricks.extend(commit.map(|commit| commit.to_bytes()));
        let surplus = self.tricks.len().saturating_sub(8);
        self.tricks.drain(..surplus);
    }
}

/// A commit of somebody else with another time under the old signature.
fn altered(bytes: &[u8], commit: &Commit, start: usize, length: usize) -> Vec<u8> {
    let header = commit.header();
    let header = Header { time: Timestamp(header.time.0 + 1), ..header.clone() };
    let header = postcard::to_stdvec(&ByteBuf::from(postcard::to_stdvec(&header).expect("plain data")));
    [&header.expect("plain data"), &bytes[start + length..]].concat()
}

/// A device with somebody else's certificates.
fn stranger(dice: &mut Dice) -> Vec<u8> {
    let key = DeviceKey::from_seed(&dice.bytes());
    let genesis = &people().genesis;
    let mut past = Frontier::default();
    past.set(genesis.device(), 0, genesis.id());
    let header = Header {
        ledger: genesis.id(),
        seen: past.entries().collect(),
        frontier: past.hash(),
        lamport: 2,
        kind: Kind::Enter,
        ..Header::genesis(key.id(), super::people::BEGIN)
    };
    Commit::make(&key, header, Control::Enter(people().entry(2)).to_bytes()).expect("within limits").to_bytes()
}

/// A body that makes a file.
fn edit(device: &Device, header: &Header, number: u64, dice: &mut Dice) -> Vec<u8> {
    let node = NodeId::of(&device.id, header.seq, 0, NodeKind::File);
    let name = ByteBuf::from(format!("cheat-{number}-{}", dice.below(9)).into_bytes());
    let change = Change::Make { node, kind: Node::File, parent: NodeId::ROOT, name };
    Change::write_all(&[change]).expect("one change")
}

/// What a cheat signs with: its chain, and rights that it has or had.
struct Hand {
    now: Timestamp,
    tip: CommitId,
    own: Vec<CommitId>,
    cap: CommitId,
    epoch: EpochId,
}

impl Hand {
    /// `None`: it has not entered, was never granted anything, or has no key.
    fn of(device: &Device, now: Timestamp, dice: &mut Dice) -> Option<Self> {
        let ledger = device.ledger()?;
        let me = people().member(device.number);
        let caps: Vec<_> =
            ledger.judgement().grants().filter(|(_, grant)| grant.member == me).map(|(id, _)| id).collect();
        let mut own: Vec<_> = device.db.shelf.commits().filter(|commit| commit.device() == device.id).collect();
        own.sort_by_key(|commit| (commit.header().seq, commit.id()));
        let tip = own.last()?.id();
        let own = own.into_iter().map(Commit::id).collect();
        let epochs = ledger.judgement().epochs(RealmId::ROOT);
        let epoch = epochs.iter().rev().map(|epoch| epoch.id).find(|epoch| device.db.keys.contains_key(epoch));
        let epoch = epoch.or(epochs.last().map(|epoch| epoch.id))?;
        Some(Self { now, tip, own, cap: pick(dice, &caps)?, epoch })
    }

    /// A header on an own commit, in the knowledge of everything, or of nothing more than that commit had.
    fn header(&self, device: &Device, base: CommitId, knows: bool, kind: Kind) -> Option<Header> {
        let ledger = device.ledger()?;
        let past = device.past_of(base);
        let mut all = past.clone();
        for entry in ledger.frontier().entries().filter(|entry| knows && entry.device != device.id) {
            if !past.covers(entry.device, entry.seq) {
                all.set(entry.device, entry.seq, entry.id);
            }
        }
        let seen = all.since(&past);
        let lamport = |id: &CommitId| device.db.shelf.stored(id).map(|stored| stored.header.lamport);
        let latest = seen.iter().filter_map(|seen| lamport(&seen.id)).chain(lamport(&base)).max()?;
        let (seq, _) = past.of(device.id)?;
        let epoch = if kind == Kind::Data { self.epoch } else { CommitId::ZERO };
        Some(Header {
            version: VERSION,
            ledger: ledger.id(),
            seq: seq + 1,
            previous: base,
            seen,
            frontier: all.hash(),
            lamport: latest + 1,
            cap: self.cap,
            epoch,
            kind,
            ..Header::genesis(device.id, device.clock(self.now))
        })
    }

    fn data(&self, device: &mut Device, header: Header, number: u64, dice: &mut Dice) {
        let plain = edit(device, &header, number, dice);
        let key = device.db.keys.get(&header.epoch).copied();
        let body = |header: &Header| key.map_or_else(|| plain.clone(), |key| keys::seal_body(&key, header, &plain));
        device.sign_header(header, self.now, body);
    }

    fn control(&self, device: &mut Device, base: CommitId, knows: bool, control: &Control) {
        if let Some(header) = self.header(device, base, knows, control.kind()) {
            device.sign_header(header, self.now, |_| control.to_bytes());
        }
    }
}
