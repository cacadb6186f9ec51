//! The circle as this device knows it: the roster, kept sealed in the database, and what this device signs in it.
//!
//! Every change goes one way: records are made or received, merged by the roster (which verifies them), stored, and only
//! then visible. Readers take snapshots; nobody holds a lock while waiting.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use logic::Misbehaved;
use logic::hello::Credentials;
use logic::pair::invitation::Invitations;
use logic::pair::{Admitted, Asking, Decision, InviterFault, Welcoming};
use logic::roster::{
    AddressRecord, BeaconRecord, Change, Due, Me, Roster, RosterUpdate, SignedRecord, Standing, Summary, View,
};
use logic::wire::{Address, Frame};
use seal::beacon::BeaconKey;
use seal::pki::{
    Certificate, Crl, DEVICE_LIFETIME, IssueError, Issuer, MEMBER_LIFETIME, MemberRequest, ROOT_LIFETIME, Reason, Role,
    Serial, Validity, issue_device, issue_member, issue_root,
};
use seal::{DeviceId, Keyring, MemberId, SealRecipient, Timestamp};
use store::database::{Database, DatabaseError, Table};
use tokio::sync::watch;

use crate::clock;

/// Key of the one row that holds the roster.
const ROSTER: &[u8] = b"roster";

/// Why something in the circle could not be done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CircleError {
    /// This device is in no circle.
    #[error("this device is in no circle yet")]
    NoCircle,
    /// This device was revoked.
    #[error("this device has been removed from the circle")]
    Removed,
    /// A circle is there already.
    #[error("this device is in a circle already")]
    HasCircle,
    /// Only admins do this.
    #[error("only an admin of the circle can do this")]
    NotAdmin,
    /// The member was certified by others, who alone can revoke that.
    #[error("only {0} can remove this member, because {0} admitted it")]
    AdmittedBy(String),
    /// Nothing to revoke.
    #[error("there is no certificate of this device that this member could revoke")]
    NothingToRevoke,
    /// Our own records were refused: a fault here.
    #[error("the circle refused our own record: {0}")]
    OwnRecord(#[from] Misbehaved),
    /// Somebody could not be admitted.
    #[error(transparent)]
    Admission(#[from] InviterFault),
    /// Issuing did not work.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// The database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The circle that was stored is not there any more.
    #[error("the database has lost the circle of this device")]
    Gone,
    /// What is stored cannot be read.
    #[error(transparent)]
    Stored(#[from] logic::roster::BadRoster),
}

/// What the circle looks like now.
pub(crate) struct Snapshot {
    /// Members, devices, beacon keys.
    pub view: View,
    /// What this device shows in a hello; absent while its own chain does not hold.
    pub credentials: Option<Credentials>,
    /// Name of the circle.
    pub name: String,
    /// Root certificate.
    pub root: Certificate,
}

/// See the module.
pub(crate) struct Circle {
    keyring: Arc<Keyring>,
    boot: [u8; 16],
    database: Database,
    table: Table<Vec<u8>>,
    roster: RwLock<Option<Roster>>,
    snapshot: RwLock<Option<Arc<Snapshot>>>,
    /// Held from the look at the last number of a list or record of ours until the next one is taken in: of two with the
    /// same number, one would be lost.
    numbering: Mutex<()>,
    /// Held from the look at the roster until its snapshot is in place: an older one must not come after a newer one.
    refreshing: Mutex<()>,
    changed: watch::Sender<u64>,
}

impl Circle {
    /// Reads what is stored.
    pub(crate) fn open(database: &Database, keyring: Arc<Keyring>) -> Result<Self, CircleError> {
        let table = database.table("circle");
        let roster = table.get(ROSTER)?.map(|bytes: Vec<u8>| Roster::from_bytes(&bytes)).transpose()?;
        match (&roster, database.in_use()?) {
            (None, true) => return Err(CircleError::Gone),
            // Cut off between the two, or by an older version.
            (Some(_), false) => database.set_in_use()?,
            _ => {}
        }
        let circle = Self {
            keyring,
            boot: seal::random(),
            database: database.clone(),
            table,
            roster: RwLock::new(roster),
            snapshot: RwLock::new(None),
            numbering: Mutex::default(),
            refreshing: Mutex::default(),
            changed: watch::Sender::new(0),
        };
        circle.refresh();
        Ok(circle)
    }

    /// Founds a circle: root, this member as its first admin, this device, revocation lists, a beacon key.
    pub(crate) fn found(&self, circle: &str, name: &str, device: &str) -> Result<(), CircleError> {
        if self.roster.read().unwrap_or_else(PoisonError::into_inner).is_some() {
            return Err(CircleError::HasCircle);
        }
        let now = clock::now();
        let root_key = self.keyring.root.as_ref().ok_or(CircleError::NotAdmin)?;
        let root = issue_root(root_key, circle, Validity::starting(now, ROOT_LIFETIME))?;
        let issuer = Issuer::root(root_key, &root)?;
        let recipient = self.keyring.seal.recipient();
        let request = MemberRequest { member: self.member()?, name, role: Role::Admin, recipient: &recipient };
        let member = issue_member(&issuer, &request, Validity::starting(now, MEMBER_LIFETIME))?;
        let mut roster = Roster::new(root.clone());
        let root_crl = roster.next_crl(&issuer, &[], now)?;
        roster.merge(&RosterUpdate::of([&member], [&root_crl], []), now)?;
        let own = self.certify_own_device(&roster, &member, device, now)?;
        roster.merge(&own, now)?;
        let beacon =
            SignedRecord::beacon(&self.keyring.device, BeaconRecord { generation: 1, key: BeaconKey::generate() });
        roster.merge(&RosterUpdate::of([], [], [beacon]), now)?;
        self.replace(roster)
    }

    /// Takes over the roster that joining brought; this device's own certificate is in it already.
    pub(crate) fn adopt(&self, roster: Roster) -> Result<(), CircleError> {
        if self.roster.read().unwrap_or_else(PoisonError::into_inner).is_some() {
            return Err(CircleError::HasCircle);
        }
        self.replace(roster)
    }

    /// The certificate of this device and the member's first revocation list, under the member's own certificate.
    pub(crate) fn certify_own_device(
        &self,
        roster: &Roster,
        member: &Certificate,
        name: &str,
        now: Timestamp,
    ) -> Result<RosterUpdate, CircleError> {
        let key = self.keyring.member.as_ref().ok_or(CircleError::NotAdmin)?;
        let issuer = Issuer::member(key, member)?;
        let device = issue_device(&issuer, self.device(), name, Validity::starting(now, DEVICE_LIFETIME))?;
        let crl = roster.next_crl(&issuer, &[], now)?;
        Ok(RosterUpdate::of([&device], [&crl], []))
    }

    /// Stores a roster and shows it.
    fn replace(&self, roster: Roster) -> Result<(), CircleError> {
        self.table.put(ROSTER, &roster.to_bytes())?;
        self.database.set_in_use()?;
        *self.roster.write().unwrap_or_else(PoisonError::into_inner) = Some(roster);
        self.refresh();
        self.changed.send_modify(|n| *n += 1);
        Ok(())
    }

    /// Judges everything again: after a change, and now and then because time passes.
    pub(crate) fn refresh(&self) {
        let _order = self.refreshing.lock().unwrap_or_else(PoisonError::into_inner);
        let now = clock::now();
        let snapshot = self.roster.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(|roster| {
            let view = View::new(roster, now);
            let chain = roster.chain_of(self.device(), now);
            let credentials = chain.map(|chain| Credentials {
                chain,
                crls: roster.crls(),
                root: roster.root().clone(),
                boot: self.boot,
            });
            Arc::new(Snapshot { view, credentials, name: roster.circle_name().to_owned(), root: roster.root().clone() })
        });
        *self.snapshot.write().unwrap_or_else(PoisonError::into_inner) = snapshot;
    }

    /// The circle as it is now; `None` while there is none.
    pub(crate) fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.snapshot.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The same, as an error where there is none.
    pub(crate) fn now(&self) -> Result<Arc<Snapshot>, CircleError> {
        self.snapshot().ok_or(CircleError::NoCircle)
    }

    /// True if this device, its member or an admin above was revoked.
    pub(crate) fn removed(&self) -> bool {
        let own = |now: &Snapshot| now.view.devices.get(&self.device()).map(|own| own.standing);
        self.snapshot().and_then(|now| own(&now)) == Some(Standing::Removed)
    }

    /// Wakes whenever the roster has changed.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Takes in what another device or this one has said. Stored before it counts.
    pub(crate) fn merge(&self, update: &RosterUpdate) -> Result<Vec<Change>, CircleError> {
        let changes = {
            let mut slot = self.roster.write().unwrap_or_else(PoisonError::into_inner);
            let roster = slot.as_mut().ok_or(CircleError::NoCircle)?;
            let before = roster.digest();
            let mut next = roster.clone();
            let changes = next.merge(update, clock::now())?;
            if next.digest() == before {
                return Ok(changes);
            }
            self.table.put(ROSTER, &next.to_bytes())?;
            *roster = next;
            changes
        };
        self.refresh();
        self.changed.send_modify(|n| *n += 1);
        Ok(changes)
    }

    /// Looks into the roster.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&Roster) -> T) -> Result<T, CircleError> {
        self.roster.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(look).ok_or(CircleError::NoCircle)
    }

    pub(crate) fn digest(&self) -> Result<[u8; 32], CircleError> {
        self.read(Roster::digest)
    }

    pub(crate) fn summary(&self) -> Result<Summary, CircleError> {
        self.read(Roster::summary)
    }

    pub(crate) fn device(&self) -> DeviceId {
        self.keyring.device.id()
    }

    pub(crate) fn member(&self) -> Result<MemberId, CircleError> {
        self.keyring.member.as_ref().map(seal::MemberKey::id).ok_or(CircleError::NotAdmin)
    }

    /// This member's own certificate, the one its chain stands on.
    fn own_certificate(&self) -> Result<Certificate, CircleError> {
        let member = self.member()?;
        let now = self.now()?;
        now.view.members.get(&member).and_then(|own| own.chain.first()).cloned().ok_or(CircleError::NoCircle)
    }

    /// Does `work` with the strongest issuer that this device has: the root where it is here, else this member.
    fn as_issuer<T>(&self, work: impl FnOnce(&Issuer<'_>) -> Result<T, CircleError>) -> Result<T, CircleError> {
        if let Some(key) = &self.keyring.root {
            return work(&Issuer::root(key, &self.now()?.root)?);
        }
        let own = self.own_certificate()?;
        if own.facts().kind != seal::pki::Kind::Member(Role::Admin) {
            return Err(CircleError::NotAdmin);
        }
        let key = self.keyring.member.as_ref().ok_or(CircleError::NotAdmin)?;
        work(&Issuer::member(key, &own)?)
    }

    fn numbering(&self) -> MutexGuard<'_, ()> {
        self.numbering.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True if this device can admit members.
    pub(crate) fn can_admit(&self) -> bool {
        self.as_issuer(|_| Ok(())).is_ok()
    }

    /// Certifies a new member and makes it known here.
    pub(crate) fn admit(
        &self,
        member: MemberId,
        name: &str,
        role: Role,
        recipient: &SealRecipient,
    ) -> Result<Certificate, CircleError> {
        let request = MemberRequest { member, name, role, recipient };
        let now = clock::now();
        let certificate =
            self.as_issuer(|issuer| Ok(issue_member(issuer, &request, Validity::starting(now, MEMBER_LIFETIME))?))?;
        self.merge(&RosterUpdate::of([&certificate], [], []))?;
        Ok(certificate)
    }

    /// Decides about somebody who proved an invitation; the invitation is counted down in `invitations`.
    pub(crate) fn decide(&self, asking: Asking, invitations: &mut Invitations) -> Result<Decision, CircleError> {
        self.as_issuer(|issuer| self.read(|roster| Ok(asking.decide(issuer, roster, invitations, clock::now())?))?)
    }

    /// Takes a new member and its device into the roster, durably; the frame may be sent then.
    pub(crate) fn settle(&self, welcoming: Welcoming, settlement: &[u8]) -> Result<(Admitted, Frame), CircleError> {
        let done = {
            let mut slot = self.roster.write().unwrap_or_else(PoisonError::into_inner);
            let roster = slot.as_mut().ok_or(CircleError::NoCircle)?;
            let mut next = roster.clone();
            let done = welcoming.settled(settlement, &mut next, clock::now())?;
            self.table.put(ROSTER, &next.to_bytes())?;
            *roster = next;
            done
        };
        self.refresh();
        self.changed.send_modify(|n| *n += 1);
        Ok(done)
    }

    /// Revokes a member, re-certifies those who stood on it, and changes the beacon key.
    pub(crate) fn remove_member(&self, member: MemberId) -> Result<Vec<Change>, CircleError> {
        let _numbering = self.numbering();
        let now = clock::now();
        let snapshot = self.now()?;
        let orphans = self.read(|roster| roster.depends_on(member, now))?;
        let (serials, crl) = self.as_issuer(|issuer| {
            let serials = self.read(|roster| roster.serials_of_member(member, issuer, now))?;
            let crl = self.revoke(issuer, &serials, now)?;
            Ok((serials, crl))
        })?;
        let foreign = self.foreign_issuer(member, &snapshot)?;
        if let Some(name) = foreign {
            return Err(CircleError::AdmittedBy(name));
        }
        if serials.is_empty() {
            return Err(CircleError::NothingToRevoke);
        }
        for orphan in orphans.into_iter().filter(|orphan| *orphan != member) {
            if let Some(view) = snapshot.view.members.get(&orphan)
                && let Some(recipient) = &view.recipient
            {
                self.admit(orphan, &view.name, view.role, recipient)?;
            }
        }
        let mut changes = self.merge(&RosterUpdate::of([], [&crl], []))?;
        changes.extend(self.rotate_beacon()?);
        Ok(changes)
    }

    /// Who else would have to revoke `member`: an admin whose key is not here.
    fn foreign_issuer(&self, member: MemberId, snapshot: &Snapshot) -> Result<Option<String>, CircleError> {
        let own = self.member().ok();
        let mine = |issuer: &Option<MemberId>| match issuer {
            None => self.keyring.root.is_some(),
            Some(issuer) => Some(*issuer) == own && self.keyring.root.is_none(),
        };
        let issuers = self.read(|roster| roster.issuers_of_member(member))?;
        Ok(issuers.into_iter().find(|issuer| !mine(issuer)).map(|issuer| {
            let admin = issuer.and_then(|issuer| snapshot.view.members.get(&issuer));
            admin.map_or_else(|| "the circle's founder".to_owned(), |admin| admin.shown.clone())
        }))
    }

    /// Revokes one device of this member.
    pub(crate) fn remove_own_device(&self, device: DeviceId) -> Result<Vec<Change>, CircleError> {
        let _numbering = self.numbering();
        let now = clock::now();
        let own = self.own_certificate()?;
        let key = self.keyring.member.as_ref().ok_or(CircleError::NotAdmin)?;
        let issuer = Issuer::member(key, &own)?;
        let serials = self.read(|roster| roster.serials_of_device(device, &issuer, now))?;
        if serials.is_empty() {
            return Err(CircleError::NothingToRevoke);
        }
        let crl = self.revoke(&issuer, &serials, now)?;
        self.merge(&RosterUpdate::of([], [&crl], []))
    }

    fn revoke(&self, issuer: &Issuer<'_>, serials: &[Serial], now: Timestamp) -> Result<Crl, CircleError> {
        let more: Vec<_> = serials.iter().map(|serial| (*serial, Reason::PrivilegeWithdrawn)).collect();
        Ok(self.read(|roster| roster.next_crl(issuer, &more, now))??)
    }

    /// A new beacon key, which somebody who was removed does not get.
    fn rotate_beacon(&self) -> Result<Vec<Change>, CircleError> {
        let generation = self.now()?.view.beacon_generation + 1;
        let record =
            SignedRecord::beacon(&self.keyring.device, BeaconRecord { generation, key: BeaconKey::generate() });
        self.merge(&RosterUpdate::of([], [], [record]))
    }

    /// Tells the circle where this device can be reached, if that is new.
    pub(crate) fn announce(&self, addresses: Vec<Address>) -> Result<(), CircleError> {
        let _numbering = self.numbering();
        let Some(own) =
            self.now()?.view.devices.get(&self.device()).map(|own| (own.addresses.clone(), own.address_counter))
        else {
            return Ok(());
        };
        if own.0 == addresses {
            return Ok(());
        }
        // Time as a floor: a home that was restored from a backup must not fall behind its own past.
        let counter = (own.1 + 1).max(u64::try_from(clock::now().0).unwrap_or(0));
        let record = AddressRecord { member: self.member()?, counter, addresses };
        self.merge(&RosterUpdate::of([], [], [SignedRecord::address(&self.keyring.device, record)]))?;
        Ok(())
    }

    /// Renews what this device can renew; tells what it renewed, and what runs out without it being able to help.
    pub(crate) fn renew(&self) -> Result<Renewed, CircleError> {
        let _numbering = self.numbering();
        let now = clock::now();
        let me = Me { member: self.member()?, device: self.device(), holds_root: self.keyring.root.is_some() };
        let mut renewed = Renewed::default();
        for due in self.read(|roster| roster.due(&me, now))? {
            match due {
                Due::RootCrl => {
                    let crl = self.as_issuer(|issuer| self.revoke(issuer, &[], now))?;
                    self.merge(&RosterUpdate::of([], [&crl], []))?;
                }
                Due::MemberCrl | Due::Device => {
                    let own = self.own_certificate()?;
                    let name = self.now()?.view.devices.get(&self.device()).map(|device| device.name.clone());
                    let update = self.read(|roster| {
                        self.certify_own_device(roster, &own, name.as_deref().unwrap_or("device"), now)
                    })??;
                    self.merge(&update)?;
                    renewed.certificates.insert("device", now.plus(DEVICE_LIFETIME));
                }
                Due::Member(member) => {
                    let snapshot = self.now()?;
                    if let Some(view) = snapshot.view.members.get(&member)
                        && let Some(recipient) = &view.recipient
                    {
                        self.admit(member, &view.name, view.role, recipient)?;
                        renewed.certificates.insert("member", now.plus(MEMBER_LIFETIME));
                    }
                }
                Due::OwnMember(ends) => renewed.ending = Some(ends),
            }
        }
        Ok(renewed)
    }
}

/// What [`Circle::renew`] did.
#[derive(Debug, Default)]
pub(crate) struct Renewed {
    /// Kind of certificate, and when the new one ends.
    pub certificates: BTreeMap<&'static str, Timestamp>,
    /// This member's own certificate ends then, and its issuer has not renewed it yet.
    pub ending: Option<Timestamp>,
}

/// How often certificates are looked at.
pub(crate) const RENEWAL_EVERY: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Barrier;

    use seal::{MemberKey, RootKey, SealIdentity};

    use super::*;

    #[test]
    fn members_that_are_removed_at_the_same_time_are_all_removed() {
        let dir = tempfile::tempdir().unwrap();
        let keyring = Keyring { root: Some(RootKey::generate()), ..Keyring::generate() };
        let database = Database::create(&dir.path().join("database"), keyring.records.clone()).unwrap();
        let circle = Circle::open(&database, Arc::new(keyring)).unwrap();
        circle.found("home", "ada", "laptop").unwrap();
        let others: Vec<_> = (0..8).map(|_| MemberKey::generate().id()).collect();
        for (number, other) in others.iter().enumerate() {
            let recipient = SealIdentity::generate().recipient();
            circle.admit(*other, &format!("member {number}"), Role::Editor, &recipient).unwrap();
        }
        let together = Barrier::new(others.len());
        std::thread::scope(|scope| {
            for other in &others {
                scope.spawn(|| {
                    together.wait();
                    circle.remove_member(*other).unwrap();
                });
            }
        });
        let now = circle.snapshot().unwrap();
        let standing: Vec<_> = others.iter().map(|other| now.view.members[other].standing).collect();
        assert_eq!(standing, [Standing::Removed; 8]);
    }
}
