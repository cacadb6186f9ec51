//! Two engines, a simulated network and simulated disks: everything here follows from a seed.
//!
//! Control messages keep their order, as on a stream; parcels travel on lanes of their own and overtake each other. A cut
//! loses whatever is on its way and both engines; the disks stay.

#![allow(clippy::unwrap_used)]

mod evil;
mod honest;

use super::hash::{BLOCK, block_count, block_len, block_value};
use super::lane::{Piece, PieceKind};
use super::limits::VERSION;
use super::listing::{Entry, Kind, Mtime};
use super::message::{decode, encode};
use super::path::Naming;
use super::receipt::SignedReceipt;
use super::receiver::Effect;
use super::*;
use crate::Misbehaved;
use seal::Signature;
use serde_bytes::ByteBuf;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// SplitMix64: a seed gives a world.
#[derive(Clone)]
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        // Whole words: speed matters, the content does not.
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            bytes.extend(self.roll(u64::MAX).to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }
}

/// What can lie at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    Dir,
    File(Vec<u8>),
    Link(Vec<u8>),
}

/// A disk: nodes by path, in the order of a listing (parents first, names by bytes).
pub type Disk = BTreeMap<Vec<Vec<u8>>, Node>;

/// A random tree with small and large files, holes, empty directories and links.
pub fn random_tree(dice: &mut Dice) -> Disk {
    let mut disk = Disk::new();
    let mut dirs = vec![Vec::new()];
    for n in 0..dice.roll(25) + 1 {
        let parent = dirs[dice.roll(dirs.len() as u64) as usize].clone();
        let mut path = parent;
        path.push(format!("{:02x}{n}", dice.roll(256)).into_bytes());
        let node = match dice.roll(8) {
            0 => {
                dirs.push(path.clone());
                Node::Dir
            }
            1 => Node::Link(b"../away".to_vec()),
            2 => Node::File(Vec::new()),
            3 => {
                let mut bytes = dice.bytes(3 * BLOCK as usize + 5);
                bytes[..2 * BLOCK as usize].fill(0);
                Node::File(bytes)
            }
            4 => {
                let len = dice.roll(4 * BLOCK) as usize;
                Node::File(dice.bytes(len))
            }
            _ => {
                let len = dice.roll(3000) as usize;
                Node::File(dice.bytes(len))
            }
        };
        disk.insert(path, node);
    }
    disk
}

pub fn entry_of(path: &[Vec<u8>], node: &Node) -> Entry {
    let mtime = Mtime { secs: 1, nanos: 2 };
    let kind = match node {
        Node::Dir => Kind::Dir { mtime },
        Node::File(bytes) => Kind::File { size: bytes.len() as u64, mtime, exec: false },
        Node::Link(target) => Kind::Link { target: ByteBuf::from(target.clone()), mtime },
    };
    Entry { depth: (path.len() - 1) as u8, name: ByteBuf::from(path.last().unwrap().clone()), kind }
}

pub fn offer(complete: bool) -> Offer {
    Offer {
        version: VERSION,
        id: TransferId([7; 16]),
        names: vec![],
        items: 1,
        text: None,
        found: Totals::default(),
        complete,
        created_at: 0,
    }
}

/// What travels to the receiver besides control messages.
type Parcel = Vec<(Piece, Vec<u8>)>;

/// One run.
pub struct Run {
    pub sender: Sender,
    pub receiver: Receiver,
    pub now: Duration,
    pub source: Vec<(Vec<Vec<u8>>, Node)>,
    pub to_receiver: VecDeque<Vec<u8>>,
    pub to_sender: VecDeque<Vec<u8>>,
    pub lanes: Vec<VecDeque<Parcel>>,
    effects: VecDeque<Effect>,
    /// Blocks of content that the receiver took, by file and block.
    pub verified: Vec<(Vec<Vec<u8>>, u32)>,
    pub landed: bool,
    pub done: Option<SignedReceipt>,
    /// A block on the wire is spoiled with this chance, one in so many; zero: never.
    pub spoil: u64,
    /// The file that changes once while it is sent.
    pub change: Option<(u32, Vec<u8>)>,
    pub warnings: usize,
    /// The sender wants to begin anew.
    pub outgrown: bool,
}

