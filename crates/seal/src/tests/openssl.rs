//! Our verdict on chains against that of the real `openssl verify`, in both directions. Each test is skipped with a
//! message where there is no openssl.

use super::circle::{Circle, DAY, NOW, crl, crl_during, days, request};
use crate::pki::{
    Certificate, Crl, PkiFault, Role, Validity, issue_device, issue_member, issue_root, second_opinion, unchecked,
    verify_device, verify_member,
};
use crate::{DeviceKey, MemberKey, RootKey, Timestamp};
use proptest::prelude::{ProptestConfig, any, prop_assert_eq, proptest};
use std::process::Command;
use std::time::Duration;

/// What `openssl verify` says of `chain` (leaf first); `None` where there is no openssl.
fn openssl(root: &Certificate, chain: &[Certificate], crls: &[Crl], now: Timestamp, is_device: bool) -> Option<bool> {
    let pem = |certificates: &[Certificate]| certificates.iter().map(Certificate::to_pem).collect::<String>();
    let crls: String = crls.iter().map(Crl::to_pem).collect();
    let (leaf, above) = chain.split_first().unwrap();
    let verdict = |purpose| openssl_verify([&root.to_pem(), &pem(above), &crls, &leaf.to_pem()], now, purpose);
    if !is_device {
        return verdict(None);
    }
    let [client, server] = [verdict(Some("sslclient"))?, verdict(Some("sslserver"))?];
    assert_eq!(client, server, "a device is both client and server");
    Some(client)
}

/// Runs openssl on `[root, chain, crls, leaf]`.
fn openssl_verify(pems: [&str; 4], now: Timestamp, purpose: Option<&str>) -> Option<bool> {
    let folder = tempfile::tempdir().unwrap();
    let [root, chain, crls, leaf] = std::array::from_fn(|index| {
        let path = folder.path().join(format!("{index}.pem"));
        std::fs::write(&path, pems[index]).unwrap();
        (!pems[index].is_empty()).then_some(path)
    });
    let mut command = Command::new("openssl");
    command.args(["verify", "-x509_strict", "-crl_check_all", "-attime", &now.seconds().to_string()]);
    command.args(purpose.map(|purpose| ["-purpose", purpose]).into_iter().flatten());
    for (option, path) in [("-CAfile", root), ("-untrusted", chain), ("-CRLfile", crls)] {
        path.into_iter().for_each(|path| {
            command.arg(option).arg(path);
        });
    }
    let output = command.args(leaf).output().ok()?;
    println!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Some(output.status.success())
}

/// Both judges must say `expected` of a device's chain.
#[track_caller]
fn device(root: &Certificate, chain: &[Certificate], crls: &[Crl], now: Timestamp, expected: Result<(), PkiFault>) {
    assert_eq!(verify_device(root, chain, crls, now).map(drop), expected);
    agree(openssl(root, chain, crls, now, true), expected);
}

/// Both judges must say `expected` of a member's chain.
#[track_caller]
fn member(root: &Certificate, chain: &[Certificate], crls: &[Crl], now: Timestamp, expected: Result<(), PkiFault>) {
    assert_eq!(verify_member(root, chain, crls, now).map(drop), expected);
    agree(openssl(root, chain, crls, now, false), expected);
}

#[track_caller]
fn agree(openssl: Option<bool>, expected: Result<(), PkiFault>) {
    match openssl {
        Some(verdict) => assert_eq!(verdict, expected.is_ok(), "openssl disagrees with {expected:?}"),
        None => println!("skipped: there is no openssl here"),
    }
}

