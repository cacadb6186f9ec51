//! Bytes written by version 1 of each format: whatever changes, these must go on being read.

use super::circle::NOW;
use crate::beacon::BeaconKey;
use crate::keyring::Loaded;
use crate::pki::{Bundle, PkiFault, verify_device};
use crate::vault::{CostFloor, unlock_above};
use crate::words::safety_words;
use crate::{DeviceKey, Keyring, Purpose, RecordKey};
use data_encoding::HEXLOWER;

const RECORD: &str = "01da24d2e3778b4458528663d10c3f6a6e6f7196eff7e8a1881d15e6b049a57f5091c173a194102b9e0031dd4ccd";
const BEACON: &str = concat!(
    "04040404040404040404040404040404040404040404040469e69771fb5d3ce64f828cb8ff367cebdf36f2b72083619f978e7a09",
    "caab861423ea664f2b39b8e8692d72fad134816b0fb8e5f4f1da9581acec48cf1e7fd6ed35f322fecbab07399c7aaf05ca8a4ba4",
    "a67d9c76cb3f47b33406c95d3b4e01472edc0dcb7ad7be1211f48e78e34e7ece4502d060e6f1d8f401e3df49556a044920c9cf57",
    "2c1a0d54652a6581f66fb82dcc45a969501cda7630e1b8147a9b9d46586f5c9fc912f921835813901a385dad0dba3b7e4d767398",
    "430389893530db8bce88e8fded144fae10dfccb53d66f4cd973833a47884daa20422611c8851b3feffd28e585d8539ad",
);

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
