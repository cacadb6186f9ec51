//! Issuing: what the holders of root and member keys sign. Everything issued is read back and judged by the rules of
//! verification before it is handed out.

use super::certificate::RECIPIENT_URI;
use super::name::{circle_domain, subdomain};
use super::parse::key_id;
use super::verify::check_link;
use super::{
    BadName, Certificate, Crl, Kind, Malformed, PkiFault, ROOT_PATH_LEN, Reason, Revoked, Role, Serial, Validity,
    valid_name,
};
use crate::{DeviceId, MemberId, MemberKey, RootKey, SealRecipient, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType, DnValue,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyIdMethod, KeyUsagePurpose, NameConstraints, PublicKeyData,
    RevocationReason, RevokedCertParams, SanType, SerialNumber, SignatureAlgorithm, SigningKey,
};
use time::OffsetDateTime;

/// 9999-12-31T23:59:59Z, the last second that X.509 can express.
const LAST_SECOND: i64 = 253_402_300_799;

/// Why something was not issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// The name breaks a rule.
    #[error(transparent)]
    Name(#[from] BadName),
    /// The key is not the one that the issuer's certificate certifies, or that certificate is of the wrong kind.
    #[error("the key does not belong to the issuer's certificate")]
    WrongKey,
    /// The issuer may not certify this, or nobody could under it.
    #[error("the issuer may not certify this: {0}")]
    NotAllowed(PkiFault),
    /// The end is not after the beginning, or outside 1970 to 9999.
    #[error("the validity is not possible")]
    Validity,
    /// What was made is not what was meant.
    #[error("the result does not follow the profile: {0}")]
    Malformed(Malformed),
}

/// A key together with its certificate: an authority.
#[derive(Clone, Copy, Debug)]
pub struct Issuer<'a> {
    certificate: &'a Certificate,
    key: Signer<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Signer<'a> {
    Root(&'a RootKey),
    Member(&'a MemberKey),
}

impl<'a> Issuer<'a> {
    /// A circle's root as authority.
    ///
    /// # Errors
    /// [`IssueError::WrongKey`] when `certificate` is not this key's root certificate.
    pub fn root(key: &'a RootKey, certificate: &'a Certificate) -> Result<Self, IssueError> {
        let fits = certificate.facts().kind == Kind::Root && certificate.facts().public_key == key.public();
        fits.then_some(Self { certificate, key: Signer::Root(key) }).ok_or(IssueError::WrongKey)
    }

    /// A member as authority.
    ///
    /// # Errors
    /// [`IssueError::WrongKey`] when `certificate` is not this key's member certificate.
    pub fn member(key: &'a MemberKey, certificate: &'a Certificate) -> Result<Self, IssueError> {
        let fits = certificate.member() == Some(key.id());
        fits.then_some(Self { certificate, key: Signer::Member(key) }).ok_or(IssueError::WrongKey)
    }

    /// The certificate of the authority.
    #[must_use]
    pub fn certificate(&self) -> &'a Certificate {
        self.certificate
    }

    /// Under which the DNS names of everything certified here lie.
    fn domain(&self) -> String {
        let facts = self.certificate.facts();
        facts.dns_name.clone().unwrap_or_else(|| circle_domain(&facts.public_key))
    }

    fn circle_domain(&self) -> String {
        let domain = self.domain();
        match self.certificate.facts().kind {
            Kind::Member(_) => domain.split_once('.').map_or(domain.clone(), |(_, circle)| circle.to_owned()),
            Kind::Root | Kind::Device => domain,
        }
    }
}

/// A member to be certified.
#[derive(Clone, Copy, Debug)]
pub struct MemberRequest<'a> {
    /// Its key; the issuer must have seen a proof of possession.
    pub member: MemberId,
    /// Its name; the issuer must have checked that the circle has no other with the same [`name_key`](super::name_key).
    pub name: &'a str,
    /// What it may do.
    pub role: Role,
    /// To whom files for it are sealed.
    pub recipient: &'a SealRecipient,
}

/// A revocation list to be signed.
#[derive(Clone, Copy, Debug)]
pub struct CrlRequest<'a> {
    /// Must be higher than that of every earlier list of this issuer.
    pub number: u64,
    /// Everything that the issuer ever revoked and that has not expired.
    pub revoked: &'a [Revoked],
    /// From when to when it is current.
    pub validity: Validity,
}

/// Makes the root certificate of a new circle.
///
/// # Errors
/// [`IssueError::Name`], [`IssueError::Validity`].
pub fn issue_root(key: &RootKey, circle: &str, validity: Validity) -> Result<Certificate, IssueError> {
    valid_name(circle)?;
    let mut params = base(circle, Kind::Root, circle, &key.public(), validity)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(ROOT_PATH_LEN));
    params.key_usages = ca_usages();
    let made = params.self_signed(&Signing::new(Signer::Root(key)));
    read_back(&made.expect("all parameters were given"))
}

