//! Evidence of cheats as a file that anybody can check, without a device, a circle or a key.
//!
//! It has what the proof rests on and no more: the first commit of the ledger, which says of which circle it is; of each
//! device its first commit, which says whose it is; and the two records that no honest device signs both. Nothing is
//! believed but signatures: what a file says that they do not bear makes it no evidence. It holds no contents and no names
//! of files; names of members and devices are in their certificates. Byte level: `docs/formats/evidence.md`.

use seal::CircleId;
use seal::pki::Certificate;
use seal::{DeviceId, MemberId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use thiserror::Error;

use super::accept::found;
use super::commit::Commit;
use super::control::{Control, Entry};
use super::engine::Equivocation;
use super::head::{HeadStatement, Rollback};
use super::header::Kind;
use super::id::CommitId;
use crate::wire;

/// What a file begins with.
const MAGIC: &[u8; 7] = b"WRNEVID";
/// Version of the file.
const VERSION: u8 = 1;
/// Longest file, bytes.
pub const EVIDENCE_MAX: usize = 64 << 20;
/// Pieces in one file.
pub const PIECES_MAX: usize = 1000;

#[derive(Serialize, Deserialize)]
struct File {
    genesis: ByteBuf,
    pieces: Vec<Piece>,
}

/// What proves one cheat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// The first commit of the device: its certificates.
    pub entry: ByteBuf,
    /// What it signed.
    pub signed: Signed,
}

/// Two records that no honest device signs both, as they were received.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Signed {
    /// Two commits with one number.
    Fork {
        /// One of them.
        one: ByteBuf,
        /// The other one.
        other: ByteBuf,
    },
    /// Two statements of what it holds, the later of which says less.
    Rollback {
        /// The one with the smaller counter.
        earlier: ByteBuf,
        /// The other one.
        later: ByteBuf,
    },
}

impl Signed {
    /// Two statements that contradict each other.
    pub fn rollback(proof: &Rollback) -> Self {
        let bytes = |statement: &HeadStatement| ByteBuf::from(statement.as_bytes());
        Self::Rollback { earlier: bytes(&proof.earlier), later: bytes(&proof.later) }
    }

    /// The device that signed both, and what that proves, in whichever ledger.
    fn proves(&self) -> Option<(DeviceId, CommitId, What)> {
        match self {
            Self::Fork { one, other } => {
                let (one, other) = (Commit::read(one).ok()?, Commit::read(other).ok()?);
                let fork = Equivocation::proven(&one, &other)?;
                let made = |commit: &Commit| (commit.id(), commit.header().time);
                let what = What::Fork { seq: fork.seq, one: made(&one), other: made(&other) };
                Some((fork.device, one.header().ledger, what))
            }
            Self::Rollback { earlier, later } => {
                let (one, other) = (HeadStatement::read(earlier).ok()?, HeadStatement::read(later).ok()?);
                let proof = Rollback::proven(&one, &other)?;
                let (before, after) = (proof.earlier.held(), proof.later.held());
                let (counters, times) = ((before.counter, after.counter), (before.time, after.time));
                Some((before.device, before.ledger, What::Rollback { counters, times }))
            }
        }
    }

    /// True if these records prove by their signatures that this device cheats.
    pub fn proves_against(&self, device: DeviceId) -> bool {
        self.proves().is_some_and(|(signer, ..)| signer == device)
    }
}

/// What a file proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Name of the circle in its root certificate.
    pub circle: String,
    /// Which circle it is: compare it with what its members see, because anybody can make a circle of that name.
    pub circle_id: CircleId,
    /// The ledger.
    pub ledger: CommitId,
    /// Who did what.
    pub cheats: Vec<Cheat>,
}

/// A cheat that is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cheat {
    /// The device.
    pub device: DeviceId,
    /// Its name in its certificate.
    pub device_name: String,
    /// Whose it is.
    pub member: MemberId,
    /// The name in the certificate.
    pub member_name: String,
    /// What it did.
    pub what: What,
}

/// What a device did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// It signed two commits with one number.
    Fork {
        /// The number.
        seq: u64,
        /// One commit, and when it says that it was made.
        one: (CommitId, Timestamp),
        /// The other one.
        other: (CommitId, Timestamp),
    },
    /// It signed that it holds less than it had signed before.
    Rollback {
        /// Counters of the two statements.
        counters: (u64, u64),
        /// When it says that it made them.
        times: (Timestamp, Timestamp),
    },
}

