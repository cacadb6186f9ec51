//! What a simulated device does by itself, and what it signs.

use std::collections::BTreeSet;

use seal::{DeviceId, Timestamp};

use super::super::alarm::{Alarm, Happened};
use super::super::keys::{self, Key};
use super::super::people::people;
use super::{Device, Mark, PATIENCE_MS, Talk, draft, is_due};
use crate::ledger::sync::{self, Message};
use crate::ledger::{
    Commit, CommitId, Control, Draft, EpochId, Frontier, HeadStatement, Header, Kind, Ledger, RealmId, Shelf,
    SpaceRole, Taken,
};
use crate::space::Change;

impl Device {
    /// What is done when it was quiet for a while.
    pub(in crate::simulation) fn tick(&mut self, now: Timestamp, fresh: Key) {
        let peers: Vec<_> = self.mind.iter().flat_map(|mind| mind.suspects.keys().copied()).collect();
        for peer in peers {
            self.suspect(peer, now);
        }
        self.enter(now);
        self.rekey_due(now, fresh);
        self.state(now);
        let (mut missing, mut lacks) = (false, false);
        if let Some(mind) = &mut self.mind
            && let Some(ledger) = &mind.ledger
        {
            for gap in ledger.gaps().filter(|gap| now.0 - gap.since.0 >= PATIENCE_MS) {
                missing |= mind.gaps.insert(gap.wanted.id);
            }
            let epoch = ledger.judgement().writers_epoch(RealmId::ROOT);
            let reads = ledger.judgement().cap_for(self.id, RealmId::ROOT, SpaceRole::Reader).is_some();
            let missing = reads && epoch.is_some_and(|epoch| !self.db.keys.contains_key(&epoch.id));
            lacks = missing && !std::mem::replace(&mut mind.lacks, missing);
        }
        if missing {
            self.notice(Alarm::Gap);
        }
        if lacks {
            self.notice(Alarm::KeyMissing);
        }
    }

    /// True if something is to be done in a while: gaps or suspects to look at again.
    pub(in crate::simulation) fn is_waiting(&self) -> bool {
        self.suspects() || self.ledger().is_some_and(|ledger| ledger.gaps().next().is_some())
    }

    pub(in crate::simulation) fn enter(&mut self, now: Timestamp) {
        let Some(ledger) = self.ledger().filter(|ledger| !ledger.knows(self.id)) else { return };
        let realms = ledger.judgement().realms().map(|(realm, _)| realm).chain([RealmId::ROOT]);
        let member = people().member(self.number);
        if realms.into_iter().any(|realm| ledger.judgement().role_of(member, realm).is_some()) {
            let body = Control::Enter(people().entry(self.number)).to_bytes();
            let none = CommitId::ZERO;
            self.sign(&draft(Kind::Enter, RealmId::ROOT, none, none, self.clock(now)), now, |_| body);
        }
    }

    /// The time by its clock.
    pub(in crate::simulation) fn clock(&self, now: Timestamp) -> Timestamp {
        Timestamp(now.0 + self.skew)
    }

    /// New keys where somebody lacks one who may read, or has one who may not.
    pub(in crate::simulation) fn rekey_due(&mut self, now: Timestamp, fresh: Key) {
        let Some(ledger) = self.ledger() else { return };
        let inside = ledger.judgement().realms().map(|(realm, _)| realm);
        let realms: Vec<_> = std::iter::once(RealmId::ROOT).chain(inside).collect();
        for realm in realms {
            let owns = |ledger: &Ledger| ledger.judgement().cap_for(self.id, realm, SpaceRole::Owner).is_some();
            if self.ledger().is_some_and(|ledger| owns(ledger) && is_due(ledger, realm)) {
                self.rekey(realm, now, fresh, |_, _| {});
            }
        }
    }

    /// Who may read a realm, and who can have its newest keys, for whoever looks for a fault.
    pub(in crate::simulation) fn words_on_keys(&self, realm: RealmId) -> String {
        let Some(judgement) = self.ledger().map(Ledger::judgement) else { return String::new() };
        let names = |devices: &BTreeSet<DeviceId>| devices.iter().map(|id| people().number(*id)).collect::<Vec<_>>();
        let epoch = |epoch: &crate::ledger::Epoch| {
            let rekey = self.ledger().and_then(|ledger| ledger.control(&epoch.id)?.control());
            let Some(Control::Rekey(rekey)) = rekey else { return String::new() };
            let wraps: BTreeSet<_> = rekey.wraps.iter().map(|wrap| wrap.device).collect();
            let links = [&rekey.back, &rekey.parent].map(|link| link.as_ref().map(|link| link.epoch));
            let holders = judgement.holders(realm, epoch.id).map(names);
            format!("\n  {epoch:?} for {:?}, back and parent {links:?}, held by {holders:?}", names(&wraps))
        };
        let all = judgement.epochs(realm);
        let epochs: String = all.iter().rev().take(4).map(epoch).collect();
        let (count, readers) = (all.len(), names(&judgement.readers(realm)));
        format!(
            "{realm:?}: {count} keys, due: {:?}, readers {readers:?}{epochs}",
            self.ledger().map(|l| is_due(l, realm))
        )
    }

