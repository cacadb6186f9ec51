//! The receipt: what the receiver signs once everything is durable and in its place.

use super::hash::Value;
use super::message::{Totals, TransferId};
use seal::{DeviceId, Purpose, Signature};
use serde::{Deserialize, Serialize};

/// What a receiver confirms. The signature is over its postcard encoding, by the receiver's device key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Which transfer.
    pub id: TransferId,
    /// Device that sent it.
    pub sender: Value,
    /// Hash over the listing and what became of every entry ([`super::outcome`]).
    pub root: Value,
    /// Files complete and bytes verified.
    pub done: Totals,
    /// When everything was durable, Unix milliseconds, by the receiver's clock.
    pub at: i64,
}

impl Receipt {
    /// The bytes that are signed.
    pub fn to_bytes(&self) -> Vec<u8> {
        super::message::encode(self)
    }
}

/// A receipt and the receiver's signature over it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedReceipt {
    /// What is confirmed.
    pub receipt: Receipt,
    /// Ed25519, by the receiver's device key.
    pub signature: Signature,
}

impl SignedReceipt {
    /// True if `receiver` signed it.
    pub fn is_from(&self, receiver: &DeviceId) -> bool {
        receiver.verify(Purpose::TransferReceipt, &self.receipt.to_bytes(), &self.signature).is_ok()
    }
}
