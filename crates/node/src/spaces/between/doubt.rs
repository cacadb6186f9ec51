//! Whether this device's copy of a space may be an older one: it was put back from a backup, or its own signatures come back
//! from others and it does not know them. Until others were asked it signs nothing, because it would sign a number twice.

use logic::ledger::{HeadStatement, Heard};
use store::space::Standing;

use super::Between;
use super::heads;
use super::room::Room;
use crate::spaces::{Kept, SpaceFault};

impl Between {
    /// The owner says that what is here is the newest. False: it is known to be older.
    pub(crate) fn trust(&self, kept: &Kept) -> Result<bool, SpaceFault> {
        let Some(room) = self.room(kept.space.id()) else { return Ok(true) };
        Ok(!room.in_doubt()? || room.vouch()?)
    }
}

impl Room {
    /// True if it is not known that the disk is the newest.
    pub(super) fn in_doubt(&self) -> Result<bool, SpaceFault> {
        Ok(matches!(self.kept.space.standing()?, Standing::Unknown | Standing::RolledBack { .. }))
    }

    /// Looks once at the beginning; true if it is not known that the disk is the newest. Whatever this device signs, it notes
    /// with it: own commits beyond that came from others, and the device stopped before it drew the consequences.
    pub(super) fn look_back(&self) -> Result<bool, SpaceFault> {
        // In this order: something may be signed in between.
        let own = self.held()?.entries().find(|tip| tip.device == self.own.device);
        let noted = self.kept.space.peek(|store| Ok(store.watermark()?))?.commits;
        if own.is_some_and(|tip| tip.seq >= noted) && !self.in_doubt()? {
            self.kept.space.doubt()?;
        }
        self.in_doubt()
    }

    /// Takes a statement of this device that came back. True: the disk knows nothing of it, so it is an older one.
    pub(super) fn hear_own(&self, statement: HeadStatement) -> Result<bool, SpaceFault> {
        let counter = statement.held().counter;
        let known = self.kept.space.peek(|store| Ok(store.watermark()?))?.statements;
        let news = match self.facts().heads.hear(statement) {
            Heard::Known => return Ok(false),
            Heard::Newest => counter > known,
            Heard::Rollback(_) => true,
        };
        let newest = self.facts().heads.of(self.own.device).cloned();
        if let Some(newest) = newest {
            heads::store(&self.kept.space, &newest)?;
        }
        self.stated.send_modify(|count| *count += 1);
        if news {
            self.kept.space.doubt()?;
        }
        Ok(news)
    }

    /// Ends the doubts once others were asked and all that they told of is here. False: there are doubts left.
    pub(super) fn resolve(&self) -> Result<bool, SpaceFault> {
        if !self.in_doubt()? {
            return Ok(true);
        }
        let asked = {
            let facts = self.facts();
            !facts.asked.is_empty() && facts.telling.is_empty()
        };
        if !asked && !self.is_alone()? {
            return Ok(false);
        }
        self.vouch()
    }

    /// Takes what is here for the newest, unless something is known that this device signed and that is not here.
    pub(super) fn vouch(&self) -> Result<bool, SpaceFault> {
        let held = self.held()?;
        let signed = self.facts().heads.of(self.own.device).map(|last| last.held().clone());
        if signed.as_ref().is_some_and(|signed| !held.dominates(&signed.frontier)) {
            return Ok(false);
        }
        self.kept.space.vouch(signed.map_or(0, |signed| signed.counter))
    }

    /// No other device or member has, or had, anything to do with this space.
    fn is_alone(&self) -> Result<bool, SpaceFault> {
        self.kept.space.look(|ledger, _| {
            let judgement = ledger.judgement();
            let devices = judgement.devices().any(|(device, _)| device != self.own.device);
            let members = judgement.grants().map(|(_, grant)| grant.member).chain([judgement.founder()]);
            Ok(!devices && members.map(Some).all(|member| member == self.own.member))
        })
    }
}