/// Certifies a member.
///
/// # Errors
/// [`IssueError`]; only a root or an admin with room below it may.
pub fn issue_member(
    issuer: &Issuer<'_>,
    request: &MemberRequest<'_>,
    validity: Validity,
) -> Result<Certificate, IssueError> {
    valid_name(request.name)?;
    let certificate = member_certificate(issuer, request, validity)?;
    check_link(&certificate, issuer.certificate).map_err(IssueError::NotAllowed)?;
    Ok(certificate)
}

/// Certifies a device of the member that issues.
///
/// # Errors
/// [`IssueError`]; only a member may.
pub fn issue_device(
    issuer: &Issuer<'_>,
    device: DeviceId,
    name: &str,
    validity: Validity,
) -> Result<Certificate, IssueError> {
    valid_name(name)?;
    let certificate = device_certificate(issuer, device, name, validity)?;
    check_link(&certificate, issuer.certificate).map_err(IssueError::NotAllowed)?;
    Ok(certificate)
}

/// Signs a revocation list.
///
/// # Errors
/// [`IssueError::Validity`], [`IssueError::Malformed`] (a serial listed twice).
pub fn issue_crl(issuer: &Issuer<'_>, request: &CrlRequest<'_>) -> Result<Crl, IssueError> {
    let validity = request.validity;
    check_validity(validity)?;
    let revoked_certs = request.revoked.iter().map(revoked_params).collect::<Result<_, _>>()?;
    let params = CertificateRevocationListParams {
        this_update: moment(validity.not_before)?,
        next_update: moment(validity.not_after)?,
        crl_number: SerialNumber::from(request.number),
        issuing_distribution_point: None,
        revoked_certs,
        key_identifier_method: key_identifier(issuer.certificate),
    };
    let made = with_issuer(issuer, |signing| params.signed_by(signing)).expect("all parameters were given");
    let crl = Crl::from_der(made.der().to_vec()).map_err(IssueError::Malformed)?;
    if crl.is_by(issuer.certificate) { Ok(crl) } else { Err(IssueError::WrongKey) }
}

/// A member's certificate, whether or not the issuer may make it.
pub(crate) fn member_certificate(
    issuer: &Issuer<'_>,
    request: &MemberRequest<'_>,
    validity: Validity,
) -> Result<Certificate, IssueError> {
    let key = request.member.as_bytes();
    let domain = subdomain(key, &issuer.circle_domain());
    let path_len = match request.role {
        Role::Admin => issuer.certificate.facts().path_len.unwrap_or(0).saturating_sub(1),
        Role::Editor | Role::Reader | Role::Storage => 0,
    };
    let permitted = if request.role == Role::Admin { issuer.circle_domain() } else { domain.clone() };
    let kind = Kind::Member(request.role);
    let mut params = base(&issuer.certificate.facts().circle, kind, request.name, key, validity)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path_len));
    params.key_usages = ca_usages();
    params.use_authority_key_identifier_extension = true;
    let uri = format!("{RECIPIENT_URI}{}", request.recipient);
    params.subject_alt_names = vec![dns(&domain), SanType::URI(uri.try_into().expect("recipients are ASCII"))];
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName(permitted)],
        excluded_subtrees: Vec::new(),
    });
    sign(issuer, &params, key)
}

/// A device's certificate, whether or not the issuer may make it.
pub(crate) fn device_certificate(
    issuer: &Issuer<'_>,
    device: DeviceId,
    name: &str,
    validity: Validity,
) -> Result<Certificate, IssueError> {
    sign(issuer, &device_params(issuer, device, name, validity)?, device.as_bytes())
}

fn device_params(
    issuer: &Issuer<'_>,
    device: DeviceId,
    name: &str,
    validity: Validity,
) -> Result<CertificateParams, IssueError> {
    let key = device.as_bytes();
    let mut params = base(&issuer.certificate.facts().circle, Kind::Device, name, key, validity)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    params.subject_alt_names = vec![dns(&subdomain(key, &issuer.domain()))];
    Ok(params)
}

fn base(
    circle: &str,
    kind: Kind,
    name: &str,
    public_key: &[u8; 32],
    validity: Validity,
) -> Result<CertificateParams, IssueError> {
    check_validity(validity)?;
    let mut params = CertificateParams::default();
    params.not_before = moment(validity.not_before)?;
    params.not_after = moment(validity.not_after)?;
    params.serial_number = Some(SerialNumber::from(Serial::random().as_bytes().to_vec()));
    params.distinguished_name = distinguished_name(circle, kind, name);
    params.key_identifier_method = KeyIdMethod::PreSpecified(key_id(public_key).to_vec());
    Ok(params)
}

fn distinguished_name(circle: &str, kind: Kind, name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::OrganizationName, DnValue::Utf8String(circle.to_owned()));
    distinguished.push(DnType::OrganizationalUnitName, DnValue::Utf8String(kind.as_str().to_owned()));
    distinguished.push(DnType::CommonName, DnValue::Utf8String(name.to_owned()));
    distinguished
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().expect("labels are ASCII"))
}

