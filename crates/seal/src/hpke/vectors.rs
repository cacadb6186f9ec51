//! Known answers: we use HPKE as the standards have it, so that another implementation can read what we seal.

use super::{Kem, X25519HkdfSha256, XWing, open, seal};
use ::hpke::{Deserializable, Serializable};
use data_encoding::HEXLOWER;

/// The field of a file of vectors: one a line, name and hex.
fn field(file: &str, name: &str) -> Vec<u8> {
    let line = file.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap();
    HEXLOWER.decode(line.as_bytes()).unwrap()
}

fn check<K: Kem>(file: &str) {
    let field = |name| field(file, name);
    let (private, public) = K::derive_keypair(&field("ikmR"));
    assert_eq!(public.to_bytes().as_slice(), field("pkRm"));
    let stated = K::PrivateKey::from_bytes(&field("skRm")).unwrap();
    let (info, aad) = (field("info"), field("aad"));
    for key in [private, stated] {
        let opened = open::<K>(&key, &field("enc"), &info, &field("ct"), &aad);
        assert_eq!(*opened.unwrap(), field("pt"));
        let (enc, ct) = seal::<K>(&public, &info, b"back", &aad).unwrap();
        assert_eq!(open::<K>(&key, &enc, &info, &ct, &aad).unwrap().as_slice(), b"back");
        assert!(open::<K>(&key, &enc, b"other", &ct, &aad).is_err());
    }
}

#[test]
fn x25519_as_in_rfc_9180() {
    assert_eq!(X25519HkdfSha256::KEM_ID, 0x0020);
    check::<X25519HkdfSha256>(include_str!("../tests/golden/hpke-x25519.txt"));
}

#[test]
fn xwing_as_in_draft_ietf_hpke_pq() {
    assert_eq!(XWing::KEM_ID, 0x647a);
    check::<XWing>(include_str!("../tests/golden/hpke-xwing.txt"));
}
