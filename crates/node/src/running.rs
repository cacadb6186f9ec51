//! Everything that runs while the device is unlocked, put together and taken apart in order.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use api::types::{Circle as ApiCircle, Identity, Sent, Spooled, Status, TreeRead};
use api::{ApiError, ApiResult, ContentStream, ErrorCode, EventHub};
use logic::audit::{Event, Who};
use logic::pair::Joined;
use logic::roster::Standing;
use net::{Incoming, Network};
use seal::Keyring;
use seal::words::safety_words;
use store::database::{Database, DatabaseError, RowId, Table};
use store::home::Home;
use store::settings::Settings;
use store::spool::{SpoolFile, SpoolId};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::book::Book;
use crate::circle::{Circle, CircleError};
use crate::configuration;
use crate::desk::{self, Desk, VisitError};
use crate::errors::{blocking, database, io_error};
use crate::gate::Gate;
use crate::ground::{Ground, TRANSFERS};
use crate::inputs::Inputs;
use crate::joining;
use crate::journal::Journal;
use crate::lan::Voice;
use crate::links::{self, Links};
use crate::sending;
use crate::spaces::between::{self, Between};
use crate::spaces::folder::Folders;
use crate::spaces::{self, Jobs, Spaces};
use crate::transfers::{SendRequest, Transfers};

/// How often this device looks whether its own addresses have changed.
const ADDRESS_EVERY: Duration = Duration::from_secs(5);
/// Links and sightings that may wait for the links' loop.
const QUEUE: usize = 64;

