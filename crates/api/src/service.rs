//! The one service trait that every front end speaks, in process or through the socket.

use std::io;
use std::pin::Pin;

use async_trait::async_trait;
use futures_util::Stream;
use hyper::body::Bytes;
use serde::{Deserialize, Serialize};

use crate::types::*;
use crate::{ApiError, ApiResult, ErrorCode};

/// Events as they happen.
pub type EventStream = Pin<Box<dyn Stream<Item = Event> + std::marker::Send>>;

/// Content of any length, in order. An error in it says that it is not complete.
pub type ContentStream = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + std::marker::Send>>;

/// A device, wherever it runs. Implemented by the device itself, by the socket client and by test doubles.
#[async_trait]
pub trait Service: std::marker::Send + Sync {
    /// Does one request.
    async fn call(&self, request: Request) -> ApiResult<Reply>;

    /// Events from now on.
    async fn events(&self) -> ApiResult<EventStream>;

    /// Takes in content that is no file, for a `send` or `code_send` that follows soon. Nothing is kept of content that
    /// is not complete.
    async fn spool(&self, content: ContentStream) -> ApiResult<Spooled>;

    /// The content of a file in a space, in order.
    async fn read(&self, request: TreeRead) -> ApiResult<ContentStream>;
}

/// Declares every call once: its name on the wire, its request and its reply. Makes the request and reply enums and the
/// typed methods.
macro_rules! calls {
    ($( $(#[doc = $doc:literal])+ $name:ident / $variant:ident ( $request:ty ) -> $reply:ty; )+) => {
        /// A request: one variant per call.
        #[derive(Debug, Clone, Serialize, Deserialize)]
        #[serde(tag = "call", content = "with", rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum Request { $( $(#[doc = $doc])+ $variant($request), )+ }

        /// A reply: one variant per call.
        #[derive(Debug, Clone, Serialize, Deserialize)]
        #[serde(tag = "call", content = "with", rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum Reply { $( $(#[doc = $doc])+ $variant($reply), )+ }

        impl Request {
            /// Name of the call, also the last part of its path: `POST /v1/NAME`.
            pub fn name(&self) -> &'static str {
                match self { $( Self::$variant(_) => stringify!($name), )+ }
            }

            /// The request's fields as JSON.
            pub fn body(&self) -> serde_json::Result<Vec<u8>> {
                match self { $( Self::$variant(with) => serde_json::to_vec(with), )+ }
            }

            /// Reads a request of the given name; `None` for an unknown name.
            pub fn read(name: &str, body: &[u8]) -> Option<serde_json::Result<Self>> {
                let body = if body.is_empty() { b"{}".as_slice() } else { body };
                match name {
                    $( stringify!($name) => Some(serde_json::from_slice(body).map(Self::$variant)), )+
                    _ => None,
                }
            }
        }

        impl Reply {
            /// The reply's fields as JSON.
            pub fn body(&self) -> serde_json::Result<Vec<u8>> {
                match self { $( Self::$variant(with) => serde_json::to_vec(with), )+ }
            }

            /// Reads the reply to the call of the given name; `None` for an unknown name.
            pub fn read(name: &str, body: &[u8]) -> Option<serde_json::Result<Self>> {
                match name {
                    $( stringify!($name) => Some(serde_json::from_slice(body).map(Self::$variant)), )+
                    _ => None,
                }
            }
        }

        /// Names of all calls.
        pub const CALLS: &[&str] = &[ $( stringify!($name), )+ ];

        impl dyn Service + '_ {
            $(
                $(#[doc = $doc])+
                pub async fn $name(&self, request: $request) -> ApiResult<$reply> {
                    match self.call(Request::$variant(request)).await? {
                        Reply::$variant(reply) => Ok(reply),
                        _ => Err(ApiError::new(ErrorCode::Internal, concat!("the device gave another reply than one to ", stringify!($name)))),
                    }
                }
            )+
        }
    };
}

calls! {
    /// What the device says of itself; works while locked.
    status / Status(Nothing) -> Status;
    /// Drops all keys and connections until `unlock`.
    lock / Lock(Nothing) -> Nothing;
    /// Opens the keystore; works while locked.
    unlock / Unlock(Unlock) -> Nothing;
    /// Changes the passphrase of the keystore.
    change_passphrase / ChangePassphrase(ChangePassphrase) -> Nothing;
    /// Stops the device in good order; works while locked.
    shutdown / Shutdown(Nothing) -> Nothing;
    /// Lists the settings.
    settings / Settings(Nothing) -> Settings;
    /// Changes one setting.
    set_setting / SetSetting(SetSetting) -> Settings;

    /// Makes an invitation (admins).
    invite / Invite(Invite) -> Invitation;
    /// Lists invitations.
    invitations / Invitations(Nothing) -> Vec<InvitationInfo>;
    /// Ends an invitation.
    revoke_invitation / RevokeInvitation(ById) -> InvitationInfo;
    /// Joins a circle with a device that has none.
    join / Join(Join) -> Joined;

    /// Lists the devices of the circle except this one.
    peers / Peers(PeerQuery) -> Vec<Peer>;
    /// Everything about the device that a name means.
    peer / Peer(ByName) -> Peer;
    /// Connects to an address by hand.
    add_peer / AddPeer(AddPeer) -> Peer;
    /// Marks a member as verified after the safety words were compared.
    verify_peer / VerifyPeer(Verify) -> Peer;
    /// Refuses everything from a member, on this device.
    block_peer / BlockPeer(ByName) -> Peer;
    /// Ends a block.
    unblock_peer / UnblockPeer(ByName) -> Peer;
    /// Removes a member or device from the circle (admins; own devices: their member).
    remove_peer / RemovePeer(Remove) -> Nothing;
    /// Gives a member a pet name.
    rename_peer / RenamePeer(Rename) -> Peer;
    /// Sets what happens to offers of a member.
    accept_rule / AcceptRule(AcceptRule) -> Peer;

    /// Shows certificates.
    certificates / Certificates(CertQuery) -> CertChain;
    /// Checks a chain against this device's circle, now.
    verify_certificate / VerifyCertificate(CertVerify) -> CertChain;

    /// Sends files, folders, a text.
    send / Send(Send) -> Sent;
    /// Lists transfers.
    transfers / Transfers(TransferQuery) -> Vec<Transfer>;
    /// Pauses a transfer.
    pause_transfer / PauseTransfer(ById) -> Transfer;
    /// Lets a paused transfer go on.
    resume_transfer / ResumeTransfer(ById) -> Transfer;
    /// Ends a transfer for good.
    cancel_transfer / CancelTransfer(ById) -> Transfer;
    /// Limits the rate of one transfer, or of all sending together.
    limit_transfer / LimitTransfer(Limit) -> Nothing;
    /// Accepts an offer, or a stuck transfer once more into another folder.
    accept_offer / AcceptOffer(Accept) -> Transfer;
    /// Rejects an offer.
    reject_offer / RejectOffer(ById) -> Transfer;
    /// Sends by a one-time code; the reply has the code, progress comes as events.
    code_send / CodeSend(CodeSend) -> CodeOffer;
    /// Receives by a one-time code; progress comes as events.
    code_receive / CodeReceive(CodeReceive) -> Transfer;

    /// Seals a file to members or under a passphrase.
    encrypt / Encrypt(Encrypt) -> Sealed;
    /// Opens a sealed file.
    decrypt / Decrypt(Decrypt) -> Sealed;
    /// Names the recipients of a stream that is sealed elsewhere.
    recipients / Recipients(RecipientsOf) -> Vec<Recipient>;
    /// Gives the key of one stream that is sealed to this member, and is opened elsewhere.
    file_key / FileKey(FileKeyOf) -> FileKey;

    /// Makes a space.
    space_create / SpaceCreate(SpaceCreate) -> Space;
    /// Lists the spaces on this device.
    spaces / Spaces(Nothing) -> Vec<Space>;
    /// Everything about one space.
    space / Space(BySpace) -> Space;
    /// Gives a space another name, for everybody (owners).
    space_rename / SpaceRename(SpaceRename) -> Space;
    /// Ends keeping a space on this device.
    space_forget / SpaceForget(SpaceForget) -> Nothing;
    /// Takes what this device has of a space for the newest, where nobody else can be asked.
    space_trust / SpaceTrust(BySpace) -> Space;
    /// Changes what this device keeps of a space's contents.
    space_keep / SpaceKeep(SpaceKeep) -> Space;
    /// Limits what this device keeps of a space that it stores without reading.
    space_quota / SpaceQuota(SpaceQuota) -> Space;
    /// Chooses how much of a space's past keeps its contents on this device.
    space_history / SpaceHistory(SpaceHistory) -> Space;
    /// Checks, mends or makes anew what is stored for spaces.
    store_care / StoreCare(StoreCare) -> StoreCared;
    /// Lets go of contents that are not needed any more.
    store_tidy / StoreTidy(StoreTidy) -> Tidied;
    /// Gives a member a role on a space or a part of it (owners).
    space_share / SpaceShare(SpaceShare) -> Vec<Access>;
    /// Takes a member's role away and changes the keys (owners).
    space_unshare / SpaceUnshare(SpaceUnshare) -> Unshared;
    /// Who may do what at a path, and why.
    space_access / SpaceAccess(AccessQuery) -> Vec<Access>;
    /// Checks everything that can be checked of a space.
    space_verify / SpaceVerify(BySpace) -> Verified;
    /// Evidence of cheats, for third parties.
    evidence_export / EvidenceExport(EvidenceQuery) -> EvidenceFile;
    /// Revokes a lost device everywhere.
    device_lost / DeviceLost(DeviceLost) -> LostDevice;

    /// Lists a directory of a space, now or as it was.
    tree_list / TreeList(TreeQuery) -> Listing;
    /// What happened to a path.
    tree_log / TreeLog(TreeLogQuery) -> Vec<TreeVersion>;
    /// How two points of a path's history differ.
    tree_diff / TreeDiff(TreeDiff) -> Diff;
    /// Makes directories.
    tree_make_dir / TreeMakeDir(TreeMakeDir) -> PlanDone;
    /// Moves or renames.
    tree_move / TreeMove(TreeMove) -> PlanDone;
    /// Copies inside of a space or into another.
    tree_copy / TreeCopy(TreeCopy) -> PlanDone;
    /// Deletes.
    tree_remove / TreeRemove(TreeRemove) -> PlanDone;
    /// Brings back what was.
    tree_restore / TreeRestore(TreeRestore) -> PlanDone;
    /// Undoes what somebody did.
    tree_undo / TreeUndo(TreeUndo) -> PlanDone;
    /// Brings files of this machine into a space; progress comes as events.
    tree_put / TreePut(TreePut) -> Job;
    /// Brings files of a space onto this machine; progress comes as events.
    tree_get / TreeGet(TreeGet) -> Job;
    /// Work that runs, and what ended lately.
    jobs / Jobs(Nothing) -> Vec<Job>;
    /// Ends work; what is done stays.
    cancel_job / CancelJob(ById) -> Job;
    /// What people should look at.
    conflicts / Conflicts(ConflictQuery) -> Vec<Conflict>;
    /// Settles a conflict.
    conflict_resolve / ConflictResolve(ConflictResolve) -> PlanDone;

    /// Keeps a folder in step with a directory of a space.
    sync_add / SyncAdd(SyncAdd) -> SyncFolder;
    /// Lists the folders that are kept in step.
    syncs / Syncs(Nothing) -> Vec<SyncFolder>;
    /// Brings a folder in step now, and answers when it is.
    sync_now / SyncNow(BySync) -> SyncFolder;
    /// Ends keeping a folder in step; it stays as it is.
    sync_remove / SyncRemove(BySync) -> Nothing;

    /// Lists the activity log.
    log / Log(LogQuery) -> Vec<LogEntry>;
}