pub fn names_of(path: &path::RelPath) -> Vec<Vec<u8>> {
    path.names().map(<[u8]>::to_vec).collect()
}

impl Run {
    pub fn new(source: &Disk, disk: &Disk, lanes: usize, naming: Naming) -> Self {
        let mut sender = Sender::new(offer(false), [1; 32]);
        let source: Vec<_> = source.iter().map(|(path, node)| (path.clone(), node.clone())).collect();
        for (path, node) in &source {
            sender.scanned(entry_of(path, node)).unwrap();
        }
        sender.scan_ended();
        sender.make_offer();
        let Some(SenderAction::Send(FromSender::Offer(offer))) = sender.poll(Duration::ZERO) else {
            panic!("the offer comes first")
        };
        let mut receiver = Receiver::new(&offer, naming).unwrap();
        receiver.accept(!disk.is_empty(), [3; 16], None);
        Self {
            sender,
            receiver,
            now: Duration::ZERO,
            source,
            to_receiver: VecDeque::new(),
            to_sender: VecDeque::new(),
            lanes: vec![VecDeque::new(); lanes],
            effects: VecDeque::new(),
            verified: Vec::new(),
            landed: false,
            done: None,
            spoil: 0,
            change: None,
            warnings: 0,
            outgrown: false,
        }
    }

    /// One random step of the world.
    pub fn step(&mut self, dice: &mut Dice, disk: &mut Disk) -> Result<(), Misbehaved> {
        self.now += Duration::from_millis(dice.roll(20));
        self.polls();
        match dice.roll(6) {
            0 => {
                if let Some(frame) = self.to_receiver.pop_front() {
                    self.receiver.handle(decode(&frame)?)?;
                }
            }
            1 => {
                if let Some(frame) = self.to_sender.pop_front() {
                    self.sender.handle(decode(&frame)?)?;
                }
            }
            2 => self.read(dice),
            3 => {
                if let Some(effect) = self.effects.pop_front() {
                    self.perform(effect, disk);
                }
            }
            _ => self.deliver(dice, disk)?,
        }
        Ok(())
    }

    fn polls(&mut self) {
        while let Some(action) = self.sender.poll(self.now) {
            match action {
                SenderAction::Send(message) => self.to_receiver.push_back(encode(&message)),
                SenderAction::Done(receipt) => self.done = Some(*receipt),
                SenderAction::Warn { .. } => self.warnings += 1,
                SenderAction::Outgrown { .. } => self.outgrown = true,
                _ => {}
            }
        }
        while let Some(action) = self.receiver.poll(self.now) {
            match action {
                ReceiverAction::Send(message) => self.to_sender.push_back(encode(&message)),
                ReceiverAction::Do(effect) => self.effects.push_back(effect),
                ReceiverAction::Land => {
                    assert!(self.effects.is_empty(), "nothing is left to do");
                    self.landed = true;
                    let receipt = self.receiver.landed([1; 32], 5);
                    let signed = SignedReceipt { receipt, signature: Signature::from_bytes([0; 64]) };
                    self.to_sender.push_back(encode(&FromReceiver::Receipt(signed)));
                }
                _ => {}
            }
        }
    }

    /// A reader of the sender takes some work.
    fn read(&mut self, dice: &mut Dice) {
        let Work::Jobs(jobs) = self.sender.next_work() else { return };
        let mut parcel = Parcel::new();
        for job in jobs {
            if let Some((_, content)) = self.change.take_if(|(entry, _)| *entry == job.entry && job.generation == 0) {
                self.source[job.entry as usize].1 = Node::File(content);
            }
            let Node::File(content) = &self.source[job.entry as usize].1 else { panic!("a file") };
            if content.len() as u64 != job.size {
                let size = content.len() as u64;
                self.sender.changed(job.entry, job.generation, size, Mtime::default());
                continue;
            }
            let from = (u64::from(job.block) * BLOCK) as usize;
            let bytes = &content[from..from + job.len as usize];
            let value = block_value(job.size, job.block, bytes);
            let kind = match job.held {
                Some(held) if held == value => PieceKind::Same,
                _ if hash::is_zero(bytes) => PieceKind::Zero,
                _ => PieceKind::Data,
            };
            match self.sender.read(&job, value) {
                ReadState::Stale => continue,
                ReadState::More => {}
                ReadState::Complete => assert!(self.sender.confirm(job.entry, job.generation)),
            }
            let Job { entry, generation, block, len, .. } = job;
            let mut bytes = if kind == PieceKind::Data { bytes.to_vec() } else { Vec::new() };
            if self.spoil > 0 && !bytes.is_empty() && dice.roll(self.spoil) == 0 {
                bytes[0] ^= 1;
            }
            parcel.push((Piece { kind, generation, entry, block, len, value }, bytes));
        }
        let lane = dice.roll(self.lanes.len() as u64) as usize;
        self.lanes[lane].push_back(parcel);
    }