/// See the module.
pub(crate) struct Running {
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) journal: Journal,
    pub(crate) hub: EventHub,
    pub(crate) circle: Arc<Circle>,
    pub(crate) book: Arc<Book>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) network: Network,
    pub(crate) links: Arc<Links>,
    pub(crate) transfers: Transfers,
    pub(crate) spaces: Arc<Spaces>,
    pub(crate) between: Arc<Between>,
    pub(crate) folders: Arc<Folders>,
    /// Work that takes time.
    pub(crate) jobs: Arc<Jobs>,
    inputs: Arc<Inputs>,
    settings: Arc<RwLock<Settings>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Running {
    /// Opens the database and the network, and starts all services.
    pub(crate) async fn start(
        home: Arc<Home>,
        keyring: Keyring,
        hub: EventHub,
        port: Option<u16>,
    ) -> ApiResult<Arc<Self>> {
        let keyring = Arc::new(keyring);
        let settings = configuration::load(&home)?;
        let opened = {
            let (home, keyring, hub, keep) = (home.clone(), keyring.clone(), hub.clone(), settings.log_keep);
            blocking(move || Rooms::open(&home, &keyring, hub, keep)).await?
        };
        let Rooms { database: db, journal, circle, book, desk, ports, spaces } = opened;
        let last_port = last_port(&ports, &journal)?;
        let (config, rate_limit) = (configuration::network(&settings, port, last_port), settings.rate_limit.0);
        // A port that somebody named for this run is nothing to come back to.
        let chosen = config.any_port_if_taken;
        let storage_limit = settings.storage_limit.0;
        let settings = Arc::new(RwLock::new(settings));
        let ground = Ground::new(
            circle.clone(),
            book.clone(),
            keyring.clone(),
            journal.clone(),
            settings.clone(),
            home.path().to_owned(),
        );
        let inputs = Inputs::new(&home, keyring.records.clone());
        let transfers = remembered(ground, &db, &inputs, &journal)?;
        transfers.limit_all(rate_limit);
        spaces.limit_storage(storage_limit);
        let folders = {
            let (spaces, db) = (spaces.clone(), db.clone());
            blocking(move || Folders::open(spaces, &db)).await?
        };
        let gate = Arc::new(Gate::new(circle.clone(), book.clone(), desk.clone(), journal.clone()));
        let (network, incoming) = Network::bind(&keyring.device, config, gate).await.map_err(|e| {
            ApiError::new(ErrorCode::Io, format!("the network cannot be opened: {e}")).hint(
                "another port: `warren up --port N`, or `warren config port 0` for a free one; \
                     if `bind` names an address that this machine has not: `warren config bind --default`",
            )
        })?;
        // Nothing may fail from here on: the network serves whoever calls until it is closed.
        if chosen && let Err(error) = ports.put(LAST_PORT, &network.port()) {
            tracing::warn!(%error, "the port could not be noted; the next start may take another one");
        }
        let between = Between::new(between::Parts {
            spaces: spaces.clone(),
            circle: circle.clone(),
            journal: journal.clone(),
            hub: hub.clone(),
        });
        let links = Links::new(links::Parts {
            circle: circle.clone(),
            book: book.clone(),
            journal: journal.clone(),
            hub: hub.clone(),
            network: network.clone(),
            transfers: transfers.clone(),
            between: between.clone(),
        });
        let jobs = Arc::new(Jobs::new(hub.clone()));
        let running = Arc::new(Self {
            keyring,
            journal,
            hub,
            circle,
            book,
            desk,
            network,
            links,
            transfers,
            spaces,
            between,
            folders,
            jobs,
            inputs,
            settings,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        });
        running.serve(incoming);
        Ok(running)
    }

    /// Starts the tasks.
    fn serve(self: &Arc<Self>, incoming: mpsc::Receiver<Incoming>) {
        let (members, links) = mpsc::channel(QUEUE);
        let (seen, sightings) = mpsc::channel(QUEUE);
        self.spawn(self.links.clone().run(links, sightings));
        self.spawn(self.between.clone().run());
        self.spawn(spaces::housekeeping(self.clone()));
        self.spawn(self.clone().admit(incoming, members));
        self.spawn(self.clone().watch_addresses());
        self.spawn(sending::forward(self.transfers.clone(), self.hub.clone()));
        let settings = self.settings();
        if settings.lan {
            let voice = Voice {
                device: self.circle.device(),
                port: self.network.port(),
                circle: Some(self.circle.clone()),
                desk: self.desk.clone(),
            };
            self.spawn(crate::lan::run(settings.lan_port, voice, seen));
        }
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            stop.run_until_cancelled(task).await;
        });
    }

    /// Members' links go to the links, strangers to the desk.
    async fn admit(self: Arc<Self>, mut incoming: mpsc::Receiver<Incoming>, members: mpsc::Sender<net::Link>) {
        while let Some(link) = incoming.recv().await {
            match link {
                Incoming::Member(link) => {
                    if members.send(link).await.is_err() {
                        return;
                    }
                }
                Incoming::Guest(guest) => {
                    let running = self.clone();
                    self.spawn(async move {
                        if let Err(error) = running.receive_stranger(&guest).await {
                            error.conclude(&guest);
                        }
                    });
                }
            }
        }
    }

    /// A stranger may prove an invitation, and join.
    async fn receive_stranger(&self, guest: &net::GuestLink) -> Result<(), VisitError> {
        let mut stream = guest.accept().await?;
        desk::expect_knock(&mut stream).await?;
        let proven = self.desk.prove(self.network.id(), guest, &mut stream, Some(&self.journal)).await?;
        if desk::wants_to_join(&proven) {
            self.desk.admit(proven, guest, &mut stream, &self.circle, &self.journal).await?;
            // The joiner hangs up once it has stored what it got.
            let _ = tokio::time::timeout(Duration::from_secs(10), guest.closed()).await;
        }
        Ok(())
    }

    /// Tells the circle when this device can be reached elsewhere.
    async fn watch_addresses(self: Arc<Self>) {
        let mut every = tokio::time::interval(ADDRESS_EVERY);
        loop {
            every.tick().await;
            let mut addresses = self.network.addresses();
            addresses.sort();
            if let Err(error) = self.circle.announce(addresses)
                && self.circle.snapshot().is_some()
            {
                tracing::warn!(%error, "this device's addresses could not be announced");
            }
        }
    }

    /// Stops everything; `last` is the last thing that the log says.
    pub(crate) async fn stop(&self, last: Event) {
        self.links.stop().await;
        self.between.stop().await;
        self.stop.cancel();
        let (jobs, folders) = (self.jobs.clone(), self.folders.clone());
        let _ = tokio::task::spawn_blocking(move || {
            folders.stop();
            jobs.stop();
        })
        .await;
        self.tasks.close();
        self.tasks.wait().await;
        self.network.close().await;
        self.journal.note(last);
        let journal = self.journal.clone();
        let _ = tokio::task::spawn_blocking(move || journal.close()).await;
    }

    pub(crate) fn settings(&self) -> Settings {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes on what can change while running.
    pub(crate) fn take_settings(&self, settings: &Settings) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = settings.clone();
        self.transfers.limit_all(settings.rate_limit.0);
        self.spaces.limit_storage(settings.storage_limit.0);
    }

    /// Joins a circle with a device that runs without one.
    pub(crate) async fn join(&self, request: api::types::Join) -> ApiResult<api::types::Joined> {
        if self.circle.snapshot().is_some() {
            return Err(CircleError::HasCircle.into());
        }
        let keep = |joined: &Joined| Ok(self.circle.adopt(joined.roster.clone())?);
        match joining::join(&self.network, &self.keyring, &request, self.settings().lan_port, keep).await {
            Ok(joined) => {
                let who = Who { member: Some(joined.inviter.clone()), device: None, address: None };
                self.journal.note(Event::CircleJoined {
                    who,
                    circle: joined.roster.circle_name().to_owned(),
                    name: request.name,
                });
                Ok(joining::shown(&joined))
            }
            Err(error) => {
                self.journal.note(Event::CircleJoinFailed { who: None, reason: error.message.clone() });
                Err(error)
            }
        }
    }

    /// Fills in what only an unlocked device knows.
    pub(crate) fn describe(&self, status: &mut Status) -> ApiResult<()> {
        status.addresses = self.network.addresses().iter().map(ToString::to_string).collect();
        status.peers_online = u32::try_from(self.links.online_devices().len()).unwrap_or(u32::MAX);
        (status.transfers_active, status.offers_waiting) = sending::counts(&self.transfers);
        let Some(now) = self.circle.snapshot() else { return Ok(()) };
        let own = now.view.devices.get(&self.circle.device());
        if let Some(own) = own
            && let Some(member) = now.view.members.get(&own.member)
        {
            status.identity = Some(Identity {
                member: member.shown.clone(),
                device: own.name.clone(),
                device_id: own.device.to_string(),
                role: member.role.to_string(),
                recipient: self.keyring.seal.recipient().to_string(),
            });
        }
        let circle = self.circle.read(logic::roster::Roster::circle)?;
        let members = now.view.members.values().filter(|member| member.standing == Standing::Active).count();
        status.circle = Some(ApiCircle {
            name: now.name.clone(),
            id: circle.to_string(),
            safety_words: safety_words(&[b"circle", circle.as_bytes()]),
            members: u32::try_from(members).unwrap_or(u32::MAX),
            certificate_ends_at: own.map_or(0, |own| own.ends_at.0),
            removed: self.circle.removed(),
        });
        Ok(())
    }

    /// Takes in content that is to be sent.
    pub(crate) async fn spool(&self, content: ContentStream) -> ApiResult<Spooled> {
        self.inputs.take(content, &self.stop).await
    }

    /// What the device waits for before it is locked.
    pub(crate) fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Content that was handed over, opened: it is gone when nobody reads it any more.
    pub(crate) fn take_spool(&self, id: &str) -> ApiResult<SpoolFile> {
        let id = self.inputs.name(id)?;
        let opened = self.inputs.open(&id).map_err(|error| io_error("read what was handed over", &error));
        self.inputs.remove(&id);
        opened
    }

    /// Opens a file in a space for reading.
    pub(crate) async fn read(&self, request: TreeRead) -> ApiResult<ContentStream> {
        spaces::read(self, request).await
    }

    /// Sends to everybody who is named. Content that was handed over for it is gone if that fails.
    pub(crate) async fn send(&self, request: api::types::Send) -> ApiResult<Sent> {
        let Some(spool) = request.spool.clone() else { return self.send_with(request, None).await };
        let id = self.inputs.name(&spool.id)?;
        let sent = self.send_with(request, Some((id, spool.name.into_bytes()))).await;
        if sent.is_err() {
            self.inputs.remove(&id);
        }
        sent
    }

    async fn send_with(&self, request: api::types::Send, spool: Option<(SpoolId, Vec<u8>)>) -> ApiResult<Sent> {
        if self.circle.removed() {
            return Err(CircleError::Removed.into());
        }
        let devices = if request.all {
            self.everybody()?
        } else {
            let mut devices = Vec::new();
            for name in &request.to {
                let device = self.device_named(name)?;
                if !devices.contains(&device) {
                    devices.push(device);
                }
            }
            devices
        };
        if devices.is_empty() {
            return Err(ApiError::new(ErrorCode::BadRequest, "to whom?")
                .hint("name receivers with --to NAME[,NAME...], or use --all"));
        }
        let paths = sending::paths(&request.paths, &request.paths_raw)?;
        sending::check_limit(request.rate_limit)?;
        let request = SendRequest { paths, text: request.text, spool, limit: request.rate_limit };
        let transfers = self.transfers.clone();
        blocking(move || Ok(Sent { transfers: transfers.send(&request, &devices)? })).await
    }
}

