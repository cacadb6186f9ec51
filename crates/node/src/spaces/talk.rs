//! What a space and another device say to each other: the session decides, this performs it.

use logic::ledger::session::{Out, Session};
use logic::ledger::sync::Message;
use logic::ledger::{Commit, Frontier, HeadStatement, Seen, Taken};
use seal::{DeviceId, Timestamp};
use store::space::Standing;

use super::{Outcome, Space, SpaceFault};

/// What came of a message.
#[derive(Debug, Default)]
pub struct Heard {
    /// To the peer.
    pub answers: Vec<Message>,
    /// What changed here.
    pub outcome: Outcome,
    /// What the peer shows that it has.
    pub shown: Option<Frontier>,
    /// What the peer, or somebody through it, signed that it holds.
    pub head: Option<Box<HeadStatement>>,
    /// Everything that the peer told of is here.
    pub settled: bool,
    /// What the peer told of and does not give.
    pub withheld: Vec<Seen>,
    /// Commits of this device came that it did not know of: what is stored here is older than what it signed.
    pub own_came: bool,
}

impl Heard {
    fn take(&mut self, out: Out) {
        match out {
            Out::Send(message) => self.answers.push(message),
            Out::Shown(frontier) => self.shown = Some(frontier),
            Out::Head(head) => self.head = Some(head),
            Out::Settled => self.settled = true,
            Out::Withheld(missing) => self.withheld = missing,
            Out::Take(_) => {}
        }
    }
}

impl Space {
    /// Takes what somebody sent; says how much was new, and whether this device signed some of that and did not know.
    fn take(
        &self,
        commits: Vec<Commit>,
        from: DeviceId,
        now: Timestamp,
    ) -> Result<((usize, bool), Outcome), SpaceFault> {
        let (own, sure) = (self.device(), matches!(self.standing()?, Standing::Good | Standing::Behind));
        let (taken, outcome) = self.change(|work| {
            let (mut accepted, mut own_came) = (0, false);
            for commit in commits {
                let device = commit.device();
                if work.ledger.handle(commit, Some(from), now, work.store)? == Taken::Accepted {
                    accepted += 1;
                    own_came |= sure && device == own;
                }
            }
            Ok((accepted, own_came))
        })?;
        if taken.1 {
            self.doubt()?;
        }
        Ok((taken, outcome))
    }

    /// The beginning of a session: the peer may have told what it has.
    ///
    /// # Errors
    /// [`SpaceFault`].
    pub fn greet(&self, session: &mut Session) -> Result<Heard, SpaceFault> {
        let mut heard = Heard::default();
        let next = self.look(|ledger, store| Ok(session.begin(ledger, store)))?;
        next.into_iter().for_each(|out| heard.take(out));
        Ok(heard)
    }

    /// Takes a message of a session about this space.
    ///
    /// # Errors
    /// [`SpaceFault::Misbehaved`] ends the session: of the commits that came with it none was taken.
    pub fn hear(
        &self,
        session: &mut Session,
        peer: DeviceId,
        message: Message,
        now: Timestamp,
    ) -> Result<Heard, SpaceFault> {
        let outs = self.look(|ledger, store| Ok(session.handle(message, ledger, store)?))?;
        let mut heard = Heard::default();
        for out in outs {
            let Out::Take(commits) = out else {
                heard.take(out);
                continue;
            };
            let ((accepted, own_came), outcome) = self.take(commits, peer, now)?;
            heard.own_came |= own_came;
            self.reconcile()?;
            // A message brings one batch at most.
            heard.outcome = outcome;
            let next = self.look(|ledger, store| Ok(session.taken(accepted, ledger, store)))?;
            next.into_iter().for_each(|out| heard.take(out));
        }
        Ok(heard)
    }

    /// What a session has to tell the peer now.
    ///
    /// # Errors
    /// [`SpaceFault`].
    pub fn news(&self, session: &mut Session) -> Result<Option<Message>, SpaceFault> {
        self.look(|ledger, _| Ok(session.news(ledger)))
    }
}
