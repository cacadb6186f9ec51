//! What a simulated device says to another one and hears from it.

use std::collections::BTreeMap;

use seal::Timestamp;

use super::super::alarm::Alarm;
use super::super::people::people;
use super::{Device, PATIENCE_MS, Talk};
use crate::Misbehaved;
use crate::ledger::session::{Begin, Newcomer, Out, Session};
use crate::ledger::sync::Message;
use crate::ledger::{Commit, HeadStatement, Heard, Taken};

impl Device {
    /// A link to a peer is there.
    pub(in crate::simulation) fn link_up(&mut self, peer: usize) {
        let Some(mind) = &mut self.mind else { return };
        let talk = match mind.ledger {
            Some(_) => Talk::Talking { session: Session::new(people().ledger()), told: BTreeMap::new(), keeps: false },
            None => Talk::Learning { newcomer: Newcomer::new(people().ledger()), asked: false },
        };
        mind.talks.insert(peer, talk);
        mind.changed = true;
    }

    /// The link is gone.
    pub(in crate::simulation) fn link_down(&mut self, peer: usize) {
        if let Some(mind) = &mut self.mind {
            mind.talks.remove(&peer);
        }
    }

    /// Takes a message. `distrust`: the peer may offend, and then nothing of the message may stay.
    pub(in crate::simulation) fn hear(
        &mut self,
        from: usize,
        message: Message,
        now: Timestamp,
        distrust: bool,
    ) -> Result<(), Misbehaved> {
        let Some(mind) = &mut self.mind else { return Ok(()) };
        let Some(talk) = mind.talks.remove(&from) else { return Ok(()) };
        let mut shows = false;
        let talk = match talk {
            Talk::Learning { newcomer, asked } => self.hear_as_newcomer(from, newcomer, asked, message)?,
            Talk::Talking { mut session, told, keeps } => {
                let Some(ledger) = &mind.ledger else { return Ok(()) };
                let outs = session.handle(message, ledger, &self.db.shelf)?;
                let showed = outs.iter().any(|out| matches!(out, Out::Shown(_)));
                for out in outs {
                    self.perform(from, &mut session, out, now, distrust)?;
                }
                if let Some(mind) = self.mind.as_mut().filter(|_| showed && !keeps) {
                    mind.changed = true;
                }
                shows = showed;
                Talk::Talking { session, told, keeps: keeps || showed }
            }
        };
        if let Some(mind) = &mut self.mind {
            mind.talks.insert(from, talk);
        }
        if shows {
            self.suspect(from, now);
        }
        Ok(())
    }

    pub(in crate::simulation) fn hear_as_newcomer(
        &mut self,
        from: usize,
        mut newcomer: Newcomer,
        asked: bool,
        message: Message,
    ) -> Result<Talk, Misbehaved> {
        match newcomer.handle(message)? {
            Begin::Wait => Ok(Talk::Learning { newcomer, asked }),
            Begin::Send(message) => {
                let asked = asked || matches!(message, Message::Want(_));
                self.out.push((from, message));
                Ok(Talk::Learning { newcomer, asked })
            }
            Begin::Found(genesis, mut session) => {
                if self.ledger().is_none() {
                    self.adopt(*genesis)?;
                }
                let mind = self.mind.as_mut().expect("it hears");
                let ledger = mind.ledger.as_ref().expect("it was adopted");
                if let Some(Out::Send(message)) = session.begin(ledger, &self.db.shelf) {
                    self.out.push((from, message));
                }
                for talk in mind.talks.values_mut() {
                    if let Talk::Learning { asked: false, .. } = talk {
                        let session = Session::new(people().ledger());
                        *talk = Talk::Talking { session, told: BTreeMap::new(), keeps: false };
                    }
                }
                mind.changed = true;
                Ok(Talk::Talking { session, told: BTreeMap::new(), keeps: false })
            }
        }
    }

    pub(in crate::simulation) fn perform(
        &mut self,
        from: usize,
        session: &mut Session,
        out: Out,
        now: Timestamp,
        distrust: bool,
    ) -> Result<(), Misbehaved> {
        match out {
            Out::Send(message) => self.out.push((from, message)),
            Out::Take(commits) => {
                let accepted = self.take(from, commits, now, distrust)?;
                let mind = self.mind.as_ref().expect("it hears");
                let ledger = mind.ledger.as_ref().expect("there is a session");
                if let Some(next) = session.taken(accepted, ledger, &self.db.shelf) {
                    self.perform(from, session, next, now, distrust)?;
                }
            }
            Out::Shown(frontier) => {
                if let Some(mind) = &mut self.mind {
                    mind.shown.insert(from, frontier);
                }
            }
            Out::Head(head) => self.hear_head(*head),
            Out::Settled => {}
            Out::Withheld(_) => self.notice(Alarm::NotGiven(from)),
        }
        Ok(())
    }

    /// Gives commits to the ledger: all of a message, or after an offence none.
    pub(in crate::simulation) fn take(
        &mut self,
        from: usize,
        commits: Vec<Commit>,
        now: Timestamp,
        distrust: bool,
    ) -> Result<usize, Misbehaved> {
        let mind = self.mind.as_mut().expect("it hears");
        let ledger = mind.ledger.as_mut().expect("there is a session");
        let before = distrust.then(|| ledger.clone());
        let (peer, mut accepted) = (people().id(from), 0);
        for commit in commits {
            match ledger.handle(commit, Some(peer), now, &self.db.shelf) {
                Ok(taken) => accepted += usize::from(taken == Taken::Accepted),
                Err(offence) => {
                    *ledger = before.unwrap_or_else(|| panic!("{from} is honest and was refused: {offence}"));
                    return Err(offence);
                }
            }
        }
        self.settle();
        Ok(accepted)
    }

    pub(in crate::simulation) fn hear_head(&mut self, statement: HeadStatement) {
        let device = statement.held().device;
        let Some(mind) = &mut self.mind else { return };
        let speaks = mind.ledger.as_ref().is_some_and(|ledger| ledger.knows(device));
        // What this device itself has signed comes back from others where the own disk was put back.
        let known = mind.heads.of(device).map_or(0, |head| head.held().counter);
        if !speaks || (device == self.id && statement.held().counter <= known) {
            return;
        }
        let heard = mind.heads.hear(statement);
        if heard == Heard::Known {
            return;
        }
        if let Some(newest) = mind.heads.of(device) {
            self.db.heads.insert(device, newest.clone());
        }
        mind.changed = true;
        if let Heard::Rollback(_) = heard {
            self.notice(Alarm::Rollback(device));
        }
    }

    /// Compares what a peer shows with what it signed.
    pub(in crate::simulation) fn suspect(&mut self, peer: usize, now: Timestamp) {
        let Some(mind) = &mut self.mind else { return };
        let Some(frontier) = mind.shown.get(&peer).filter(|_| self.habits.compare) else { return };
        if mind.heads.withheld(people().id(peer), frontier).is_empty() || !mind.talks.contains_key(&peer) {
            mind.suspects.remove(&peer);
            return;
        }
        let since = *mind.suspects.entry(peer).or_insert(now);
        if now.0 - since.0 >= PATIENCE_MS {
            mind.suspects.remove(&peer);
            if mind.noted.insert(peer) {
                self.notice(Alarm::Withheld(peer));
            }
        }
    }
}
