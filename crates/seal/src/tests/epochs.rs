//! Keys of realms and what is sealed with them: nothing opens elsewhere, and nobody is given another key than others.

use crate::body::{self, BodyContext, BodyError};
use crate::epoch::{EpochKey, LinkContext, LinkError};
use crate::hpke::{Algorithm, BadPublicKey, HpkePublic, UnwrapError, WrapContext, Wrapped, wrap};
use crate::{DeviceId, ReadSeed};
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

const DEVICE: DeviceId = DeviceId::from_bytes([3; 32]);
const WRAP: WrapContext = WrapContext { ledger: [1; 32], realm: [2; 16], number: 7, device: DEVICE };
const LINK: LinkContext = LinkContext { ledger: [1; 32], realm: [2; 16], epoch: [4; 32] };
const BODY: BodyContext =
    BodyContext { ledger: [1; 32], device: DEVICE, seq: 9, realm: [2; 16], epoch: [4; 32], kind: 7 };

fn key(byte: u8) -> EpochKey {
    EpochKey::from_bytes(&[byte; 32])
}

/// What the device offers without X-Wing.
fn classical(seed: &ReadSeed) -> HpkePublic {
    let offers = seed.public().offers();
    HpkePublic::from_offers(offers.iter().filter(|(number, _)| *number == 1).map(|(n, key)| (*n, &**key))).unwrap()
}

fn both(seed: &ReadSeed) -> [Wrapped; 2] {
    [classical(seed), seed.public()].map(|public| wrap(&public, &WRAP, &key(5)).unwrap())
}

#[test]
fn epoch_key_reaches_its_device_by_the_best_that_is_offered() {
    let seed = ReadSeed::generate();
    let [plain, hybrid] = both(&seed);
    assert_eq!((plain.algorithm, plain.enc.len(), plain.ct.len()), (Algorithm::X25519.number(), 32, 48));
    assert_eq!((hybrid.algorithm, hybrid.enc.len(), hybrid.ct.len()), (Algorithm::XWing.number(), 1120, 48));
    for wrapped in [plain, hybrid] {
        let opened = seed.unwrap(&WRAP, &wrapped, &key(5).commitment()).unwrap();
        assert_eq!(opened.as_bytes(), key(5).as_bytes());
    }
}

#[test]
fn key_sealed_for_another_device_realm_ledger_or_number_does_not_open() {
    let seed = ReadSeed::generate();
    let contexts = [
        WrapContext { ledger: [9; 32], ..WRAP },
        WrapContext { realm: [9; 16], ..WRAP },
        WrapContext { number: 8, ..WRAP },
        WrapContext { device: DeviceId::from_bytes([9; 32]), ..WRAP },
    ];
    for wrapped in both(&seed) {
        let result =
            |seed: &ReadSeed, context: &WrapContext| seed.unwrap(context, &wrapped, &key(5).commitment()).map(drop);
        for context in contexts {
            assert_eq!(result(&seed, &context), Err(UnwrapError::NotForUs), "{context:?}");
        }
        assert_eq!(result(&ReadSeed::generate(), &WRAP), Err(UnwrapError::NotForUs), "a wrap for another device");
    }
}

#[test]
fn key_that_the_epoch_does_not_commit_to_is_a_lie() {
    let seed = ReadSeed::generate();
    for wrapped in both(&seed) {
        assert_eq!(seed.unwrap(&WRAP, &wrapped, &key(6).commitment()).map(drop), Err(UnwrapError::WrongKey));
    }
    let sealed = key(6).seal_back(&LINK, &key(5)).unwrap();
    assert_eq!(key(6).open_back(&LINK, &sealed, &key(6).commitment()).map(drop), Err(LinkError::WrongKey));
}

