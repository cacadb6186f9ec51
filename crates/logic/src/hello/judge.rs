//! What both sides check about the other one.

use seal::Timestamp;
use seal::pki::{Certificate, CertifiedDevice, Crl, PkiFault, verify_device};

use super::message::{Context, Side, Signed, Statement};
use super::{Credentials, PeerProven};
use crate::Misbehaved;
use crate::wire::{self, Version};

/// A statement whose channel, key, proof and chain hold.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) statement: Statement,
    device: CertifiedDevice,
    chain: Vec<Certificate>,
    newer_crls: Vec<Crl>,
}

impl Judged {
    pub(super) fn proven(self, version: Version) -> PeerProven {
        PeerProven {
            device: self.device,
            chain: self.chain,
            newer_crls: self.newer_crls,
            boot: self.statement.boot,
            version,
        }
    }
}

/// Cheap checks first; certificates are looked at only after the proof holds.
pub(super) fn judge(
    signed: &Signed,
    side: Side,
    context: &Context,
    first: &[u8],
    credentials: &Credentials,
    now: Timestamp,
) -> Result<Judged, Misbehaved> {
    let statement: Statement = wire::decode(&signed.statement)?;
    if statement.channel != context.tag() {
        return Err(Misbehaved::HelloReplayed);
    }
    let chain = statement.chain()?;
    let leaf = chain.first().ok_or(Misbehaved::ChainEmpty)?.device().ok_or(Misbehaved::CertificateInvalid)?;
    if leaf == context.local {
        return Err(Misbehaved::HelloReflected);
    }
    if leaf != context.remote {
        return Err(Misbehaved::HelloKeyMismatch);
    }
    signed.check(side, context, first)?;
    let theirs = statement.crls()?;
    let crls: Vec<_> = credentials.crls.iter().chain(&theirs).cloned().collect();
    let verdict = verify_device(&credentials.root, &chain, &crls, now);
    let (device, newer_crls) = match (verdict, news(&chain, &theirs, credentials)) {
        (Ok(device), Ok(newer_crls)) => (device, newer_crls),
        // A forged list does not count, so its issuer's is missing: the forgery is the better name for it.
        (Ok(_) | Err(PkiFault::NoCrl), Err(offence)) => return Err(offence),
        (Err(fault), _) => return Err(fault.into()),
    };
    Ok(Judged { statement, device, chain, newer_crls })
}

/// The list among `crls` by which a certificate of `chain` is revoked.
pub(super) fn revoking<'a>(chain: &[Certificate], root: &Certificate, crls: &'a [Crl]) -> Option<&'a Crl> {
    let issuers = chain.iter().skip(1).chain([root]);
    let mut issued = chain.iter().zip(issuers);
    issued.find_map(|(certificate, issuer)| {
        crls.iter().find(|crl| crl.facts().revokes(certificate.serial()) && crl.is_by(issuer))
    })
}

/// Those of their lists that are newer than ours. Every list must be by an issuer of the chain.
fn news(chain: &[Certificate], theirs: &[Crl], credentials: &Credentials) -> Result<Vec<Crl>, Misbehaved> {
    let issuers = || chain.iter().skip(1).chain([&credentials.root]);
    for crl in theirs {
        if !issuers().any(|issuer| crl.is_by(issuer)) {
            let named = issuers().any(|issuer| crl.facts().issuer_key_id == issuer.facts().key_id);
            return Err(if named { Misbehaved::CrlForged } else { Misbehaved::CrlWrongIssuer });
        }
    }
    let known = |crl: &Crl| {
        let same_issuer =
            credentials.crls.iter().filter(|other| other.facts().issuer_key_id == crl.facts().issuer_key_id);
        same_issuer.map(|other| other.facts().number).max()
    };
    Ok(theirs.iter().filter(|crl| known(crl).is_none_or(|number| crl.facts().number > number)).cloned().collect())
}
