//! A host and a device that remember what they were asked and answer from fixtures.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use api::types::*;
use api::{
    ApiError, ApiResult, ContentStream, ErrorCode, EventHub, EventStream, Host, Init, OpenWith, Output, Reply, Request,
    SealTo, SealedStream, Service, Up,
};
use async_trait::async_trait;
use futures_util::StreamExt;

use crate::stage::NOW;

/// A name that tries to recolour, retype and reverse.
pub const EVIL: &str = "\u{1b}[2Jevil\r\u{202e}gpj.exe\u{9b}31m\u{7}";

type Bytes = Box<dyn Read + std::marker::Send>;

fn put(output: Output, content: &[u8]) -> ApiResult<u64> {
    if let Output::Stream(mut out) = output {
        let written = out.write_all(content).and_then(|()| out.flush());
        written.map_err(|error| ApiError::new(ErrorCode::Io, error.to_string()))?;
    }
    Ok(content.len() as u64)
}

pub struct FakeHost {
    pub home: PathBuf,
    pub initialised: bool,
    pub device: Option<Arc<FakeDevice>>,
    pub passing: Arc<FakeDevice>,
    pub inits: Mutex<Vec<Init>>,
    pub joins: Mutex<Vec<(Join, Passphrase)>>,
}

impl FakeHost {
    pub fn running() -> Self {
        Self { device: Some(Arc::default()), ..Self::stopped() }
    }

    pub fn stopped() -> Self {
        Self { initialised: true, ..Self::empty() }
    }

    pub fn empty() -> Self {
        Self {
            home: "/home/ada/warren".into(),
            initialised: false,
            device: None,
            passing: Arc::default(),
            inits: Mutex::default(),
            joins: Mutex::default(),
        }
    }

    /// A running device that answers every call with this error.
    pub fn failing(error: ApiError) -> Self {
        let device = FakeDevice { error: Some(error), ..FakeDevice::default() };
        Self { device: Some(Arc::new(device)), ..Self::stopped() }
    }
}

#[async_trait]
impl Host for FakeHost {
    fn home(&self) -> PathBuf {
        self.home.clone()
    }

    fn initialised(&self) -> ApiResult<bool> {
        Ok(self.initialised)
    }

    async fn init(&self, init: Init) -> ApiResult<Identity> {
        let identity = Identity {
            member: init.name.clone(),
            device: init.device.clone(),
            device_id: "dev1ce".into(),
            role: if init.circle.is_some() { "admin".into() } else { String::new() },
            recipient: "age1x".into(),
        };
        self.inits.lock().unwrap().push(init);
        Ok(identity)
    }

    async fn join(&self, join: Join, passphrase: Passphrase) -> ApiResult<Joined> {
        let joined = joined(&join.name);
        self.joins.lock().unwrap().push((join, passphrase));
        Ok(joined)
    }

    async fn up(&self, _up: Up, _ready: Box<dyn FnOnce() + std::marker::Send>) -> ApiResult<()> {
        Err(ApiError::new(ErrorCode::WrongPassphrase, "the passphrase is wrong").hint("try again in 2 s"))
    }

    async fn settings(&self, change: Option<SetSetting>) -> ApiResult<Settings> {
        Ok(settings(change))
    }

    async fn running(&self) -> ApiResult<Arc<dyn Service>> {
        match &self.device {
            Some(device) => Ok(device.clone()),
            None => Err(ApiError::new(ErrorCode::NotRunning, "no device is running in this home").hint("`warren up`")),
        }
    }

    async fn passing(&self) -> ApiResult<Arc<dyn Service>> {
        Ok(self.passing.clone())
    }

    /// "Seals" by saying how: `pass:` or the recipients, then the content.
    async fn seal(&self, mut input: Bytes, output: Output, to: SealTo, _armor: bool) -> ApiResult<u64> {
        let mut sealed = match to {
            SealTo::Passphrase(passphrase) => format!("pass:{}:", passphrase.0),
            SealTo::Recipients(recipients) => format!("to:{}:", recipients.join(",")),
        };
        input.read_to_string(&mut sealed).unwrap();
        put(output, sealed.as_bytes())
    }

