//! What a passing device has on it: nothing is remembered, and content that was handed over lies sealed in files without
//! a name, under keys that die with the process.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::types::Spooled;
use api::{ApiResult, ContentStream, ErrorCode};
use data_encoding::HEXLOWER;
use logic::transfer::TransferId;
use store::spool::{SpoolFile, SpoolId, nameless};

use crate::inputs;
use crate::transfers::{Remembered, Shelf};

/// See the module.
#[derive(Default)]
pub(super) struct Pocket(Mutex<HashMap<SpoolId, Arc<SpoolFile>>>);

impl Pocket {
    fn inputs(&self) -> MutexGuard<'_, HashMap<SpoolId, Arc<SpoolFile>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes content in.
    pub(super) async fn take(&self, content: ContentStream) -> ApiResult<Spooled> {
        let dir = std::env::temp_dir();
        let taken = inputs::pour(content, move |content| nameless(&dir, content)).await;
        let file = taken.map_err(|error| match error.code {
            ErrorCode::DiskFull => error.hint("TMPDIR=DIR puts it on another disk"),
            _ => error,
        })?;
        let (id, bytes) = (inputs::fresh_id(), file.len());
        self.inputs().insert(id, Arc::new(file));
        Ok(Spooled { id: HEXLOWER.encode(&id), bytes })
    }

    /// Content that somebody wants to send now.
    pub(super) fn name(&self, id: &str) -> ApiResult<SpoolId> {
        let named = inputs::parse_id(id).filter(|id| self.inputs().contains_key(id));
        named.ok_or_else(|| inputs::unknown(id))
    }
}

impl Shelf for Pocket {
    fn put(&self, _: &TransferId, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn remove(&self, _: &TransferId) -> io::Result<()> {
        Ok(())
    }

    fn all(&self) -> io::Result<Remembered> {
        Ok(Remembered::default())
    }

    fn open_input(&self, id: &SpoolId) -> io::Result<Arc<SpoolFile>> {
        self.inputs().get(id).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn remove_input(&self, id: &SpoolId) {
        self.inputs().remove(id);
    }
}
