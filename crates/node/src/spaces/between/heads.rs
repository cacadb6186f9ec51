//! Signed statements of what devices hold: made, stored, and compared.

use logic::ledger::evidence::Signed;
use logic::ledger::sync::{shown, summary};
use logic::ledger::{Frontier, HeadStatement, Heads, Heard};
use seal::{DeviceId, Timestamp};
use store::space::Watermark;

use super::evidence::{self, Kind};
use super::room::Room;
use crate::spaces::{Space, SpaceFault};

/// Under which kind of value statements are stored, by device.
const HEADS: &str = "head";
/// A peer may be behind with what it shows: its statement may have come by a faster way.
const PATIENCE_MS: i64 = 30_000;

/// The statements that were stored; one that cannot be read is left out.
pub(super) fn stored(space: &Space) -> Result<Heads, SpaceFault> {
    let mut heads = Heads::default();
    for (_, bytes) in space.peek(|store| Ok(store.values(HEADS)?))? {
        if let Ok(statement) = HeadStatement::read(&bytes) {
            heads.hear(statement);
        }
    }
    Ok(heads)
}

pub(super) fn store(space: &Space, statement: &HeadStatement) -> Result<(), SpaceFault> {
    let device = statement.held().device;
    space.jot(|store| Ok(store.set_value(HEADS, device.as_bytes(), statement.as_bytes())?))
}

impl Room {
    /// Signs what is held here, unless it is what was signed last. Nothing is signed while it is not sure that the disk is
    /// the newest, nor before this device has entered.
    pub(super) fn state(&self, now: Timestamp) -> Result<bool, SpaceFault> {
        let space = &self.kept.space;
        if !self.resolve()? {
            return Ok(false);
        }
        // Of each branch: what is shown never grows less, whatever branch counts.
        let (entered, held) = space.look(|ledger, _| Ok((ledger.knows(self.own.device), shown(&summary(ledger)))))?;
        let same = self.facts().heads.of(self.own.device).is_some_and(|last| last.held().frontier == held);
        if !entered || same {
            return Ok(false);
        }
        let statement = space.jot(|store| {
            let mark = store.watermark()?;
            let counter = mark.statements + 1;
            let statement = HeadStatement::make(&space.keys.device, space.id(), counter, now, held);
            store.raise(Watermark { statements: counter, ..mark })?;
            store.set_value(HEADS, self.own.device.as_bytes(), statement.as_bytes())?;
            Ok(statement)
        })?;
        self.facts().heads.hear(statement);
        self.stated.send_modify(|count| *count += 1);
        Ok(true)
    }

    /// Takes what somebody else signed. True: it proves that its device rolled back.
    pub(super) fn hear_head(&self, statement: HeadStatement, now: Timestamp) -> Result<bool, SpaceFault> {
        let device = statement.held().device;
        let speaks = self.kept.space.look(|ledger, _| Ok(ledger.knows(device)))?;
        if !speaks {
            return Ok(false);
        }
        let heard = self.facts().heads.hear(statement);
        if heard == Heard::Known {
            return Ok(false);
        }
        let newest = self.facts().heads.of(device).cloned();
        if let Some(newest) = newest {
            store(&self.kept.space, &newest)?;
        }
        self.stated.send_modify(|count| *count += 1);
        match heard {
            Heard::Rollback(proof) => {
                evidence::keep(&self.kept.space, Kind::Proof(Signed::rollback(&proof)), device, now)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// A peer shows that it has this. True: for a while now it has shown less than it signed.
    pub(super) fn hear_shown(&self, peer: DeviceId, frontier: Frontier, now: Timestamp) -> Result<bool, SpaceFault> {
        let mut facts = self.facts();
        let less = !facts.heads.withheld(peer, &frontier).is_empty();
        let before = facts.shown.insert(peer, (frontier.clone(), now));
        let first = before.is_none();
        if first && less || before.is_some_and(|(before, _)| !frontier.dominates(&before)) {
            // Its disk is an older one: objects may lack as well.
            facts.anew.insert(peer);
        }
        drop(facts);
        if first {
            // What waited until the peer keeps the space: objects for it.
            self.stated.send_modify(|count| *count += 1);
        }
        self.suspect(peer, now)
    }

    /// Compares what a peer shows with what it signed.
    pub(super) fn suspect(&self, peer: DeviceId, now: Timestamp) -> Result<bool, SpaceFault> {
        let mut facts = self.facts();
        let Some((frontier, _)) = facts.shown.get(&peer).cloned() else { return Ok(false) };
        if facts.heads.withheld(peer, &frontier).is_empty() {
            facts.suspects.remove(&peer);
            return Ok(false);
        }
        let since = *facts.suspects.entry(peer).or_insert(now);
        if now.0 - since.0 < PATIENCE_MS || !facts.noted.insert(peer) {
            return Ok(false);
        }
        let signed = facts.heads.of(peer).cloned();
        drop(facts);
        // A device that has no role here any more is shown less, and rightly.
        let Some(signed) = signed.filter(|_| matches!(self.own_role(), Ok(Some(_)))) else { return Ok(false) };
        evidence::keep(&self.kept.space, Kind::withheld(&signed, &frontier), peer, now)?;
        Ok(true)
    }

    /// Statements that a peer has not been told: with each the device and the counter.
    pub(super) fn statements(&self) -> Vec<HeadStatement> {
        self.facts().heads.all().cloned().collect()
    }
}
