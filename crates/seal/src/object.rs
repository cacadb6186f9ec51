//! Bytes and the id that they have, so that they are hashed once.

use crate::id::ObjectId;

/// What is stored under the hash of its bytes. Invariant: the id is that of the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    id: ObjectId,
    bytes: Vec<u8>,
}

impl Object {
    /// The object with these bytes.
    #[must_use]
    pub fn of(bytes: Vec<u8>) -> Self {
        Self { id: ObjectId::of(&bytes), bytes }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> ObjectId {
        self.id
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its bytes, for keeps.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl PartialEq<Vec<u8>> for Object {
    fn eq(&self, bytes: &Vec<u8>) -> bool {
        self.bytes == *bytes
    }
}
