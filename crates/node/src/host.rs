//! Making and running devices in this process, for the command line ([`api::Host`]).

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::server::{Loopback, Socket, Token};
use api::types::{EvidenceProof, Identity, Join, Joined, Passphrase as TypedPassphrase, SetSetting, Settings};
use api::{
    ApiError, ApiResult, Client, ErrorCode, EventHub, Init, OpenWith, Output, SealTo, SealedStream, Service, Up,
};
use async_trait::async_trait;
use logic::audit::{Event, Who};
use seal::{Keyring, Passphrase, RootKey};
use store::database::Database;
use store::durable::{self, Existing};
use store::home::{Home, HomeError, HomeLock, Making};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::circle::Circle;
use crate::device::Device;
use crate::errors::{blocking, database, internal, io_error};
use crate::journal::Journal;
use crate::passing::{Handle, Passing};
use crate::{access, configuration, files, joining};

/// How long a device that stops may hold its home after it stopped answering.
const LAST_STEPS: Duration = Duration::from_secs(5);

/// Name of the API's socket in the home's run folder.
const SOCKET: &str = "api.sock";
/// Name of the file beside it with the token for the API on TCP.
const TOKEN: &str = "api.token";

/// One home, with or without a device in it.
#[derive(Debug, Clone)]
pub struct NodeHost {
    path: PathBuf,
}

impl NodeHost {
    /// The home at `path`, or the default one.
    ///
    /// # Errors
    /// No path was given and the system does not say where homes belong.
    pub fn new(path: Option<PathBuf>) -> ApiResult<Self> {
        let path = store::home::default_path(path.map(PathBuf::into_os_string)).map_err(home_error)?;
        let path = std::path::absolute(&path).map_err(|e| io_error("find the home", &e))?;
        Ok(Self { path })
    }

    fn open_home(&self) -> ApiResult<Home> {
        Home::open(&self.path).map_err(home_error)
    }

    fn socket(&self) -> PathBuf {
        self.path.join("run").join(SOCKET)
    }

    fn token(&self) -> PathBuf {
        self.path.join("run").join(TOKEN)
    }

    /// Opens the socket of the local API, and the port on 127.0.0.1 where one is wanted.
    async fn doors(&self, port: Option<u16>) -> ApiResult<(Socket, Option<Loopback>)> {
        let socket = Socket::bind(&self.socket()).map_err(|e| io_error("open the socket of the local API", &e))?;
        // One from a run that was killed: its token would seem good, and its port may be somebody else's by now.
        durable::remove(&self.token()).map_err(|e| io_error("remove an old token of the local API", &e))?;
        let Some(port) = port else { return Ok((socket, None)) };
        let token = Token::new(seal::random());
        durable::write(&self.token(), token.text().as_bytes(), Existing::Replace)
            .map_err(|e| io_error("store the token of the local API", &e))?;
        let loopback = Loopback::bind(port, token).await;
        let loopback = loopback.map_err(|e| io_error(&format!("serve the local API on port {port}"), &e))?;
        Ok((socket, Some(loopback)))
    }

