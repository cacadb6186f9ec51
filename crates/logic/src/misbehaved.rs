//! Offences: everything that a peer can do and an honest one never does.
//!
//! One fieldless variant per offence: the alphabet of the activity log and of what detects attacks. The name of a variant
//! is stored and documented (`docs/events.md`), so a released one is never renamed or removed.

use seal::pki::PkiFault;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Declares the enum with one line per offence: the sentence is docstring and error text ("the peer ...").
macro_rules! offences {
    ($($variant:ident: $text:literal,)*) => {
        /// What a peer did that no honest peer does. Reads as "the peer ...".
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Error)]
        #[serde(into = "String", try_from = "String")]
        #[non_exhaustive]
        pub enum Misbehaved {
            $(#[doc = concat!("The peer ", $text, ".")] #[error("the peer {}", $text)] $variant,)*
        }

        impl Misbehaved {
            /// Every offence, in alphabetical order.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its stable name, as the log stores it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($variant),)*
                }
            }
        }
    };
}

// Alphabetical, one line each.
offences! {
    AddressRecordInvalid: "sent an address record with an address that cannot be one",
    AddressRecordRolledBack: "answered with an older address record than the one we said we have",
    AddressRecordTooLong: "sent an address record with too many addresses",
    BadReceipt: "sent a receipt that does not prove what was sent",
    BeaconKeyUnauthorized: "sent a beacon key that no admin of the circle signed",
    BlockBeyondEnd: "sent a block behind the end of its file",
    BlockLengthWrong: "sent a block of the wrong length",
    BlockTwice: "sent a block twice",
    BlockedConnected: "is blocked and connected all the same",
    CertificateExpired: "showed a certificate that is past its end",
    CertificateForeign: "showed a certificate that does not lead to the root of this circle",
    CertificateInvalid: "showed a certificate that does not hold: damaged, forged, or made for something else",
    CertificateNotYetValid: "showed a certificate that is not valid yet",
    CertificateRevoked: "showed a certificate that is revoked",
    CertificateUnauthorized: "showed a certificate that its issuer may not make",
    ChainEmpty: "showed no certificate at all",
    ChainTooLong: "showed a chain of more certificates than a circle allows",
    CommitBodyWrong: "sent a commit whose body is not the one that was signed",
    CommitCapInvalid: "signed a commit under a grant that was not given to it, or not yet",
    CommitControlInvalid: "sent a control commit whose body cannot be one",
    CommitEpochInvalid: "signed a commit under a key epoch that is none of its realm",
    CommitFirstWrong: "began its chain with something else than its certificates, or showed them later",
    CommitForeign: "sent a commit of another ledger",
    CommitFrontierWrong: "signed a commit whose frontier leaves out what it had seen",
    CommitGarbled: "sent bytes as a commit that are none",
    CommitLamportWrong: "signed a commit whose logical time does not follow from what it had seen",
    CommitPreviousWrong: "signed a commit that does not continue its chain",
    CommitRealmUnknown: "signed a commit for a realm that it cannot have known",
    CommitSeenWrong: "signed a commit that names what it had seen out of order, twice, or wrongly",
    CommitSignatureInvalid: "sent a commit whose signature does not hold",
    CommitTooBig: "sent a commit above the size limit",
    ConfirmationSkipped: "asked for something before it proved that it knows the code",
    ConnectFlood: "started more connections than the limit allows",
    ContentBeforeWanted: "sent content that was not wanted yet",
    CrlForged: "sent a revocation list whose signature does not hold",
    CrlInvalid: "sent bytes as a revocation list that are none",
    CrlMissing: "showed a chain without the revocation list of one of its issuers",
    CrlRolledBack: "answered with an older revocation list than the one we said we have",
    CrlStale: "showed a revocation list that is past its time",
    CrlTooBig: "sent a revocation list above the size limit",
    CrlWrongIssuer: "sent a revocation list of somebody who may not issue certificates here",
    DeviceKeyMismatch: "asked for, or made, a certificate for another device key than the one it is connected with",
    DeviceUncertified: "entered a ledger with a chain that does not lead to the circle of the ledger",
    EntriesAfterEnd: "sent entries after the end of the listing",
    EntryWithoutParent: "listed an entry without its directory",
    FileHashWrong: "declared a hash that does not belong to the file",
    FrameGarbled: "sent a frame whose content is not a message",
    FrameOutOfTurn: "sent a message that does not belong to this step",
    FrameTooLong: "announced a frame above the size limit",
    FrameTooSlow: "began a frame and did not end it in time",
    FrameTrailingBytes: "sent a frame with bytes after the message",
    FrameTruncated: "ended the stream in the middle of a frame",
    GuestIdle: "stayed as a stranger without proving a code in time",
    GuestUnexpected: "connected as a stranger where none is expected",
    HandshakeInvalid: "failed the handshake of a connection",
    HandshakeTooSlow: "began a connection and did not prove itself in time",
    HeadStatementInvalid: "sent a statement of what it holds that cannot be one",
    HelloKeyMismatch: "proved another device key than the one of the connection",
    HelloProofInvalid: "sent a hello whose signature does not hold",
    HelloReflected: "sent our own identity back to us",
    HelloReplayed: "sent a hello that was made for another connection",
    InvitationBurned: "tried an invitation that a wrong guess had ended",
    InvitationExpired: "tried an invitation after its end",
    InvitationUnknown: "tried an invitation that does not exist here",
    InvitationUsed: "tried an invitation that was used already",
    InviterUnexpected: "welcomed us into another circle than the one of the invitation",
    JoinNameInvalid: "asked for a name that no member or device may have",
    JoinProofInvalid: "asked to join with a key that it did not prove to hold",
    LaneKeyMismatch: "used the token of a lane that was given to another device",
    LaneNotGranted: "opened a content lane that was not granted",
    LaneTokenUnknown: "opened a lane with a token that was never given or was used before",
    LinkTargetInvalid: "listed a symbolic link that cannot exist",
    ListingTooFarAhead: "listed entries further ahead than allowed",
    ListingTooLong: "listed more entries than a transfer may have",
    ListingTotalsWrong: "ended the listing with numbers that are not true",
    ListingUnsorted: "listed a name twice or out of order",
    MoreThanAccepted: "sent more than was accepted",
    NameAttemptsExceeded: "tried more names than a session allows",
    NameEmpty: "sent an empty name",
    NameTooLong: "sent a name that is too long",
    NameTraversal: "sent a name that leads out of its directory",
    NameWithNul: "sent a name with a NUL byte",
    NameWithSeparator: "sent a path where a name belongs",
    ObjectTooLong: "announced an object above the size limit",
    ObjectWrong: "sent other bytes than those of the object",
    ObjectsFlood: "offered contents over and over that are here already",
    ObjectsGarbled: "named objects in a message about them that cannot be one",
    OfferInvalid: "sent an offer that breaks the limits",
    PathTooDeep: "listed a path that is too deep or too long",
    PieceMalformed: "sent a content frame that cannot be read",
    ProgressUntrue: "confirmed what was never sent",
    RecordSignatureInvalid: "sent a record whose signature does not hold",
    RefetchFlood: "asked for the same content over and over",
    RosterOverflow: "sent more members or devices than a circle may have",
    RosterTooLong: "sent more entries in one batch than the limit allows",
    RosterUnanchored: "sent an entry without the certificate that it stands on",
    SealedMessageInvalid: "sent a message that does not open under the agreed key",
    SpaceDenied: "asked for a space in which it has no role",
    SpacesFlood: "told of more spaces than allowed, or of too many in which this device has no role",
    SyncTooLong: "asked for or sent more in one message of a ledger than the limit allows",
    TimeInvalid: "sent an impossible time",
    TransferForeign: "spoke about a transfer that belongs to somebody else",
    UnknownEntry: "spoke about a file that was never listed",
    VersionDowngraded: "chose an older version than both sides speak",
    VersionUnoffered: "chose a version that we did not offer",
    WelcomeInvalid: "welcomed us with certificates that do not hold or are not for us",
    WrongBlockHash: "sent content that does not match its hash",
    WrongCode: "guessed a code wrongly",
}

