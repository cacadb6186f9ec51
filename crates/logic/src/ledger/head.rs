//! Statements of what a device holds, and what they prove.
//!
//! A device counts its statements. Whoever says less in a later statement than in an earlier one rolled back, and both
//! statements together prove it to anybody: [`Rollback`]. An older statement than the one that is known proves nothing.

use std::collections::BTreeMap;

use seal::{DeviceId, DeviceKey, Purpose, Signature, Timestamp};
use serde::{Deserialize, Serialize};

use super::frontier::Frontier;
use super::id::CommitId;
use crate::Misbehaved;
use crate::limits::SYNC_TIPS;
use crate::wire;

/// Version of a statement.
const VERSION: u8 = 1;

/// What a device says that it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    version: u8,
    /// Of which ledger.
    pub ledger: CommitId,
    /// Who says it.
    pub device: DeviceId,
    /// Counts up with every statement of the device.
    pub counter: u64,
    /// When, by its clock; advisory.
    pub time: Timestamp,
    /// What it holds, its own chain included.
    pub frontier: Frontier,
}

/// A statement whose signature holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadStatement {
    held: Held,
    bytes: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Wire<'a> {
    #[serde(borrow, with = "serde_bytes")]
    held: &'a [u8],
    signature: Signature,
}

impl HeadStatement {
    /// Signs what this device holds.
    pub fn make(key: &DeviceKey, ledger: CommitId, counter: u64, time: Timestamp, frontier: Frontier) -> Self {
        let held = Held { version: VERSION, ledger, device: key.id(), counter, time, frontier };
        let inner = postcard::to_stdvec(&held).expect("a statement has only types that postcard can write");
        let signature = key.sign(Purpose::HeadStatement, &inner);
        let wire = Wire { held: &inner, signature };
        Self { held, bytes: postcard::to_stdvec(&wire).expect("a statement has only types that postcard can write") }
    }

    /// Reads and checks one.
    ///
    /// # Errors
    /// [`Misbehaved::HeadStatementInvalid`].
    pub fn read(bytes: &[u8]) -> Result<Self, Misbehaved> {
        const BAD: Misbehaved = Misbehaved::HeadStatementInvalid;
        if bytes.len() > SYNC_TIPS * 80 + 256 {
            return Err(BAD);
        }
        let wire: Wire<'_> = wire::decode(bytes).map_err(|_| BAD)?;
        let held: Held = wire::decode(wire.held).map_err(|_| BAD)?;
        held.device.verify(Purpose::HeadStatement, wire.held, &wire.signature).map_err(|_| BAD)?;
        if held.version != VERSION || held.frontier.len() > SYNC_TIPS {
            return Err(BAD);
        }
        Ok(Self { held, bytes: bytes.to_vec() })
    }

    /// What it says.
    pub fn held(&self) -> &Held {
        &self.held
    }

    /// What [`Self::read`] takes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Two statements of one device that no honest device makes: the later one holds less, or both have one counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollback {
    /// The one with the smaller counter.
    pub earlier: HeadStatement,
    /// The other one.
    pub later: HeadStatement,
}

impl Rollback {
    /// Takes two statements, if they are a proof.
    pub fn proven(one: &HeadStatement, other: &HeadStatement) -> Option<Self> {
        let (earlier, later) = if one.held.counter <= other.held.counter { (one, other) } else { (other, one) };
        let (before, after) = (&earlier.held, &later.held);
        let same_chain = before.device == after.device && before.ledger == after.ledger;
        let twice = before.counter == after.counter && before != after;
        let less = !after.frontier.dominates(&before.frontier);
        (same_chain && (twice || less)).then(|| Self { earlier: earlier.clone(), later: later.clone() })
    }
}

/// What a statement changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// It is the newest of its device now.
    Newest,
    /// It, or a newer one, is known.
    Known,
    /// It contradicts what its device said before. The one with the greater counter is kept.
    Rollback(Box<Rollback>),
}

/// The newest statement of every device, for one ledger.
#[derive(Debug, Clone, Default)]
pub struct Heads(BTreeMap<DeviceId, HeadStatement>);

impl Heads {
    /// Takes in a statement of this ledger; which devices may speak here, the caller knows.
    pub fn hear(&mut self, statement: HeadStatement) -> Heard {
        let Some(known) = self.0.get(&statement.held.device) else {
            self.0.insert(statement.held.device, statement);
            return Heard::Newest;
        };
        if let Some(proof) = Rollback::proven(known, &statement) {
            self.0.insert(statement.held.device, proof.later.clone());
            return Heard::Rollback(Box::new(proof));
        }
        if known.held.counter >= statement.held.counter {
            return Heard::Known;
        }
        self.0.insert(statement.held.device, statement);
        Heard::Newest
    }

    /// The newest statement of a device.
    pub fn of(&self, device: DeviceId) -> Option<&HeadStatement> {
        self.0.get(&device)
    }

    /// The newest statement of every device.
    pub fn all(&self) -> impl Iterator<Item = &HeadStatement> {
        self.0.values()
    }

    /// Which devices' commits a peer signed that it holds, and now shows less of.
    pub fn withheld(&self, peer: DeviceId, shown: &Frontier) -> Vec<DeviceId> {
        let signed = self.0.get(&peer).into_iter().flat_map(|statement| statement.held.frontier.entries());
        signed.filter(|entry| !shown.covers(entry.device, entry.seq)).map(|entry| entry.device).collect()
    }
}
