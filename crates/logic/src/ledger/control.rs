//! Bodies of control commits. They are clear, and hold neither names nor paths.

use seal::pki::{Certificate, check_link};
use seal::{DeviceId, MemberId};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::header::Kind;
use super::id::{CommitId, EpochId};
use crate::Misbehaved;
use crate::limits::{CHAIN_CERTIFICATES, SEALING_BYTES, SEALING_KEYS, WRAPS};
use crate::wire;

/// What a member may do on a realm. Each role may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SpaceRole {
    /// Keep and serve what it cannot read.
    Storage,
    /// Read.
    Reader,
    /// Write.
    Editor,
    /// Grant, revoke, make realms, change keys.
    Owner,
}

/// A public key to which epoch keys are sealed for a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealingKey {
    /// Which KEM; the numbers are defined with the wrapping itself.
    pub algorithm: u8,
    /// Its encoding.
    pub public: ByteBuf,
}

/// How a device shows who it is: its chain (DER, device first, root left out) and its sealing keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The certificates.
    pub chain: Vec<ByteBuf>,
    /// Where epoch keys for it go, the preferred one first.
    pub sealing: Vec<SealingKey>,
}

/// Whom a revocation is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Target {
    /// All devices of a member.
    Member(MemberId),
    /// One device; it never comes back.
    Device(DeviceId),
    /// A device of the revoking member itself. Needs no role, counts everywhere.
    OwnDevice(DeviceId),
}

/// Why somebody was revoked; for people, nothing is decided by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RevokeReason {
    /// No longer wanted here.
    Withdrawn,
    /// Lost, stolen, or its key is known to somebody else.
    Lost,
    /// Caught cheating.
    Cheated,
}

/// An epoch key, sealed for one device. Opaque here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wrap {
    /// For whom.
    pub device: DeviceId,
    /// Which KEM.
    pub algorithm: u8,
    /// Encapsulated key.
    pub enc: ByteBuf,
    /// Ciphertext.
    pub ct: ByteBuf,
}

/// A key sealed under the key of another epoch. Opaque here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The other epoch.
    pub epoch: EpochId,
    /// Ciphertext.
    pub sealed: ByteBuf,
}

/// The new key of a realm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rekey {
    /// Counts the epochs of the realm; for people.
    pub number: u64,
    /// Commitment to the key.
    pub commitment: [u8; 32],
    /// The key, sealed for every device that may read, sorted by device.
    pub wraps: Vec<Wrap>,
    /// The key before, sealed under this one.
    pub back: Option<Link>,
    /// This key, sealed under the parent realm's.
    pub parent: Option<Link>,
}

/// A control commit's body. The realm that it is about is in the header. Variants are in the order of [`Kind`], without data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Control {
    /// Makes the ledger. The member of the entry founds it and stands above all others.
    Genesis {
        /// Root certificate of the circle, DER.
        root: ByteBuf,
        /// Who founds it.
        entry: Entry,
    },
    /// A device enters.
    Enter(Entry),
    /// A role on the header's realm.
    Grant {
        /// For whom.
        member: MemberId,
        /// Which.
        role: SpaceRole,
    },
    /// Takes away on the header's realm and what is inside; the root realm: everywhere. What the revoking device had
    /// seen still counts.
    Revoke {
        /// Whom.
        target: Target,
        /// Why.
        reason: RevokeReason,
    },
    /// A realm inside the header's realm, named by this commit ([`super::RealmId::made_by`]).
    Realm {
        /// Roles of the realm around it count here too. Owners always own what is inside.
        inherit: bool,
        /// It is a file.
        file: bool,
    },
    /// A new key for the header's realm.
    Rekey(Rekey),
    /// Of a forked chain, the branch with this commit counts.
    Resolve {
        /// Whose chain.
        device: DeviceId,
        /// The first commit after the fork that counts.
        keep: CommitId,
    },
    /// What is asked of a member's devices that store the header's realm without reading it. The newest one that counts holds.
    Limit {
        /// Whose devices, each.
        member: MemberId,
        /// The most bytes; `None`: no limit.
        bytes: Option<u64>,
    },
}

impl Control {
    /// What the commit around it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Genesis { .. } => Kind::Genesis,
            Self::Enter(_) => Kind::Enter,
            Self::Grant { .. } => Kind::Grant,
            Self::Revoke { .. } => Kind::Revoke,
            Self::Realm { .. } => Kind::Realm,
            Self::Rekey(_) => Kind::Rekey,
            Self::Resolve { .. } => Kind::Resolve,
            Self::Limit { .. } => Kind::Limit,
        }
    }

    /// The bytes of the body.
    pub fn to_bytes(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("bodies have only types that postcard can write")
    }

    /// Reads a body; the length was checked.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Misbehaved> {
        let control: Self = wire::decode(bytes).map_err(|_| Misbehaved::CommitControlInvalid)?;
        let fits = control.to_bytes() == bytes
            && match &control {
                Self::Genesis { entry, .. } | Self::Enter(entry) => entry.fits(),
                Self::Rekey(rekey) => rekey.fits(),
                _ => true,
            };
        if fits { Ok(control) } else { Err(Misbehaved::CommitControlInvalid) }
    }
}

impl Entry {
    fn fits(&self) -> bool {
        self.chain.len() <= CHAIN_CERTIFICATES
            && self.sealing.len() <= SEALING_KEYS
            && self.sealing.iter().all(|key| key.public.len() <= SEALING_BYTES)
    }

    /// The member that `device` belongs to, if the chain certifies it under `root`. Time and revocation lists decide
    /// nothing here: they change, and what a ledger accepts must not. Revocation in a ledger is a commit.
    pub(super) fn owner(&self, device: DeviceId, root: &Certificate) -> Result<MemberId, Misbehaved> {
        let read = |der: &ByteBuf| Certificate::from_der(der.to_vec()).map_err(|_| Misbehaved::DeviceUncertified);
        let chain = self.chain.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let issuers = chain.iter().skip(1).chain([root]);
        let links = chain.iter().zip(issuers).all(|(certificate, issuer)| check_link(certificate, issuer).is_ok());
        match &chain[..] {
            [leaf, owner, ..] if links && leaf.device() == Some(device) => owner.member(),
            _ => None,
        }
        .ok_or(Misbehaved::DeviceUncertified)
    }
}

impl Rekey {
    fn fits(&self) -> bool {
        let small = |link: &Option<Link>| link.as_ref().is_none_or(|link| link.sealed.len() <= SEALING_BYTES);
        self.wraps.len() <= WRAPS
            && self.wraps.is_sorted_by(|one, next| one.device < next.device)
            && self.wraps.iter().all(|wrap| wrap.enc.len() <= SEALING_BYTES && wrap.ct.len() <= SEALING_BYTES)
            && small(&self.back)
            && small(&self.parent)
    }
}
