//! Taking in what others know: everything is verified before anything is accepted.

use seal::Timestamp;
use seal::pki::{Certificate, Crl, Kind, PkiFault, check_link};

use super::messages::RosterUpdate;
use super::record::{Record, SignedRecord};
use super::state::{Kept, Roster};
use super::view::{Change, View};
use crate::Misbehaved;
use crate::limits::{CRL_BYTES, MEMBERS, ROSTER_BATCH_ITEMS};
use crate::wire::Address;

impl Roster {
    /// Takes in an update, whole or not at all. What is known or older than what is known changes nothing.
    ///
    /// The time decides nothing about what is accepted; it is for the changes that are reported.
    ///
    /// # Errors
    /// The first offence; the roster is as before then.
    pub fn merge(&mut self, update: &RosterUpdate, now: Timestamp) -> Result<Vec<Change>, Misbehaved> {
        if update.len() > ROSTER_BATCH_ITEMS {
            return Err(Misbehaved::RosterTooLong);
        }
        let mut next = self.clone();
        for der in &update.certificates {
            next.take_certificate(der)?;
        }
        for der in &update.crls {
            next.take_crl(der)?;
        }
        for record in &update.records {
            next.take_record(record)?;
        }
        if next == *self {
            return Ok(Vec::new());
        }
        let changes = Change::between(&View::new(self, now), &View::new(&next, now));
        *self = next;
        Ok(changes)
    }

    fn take_certificate(&mut self, der: &[u8]) -> Result<(), Misbehaved> {
        let certificate = Certificate::from_der(der.to_vec()).map_err(|_| Misbehaved::CertificateInvalid)?;
        if certificate == self.root || self.holds(&certificate) {
            return Ok(());
        }
        let Some(issuer_key) = certificate.facts().issuer_key_id else {
            return Err(Misbehaved::CertificateForeign);
        };
        let verdicts = || self.authorities(issuer_key).map(|issuer| check_link(&certificate, issuer));
        if !verdicts().any(|verdict| verdict.is_ok()) {
            return match verdicts().find_map(|verdict| verdict.err().filter(|fault| *fault != PkiFault::WrongIssuer)) {
                Some(fault) => Err(fault.into()),
                // The issuer had another role or name then, and its certificate of that time is forgotten.
                None if self.authorities(issuer_key).next().is_some() => Ok(()),
                None => Err(Misbehaved::RosterUnanchored),
            };
        }
        self.keep_certificate(&certificate);
        if self.member_count() > MEMBERS { Err(Misbehaved::RosterOverflow) } else { Ok(()) }
    }

    fn take_crl(&mut self, der: &[u8]) -> Result<(), Misbehaved> {
        if der.len() > CRL_BYTES {
            return Err(Misbehaved::CrlTooBig);
        }
        let crl = Crl::from_der(der.to_vec()).map_err(|_| Misbehaved::CrlInvalid)?;
        let key = crl.facts().issuer_key_id;
        if self.crls.get(&key) == Some(&crl) {
            return Ok(());
        }
        if self.authorities(key).next().is_none() {
            return Err(Misbehaved::CrlWrongIssuer);
        }
        if !self.authorities(key).any(|issuer| crl.is_by(issuer)) {
            return Err(Misbehaved::CrlForged);
        }
        self.keep_crl(&crl);
        Ok(())
    }

    fn take_record(&mut self, signed: &SignedRecord) -> Result<(), Misbehaved> {
        let signed = signed.clone();
        match signed.open()? {
            Record::Address(record) => {
                if self.certificates_of_device(signed.by).next().is_none() {
                    return Err(Misbehaved::RosterUnanchored);
                }
                if !record.addresses.iter().all(Address::is_usable) {
                    return Err(Misbehaved::AddressRecordInvalid);
                }
                self.keep_address(Kept { record, signed });
            }
            Record::Beacon(record) => {
                if !self.is_admins(signed.by) {
                    return Err(Misbehaved::BeaconKeyUnauthorized);
                }
                self.keep_beacon(Kept { record, signed });
            }
        }
        Ok(())
    }

    fn holds(&self, certificate: &Certificate) -> bool {
        match (certificate.facts().kind, certificate.facts().issuer_key_id) {
            (Kind::Device, Some(key)) => self.devices.get(&key).is_some_and(|kept| kept.contains(certificate)),
            _ => self.members.values().any(|kept| kept.contains(certificate)),
        }
    }

    fn member_count(&self) -> usize {
        let mut members: Vec<_> = self.members.keys().map(|(member, _)| *member).collect();
        members.dedup();
        members.len()
    }
}