    async fn look_into(&self, mut input: Bytes) -> ApiResult<SealedStream> {
        let mut beginning = Vec::new();
        input.read_to_end(&mut beginning).unwrap();
        let under_passphrase = beginning.starts_with(b"pass:");
        Ok(SealedStream { beginning, rest: Box::new(std::io::empty()), header: Vec::new(), under_passphrase })
    }

    /// Gives what is behind the last colon; a tail called `damaged` is.
    async fn open(&self, sealed: SealedStream, output: Output, _with: OpenWith) -> ApiResult<u64> {
        let content = sealed.beginning.rsplit(|byte| *byte == b':').next().unwrap();
        let bytes = put(output, content)?;
        if content.ends_with(b"damaged") {
            return Err(ApiError::new(ErrorCode::Damaged, "the file is damaged or cut short").hint("not the whole"));
        }
        Ok(bytes)
    }

    async fn check_evidence(&self, file: Vec<u8>) -> ApiResult<EvidenceProof> {
        if !file.starts_with(b"WRN") {
            return Err(ApiError::new(ErrorCode::Damaged, "this proves nothing: it is no evidence")
                .hint("`warren evidence export` writes what this command reads"));
        }
        Ok(EvidenceProof { proves: vec![format!("{EVIL} signed two changes with one number")] })
    }
}

#[derive(Default)]
pub struct FakeDevice {
    pub asked: Mutex<Vec<Request>>,
    pub hub: EventHub,
    pub error: Option<ApiError>,
    pub spooled: Mutex<Vec<u8>>,
}

#[async_trait]
impl Service for FakeDevice {
    async fn call(&self, request: Request) -> ApiResult<Reply> {
        self.asked.lock().unwrap().push(request.clone());
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        match crate::spaces_fake::answer(&request, &self.hub) {
            Some(answer) => answer,
            None => self.answer(request),
        }
    }

    async fn events(&self) -> ApiResult<EventStream> {
        Ok(self.hub.subscribe())
    }

    async fn spool(&self, mut content: ContentStream) -> ApiResult<Spooled> {
        while let Some(chunk) = content.next().await {
            self.spooled.lock().unwrap().extend_from_slice(&chunk.unwrap());
        }
        let bytes = self.spooled.lock().unwrap().len() as u64;
        Ok(Spooled { id: "spooled1".into(), bytes })
    }

    async fn read(&self, request: TreeRead) -> ApiResult<ContentStream> {
        crate::spaces_fake::content(&request)
    }
}

