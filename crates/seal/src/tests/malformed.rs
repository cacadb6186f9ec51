//! Certificates, revocation lists and PEM texts that are not of the profile.

use super::circle::{Circle, days};
use crate::pki::{
    BadPem, Bundle, Certificate, Crl, CrlRequest, IssueError, Issuer, Malformed, Reason, Revoked, Role, Serial,
    Validity, issue_crl, issue_device, issue_member, issue_root, unchecked,
};
use crate::{DeviceId, MemberKey, RootKey, Timestamp};
use proptest::prelude::{any, prop_assert_eq, proptest};
use rcgen::{
    BasicConstraints, CustomExtension, DistinguishedName, DnType, DnValue, ExtendedKeyUsagePurpose, GeneralSubtree,
    IsCa, KeyIdMethod, KeyUsagePurpose, NameConstraints, SanType, SerialNumber,
};

#[track_caller]
fn odd(change: impl FnOnce(&mut rcgen::CertificateParams), expected: Malformed) {
    let der = unchecked::odd_device(&Circle::new().by_rob(), days(9), change);
    assert_eq!(Certificate::from_der(der).map(drop), Err(expected));
}

fn text(value: &str) -> DnValue {
    DnValue::Utf8String(value.to_owned())
}

#[test]
fn device_certificates_that_are_not_of_the_profile() {
    odd(|p| p.serial_number = Some(SerialNumber::from(7)), Malformed::Serial);
    odd(|p| p.serial_number = Some(SerialNumber::from(vec![0x80; 16])), Malformed::Serial);
    odd(|p| p.not_after = p.not_before, Malformed::Validity);
    odd(|p| p.subject_alt_names.clear(), Malformed::Extension);
    odd(|p| p.subject_alt_names.push(SanType::DnsName("example.org".try_into().unwrap())), Malformed::Extension);
    odd(|p| p.subject_alt_names.push(SanType::URI("warren:seal:age1x".try_into().unwrap())), Malformed::Extension);
    odd(|p| p.is_ca = IsCa::NoCa, Malformed::Extension);
    odd(|p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained), Malformed::Extension);
    odd(|p| p.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)), Malformed::Extension);
    odd(|p| p.key_usages.clear(), Malformed::Extension);
    odd(|p| p.key_usages.push(KeyUsagePurpose::KeyCertSign), Malformed::Extension);
    odd(|p| p.extended_key_usages.clear(), Malformed::Extension);
    odd(|p| p.extended_key_usages.push(ExtendedKeyUsagePurpose::Any), Malformed::Extension);
    odd(|p| p.use_authority_key_identifier_extension = false, Malformed::Extension);
    odd(|p| p.key_identifier_method = KeyIdMethod::PreSpecified(vec![1; 20]), Malformed::Extension);
    odd(|p| p.key_identifier_method = KeyIdMethod::PreSpecified(vec![1; 19]), Malformed::Extension);
    odd(
        |p| {
            let permitted_subtrees = vec![GeneralSubtree::DnsName("example.org".to_owned())];
            p.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
        },
        Malformed::Extension,
    );
}

#[test]
fn names_that_are_not_of_the_profile() {
    let rename = |p: &mut rcgen::CertificateParams, parts: &[(DnType, DnValue)]| {
        p.distinguished_name = DistinguishedName::new();
        parts.iter().for_each(|(kind, value)| p.distinguished_name.push(kind.clone(), value.clone()));
    };
    let (circle, device) = ((DnType::OrganizationName, text("C")), (DnType::OrganizationalUnitName, text("device")));
    let name = (DnType::CommonName, text("phone"));
    odd(|p| rename(p, &[]), Malformed::Name);
    odd(|p| rename(p, &[circle.clone(), name.clone()]), Malformed::Name);
    odd(|p| rename(p, &[name.clone(), device.clone(), circle.clone()]), Malformed::Name);
    odd(|p| rename(p, &[circle.clone(), device.clone(), (DnType::CommonName, text("a\u{202e}b"))]), Malformed::Name);
    odd(|p| rename(p, &[circle.clone(), device.clone(), (DnType::CommonName, text("Ada~2"))]), Malformed::Name);
    let unit = (DnType::OrganizationalUnitName, text("Admin"));
    odd(|p| rename(p, &[circle.clone(), unit, name.clone()]), Malformed::Name);
    let country = (DnType::CountryName, text("DE"));
    odd(|p| rename(p, &[circle.clone(), device.clone(), name.clone(), country]), Malformed::Name);
    let printable = (DnType::CommonName, DnValue::PrintableString("phone".try_into().unwrap()));
    odd(|p| rename(p, &[circle, device, printable]), Malformed::Name);
}

