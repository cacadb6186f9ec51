//! Sealing as the simulation has it: stand-ins for `seal::{hpke, body}` that need no chance, so that a seed gives the
//! same commits everywhere. They keep what is asked of the real ones: nothing opens without the key, or for another
//! commit, or changed; a key is the one that its epoch commits to.

use seal::DeviceId;
use seal::epoch::EpochKey;
use serde_bytes::ByteBuf;

use crate::ledger::{Header, RealmId, Rekey, Wrap};

/// The key of an epoch.
pub(super) type Key = [u8; 32];

fn mac(key: &Key, parts: &[&[u8]]) -> Key {
    let mut hasher = blake3::Hasher::new_keyed(key);
    for part in parts {
        hasher.update(&(part.len() as u64).to_be_bytes()).update(part);
    }
    *hasher.finalize().as_bytes()
}

fn masked(bytes: &[u8], key: &Key, nonce: &[u8]) -> Vec<u8> {
    let mut stream = vec![0; bytes.len()];
    blake3::Hasher::new_keyed(key).update(b"stream").update(nonce).finalize_xof().fill(&mut stream);
    bytes.iter().zip(stream).map(|(byte, mask)| byte ^ mask).collect()
}

/// What an epoch commits to.
pub(super) fn commitment(key: &Key) -> [u8; 32] {
    EpochKey::from_bytes(key).commitment()
}

/// What only that device has.
fn secret(device: DeviceId) -> Key {
    blake3::derive_key("warren simulation read seed", device.as_bytes())
}

fn nonce(realm: RealmId, number: u64) -> Vec<u8> {
    [&realm.as_bytes()[..], &number.to_be_bytes()].concat()
}

/// An epoch key for one device.
pub(super) fn wrap(device: DeviceId, realm: RealmId, number: u64, key: &Key) -> Wrap {
    let ct = ByteBuf::from(masked(key, &secret(device), &nonce(realm, number)));
    Wrap { device, algorithm: 0, enc: ByteBuf::new(), ct }
}

/// The key of an epoch, if it was sealed to that device. An error: what was sealed to it is another key.
pub(super) fn unwrap(device: DeviceId, realm: RealmId, rekey: &Rekey) -> Option<Result<Key, ()>> {
    let wrap = rekey.wraps.iter().find(|wrap| wrap.device == device)?;
    let key = Key::try_from(masked(&wrap.ct, &secret(device), &nonce(realm, rekey.number))).ok();
    Some(key.filter(|key| commitment(key) == rekey.commitment).ok_or(()))
}

/// A key under another one.
pub(super) fn under(outer: &Key, key: &Key) -> ByteBuf {
    ByteBuf::from(masked(key, outer, b"link"))
}

/// The key that lies under another one.
pub(super) fn beneath(outer: &Key, sealed: &[u8], expected: &[u8; 32]) -> Option<Key> {
    Key::try_from(masked(sealed, outer, b"link")).ok().filter(|key| commitment(key) == *expected)
}

fn context(header: &Header) -> Vec<u8> {
    let Header { ledger, device, seq, realm, epoch, kind, .. } = header;
    postcard::to_stdvec(&(ledger, device, seq, realm, epoch, kind)).expect("plain data")
}

/// The body of a commit.
pub(super) fn seal_body(key: &Key, header: &Header, plain: &[u8]) -> Vec<u8> {
    let tag = mac(key, &[&context(header), plain]);
    [&tag[..], &masked(plain, key, &tag)].concat()
}

/// Opens a body.
pub(super) fn open_body(key: &Key, header: &Header, sealed: &[u8]) -> Option<Vec<u8>> {
    let (tag, sealed) = sealed.split_first_chunk::<32>()?;
    let plain = masked(sealed, key, tag);
    (mac(key, &[&context(header), &plain]) == *tag).then_some(plain)
}
