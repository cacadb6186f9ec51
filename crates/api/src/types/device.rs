//! This device: its state, its circle, its settings.

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A request without fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nothing {}

/// What a running device says of itself. A locked device leaves out everything that its keystore protects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the program.
    pub version: String,
    /// Folder that holds the device's keystore and database.
    pub home: String,
    /// Process id of the running device.
    pub pid: u32,
    /// True while the keystore is locked: nothing is sent, received or shown.
    pub locked: bool,
    /// When the device was started, Unix milliseconds.
    pub started_at: i64,
    /// When it was locked, Unix milliseconds; absent while it is unlocked.
    pub locked_at: Option<i64>,
    /// Identity; absent while locked.
    pub identity: Option<Identity>,
    /// The circle; absent while locked or while the device has none.
    pub circle: Option<Circle>,
    /// Addresses (`IP:PORT`) on which other devices can reach this one (same port for QUIC/UDP and TLS/TCP).
    pub addresses: Vec<String>,
    /// Where the local API is served beside the socket, `http://127.0.0.1:PORT`; absent unless that was asked for. The
    /// token for it is in `run/api.token` of the home.
    pub api: Option<String>,
    /// Members' devices that are online now.
    pub peers_online: u32,
    /// Transfers that are running now.
    pub transfers_active: u32,
    /// Offers that wait for a decision.
    pub offers_waiting: u32,
}

/// Who this device is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Member name, unique in the circle.
    pub member: String,
    /// Name of this device.
    pub device: String,
    /// Device id: Ed25519 public key, base32.
    pub device_id: String,
    /// Role in the circle: `admin`, `editor`, `reader` or `storage`.
    pub role: String,
    /// age recipient (`age1...`) of the member's sealing key.
    pub recipient: String,
}

/// The circle as this device knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Circle {
    /// Name of the circle.
    pub name: String,
    /// Circle id: hash of the root key, base32.
    pub id: String,
    /// Safety words of the circle.
    pub safety_words: String,
    /// Members, this one included.
    pub members: u32,
    /// When this device's certificate ends, Unix milliseconds.
    pub certificate_ends_at: i64,
    /// True once this device has learned that it was removed from the circle.
    #[serde(default)]
    pub removed: bool,
}

/// Unlock a locked device.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Unlock {
    /// The passphrase of the keystore.
    pub passphrase: Passphrase,
}

/// Change the passphrase of the keystore.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ChangePassphrase {
    /// The passphrase until now.
    pub old: Passphrase,
    /// The new one.
    pub new: Passphrase,
}

/// A passphrase on its way to the device; prints as stars, and is wiped when dropped.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
pub struct Passphrase(pub String);

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase(***)")
    }
}

/// Settings that a user may change; stored as `settings.toml` in the home.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// One entry per setting, in documented order.
    pub entries: Vec<Setting>,
}

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Key, for example `received_dir`.
    pub key: String,
    /// Value in use now.
    pub value: String,
    /// What it is for.
    pub help: String,
}

/// Change one setting; takes effect at once where it can (the reply says the value in use).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetSetting {
    /// Key, for example `received_dir`.
    pub key: String,
    /// New value; empty sets the default again.
    pub value: String,
}
