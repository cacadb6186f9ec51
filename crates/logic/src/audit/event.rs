//! The list of events.

use seal::{DeviceId, Timestamp};
use serde::{Deserialize, Serialize};

use super::detail::{Detail, Details, Outcome, Who};
use crate::Misbehaved;
use crate::wire::TransferId;

/// What is fixed about one kind of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventKind {
    /// `noun.verb`.
    pub name: &'static str,
    /// How such an operation ended.
    pub outcome: Outcome,
    /// Its fields; `who` stands for `device`, `host` and `port` of the other side.
    pub fields: &'static [&'static str],
}

/// Declares the events: docstring, name, outcome, variant and fields, each once.
macro_rules! events {
    ($($(#[doc = $doc:literal])* $name:literal $outcome:ident $variant:ident { $($(#[doc = $field_doc:literal])* $field:ident: $type:ty),* $(,)? })*) => {
        /// One thing that happened on this device.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum Event {
            $($(#[doc = $doc])* $variant { $($(#[doc = $field_doc])* $field: $type),* },)*
        }

        impl Event {
            /// Every kind of event, in the order in which they were introduced.
            pub const KINDS: &[EventKind] = &[
                $(EventKind { name: $name, outcome: Outcome::$outcome, fields: &[$(stringify!($field)),*] },)*
            ];

            /// Its name, `noun.verb`.
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$variant { .. } => $name,)* }
            }

            /// How it ended.
            pub const fn outcome(&self) -> Outcome {
                match self { $(Self::$variant { .. } => Outcome::$outcome,)* }
            }

            /// The other side, if there is one: member name, else address, else device id.
            pub fn peer(&self) -> Option<String> {
                let fields: Vec<&dyn Detail> = match self { $(Self::$variant { $($field),* } => vec![$($field),*],)* };
                fields.into_iter().find_map(|field| field.who()).map(Who::to_string)
            }

            /// The other fields, by name.
            pub fn details(&self) -> Vec<(&'static str, String)> {
                let mut details = Details::new();
                match self { $(Self::$variant { $($field),* } => { $($field.add(stringify!($field), &mut details);)* })* }
                details
            }
        }
    };
}

