//! What a front end can do where no device is running: make one, start it, or use a passing one.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;

use crate::types::{Identity, Join, Joined, Passphrase, SetSetting, Settings};
use crate::{ApiResult, Service};

/// Makes a device in an empty home.
#[derive(Debug, Clone)]
pub struct Init {
    /// Member name.
    pub name: String,
    /// Device name.
    pub device: String,
    /// Found a circle of this name; absent: join one later.
    pub circle: Option<String>,
    /// Passphrase of the keystore.
    pub passphrase: Passphrase,
}

/// How to run a device.
#[derive(Debug, Clone, Default)]
pub struct Up {
    /// Passphrase of the keystore; absent: start locked.
    pub passphrase: Option<Passphrase>,
    /// Port for QUIC (UDP) and TLS (TCP); absent: the one of the settings, else a free one.
    pub port: Option<u16>,
    /// Serve the API on this port of 127.0.0.1 as well (0: any free one); absent: on the socket in the home only.
    pub api_port: Option<u16>,
}

/// The part of the program that can make and run devices in this process. `app` hands it to the command line.
#[async_trait]
pub trait Host: Send + Sync {
    /// Folder of this home.
    fn home(&self) -> PathBuf;

    /// True if a device was made in this home.
    ///
    /// # Errors
    /// The home cannot be looked into, or holds only a part of a device.
    fn initialised(&self) -> ApiResult<bool>;

    /// Makes a device.
    async fn init(&self, init: Init) -> ApiResult<Identity>;

    /// Joins a circle; makes the device first where there is none. No device may be running in this home.
    async fn join(&self, join: Join, passphrase: Passphrase) -> ApiResult<Joined>;

    /// Runs the device until it is told to stop by `shutdown`, SIGINT or SIGTERM; `ready` is called once it serves requests.
    async fn up(&self, up: Up, ready: Box<dyn FnOnce() + Send>) -> ApiResult<()>;

    /// Lists the settings of this home while no device runs in it, after changing one if `change` says so. Settings are no
    /// secrets, so no passphrase is needed; the home is made if there is none.
    async fn settings(&self, change: Option<SetSetting>) -> ApiResult<Settings>;

    /// A client of the running device, or `NotRunning`.
    async fn running(&self) -> ApiResult<Arc<dyn Service>>;

    /// A passing device without home, keystore or circle: for one-time codes and for files under a passphrase.
    async fn passing(&self) -> ApiResult<Arc<dyn Service>>;
}
