//! All secrets of one device, and their bytes inside the keystore (see `docs/formats/keystore.md`).
//!
//! Version 1 had no read seed. Reading it grows one, and says so ([`Loaded::Upgraded`]): the keyring must be stored again
//! before that seed is used, for what is sealed to a seed that was lost is lost.
//!
//! The layout is fixed and written by hand, so that no serialiser grows buffers and leaves copies of keys behind.

use crate::hpke::ReadSeed;
use crate::keys::{DeviceKey, MemberKey, RootKey};
use crate::recipient::{IDENTITY_TEXT, SealIdentity};
use crate::record::RecordKey;
use zeroize::Zeroizing;

const VERSION: u8 = 2;
/// The version without a read seed.
const WITHOUT_READ: u8 = 1;
const HAS_MEMBER: u8 = 1;
const HAS_ROOT: u8 = 2;

/// The secrets of one device.
#[derive(Clone, Debug)]
pub struct Keyring {
    /// The member's certificate authority: on every device that may certify further devices.
    pub member: Option<MemberKey>,
    /// This device's transport identity.
    pub device: DeviceKey,
    /// Opens age files that were sealed to the member.
    pub seal: SealIdentity,
    /// The circle's root key: only where the circle was made.
    pub root: Option<RootKey>,
    /// Seals the local database.
    pub records: RecordKey,
    /// Opens the epoch keys that were sealed to this device.
    pub read: ReadSeed,
}

/// A keyring as it was read.
#[must_use]
#[derive(Clone, Debug)]
pub enum Loaded {
    /// It has everything.
    Current(Keyring),
    /// It is of an older version and was given what it lacked, at random: store [`Keyring::to_bytes`] durably before
    /// anything is done with it.
    Upgraded(Keyring),
}

impl Loaded {
    /// The keyring, by whoever can do without what an upgrade adds.
    #[must_use]
    pub fn into_keyring(self) -> Keyring {
        match self {
            Self::Current(keyring) | Self::Upgraded(keyring) => keyring,
        }
    }
}

/// The bytes are not a keyring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKeyring {
    /// A later version of Warren wrote it.
    #[error("the keys were written by a newer version")]
    TooNew,
    /// Wrong length, unknown flags, or a key that is none.
    #[error("the keys are damaged")]
    Damaged,
}

impl Keyring {
    /// Fresh keys for a new device of a new member, without a circle root.
    #[must_use]
    pub fn generate() -> Self {
        Self {
            member: Some(MemberKey::generate()),
            device: DeviceKey::generate(),
            seal: SealIdentity::generate(),
            root: None,
            records: RecordKey::generate(),
            read: ReadSeed::generate(),
        }
    }

    /// The keyring as versioned bytes, to be locked by [`crate::vault::lock`].
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(256));
        let member = u8::from(self.member.is_some()) * HAS_MEMBER;
        let root = u8::from(self.root.is_some()) * HAS_ROOT;
        bytes.extend_from_slice(&[VERSION, member | root]);
        bytes.extend_from_slice(&*self.device.seed());
        bytes.extend_from_slice(self.records.as_bytes());
        bytes.extend_from_slice(self.seal.to_text().as_bytes());
        bytes.extend_from_slice(self.read.as_bytes());
        if let Some(member) = &self.member {
            bytes.extend_from_slice(&*member.seed());
        }
        if let Some(root) = &self.root {
            bytes.extend_from_slice(&*root.seed());
        }
        bytes
    }

    /// Reads what [`Keyring::to_bytes`] wrote, now or in version 1.
    ///
    /// # Errors
    /// [`BadKeyring`] for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Loaded, BadKeyring> {
        let (&[version, flags], mut rest) = bytes.split_first_chunk().ok_or(BadKeyring::Damaged)?;
        if version > VERSION {
            return Err(BadKeyring::TooNew);
        }
        if version < WITHOUT_READ || flags & !(HAS_MEMBER | HAS_ROOT) != 0 {
            return Err(BadKeyring::Damaged);
        }
        let device = DeviceKey::from_seed(take(&mut rest)?);
        let records = RecordKey::from_bytes(take(&mut rest)?);
        let text = std::str::from_utf8(take::<IDENTITY_TEXT>(&mut rest)?).map_err(|_| BadKeyring::Damaged)?;
        let seal = text.parse().map_err(|_| BadKeyring::Damaged)?;
        let stored = (version > WITHOUT_READ).then(|| take(&mut rest)).transpose()?.map(ReadSeed::from_bytes);
        let member = (flags & HAS_MEMBER != 0).then(|| take(&mut rest)).transpose()?.map(MemberKey::from_seed);
        let root = (flags & HAS_ROOT != 0).then(|| take(&mut rest)).transpose()?.map(RootKey::from_seed);
        if !rest.is_empty() {
            return Err(BadKeyring::Damaged);
        }
        Ok(match stored {
            Some(read) => Loaded::Current(Self { member, device, seal, root, records, read }),
            None => Loaded::Upgraded(Self { member, device, seal, root, records, read: ReadSeed::generate() }),
        })
    }
}

fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Result<&'a [u8; N], BadKeyring> {
    let (taken, left) = rest.split_first_chunk().ok_or(BadKeyring::Damaged)?;
    *rest = left;
    Ok(taken)
}