#[test]
fn sealed_key_that_is_changed_cut_or_of_another_algorithm_does_not_open() {
    let seed = ReadSeed::generate();
    for wrapped in both(&seed) {
        let result = |wrapped: &Wrapped| seed.unwrap(&WRAP, wrapped, &key(5).commitment()).map(drop);
        for at in (0..wrapped.enc.len()).step_by(37) {
            let mut changed = wrapped.clone();
            changed.enc[at] ^= 1;
            assert_eq!(result(&changed), Err(UnwrapError::NotForUs), "encapsulated key, byte {at}");
            changed.enc.truncate(at);
            assert_eq!(result(&changed), Err(UnwrapError::NotForUs), "{at} bytes of encapsulated key");
        }
        for at in 0..wrapped.ct.len() {
            let mut changed = wrapped.clone();
            changed.ct[at] ^= 1;
            assert_eq!(result(&changed), Err(UnwrapError::NotForUs), "ciphertext, byte {at}");
            changed.ct.truncate(at);
            assert_eq!(result(&changed), Err(UnwrapError::NotForUs), "{at} bytes of ciphertext");
        }
        let other = Wrapped { algorithm: 3 - wrapped.algorithm, ..wrapped.clone() };
        assert_eq!(result(&other), Err(UnwrapError::NotForUs));
        for algorithm in [0, 3, 255] {
            assert_eq!(result(&Wrapped { algorithm, ..wrapped.clone() }), Err(UnwrapError::UnknownAlgorithm));
        }
    }
}

#[test]
fn offers_that_are_none_are_refused_and_later_ones_passed_over() {
    let offers = ReadSeed::generate().public().offers();
    let [(2, xwing), (1, x25519)] = &*offers else { panic!("X-Wing, then X25519") };
    let read = |offers: &[(u8, &[u8])]| HpkePublic::from_offers(offers.iter().copied());
    assert_eq!(read(&[(1, x25519), (2, xwing), (9, b"of the future")]).unwrap().offers(), offers);
    assert_eq!(read(&[]), Err(BadPublicKey));
    assert_eq!(read(&[(2, xwing)]), Err(BadPublicKey), "every device has X25519");
    assert_eq!(read(&[(1, x25519), (1, x25519)]), Err(BadPublicKey), "which one is meant?");
    assert_eq!(read(&[(1, &x25519[1..])]), Err(BadPublicKey));
    assert_eq!(read(&[(1, x25519), (2, &xwing[1..])]), Err(BadPublicKey));
    // Coefficients of ML-KEM keys lie below 3329 (FIPS 203 section 7.2).
    assert_eq!(read(&[(1, x25519), (2, &[0xff; 1216])]), Err(BadPublicKey));
}

#[test]
fn nothing_is_sealed_to_a_key_of_small_order() {
    for point in [[0; 32], std::array::from_fn(|at| u8::from(at == 0))] {
        let public = HpkePublic::from_offers([(1, &point[..])]).unwrap();
        assert_eq!(wrap(&public, &WRAP, &key(5)), Err(BadPublicKey));
    }
}

#[test]
fn history_and_children_open_from_their_link_only() {
    let (new, old) = (EpochKey::generate(), EpochKey::generate());
    let commitment = old.commitment();
    let back = new.seal_back(&LINK, &old).unwrap();
    let child = new.seal_child(&LINK, &old).unwrap();
    assert_eq!(new.open_back(&LINK, &back, &commitment).unwrap().as_bytes(), old.as_bytes());
    assert_eq!(new.open_child(&LINK, &child, &commitment).unwrap().as_bytes(), old.as_bytes());

    let refused = Err(LinkError::NotOpened);
    assert_eq!(new.open_child(&LINK, &back, &commitment).map(drop), refused, "a back link is no child link");
    assert_eq!(new.open_back(&LINK, &child, &commitment).map(drop), refused);
    assert_eq!(old.open_back(&LINK, &back, &commitment).map(drop), refused, "the old key does not open the new one");
    for context in [
        LinkContext { ledger: [9; 32], ..LINK },
        LinkContext { realm: [9; 16], ..LINK },
        LinkContext { epoch: [9; 32], ..LINK },
    ] {
        assert_eq!(new.open_back(&context, &back, &commitment).map(drop), refused, "{context:?}");
        assert_eq!(new.open_child(&context, &child, &commitment).map(drop), refused, "{context:?}");
    }
    for at in 0..back.len() {
        let mut changed = back.clone();
        changed[at] ^= 1;
        assert_eq!(new.open_back(&LINK, &changed, &commitment).map(drop), refused, "byte {at}");
        assert_eq!(new.open_back(&LINK, &back[..at], &commitment).map(drop), refused, "{at} bytes");
    }
    let later = [&[2], &back[1..]].concat();
    assert_eq!(new.open_back(&LINK, &later, &commitment).map(drop), Err(LinkError::TooNew));
}

