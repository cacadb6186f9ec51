//! What lies on disk or flies over the LAN: keystore, records, beacons.

use crate::beacon::{self, BeaconError, BeaconKey};
use crate::record::RecordError;
use crate::vault::{self, Cost, CostFloor, VaultError, lock, unlock, unlock_above};
use crate::{Passphrase, RecordKey};
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

const WEAK: Cost = Cost::worthless_for_tests();

fn open(file: &[u8], passphrase: &str) -> Result<Vec<u8>, VaultError> {
    unlock_above(file, &passphrase.into(), CostFloor::TestsOnly).map(|secrets| secrets.to_vec())
}

#[test]
fn keystore_opens_under_its_passphrase_only() {
    let file = lock(b"secrets", &"correct horse".into(), WEAK).unwrap();
    assert_eq!(open(&file, "correct horse"), Ok(b"secrets".to_vec()));
    assert_eq!(open(&file, "correct hors"), Err(VaultError::WrongPassphrase));
    assert_eq!(open(&file, ""), Err(VaultError::WrongPassphrase));
}

#[test]
fn passphrase_typed_with_decomposed_accents_opens_too() {
    let file = lock(b"secrets", &"Grüße".into(), WEAK).unwrap();
    assert_eq!(open(&file, "Gru\u{308}ße"), Ok(b"secrets".to_vec()));
}

#[test]
fn production_does_not_open_a_file_of_worthless_cost() {
    let file = lock(b"secrets", &"p".into(), WEAK).unwrap();
    assert_eq!(unlock(&file, &"p".into()).map(drop), Err(VaultError::CostTooLow));
}

#[test]
fn minimum_cost_opens_in_production() {
    let file = lock(b"secrets", &"p".into(), Cost::MINIMUM).unwrap();
    assert_eq!(vault::cost(&file), Ok(Cost::MINIMUM));
    assert_eq!(unlock(&file, &"p".into()).unwrap().as_slice(), b"secrets");
}

#[test]
fn costs_below_the_minimum_and_above_the_maximum_cannot_be_asked_for() {
    assert!(Cost::new(64 * 1024, 3, 1).is_ok());
    for (m_kib, t, p) in
        [(64 * 1024 - 1, 3, 1), (64 * 1024, 2, 1), (64 * 1024, 3, 0), (3 << 20, 3, 1), (1 << 17, 33, 1)]
    {
        assert!(Cost::new(m_kib, t, p).is_err(), "m={m_kib} t={t} p={p}");
    }
}

/// Changes the file and gives it a matching checksum, as an attacker would.
fn forge(file: &[u8], change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut body = file[..file.len() - 16].to_vec();
    change(&mut body);
    let checksum = blake3::derive_key("warren 2026-11 key file checksum v1", &body);
    body.extend_from_slice(&checksum[..16]);
    body
}

#[test]
fn keystore_that_demands_the_machine_is_refused_before_any_work() {
    let file = lock(b"secrets", &"p".into(), WEAK).unwrap();
    for field in [8, 12, 16] {
        let forged = forge(&file, |body| body[field..field + 4].fill(0xff));
        assert_eq!(open(&forged, "p"), Err(VaultError::CostTooHigh));
    }
}

#[test]
fn forged_costs_of_zero_do_not_panic() {
    let file = lock(b"secrets", &"p".into(), WEAK).unwrap();
    let forged = forge(&file, |body| body[8..20].fill(0));
    assert!(open(&forged, "p").is_err());
    assert_eq!(unlock(&forged, &"p".into()).map(drop), Err(VaultError::CostTooLow));
}

#[test]
fn every_changed_byte_of_a_keystore_is_noticed() {
    let file = lock(b"secrets", &"p".into(), WEAK).unwrap();
    for position in 0..file.len() {
        let mut changed = file.clone();
        changed[position] ^= 1;
        assert_eq!(open(&changed, "p"), Err(VaultError::Damaged), "byte {position}");
        if position >= 20 && position < file.len() - 16 {
            let forged = forge(&file, |body| body[position] ^= 1);
            assert!(open(&forged, "p").is_err(), "byte {position} with a matching checksum");
        }
    }
    for length in 0..file.len() {
        assert_eq!(open(&file[..length], "p"), Err(VaultError::Damaged), "{length} bytes");
    }
}