/// What is opened from disk, before anything runs.
struct Rooms {
    database: Database,
    journal: Journal,
    circle: Arc<Circle>,
    book: Arc<Book>,
    desk: Arc<Desk>,
    ports: Table<u16>,
    spaces: Arc<Spaces>,
}

/// Key of the row with the port that the system chose last.
const LAST_PORT: &[u8] = b"port";

impl Rooms {
    fn open(home: &Home, keyring: &Arc<Keyring>, hub: EventHub, keep: u64) -> ApiResult<Self> {
        let db = Database::open(&home.database(), keyring.records.clone()).map_err(database)?;
        let journal = Journal::open(&db, hub, keep).map_err(database)?;
        let damaged = |table: &str, row: &RowId| journal.damaged(table, row);
        // Without it, and with an older one, somebody who was removed would come back: damaged, it is refused.
        let circle = Arc::new(Circle::open(&db, keyring.clone())?);
        let spaces = Spaces::open(&home.spaces_dir(), &home.objects_dir(), &db, keyring.clone(), circle.clone())?;
        spaces.broken().iter().for_each(|path| journal.damaged("spaces", path.display()));
        Ok(Self {
            circle,
            spaces: Arc::new(spaces),
            book: Arc::new(Book::open(&db, damaged).map_err(database)?),
            desk: Arc::new(Desk::open(&db, damaged).map_err(database)?),
            ports: db.table("ports"),
            database: db,
            journal,
        })
    }
}

/// The port that the system chose last; 0 where none is known.
fn last_port(ports: &Table<u16>, journal: &Journal) -> ApiResult<u16> {
    match ports.get(LAST_PORT) {
        Ok(port) => Ok(port.unwrap_or(0)),
        Err(DatabaseError::Damaged(_)) => {
            journal.damaged(ports.name(), ports.row(LAST_PORT));
            Ok(0)
        }
        Err(error) => Err(database(error)),
    }
}

/// The transfers that have not ended, with the content that was handed over for them.
fn remembered(ground: Ground, db: &Database, inputs: &Arc<Inputs>, journal: &Journal) -> ApiResult<Transfers> {
    let transfers = Transfers::new(Arc::new(ground), crate::ground::shelf(db, inputs.clone()))
        .map_err(|e| io_error("read the stored transfers", &e))?;
    let unreadable = transfers.unreadable();
    unreadable.iter().for_each(|record| journal.damaged(TRANSFERS, record));
    // A transfer that cannot be read may need what no other one does.
    if unreadable.is_empty() {
        inputs.keep_only(&transfers.needed_inputs()).map_err(|e| io_error("tidy the spool", &e))?;
    }
    Ok(transfers)
}