#[test]
fn keys_and_seeds_do_not_print() {
    assert_eq!(format!("{:?} {:?}", key(5), ReadSeed::from_bytes(&[5; 32])), "EpochKey(***) ReadSeed(***)");
}

#[test]
fn body_opens_for_its_commit_and_under_its_key_only() {
    let sealed = body::seal(&key(5), &BODY, b"changes").unwrap();
    assert_eq!(body::open(&key(5), &BODY, &sealed).unwrap(), b"changes");
    assert_ne!(body::seal(&key(5), &BODY, b"changes").unwrap(), sealed, "equal bodies are not seen to be equal");
    assert_eq!(body::open(&key(6), &BODY, &sealed), Err(BodyError::NotOpened));
    for context in [
        BodyContext { ledger: [9; 32], ..BODY },
        BodyContext { device: DeviceId::from_bytes([9; 32]), ..BODY },
        BodyContext { seq: 10, ..BODY },
        BodyContext { realm: [9; 16], ..BODY },
        BodyContext { epoch: [9; 32], ..BODY },
        BodyContext { kind: 8, ..BODY },
    ] {
        assert_eq!(body::open(&key(5), &context, &sealed), Err(BodyError::NotOpened), "{context:?}");
    }
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert_eq!(body::open(&key(5), &BODY, &changed), Err(BodyError::NotOpened), "byte {at}");
        assert_eq!(body::open(&key(5), &BODY, &sealed[..at]), Err(BodyError::NotOpened), "{at} bytes");
    }
    let later = [&[2], &sealed[1..]].concat();
    assert_eq!(body::open(&key(5), &BODY, &later), Err(BodyError::TooNew));
}

#[test]
fn small_bodies_have_one_length() {
    let lengths = [0, 1, 100, 255].map(|length| body::seal(&key(5), &BODY, &vec![7; length]).unwrap().len());
    assert_eq!(lengths, [256 + 41; 4]);
    assert_eq!(body::seal(&key(5), &BODY, &[7; 256]).unwrap().len(), 272 + 41);
}

proptest! {
    #[test]
    fn bodies_survive_whatever_they_end_in(mut plain in proptest::collection::vec(any::<u8>(), 0..3000), zeros in 0..300_usize) {
        plain.resize(plain.len() + zeros, 0);
        let sealed = body::seal(&key(5), &BODY, &plain).unwrap();
        prop_assert_eq!(sealed.len(), body::sealed_len(plain.len()));
        prop_assert_eq!(body::open(&key(5), &BODY, &sealed).unwrap(), plain);
    }

    #[test]
    fn lengths_after_padding_are_few_and_near(length in 0..5_000_000_usize) {
        let padded = body::sealed_len(length) - 41;
        prop_assert!(padded > length);
        prop_assert!(padded <= 256 || padded * 100 <= (length + 1) * 112);
        let significant = usize::BITS - padded.leading_zeros() - padded.trailing_zeros();
        prop_assert!(significant <= 6, "{} has {} significant bits", padded, significant);
    }

    #[test]
    fn garbage_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400), enc in proptest::collection::vec(any::<u8>(), 0..1200)) {
        prop_assert!(body::open(&key(5), &BODY, &bytes).is_err());
        prop_assert!(key(5).open_back(&LINK, &bytes, &[0; 32]).is_err());
        let seed = ReadSeed::from_bytes(&[8; 32]);
        for algorithm in [1, 2] {
            let wrapped = Wrapped { algorithm, enc: enc.clone(), ct: bytes.clone() };
            prop_assert!(seed.unwrap(&WRAP, &wrapped, &[0; 32]).is_err());
        }
        let _ = HpkePublic::from_offers([(1, &*bytes), (2, &*enc)]);
    }
}
