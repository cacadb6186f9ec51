//! Invitations, members and their devices, certificates.

use serde::{Deserialize, Serialize};

/// Make an invitation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invite {
    /// Role of whoever joins: `admin`, `editor`, `reader` or `storage`.
    pub role: String,
    /// Seconds until it expires.
    pub expires_s: u64,
    /// How many may join with it.
    pub uses: u32,
}

/// A fresh invitation, with its secrets: shown once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// Id for `warren invite --revoke`.
    pub id: String,
    /// Four words to speak.
    pub code: String,
    /// The same invitation as a link (`warren:join/...`), with addresses and a long secret.
    pub link: String,
    /// Role of whoever joins.
    pub role: String,
    /// When it expires, Unix milliseconds.
    pub expires_at: i64,
    /// How many may join with it.
    pub uses: u32,
}

/// An invitation as it is listed, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvitationInfo {
    /// Id for `warren invite --revoke`.
    pub id: String,
    /// Role of whoever joins.
    pub role: String,
    /// `open`, `used`, `expired`, `revoked` or `burned` (a wrong guess ended it).
    pub state: String,
    /// When it was made, Unix milliseconds.
    pub created_at: i64,
    /// When it expires, Unix milliseconds.
    pub expires_at: i64,
    /// How many may still join with it.
    pub uses_left: u32,
    /// Names of those who joined with it.
    pub joined: Vec<String>,
}

/// Names one thing by its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ById {
    /// The id, or an unambiguous beginning of it.
    pub id: String,
}

/// Join a circle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// Code (four words) or link.
    pub invitation: String,
    /// Wanted member name.
    pub name: String,
    /// Name of this device.
    pub device: String,
    /// Where the inviter is (`IP:PORT`), where discovery cannot find it.
    pub at: Vec<String>,
}

/// What joining brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// Name of the circle.
    pub circle: String,
    /// Circle id.
    pub circle_id: String,
    /// Member name that was given.
    pub name: String,
    /// Role that was given.
    pub role: String,
    /// Who invited.
    pub inviter: String,
    /// Words that both sides see; equal words mean that nobody sits between.
    pub safety_words: String,
}

/// A device of another member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Name to use in commands: the pet name if there is one, else the member name.
    pub name: String,
    /// Member name in the circle.
    pub member: String,
    /// Device name.
    pub device: String,
    /// Device id, base32.
    pub device_id: String,
    /// Role in the circle.
    pub role: String,
    /// `online`, `away`, `blocked` or `removed`.
    pub state: String,
    /// Path in use: `direct` or `relay`; absent while away.
    pub path: Option<String>,
    /// Lane that bulk data took last over this link: `tcp` or `quic`; absent while away, and before there was any.
    pub bulk: Option<String>,
    /// Address in use, or the last known one.
    pub address: Option<String>,
    /// Round trip in microseconds; absent while away.
    pub rtt_us: Option<u64>,
    /// When it was last seen, Unix milliseconds.
    pub last_seen: Option<i64>,
    /// True once somebody compared the safety words.
    pub verified: bool,
    /// Safety words to compare with the other side.
    pub safety_words: String,
    /// Key agreement in use, for example `X25519MLKEM768`; absent while away.
    pub key_agreement: Option<String>,
    /// Offers from it are accepted without asking up to so many bytes; absent means ask.
    pub auto_accept: Option<u64>,
    /// When its certificate ends, Unix milliseconds.
    pub certificate_ends_at: i64,
}

/// Ask for peers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PeerQuery {
    /// Also those that were removed from the circle.
    pub removed: bool,
}

/// Names a member or device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByName {
    /// Pet name, member name, `member/device`, or the beginning of a device id.
    pub name: String,
}

/// Connect to an address by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddPeer {
    /// `IP:PORT`.
    pub address: String,
}

/// Mark a member as verified, or take that back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verify {
    /// Who.
    pub name: String,
    /// True: the safety words were compared and are the same.
    pub verified: bool,
}

/// Give a member a pet name (empty takes it away).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rename {
    /// Who.
    pub name: String,
    /// The pet name.
    pub pet_name: String,
}

/// What to do with offers of a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptRule {
    /// Who.
    pub name: String,
    /// Accept offers up to so many bytes without asking; absent: ask.
    pub auto_accept: Option<u64>,
}

/// Remove a member from the circle: revokes its certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remove {
    /// A member (all its devices) or one device (`member/device`).
    pub name: String,
    /// Why, for the log.
    pub reason: String,
}

/// Ask for certificates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertQuery {
    /// Whose: a name as in [`ByName`]; absent: this device's.
    pub name: Option<String>,
}

/// A chain of certificates with the revocation lists that go with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertChain {
    /// Device first, then its issuers, the root last.
    pub certificates: Vec<CertInfo>,
    /// Revocation lists of the issuers in the chain.
    pub crls: Vec<CrlInfo>,
    /// `valid`, or what is wrong with it now.
    pub verdict: String,
}

/// One X.509 certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertInfo {
    /// `device`, `member` or `root`.
    pub kind: String,
    /// Subject as `CN=..., OU=..., O=...`.
    pub subject: String,
    /// Issuer.
    pub issuer: String,
    /// Serial number, hex.
    pub serial: String,
    /// Begin of validity, Unix milliseconds.
    pub not_before: i64,
    /// End of validity, Unix milliseconds.
    pub not_after: i64,
    /// BLAKE3 of the DER form, hex.
    pub fingerprint: String,
    /// PEM form.
    pub pem: String,
}

/// One X.509 revocation list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrlInfo {
    /// Issuer.
    pub issuer: String,
    /// CRL number.
    pub number: u64,
    /// When it was made, Unix milliseconds.
    pub this_update: i64,
    /// When the next one is due, Unix milliseconds.
    pub next_update: i64,
    /// Serial numbers, hex.
    pub revoked: Vec<String>,
    /// PEM form.
    pub pem: String,
}

/// Check a chain that somebody handed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertVerify {
    /// PEM text: a device certificate and its issuers, any order.
    pub pem: String,
}