#[test]
fn good_chain() {
    let circle = Circle::new();
    device(&circle.root, &circle.chain(), &circle.crls(), NOW, Ok(()));
    member(&circle.root, &circle.chain()[1..], &circle.crls(), NOW, Ok(()));
    member(&circle.root, &circle.chain()[2..], &circle.crls(), NOW, Ok(()));
    let certified = verify_device(&circle.root, &circle.chain(), &circle.crls(), NOW).unwrap();
    assert_eq!(certified.device(), circle.laptop_key.id());
    assert_eq!((certified.device_name(), certified.member_name()), ("laptop", "Rob"));
    assert_eq!((certified.role(), certified.member()), (Role::Reader, circle.rob_key.id()));
    assert_eq!((certified.circle(), certified.circle_name()), (circle.root_key.id(), "Höhle 7"));
    assert_eq!(certified.not_after(), circle.laptop.facts().not_after);
    assert_eq!(certified.serials(), [&circle.laptop, &circle.rob, &circle.ada].map(Certificate::serial));
}

#[test]
fn deepest_chain() {
    let circle = Circle::new();
    let (mut key, mut certificate) = (circle.ada_key.clone(), circle.ada.clone());
    let mut chain = vec![certificate.clone()];
    let mut crls = vec![crl(&circle.by_root(), 1, &[])];
    for depth in 2..=4 {
        let (next, by) = (MemberKey::generate(), crate::pki::Issuer::member(&key, &certificate).unwrap());
        crls.push(crl(&by, 1, &[]));
        let admin = issue_member(&by, &request(&next, &format!("admin {depth}"), Role::Admin), days(300)).unwrap();
        (key, certificate) = (next, admin);
        chain.insert(0, certificate.clone());
    }
    let by = crate::pki::Issuer::member(&key, &certificate).unwrap();
    crls.push(crl(&by, 1, &[]));
    let last = MemberKey::generate();
    assert!(issue_member(&by, &request(&last, "one too many", Role::Admin), days(9)).is_err());
    let last_certificate = issue_member(&by, &request(&last, "last", Role::Editor), days(9)).unwrap();
    let by_last = crate::pki::Issuer::member(&last, &last_certificate).unwrap();
    crls.push(crl(&by_last, 1, &[]));
    chain.insert(0, last_certificate.clone());
    chain.insert(0, issue_device(&by_last, DeviceKey::generate().id(), "phone", days(9)).unwrap());
    assert_eq!(chain.len(), crate::pki::MAX_CHAIN);
    device(&circle.root, &chain, &crls, NOW, Ok(()));
}

#[test]
fn first_and_last_second_of_validity() {
    let circle = Circle::new();
    let second = Duration::from_secs(1);
    let long = Validity { not_before: NOW.minus(DAY * 900), not_after: NOW.plus(DAY * 900) };
    let crls = [circle.by_root(), circle.by_ada(), circle.by_rob()].map(|issuer| crl_during(&issuer, 1, &[], long));
    let begin = circle.laptop.facts().not_before;
    let end = circle.laptop.facts().not_after;
    let judge = |now, expected| device(&circle.root, &circle.chain(), &crls, now, expected);
    judge(begin.minus(second), Err(PkiFault::NotYetValid));
    judge(begin, Ok(()));
    judge(end.minus(second), Ok(()));
    judge(end, Err(PkiFault::Expired));
    let end_of_rob = circle.rob.facts().not_after;
    member(&circle.root, &circle.chain()[1..], &crls, end_of_rob.minus(second), Ok(()));
    member(&circle.root, &circle.chain()[1..], &crls, end_of_rob, Err(PkiFault::Expired));
}

#[test]
fn expired_authority_above_valid_device() {
    let circle = Circle::new();
    let short = issue_member(&circle.by_ada(), &request(&circle.rob_key, "Rob", Role::Reader), days(1)).unwrap();
    let chain = [circle.laptop.clone(), short, circle.ada.clone()];
    device(&circle.root, &chain, &circle.crls(), NOW, Ok(()));
    device(&circle.root, &chain, &circle.crls(), NOW.plus(DAY * 2), Err(PkiFault::Expired));
}

#[test]
fn expired_root() {
    let circle = Circle::new();
    let root = issue_root(&circle.root_key, "Höhle 7", days(1)).unwrap();
    device(&root, &circle.chain(), &circle.crls(), NOW, Ok(()));
    device(&root, &circle.chain(), &circle.crls(), NOW.plus(DAY * 2), Err(PkiFault::Expired));
}

