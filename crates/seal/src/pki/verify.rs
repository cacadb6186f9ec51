//! Verification: does this chain hold now?
//!
//! Two judges must agree on a device. Ours knows the circle: who may certify whom, names derived from keys, roles,
//! revocation lists that must be there and current. `rustls-webpki` judges by RFC 5280 alone, including name
//! constraints and path lengths. (It takes no authority as the end of a chain, so members are judged by ours only.)
//! `openssl verify -x509_strict -crl_check_all` agrees with both; tests hold the three against each other.

use super::certified::{CertifiedDevice, CertifiedMember};
use super::name::{circle_domain, subdomain};
use super::{Certificate, Crl, Kind, ROOT_PATH_LEN, Role};
use crate::{CircleId, Timestamp};
use pki_types::{CertificateDer, UnixTime};
use std::time::Duration;
use webpki::{
    BorrowedCertRevocationList, CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, RevocationCheckDepth,
    RevocationOptionsBuilder, UnknownStatusPolicy,
};

/// Most certificates of a chain without its root: a device and [`ROOT_PATH_LEN`] authorities.
pub const MAX_CHAIN: usize = 1 + ROOT_PATH_LEN as usize;

/// Why a chain does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum PkiFault {
    /// A certificate's signature does not verify under its issuer's key.
    #[error("a signature in the certificate chain does not hold")]
    BadSignature,
    /// The revocation list of an issuer is from the future.
    #[error("a revocation list is not valid yet (is a clock wrong?)")]
    CrlNotYetValid,
    /// No certificates.
    #[error("the certificate chain is empty")]
    Empty,
    /// A certificate's end has passed.
    #[error("a certificate has expired")]
    Expired,
    /// An authority that is neither root nor member.
    #[error("a certificate was issued by something that may not issue any")]
    IssuerNotAuthority,
    /// A member certified by a member that is no admin.
    #[error("a member was certified by a member that is no admin")]
    IssuerNotAdmin,
    /// No revocation list of an issuer was given.
    #[error("the revocation list of an issuer is missing")]
    NoCrl,
    /// The chain does not begin with a device's certificate.
    #[error("not a device's certificate")]
    NotADevice,
    /// The chain does not begin with a member's certificate.
    #[error("not a member's certificate")]
    NotAMember,
    /// The anchor is not a root certificate signed by itself.
    #[error("not a root certificate")]
    NotARoot,
    /// A certificate's beginning lies in the future.
    #[error("a certificate is not valid yet (is a clock wrong?)")]
    NotYetValid,
    /// A DNS name that does not belong to the certified key under its issuer.
    #[error("a certificate reaches beyond its issuer's names")]
    OutsideNames,
    /// More authorities in a row than an authority above allows.
    #[error("the certificate chain is longer than its authorities allow")]
    PathTooLong,
    /// The second judge refuses what the first accepts.
    #[error("the certificate chain breaks a rule of RFC 5280")]
    RefusedByStandard,
    /// An issuer's revocation list names the certificate.
    #[error("a certificate was revoked")]
    Revoked,
    /// The newest revocation list of an issuer is out of date.
    #[error("a revocation list is out of date")]
    StaleCrl,
    /// The names of the circle differ along the chain.
    #[error("a certificate is of another circle")]
    WrongCircle,
    /// A certificate names another issuer than the next one of the chain.
    #[error("a certificate names another issuer")]
    WrongIssuer,
}

/// Verifies a device: `chain` is its certificate, its member's, and those of the admins above, without the root.
/// Lists in `crls` that belong to nobody in the chain are ignored.
///
/// # Errors
/// The first [`PkiFault`], seen from the root.
pub fn verify_device(
    root: &Certificate,
    chain: &[Certificate],
    crls: &[Crl],
    now: Timestamp,
) -> Result<CertifiedDevice, PkiFault> {
    let [leaf, authorities @ ..] = chain else {
        return Err(PkiFault::Empty);
    };
    let device = leaf.device().ok_or(PkiFault::NotADevice)?;
    let current = walk(root, chain, crls, now)?;
    ask_webpki(root, leaf, authorities, &current, now)?;
    let owner = certified_member(root, authorities).ok_or(PkiFault::IssuerNotAuthority)?;
    Ok(CertifiedDevice {
        device,
        device_name: leaf.facts().name.clone(),
        owner,
        not_after: first_end(root, chain),
        serials: chain.iter().map(Certificate::serial).collect(),
    })
}

