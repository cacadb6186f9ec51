//! Known answers: we use HPKE as the standards have it, so that another implementation can read what we seal.

use super::{Kem, X25519HkdfSha256, XWing, open, seal};
use crate::tests::golden::field;
use ::hpke::{Deserializable, Serializable};

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