#[test]
fn revoked_device_member_and_admin() {
    let circle = Circle::new();
    let [root, ada, rob] = [circle.by_root(), circle.by_ada(), circle.by_rob()];
    for (issuer, victim, position) in [(rob, &circle.laptop, 2), (ada, &circle.rob, 1), (root, &circle.ada, 0)] {
        let mut crls = circle.crls();
        crls[position] = crl(&issuer, 2, &[victim]);
        device(&circle.root, &circle.chain(), &crls, NOW, Err(PkiFault::Revoked));
    }
    let mut crls = circle.crls();
    crls[1] = crl(&circle.by_ada(), 2, &[&circle.rob]);
    member(&circle.root, &circle.chain()[1..], &crls, NOW, Err(PkiFault::Revoked));
    crls[0] = crl(&circle.by_root(), 2, &[&circle.root]);
    member(&circle.root, &circle.chain()[2..], &crls, NOW, Err(PkiFault::Revoked));
}

#[test]
fn revocation_of_another_serial_does_no_harm() {
    let circle = Circle::new();
    let mut crls = circle.crls();
    crls[1] = crl(&circle.by_ada(), 2, &[&circle.laptop, &circle.ada]);
    device(&circle.root, &circle.chain(), &crls, NOW, Ok(()));
}

#[test]
fn older_list_does_not_hide_a_revocation() {
    let circle = Circle::new();
    let later = Validity { not_before: NOW.minus(Duration::from_secs(60)), not_after: NOW.plus(DAY) };
    let mut crls = circle.crls();
    crls.push(crl_during(&circle.by_rob(), 2, &[&circle.laptop], later));
    device(&circle.root, &circle.chain(), &crls, NOW, Err(PkiFault::Revoked));
    crls.reverse();
    device(&circle.root, &circle.chain(), &crls, NOW, Err(PkiFault::Revoked));
}

#[test]
fn stale_future_and_missing_lists() {
    let circle = Circle::new();
    let hour = Duration::from_secs(3600);
    let stale = Validity { not_before: NOW.minus(DAY), not_after: NOW };
    let future = Validity { not_before: NOW.plus(hour), not_after: NOW.plus(DAY) };
    for position in 0..3 {
        let issuer = [circle.by_root(), circle.by_ada(), circle.by_rob()][position];
        let mut crls = circle.crls();
        crls[position] = crl_during(&issuer, 1, &[], stale);
        device(&circle.root, &circle.chain(), &crls, NOW, Err(PkiFault::StaleCrl));
        crls[position] = crl_during(&issuer, 1, &[], future);
        device(&circle.root, &circle.chain(), &crls, NOW, Err(PkiFault::CrlNotYetValid));
        crls.remove(position);
        device(&circle.root, &circle.chain(), &crls, NOW, Err(PkiFault::NoCrl));
    }
    device(&circle.root, &circle.chain(), &[], NOW, Err(PkiFault::NoCrl));
}

#[test]
fn list_under_a_stolen_name() {
    let circle = Circle::new();
    let twin_key = MemberKey::generate();
    let twin = issue_member(&circle.by_ada(), &request(&twin_key, "Rob", Role::Reader), days(300)).unwrap();
    let mut crls = circle.crls();
    crls[2] = crl(&crate::pki::Issuer::member(&twin_key, &twin).unwrap(), 9, &[]);
    device(&circle.root, &circle.chain(), &crls, NOW, Err(PkiFault::NoCrl));
}

#[test]
fn members_of_one_name_do_not_disturb_each_other() {
    let circle = Circle::new();
    let twin_key = MemberKey::generate();
    let twin = issue_member(&circle.by_ada(), &request(&twin_key, "Rob", Role::Reader), days(300)).unwrap();
    let by_twin = crate::pki::Issuer::member(&twin_key, &twin).unwrap();
    let phone = issue_device(&by_twin, DeviceKey::generate().id(), "phone", days(9)).unwrap();
    let mut crls = circle.crls();
    crls.push(crl(&by_twin, 1, &[&phone]));
    device(&circle.root, &circle.chain(), &crls, NOW, Ok(()));
    device(&circle.root, &[phone, twin, circle.ada.clone()], &crls, NOW, Err(PkiFault::Revoked));
}

