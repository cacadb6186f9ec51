//! What this device has to issue: renewals that are due, and the next revocation list.

use std::time::Duration;

use seal::pki::{CRL_LIFETIME, Crl, CrlRequest, IssueError, Issuer, Reason, Revoked, Serial, Validity, issue_crl};
use seal::{DeviceId, MemberId, Timestamp};

use super::state::Roster;
use super::view::{Standing, View};

/// Certificates and lists are renewed when less than this is left of them.
const RENEW_BEFORE: Duration = Duration::from_secs(60 * 24 * 3600);

/// Who this device is, and what it can sign with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Me {
    /// This member.
    pub member: MemberId,
    /// This device.
    pub device: DeviceId,
    /// This device holds the root key.
    pub holds_root: bool,
}

/// Something that runs out soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// The root's revocation list: to be issued again.
    RootCrl,
    /// This member's revocation list: to be issued again.
    MemberCrl,
    /// This device's certificate: to be issued again by this member.
    Device,
    /// The certificate of a member that this member, or the root here, certified: to be issued again.
    Member(MemberId),
    /// This member's own certificate, which only its issuer can renew.
    OwnMember(Timestamp),
}

impl Roster {
    /// What runs out within 60 days and concerns this device.
    pub fn due(&self, me: &Me, now: Timestamp) -> Vec<Due> {
        let (view, soon) = (View::new(self, now), now.plus(RENEW_BEFORE));
        let Some(own) = view.members.get(&me.member) else {
            return Vec::new();
        };
        let (root_key, own_key) = (self.root.facts().key_id, own.chain[0].facts().key_id);
        let crl_due = |key| self.crls.get(key).is_none_or(|crl: &Crl| crl.facts().next_update < soon);
        let own_crl_unusable = || self.crls.get(&own_key).is_some_and(|crl| !crl.is_by(&own.chain[0]));
        let mut due = Vec::new();
        if me.holds_root && crl_due(&root_key) {
            due.push(Due::RootCrl);
        }
        if crl_due(&own_key) || own_crl_unusable() {
            due.push(Due::MemberCrl);
        }
        if view.devices.get(&me.device).is_none_or(|device| device.chain[0].facts().not_after < soon) {
            due.push(Due::Device);
        }
        for member in view.members.values().filter(|member| member.standing != Standing::Removed) {
            let facts = member.chain[0].facts();
            let mine = facts.issuer_key_id == Some(own_key) || me.holds_root && facts.issuer_key_id == Some(root_key);
            match (facts.not_after < soon, mine) {
                (true, true) => due.push(Due::Member(member.member)),
                (true, false) if member.member == me.member => due.push(Due::OwnMember(facts.not_after)),
                _ => {}
            }
        }
        due
    }

    /// The next revocation list of `issuer`: everything revoked so far that could still be valid, and `more`.
    ///
    /// # Errors
    /// [`IssueError`].
    pub fn next_crl(&self, issuer: &Issuer<'_>, more: &[(Serial, Reason)], now: Timestamp) -> Result<Crl, IssueError> {
        let last = self.crls.get(&issuer.certificate().facts().key_id);
        let mut revoked = last.map(|crl| crl.facts().revoked.clone()).unwrap_or_default();
        for (serial, reason) in more {
            if !revoked.iter().any(|entry| entry.serial == *serial) {
                revoked.push(Revoked { serial: *serial, at: now, reason: *reason });
            }
        }
        let number = last.map_or(1, |crl| crl.facts().number.saturating_add(1));
        issue_crl(issuer, &CrlRequest { number, revoked: &revoked, validity: Validity::starting(now, CRL_LIFETIME) })
    }

    /// Serial numbers of a member's certificates by one issuer that have not ended: what a removal must revoke.
    pub fn serials_of_member(&self, member: MemberId, issuer: &Issuer<'_>, now: Timestamp) -> Vec<Serial> {
        let key = issuer.certificate().facts().key_id;
        let certificates = self.members.get(&(member, key)).into_iter().flatten();
        certificates
            .filter(|certificate| certificate.facts().not_after > now)
            .map(|certificate| certificate.serial())
            .collect()
    }

    /// Serial numbers of a device's certificates by one member that have not ended: what a removal must revoke.
    pub fn serials_of_device(&self, device: DeviceId, issuer: &Issuer<'_>, now: Timestamp) -> Vec<Serial> {
        let key = issuer.certificate().facts().key_id;
        let certificates =
            self.devices.get(&key).into_iter().flatten().filter(|certificate| certificate.device() == Some(device));
        certificates
            .filter(|certificate| certificate.facts().not_after > now)
            .map(|certificate| certificate.serial())
            .collect()
    }

    /// Who issued the certificates of a member that count: whoever wants to remove it must ask one that holds all of
    /// these keys (or the root's).
    pub fn issuers_of_member(&self, member: MemberId) -> Vec<Option<MemberId>> {
        let keys = self.members.keys().filter(|(id, _)| *id == member).map(|(_, key)| *key);
        keys.map(|key| self.authorities(key).find_map(|issuer| issuer.member())).collect()
    }

    /// Members that only stand as long as `admin` does: to be certified by somebody else before it is removed.
    pub fn depends_on(&self, admin: MemberId, now: Timestamp) -> Vec<MemberId> {
        let view = View::new(self, now);
        let leans =
            |chain: &[seal::pki::Certificate]| chain.iter().skip(1).any(|issuer| issuer.member() == Some(admin));
        view.members
            .values()
            .filter(|member| member.standing == Standing::Active && leans(&member.chain))
            .map(|member| member.member)
            .collect()
    }
}