#[test]
fn keystore_of_a_later_version_says_so() {
    let mut file = lock(b"secrets", &"p".into(), WEAK).unwrap();
    file[7] = 2;
    assert_eq!(open(&file, "p"), Err(VaultError::TooNew));
}

#[test]
fn passphrases_print_redacted() {
    assert!(!format!("{:?}", Passphrase::from("hunter2")).contains("hunter2"));
}

#[test]
fn record_moved_to_another_row_table_or_home_does_not_open() {
    let key = RecordKey::generate();
    let sealed = key.seal("peers", b"row", b"value");
    assert_eq!(key.open("peers", b"row", &sealed).unwrap().as_slice(), b"value");
    assert!(key.open("peers", b"other", &sealed).is_err());
    assert!(key.open("peer", b"srow", &sealed).is_err());
    assert!(key.open("log", b"row", &sealed).is_err());
    assert!(RecordKey::generate().open("peers", b"row", &sealed).is_err());
    assert_ne!(key.seal("peers", b"row", b"value"), sealed, "equal values are not seen to be equal");
}

#[test]
fn record_of_a_later_version_says_so() {
    let key = RecordKey::generate();
    let mut sealed = key.seal("t", b"i", b"v");
    sealed[0] = 2;
    assert_eq!(key.open("t", b"i", &sealed).map(drop), Err(RecordError::TooNew));
    sealed[0] = 0;
    assert_eq!(key.open("t", b"i", &sealed).map(drop), Err(RecordError::Damaged));
}

#[test]
fn blinds_differ_by_table_and_key() {
    let key = RecordKey::generate();
    assert_eq!(key.blind("a", b"x"), key.blind("a", b"x"));
    assert_ne!(key.blind("a", b"x"), key.blind("b", b"x"));
    assert_ne!(key.blind("a", b"x"), key.blind("a", b"y"));
    assert_ne!(key.blind("a", b"x"), RecordKey::generate().blind("a", b"x"));
}

proptest! {
    #[test]
    fn records_survive(table in "[a-z]{1,12}", id: Vec<u8>, value: Vec<u8>, flip: usize) {
        let key = RecordKey::from_bytes(&[3; 32]);
        let mut sealed = key.seal(&table, &id, &value);
        prop_assert_eq!(sealed.len(), value.len() + 41);
        prop_assert_eq!(key.open(&table, &id, &sealed).unwrap().to_vec(), value);
        let position = flip % sealed.len();
        sealed[position] ^= 0x80;
        prop_assert!(key.open(&table, &id, &sealed).is_err());
    }

    #[test]
    fn beacons_survive(content in proptest::collection::vec(any::<u8>(), 0..=beacon::CAPACITY), nonce: [u8; 24], flip: usize) {
        let key = BeaconKey::from_bytes([4; 32]);
        let mut sealed = key.seal(&content, nonce).unwrap();
        prop_assert_eq!(key.open(&sealed), Ok(content));
        sealed[flip % beacon::SIZE] ^= 1;
        prop_assert_eq!(key.open(&sealed), Err(BeaconError::NotOurs));
    }

    #[test]
    fn garbage_opens_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(BeaconKey::from_bytes([4; 32]).open(&bytes).is_err());
        prop_assert!(RecordKey::from_bytes(&[3; 32]).open("t", b"", &bytes).is_err());
        prop_assert_eq!(open(&bytes, "p"), Err(VaultError::Damaged));
    }
}

#[test]
fn beacon_is_full_and_opens_for_its_circle_only() {
    let key = BeaconKey::generate();
    let sealed = key.seal(&[7; beacon::CAPACITY], crate::random()).unwrap();
    assert_eq!(key.open(&sealed).unwrap().len(), beacon::CAPACITY);
    assert_eq!(BeaconKey::generate().open(&sealed), Err(BeaconError::NotOurs));
    assert_eq!(key.seal(&[7; beacon::CAPACITY + 1], crate::random()), Err(BeaconError::TooLong));
    assert_eq!(key.open(&sealed[..255]), Err(BeaconError::NotOurs));
}