#[test]
fn foreign_root_of_the_same_name() {
    let (circle, other) = (Circle::new(), Circle::new());
    device(&other.root, &circle.chain(), &circle.crls(), NOW, Err(PkiFault::WrongIssuer));
}

#[test]
fn wrong_issuer_in_the_middle() {
    let circle = Circle::new();
    let chain = [circle.laptop.clone(), circle.ada.clone()];
    device(&circle.root, &chain, &circle.crls(), NOW, Err(PkiFault::WrongIssuer));
    let chain = [circle.laptop.clone()];
    device(&circle.root, &chain, &circle.crls(), NOW, Err(PkiFault::WrongIssuer));
}

#[test]
fn member_certificate_used_as_device() {
    let circle = Circle::new();
    assert_eq!(
        verify_device(&circle.root, &circle.chain()[1..], &circle.crls(), NOW).unwrap_err(),
        PkiFault::NotADevice
    );
    assert_eq!(verify_member(&circle.root, &circle.chain(), &circle.crls(), NOW).unwrap_err(), PkiFault::NotAMember);
}

#[test]
fn reader_certifies_a_member() {
    let circle = Circle::new();
    let mallory_key = MemberKey::generate();
    for role in Role::ALL {
        let wanted = request(&mallory_key, "Mallory", role);
        assert!(issue_member(&circle.by_rob(), &wanted, days(9)).is_err(), "an honest issuer refuses");
        let mallory = unchecked::member_certificate(&circle.by_rob(), &wanted, days(9)).unwrap();
        let by_mallory = crate::pki::Issuer::member(&mallory_key, &mallory).unwrap();
        let phone = issue_device(&by_mallory, DeviceKey::generate().id(), "phone", days(9)).unwrap();
        let mut crls = circle.crls();
        crls.push(crl(&by_mallory, 1, &[]));
        let chain = [phone, mallory, circle.rob.clone(), circle.ada.clone()];
        device(&circle.root, &chain, &crls, NOW, Err(PkiFault::IssuerNotAdmin));
        member(&circle.root, &chain[1..], &crls, NOW, Err(PkiFault::IssuerNotAdmin));
    }
}

#[test]
fn device_certifies_a_device_and_a_member() {
    let circle = Circle::new();
    let laptop_key = MemberKey::from_seed(&circle.laptop_key.seed());
    let by_laptop = unchecked::issuer(&laptop_key, &circle.laptop);
    let phone = unchecked::device_certificate(&by_laptop, DeviceKey::generate().id(), "phone", days(9)).unwrap();
    let mut crls = circle.crls();
    crls.push(crl(&by_laptop, 1, &[]));
    let mut chain = circle.chain();
    chain.insert(0, phone);
    device(&circle.root, &chain, &crls, NOW, Err(PkiFault::IssuerNotAuthority));
    let wanted_key = MemberKey::generate();
    let wanted = request(&wanted_key, "Mallory", Role::Editor);
    chain[0] = unchecked::member_certificate(&by_laptop, &wanted, days(9)).unwrap();
    member(&circle.root, &chain, &crls, NOW, Err(PkiFault::IssuerNotAuthority));
}

#[test]
fn device_name_outside_the_members_constraint() {
    let circle = Circle::new();
    // Rob signs with his key, but as if he were Ada's certificate: the device gets a name in Ada's subtree.
    let as_ada = unchecked::issuer(&circle.rob_key, &circle.ada);
    let phone = unchecked::device_certificate(&as_ada, DeviceKey::generate().id(), "phone", days(9)).unwrap();
    let chain = [phone, circle.ada.clone()];
    device(&circle.root, &chain, &circle.crls(), NOW, Err(PkiFault::BadSignature));
    // The same, honest about who issues: only the name is wrong.
    let outside = unchecked::device_outside(&circle.by_rob(), &circle.by_ada(), DeviceKey::generate().id(), days(9));
    let chain = [outside, circle.rob.clone(), circle.ada.clone()];
    device(&circle.root, &chain, &circle.crls(), NOW, Err(PkiFault::OutsideNames));
}

