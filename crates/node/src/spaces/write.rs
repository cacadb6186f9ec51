//! What this device signs in a space.
//!
//! Whoever signs raises the watermark in the same transaction, so that a disk that was put back to an older state is
//! noticed before a number is signed twice. Who loses the right to read, and a new key, go into one transaction as well:
//! nothing is written in between that the one could read.

use std::path::Path;
use std::sync::Arc;

use logic::ledger::{
    Commit, CommitId, Control, Draft, Entry, EpochId, Header, Kind, Ledger, RealmId, RevokeReason, SpaceRole, Taken,
    Target,
};
use logic::space::{Change, Tree};
use seal::{DeviceId, Keyring, MemberId, Timestamp, body};
use serde_bytes::ByteBuf;
use store::space::{Transaction, Watermark};

use super::pen::Pen;
use super::space::{Work, context};
use super::{Outcome, Space, SpaceFault, epochs};

/// For whom a device speaks: its certificates (DER), its own first, the circle's root left out.
pub type Chain = Vec<ByteBuf>;

impl Space {
    /// Founds a space in a new file: its first commit, the key of its root realm, and its name. `root` is the circle's
    /// root certificate (DER).
    ///
    /// # Errors
    /// [`SpaceFault`], here and below.
    pub fn found(
        path: &Path,
        keys: Arc<Keyring>,
        root: Vec<u8>,
        chain: Chain,
        name: &str,
        now: Timestamp,
    ) -> Result<Self, SpaceFault> {
        let entry = Entry { chain, sealing: epochs::offers(&keys.read) };
        let control = Control::Genesis { root: ByteBuf::from(root), entry };
        let genesis = Commit::make(&keys.device, Header::genesis(keys.device.id(), now), control.to_bytes())?;
        let tip = genesis.id();
        let space = Self::adopt(path, keys, genesis)?;
        space.change(|work| {
            work.store.raise(Watermark { commits: 1, tip, ..work.store.watermark()? })?;
            let mut pen = Pen::open(&space, work, RealmId::ROOT, now)?;
            pen.push(Change::Name { name: ByteBuf::from(name) })?;
            pen.finish().map(drop)
        })?;
        Ok(space)
    }

    /// Enters with this device, if it has not.
    ///
    /// # Errors
    /// As above.
    pub fn enter(&self, chain: Chain, now: Timestamp) -> Result<Outcome, SpaceFault> {
        let entry = Control::Enter(Entry { chain, sealing: epochs::offers(&self.keys.read) });
        let draft = Draft {
            kind: Kind::Enter,
            realm: RealmId::ROOT,
            cap: CommitId::ZERO,
            epoch: CommitId::ZERO,
            time: now,
            sure: true,
        };
        let ((), outcome) = self.change(|work| {
            if !work.ledger.knows(self.device()) {
                self.sign(work, &draft, |_| Ok(entry.to_bytes()))?;
            }
            Ok(())
        })?;
        Ok(outcome)
    }

