//! Whether an offer is wanted.

use super::control::{Broken, Control};
use super::item::{Command, Item, in_words};
use super::outgoing::End;
use super::ports::{Decision, What};
use super::record::{Accepted, Ended};
use api::types::TransferState;
use logic::Misbehaved;
use logic::transfer::{FromReceiver, FromSender, Offer, Reason, Receiver, ReceiverAction};
use serde_bytes::ByteBuf;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Finds out whether the offer is wanted: it was before, a rule says so, or the user does.
pub(super) async fn decide(
    item: &Arc<Item>,
    engine: &mut Receiver,
    mut offer: Offer,
    control: &mut Control<FromSender>,
    commands: &mut mpsc::UnboundedReceiver<Command>,
) -> Result<Result<Accepted, End>, Broken> {
    let mut asked = false;
    loop {
        if let Some(accepted) = item.decided() {
            return Ok(Ok(accepted));
        }
        let by_person = asked || item.lock().live.over;
        let decision = if by_person { Decision::Ask } else { item.deps.host.decide(&item.peer, &offer) };
        match decision {
            Decision::Accept { to, ceiling } => {
                let to = to.unwrap_or_else(|| item.deps.host.received_dir());
                item.agree(&to, ceiling);
                // The rule would say the same again, so nothing waits for the disk.
                item.persist_soon();
                item.happened(What::Accepted { by: "rule" });
                continue;
            }
            Decision::Reject(reason) => {
                return reject(item, control, reason).map(Err);
            }
            Decision::Ask if !asked => {
                asked = true;
                item.state(TransferState::Offered);
                control.send(&FromReceiver::Pending);
            }
            Decision::Ask | Decision::Wait => {}
        }
        tokio::select! {
            message = control.next() => {
                engine.handle(message?)?;
                while let Some(action) = engine.poll(item.deps.clock()) {
                    if let ReceiverAction::Cancelled(_) = action {
                        return cancelled(item).map(Err);
                    }
                }
                (offer.found, offer.complete) = engine.announced();
                item.live(|live| (live.found, live.scanned) = (offer.found, offer.complete));
            }
            command = commands.recv() => match command.unwrap_or(Command::Yield) {
                Command::Decided if item.record().ended.is_some() => {
                    control.send(&FromReceiver::Reject(Reason::Asked));
                    return Ok(Err(End::Over));
                }
                Command::Cancel => {
                    control.send(&FromReceiver::Reject(Reason::Asked));
                    return Ok(Err(End::Over));
                }
                Command::Yield => return Ok(Err(End::Yielded)),
                Command::Lane(_) => return Err(Misbehaved::LaneNotGranted.into()),
                Command::Decided | Command::Pause(_) | Command::Limit(_) => {}
            }
        }
    }
}

fn reject(item: &Arc<Item>, control: &Control<FromSender>, reason: Reason) -> Result<End, Broken> {
    control.send(&FromReceiver::Reject(reason.clone()));
    item.happened(What::Rejected { reason: in_words(&reason) });
    item.end(Ended::Rejected, Some(in_words(&reason)));
    item.persist_soon();
    Ok(End::Over)
}

pub(super) fn cancelled(item: &Arc<Item>) -> Result<End, Broken> {
    item.happened(What::Cancelled { here: false });
    item.end(Ended::Cancelled, Some("the other side cancelled it".into()));
    item.persist_soon();
    Ok(End::Over)
}

/// More comes than a rule accepts: what has come stays until a person has decided.
pub(super) fn over(item: &Arc<Item>, control: &Control<FromSender>) -> End {
    control.send(&FromReceiver::Stuck(Reason::Other("it is more than a rule accepts: a person is asked".into())));
    item.lock().live.over = true;
    End::Yielded
}

impl Item {
    /// Notes that the offer is accepted; the caller stores it.
    pub(super) fn agree(&self, to: &Path, ceiling: Option<u64>) {
        let to = ByteBuf::from(to.as_os_str().as_bytes());
        let mut inner = self.lock();
        inner.record.accepted = Some(Accepted { to, ceiling, landing: None });
        inner.live.over = false;
    }

    /// What was agreed to, as long as that holds.
    pub(super) fn decided(&self) -> Option<Accepted> {
        let inner = self.lock();
        inner.record.accepted.clone().filter(|_| !inner.live.over)
    }
}
