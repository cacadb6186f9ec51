//! One conversation of two devices about one ledger, over a stream that keeps order.
//!
//! Each side tells its tips when they change; whoever sees tips that it does not know asks, one question at a time, until
//! nothing is unknown or an answer brings nothing new. Nothing of it needs to survive: after a cut a new session goes on
//! where the commits are. Invariants: at most one question is open; what a peer says costs at most one answer; a session
//! in which nobody writes falls silent, whatever the peer serves.
//!
//! Called by `node`, one per link and space; it performs the ledger's actions after each call, and only then sends what
//! came out. Whether the peer may have the ledger at all is the caller's question.

use seal::{DeviceId, Timestamp};

use super::commit::Commit;
use super::engine::{Ledger, Taken};
use super::frontier::Frontier;
use super::head::HeadStatement;
use super::header::Seen;
use super::id::CommitId;
use super::shelf::Shelf;
use super::sync::{self, Message, Want};
use crate::Misbehaved;
use crate::limits::SYNC_WANTS;

/// What comes of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Out {
    /// To the peer.
    Send(Message),
    /// The ledger was opened: check whose it is before anything is stored.
    Opened,
    /// The peer shows that it has this: compare with what it signed ([`super::Heads::withheld`]).
    Shown(Frontier),
    /// The peer, or somebody through it, says what it holds.
    Head(Box<HeadStatement>),
    /// Everything that the peer told of is here: a good moment to sign what is held.
    Settled,
    /// The peer told of these and does not give them: somebody else may.
    Withheld(Vec<Seen>),
}

/// See the module.
#[derive(Debug)]
pub struct Session {
    ledger: CommitId,
    peer: DeviceId,
    /// The tips that the peer was told of.
    told: Option<Vec<Seen>>,
    /// The tips that the peer told of last.
    theirs: Vec<Seen>,
    /// A question is open.
    asked: bool,
}

impl Session {
    /// A session with `peer` about a ledger.
    pub fn new(ledger: CommitId, peer: DeviceId) -> Self {
        Self { ledger, peer, told: None, theirs: Vec::new(), asked: false }
    }

    /// What to tell the peer, if it does not know it: to be asked at the beginning and whenever the ledger grew.
    pub fn news(&mut self, ledger: Option<&Ledger>) -> Option<Message> {
        let tips = ledger.map(sync::summary).unwrap_or_default();
        if self.told.as_ref() == Some(&tips) {
            return None;
        }
        self.told = Some(tips.clone());
        Some(Message::Have(tips))
    }

    /// Takes a message. The ledger is `None` as long as only its name is known.
    ///
    /// # Errors
    /// The first offence, of the peer or of somebody whose commits it passes on: the session is over. What was accepted
    /// before it stays accepted.
    pub fn handle(
        &mut self,
        message: Message,
        ledger: &mut Option<Ledger>,
        shelf: &dyn Shelf,
        now: Timestamp,
    ) -> Result<Vec<Out>, Misbehaved> {
        match message {
            Message::Have(tips) => {
                let mut out = vec![Out::Shown(sync::shown(&tips))];
                self.theirs = tips;
                out.extend(self.ask(ledger.as_ref(), shelf));
                Ok(out)
            }
            Message::Want(wants) => {
                let answer = ledger.as_ref().map(|ledger| sync::serve(ledger, shelf, &wants));
                let nothing = Message::Commits { commits: Vec::new(), more: false };
                Ok(vec![Out::Send(answer.unwrap_or(nothing))])
            }
            Message::Commits { commits, .. } => {
                if !std::mem::take(&mut self.asked) {
                    return Err(Misbehaved::FrameOutOfTurn);
                }
                let mut out = Vec::new();
                let taken = self.take(sync::read_commits(&commits)?, ledger, shelf, now, &mut out)?;
                // The question is put anew: what has come is known by now.
                out.extend(match taken {
                    0 => self.give_up(ledger.as_ref(), shelf),
                    _ => self.ask(ledger.as_ref(), shelf),
                });
                Ok(out)
            }
            Message::Head(bytes) => {
                let head = HeadStatement::read(&bytes)?;
                let ours = head.held().ledger == self.ledger;
                ours.then(|| vec![Out::Head(Box::new(head))]).ok_or(Misbehaved::HeadStatementInvalid)
            }
        }
    }

    /// Gives commits to the ledger; says how many were new.
    fn take(
        &self,
        commits: Vec<Commit>,
        ledger: &mut Option<Ledger>,
        shelf: &dyn Shelf,
        now: Timestamp,
        out: &mut Vec<Out>,
    ) -> Result<usize, Misbehaved> {
        let mut taken = 0;
        for commit in commits {
            let Some(ledger) = ledger.as_mut() else {
                if commit.id() != self.ledger {
                    return Err(Misbehaved::CommitForeign);
                }
                *ledger = Some(Ledger::open(commit)?);
                out.push(Out::Opened);
                taken += 1;
                continue;
            };
            let became = ledger.handle(commit, Some(self.peer), now, shelf)?;
            // Whoever serves what waits brings nothing forward.
            taken += usize::from(became == Taken::Accepted);
        }
        Ok(taken)
    }

    /// Asks for what the peer has and this side has not.
    fn ask(&mut self, ledger: Option<&Ledger>, shelf: &dyn Shelf) -> Option<Out> {
        if self.asked || self.theirs.is_empty() {
            return None;
        }
        let wants = self.wants(ledger, shelf);
        if wants.is_empty() {
            return Some(Out::Settled);
        }
        self.asked = true;
        Some(Out::Send(Message::Want(wants)))
    }

    /// An answer brought nothing: asking again would bring nothing either.
    fn give_up(&mut self, ledger: Option<&Ledger>, shelf: &dyn Shelf) -> Option<Out> {
        let missing: Vec<_> = self.wants(ledger, shelf).into_iter().map(|want| want.goal).collect();
        self.theirs.clear();
        Some(if missing.is_empty() { Out::Settled } else { Out::Withheld(missing) })
    }

    fn wants(&self, ledger: Option<&Ledger>, shelf: &dyn Shelf) -> Vec<Want> {
        match ledger {
            Some(ledger) => sync::wants(ledger, shelf, &self.theirs),
            // The first commit comes before all others in the order of an answer.
            None => self.theirs.iter().take(SYNC_WANTS).map(|goal| Want { goal: *goal, here: Vec::new() }).collect(),
        }
    }
}
