//! The system's clock, asked in one place.

use std::time::SystemTime;

use seal::Timestamp;

/// Now.
pub(crate) fn now() -> Timestamp {
    SystemTime::now().into()
}
