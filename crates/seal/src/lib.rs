//! The crypto room of Warren: every key, signature, certificate and sealed byte is made and opened here.
//!
//! Goals: keys are typed by purpose, secrets wipe themselves and never print, each sealed format has a version and is
//! opened once before it leaves, certificates are judged by the standard (RFC 5280) *and* by the circle's own rules.
//! Non-goals: files, sockets, the clock. Time comes as an argument; randomness comes from the system only where a key
//! or a nonce is born.
//!
//! | module | what it holds |
//! |---|---|
//! | [`id`], [`time`] | names of devices, members, circles; moments |
//! | [`keys`], [`keyring`] | signing keys, the age identity, and the set of them that a device owns |
//! | [`vault`] | the keystore under a passphrase |
//! | [`record`] | values of the local database |
//! | [`epoch`], [`hpke`] | keys of realms, and how a device gets them |
//! | [`body`], [`chunk`] | what is written in a space: changes, contents |
//! | [`pki`] | X.509: issue, verify, revoke |
//! | [`pake`], [`words`] | pairing by a short spoken code |
//! | [`beacon`] | announcements that strangers cannot read |
//! | [`mod@file`] | age files |

pub mod beacon;
pub mod body;
pub mod chunk;
pub mod epoch;
pub mod file;
pub mod hpke;
pub mod id;
pub mod keyring;
pub mod keys;
pub mod labels;
mod object;
mod padding;
pub mod pake;
mod passphrase;
pub mod pki;

mod random;
pub mod recipient;
pub mod record;
pub mod time;
pub mod vault;
pub mod words;
mod xaead;

pub use epoch::EpochKey;
pub use hpke::ReadSeed;
pub use id::{CircleId, DeviceId, MemberId, ObjectId};
pub use keyring::Keyring;
pub use keys::{BadSignature, DeviceKey, MemberKey, RootKey, Signature};
pub use labels::Purpose;
pub use object::Object;
pub use passphrase::Passphrase;
pub use random::random;
pub use recipient::{SealIdentity, SealRecipient};
pub use record::{RecordKey, TableKey};
pub use time::Timestamp;
pub use xaead::Unsound;

#[cfg(test)]
mod tests;