fn ca_usages() -> Vec<KeyUsagePurpose> {
    vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign]
}

fn key_identifier(certificate: &Certificate) -> KeyIdMethod {
    KeyIdMethod::PreSpecified(certificate.facts().key_id.to_vec())
}

fn sign(issuer: &Issuer<'_>, params: &CertificateParams, key: &[u8; 32]) -> Result<Certificate, IssueError> {
    let made = with_issuer(issuer, |signing| params.signed_by(&Subject(*key), signing));
    read_back(&made.expect("all parameters were given"))
}

fn with_issuer<T>(issuer: &Issuer<'_>, sign: impl FnOnce(&rcgen::Issuer<'_, Signing<'_>>) -> T) -> T {
    let facts = issuer.certificate.facts();
    let mut params = CertificateParams::default();
    params.distinguished_name = distinguished_name(&facts.circle, facts.kind, &facts.name);
    params.key_identifier_method = key_identifier(issuer.certificate);
    params.key_usages = ca_usages();
    sign(&rcgen::Issuer::from_params(&params, Signing::new(issuer.key)))
}

fn read_back(made: &rcgen::Certificate) -> Result<Certificate, IssueError> {
    Certificate::from_der(made.der().to_vec()).map_err(IssueError::Malformed)
}

fn revoked_params(revoked: &Revoked) -> Result<RevokedCertParams, IssueError> {
    let reason_code = match revoked.reason {
        Reason::Unspecified => None,
        Reason::KeyCompromise => Some(RevocationReason::KeyCompromise),
        Reason::Superseded => Some(RevocationReason::Superseded),
        Reason::CessationOfOperation => Some(RevocationReason::CessationOfOperation),
        Reason::PrivilegeWithdrawn => Some(RevocationReason::PrivilegeWithdrawn),
    };
    Ok(RevokedCertParams {
        serial_number: SerialNumber::from(revoked.serial.as_bytes().to_vec()),
        revocation_time: moment(revoked.at)?,
        reason_code,
        invalidity_date: None,
    })
}

fn check_validity(validity: Validity) -> Result<(), IssueError> {
    let possible = validity.not_before.seconds() < validity.not_after.seconds();
    possible.then_some(()).ok_or(IssueError::Validity)
}

/// The moment in the library's time type, in whole seconds.
fn moment(at: Timestamp) -> Result<OffsetDateTime, IssueError> {
    match at.seconds() {
        seconds @ 0..=LAST_SECOND => OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| IssueError::Validity),
        _ => Err(IssueError::Validity),
    }
}

/// The subject of a certificate, for the library.
struct Subject([u8; 32]);

impl PublicKeyData for Subject {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ED25519
    }
}

/// The key of an issuer, for the library.
struct Signing<'a> {
    key: Signer<'a>,
    public: [u8; 32],
}

impl<'a> Signing<'a> {
    fn new(key: Signer<'a>) -> Self {
        let public = match key {
            Signer::Root(key) => key.public(),
            Signer::Member(key) => key.public(),
        };
        Self { key, public }
    }
}

impl PublicKeyData for Signing<'_> {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ED25519
    }
}

impl SigningKey for Signing<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(match self.key {
            Signer::Root(key) => key.sign_raw(message),
            Signer::Member(key) => key.sign_raw(message),
        }
        .to_vec())
    }
}

/// What no honest authority makes: for the tests of verification.
#[cfg(test)]
pub(crate) mod unchecked {
    use super::{
        Certificate, CertificateParams, DeviceId, Issuer, MemberKey, Signer, Subject, Validity, device_params, dns,
        sign, subdomain, with_issuer,
    };
    pub(crate) use super::{device_certificate, member_certificate};

    /// An authority whose certificate does not make it one.
    pub(crate) fn issuer<'a>(key: &'a MemberKey, certificate: &'a Certificate) -> Issuer<'a> {
        Issuer { certificate, key: Signer::Member(key) }
    }

    /// A device's certificate of which something is changed before it is signed, in DER.
    pub(crate) fn odd_device(
        issuer: &Issuer<'_>,
        validity: Validity,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Vec<u8> {
        let device = DeviceId::from_bytes([9; 32]);
        let mut params = device_params(issuer, device, "phone", validity).unwrap();
        change(&mut params);
        let made = with_issuer(issuer, |signing| params.signed_by(&Subject(*device.as_bytes()), signing));
        made.unwrap().der().to_vec()
    }

    /// A device that `issuer` certifies under the names of `victim`.
    pub(crate) fn device_outside(
        issuer: &Issuer<'_>,
        victim: &Issuer<'_>,
        device: DeviceId,
        validity: Validity,
    ) -> Certificate {
        let mut params = device_params(issuer, device, "phone", validity).unwrap();
        params.subject_alt_names = vec![dns(&subdomain(device.as_bytes(), &victim.domain()))];
        sign(issuer, &params, device.as_bytes()).unwrap()
    }
}