/// Verifies a member: `chain` is its certificate and those of the admins above, without the root.
///
/// # Errors
/// The first [`PkiFault`], seen from the root.
pub fn verify_member(
    root: &Certificate,
    chain: &[Certificate],
    crls: &[Crl],
    now: Timestamp,
) -> Result<CertifiedMember, PkiFault> {
    let leaf = chain.first().ok_or(PkiFault::Empty)?;
    leaf.member().ok_or(PkiFault::NotAMember)?;
    walk(root, chain, crls, now)?;
    certified_member(root, chain).ok_or(PkiFault::NotAMember)
}

/// Checks that `root` is a circle's root certificate, valid now. Whether it is the right one, nobody can tell from it.
///
/// # Errors
/// [`PkiFault::NotARoot`], [`PkiFault::NotYetValid`], [`PkiFault::Expired`].
pub fn verify_root(root: &Certificate, now: Timestamp) -> Result<CircleId, PkiFault> {
    let facts = root.facts();
    let is_root = facts.kind == Kind::Root
        && facts.circle == facts.name
        && facts.path_len == Some(ROOT_PATH_LEN)
        && root.names_issuer(root)
        && root.signed_by(&facts.public_key).is_ok();
    if !is_root {
        return Err(PkiFault::NotARoot);
    }
    check_time(root, now)?;
    Ok(CircleId::of_root_key(&facts.public_key))
}

/// Walks from the root down; returns the current revocation list of every authority passed.
fn walk<'a>(
    root: &Certificate,
    chain: &[Certificate],
    crls: &'a [Crl],
    now: Timestamp,
) -> Result<Vec<&'a Crl>, PkiFault> {
    if chain.len() > MAX_CHAIN {
        return Err(PkiFault::PathTooLong);
    }
    verify_root(root, now)?;
    let mut current = Vec::with_capacity(chain.len());
    let mut issuer = root;
    for certificate in chain.iter().rev() {
        check_link(certificate, issuer)?;
        check_time(certificate, now)?;
        let crl = current_crl(issuer, crls, now)?;
        let names_the_root = issuer == root && crl.facts().revokes(root.serial());
        if crl.facts().revokes(certificate.serial()) || names_the_root {
            return Err(PkiFault::Revoked);
        }
        current.push(crl);
        issuer = certificate;
    }
    Ok(current)
}

/// Whether `issuer` may have made `certificate`, and did. Time and revocation aside.
pub fn check_link(certificate: &Certificate, issuer: &Certificate) -> Result<(), PkiFault> {
    let (facts, above) = (certificate.facts(), issuer.facts());
    if !certificate.names_issuer(issuer) {
        return Err(PkiFault::WrongIssuer);
    }
    certificate.signed_by(&above.public_key).map_err(|_| PkiFault::BadSignature)?;
    if facts.circle != above.circle {
        return Err(PkiFault::WrongCircle);
    }
    match (facts.kind, above.kind) {
        (Kind::Member(_), Kind::Root | Kind::Member(Role::Admin)) | (Kind::Device, Kind::Member(_)) => {}
        (Kind::Member(_), Kind::Member(_)) => return Err(PkiFault::IssuerNotAdmin),
        (Kind::Root, _) | (_, Kind::Root | Kind::Device) => return Err(PkiFault::IssuerNotAuthority),
    }
    check_path_len(certificate, issuer)?;
    check_names(certificate, issuer)
}

/// Path lengths fall by one or more from admin to admin and are 0 for all others, who certify devices only.
fn check_path_len(certificate: &Certificate, issuer: &Certificate) -> Result<(), PkiFault> {
    let above = issuer.facts().path_len.unwrap_or(0);
    let fits = match (certificate.facts().kind, certificate.facts().path_len) {
        (Kind::Member(Role::Admin), Some(length)) => length >= 1 && length < above,
        (Kind::Member(_), Some(length)) => length == 0 && above >= 1,
        (Kind::Device, None) => true,
        _ => false,
    };
    if fits { Ok(()) } else { Err(PkiFault::PathTooLong) }
}

