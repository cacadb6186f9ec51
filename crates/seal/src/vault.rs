//! The keystore: secrets sealed under a passphrase (Argon2id, RFC 9106; XChaCha20-Poly1305). Byte format:
//! `docs/formats/keystore.md`.
//!
//! Invariants: the header is authenticated; the file commits to its key, so a file cannot open under two passphrases
//! and a wrong passphrase is told apart from damage; what a file may demand of the machine is bounded; what was sealed
//! is opened again before it is returned.

use crate::Passphrase;
use crate::labels;
use crate::random::random;
use crate::xaead;
use argon2::{Algorithm, Argon2, Params, Version};
use hkdf::Hkdf;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

const MAGIC: [u8; 7] = *b"WRNKEYS";
const VERSION: u8 = 1;
const SALT: usize = 16;
const COMMITMENT: usize = 32;
/// Magic, version, three costs, salt, commitment.
const HEADER: usize = MAGIC.len() + 1 + 12 + SALT + COMMITMENT;
const CHECKSUM: usize = 16;
/// Larger than any keyring; a file beyond it is not ours.
const MAX_FILE: usize = 64 * 1024;

/// What one attempt at the passphrase costs (RFC 9106 section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Memory in KiB.
    m_kib: u32,
    /// Passes over the memory.
    t: u32,
    /// Lanes.
    p: u32,
}

/// The cost is below what protects a keystore or above what a machine can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the passphrase cost must be 64 MiB to 2 GiB of memory, 3 to 32 passes and 1 to 16 lanes")]
pub struct CostOutOfRange;

impl Cost {
    /// 256 MiB, three passes, one lane: about 0.6 s of one core.
    pub const DEFAULT: Self = Self { m_kib: 256 * 1024, t: 3, p: 1 };
    /// The least that [`lock`] makes and [`unlock`] takes: 64 MiB, three passes.
    pub const MINIMUM: Self = Self { m_kib: 64 * 1024, t: 3, p: 1 };
    /// The most that a keystore may demand of this machine.
    pub const MAXIMUM: Self = Self { m_kib: 2 * 1024 * 1024, t: 32, p: 16 };

    /// A cost between [`Cost::MINIMUM`] and [`Cost::MAXIMUM`].
    ///
    /// # Errors
    /// [`CostOutOfRange`] outside of them.
    pub fn new(m_kib: u32, t: u32, p: u32) -> Result<Self, CostOutOfRange> {
        let cost = Self { m_kib, t, p };
        (cost.at_least(Self::MINIMUM) && Self::MAXIMUM.at_least(cost)).then_some(cost).ok_or(CostOutOfRange)
    }

    /// A cost that protects nothing, for tests only: such a file opens with [`CostFloor::TestsOnly`] and is refused
    /// by [`unlock`].
    #[must_use]
    pub const fn worthless_for_tests() -> Self {
        Self { m_kib: 8, t: 1, p: 1 }
    }

    /// Memory in KiB.
    #[must_use]
    pub const fn m_kib(self) -> u32 {
        self.m_kib
    }

    /// Passes over the memory.
    #[must_use]
    pub const fn t(self) -> u32 {
        self.t
    }

    /// Lanes.
    #[must_use]
    pub const fn p(self) -> u32 {
        self.p
    }

    fn at_least(self, floor: Self) -> bool {
        self.m_kib >= floor.m_kib && self.t >= floor.t && self.p >= floor.p
    }
}

impl Default for Cost {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// How cheap a keystore may be. There is no way to lower the floor from a file, a setting or the environment: only
/// code that names [`CostFloor::TestsOnly`] can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CostFloor {
    /// [`Cost::MINIMUM`].
    Production,
    /// Anything goes.
    TestsOnly,
}

/// Why a keystore was not opened or made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// The file is whole, the passphrase is not the one.
    #[error("wrong passphrase")]
    WrongPassphrase,
    /// Not a keystore, cut short, or changed.
    #[error("the keystore is damaged")]
    Damaged,
    /// A later version of Warren wrote it.
    #[error("the keystore was written by a newer version")]
    TooNew,
    /// It demands more memory or time than [`Cost::MAXIMUM`].
    #[error("the keystore demands too much memory or time")]
    CostTooHigh,
    /// It is protected by less than [`Cost::MINIMUM`].
    #[error("the keystore is protected by too low a passphrase cost")]
    CostTooLow,
}

/// Seals `secrets` (a [`crate::Keyring`] as bytes) under a passphrase.
///
/// # Errors
/// [`VaultError::Damaged`] when what was sealed does not open again (failing memory).
pub fn lock(secrets: &[u8], passphrase: &Passphrase, cost: Cost) -> Result<Vec<u8>, VaultError> {
    let salt: [u8; SALT] = random();
    let keys = Keys::derive(passphrase, &salt, cost);
    let mut file = Vec::with_capacity(HEADER + secrets.len() + xaead::OVERHEAD + CHECKSUM);
    file.extend_from_slice(&MAGIC);
    file.push(VERSION);
    for number in [cost.m_kib, cost.t, cost.p] {
        file.extend_from_slice(&number.to_be_bytes());
    }
    file.extend_from_slice(&salt);
    file.extend_from_slice(&keys.commitment);
    let sealed = xaead::seal(&keys.seal, &file, secrets);
    file.extend_from_slice(&sealed);
    let checksum = checksum(&file);
    file.extend_from_slice(&checksum);
    let reopened = unlock_above(&file, passphrase, CostFloor::TestsOnly)?;
    if *reopened != secrets {
        return Err(VaultError::Damaged);
    }
    Ok(file)
}

