//! From value to stored body and back: postcard, padding, sealing.
//!
//! Padding to steps of [`STEP`] bytes hides the length of names and addresses: `length (u32, little endian) ‖ postcard
//! ‖ zeros`, then sealed for its table and row.

use seal::RecordKey;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::DatabaseError;

const STEP: usize = 128;
const LENGTH: usize = 4;

pub(super) fn seal(key: &RecordKey, table: &str, id: &[u8], value: &impl Serialize) -> Result<Vec<u8>, DatabaseError> {
    let value = Zeroizing::new(postcard::to_stdvec(value).map_err(DatabaseError::Unstorable)?);
    let length =
        u32::try_from(value.len()).map_err(|_| DatabaseError::Unstorable(postcard::Error::SerializeBufferFull))?;
    let padded = (LENGTH + value.len()).next_multiple_of(STEP);
    let mut plain = Zeroizing::new(Vec::with_capacity(padded));
    plain.extend_from_slice(&length.to_le_bytes());
    plain.extend_from_slice(&value);
    plain.resize(padded, 0);
    Ok(key.seal(table, id, &plain))
}

pub(super) fn open<T: DeserializeOwned>(
    key: &RecordKey,
    table: &str,
    id: &[u8],
    body: &[u8],
) -> Result<T, DatabaseError> {
    let damaged = || DatabaseError::Damaged(format!("a value of {table}"));
    let plain = key.open(table, id, body).map_err(|_| damaged())?;
    let (length, rest) = plain.split_first_chunk::<LENGTH>().ok_or_else(damaged)?;
    let value = rest.get(..u32::from_le_bytes(*length) as usize).ok_or_else(damaged)?;
    postcard::from_bytes(value).map_err(|_| damaged())
}
