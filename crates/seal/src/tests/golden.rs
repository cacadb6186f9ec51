//! Bytes written by version 1 of each format: whatever changes, these must go on being read.

use super::circle::NOW;
use crate::beacon::BeaconKey;
use crate::body::{self, BodyContext};
use crate::chunk::{ChunkKey, ChunkOpener, ChunkSealer, Chunker, ContentKey, CutKey, Plain};
use crate::epoch::LinkContext;
use crate::hpke::{WrapContext, Wrapped};
use crate::keyring::Loaded;
use crate::pki::{Bundle, PkiFault, verify_device};
use crate::vault::{CostFloor, unlock_above};
use crate::words::safety_words;
use crate::{DeviceId, DeviceKey, EpochKey, Keyring, ObjectId, Purpose, ReadSeed, RecordKey};
use data_encoding::HEXLOWER;

const RECORD: &str = "01da24d2e3778b4458528663d10c3f6a6e6f7196eff7e8a1881d15e6b049a57f5091c173a194102b9e0031dd4ccd";
const BEACON: &str = concat!(
    "04040404040404040404040404040404040404040404040469e69771fb5d3ce64f828cb8ff367cebdf36f2b72083619f978e7a09",
    "caab861423ea664f2b39b8e8692d72fad134816b0fb8e5f4f1da9581acec48cf1e7fd6ed35f322fecbab07399c7aaf05ca8a4ba4",
    "a67d9c76cb3f47b33406c95d3b4e01472edc0dcb7ad7be1211f48e78e34e7ece4502d060e6f1d8f401e3df49556a044920c9cf57",
    "2c1a0d54652a6581f66fb82dcc45a969501cda7630e1b8147a9b9d46586f5c9fc912f921835813901a385dad0dba3b7e4d767398",
    "430389893530db8bce88e8fded144fae10dfccb53d66f4cd973833a47884daa20422611c8851b3feffd28e585d8539ad",
);

/// What spaces have written: a name and hex on each line.
const SPACE: &str = include_str!("golden/space-v1.txt");

/// A field of such a file.
pub(crate) fn field(file: &str, name: &str) -> Vec<u8> {
    hex(file.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap())
}

fn hex(text: &str) -> Vec<u8> {
    HEXLOWER.decode(text.replace('\n', "").as_bytes()).unwrap()
}

#[test]
fn ids_signatures_and_safety_words() {
    let key = DeviceKey::from_seed(&[1; 32]);
    assert_eq!(key.id().to_string(), "rkeohxlubhyzl7ks3mwtzos5olfgocn7dwkbeg7toseadnapn5oa");
    let signature = hex(concat!(
        "27f8e9811328d612dc71da1cb538a100d94db70c27ed2b9dcc257464f197aef5",
        "ccc4a156f975164e9991f3229df7071de8c1531d6e71aebee200f7c59e3c860b",
    ));
    assert_eq!(key.sign(Purpose::HelloProof, b"message").as_bytes().as_slice(), signature);
    assert_eq!(safety_words(&[b"circle", b"device"]), "cargo patient bridge range rent hold");
}

#[test]
fn record_and_blind() {
    let key = RecordKey::from_bytes(&[2; 32]);
    assert_eq!(key.open("peers", b"row", &hex(RECORD)).unwrap().as_slice(), b"value");
    assert_eq!(key.blind("peers", b"row").as_slice(), hex("cc26d135a6c1fd34c2e59813be55a687"));
}

#[test]
fn beacon() {
    let key = BeaconKey::from_bytes([3; 32]);
    assert_eq!(key.open(&hex(BEACON)).unwrap(), b"hello");
    assert_eq!(key.seal(b"hello", [4; 24]).unwrap().as_slice(), hex(BEACON));
}

#[test]
fn key_file_and_keyring() {
    let file = hex(include_str!("golden/keystore-v1.hex"));
    let secrets = unlock_above(&file, &"correct horse".into(), CostFloor::TestsOnly).unwrap();
    let Loaded::Upgraded(ring) = Keyring::from_bytes(&secrets).unwrap() else { panic!("version 1 had no read seed") };
    assert_eq!(ring.device.id().to_string(), "cpjgfp32iqqmud3s3k2huaej2cxdxg5he3r45gapi2acndxxejdq");
    assert_eq!(ring.seal.recipient().as_str(), "age1yd7n96tfpmruqc0aezeqkarkt6wx2a83yj9fxtmqc4zxx073zs5sthrhqr");
    assert!(ring.member.is_some() && ring.root.is_none());
}