    /// Writes changes to a realm, under a key that only those have who may read. `changes` is given the tree, this device
    /// and the number of the commit, from which the ids of new nodes follow; what it gives besides comes out.
    ///
    /// # Errors
    /// As above, and those of `changes`.
    pub fn write<T>(
        &self,
        realm: RealmId,
        now: Timestamp,
        changes: impl FnOnce(&Tree<&Transaction<'_>>, DeviceId, u64) -> Result<(Vec<Change>, T), SpaceFault>,
    ) -> Result<(CommitId, T, Outcome), SpaceFault> {
        let ((id, value), outcome) = self.change(|work| {
            self.prepare(work, realm, now)?;
            let mut made = None;
            let store = work.store;
            let id = self.sign_changes(work, realm, now, |header| {
                let (changes, value) = changes(&Tree::new(store), header.device, header.seq)?;
                made = Some(value);
                Ok(changes)
            })?;
            Ok((id, made.ok_or(SpaceFault::NoKey)?))
        })?;
        Ok((id, value, outcome))
    }

    /// Before something is written to a realm: it needs a key that only those have who may read.
    pub(super) fn prepare(&self, work: &mut Work<'_, '_>, realm: RealmId, now: Timestamp) -> Result<(), SpaceFault> {
        if self.may_change_keys(work.ledger, realm) && epochs::is_due(work.ledger, realm) {
            self.rekey(work, realm, now)?;
            self.settle(work)?;
        }
        Ok(())
    }

    /// Signs one commit of changes.
    pub(super) fn sign_changes(
        &self,
        work: &mut Work<'_, '_>,
        realm: RealmId,
        now: Timestamp,
        changes: impl FnOnce(&Header) -> Result<Vec<Change>, SpaceFault>,
    ) -> Result<CommitId, SpaceFault> {
        let draft = self.draft(work.ledger, Kind::Data, realm, SpaceRole::Editor, now)?;
        let epoch = work.ledger.judgement().writers_epoch(realm).ok_or(SpaceFault::NoKey)?.id;
        let store = work.store;
        let key = epochs::key(store, &epoch)?.ok_or(SpaceFault::NoKey)?;
        self.sign(work, &Draft { epoch, ..draft }, |header| {
            let changes = Change::write_all(&changes(header)?)?;
            Ok(body::seal(&key, &context(store.ledger(), header), &changes)?)
        })
    }

    /// The number of the next commit of changes to a realm.
    pub(super) fn next_seq(&self, ledger: &Ledger, realm: RealmId, now: Timestamp) -> Result<u64, SpaceFault> {
        let draft = self.draft(ledger, Kind::Data, realm, SpaceRole::Editor, now)?;
        Ok(ledger.next_header(self.device(), &draft)?.seq)
    }

    /// Gives a member a role on a realm, and the keys with it.
    ///
    /// # Errors
    /// As above.
    pub fn grant(
        &self,
        realm: RealmId,
        member: MemberId,
        role: SpaceRole,
        now: Timestamp,
    ) -> Result<Outcome, SpaceFault> {
        self.decide(realm, Kind::Grant, &Control::Grant { member, role }, now)
    }

    /// Takes somebody away, and changes the keys so that nothing later can be read with what they have.
    ///
    /// # Errors
    /// As above.
    pub fn revoke(
        &self,
        realm: RealmId,
        target: Target,
        reason: RevokeReason,
        now: Timestamp,
    ) -> Result<Outcome, SpaceFault> {
        self.decide(realm, Kind::Revoke, &Control::Revoke { target, reason }, now)
    }

    /// New keys where somebody lacks one who may read, or has one who may not, as far as this device may change that.
    ///
    /// # Errors
    /// As above.
    pub fn rekey_where_due(&self, now: Timestamp) -> Result<Outcome, SpaceFault> {
        let ((), outcome) = self.change(|work| self.rekey_due(work, now))?;
        Ok(outcome)
    }

    /// Signs what an owner decides, and what follows for the keys.
    fn decide(&self, realm: RealmId, kind: Kind, control: &Control, now: Timestamp) -> Result<Outcome, SpaceFault> {
        let ((), outcome) = self.change(|work| {
            self.rule(work, realm, kind, control, now)?;
            self.rekey_due(work, now)
        })?;
        Ok(outcome)
    }

    /// Signs what an owner decides.
    pub(super) fn rule(
        &self,
        work: &mut Work<'_, '_>,
        realm: RealmId,
        kind: Kind,
        control: &Control,
        now: Timestamp,
    ) -> Result<CommitId, SpaceFault> {
        let draft = self.draft(work.ledger, kind, realm, SpaceRole::Owner, now)?;
        let id = self.sign(work, &draft, |_| Ok(control.to_bytes()))?;
        self.settle(work)?;
        Ok(id)
    }

    /// Takes a device of this member away, everywhere: that needs no role.
    pub(super) fn drop_own_device(
        &self,
        work: &mut Work<'_, '_>,
        device: DeviceId,
        reason: RevokeReason,
        now: Timestamp,
    ) -> Result<CommitId, SpaceFault> {
        let control = Control::Revoke { target: Target::OwnDevice(device), reason };
        let draft = Draft {
            kind: Kind::Revoke,
            realm: RealmId::ROOT,
            cap: CommitId::ZERO,
            epoch: CommitId::ZERO,
            time: now,
            sure: true,
        };
        let id = self.sign(work, &draft, |_| Ok(control.to_bytes()))?;
        self.settle(work)?;
        Ok(id)
    }

    pub(super) fn rekey_due(&self, work: &mut Work<'_, '_>, now: Timestamp) -> Result<(), SpaceFault> {
        self.settle(work)?;
        let inside = work.ledger.judgement().realms().map(|(realm, _)| realm);
        let mut realms: Vec<_> = std::iter::once(RealmId::ROOT).chain(inside).collect();
        realms.retain(|realm| self.may_change_keys(work.ledger, *realm));
        for realm in realms {
            if epochs::is_due(work.ledger, realm) {
                self.rekey(work, realm, now)?;
                // The key of a realm inside may lie under this one.
                self.settle(work)?;
            }
        }
        Ok(())
    }

    fn may_change_keys(&self, ledger: &Ledger, realm: RealmId) -> bool {
        ledger.judgement().cap_for(self.device(), realm, SpaceRole::Owner).is_some()
    }

    fn rekey(&self, work: &mut Work<'_, '_>, realm: RealmId, now: Timestamp) -> Result<EpochId, SpaceFault> {
        let draft = self.draft(work.ledger, Kind::Rekey, realm, SpaceRole::Owner, now)?;
        let rekey = self.seeker(work.ledger).renew(realm, work.store)?;
        self.sign(work, &draft, |_| Ok(Control::Rekey(rekey).to_bytes()))
    }

    fn draft(
        &self,
        ledger: &Ledger,
        kind: Kind,
        realm: RealmId,
        role: SpaceRole,
        now: Timestamp,
    ) -> Result<Draft, SpaceFault> {
        let cap = ledger.judgement().cap_for(self.device(), realm, role).ok_or(SpaceFault::MayNot(role))?;
        Ok(Draft { kind, realm, cap, epoch: CommitId::ZERO, time: now, sure: true })
    }

    /// Signs and takes a commit of this device.
    pub(super) fn sign(
        &self,
        work: &mut Work<'_, '_>,
        draft: &Draft,
        body: impl FnOnce(&Header) -> Result<Vec<u8>, SpaceFault>,
    ) -> Result<CommitId, SpaceFault> {
        let header = work.ledger.next_header(self.device(), draft)?;
        let body = body(&header)?;
        let commit = Commit::make(&self.keys.device, header, body)?;
        let (id, commits) = (commit.id(), commit.header().seq + 1);
        match work.ledger.handle(commit, None, draft.time, work.store)? {
            Taken::Accepted => {}
            other => return Err(SpaceFault::OwnCommit(other)),
        }
        work.store.raise(Watermark { commits, tip: id, ..work.store.watermark()? })?;
        Ok(id)
    }
}