    /// A lane delivers a parcel, or what of it may be taken now.
    fn deliver(&mut self, dice: &mut Dice, disk: &mut Disk) -> Result<(), Misbehaved> {
        let lane = dice.roll(self.lanes.len() as u64) as usize;
        let Some(parcel) = self.lanes[lane].pop_front() else { return Ok(()) };
        let mut early = Parcel::new();
        for (piece, bytes) in parcel {
            match self.receiver.admit(&piece)? {
                Admit::Early => early.push((piece, bytes)),
                Admit::Stale => {}
                Admit::Here(block, _) => self.receiver.placed(&block)?,
                Admit::Write(target) => self.write(disk, &piece, bytes, &target)?,
            }
        }
        if !early.is_empty() {
            self.lanes[lane].push_front(early);
        }
        Ok(())
    }

    fn write(&mut self, disk: &mut Disk, piece: &Piece, bytes: Vec<u8>, target: &Target) -> Result<(), Misbehaved> {
        let bytes = if piece.kind == PieceKind::Zero { vec![0; piece.len as usize] } else { bytes };
        let Ok(block) = hash::VerifiedBlock::check(piece, target.size, &bytes) else {
            return self.receiver.spoiled(piece);
        };
        let path = names_of(&target.path);
        let Node::File(file) = disk.entry(path.clone()).or_insert(Node::File(Vec::new())) else { panic!("a file") };
        let from = (u64::from(piece.block) * BLOCK) as usize;
        file.resize(file.len().max(from + bytes.len()), 0);
        file[from..from + bytes.len()].copy_from_slice(&bytes);
        if block_count(target.size) == 1 {
            file.truncate(target.size as usize);
        }
        self.verified.push((path, piece.block));
        self.receiver.placed(&block)
    }

    fn perform(&mut self, effect: Effect, disk: &mut Disk) {
        match effect {
            Effect::Dir { entry, path, .. } => {
                disk.insert(names_of(&path), Node::Dir);
                self.receiver.performed(entry);
            }
            Effect::Link { entry, path, target, .. } => {
                disk.insert(names_of(&path), Node::Link(target));
                self.receiver.performed(entry);
            }
            Effect::Close { entry, path, size, .. } => {
                let Node::File(file) = disk.entry(names_of(&path)).or_insert(Node::File(Vec::new())) else {
                    panic!("a file")
                };
                file.resize(size as usize, 0);
                self.receiver.performed(entry);
            }
            Effect::Remove { entry, path } => {
                disk.remove(&names_of(&path));
                self.receiver.performed(entry);
            }
            Effect::ReadBack { entry, generation, path, size } => {
                let values = match disk.get_mut(&names_of(&path)) {
                    Some(Node::File(file)) => {
                        file.truncate(size as usize);
                        held_values(file, size)
                    }
                    _ => Vec::new(),
                };
                self.receiver.read_back(entry, generation, values, true);
            }
        }
    }
}

fn held_values(file: &[u8], size: u64) -> Vec<hash::Value> {
    let whole = |block: &u32| u64::from(*block) * BLOCK + u64::from(block_len(size, *block)) <= file.len() as u64;
    let blocks = (0..block_count(size) as u32).take_while(whole);
    let value = |block: u32| {
        let from = (u64::from(block) * BLOCK) as usize;
        block_value(size, block, &file[from..from + block_len(size, block) as usize])
    };
    blocks.map(value).collect()
}