#[test]
fn certificates_and_lists() {
    let bundle = Bundle::from_pem(include_str!("golden/circle-v1.pem")).unwrap();
    let (root, chain) = bundle.certificates.split_first().unwrap();
    assert_eq!(verify_device(root, chain, &bundle.crls, NOW).unwrap().member_name(), "Rob");
    assert_eq!(verify_device(root, chain, &[], NOW), Err(PkiFault::NoCrl));
}

#[test]
fn keys_of_epochs() {
    let (key, old, seed) =
        (EpochKey::from_bytes(&[5; 32]), EpochKey::from_bytes(&[6; 32]), ReadSeed::from_bytes(&[8; 32]));
    let commitment = "fdb267b5ac816dc8174d0040f457c7b29b049ea2268fbbc37473160dcb2be320";
    assert_eq!(key.commitment().as_slice(), hex(commitment));

    let offers = seed.public().offers();
    let hashes = offers.iter().map(|(number, key)| (*number, blake3::hash(key).to_hex().to_string()));
    let expected = [
        (2, "65e9baf46c5d0133969a715578f27d28cd91b34ab310e6183bbb6438bf301882".to_owned()),
        (1, "77857da05282eaea20f9cbd3473b25e78cd325c0c0e558da1c5a4d96cb210738".to_owned()),
    ];
    assert_eq!(hashes.collect::<Vec<_>>(), expected);
    let device = DeviceId::from_bytes([3; 32]);
    let context = WrapContext { ledger: [1; 32], realm: [2; 16], number: 7, device };
    for algorithm in [1, 2] {
        let field = |part| field(SPACE, &format!("wrap{algorithm}-{part}"));
        let wrapped = Wrapped { algorithm, enc: field("enc"), ct: field("ct") };
        assert!(seed.unwrap(&context, &wrapped, &key.commitment()).is_ok(), "algorithm {algorithm}");
    }

    let link = LinkContext { ledger: [1; 32], realm: [2; 16], epoch: [4; 32] };
    assert!(key.open_back(&link, &field(SPACE, "back"), &old.commitment()).is_ok());
    assert!(key.open_child(&link, &field(SPACE, "child"), &old.commitment()).is_ok());
}

#[test]
fn bodies() {
    let device = DeviceId::from_bytes([3; 32]);
    let context = BodyContext { ledger: [1; 32], device, seq: 9, realm: [2; 16], epoch: [4; 32], kind: 7 };
    let key = EpochKey::from_bytes(&[5; 32]);
    assert_eq!(body::open(&key, &context, &field(SPACE, "body")).unwrap(), b"changes");
}

#[test]
fn chunks() {
    let key = ContentKey::of(&EpochKey::from_bytes(&[5; 32]));
    for (name, plain) in [("plain", "short".to_owned()), ("compressed", "words ".repeat(200))] {
        let array = |part| field(SPACE, &format!("{name}-{part}")).try_into().unwrap();
        let stored = field(SPACE, &format!("{name}-stored"));
        let (id, key_of_chunk) = (ObjectId::from_bytes(array("id")), ChunkKey::from_bytes(array("key")));
        let opened = ChunkOpener::new().open(&id, &key_of_chunk, &stored);
        assert_eq!(opened.unwrap(), plain.as_bytes());
    }
    // Another zstd may compress differently; what is not compressed must stay one object.
    let chunk = ChunkSealer::new(key.clone()).seal(&Plain::new(b"short".to_vec())).unwrap();
    assert_eq!(chunk.object.id().as_bytes().as_slice(), field(SPACE, "sealed-id"));
    assert_eq!(chunk.key.as_bytes().as_slice(), field(SPACE, "sealed-key"));
    let fingerprint = hex("cdd20076d2751263b05dc8aa43d9bcad6ed3f2ac111a3814934c073b98cd73c9");
    assert_eq!(key.fingerprint(b"short").0.as_slice(), fingerprint);
}

#[test]
fn cuts() {
    let mut noise = vec![0; 8 << 20];
    blake3::Hasher::new_keyed(&[1; 32]).finalize_xof().fill(&mut noise);
    let key = CutKey::of(&EpochKey::from_bytes(&[5; 32]));
    let mut chunker = Chunker::new(&key, noise.as_slice());
    let lengths: Vec<_> = std::iter::from_fn(|| chunker.next_chunk().unwrap().map(<[u8]>::len)).collect();
    assert_eq!(lengths, [1_103_769, 1_099_192, 757_356, 1_740_516, 1_056_213, 1_180_435, 1_361_973, 89_154]);
}