impl FakeDevice {
    fn answer(&self, request: Request) -> ApiResult<Reply> {
        let unknown = |name: &str| ApiError::new(ErrorCode::NotFound, format!("nobody is called {name:?}"));
        Ok(match request {
            Request::Status(_) => Reply::Status(status()),
            Request::Lock(_) => Reply::Lock(Nothing {}),
            Request::Unlock(_) => Reply::Unlock(Nothing {}),
            Request::ChangePassphrase(_) => Reply::ChangePassphrase(Nothing {}),
            Request::Settings(_) => Reply::Settings(settings(None)),
            Request::SetSetting(change) => Reply::SetSetting(settings(Some(change))),
            Request::Invite(invite) => Reply::Invite(Invitation {
                id: "3kq7aaaabbbb".into(),
                code: "acid-brave-coral-dune".into(),
                link: "warren:join/abc".into(),
                role: invite.role,
                expires_at: NOW + i64::try_from(invite.expires_s).unwrap() * 1000,
                uses: invite.uses,
            }),
            Request::Invitations(_) => Reply::Invitations(vec![invitation("open"), invitation("burned")]),
            Request::RevokeInvitation(_) => Reply::RevokeInvitation(invitation("revoked")),
            Request::Join(join) => Reply::Join(joined(&join.name)),
            Request::Peers(_) => Reply::Peers(vec![peer("bo", "online"), peer(EVIL, "away")]),
            Request::Peer(who) if who.name != "bo" => return Err(unknown(&who.name)),
            Request::Peer(_) => Reply::Peer(peer("bo", "online")),
            Request::AddPeer(_) => Reply::AddPeer(peer("bo", "online")),
            Request::VerifyPeer(_) => Reply::VerifyPeer(Peer { verified: true, ..peer("bo", "online") }),
            Request::BlockPeer(who) if who.name != "bo" => return Err(unknown(&who.name)),
            Request::BlockPeer(_) => Reply::BlockPeer(peer("bo", "blocked")),
            Request::RenamePeer(_) => Reply::RenamePeer(peer("bo", "online")),
            Request::RemovePeer(_) => Reply::RemovePeer(Nothing {}),
            Request::AcceptRule(rule) => {
                Reply::AcceptRule(Peer { auto_accept: rule.auto_accept, ..peer("bo", "online") })
            }
            Request::Send(send) => self.send(&send)?,
            Request::Transfers(query) => {
                let mut all = vec![transfer("aaaa1111", "bo", TransferState::Running), offer()];
                if query.ended {
                    all.push(transfer("cccc3333", EVIL, TransferState::Failed));
                }
                all.retain(|transfer| query.id.as_ref().is_none_or(|id| transfer.id.starts_with(id.as_str())));
                Reply::Transfers(all)
            }
            Request::PauseTransfer(by) => Reply::PauseTransfer(transfer(&by.id, "bo", TransferState::Paused)),
            Request::ResumeTransfer(by) => Reply::ResumeTransfer(Transfer {
                paused_by: Some(PausedBy::Other),
                ..transfer(&by.id, "bo", TransferState::Paused)
            }),
            Request::LimitTransfer(_) => Reply::LimitTransfer(Nothing {}),
            Request::AcceptOffer(by) => Reply::AcceptOffer(arrived(&by.id)),
            Request::RejectOffer(by) => Reply::RejectOffer(transfer(&by.id, "bo", TransferState::Rejected)),
            Request::CodeSend(request) => {
                let (problem, problem_code) = match request.text.as_deref() {
                    Some("full") => (Some("the receiver's disk is full".into()), Some(ErrorCode::DiskFull)),
                    Some("gone") => (Some("the receiver is away".into()), Some(ErrorCode::Unreachable)),
                    _ => (None, None),
                };
                let state = if problem.is_some() { TransferState::Waiting } else { TransferState::Done };
                let transfer = Transfer { problem, problem_code, ..transfer("dddd4444", "guest", state) };
                Reply::CodeSend(CodeOffer {
                    code: "acid-brave-coral-dune".into(),
                    link: "warren:take/abc".into(),
                    addresses: vec!["192.0.2.1:4100".into()],
                    transfer,
                })
            }
            Request::CodeReceive(receive) if receive.yes => Reply::CodeReceive(arrived(&offer().id)),
            Request::CodeReceive(_) => Reply::CodeReceive(offer()),
            Request::Decrypt(decrypt) if decrypt.passphrase.is_none() => {
                return Err(ApiError::new(ErrorCode::PassphraseNeeded, "the file is sealed under a passphrase"));
            }
            Request::Decrypt(_) => Reply::Decrypt(Sealed { output: "/x/plain".into(), bytes: 5, readers: vec![] }),
            Request::Recipients(asked) if asked.to.iter().any(|name| name == "boo") => return Err(unknown("boo")),
            Request::Recipients(asked) => {
                let recipient = |name: String| Recipient { recipient: format!("age1{name}"), name };
                Reply::Recipients(asked.to.into_iter().map(recipient).collect())
            }
            Request::FileKey(_) => Reply::FileKey(FileKey { key: Passphrase("AAAAAAAAAAAAAAAAAAAAAA".into()) }),
            Request::Encrypt(encrypt) => {
                Reply::Encrypt(Sealed { output: "/x/plain.age".into(), bytes: 5, readers: encrypt.to })
            }
            Request::Log(query) if query.event.as_deref() == Some("damaged") => {
                Reply::Log(vec![log_entry(1, "device.started"), log_entry(2, "log.damaged")])
            }
            Request::Log(_) => Reply::Log(vec![log_entry(1, "device.started"), log_entry(2, "transfer.done")]),
            other => return Err(ApiError::new(ErrorCode::Internal, format!("the fake has no {}", other.name()))),
        })
    }

