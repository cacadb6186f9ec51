//! One conversation of two devices about one ledger, over a stream that keeps order.
//!
//! Each side tells its tips when they change; whoever sees tips that it does not know asks, one question at a time, until
//! nothing is unknown or an answer brings nothing new. Nothing of it needs to survive: after a cut a new session goes on
//! where the commits are. Invariants: at most one question is open; what a peer says costs at most one answer; a session
//! in which nobody writes falls silent, whatever the peer serves.
//!
//! Called by `node`, one per link and space. The session only looks at the ledger: commits that come are handed out, to be
//! given to [`Ledger::handle`] and stored, and the session is told how many were new. Whether the peer may have the ledger
//! at all is the caller's question.

use super::commit::Commit;
use super::engine::Ledger;
use super::frontier::Frontier;
use super::head::HeadStatement;
use super::header::Seen;
use super::id::CommitId;
use super::shelf::Shelf;
use super::sync::{self, Message, Want};
use crate::Misbehaved;
use seal::DeviceId;

/// What comes of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Out {
    /// To the peer.
    Send(Message),
    /// To the ledger, then [`Session::taken`].
    Take(Vec<Commit>),
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
    /// The tips that the peer was told of.
    told: Option<Vec<Seen>>,
    /// The tips that the peer told of last.
    theirs: Vec<Seen>,
    /// The question that is open.
    asked: Option<Vec<Want>>,
}

impl Session {
    /// A session about a ledger that is here.
    pub fn new(ledger: CommitId) -> Self {
        Self { ledger, told: None, theirs: Vec::new(), asked: None }
    }

    /// Goes on after [`Begin::Found`], once the ledger is there.
    pub fn begin(&mut self, ledger: &Ledger, shelf: &dyn Shelf) -> Option<Out> {
        self.ask(ledger, shelf)
    }

    /// What to tell the peer, if it does not know it: to be asked at the beginning and whenever the ledger grew.
    pub fn news(&mut self, ledger: &Ledger) -> Option<Message> {
        let tips = sync::summary(ledger);
        if self.told.as_ref() == Some(&tips) {
            return None;
        }
        self.told = Some(tips.clone());
        Some(Message::Have(tips))
    }

    /// Takes a message.
    ///
    /// # Errors
    /// The first offence of the peer: the session is over.
    pub fn handle(&mut self, message: Message, ledger: &Ledger, shelf: &dyn Shelf) -> Result<Vec<Out>, Misbehaved> {
        match message {
            Message::Have(tips) => {
                let shown = Out::Shown(sync::shown(&tips));
                self.theirs = tips;
                Ok(std::iter::once(shown).chain(self.ask(ledger, shelf)).collect())
            }
            Message::Want(wants) => Ok(vec![Out::Send(sync::serve(ledger, shelf, &wants))]),
            Message::Commits { commits, .. } => {
                if self.asked.is_none() {
                    return Err(Misbehaved::FrameOutOfTurn);
                }
                Ok(vec![Out::Take(sync::read_commits(&commits)?)])
            }
            Message::Head(bytes) => {
                let head = HeadStatement::read(&bytes)?;
                let ours = head.held().ledger == self.ledger;
                ours.then(|| vec![Out::Head(Box::new(head))]).ok_or(Misbehaved::HeadStatementInvalid)
            }
        }
    }

    /// So many of the commits that were handed out are new and accepted. Whoever serves what is known, or what has to wait,
    /// brings nothing forward.
    pub fn taken(&mut self, accepted: usize, ledger: &Ledger, shelf: &dyn Shelf) -> Option<Out> {
        let asked = self.asked.take();
        let wants = sync::wants(ledger, shelf, &self.theirs);
        // What was asked for may have come from somebody else meanwhile, and the peer may have told of more: then the answer
        // says nothing about what is missing now, and the question is put anew. So it is where something came with it.
        if accepted > 0 || asked.as_ref() != Some(&wants) {
            return self.ask(ledger, shelf);
        }
        let missing: Vec<_> = wants.into_iter().map(|want| want.goal).collect();
        self.theirs.clear();
        Some(if missing.is_empty() { Out::Settled } else { Out::Withheld(missing) })
    }

    /// Asks for what the peer has and this side has not.
    fn ask(&mut self, ledger: &Ledger, shelf: &dyn Shelf) -> Option<Out> {
        if self.asked.is_some() || self.theirs.is_empty() {
            return None;
        }
        let wants = sync::wants(ledger, shelf, &self.theirs);
        if wants.is_empty() {
            return Some(Out::Settled);
        }
        self.asked = Some(wants.clone());
        Some(Out::Send(Message::Want(wants)))
    }
}

/// The beginning of a session about a ledger of which only the name is known.
#[derive(Debug)]
pub struct Newcomer {
    ledger: CommitId,
    /// The tips that the peer told of.
    theirs: Option<Vec<Seen>>,
}

/// What a newcomer does next.
#[derive(Debug)]
pub enum Begin {
    /// To the peer.
    Send(Message),
    /// The ledger's first commit, and the session to go on with. Check whose ledger it is before anything is stored; then
    /// [`Session::begin`].
    Found(Box<Commit>, Session),
    /// The peer has nothing yet.
    Wait,
}

impl Newcomer {
    /// Wants to know a ledger.
    pub fn new(ledger: CommitId) -> Self {
        Self { ledger, theirs: None }
    }

    /// Takes a message.
    ///
    /// # Errors
    /// The first offence of the peer.
    pub fn handle(&mut self, message: Message) -> Result<Begin, Misbehaved> {
        match (message, &self.theirs) {
            (Message::Have(tips), None) if tips.is_empty() => Ok(Begin::Wait),
            (Message::Have(tips), None) => {
                self.theirs = Some(tips);
                // By its name alone: whose it is, the commit itself says.
                let goal = Seen { device: DeviceId::from_bytes([0; 32]), seq: 0, id: self.ledger };
                Ok(Begin::Send(Message::Want(vec![Want { goal, here: Vec::new() }])))
            }
            (Message::Have(tips), Some(_)) => {
                self.theirs = Some(tips);
                Ok(Begin::Wait)
            }
            (Message::Commits { commits, .. }, Some(theirs)) => {
                let first = commits.first().ok_or(Misbehaved::CommitFirstWrong)?;
                let first = Commit::read(first)?;
                if first.id() != self.ledger {
                    return Err(Misbehaved::CommitForeign);
                }
                let session = Session { theirs: theirs.clone(), ..Session::new(self.ledger) };
                Ok(Begin::Found(Box::new(first), session))
            }
            (Message::Want(_), _) => Ok(Begin::Send(Message::Commits { commits: Vec::new(), more: false })),
            (Message::Commits { .. } | Message::Head(_), _) => Err(Misbehaved::FrameOutOfTurn),
        }
    }
}
