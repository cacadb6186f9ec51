//! Two strangers who share a short code agree on a strong key (SPAKE2), and prove it before either sends a secret.
//!
//! Flow: both send their first message; both [`finish`](Pake::finish); the joiner sends its confirmation, the inviter
//! checks it **first** and answers with its own only when it holds, so that one wrong guess is seen by the inviter and
//! tells the guesser nothing but "wrong". [`Confirmed`] exists only after the other side's confirmation was checked.
//!
//! `context` binds the conversation to its channel (both device ids, TLS exporter): a man in the middle with two TLS
//! legs ends with two different keys. It goes into the SPAKE2 identities and into the salt of the key derivation.

use crate::labels;
use crate::xaead;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use spake2::{Ed25519Group, Identity, Password, Spake2};
use std::fmt;
use zeroize::Zeroizing;

/// Bytes of a confirmation.
pub const CONFIRMATION: usize = 32;
/// Bytes of a first message: side and group element.
pub const MESSAGE: usize = 33;

/// The message is not a first message of the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a SPAKE2 message of the other side")]
pub struct BadMessage;

/// The other side does not know the code, or is not at the other end of this channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the code is wrong")]
pub struct WrongCode;

/// The message was not sealed by the other side as the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message does not open")]
pub struct NotOpened;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Joiner = 0,
    Inviter = 1,
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::Joiner => Self::Inviter,
            Self::Inviter => Self::Joiner,
        }
    }

    fn pick<T: Copy>(self, of_joiner_and_inviter: [T; 2]) -> T {
        of_joiner_and_inviter[self as usize]
    }
}

/// The exchange after the own first message was made.
pub struct Pake {
    spake: Spake2<Ed25519Group>,
    side: Side,
    salt: [u8; 32],
    mine: Vec<u8>,
}

impl Pake {
    /// Begins as the one who was told the code. The bytes are the first message, to be sent.
    #[must_use]
    pub fn joiner(secret: &[u8], context: &[u8]) -> (Self, Vec<u8>) {
        Self::start(secret, context, Side::Joiner)
    }

    /// Begins as the one who made the code. The bytes are the first message, to be sent.
    #[must_use]
    pub fn inviter(secret: &[u8], context: &[u8]) -> (Self, Vec<u8>) {
        Self::start(secret, context, Side::Inviter)
    }

    fn start(secret: &[u8], context: &[u8], side: Side) -> (Self, Vec<u8>) {
        let salt = *blake3::hash(context).as_bytes();
        let [joiner, inviter] = labels::PAKE_IDENTITY.map(|role| Identity::new(&[role, &salt[..]].concat()));
        let password = Password::new(secret);
        let (spake, mine) = match side {
            Side::Joiner => Spake2::start_a(&password, &joiner, &inviter),
            Side::Inviter => Spake2::start_b(&password, &joiner, &inviter),
        };
        (Self { spake, side, salt, mine: mine.clone() }, mine)
    }

    /// Takes the other side's first message.
    ///
    /// # Errors
    /// [`BadMessage`] when it is malformed or our own reflected; a wrong code shows only at [`PakeKeys::check`].
    pub fn finish(self, theirs: &[u8]) -> Result<PakeKeys, BadMessage> {
        let shared = Zeroizing::new(self.spake.finish(theirs).map_err(|_| BadMessage)?);
        let transcript = match self.side {
            Side::Joiner => [&self.mine, theirs].concat(),
            Side::Inviter => [theirs, &self.mine].concat(),
        };
        let keys = Zeroizing::new(Hkdf::<Sha256>::extract(Some(&self.salt), &shared).0.into());
        Ok(PakeKeys { keys, side: self.side, transcript })
    }
}

/// The agreed key, not yet known to be the same on both sides.
pub struct PakeKeys {
    /// The pseudorandom key of HKDF.
    keys: Zeroizing<[u8; 32]>,
    side: Side,
    transcript: Vec<u8>,
}

impl PakeKeys {
    /// This side's proof that it knows the code.
    #[must_use]
    pub fn confirm(&self) -> [u8; CONFIRMATION] {
        self.confirmation(self.side).finalize().into_bytes().into()
    }

    /// Checks the other side's proof, in constant time.
    ///
    /// # Errors
    /// [`WrongCode`]: the invitation must be burned, nothing was revealed.
    pub fn check(self, theirs: &[u8]) -> Result<Confirmed, WrongCode> {
        self.confirmation(self.side.other()).verify_slice(theirs).map_err(|_| WrongCode)?;
        Ok(Confirmed {
            sending: Direction::new(&self.keys, self.side),
            receiving: Direction::new(&self.keys, self.side.other()),
        })
    }

    fn confirmation(&self, of: Side) -> Hmac<Sha256> {
        let key = expand(&self.keys, of.pick(labels::PAKE_CONFIRM));
        Hmac::<Sha256>::new_from_slice(&*key).expect("HMAC takes keys of any length").chain_update(&self.transcript)
    }
}

/// Both sides know the code. Messages are sealed per direction and numbered: none can be replayed, reordered or
/// reflected.
pub struct Confirmed {
    sending: Direction,
    receiving: Direction,
}

struct Direction {
    key: Zeroizing<[u8; 32]>,
    count: u64,
}

impl Direction {
    fn new(keys: &[u8; 32], sender: Side) -> Self {
        Self { key: expand(keys, sender.pick(labels::PAKE_MESSAGES)), count: 0 }
    }
}

impl Confirmed {
    /// Seals the next message to the other side (40 bytes longer).
    #[must_use]
    pub fn seal(&mut self, plain: &[u8]) -> Vec<u8> {
        let sealed = xaead::seal(&self.sending.key, &self.sending.count.to_be_bytes(), plain);
        self.sending.count += 1;
        sealed
    }

    /// Opens the next message of the other side.
    ///
    /// # Errors
    /// [`NotOpened`]; the conversation should end then.
    pub fn open(&mut self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, NotOpened> {
        let plain = xaead::open(&self.receiving.key, &self.receiving.count.to_be_bytes(), sealed);
        let plain = plain.map_err(|_| NotOpened)?;
        self.receiving.count += 1;
        Ok(Zeroizing::new(plain))
    }
}

fn expand(keys: &[u8; 32], info: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    let keys = Hkdf::<Sha256>::from_prk(keys).expect("a hash's length is long enough");
    keys.expand(info, &mut *key).expect("HKDF yields up to 8160 bytes");
    key
}

macro_rules! stars {
    ($($name:ident),*) => {
        $(impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(***)"))
            }
        })*
    };
}
stars!(Pake, PakeKeys, Confirmed);
