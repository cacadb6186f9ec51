//! The thirty-two things that an adversary may do, and what must come of each. `docs/security-tests.md` has the same table
//! for people.

use super::alarm::{Alarm, Reason};
use super::people::people;
use crate::Misbehaved;
use crate::ledger::SpaceRole;

/// What somebody does. The numbers are those of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Deed {
    /// 1: flips a bit in the header of a commit that it passes on.
    FlipHeader = 1,
    /// 2: flips a bit in a body.
    FlipBody,
    /// 3: gives one commit where another was wanted.
    WrongCommit,
    /// 4: makes commits in somebody's name, and as somebody who never entered.
    Forge,
    /// 5: leaves out the last commits of somebody.
    DropTail,
    /// 6: goes back to an older disk, and goes on as if nothing were.
    OlderWorld,
    /// 7: shows newcomers an older world.
    OlderToNewcomer,
    /// 8: hides some devices from half of the others, and the other half from them.
    ShowFork,
    /// 9: leaves out one commit in the middle.
    WithholdOne,
    /// 10: leaves out what was decided.
    HideControl,
    /// 11: gives commits in another order, and twice.
    Reorder,
    /// 12: says again what was signed long ago.
    ReplayHead,
    /// 13: signs two commits with one number, one for each half of the others.
    Equivocate,
    /// 14: writes on after it was revoked.
    WriteAfterRevoke,
    /// 15: writes as if it had not heard of its revocation, or over an earlier number.
    Backdate,
    /// 16: makes itself an owner, and revokes others, as an editor.
    GrantSelf,
    /// 17: writes as a reader, or as storage.
    ReaderWrites,
    /// 18: revokes another owner, who does the same.
    Duel,
    /// 19: makes new owners while it is being removed.
    Sybils,
    /// 20: writes under an old key, and makes keys that leave somebody out.
    OldKey,
    /// 21: seals different keys to different devices.
    TwoKeys,
    /// 22: signs the body of another commit.
    SwapBodies,
    /// 23: cuts, exchanges or doubles chunks of contents.
    CutChunks,
    /// 24: numbers and times from nowhere.
    HugeNumbers,
    /// 25: lists and lengths above all limits.
    Bombs,
    /// 26: tries bodies until the id of the commit is the smallest.
    Grind,
    /// 27: a checkpoint that is not true.
    FalseCheckpoint,
    /// 28: deletes contents too early.
    EarlyCollection,
    /// 29: a backup is put back, and the device goes on.
    Backup,
    /// 30: a commit for another ledger, or about a realm or key that is not there.
    OtherSpace,
    /// 31: names that a disk cannot hold.
    BadNames,
    /// 32: an invitation that was used.
    OldInvitation,
}

/// What must come of a deed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Must {
    /// Somebody notices.
    BeNoticed,
    /// It changes nothing, so there is nothing to notice.
    DoNothing,
    /// It is tested where it is decided.
    BeTested(&'static str),
}

impl Deed {
    pub(super) const ALL: [Self; 32] = [
        Self::FlipHeader,
        Self::FlipBody,
        Self::WrongCommit,
        Self::Forge,
        Self::DropTail,
        Self::OlderWorld,
        Self::OlderToNewcomer,
        Self::ShowFork,
        Self::WithholdOne,
        Self::HideControl,
        Self::Reorder,
        Self::ReplayHead,
        Self::Equivocate,
        Self::WriteAfterRevoke,
        Self::Backdate,
        Self::GrantSelf,
        Self::ReaderWrites,
        Self::Duel,
        Self::Sybils,
        Self::OldKey,
        Self::TwoKeys,
        Self::SwapBodies,
        Self::CutChunks,
        Self::HugeNumbers,
        Self::Bombs,
        Self::Grind,
        Self::FalseCheckpoint,
        Self::EarlyCollection,
        Self::Backup,
        Self::OtherSpace,
        Self::BadNames,
        Self::OldInvitation,
    ];

    pub(super) fn must(self) -> Must {
        match self {
            Self::CutChunks => Must::BeTested("seal::chunk::tests, store::objects::tests"),
            Self::FalseCheckpoint => Must::BeTested("there are no checkpoints yet"),
            Self::EarlyCollection => Must::BeTested("node::spaces::between::tests::objects"),
            Self::OldInvitation => Must::BeTested("logic::pair, node's tests of the pairing desk"),
            Self::Reorder | Self::ReplayHead | Self::Duel | Self::Grind | Self::Sybils => Must::DoNothing,
            _ => Must::BeNoticed,
        }
    }