    /// A new key for a realm; `twist` is what a cheat makes of it.
    pub(in crate::simulation) fn rekey(
        &mut self,
        realm: RealmId,
        now: Timestamp,
        fresh: Key,
        twist: impl FnOnce(&mut crate::ledger::Rekey, &Key),
    ) -> Option<CommitId> {
        let fresh = blake3::derive_key("warren simulation epoch", &[&fresh[..], realm.as_bytes()].concat());
        let ledger = self.ledger()?;
        let judgement = ledger.judgement();
        let cap = judgement.cap_for(self.id, realm, SpaceRole::Owner)?;
        let number = judgement.epochs(realm).len() as u64 + 1;
        let wraps =
            judgement.readers(realm).into_iter().map(|device| keys::wrap(device, realm, number, &fresh)).collect();
        let link =
            |epoch: EpochId, outer: &Key, key: &Key| crate::ledger::Link { epoch, sealed: keys::under(outer, key) };
        let before = judgement.epochs(realm).last().map(|epoch| epoch.id);
        let back = before.and_then(|epoch| Some(link(epoch, &fresh, self.db.keys.get(&epoch)?)));
        let around = judgement.realm(realm).filter(|facts| facts.inherit).map(|facts| facts.parent);
        // Not under a key that somebody can have who may not read inside.
        let outer = around.and_then(|parent| {
            let epoch = judgement.writers_epoch(parent)?.id;
            judgement.holders(parent, epoch)?.is_subset(&judgement.readers(realm)).then_some(epoch)
        });
        let parent = outer.and_then(|epoch| Some(link(epoch, self.db.keys.get(&epoch)?, &fresh)));
        let commitment = keys::commitment(&fresh);
        let mut rekey = crate::ledger::Rekey { number, commitment, wraps, back, parent };
        twist(&mut rekey, &fresh);
        let body = Control::Rekey(rekey).to_bytes();
        self.sign(&draft(Kind::Rekey, realm, cap, CommitId::ZERO, self.clock(now)), now, |_| body)
    }

    /// Signs what it holds, unless it is what was signed last. Nothing is signed on a disk that may be older.
    pub(in crate::simulation) fn state(&mut self, now: Timestamp) {
        let time = self.clock(now);
        if self.db.mark != self.mark && !self.raised {
            return;
        }
        let Some(mind) = &mut self.mind else { return };
        let Some(ledger) = mind.ledger.as_ref().filter(|ledger| ledger.knows(self.id)) else { return };
        let held = sync::shown(&sync::summary(ledger));
        let last = mind.heads.of(self.id).map(HeadStatement::held);
        // Unknown what was signed last, or not all of it is here again: the disk was put back.
        let known = last.map_or(0, |last| last.counter) == self.db.mark.statements || !self.habits.guard;
        let more = last.is_none_or(|last| held.dominates(&last.frontier) && last.frontier != held);
        if !known || (!more && self.habits.guard) {
            return;
        }
        let counter = self.db.mark.statements + 1;
        let key = &people().keys[self.number];
        let statement = HeadStatement::make(key, people().ledger(), counter, time, held);
        mind.heads.hear(statement.clone());
        mind.changed = true;
        self.db.heads.insert(self.id, statement.clone());
        self.log.push(Happened::Stated(statement));
        self.raise(Mark { statements: counter, ..self.db.mark });
    }

    /// Tells peers what they do not know. Once for everything that an event changed.
    pub(in crate::simulation) fn tell_news(&mut self) {
        let Some(mind) = &mut self.mind else { return };
        if !std::mem::take(&mut mind.changed) {
            return;
        }
        let Some(ledger) = &mind.ledger else { return };
        for (peer, talk) in &mut mind.talks {
            let Talk::Talking { session, told, keeps } = talk else { continue };
            self.out.extend(session.news(ledger).map(|have| (*peer, have)));
            for statement in mind.heads.all().filter(|_| *keeps) {
                let held = statement.held();
                let known = told.insert(held.device, held.counter);
                if known.is_none_or(|counter| counter < held.counter) {
                    let bytes = serde_bytes::ByteBuf::from(statement.as_bytes());
                    self.out.push((*peer, Message::Head(bytes)));
                }
            }
        }
    }