impl From<Misbehaved> for String {
    fn from(offence: Misbehaved) -> Self {
        offence.name().to_owned()
    }
}

impl From<PkiFault> for Misbehaved {
    /// What a chain that does not hold says about whoever showed it.
    fn from(fault: PkiFault) -> Self {
        match fault {
            PkiFault::Empty => Self::ChainEmpty,
            PkiFault::Expired => Self::CertificateExpired,
            PkiFault::NotYetValid => Self::CertificateNotYetValid,
            PkiFault::Revoked => Self::CertificateRevoked,
            PkiFault::NoCrl => Self::CrlMissing,
            PkiFault::StaleCrl | PkiFault::CrlNotYetValid => Self::CrlStale,
            PkiFault::WrongIssuer | PkiFault::WrongCircle | PkiFault::NotARoot => Self::CertificateForeign,
            PkiFault::PathTooLong => Self::ChainTooLong,
            PkiFault::IssuerNotAdmin | PkiFault::IssuerNotAuthority => Self::CertificateUnauthorized,
            PkiFault::BadSignature
            | PkiFault::NotADevice
            | PkiFault::NotAMember
            | PkiFault::OutsideNames
            | PkiFault::RefusedByStandard => Self::CertificateInvalid,
        }
    }
}

/// A stored name that is no offence of this version.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown offence {0}")]
pub struct UnknownOffence(String);

impl TryFrom<String> for Misbehaved {
    type Error = UnknownOffence;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::ALL.iter().copied().find(|offence| offence.name() == name).ok_or(UnknownOffence(name))
    }
}

#[cfg(test)]
mod tests {
    use super::Misbehaved;

    #[test]
    fn names_are_alphabetical_and_survive_storing() {
        let names: Vec<_> = Misbehaved::ALL.iter().map(|offence| offence.name()).collect();
        assert!(names.is_sorted(), "keep the list alphabetical");
        for offence in Misbehaved::ALL {
            let stored = postcard::to_stdvec(offence).expect("a name encodes");
            assert_eq!(postcard::from_bytes::<Misbehaved>(&stored), Ok(*offence));
        }
    }

    #[test]
    fn an_unknown_name_is_an_error() {
        let stored = postcard::to_stdvec("MadeUp").expect("a name encodes");
        assert!(postcard::from_bytes::<Misbehaved>(&stored).is_err());
    }
}