    pub(super) fn is_here(self) -> bool {
        !matches!(self.must(), Must::BeTested(_))
    }

    /// The role that whoever does it has at the beginning.
    pub(super) fn role(self) -> SpaceRole {
        match self {
            Self::Equivocate
            | Self::WriteAfterRevoke
            | Self::Backdate
            | Self::GrantSelf
            | Self::SwapBodies
            | Self::HugeNumbers
            | Self::Grind
            | Self::OtherSpace
            | Self::BadNames
            | Self::Backup
            | Self::OlderWorld => SpaceRole::Editor,
            Self::Duel | Self::Sybils | Self::OldKey | Self::TwoKeys => SpaceRole::Owner,
            Self::ReaderWrites => SpaceRole::Reader,
            _ => SpaceRole::Storage,
        }
    }

    /// True if this is how `evil` is noticed that did it.
    pub(super) fn is_noticed_by(self, alarm: &Alarm, evil: usize) -> bool {
        let by = |device: &seal::DeviceId| *device == people().id(evil);
        match (self, alarm) {
            (Self::FlipHeader, Alarm::Offence(from, offence)) => {
                *from == evil && matches!(offence, Misbehaved::CommitSignatureInvalid | Misbehaved::CommitGarbled)
            }
            (Self::FlipBody, Alarm::Offence(from, offence)) => *from == evil && *offence == Misbehaved::CommitBodyWrong,
            (Self::Forge, Alarm::Offence(from, offence)) => {
                *from == evil && matches!(offence, Misbehaved::CommitSignatureInvalid | Misbehaved::DeviceUncertified)
            }
            (Self::WrongCommit | Self::WithholdOne | Self::HideControl, Alarm::NotGiven(from)) => *from == evil,
            (Self::DropTail | Self::ShowFork | Self::OlderToNewcomer, Alarm::Withheld(from)) => *from == evil,
            (Self::OlderWorld, Alarm::Withheld(from)) => *from == evil,
            (Self::OlderWorld, Alarm::Rollback(device) | Alarm::Fork(device)) => by(device),
            (Self::Equivocate, Alarm::Fork(device)) => by(device),
            (Self::WriteAfterRevoke, Alarm::Void(device, Reason::Revoked | Reason::Cap)) => by(device),
            (Self::Backdate, Alarm::Void(device, Reason::Revoked | Reason::Cap) | Alarm::Fork(device)) => by(device),
            (Self::GrantSelf, Alarm::Void(device, Reason::Role)) => by(device),
            (Self::ReaderWrites, Alarm::Void(device, Reason::Role)) => by(device),
            (Self::OldKey, Alarm::KeyMissing) => true,
            (Self::TwoKeys, Alarm::WrongKey(device)) => by(device),
            (Self::SwapBodies, Alarm::Unreadable(device)) => by(device),
            (Self::HugeNumbers, Alarm::ClockAhead(device)) => by(device),
            (Self::HugeNumbers, Alarm::Offence(from, offence)) => {
                *from == evil && *offence == Misbehaved::CommitLamportWrong
            }
            (Self::Bombs, Alarm::Offence(from, offence)) => {
                let limits = [Misbehaved::CommitTooBig, Misbehaved::SyncTooLong, Misbehaved::CommitGarbled];
                *from == evil && limits.contains(offence)
            }
            (Self::Backup, Alarm::OlderDisk) => true,
            (Self::OtherSpace, Alarm::Offence(from, offence)) => {
                let foreign =
                    [Misbehaved::CommitForeign, Misbehaved::CommitRealmUnknown, Misbehaved::CommitEpochInvalid];
                *from == evil && foreign.contains(offence)
            }
            (Self::BadNames, Alarm::Refused(device)) => by(device),
            _ => false,
        }
    }
}

#[test]
fn every_row_of_the_table_has_its_number() {
    for (number, deed) in (1..).zip(Deed::ALL) {
        assert_eq!(deed as u8, number);
    }
}