/// A file that proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NoProof {
    /// It does not begin as such a file does.
    #[error("that is no file of evidence")]
    NotEvidence,
    /// Made by a newer version of the program.
    #[error("the file was written by a newer version of Warren (format {0})")]
    TooNew(u8),
    /// Its bytes are no such file.
    #[error("the file is damaged, or not complete")]
    Garbled,
    /// It is above the limits.
    #[error("the file is above the limits")]
    TooBig,
    /// There is nothing in it.
    #[error("there is no evidence in the file")]
    Empty,
    /// The first commit is none of a ledger.
    #[error("the file does not show of which space it is: its first change is not genuine")]
    NoLedger,
    /// A device is not shown to be somebody's.
    #[error("piece {0} does not show whose device it is about")]
    Nobody(usize),
    /// A piece does not prove what it says.
    #[error("piece {0} proves nothing: its signatures do not show a cheat in this space")]
    Nothing(usize),
}

/// Makes the file. Checks it before it hands it out.
///
/// # Errors
/// [`NoProof`].
pub fn write(genesis: &Commit, pieces: Vec<Piece>) -> Result<Vec<u8>, NoProof> {
    let file = File { genesis: ByteBuf::from(genesis.to_bytes()), pieces };
    let head = [&MAGIC[..], &[VERSION]].concat();
    let bytes = postcard::to_extend(&file, head).expect("evidence has only types that postcard can write");
    check(&bytes).map(|_| bytes)
}

/// What a file proves, by its signatures alone.
///
/// # Errors
/// [`NoProof`]: one piece that proves nothing makes the whole file no evidence.
pub fn check(bytes: &[u8]) -> Result<Proof, NoProof> {
    if bytes.len() > EVIDENCE_MAX {
        return Err(NoProof::TooBig);
    }
    let file = match bytes.strip_prefix(MAGIC) {
        Some([VERSION, rest @ ..]) => wire::decode::<File>(rest).map_err(|_| NoProof::Garbled)?,
        Some([version, ..]) if *version > VERSION => return Err(NoProof::TooNew(*version)),
        Some(_) => return Err(NoProof::Garbled),
        None => return Err(NoProof::NotEvidence),
    };
    if file.pieces.len() > PIECES_MAX {
        return Err(NoProof::TooBig);
    }
    if file.pieces.is_empty() {
        return Err(NoProof::Empty);
    }
    let genesis = Commit::read(&file.genesis).map_err(|_| NoProof::NoLedger)?;
    found(&genesis).map_err(|_| NoProof::NoLedger)?;
    let Some(Control::Genesis { root, .. }) = genesis.control() else { return Err(NoProof::NoLedger) };
    let root = Certificate::from_der(root.to_vec()).map_err(|_| NoProof::NoLedger)?;
    let ledger = genesis.id();
    let cheats = file.pieces.iter().enumerate().map(|(number, piece)| {
        let (device, about, what) = piece.signed.proves().ok_or(NoProof::Nothing(number + 1))?;
        if about != ledger {
            return Err(NoProof::Nothing(number + 1));
        }
        cheat(piece, device, what, &root, ledger).ok_or(NoProof::Nobody(number + 1))
    });
    Ok(Proof {
        circle: root.facts().name.clone(),
        circle_id: CircleId::of_root_key(&root.facts().public_key),
        ledger,
        cheats: cheats.collect::<Result<_, _>>()?,
    })
}

/// Whose device it is, by its first commit in this ledger.
fn cheat(piece: &Piece, device: DeviceId, what: What, root: &Certificate, ledger: CommitId) -> Option<Cheat> {
    let first = Commit::read(&piece.entry).ok()?;
    let entry: &Entry = match first.control()? {
        Control::Genesis { entry, .. } if first.id() == ledger => entry,
        Control::Enter(entry) if first.header().ledger == ledger && first.header().kind == Kind::Enter => entry,
        _ => return None,
    };
    if first.device() != device {
        return None;
    }
    let member = entry.owner(device, root).ok()?;
    let name = |at: usize| -> Option<String> {
        let certificate = Certificate::from_der(entry.chain.get(at)?.to_vec()).ok()?;
        Some(certificate.facts().name.clone())
    };
    Some(Cheat { device, device_name: name(0)?, member, member_name: name(1)?, what })
}

impl Proof {
    /// For people: one sentence per cheat.
    pub fn words(&self) -> Vec<String> {
        let about = |cheat: &Cheat| {
            let Cheat { device_name, member_name, device, .. } = cheat;
            let where_ = format!("in the space {} of the circle {} ({})", self.ledger, self.circle, self.circle_id);
            let did = match &cheat.what {
                What::Fork { seq, one, other } => {
                    format!("signed two different changes with the number {seq}: {} and {}", one.0, other.0)
                }
                What::Rollback { counters: (before, after), .. } if before == after => {
                    format!("signed two different statements of what it holds with the number {before}")
                }
                What::Rollback { counters: (before, after), .. } => {
                    format!("signed in statement {after} that it holds less than in statement {before}")
                }
            };
            format!("{member_name}/{device_name} ({device}) {did}, {where_}")
        };
        self.cheats.iter().map(about).collect()
    }
}