// New events go to the end: the position is stored. Fields are never changed; a new field is a new event.
events! {
    /// The device was started; one that starts locked says so at its first unlock.
    "device.started" Ok DeviceStarted {
        /// Version of the program.
        version: String,
        /// Port for QUIC and TLS.
        port: u16,
    }
    /// The device was stopped on purpose.
    "device.stopped" Ok DeviceStopped {}
    /// The keystore was locked.
    "device.locked" Ok DeviceLocked {}
    /// The keystore was unlocked.
    "device.unlocked" Ok DeviceUnlocked {}
    /// A wrong passphrase.
    "login.failed" Refused LoginFailed {
        /// Wrong passphrases in a row.
        failures: u32,
        /// Seconds until the next try is allowed.
        wait_s: u64,
    }
    /// The passphrase was changed.
    "passphrase.changed" Ok PassphraseChanged {}
    /// A setting was changed.
    "setting.changed" Ok SettingChanged {
        /// Which.
        key: String,
        /// Its value now.
        value: String,
    }
    /// This device founded a circle.
    "circle.founded" Ok CircleFounded {
        /// Name of the circle.
        circle: String,
    }
    /// This device joined a circle.
    "circle.joined" Ok CircleJoined {
        /// The inviter.
        who: Who,
        /// Name of the circle.
        circle: String,
        /// Name that this member was given.
        name: String,
    }
    /// Joining a circle did not work.
    "circle.join_failed" Failed CircleJoinFailed {
        /// The inviter, as far as it was reached.
        who: Option<Who>,
        /// What was wrong.
        reason: String,
    }
    /// A link to a member's device came up.
    "peer.connected" Ok PeerConnected {
        /// Whose device.
        who: Who,
        /// `direct` or `relay`.
        path: String,
        /// True: this device dialled.
        dialled: bool,
    }
    /// A link to a member's device ended.
    "peer.disconnected" Ok PeerDisconnected {
        /// Whose device.
        who: Who,
        /// `direct` or `relay`.
        path: String,
        /// Why.
        reason: String,
    }
    /// Somebody was turned away: blocked, too many, unwelcome now.
    "peer.refused" Refused PeerRefused {
        /// Who.
        who: Who,
        /// Why.
        reason: String,
    }
    /// A peer broke a rule; what it wanted was not done.
    "peer.misbehaved" Refused PeerMisbehaved {
        /// Who.
        who: Who,
        /// The offence.
        offence: Misbehaved,
    }
    /// The owner blocked a member.
    "peer.blocked" Ok PeerBlocked {
        /// Whom.
        who: Who,
    }
    /// The owner lifted a block.
    "peer.unblocked" Ok PeerUnblocked {
        /// Whom.
        who: Who,
    }
    /// The owner compared the safety words, or took that back.
    "peer.verified" Ok PeerVerified {
        /// Whose.
        who: Who,
        /// True: compared and equal.
        verified: bool,
    }
    /// The owner gave a member a pet name.
    "peer.renamed" Ok PeerRenamed {
        /// Whom.
        who: Who,
        /// The pet name; empty: taken away.
        pet_name: String,
    }
    /// The owner set what happens with offers of a member.
    "peer.rule_set" Ok PeerRuleSet {
        /// Whose offers.
        who: Who,
        /// Accepted without asking up to so many bytes; absent: ask.
        auto_accept: Option<u64>,
    }
    /// An invitation was made.
    "invitation.made" Ok InvitationMade {
        /// Its id.
        invitation: String,
        /// Role of whoever joins.
        role: String,
        /// When it ends.
        expires_at: Timestamp,
        /// How many may join.
        uses: u32,
    }
    /// A wrong guess ended an invitation or a one-time code.
    "invitation.burned" Refused InvitationBurned {
        /// Its id.
        invitation: String,
        /// Who guessed.
        who: Who,
    }
    /// The owner took an invitation back.
    "invitation.revoked" Ok InvitationRevoked {
        /// Its id.
        invitation: String,
    }
    /// Somebody joined by an invitation of this device.
    "member.joined" Ok MemberJoined {
        /// Who.
        who: Who,
        /// Role in the circle.
        role: String,
        /// The invitation.
        invitation: String,
    }
    /// This device learned of a member.
    "member.learned" Ok MemberLearned {
        /// Who.
        who: Who,
        /// Role in the circle.
        role: String,
    }
    /// A member was removed from the circle.
    "member.removed" Ok MemberRemoved {
        /// Who.
        who: Who,
        /// Why; absent where somebody else removed it.
        reason: Option<String>,
    }
    /// A device of a member was removed from the circle.
    "member.device_removed" Ok DeviceRemoved {
        /// Whose device.
        who: Who,
        /// Name of the device.
        name: String,
        /// Why; absent where somebody else removed it.
        reason: Option<String>,
    }
    /// Two members have the same name; one of them is shown under another one.
    "member.name_conflict" Ok NameConflict {
        /// Who is shown under another name.
        who: Who,
        /// The name that both have.
        wanted: String,
        /// The name that is shown.
        shown: String,
    }
    /// A certificate of this member was renewed.
    "certificate.renewed" Ok CertificateRenewed {
        /// `member` or `device`.
        kind: String,
        /// When the new one ends.
        ends_at: Timestamp,
    }
    /// A certificate of this member ends soon and could not be renewed yet.
    "certificate.ending" Failed CertificateEnding {
        /// `member` or `device`.
        kind: String,
        /// When it ends.
        ends_at: Timestamp,
    }
    /// This device offered files.
    "offer.sent" Ok OfferSent {
        /// To whom.
        who: Who,
        /// The transfer.
        transfer: TransferId,
        /// Top-level names.
        names: String,
    }
    /// Somebody offered files.
    "offer.received" Ok OfferReceived {
        /// Who.
        who: Who,
        /// The transfer.
        transfer: TransferId,
        /// Top-level names.
        names: String,
        /// Bytes that were announced.
        bytes: u64,
    }
    /// An offer was accepted here or there.
    "offer.accepted" Ok OfferAccepted {
        /// Whose.
        who: Who,
        /// The transfer.
        transfer: TransferId,
        /// `person` or `rule` of this device, or `peer`.
        by: String,
    }
    /// An offer was rejected here or there.
    "offer.rejected" Refused OfferRejected {
        /// The other side.
        who: Who,
        /// The transfer.
        transfer: TransferId,
        /// Why.
        reason: String,
    }
    /// A transfer was paused.
    "transfer.paused" Ok TransferPaused {
        /// The other side.
        who: Who,
        /// Which.
        transfer: TransferId,
    }
    /// A transfer goes on after a pause or a cut.
    "transfer.resumed" Ok TransferResumed {
        /// The other side.
        who: Who,
        /// Which.
        transfer: TransferId,
    }
    /// A transfer stopped before its end; it goes on by itself when it can.
    "transfer.interrupted" Failed TransferInterrupted {
        /// The other side.
        who: Who,
        /// Which.
        transfer: TransferId,
        /// Why.
        reason: String,
    }
    /// A transfer is done, verified and durable.
    "transfer.done" Ok TransferDone {
        /// The other side.
        who: Who,
        /// Which.
        transfer: TransferId,
        /// `sent` or `received`.
        direction: String,
        /// Files.
        files: u64,
        /// Bytes.
        bytes: u64,
        /// Milliseconds from the acceptance.
        took_ms: u64,
    }
    /// A transfer was cancelled here or there.
    "transfer.cancelled" Refused TransferCancelled {
        /// The other side.
        who: Who,
        /// Which.
        transfer: TransferId,
        /// `here` or `there`.
        by: String,
    }
    /// A transfer ended without its aim.
    "transfer.failed" Failed TransferFailed {
        /// The other side.
        who: Who,
        /// Which.
        transfer: TransferId,
        /// What went wrong.
        reason: String,
    }
    /// One file of a transfer could not be sent or stored; the others go on.
    "transfer.file_failed" Failed TransferFileFailed {
        /// The other side.
        who: Who,
        /// Which transfer.
        transfer: TransferId,
        /// Path of the file in it.
        path: String,
        /// What went wrong.
        reason: String,
    }
    /// A one-time code was made.
    "code.made" Ok CodeMade {
        /// The transfer that it is for.
        transfer: TransferId,
        /// When it ends.
        expires_at: Timestamp,
    }
    /// A stranger proved a one-time code.
    "code.used" Ok CodeUsed {
        /// Who.
        who: Who,
        /// The transfer that it is for.
        transfer: TransferId,
    }
    /// A file was sealed.
    "file.encrypted" Ok FileEncrypted {
        /// Path.
        path: String,
        /// Members that may open it; absent: whoever has the passphrase.
        to: Option<String>,
    }
    /// A sealed file was opened.
    "file.decrypted" Ok FileDecrypted {
        /// Path.
        path: String,
    }
    /// Something went wrong in this device itself.
    "error.raised" Failed ErrorRaised {
        /// Part of the program.
        area: String,
        /// What happened.
        message: String,
    }
    /// A member's device showed a link to another address or path.
    "peer.moved" Ok PeerMoved {
        /// Whose device, at the new address.
        who: Who,
        /// `direct` or `relay`.
        path: String,
    }
    /// The circle's beacon key was changed.
    "beacon.rotated" Ok BeaconRotated {
        /// Its generation.
        generation: u64,
    }
    /// Dialling a device did not work.
    "peer.unreachable" Failed PeerUnreachable {
        /// Whose device.
        who: Who,
        /// Why.
        reason: String,
    }
    /// A device of this or another member got its own certificate.
    "member.device_learned" Ok DeviceLearned {
        /// Whose device.
        who: Who,
        /// The device.
        device_id: DeviceId,
        /// Name of the device.
        name: String,
    }
    /// A file changed while it was being sent; it is sent again.
    "transfer.file_changed" Ok TransferFileChanged {
        /// The other side.
        who: Who,
        /// Which transfer.
        transfer: TransferId,
        /// Path of the file in it.
        path: String,
    }
    /// Two copies of a member's device are at work, from one home that was copied. One of them is kept out.
    "peer.doubled" Failed PeerDoubled {
        /// Whose device.
        who: Who,
    }
    /// A stored record cannot be read; it is left where it is, without effect.
    "record.damaged" Failed RecordDamaged {
        /// Table that it belongs to.
        table: String,
        /// Its place in the table, or its id where that is known.
        record: String,
    }
    /// A peer did the same over and over: so many more times than are written one by one.
    "peer.repeated" Refused PeerRepeated {
        /// Who; absent where many strangers did it.
        who: Who,
        /// Name of the event.
        event: String,
        /// The offence, where it is one.
        offence: Option<Misbehaved>,
        /// How often.
        count: u64,
        /// The first one that was counted, Unix milliseconds.
        first_at: Timestamp,
        /// The last one.
        last_at: Timestamp,
    }
    /// A space was shared with this device's member.
    "space.learned" Ok SpaceLearned {
        /// Who told of it.
        who: Who,
        /// The space.
        space: String,
        /// The role in it; `partial`: on parts of it.
        role: String,
    }
    /// A space that somebody told of was not kept.
    "space.turned_away" Refused SpaceTurnedAway {
        /// Who told of it.
        who: Who,
        /// The space.
        space: String,
        /// Why.
        reason: String,
    }
    /// This device entered a space.
    "space.entered" Ok SpaceEntered {
        /// Which.
        space: String,
    }
    /// A device signed two changes with one number.
    "space.forked" Refused SpaceForked {
        /// Whose.
        who: Who,
        /// The space.
        space: String,
        /// The number.
        number: u64,
    }
    /// A device signed that it holds less than it had signed before.
    "space.rollback" Refused SpaceRollback {
        /// Whose.
        who: Who,
        /// The space.
        space: String,
    }
    /// What is kept of a space here may be older than what this device signed: nothing is signed until others were asked.
    "space.older" Failed SpaceOlder {
        /// The space.
        space: String,
    }
    /// The owner of this device said that what is kept of a space here is the newest.
    "space.trusted" Ok SpaceTrusted {
        /// The space.
        space: String,
    }
    /// A device shows less than it signed that it holds, or told of changes and does not give them.
    "space.withheld" Refused SpaceWithheld {
        /// Whose.
        who: Who,
        /// The space.
        space: String,
    }
    /// A device without a role was given nothing of a space, or no more.
    "space.refused" Refused SpaceRefused {
        /// Whose.
        who: Who,
        /// The space.
        space: String,
    }
    /// Contents on this disk were damaged; they are fetched again.
    "space.damaged" Failed SpaceDamaged {
        /// The space.
        space: String,
        /// The object.
        object: String,
    }
    /// There is no room for contents of a space: fetching or storing them pauses.
    "space.storage_full" Failed SpaceStorageFull {
        /// The space.
        space: String,
        /// The disk or the quota.
        reason: String,
    }
    /// A device that stores a space without reading it has no room: it is offered nothing until it has.
    "space.device_full" Failed SpaceDeviceFull {
        /// Whose.
        who: Who,
        /// The space.
        space: String,
    }
    /// What this device may keep of a space that it cannot read was limited.
    "space.limited" Ok SpaceLimited {
        /// The space.
        space: String,
        /// The most bytes, or `none`.
        limit: String,
    }
    /// This device let go of contents that it needs no more.
    "space.tidied" Ok SpaceTidied {
        /// The space.
        space: String,
        /// Objects.
        objects: u64,
        /// Their bytes.
        bytes: u64,
    }
    /// What is stored for spaces was checked, mended or made anew.
    "store.cared" Ok StoreCared {
        /// `check`, `repair` or `rebuild`.
        action: String,
        /// Kinds of damage that are left.
        damaged: u64,
        /// Kinds of damage that were mended.
        mended: u64,
    }
    /// What this device keeps of a space's past was changed.
    "space.history" Ok SpaceHistory {
        /// The space.
        space: String,
        /// `all`, so many `d` or `v`.
        history: String,
    }
    /// This device made a space.
    "space.created" Ok SpaceCreated {
        /// The space.
        space: String,
    }
    /// This device gave a space another name.
    "space.renamed" Ok SpaceRenamed {
        /// The space.
        space: String,
    }
    /// This device gave a member a role.
    "space.shared" Ok SpaceShared {
        /// Whom.
        who: Who,
        /// The space.
        space: String,
        /// Which role.
        role: String,
        /// `space`, or `part`: on a directory of it.
        on: String,
    }
    /// This device took a member's role away.
    "space.unshared" Ok SpaceUnshared {
        /// Whose.
        who: Who,
        /// The space.
        space: String,
        /// `space`, or `part`: on a directory of it.
        on: String,
    }
    /// What this device keeps of a space was changed.
    "space.kept" Ok SpaceKept {
        /// The space.
        space: String,
        /// `everything` or `on_demand`.
        keep: String,
    }
    /// This device keeps a space no more.
    "space.forgotten" Ok SpaceForgotten {
        /// The space.
        space: String,
    }
    /// This device changed the tree of a space.
    "space.written" Ok SpaceWritten {
        /// The space.
        space: String,
        /// `make`, `move`, `copy`, `delete`, `restore`, `undo` or `resolve`.
        change: String,
        /// How many things it is about.
        count: u64,
    }
    /// A space was checked.
    "space.verified" Ok SpaceVerified {
        /// The space.
        space: String,
        /// Nothing is wrong.
        ok: bool,
        /// Kinds of damage.
        damaged: u64,
        /// Cheats that are known.
        cheats: u64,
    }
    /// Evidence was written into a file for others.
    "space.evidence_exported" Ok SpaceEvidenceExported {
        /// The space.
        space: String,
        /// How many cheats it proves.
        count: u64,
    }
    /// Something that was asked of a space here was not allowed.
    "space.not_allowed" Refused SpaceNotAllowed {
        /// The space, as it was named.
        space: String,
        /// The call of the API.
        call: String,
        /// Why not.
        reason: String,
    }
    /// A device was said to be lost: it was revoked wherever this device may do so.
    "device.lost" Ok DeviceLost {
        /// Whose device.
        who: Who,
        /// Spaces that it was revoked in.
        spaces: u64,
    }
}
