//! The invitation desk: invitations and one-time codes that this device has made, and strangers who come with one.
//!
//! What the engines decide is stored before the stranger hears of it: a burned or used invitation stays so over a crash.

use std::sync::{Mutex, MutexGuard, PoisonError};

use logic::Misbehaved;
use logic::audit::{Event, Who};
use logic::code::{Channel, GuestProven, Knock, Purpose, Turned};
use logic::limits::{GUEST_FRAME, HEADER_FRAME, PAIR_FRAME};
use logic::pair::invitation::{Aim, Invitation, InvitationId, Invitations, Link as InvitationLink, LinkSecret, State};
use logic::pair::{Decision, Inviter, InviterFault};
use logic::wire::{Address, Frame, GuestHeader};
use net::frame::{FrameError, expect_frame, read_body, write_frame};
use net::{Goodbye, GuestLink, Stream};
use seal::words::{Code, NAMEPLATES};
use seal::{CircleId, DeviceId, Timestamp};
use std::io;
use store::database::{Database, DatabaseError, RowId, Table};
use tokio::io::AsyncWriteExt;

use crate::circle::{Circle, CircleError};
use crate::clock;
use crate::journal::Journal;

/// How long somebody who is turned away may take to read why.
const LAST_WORD: std::time::Duration = std::time::Duration::from_secs(2);

/// See the module.
pub(crate) struct Desk {
    /// Absent on a passing device, which remembers nothing.
    table: Option<Table<Invitation>>,
    book: Mutex<Invitations>,
}

/// A fresh invitation, to be told to somebody.
pub(crate) struct Fresh {
    pub id: InvitationId,
    pub code: String,
    pub link: String,
    pub expires_at: Timestamp,
}

