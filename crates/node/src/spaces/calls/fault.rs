//! From faults of spaces to what the API says.

use api::{ApiError, ErrorCode};

use crate::errors::{database, internal};
use crate::spaces::SpaceFault;

impl From<SpaceFault> for ApiError {
    fn from(fault: SpaceFault) -> Self {
        let message = fault.to_string();
        match fault {
            SpaceFault::Database(error) => database(error),
            SpaceFault::Asked(error) => *error,
            SpaceFault::Circle(_) => Self::new(ErrorCode::NotAllowed, message),
            SpaceFault::MayNot(_) => Self::new(ErrorCode::NotAllowed, message),
            _ => internal(message),
        }
    }
}
