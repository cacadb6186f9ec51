//! The device: locked or running. Everything that the API can ask comes here first.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use api::types::{Event as ApiEvent, Passphrase as TypedPassphrase, Spooled, Status, TreeRead};
use api::{ApiError, ApiResult, ContentStream, ErrorCode, EventHub, EventStream, Reply, Request, Service};
use async_trait::async_trait;
use logic::audit::Event;
use seal::{Keyring, Passphrase, Timestamp};
use store::database::Database;
use store::home::Home;
use tokio::sync::{Mutex, RwLock};
use tokio_util::sync::CancellationToken;

use crate::errors::{blocking, database};
use crate::journal::Journal;
use crate::running::Running;
use crate::{access, calls, clock, configuration};

/// A device in its home. Locked at first.
pub(crate) struct Device {
    pub(crate) home: Arc<Home>,
    hub: EventHub,
    started_at: Timestamp,
    /// The log has been told that it was started.
    told: AtomicBool,
    /// When it was locked last, Unix milliseconds.
    locked_at: AtomicI64,
    /// Where the API is served on TCP.
    pub(crate) api: OnceLock<String>,
    /// Port that the command line named.
    port: Option<u16>,
    running: RwLock<Option<Arc<Running>>>,
    /// Held while the device is being locked or unlocked.
    turning: Mutex<()>,
    stop: CancellationToken,
}

impl Device {
    pub(crate) fn new(home: Home, port: Option<u16>) -> Arc<Self> {
        Arc::new(Self {
            home: Arc::new(home),
            hub: EventHub::default(),
            started_at: clock::now(),
            told: AtomicBool::new(false),
            locked_at: AtomicI64::new(clock::now().0),
            api: OnceLock::new(),
            port,
            running: RwLock::new(None),
            turning: Mutex::new(()),
            stop: CancellationToken::new(),
        })
    }

    /// Ends when somebody asked the device to stop.
    pub(crate) async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// Asks the device to stop.
    pub(crate) fn ask_to_stop(&self) {
        self.stop.cancel();
    }

    /// What runs while the device is unlocked.
    pub(crate) async fn running(&self) -> ApiResult<Arc<Running>> {
        self.running
            .read()
            .await
            .clone()
            .ok_or_else(|| ApiError::new(ErrorCode::Locked, "the device is locked").hint("`warren unlock` opens it"))
    }

    /// Opens the keystore and starts everything. The passphrase must be right even if all that was done before.
    pub(crate) async fn unlock(&self, passphrase: &TypedPassphrase) -> ApiResult<()> {
        let _turning = self.turning.lock().await;
        let (home, passphrase) = (self.home.clone(), Passphrase::new(passphrase.0.clone()));
        let opened = blocking(move || access::open(&home, &passphrase)).await?;
        if let Some(running) = &*self.running.read().await {
            access::note_failures(&running.journal, opened.failures);
            return Ok(());
        }
        let running = Running::start(self.home.clone(), opened.keyring, self.hub.clone(), self.port).await?;
        if !self.told.swap(true, Ordering::Relaxed) {
            let (version, port) = (env!("CARGO_PKG_VERSION").into(), running.network.port());
            running.journal.note(Event::DeviceStarted { version, port });
        }
        access::note_failures(&running.journal, opened.failures);
        running.journal.note(Event::DeviceUnlocked {});
        *self.running.write().await = Some(running);
        self.hub.send(ApiEvent::Lock { locked: false });
        Ok(())
    }

    /// Stops everything and drops every key; only the API stays.
    pub(crate) async fn lock(&self) -> ApiResult<()> {
        let _turning = self.turning.lock().await;
        if let Some(running) = self.running.write().await.take() {
            running.stop(Event::DeviceLocked {}).await;
            self.locked_at.store(clock::now().0, Ordering::Relaxed);
            self.hub.send(ApiEvent::Lock { locked: true });
        }
        Ok(())
    }

    /// Stops everything in good order, for the end of the process.
    pub(crate) async fn close(&self) {
        let _turning = self.turning.lock().await;
        if let Some(running) = self.running.write().await.take() {
            running.stop(Event::DeviceStopped {}).await;
        }
        // Whoever still listens would keep the process waiting.
        self.hub.end();
    }

    pub(crate) async fn change_passphrase(&self, old: &TypedPassphrase, new: &TypedPassphrase) -> ApiResult<()> {
        let _turning = self.turning.lock().await;
        let (home, old, new) = (self.home.clone(), Passphrase::new(old.0.clone()), Passphrase::new(new.0.clone()));
        let journal = self.running.read().await.as_ref().map(|running| running.journal.clone());
        blocking(move || {
            let opened = access::change(&home, &old, &new)?;
            let note = |journal: &Journal| {
                access::note_failures(journal, opened.failures);
                journal.note(Event::PassphraseChanged {});
            };
            match journal {
                Some(journal) => note(&journal),
                None => note_locked(&home, &opened.keyring, note),
            }
            Ok(())
        })
        .await
    }

    pub(crate) async fn status(&self) -> ApiResult<Status> {
        let running = self.running.read().await.clone();
        let mut status = Status {
            version: env!("CARGO_PKG_VERSION").into(),
            home: self.home.path().display().to_string(),
            pid: std::process::id(),
            locked: running.is_none(),
            started_at: self.started_at.0,
            locked_at: running.is_none().then(|| self.locked_at.load(Ordering::Relaxed)),
            identity: None,
            circle: None,
            addresses: Vec::new(),
            api: self.api.get().cloned(),
            peers_online: 0,
            transfers_active: 0,
            offers_waiting: 0,
        };
        if let Some(running) = running {
            running.describe(&mut status)?;
        }
        Ok(status)
    }
}

/// Opens the log of a locked device, for `note` only. What cannot be noted is done all the same.
fn note_locked(home: &Home, keyring: &Keyring, note: impl FnOnce(&Journal)) {
    let opened = configuration::load(home).and_then(|settings| {
        let db = Database::open(&home.database(), keyring.records.clone()).map_err(database)?;
        Journal::open(&db, EventHub::default(), settings.log_keep).map_err(database)
    });
    match opened {
        Ok(journal) => {
            note(&journal);
            journal.close();
        }
        Err(error) => tracing::error!(error = %error.message, "the activity log could not be opened"),
    }
}

#[async_trait]
impl Service for Device {
    async fn call(&self, request: Request) -> ApiResult<Reply> {
        calls::answer(self, request).await
    }

    async fn events(&self) -> ApiResult<EventStream> {
        Ok(self.hub.subscribe())
    }

    async fn spool(&self, content: ContentStream) -> ApiResult<Spooled> {
        self.running().await?.spool(content).await
    }

    async fn read(&self, request: TreeRead) -> ApiResult<ContentStream> {
        self.running().await?.read(request).await
    }
}