#[test]
fn every_changed_byte_of_a_certificate_is_refused() {
    let circle = Circle::new();
    for position in 0..circle.laptop.der().len() {
        let mut der = circle.laptop.der().to_vec();
        der[position] ^= 1 << (position % 8);
        let Ok(changed) = Certificate::from_der(der) else {
            continue; // already refused by the profile
        };
        let chain = [changed, circle.rob.clone(), circle.ada.clone()];
        assert!(verify_device(&circle.root, &chain, &circle.crls(), NOW).is_err(), "byte {position}");
        if position % 8 == 0 {
            assert_ne!(openssl(&circle.root, &chain, &circle.crls(), NOW, true), Some(true), "byte {position}");
        }
    }
}

#[test]
fn every_changed_byte_of_a_list_is_refused() {
    let circle = Circle::new();
    let mut crls = circle.crls();
    crls[2] = crl(&circle.by_rob(), 2, &[&circle.ada]);
    let original = crls[2].der().to_vec();
    for position in 0..original.len() {
        let mut der = original.clone();
        der[position] ^= 1 << (position % 8);
        let Ok(changed) = Crl::from_der(der) else {
            continue; // already refused by the profile
        };
        crls[2] = changed;
        assert!(verify_device(&circle.root, &circle.chain(), &crls, NOW).is_err(), "byte {position}");
    }
}

#[test]
fn root_key_is_the_circle() {
    let (circle, key) = (Circle::new(), RootKey::generate());
    assert_eq!(crate::pki::verify_root(&circle.root, NOW), Ok(circle.root_key.id()));
    assert!(crate::pki::Issuer::root(&key, &circle.root).is_err());
    assert_eq!(crate::pki::verify_root(&circle.ada, NOW), Err(PkiFault::NotARoot));
}

#[test]
fn rfc_5280_alone_binds_a_member_to_its_devices() {
    let circle = Circle::new();
    let crls = circle.crls();
    let judge = |chain: &[Certificate], crls: &[Crl]| {
        let crls: Vec<_> = crls.iter().collect();
        second_opinion(&circle.root, &chain[0], &chain[1..], &crls, NOW)
    };
    assert_eq!(judge(&circle.chain(), &crls), Ok(()));
    let outside = unchecked::device_outside(&circle.by_rob(), &circle.by_ada(), DeviceKey::generate().id(), days(9));
    let verdict = judge(&[outside, circle.rob.clone(), circle.ada.clone()], &crls);
    assert_eq!(verdict, Err(webpki::Error::NameConstraintViolation));
    let mallory_key = MemberKey::generate();
    let wanted = request(&mallory_key, "Mallory", Role::Reader);
    let mallory = unchecked::member_certificate(&circle.by_rob(), &wanted, days(9)).unwrap();
    let by_mallory = crate::pki::Issuer::member(&mallory_key, &mallory).unwrap();
    let phone = issue_device(&by_mallory, DeviceKey::generate().id(), "phone", days(9)).unwrap();
    let mut crls = crls;
    crls.push(crl(&by_mallory, 1, &[]));
    let verdict = judge(&[phone, mallory, circle.rob.clone(), circle.ada.clone()], &crls);
    assert!(verdict.is_err(), "path length and name constraint of a reader forbid it");
}

#[test]
fn device_certificate_for_servers_only() {
    let circle = Circle::new();
    let der = unchecked::odd_device(&circle.by_rob(), days(9), |params| {
        params.extended_key_usages.truncate(1);
    });
    let leaf = ::pem::encode(&::pem::Pem::new("CERTIFICATE", der.clone()));
    assert_eq!(Certificate::from_der(der), Err(crate::pki::Malformed::Extension));
    let pem: String = [&circle.rob, &circle.ada].map(Certificate::to_pem).concat();
    let crls: String = circle.crls().iter().map(Crl::to_pem).collect();
    let verdict = |purpose| openssl_verify([&circle.root.to_pem(), &pem, &crls, &leaf], NOW, Some(purpose));
    assert_ne!(verdict("sslclient"), Some(true));
}