/// Why a stranger's visit ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VisitError {
    /// It broke a rule; `0` says which.
    #[error(transparent)]
    Misbehaved(#[from] Misbehaved),
    /// It did not prove its code, and everybody has been told.
    #[error("turned away: {0}")]
    TurnedAway(Misbehaved),
    /// The connection.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The connection.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// This side cannot admit.
    #[error(transparent)]
    Own(#[from] InviterFault),
    /// Storing did not work; nothing was promised.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The circle.
    #[error(transparent)]
    Circle(#[from] CircleError),
}

impl VisitError {
    /// The rule that was broken, where nobody has been told yet.
    fn untold(&self) -> Option<Misbehaved> {
        match self {
            Self::Misbehaved(offence)
            | Self::Frame(FrameError::Misbehaved(offence))
            | Self::Circle(CircleError::Admission(InviterFault::Misbehaved(offence))) => Some(*offence),
            _ => None,
        }
    }

    /// Ends a visit that went wrong; what the guest did is reported.
    pub(crate) fn conclude(&self, guest: &GuestLink) {
        tracing::debug!(error = %self, "a stranger's visit ended early");
        match self.untold() {
            Some(offence) => guest.offended(offence),
            None => guest.close(Goodbye::Refused),
        }
    }
}

impl Desk {
    /// The desk of a device with a home. `damaged` hears of invitations that cannot be read: they let nobody in.
    pub(crate) fn open(database: &Database, damaged: impl Fn(&str, &RowId)) -> Result<Self, DatabaseError> {
        let table = database.table("invitations");
        let stored = table.all()?;
        stored.damaged.iter().for_each(|row| damaged(table.name(), row));
        let book = Invitations::load(stored.values.into_iter().map(|(_, invitation)| invitation));
        Ok(Self { table: Some(table), book: Mutex::new(book) })
    }

    /// A desk that remembers nothing.
    pub(crate) fn passing() -> Self {
        Self { table: None, book: Mutex::default() }
    }

    fn book(&self) -> MutexGuard<'_, Invitations> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes and stores an invitation; `None` when there are too many open ones.
    pub(crate) fn make(
        &self,
        aim: Aim,
        expires_at: Timestamp,
        uses: u32,
        link: impl FnOnce(InvitationId, LinkSecret) -> InvitationLink,
    ) -> Result<Option<Fresh>, DatabaseError> {
        let now = clock::now();
        let mut book = self.book();
        let taken: Vec<u16> = book.nameplates(now).collect();
        let nameplate = std::iter::repeat_with(|| u16::from_le_bytes(seal::random()) % NAMEPLATES)
            .find(|plate| !taken.contains(plate))
            .unwrap_or_default();
        let (id, secret) = (InvitationId(seal::random()), LinkSecret(seal::random()));
        let code = Code::generate(nameplate);
        let invitation = Invitation::new(id, aim, &code, secret.clone(), now, expires_at, uses);
        if book.add(invitation.clone(), now).is_err() {
            return Ok(None);
        }
        self.keep(&invitation)?;
        Ok(Some(Fresh { id, code: code.to_string(), link: link(id, secret).to_string(), expires_at }))
    }

    fn keep(&self, invitation: &Invitation) -> Result<(), DatabaseError> {
        self.table.as_ref().map_or(Ok(()), |table| table.put(&invitation.id.0, invitation))
    }

    /// Stores what is now known of an invitation.
    fn keep_by_id(&self, book: &Invitations, id: InvitationId) -> Result<(), DatabaseError> {
        book.get(id).map_or(Ok(()), |invitation| self.keep(invitation))
    }

    /// All invitations, the newest first.
    pub(crate) fn list(&self) -> Vec<Invitation> {
        let mut all: Vec<_> = self.book().iter().cloned().collect();
        all.sort_by_key(|invitation| std::cmp::Reverse(invitation.created_at));
        all
    }

    /// What an invitation is for.
    pub(crate) fn aim(&self, id: InvitationId) -> Option<Aim> {
        self.book().get(id).map(|invitation| invitation.aim)
    }

    /// Ends an invitation; false if it had ended already.
    pub(crate) fn revoke(&self, id: InvitationId) -> Result<bool, DatabaseError> {
        let mut book = self.book();
        let ended = book.revoke(id, clock::now());
        self.keep_by_id(&book, id)?;
        Ok(ended)
    }

    /// Nameplates that this device answers for now.
    pub(crate) fn nameplates(&self) -> Vec<u16> {
        self.book().nameplates(clock::now()).collect()
    }

    /// True if a code that is still good is bound to this device.
    pub(crate) fn is_bound_to(&self, device: DeviceId) -> bool {
        let now = clock::now();
        self.book().iter().any(|invitation| invitation.bound == Some(device) && invitation.state(now) == State::Open)
    }

    /// True while somebody may come with a code or a link.
    pub(crate) fn is_open(&self) -> bool {
        let now = clock::now();
        self.book().iter().any(|invitation| invitation.state(now) == State::Open)
    }

    /// How every invitation stands, and what it is for.
    pub(crate) fn states(&self) -> Vec<(State, Aim)> {
        let now = clock::now();
        self.book().iter().map(|invitation| (invitation.state(now), invitation.aim)).collect()
    }

    /// Has a stranger prove its code. The stream goes on afterwards.
    pub(crate) async fn prove(
        &self,
        local: DeviceId,
        guest: &GuestLink,
        stream: &mut Stream,
        journal: Option<&Journal>,
    ) -> Result<GuestProven, VisitError> {
        let channel = Channel { exporter: guest.exporter(), local, remote: guest.remote() };
        let body = next(stream, GUEST_FRAME).await?;
        let turned = match Knock::read(channel, &body).and_then(|knock| knock.answer(&self.book(), clock::now())) {
            Ok((host, reply)) => {
                send(stream, &reply).await?;
                let proof = next(stream, GUEST_FRAME).await?;
                let confirmed = {
                    let mut book = self.book();
                    let confirmed = host.confirm(&proof, &mut book, clock::now());
                    let touched = match &confirmed {
                        Ok((proven, _)) => proven.invitation(),
                        Err(turned) => turned.burned,
                    };
                    if let Some(id) = touched {
                        self.keep_by_id(&book, id)?;
                    }
                    confirmed
                };
                match confirmed {
                    Ok((proven, reply)) => {
                        guest.vouch();
                        send(stream, &reply).await?;
                        return Ok(proven);
                    }
                    Err(turned) => turned,
                }
            }
            Err(turned) => turned,
        };
        Err(self.turn_away(guest, stream, journal, turned).await)
    }

    /// Says no, and says here why.
    async fn turn_away(
        &self,
        guest: &GuestLink,
        stream: &mut Stream,
        journal: Option<&Journal>,
        turned: Turned,
    ) -> VisitError {
        if let (Some(journal), Some(id)) = (journal, turned.burned) {
            let who = Who { member: None, device: Some(guest.remote()), address: guest.paths().direct };
            journal.note(Event::InvitationBurned { invitation: id.to_string(), who });
        }
        guest.report(turned.offence);
        let said = async {
            send(stream, &turned.reply).await?;
            stream.send.finish().await?;
            // Closing the link would overtake the answer.
            guest.closed().await;
            Ok::<_, io::Error>(())
        };
        // Whoever hangs up before the answer does not get it.
        let _ = tokio::time::timeout(LAST_WORD, said).await;
        VisitError::TurnedAway(turned.offence)
    }

    /// Admits somebody who proved an invitation to join.
    pub(crate) async fn admit(
        &self,
        proven: GuestProven,
        guest: &GuestLink,
        stream: &mut Stream,
        circle: &Circle,
        journal: &Journal,
    ) -> Result<(), VisitError> {
        let Ok(mut inviter) = Inviter::new(proven) else { return Err(Misbehaved::InvitationUnknown.into()) };
        let welcoming = loop {
            let asking = inviter.asked(&next(stream, PAIR_FRAME).await?)?;
            let decision = {
                let mut book = self.book();
                let decision = circle.decide(asking, &mut book)?;
                for invitation in book.iter() {
                    self.keep(invitation)?;
                }
                decision
            };
            match decision {
                Decision::Welcome(welcoming, frame) => {
                    send(stream, &frame).await?;
                    break welcoming;
                }
                Decision::Again(again, frame) => {
                    send(stream, &frame).await?;
                    inviter = *again;
                }
                Decision::Over(_, frame) => {
                    send(stream, &frame).await?;
                    stream.send.finish().await?;
                    return Ok(());
                }
            }
        };
        let settlement = next(stream, PAIR_FRAME).await?;
        let (admitted, frame) = circle.settle(*welcoming, &settlement)?;
        journal.note(Event::MemberJoined {
            who: Who { member: Some(admitted.name), device: Some(admitted.device), address: guest.paths().direct },
            role: admitted.role.to_string(),
            invitation: admitted.invitation.to_string(),
        });
        send(stream, &frame).await?;
        stream.send.finish().await?;
        Ok(())
    }
}

/// True if a proof was for joining, not for a transfer.
pub(crate) fn wants_to_join(proven: &GuestProven) -> bool {
    proven.purpose() == Purpose::Join
}

/// The link of an invitation.
pub(crate) fn link(
    device: DeviceId,
    addresses: Vec<Address>,
    circle: Option<CircleId>,
) -> impl FnOnce(InvitationId, LinkSecret) -> InvitationLink {
    move |invitation, secret| InvitationLink { invitation, device, addresses, secret, circle }
}

/// The next frame's body; the end of the stream is a broken promise here.
pub(crate) async fn next(stream: &mut Stream, limit: logic::limits::FrameLimit) -> Result<Vec<u8>, VisitError> {
    Ok(read_body(&mut stream.recv, limit).await?.ok_or(Misbehaved::FrameTruncated)?)
}

/// Sends a frame that an engine made.
pub(crate) async fn send(stream: &mut Stream, frame: &Frame) -> io::Result<()> {
    stream.send.write_all(frame.as_bytes()).await?;
    stream.send.flush().await
}

/// The first frame of a stranger's first stream.
pub(crate) async fn expect_knock(incoming: &mut Stream) -> Result<(), FrameError> {
    match expect_frame(&mut incoming.recv, HEADER_FRAME).await? {
        GuestHeader::Knock => Ok(()),
        GuestHeader::Transfer { .. } | GuestHeader::Lane { .. } => {
            Err(FrameError::Misbehaved(Misbehaved::ConfirmationSkipped))
        }
    }
}

/// Says that a code follows.
pub(crate) async fn knock(outgoing: &mut Stream) -> io::Result<()> {
    write_frame(&mut outgoing.send, &GuestHeader::Knock, HEADER_FRAME)
        .await
        .map_err(|e| io::Error::other(e.to_string()))
}