    /// Makes the home with its keystore. Whatever was made is removed again if `then` fails before it says that there
    /// is a device ([`Making::done`]).
    async fn make<T>(
        &self,
        keyring: Keyring,
        passphrase: &TypedPassphrase,
        then: impl AsyncFnOnce(Arc<Home>, Arc<Keyring>, Database, Making<'_>) -> ApiResult<T>,
    ) -> ApiResult<T> {
        let passphrase = Passphrase::new(passphrase.0.clone());
        access::check_new(&passphrase)?;
        let existed = self.path.exists();
        let home = Arc::new(Home::create(&self.path).map_err(home_error)?);
        let done = self.fill(&home, Arc::new(keyring), passphrase, then).await;
        if done.is_err() && !existed && matches!(Home::exists(&self.path), Ok(false)) {
            // Only what this command has made is in it.
            let _ = std::fs::remove_dir_all(&self.path);
        }
        done
    }

    /// Makes keystore and database in an empty home.
    async fn fill<T>(
        &self,
        home: &Arc<Home>,
        keyring: Arc<Keyring>,
        passphrase: Passphrase,
        then: impl AsyncFnOnce(Arc<Home>, Arc<Keyring>, Database, Making<'_>) -> ApiResult<T>,
    ) -> ApiResult<T> {
        let lock = home.lock().map_err(home_error)?;
        let making = home.make(&lock).map_err(home_error)?;
        let db = {
            let (home, keyring) = (home.clone(), keyring.clone());
            blocking(move || {
                access::create(&home, &keyring, &passphrase)?;
                Database::create(&home.database(), keyring.records.clone()).map_err(database)
            })
            .await?
        };
        then(home.clone(), keyring, db, making).await
    }
}

/// Journal and circle of a home, without a network.
fn rooms(home: &Home, db: &Database, keyring: &Arc<Keyring>) -> ApiResult<(Journal, Circle)> {
    let journal = Journal::open(db, EventHub::default(), configuration::load(home)?.log_keep).map_err(database)?;
    Ok((journal, Circle::open(db, keyring.clone())?))
}

/// Checks names before anything is made.
fn check_names(names: &[(&str, &str)]) -> ApiResult<()> {
    for (what, name) in names {
        seal::pki::valid_name(name)
            .map_err(|e| ApiError::new(ErrorCode::BadRequest, format!("{name:?} cannot be the {what}: {e}")))?;
    }
    Ok(())
}

#[async_trait]
impl api::Host for NodeHost {
    fn home(&self) -> PathBuf {
        self.path.clone()
    }

    fn initialised(&self) -> ApiResult<bool> {
        Home::exists(&self.path).map_err(home_error)
    }

    async fn init(&self, init: Init) -> ApiResult<Identity> {
        check_names(&[("member's name", &init.name), ("device's name", &init.device)])?;
        if let Some(circle) = &init.circle {
            check_names(&[("circle's name", circle)])?;
        }
        let mut keyring = Keyring::generate();
        keyring.root = init.circle.is_some().then(RootKey::generate);
        let identity = Identity {
            member: init.name.clone(),
            device: init.device.clone(),
            device_id: keyring.device.id().to_string(),
            role: if init.circle.is_some() { "admin".into() } else { String::new() },
            recipient: keyring.seal.recipient().to_string(),
        };
        self.make(keyring, &init.passphrase, async |home, keyring, db, making| {
            blocking(move || {
                let (journal, circle) = rooms(&home, &db, &keyring)?;
                if let Some(name) = &init.circle {
                    circle.found(name, &init.name, &init.device)?;
                    journal.note(Event::CircleFounded { circle: name.clone() });
                }
                journal.close();
                Ok(())
            })
            .await?;
            making.done().map_err(home_error)
        })
        .await?;
        Ok(identity)
    }

    async fn join(&self, join: Join, passphrase: TypedPassphrase) -> ApiResult<Joined> {
        check_names(&[("member's name", &join.name), ("device's name", &join.device)])?;
        joining::ticket(&join.invitation)?;
        if !self.initialised()? {
            let then = async |home, keyring, db, making: Making<'_>| {
                let there_is_a_device = || making.done().map_err(home_error);
                join_in(home, db, keyring, &join, 0, there_is_a_device).await
            };
            return self.make(Keyring::generate(), &passphrase, then).await;
        }
        let home = Arc::new(self.open_home()?);
        let _lock = home.lock().map_err(home_error)?;
        let (opened, db) = {
            let (home, passphrase) = (home.clone(), Passphrase::new(passphrase.0.clone()));
            blocking(move || {
                let opened = access::open(&home, &passphrase)?;
                let db = Database::open(&home.database(), opened.keyring.records.clone()).map_err(database)?;
                Ok((opened, db))
            })
            .await?
        };
        join_in(home, db, Arc::new(opened.keyring), &join, opened.failures, || Ok(())).await
    }

    async fn up(&self, up: Up, ready: Box<dyn FnOnce() + Send>) -> ApiResult<()> {
        let home = self.open_home()?;
        let _lock = self.lock(&home).await?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(|e| io_error("listen for signals", &e))?;
        let mut terminate = signal(SignalKind::terminate()).map_err(|e| io_error("listen for signals", &e))?;
        let device = Device::new(home, up.port);
        if let Some(passphrase) = up.passphrase {
            device.unlock(&passphrase).await?;
        }
        let (socket, loopback) = match self.doors(up.api_port).await {
            Ok(doors) => doors,
            Err(error) => {
                device.close().await;
                return Err(error);
            }
        };
        let until = {
            let device = device.clone();
            async move {
                tokio::select! {
                    () = device.stopped() => {}
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                // While the socket still answers, so that whoever waits for its end finds the home at rest.
                device.close().await;
            }
        };
        let ended = CancellationToken::new();
        let _end = ended.clone().drop_guard();
        if let Some(loopback) = loopback {
            let _ = device.api.set(format!("http://{}", loopback.address()));
            tokio::spawn(loopback.serve(device.clone(), ended.cancelled_owned()));
        }
        // In a task of its own: whoever awaits this may itself be a caller of the API.
        let served = tokio::spawn(socket.serve(device.clone(), until));
        ready();
        let served = served.await.map_err(internal);
        let _ = std::fs::remove_file(self.token());
        served
    }

    async fn settings(&self, change: Option<SetSetting>) -> ApiResult<Settings> {
        let home = self.open_any()?;
        let settings = blocking(move || configuration::change(&home, change)).await?;
        Ok(configuration::shown(&settings))
    }

    async fn running(&self) -> ApiResult<Arc<dyn Service>> {
        let client = Client::new(self.socket());
        client.check().await?;
        Ok(Arc::new(client))
    }

    async fn passing(&self) -> ApiResult<Arc<dyn Service>> {
        let lan_port = Home::open(&self.path)
            .ok()
            .and_then(|home| configuration::load(&home).ok())
            .map_or(net::lan::DEFAULT_PORT, |settings| settings.lan_port);
        Ok(Arc::new(Handle(Passing::new(lan_port))))
    }

    async fn seal(&self, input: Box<dyn Read + Send>, output: Output, to: SealTo, armor: bool) -> ApiResult<u64> {
        blocking(move || files::seal_stream(input, output, &to, armor)).await
    }

    async fn look_into(&self, input: Box<dyn Read + Send>) -> ApiResult<SealedStream> {
        blocking(move || files::look_into(input)).await
    }

    async fn open(&self, sealed: SealedStream, output: Output, with: OpenWith) -> ApiResult<u64> {
        blocking(move || files::open_stream(sealed, output, &with)).await
    }

    async fn check_evidence(&self, file: Vec<u8>) -> ApiResult<EvidenceProof> {
        blocking(move || {
            let proof = logic::ledger::evidence::check(&file)
                .map_err(|why| ApiError::new(ErrorCode::Damaged, why.to_string()).hint("it proves nothing as it is"))?;
            Ok(EvidenceProof { proves: proof.words() })
        })
        .await
    }
}

impl NodeHost {
    /// Takes the home's lock. A device that no longer answers is on its way out and is waited for.
    async fn lock(&self, home: &Home) -> ApiResult<HomeLock> {
        let deadline = Instant::now() + LAST_STEPS;
        loop {
            match home.lock() {
                Err(HomeError::AlreadyRunning { .. })
                    if Instant::now() < deadline && Client::new(self.socket()).check().await.is_err() =>
                {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                locked => return locked.map_err(home_error),
            }
        }
    }

    /// The home, made ready for settings where there is no device yet.
    fn open_any(&self) -> ApiResult<Home> {
        match Home::open(&self.path) {
            Err(HomeError::NotInitialised(_)) => Home::create(&self.path).map_err(home_error),
            opened => opened.map_err(home_error),
        }
    }
}

/// Joins a circle with a home whose lock is held, and stores what that brought; `stored` is called then. `failures`:
/// wrong passphrases before.
async fn join_in(
    home: Arc<Home>,
    db: Database,
    keyring: Arc<Keyring>,
    join: &Join,
    failures: u32,
    stored: impl FnOnce() -> ApiResult<()> + Send,
) -> ApiResult<Joined> {
    let settings = configuration::load(&home)?;
    let (journal, circle) = {
        let (home, keyring) = (home.clone(), keyring.clone());
        blocking(move || rooms(&home, &db, &keyring)).await?
    };
    access::note_failures(&journal, failures);
    if let Some(now) = circle.snapshot() {
        let own = now.view.owner(circle.device()).map_or("a member", |own| &own.shown);
        let hint = format!(
            "it is {own} in {}: `warren up` starts it; use another home (WARREN_HOME) for another circle",
            now.name
        );
        return Err(ApiError::from(crate::circle::CircleError::HasCircle).hint(hint));
    }
    let network = crate::passing::open_network(&keyring.device).await?;
    let keep = |joined: &logic::pair::Joined| {
        circle.adopt(joined.roster.clone())?;
        stored()
    };
    let joined = joining::join(&network, &keyring, join, settings.lan_port, keep).await;
    network.close().await;
    let done = joined.map(|joined| {
        let who = Who { member: Some(joined.inviter.clone()), device: None, address: None };
        journal.note(Event::CircleJoined {
            who,
            circle: joined.roster.circle_name().to_owned(),
            name: join.name.clone(),
        });
        joining::shown(&joined)
    });
    if let Err(error) = &done {
        journal.note(Event::CircleJoinFailed { who: None, reason: error.message.clone() });
    }
    let closed = tokio::task::spawn_blocking(move || journal.close()).await;
    closed.map_err(internal)?;
    done
}

fn home_error(error: HomeError) -> ApiError {
    let message = error.to_string();
    match error {
        HomeError::NotInitialised(_) => ApiError::new(ErrorCode::NotInitialised, message)
            .hint("make one: `warren init --name NAME`, or join a circle: `warren join CODE --name NAME`"),
        HomeError::AlreadyInitialised(_) => {
            ApiError::new(ErrorCode::Exists, message).hint("use another home for another device: WARREN_HOME=DIR")
        }
        HomeError::KeystoreMissing(_) => {
            ApiError::new(ErrorCode::Damaged, message).hint("put back the file `keystore` from a backup of this home")
        }
        HomeError::AlreadyRunning { .. } => {
            ApiError::new(ErrorCode::AlreadyRunning, message).hint("`warren status` asks it; `warren down` stops it")
        }
        HomeError::NotOurs(_) | HomeError::Nowhere => {
            ApiError::new(ErrorCode::BadRequest, message).hint("choose a home of your own: WARREN_HOME=DIR")
        }
        HomeError::Io { path, source } if source.kind() == std::io::ErrorKind::PermissionDenied => {
            ApiError::new(ErrorCode::Io, format!("could not use {}: permission denied", path.display()))
                .hint("it belongs to another user; choose a home of your own: WARREN_HOME=DIR")
        }
        HomeError::Io { path, source } => io_error(&format!("use {}", path.display()), &source),
    }
}