#[test]
fn our_rules_are_narrower_than_the_standard() {
    let circle = Circle::new();
    let crls = circle.crls();
    // An admin, whose constraint is the whole circle, certifies a device under a name of another member's.
    let outside = unchecked::device_outside(&circle.by_ada(), &circle.by_rob(), DeviceKey::generate().id(), days(9));
    let chain = [outside, circle.ada.clone()];
    assert_eq!(verify_device(&circle.root, &chain, &crls, NOW), Err(PkiFault::OutsideNames));
    assert_ne!(openssl(&circle.root, &chain, &crls, NOW, true), Some(false), "the standard knows no such rule");
    // The root certifies a device without a member.
    let direct =
        unchecked::device_certificate(&circle.by_root(), DeviceKey::generate().id(), "phone", days(9)).unwrap();
    assert_eq!(
        verify_device(&circle.root, std::slice::from_ref(&direct), &crls, NOW),
        Err(PkiFault::IssuerNotAuthority)
    );
    assert_ne!(openssl(&circle.root, &[direct], &crls, NOW, true), Some(false), "the standard knows no such rule");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]
    /// Certificates and lists whose validity begins and ends around now, in any order, revoking this and that.
    #[test]
    fn arbitrary_times_and_revocations_are_judged_alike(
        windows in proptest::array::uniform6((-1_i64..3, 1_i64..4)),
        device_window in (-1_i64..3, 1_i64..4),
        revoked in proptest::array::uniform3(proptest::option::weighted(0.15, 0_usize..3)),
        missing in proptest::option::weighted(0.1, 0_usize..3),
        calm in any::<bool>(),
        reversed in any::<bool>(),
    ) {
        // Half of the cases are calm: nearly everything is in date, so that good chains occur as well.
        let window = |(begin, end): (i64, i64)| {
            let (begin, end) = if calm { (begin.max(0), end.max(1)) } else { (begin, end - 1) };
            let not_before = Timestamp::from_seconds(NOW.seconds() - begin);
            Validity { not_before, not_after: Timestamp::from_seconds((NOW.seconds() + end).max(NOW.seconds() - begin + 1)) }
        };
        let circle = Circle::new();
        let ada = issue_member(&circle.by_root(), &request(&circle.ada_key, "Ada", Role::Admin), window(windows[0])).unwrap();
        let by_ada = crate::pki::Issuer::member(&circle.ada_key, &ada).unwrap();
        let rob = issue_member(&by_ada, &request(&circle.rob_key, "Rob", Role::Editor), window(windows[1])).unwrap();
        let by_rob = crate::pki::Issuer::member(&circle.rob_key, &rob).unwrap();
        let laptop = issue_device(&by_rob, circle.laptop_key.id(), "laptop", window(device_window)).unwrap();
        let chain = [laptop, rob.clone(), ada.clone()];
        let issuers = [circle.by_root(), by_ada, by_rob];
        let mut crls: Vec<Crl> = (0..3)
            .filter(|index| missing != Some(*index))
            .map(|index| {
                let victims: Vec<_> = revoked[index].map(|victim| &chain[victim]).into_iter().collect();
                crl_during(&issuers[index], 1, &victims, window(windows[3 + index]))
            })
            .collect();
        if reversed {
            crls.reverse();
        }
        let ours = verify_device(&circle.root, &chain, &crls, NOW);
        if let Some(theirs) = openssl(&circle.root, &chain, &crls, NOW, true) {
            prop_assert_eq!(theirs, ours.is_ok(), "we say {:?}", ours);
        }
        let ours = verify_member(&circle.root, &chain[1..], &crls, NOW);
        if let Some(theirs) = openssl(&circle.root, &chain[1..], &crls, NOW, false) {
            prop_assert_eq!(theirs, ours.is_ok(), "we say {:?}", ours);
        }
    }
}