#[test]
fn unknown_extension_is_refused_only_when_critical() {
    let add = |critical| {
        let mut unknown = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 55555, 1], vec![0x05, 0x00]);
        unknown.set_criticality(critical);
        move |p: &mut rcgen::CertificateParams| p.custom_extensions.push(unknown)
    };
    odd(add(true), Malformed::UnknownCritical);
    let der = unchecked::odd_device(&Circle::new().by_rob(), days(9), add(false));
    assert!(Certificate::from_der(der).is_ok());
}

#[test]
fn doubled_extension() {
    let usage = CustomExtension::from_oid_content(&[2, 5, 29, 15], vec![0x03, 0x02, 0x07, 0x80]);
    odd(|p| p.custom_extensions.push(usage), Malformed::Extension);
}

#[test]
fn truncated_trailing_and_oversize_bytes() {
    let circle = Circle::new();
    let der = circle.laptop.der().to_vec();
    for length in 0..der.len() {
        assert_eq!(Certificate::from_der(der[..length].to_vec()), Err(Malformed::NotDer), "{length} bytes");
    }
    let longer = [&der[..], &[0]].concat();
    assert_eq!(Certificate::from_der(longer), Err(Malformed::TrailingBytes));
    assert_eq!(Certificate::from_der(vec![0x30; 4097]), Err(Malformed::TooLarge));
    assert_eq!(Crl::from_der(vec![0x30; 1024 * 1024 + 1]), Err(Malformed::TooLarge));
    assert_eq!(Crl::from_der(der).map(drop), Err(Malformed::NotDer));
}

#[test]
fn issuing_what_cannot_be_is_refused() {
    let circle = Circle::new();
    let ends_before_it_begins = Validity { not_before: Timestamp(2000), not_after: Timestamp(1000) };
    let after_year_9999 = Validity { not_before: Timestamp(0), not_after: Timestamp(i64::MAX) };
    let before_1970 = Validity { not_before: Timestamp(-1000), not_after: Timestamp(1000) };
    let within_one_second = Validity { not_before: Timestamp(1000), not_after: Timestamp(1999) };
    for validity in [ends_before_it_begins, after_year_9999, before_1970, within_one_second] {
        assert_eq!(issue_root(&RootKey::generate(), "C", validity), Err(IssueError::Validity));
        let request = CrlRequest { number: 1, revoked: &[], validity };
        assert_eq!(issue_crl(&circle.by_root(), &request), Err(IssueError::Validity));
    }
    let bad_name = issue_device(&circle.by_rob(), DeviceId::from_bytes([1; 32]), "a/b", days(9));
    assert!(matches!(bad_name, Err(IssueError::Name(_))));
    let by_root = issue_device(&circle.by_root(), DeviceId::from_bytes([1; 32]), "phone", days(9));
    assert!(matches!(by_root, Err(IssueError::NotAllowed(_))), "a root certifies members only");
    assert_eq!(Issuer::member(&MemberKey::generate(), &circle.rob).map(drop), Err(IssueError::WrongKey));
    let revoked = Revoked { serial: circle.rob.serial(), at: Timestamp(0), reason: Reason::Superseded };
    let twice = CrlRequest { number: 1, revoked: &[revoked, revoked], validity: days(9) };
    assert_eq!(issue_crl(&circle.by_ada(), &twice), Err(IssueError::Malformed(Malformed::Serial)));
}