    /// Signs and takes a commit. `None`: it may not, or its disk is older than what it signed.
    pub(in crate::simulation) fn sign(
        &mut self,
        draft: &Draft,
        now: Timestamp,
        body: impl FnOnce(&Header) -> Vec<u8>,
    ) -> Option<CommitId> {
        let header = self.ledger()?.next_header(self.id, draft).ok()?;
        self.sign_header(header, now, body)
    }

    /// Signs whatever header, as far as the own ledger takes it.
    pub(in crate::simulation) fn sign_header(
        &mut self,
        header: Header,
        now: Timestamp,
        body: impl FnOnce(&Header) -> Vec<u8>,
    ) -> Option<CommitId> {
        let older = header.seq < self.mark.commits || self.db.mark.statements < self.mark.statements;
        if self.habits.guard && older {
            // Once: whoever tries again and again has nothing new to say.
            if self.mind.as_mut().is_some_and(|mind| !std::mem::replace(&mut mind.older, true)) {
                self.notice(Alarm::OlderDisk);
            }
            return None;
        }
        let body = body(&header);
        let commit = Commit::make(&people().keys[self.number], header, body).expect("within limits");
        let (id, seq) = (commit.id(), commit.header().seq);
        let ledger = self.mind.as_mut()?.ledger.as_mut()?;
        if ledger.handle(commit, None, now, &self.db.shelf) != Ok(Taken::Accepted) {
            return None;
        }
        self.log.push(Happened::Signed(id));
        self.raise(Mark { commits: seq + 1, tip: Some(id), ..self.db.mark });
        self.settle();
        Some(id)
    }

    /// What an own commit had seen, itself included.
    pub(in crate::simulation) fn past_of(&self, id: CommitId) -> Frontier {
        let (mut way, mut at, mut past) = (Vec::new(), Some(id), Frontier::default());
        while let Some(commit) = at.and_then(|id| self.db.shelf.commit(&id)) {
            at = Some(commit.header().previous);
            way.push(commit);
        }
        for commit in way.into_iter().rev() {
            commit.header().seen.iter().for_each(|seen| past.set(seen.device, seen.seq, seen.id));
            past.set(self.id, commit.header().seq, commit.id());
        }
        past
    }

    /// A control commit under the best grant.
    pub(in crate::simulation) fn decide(
        &mut self,
        realm: RealmId,
        control: &Control,
        now: Timestamp,
    ) -> Option<CommitId> {
        let cap = self.ledger()?.judgement().cap_for(self.id, realm, SpaceRole::Owner)?;
        let body = control.to_bytes();
        self.sign(&draft(control.kind(), realm, cap, CommitId::ZERO, self.clock(now)), now, |_| body)
    }

    /// Takes an own device away; no role is needed.
    pub(in crate::simulation) fn drop_own(&mut self, control: &Control, now: Timestamp) -> Option<CommitId> {
        let body = control.to_bytes();
        let none = CommitId::ZERO;
        self.sign(&draft(Kind::Revoke, RealmId::ROOT, none, none, self.clock(now)), now, |_| body)
    }

    /// Writes changes to a realm, under a key that only those have who may read.
    pub(in crate::simulation) fn write(
        &mut self,
        realm: RealmId,
        now: Timestamp,
        fresh: Key,
        changes: impl FnOnce(&Self, u64) -> Vec<Change>,
    ) -> Option<CommitId> {
        let judgement = self.ledger()?.judgement();
        let cap = judgement.cap_for(self.id, realm, SpaceRole::Editor)?;
        if judgement.cap_for(self.id, realm, SpaceRole::Owner).is_some() && is_due(self.ledger()?, realm) {
            self.rekey(realm, now, fresh, |_, _| {})?;
        }
        let judgement = self.ledger()?.judgement();
        let epoch = judgement.writers_epoch(realm)?;
        let key = *self.db.keys.get(&epoch.id)?;
        let readers = judgement.readers(realm);
        let draft = draft(Kind::Data, realm, cap, epoch.id, self.clock(now));
        let header = self.ledger()?.next_header(self.id, &draft).ok()?;
        let plain = Change::write_all(&changes(self, header.seq)).ok()?;
        let id = self.sign_header(header, now, |header| keys::seal_body(&key, header, &plain))?;
        self.log.push(Happened::Wrote { epoch: epoch.id, clean: epoch.clean, readers });
        Some(id)
    }
}
