//! What a front end can do where no device is running: make one, start it, or use a passing one.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;

use crate::types::{EvidenceProof, FileKey, Identity, Join, Joined, Passphrase, SetSetting, Settings};
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

/// Where a converted stream goes.
pub enum Output {
    /// A file at this absolute path, which must not exist; it appears when all is well.
    File(String),
    /// Somebody who reads while it is made. After an error that was a beginning, or nothing.
    Stream(Box<dyn Write + Send>),
}

/// To whom a stream is sealed.
#[derive(Debug)]
pub enum SealTo {
    /// Whoever knows it.
    Passphrase(Passphrase),
    /// Whoever has a key to one of these (`age1...`).
    Recipients(Vec<String>),
}

/// A sealed stream whose beginning has been read.
pub struct SealedStream {
    /// What has been read of it: the header, and whatever came along.
    pub beginning: Vec<u8>,
    /// The rest.
    pub rest: Box<dyn Read + Send>,
    /// Header and nonce, without armour: what a device makes the file key of.
    pub header: Vec<u8>,
    /// A passphrase opens it; else a file key does.
    pub under_passphrase: bool,
}

/// What opens a sealed stream.
#[derive(Debug)]
pub enum OpenWith {
    /// Its passphrase.
    Passphrase(Passphrase),
    /// Its file key, which a device gave.
    Key(FileKey),
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

    /// Seals all of `input`, in this process; with `armor` as text. Gives the number of bytes read.
    async fn seal(&self, input: Box<dyn Read + Send>, output: Output, to: SealTo, armor: bool) -> ApiResult<u64>;

    /// Reads the header of a sealed stream.
    async fn look_into(&self, input: Box<dyn Read + Send>) -> ApiResult<SealedStream>;

    /// Opens a sealed stream, in this process. Gives the number of bytes written. What was written before an error is
    /// genuine, but not the whole.
    async fn open(&self, sealed: SealedStream, output: Output, with: OpenWith) -> ApiResult<u64>;

    /// Says what a file of evidence proves, without a device: it is believed for its signatures alone.
    ///
    /// # Errors
    /// `Damaged` where it proves nothing, with the reason.
    async fn check_evidence(&self, file: Vec<u8>) -> ApiResult<EvidenceProof>;
}