#[test]
fn facts_say_what_was_certified() {
    let circle = Circle::new();
    let facts = circle.rob.facts();
    assert_eq!(facts.subject, "O=Höhle 7, OU=reader, CN=Rob");
    assert_eq!(facts.issuer, "O=Höhle 7, OU=admin, CN=Ada");
    assert_eq!(
        (facts.path_len, circle.ada.facts().path_len, circle.root.facts().path_len),
        (Some(0), Some(4), Some(5))
    );
    assert_eq!(facts.dns_name, facts.permitted);
    let device = circle.laptop.facts().dns_name.as_ref().unwrap();
    assert!(device.ends_with(&format!(".{}", facts.dns_name.as_ref().unwrap())), "{device}");
    let revoked = Revoked { serial: circle.rob.serial(), at: Timestamp(5_000), reason: Reason::PrivilegeWithdrawn };
    let request = CrlRequest { number: u64::MAX, revoked: &[revoked], validity: days(9) };
    let crl = issue_crl(&circle.by_ada(), &request).unwrap();
    assert_eq!((crl.facts().number, &crl.facts().revoked[..]), (u64::MAX, &[revoked][..]));
    assert_eq!(crl.facts().issuer, "O=Höhle 7, OU=admin, CN=Ada");
}

#[test]
fn pem_carries_several_of_both() {
    let circle = Circle::new();
    let bundle = Bundle { certificates: circle.chain(), crls: circle.crls() };
    assert_eq!(Bundle::from_pem(&bundle.to_pem()), Ok(bundle.clone()));
    assert_eq!(Bundle::from_pem(&bundle.to_pem().replace('\n', "\r\n")), Ok(bundle));
}

#[test]
fn pem_with_a_private_key_or_nothing_is_refused() {
    assert_eq!(Bundle::from_pem(""), Err(BadPem::NotPem));
    assert_eq!(Bundle::from_pem("hello"), Err(BadPem::NotPem));
    let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    assert_eq!(Bundle::from_pem(key), Err(BadPem::Unexpected("PRIVATE KEY".to_owned())));
    let not_a_certificate = key.replace("PRIVATE KEY", "CERTIFICATE");
    assert_eq!(Bundle::from_pem(&not_a_certificate), Err(BadPem::Malformed(1, Malformed::NotDer)));
}

#[test]
fn stored_certificates_are_length_prefixed_der_and_checked_when_read() {
    let circle = Circle::new();
    let sent = (circle.laptop.clone(), circle.crls()[0].clone());
    let bytes = postcard::to_stdvec(&sent).unwrap();
    assert_eq!(postcard::from_bytes::<(Certificate, Crl)>(&bytes), Ok(sent));
    let garbage = postcard::to_stdvec(&vec![0x30_u8, 0x00]).unwrap();
    assert!(postcard::from_bytes::<Certificate>(&garbage).is_err());
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = Certificate::from_der(bytes.clone());
        let _ = Crl::from_der(bytes.clone());
        let _ = Bundle::from_pem(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn mutated_certificates_never_panic(position: usize, value: u8, cut: usize) {
        static CIRCLE: std::sync::LazyLock<Circle> = std::sync::LazyLock::new(Circle::new);
        for mut der in [CIRCLE.rob.der().to_vec(), CIRCLE.laptop.der().to_vec()] {
            let position = position % der.len();
            der[position] = value;
            let _ = Certificate::from_der(der.clone());
            der.remove(cut % der.len());
            let _ = Certificate::from_der(der);
        }
    }

    #[test]
    fn serials_survive_text(_seed: u8) {
        let serial = Serial::random();
        prop_assert_eq!(serial.to_string().parse::<Serial>(), Ok(serial));
        prop_assert_eq!(serial.to_string().to_uppercase().parse::<Serial>(), Ok(serial));
    }
}

#[test]
fn roles_are_ordered_and_survive_text() {
    assert!(Role::Storage < Role::Reader && Role::Reader < Role::Editor && Role::Editor < Role::Admin);
    for role in Role::ALL {
        assert_eq!(role.to_string().parse(), Ok(role));
    }
    assert!("Admin".parse::<Role>().is_err());
    let by = Circle::new();
    let key = MemberKey::generate();
    for role in Role::ALL {
        assert!(issue_member(&by.by_ada(), &super::circle::request(&key, "M", role), days(9)).is_ok());
    }
}