    /// Starts a transfer to each receiver; `away` stays away, `no` says no, `most` gets not all, `silent` never answers, `full` and `denied` cannot take it, all others get it after one event.
    fn send(&self, send: &Send) -> ApiResult<Reply> {
        let mut transfers = Vec::new();
        for (index, name) in send.to.iter().enumerate() {
            let id = format!("eeee{index}");
            transfers.push(match name.as_str() {
                "away" => Transfer { device_id: "zzzzyyyyxxxx".into(), ..transfer(&id, name, TransferState::Queued) },
                "full" => Transfer {
                    problem: Some("the receiver's disk is full".into()),
                    problem_code: Some(ErrorCode::DiskFull),
                    ..transfer(&id, name, TransferState::Waiting)
                },
                "denied" => Transfer {
                    problem: Some("the receiver may not write to its landing folder".into()),
                    problem_code: Some(ErrorCode::Io),
                    ..transfer(&id, name, TransferState::Waiting)
                },
                "slow" => {
                    // It is connected, and takes its time before it answers.
                    let (hub, done) = (self.hub.clone(), transfer(&id, name, TransferState::Done));
                    tokio::spawn(async move {
                        for _ in 0..100 {
                            tokio::task::yield_now().await;
                        }
                        hub.send(Event::Transfer(Box::new(done)));
                    });
                    transfer(&id, name, TransferState::Queued)
                }
                "no" => transfer(&id, name, TransferState::Rejected),
                "silent" => transfer(&id, name, TransferState::Offered),
                "most" => Transfer {
                    files_done: 38,
                    files_failed: 2,
                    warnings: vec!["Photos/a: it vanished while it was to be sent".into()],
                    ..transfer(&id, name, TransferState::Done)
                },
                "bo" | "cy" => {
                    let done = transfer(&id, name, TransferState::Done);
                    self.hub.send(Event::Transfer(Box::new(done)));
                    transfer(&id, name, TransferState::Running)
                }
                _ => return Err(ApiError::new(ErrorCode::NotFound, format!("nobody is called {name:?}"))),
            });
        }
        Ok(Reply::Send(Sent { transfers }))
    }
}

fn status() -> Status {
    Status {
        version: "0.1.0".into(),
        home: "/home/ada/warren".into(),
        pid: 4711,
        locked: false,
        started_at: NOW - 3_700_000,
        locked_at: None,
        identity: Some(Identity {
            member: "ada".into(),
            device: "desk".into(),
            device_id: "dev1ce".into(),
            role: "admin".into(),
            recipient: "age1x".into(),
        }),
        circle: Some(Circle {
            name: "family".into(),
            id: "c1rcle".into(),
            safety_words: "able baker charlie dog easy fox".into(),
            members: 3,
            certificate_ends_at: NOW + 86_400_000 * 300,
            removed: false,
        }),
        addresses: vec!["192.0.2.1:4100".into(), "[2001:db8::1]:4100".into()],
        api: None,
        peers_online: 1,
        transfers_active: 1,
        offers_waiting: 1,
    }
}

