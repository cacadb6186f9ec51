//! Why something between two devices ended.

use logic::Misbehaved;
use net::frame::FrameError;
use thiserror::Error;

use crate::spaces::SpaceFault;

/// See the module.
#[derive(Debug, Error)]
pub(super) enum Ended {
    /// The stream, or what came on it.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// This device.
    #[error(transparent)]
    Fault(SpaceFault),
    /// The peer owed an answer, or did not read.
    #[error("the peer fell silent")]
    Silent,
    /// There is no room, here or there.
    #[error("there is no room")]
    NoRoom,
    /// The space is not for this device.
    #[error("{0}")]
    Unwanted(&'static str),
}

impl From<Misbehaved> for Ended {
    fn from(offence: Misbehaved) -> Self {
        Self::Frame(FrameError::Misbehaved(offence))
    }
}

impl From<SpaceFault> for Ended {
    fn from(fault: SpaceFault) -> Self {
        match fault {
            SpaceFault::Misbehaved(offence) => offence.into(),
            other => Self::Fault(other),
        }
    }
}

impl From<std::io::Error> for Ended {
    fn from(error: std::io::Error) -> Self {
        Self::Frame(FrameError::Io(error))
    }
}

impl Ended {
    /// What the peer did, if it was that.
    pub(super) fn offence(&self) -> Option<Misbehaved> {
        match self {
            Self::Frame(FrameError::Misbehaved(offence)) => Some(*offence),
            _ => None,
        }
    }
}

/// Runs what blocks where it may.
pub(super) async fn blocking<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, Ended>
where
    T: Send + 'static,
    E: Send + 'static,
    Ended: From<E>,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(error) => Err(std::io::Error::other(error).into()),
    }
}