/// Opens a keystore.
///
/// # Errors
/// See [`VaultError`]; nothing expensive is done before the costs are checked.
pub fn unlock(file: &[u8], passphrase: &Passphrase) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    unlock_above(file, passphrase, CostFloor::Production)
}

/// [`unlock`] with another floor than production's.
///
/// # Errors
/// As [`unlock`].
pub fn unlock_above(file: &[u8], passphrase: &Passphrase, floor: CostFloor) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    let parsed = Parsed::read(file)?;
    if !Cost::MAXIMUM.at_least(parsed.cost) {
        return Err(VaultError::CostTooHigh);
    }
    if floor == CostFloor::Production && !parsed.cost.at_least(Cost::MINIMUM) {
        return Err(VaultError::CostTooLow);
    }
    let keys = Keys::derive(passphrase, parsed.salt, parsed.cost);
    if !bool::from(keys.commitment.ct_eq(parsed.commitment)) {
        return Err(VaultError::WrongPassphrase);
    }
    let secrets = xaead::open(&keys.seal, parsed.header, parsed.sealed).map_err(|_| VaultError::Damaged)?;
    Ok(Zeroizing::new(secrets))
}

/// What it costs to try a passphrase on this file.
///
/// # Errors
/// [`VaultError`] when it is not a whole keystore of this version.
pub fn cost(file: &[u8]) -> Result<Cost, VaultError> {
    Parsed::read(file).map(|parsed| parsed.cost)
}

struct Parsed<'a> {
    header: &'a [u8],
    cost: Cost,
    salt: &'a [u8; SALT],
    commitment: &'a [u8; COMMITMENT],
    sealed: &'a [u8],
}

impl<'a> Parsed<'a> {
    fn read(file: &'a [u8]) -> Result<Self, VaultError> {
        Self::parts(file).ok_or(VaultError::Damaged)?
    }

    /// `None` for bytes that are no whole keystore of any version that we know how to check.
    fn parts(file: &'a [u8]) -> Option<Result<Self, VaultError>> {
        let (magic, rest) = file.split_first_chunk()?;
        let (&[version], rest) = rest.split_first_chunk()?;
        if *magic != MAGIC || version == 0 {
            return None;
        }
        if version > VERSION {
            return Some(Err(VaultError::TooNew));
        }
        let (body, stored) = file.split_last_chunk::<CHECKSUM>()?;
        if file.len() > MAX_FILE || checksum(body) != *stored {
            return None;
        }
        let (m_kib, rest) = rest.split_first_chunk()?;
        let (t, rest) = rest.split_first_chunk()?;
        let (p, rest) = rest.split_first_chunk()?;
        let [m_kib, t, p] = [m_kib, t, p].map(|bytes| u32::from_be_bytes(*bytes));
        let (salt, rest) = rest.split_first_chunk()?;
        let (commitment, _) = rest.split_first_chunk()?;
        let (header, sealed) = body.split_at_checked(HEADER)?;
        Some(Ok(Self { header, cost: Cost { m_kib, t, p }, salt, commitment, sealed }))
    }
}

/// What a passphrase grows into: the sealing key, and the value that commits to it.
struct Keys {
    seal: Zeroizing<[u8; 32]>,
    commitment: [u8; COMMITMENT],
}

impl Keys {
    fn derive(passphrase: &Passphrase, salt: &[u8; SALT], cost: Cost) -> Self {
        let mut stretched = Zeroizing::new([0; 32]);
        // Argon2 wants at least 8 KiB a lane and one pass; a file that says less is treated as saying that.
        let params = Params::new(cost.m_kib.max(8 * cost.p.max(1)), cost.t.max(1), cost.p.max(1), Some(32))
            .expect("the costs were checked to be in range");
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.expose().as_bytes(), salt, &mut *stretched)
            .expect("lengths of salt and output are constants in range");
        let keys = Hkdf::<Sha256>::new(None, &*stretched);
        let mut seal = Zeroizing::new([0; 32]);
        let mut commitment = [0; COMMITMENT];
        keys.expand(labels::VAULT_KEY, &mut *seal).expect("HKDF yields up to 8160 bytes");
        keys.expand(labels::VAULT_COMMIT, &mut commitment).expect("HKDF yields up to 8160 bytes");
        Self { seal, commitment }
    }
}

/// Tells accidental damage from a wrong passphrase; protects against nobody.
fn checksum(body: &[u8]) -> [u8; CHECKSUM] {
    let hash = blake3::derive_key(labels::VAULT_CHECKSUM, body);
    *hash.first_chunk().expect("a hash has 32 bytes")
}