/// DNS names are those of the keys: `<member>.<circle>` for members, `<device>.<member>.<circle>` for devices.
fn check_names(certificate: &Certificate, issuer: &Certificate) -> Result<(), PkiFault> {
    let (facts, above) = (certificate.facts(), issuer.facts());
    let parent = match (facts.kind, above.kind) {
        (Kind::Member(_), Kind::Root) => circle_domain(&above.public_key),
        (Kind::Member(_), _) => above.permitted.clone().ok_or(PkiFault::OutsideNames)?,
        _ => above.dns_name.clone().ok_or(PkiFault::OutsideNames)?,
    };
    let own = subdomain(&facts.public_key, &parent);
    let permitted = match facts.kind {
        Kind::Member(Role::Admin) => Some(&parent),
        Kind::Member(_) => Some(&own),
        Kind::Root | Kind::Device => None,
    };
    let fits = facts.dns_name.as_ref() == Some(&own) && facts.permitted.as_ref() == permitted;
    if fits { Ok(()) } else { Err(PkiFault::OutsideNames) }
}

/// Whole seconds; the last second is outside, as openssl has it.
fn check_time(certificate: &Certificate, now: Timestamp) -> Result<(), PkiFault> {
    let now = now.seconds();
    if now < certificate.facts().not_before.seconds() {
        return Err(PkiFault::NotYetValid);
    }
    if now >= certificate.facts().not_after.seconds() {
        return Err(PkiFault::Expired);
    }
    Ok(())
}

/// The newest list that `issuer` really made. An older one that is still in date does not count: it may hide what the
/// newest revokes.
fn current_crl<'a>(issuer: &Certificate, crls: &'a [Crl], now: Timestamp) -> Result<&'a Crl, PkiFault> {
    let newest = crls.iter().filter(|crl| crl.is_by(issuer)).max_by_key(|crl| crl.facts().number);
    let crl = newest.ok_or(PkiFault::NoCrl)?;
    if now.seconds() < crl.facts().this_update.seconds() {
        return Err(PkiFault::CrlNotYetValid);
    }
    if now.seconds() >= crl.facts().next_update.seconds() {
        return Err(PkiFault::StaleCrl);
    }
    Ok(crl)
}

fn certified_member(root: &Certificate, chain: &[Certificate]) -> Option<CertifiedMember> {
    let leaf = chain.first()?;
    let facts = leaf.facts();
    let Kind::Member(role) = facts.kind else {
        return None;
    };
    Some(CertifiedMember {
        member: leaf.member()?,
        member_name: facts.name.clone(),
        role,
        recipient: facts.recipient.clone()?,
        circle: CircleId::of_root_key(&root.facts().public_key),
        circle_name: facts.circle.clone(),
        not_after: first_end(root, chain),
        serials: chain.iter().map(Certificate::serial).collect(),
    })
}

fn first_end(root: &Certificate, chain: &[Certificate]) -> Timestamp {
    chain.iter().map(|certificate| certificate.facts().not_after).fold(root.facts().not_after, Timestamp::min)
}

/// The second judge.
fn ask_webpki(
    root: &Certificate,
    leaf: &Certificate,
    authorities: &[Certificate],
    crls: &[&Crl],
    now: Timestamp,
) -> Result<(), PkiFault> {
    second_opinion(root, leaf, authorities, crls, now).map_err(|_| PkiFault::RefusedByStandard)
}

pub(crate) fn second_opinion(
    root: &Certificate,
    leaf: &Certificate,
    authorities: &[Certificate],
    crls: &[&Crl],
    now: Timestamp,
) -> Result<(), webpki::Error> {
    let root = CertificateDer::from(root.der());
    let anchors = [webpki::anchor_from_trusted_cert(&root)?];
    let leaf = CertificateDer::from(leaf.der());
    let authorities: Vec<_> = authorities.iter().map(|authority| CertificateDer::from(authority.der())).collect();
    let crls: Vec<CertRevocationList<'_>> = crls
        .iter()
        .map(|crl| BorrowedCertRevocationList::from_der(crl.der()).map(Into::into))
        .collect::<Result<_, _>>()?;
    let crls: Vec<_> = crls.iter().collect();
    let revocation = RevocationOptionsBuilder::new(&crls)
        .map_err(|_| webpki::Error::UnknownRevocationStatus)?
        .with_depth(RevocationCheckDepth::Chain)
        .with_status_policy(UnknownStatusPolicy::Deny)
        .with_expiration_policy(ExpirationPolicy::Enforce)
        .build();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now.seconds()).unwrap_or(0)));
    let leaf = EndEntityCert::try_from(&leaf)?;
    // The profile demands both usages, so that asking for one is enough.
    let (algorithms, usage) = (&[webpki::aws_lc_rs::ED25519], KeyUsage::client_auth());
    leaf.verify_for_usage(algorithms, &anchors, &authorities, now, usage, Some(revocation), None)?;
    Ok(())
}
