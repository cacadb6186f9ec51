//! Ids and keys: canonical texts, purposes that cannot be exchanged, rings that survive storage.

use crate::keyring::{BadKeyring, Loaded};
use crate::{CircleId, DeviceId, DeviceKey, Keyring, MemberKey, Purpose, RootKey, Timestamp};
use proptest::prelude::{any, prop_assert_eq, proptest};
use std::time::Duration;

proptest! {
    #[test]
    fn id_texts_are_canonical(bytes: [u8; 32]) {
        let id = DeviceId::from_bytes(bytes);
        let text = id.to_string();
        prop_assert_eq!(text.len(), 52);
        prop_assert_eq!(text.parse::<DeviceId>(), Ok(id));
        prop_assert_eq!(&id.short(), &text[..8]);
    }

    #[test]
    fn garbage_never_panics_as_id_or_keyring(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = String::from_utf8_lossy(&bytes).parse::<CircleId>();
        let _ = Keyring::from_bytes(&bytes);
    }

    #[test]
    fn time_saturates(at: i64, other: i64, step: u64) {
        let (at, other) = (Timestamp(at), Timestamp(other));
        assert!(at.plus(Duration::from_millis(step)) >= at);
        assert!(at.minus(Duration::from_millis(step)) <= at);
        assert_eq!(at.since(other) == Duration::ZERO, at <= other);
    }
}

#[test]
fn id_with_upper_case_padding_or_spare_bits_is_refused() {
    let text = DeviceId::from_bytes([7; 32]).to_string();
    assert!(text.to_uppercase().parse::<DeviceId>().is_err());
    assert!(format!("{text}====").parse::<DeviceId>().is_err());
    let mut spare = text.clone();
    spare.replace_range(51.., "z");
    assert!(spare.parse::<DeviceId>().is_err(), "the last character has four bits to spare, which must be zero");
}

#[test]
fn signature_holds_for_its_key_purpose_and_message_only() {
    let key = DeviceKey::generate();
    let signature = key.sign(Purpose::HelloProof, b"message");
    assert!(key.id().verify(Purpose::HelloProof, b"message", &signature).is_ok());
    assert!(key.id().verify(Purpose::TransferReceipt, b"message", &signature).is_err());
    assert!(key.id().verify(Purpose::HelloProof, b"messag", &signature).is_err());
    assert!(DeviceKey::generate().id().verify(Purpose::HelloProof, b"message", &signature).is_err());
}

#[test]
fn small_order_key_verifies_nothing() {
    // The neutral element as public key, with R neutral and S zero, "signs" every message under lax rules.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let mut signature = [0; 64];
    signature[0] = 1;
    let signature = crate::Signature::from_bytes(signature);
    assert!(DeviceId::from_bytes(neutral).verify(Purpose::HelloProof, b"anything", &signature).is_err());
}

#[test]
fn labels_of_purposes_differ() {
    let labels: std::collections::BTreeSet<_> = Purpose::ALL.iter().map(|purpose| purpose.label()).collect();
    assert_eq!(labels.len(), Purpose::ALL.len());
}

#[test]
fn keyring_survives_storage() {
    for (member, root) in [(true, true), (true, false), (false, false)] {
        let mut ring = Keyring::generate();
        ring.member = member.then(MemberKey::generate);
        ring.root = root.then(RootKey::generate);
        let Loaded::Current(back) = Keyring::from_bytes(&ring.to_bytes()).unwrap() else { panic!("just written") };
        assert_eq!(back.to_bytes(), ring.to_bytes());
        assert_eq!(back.device.id(), ring.device.id());
        assert_eq!(back.seal.recipient(), ring.seal.recipient());
        assert_eq!(back.read.public(), ring.read.public());
    }
}

#[test]
fn keyring_of_version_1_keeps_its_keys_and_says_that_it_must_be_stored() {
    let mut ring = Keyring::generate();
    ring.root = Some(RootKey::generate());
    let mut old = ring.to_bytes().to_vec();
    old[0] = 1;
    old.drain(140..172);
    let [one, other] = [(); 2].map(|()| match Keyring::from_bytes(&old).unwrap() {
        Loaded::Upgraded(keyring) => keyring,
        Loaded::Current(_) => panic!("there is no read seed in it"),
    });
    assert_ne!(one.read.public(), other.read.public(), "the seed is fresh, and lost unless it is stored");
    for mut upgraded in [one, other] {
        upgraded.read = ring.read.clone();
        assert_eq!(upgraded.to_bytes(), ring.to_bytes(), "nothing else has changed");
    }
    old[0] = 2;
    assert!(Keyring::from_bytes(&old).is_err(), "version 2 without its seed");
    old[0] = 3;
    assert_eq!(Keyring::from_bytes(&old).map(drop), Err(BadKeyring::TooNew));
    old[0] = 0;
    assert_eq!(Keyring::from_bytes(&old).map(drop), Err(BadKeyring::Damaged));
}

#[test]
fn keyring_with_a_byte_more_or_less_is_refused() {
    let bytes = Keyring::generate().to_bytes();
    for length in 0..bytes.len() {
        assert!(Keyring::from_bytes(&bytes[..length]).is_err());
    }
    let mut longer = bytes.to_vec();
    longer.push(0);
    assert!(Keyring::from_bytes(&longer).is_err());
}

#[test]
fn keys_print_as_stars() {
    let ring = format!("{:?}", Keyring::generate());
    assert_eq!(ring.matches("***").count(), 5, "{ring}");
}

#[test]
fn names_of_rfc_8410_frame_the_raw_key() {
    let key = DeviceKey::from_seed(&[1; 32]);
    assert_eq!(key.id().spki_der()[12..], *key.id().as_bytes());
    assert_eq!(key.pkcs8_der()[16..], [1; 32]);
}