fn settings(change: Option<SetSetting>) -> Settings {
    let value = match change {
        Some(change) if change.key == "received_dir" => change.value,
        _ => "received".into(),
    };
    Settings {
        entries: vec![
            Setting { key: "received_dir".into(), value, help: "Folder where received files land.".into() },
            Setting { key: "port".into(), value: "0".into(), help: "Port for other devices.".into() },
        ],
    }
}

fn invitation(state: &str) -> InvitationInfo {
    InvitationInfo {
        id: "3kq7aaaabbbb".into(),
        role: "editor".into(),
        state: state.into(),
        created_at: NOW - 60_000,
        expires_at: NOW + 3_540_000,
        uses_left: 1,
        joined: vec![],
    }
}

fn joined(name: &str) -> Joined {
    Joined {
        circle: "family".into(),
        circle_id: "c1rcle".into(),
        name: name.into(),
        role: "editor".into(),
        inviter: "ada".into(),
        safety_words: "able baker charlie dog easy fox".into(),
    }
}

pub fn peer(name: &str, state: &str) -> Peer {
    let online = state == "online";
    Peer {
        name: name.into(),
        member: name.into(),
        device: "laptop".into(),
        device_id: "bbbbccccdddd".into(),
        role: "editor".into(),
        state: state.into(),
        path: online.then(|| "direct".into()),
        bulk: online.then(|| "tcp".into()),
        address: Some("192.0.2.7:4100".into()),
        rtt_us: online.then_some(420),
        last_seen: Some(NOW - 7_200_000),
        verified: false,
        safety_words: "words to compare by voice now".into(),
        key_agreement: online.then(|| "X25519MLKEM768".into()),
        auto_accept: None,
        certificate_ends_at: NOW + 86_400_000,
    }
}

pub fn transfer(id: &str, peer: &str, state: TransferState) -> Transfer {
    let done = state == TransferState::Done;
    let problem = match state {
        TransferState::Failed => Some("their disk is full".to_owned()),
        TransferState::Rejected => Some("they said no".to_owned()),
        _ => None,
    };
    Transfer {
        id: id.into(),
        direction: "out".into(),
        peer: peer.into(),
        device_id: "bbbbccccdddd".into(),
        state,
        paused_by: None,
        names: vec!["Photos".into()],
        text: None,
        files_total: 40,
        files_done: if done { 40 } else { 10 },
        files_failed: 0,
        bytes_total: 10 << 20,
        bytes_done: if done { 10 << 20 } else { 3 << 20 },
        bytes_wire: 10 << 20,
        scanned: true,
        flow_ms: Some(4_000),
        flow_bytes: 10 << 20,
        rate: 2 << 20,
        eta_s: Some(4),
        rate_limit: None,
        lane: Some("tcp".into()),
        created_at: NOW - 5_000,
        ended_at: state.is_final().then_some(NOW),
        problem_code: (state == TransferState::Failed).then_some(ErrorCode::DiskFull),
        problem,
        warnings: vec![],
        landed: vec![],
        receipt: done.then(|| "abcd".into()),
    }
}

fn offer() -> Transfer {
    Transfer {
        direction: "in".into(),
        names: vec![EVIL.into()],
        text: Some("look\n\u{1b}]0;pwned\u{7}at this".into()),
        ..transfer("bbbb2222", "bo", TransferState::Offered)
    }
}

fn arrived(id: &str) -> Transfer {
    Transfer {
        direction: "in".into(),
        landed: vec![format!("/home/ada/received/{EVIL}")],
        warnings: vec![format!("{EVIL}: changed while it was sent")],
        ..transfer(id, "bo", TransferState::Done)
    }
}

fn log_entry(seq: u64, event: &str) -> LogEntry {
    LogEntry {
        seq,
        time: NOW + i64::try_from(seq).unwrap() * 1000,
        event: event.into(),
        outcome: "ok".into(),
        peer: Some(EVIL.into()),
        details: [("files".to_owned(), EVIL.to_owned())].into(),
    }
}
