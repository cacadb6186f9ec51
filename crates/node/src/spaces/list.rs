//! The spaces of a home: one sealed file each, and the encrypted objects of all of them.
//!
//! Which spaces there are is what files there are, each of which says whose it is; the database has only what this
//! device's owner has said about them. So a space is never lost with a row. Blocking.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, Weak};
use std::time::Instant;

use data_encoding::HEXLOWER;
use logic::ledger::{Commit, CommitId};
use seal::{Keyring, ObjectId};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use store::database::{Database, DatabaseError, Table};
use store::durable::Existing;
use store::objects::{Limits, Namespace, ObjectStore};
use store::space::{Watermark, is_mark_of, read_log};
use tokio::sync::watch;

use super::between::Between;
use super::calls::Shown;
use super::contents::{Alone, Fetch, NotHere};
use super::{Chain, Space, SpaceFault, contents};
use crate::circle::{Circle, CircleError};
use crate::clock;

/// How the files of spaces are called.
const SUFFIX: &str = "space";
/// How the logs of their commits are called.
const LOG: &str = "log";
/// Beside the file of a space: that it is to be made anew.
const ANEW: &str = "space.anew";

/// What this device's owner has said about a space.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wish {
    /// Contents are fetched when they are read.
    pub on_demand: bool,
    /// The most bytes of it that this device keeps while it cannot read it.
    pub quota: Option<u64>,
    /// Which of its past is kept.
    pub history: History,
}

/// Which versions, besides what is shown and what is in conflict, keep their contents on this device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum History {
    /// All of them.
    #[default]
    All,
    /// What was there at any time within so many days.
    Days(u32),
    /// So many of each file, the latest.
    Versions(u32),
}

/// A space of this home.
pub(crate) struct Kept {
    /// Ledger, tree and disk.
    pub space: Space,
    path: PathBuf,
    wish: Mutex<Wish>,
    /// Who stores objects for it that nothing names yet.
    pub(super) gate: contents::Gate,
    /// What was counted in it, and in which state of it ([`Space::watch`]).
    counted: Mutex<Option<(u64, Shown)>>,
}

impl Kept {
    /// The holder of its objects.
    pub(crate) fn namespace(&self) -> Namespace {
        Namespace(*self.space.id().as_bytes())
    }

    /// What the owner wants.
    pub(crate) fn wish(&self) -> Wish {
        self.wish_mut().clone()
    }

    /// What was counted in this state.
    pub(super) fn counted(&self, state: u64) -> Option<Shown> {
        let counted = *self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        counted.filter(|(then, _)| *then == state).map(|(_, shown)| shown)
    }

    /// Notes what was counted.
    pub(super) fn set_counted(&self, state: u64, shown: Shown) {
        *self.counted.lock().unwrap_or_else(PoisonError::into_inner) = Some((state, shown));
    }

    fn wish_mut(&self) -> MutexGuard<'_, Wish> {
        self.wish.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks the other devices, while the device runs.
impl Fetch for Spaces {
    fn fetch(&self, kept: &Kept, ids: &[ObjectId], deadline: Instant) -> Result<(), NotHere> {
        match self.between() {
            Some(between) => between.fetch(kept, ids, deadline),
            None => Alone.fetch(kept, ids, deadline),
        }
    }
}

/// A space whose file was made anew, or why it was not.
pub(crate) type MadeAnew = (CommitId, Result<Arc<Kept>, SpaceFault>);

/// See the module.
pub(crate) struct Spaces {
    dir: PathBuf,
    /// Where the commits are kept once more.
    logs: PathBuf,
    keys: Arc<Keyring>,
    circle: Arc<Circle>,
    /// Encrypted contents.
    pub objects: ObjectStore,
    wishes: Table<Wish>,
    kept: RwLock<BTreeMap<CommitId, Arc<Kept>>>,
    broken: Vec<PathBuf>,
    /// The most bytes that all spaces together take which this device cannot read; 0: no limit.
    storage_limit: AtomicU64,
    changed: watch::Sender<u64>,
    /// Who talks about them with other devices.
    between: OnceLock<Weak<Between>>,
}

impl Spaces {
    /// Opens every space of a home.
    ///
    /// # Errors
    /// [`SpaceFault`], here and below; not for a space that cannot be opened: that one is among [`Self::broken`].
    pub(crate) fn open(
        dir: &Path,
        objects: &Path,
        database: &Database,
        keys: Arc<Keyring>,
        circle: Arc<Circle>,
    ) -> Result<Self, SpaceFault> {
        let logs = objects.to_owned();
        let (objects, recovered) = ObjectStore::open(objects, database.clone(), Limits::default(), clock::now())?;
        tracing::debug!(?recovered, "objects opened");
        let mut spaces = Self {
            dir: dir.to_owned(),
            logs,
            keys,
            circle,
            objects,
            wishes: database.table("spaces"),
            kept: RwLock::default(),
            broken: Vec::new(),
            storage_limit: AtomicU64::new(0),
            changed: watch::Sender::new(0),
            between: OnceLock::new(),
        };
        spaces.find()?;
        Ok(spaces)
    }

    fn find(&mut self) -> Result<(), SpaceFault> {
        let (mut kept, mut anew) = (BTreeMap::new(), Vec::new());
        for entry in std::fs::read_dir(&self.dir)? {
            let path = entry?.path();
            if path.extension().is_none_or(|suffix| suffix != SUFFIX) {
                continue;
            }
            let asked = path.with_extension(ANEW);
            if asked.exists() {
                anew.push(asked);
                continue;
            }
            match Space::open(&path, self.keys.clone()) {
                Ok(space) => drop(kept.insert(space.id(), Arc::new(self.keep(space, &path)?))),
                Err(why) => {
                    tracing::warn!(path = %path.display(), error = %why, "a space cannot be opened");
                    self.broken.push(path);
                }
            }
        }
        self.kept = RwLock::new(kept);
        if !anew.is_empty() {
            for (ledger, made) in self.rebuild()? {
                if let Err(error) = made {
                    tracing::warn!(%ledger, %error, "a space could not be made anew");
                }
            }
            // Last, so that nothing is forgotten when this is cut off.
            anew.iter().try_for_each(|asked| store::durable::remove(asked))?;
        }
        Ok(())
    }

    fn keep(&self, space: Space, path: &Path) -> Result<Kept, SpaceFault> {
        let wish = match self.wishes.get(space.id().as_bytes()) {
            Ok(wish) => wish.unwrap_or_default(),
            Err(DatabaseError::Damaged(_)) => Wish::default(),
            Err(error) => return Err(error.into()),
        };
        if let Err(error) = space.keep_log(&self.log_of(space.id())) {
            tracing::warn!(space = %space.id(), %error, "the commits cannot be kept once more");
        }
        Ok(Kept {
            space,
            path: path.to_owned(),
            wish: Mutex::new(wish),
            gate: Default::default(),
            counted: Mutex::default(),
        })
    }

    fn kept(&self) -> RwLockReadGuard<'_, BTreeMap<CommitId, Arc<Kept>>> {
        self.kept.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on somebody talks about them with other devices.
    pub(super) fn meet(&self, between: Weak<Between>) {
        let _ = self.between.set(between);
    }

    /// Who talks about them with other devices, while the device runs.
    pub(crate) fn between(&self) -> Option<Arc<Between>> {
        self.between.get()?.upgrade()
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<Arc<Kept>> {
        self.kept().values().cloned().collect()
    }

    /// One of them.
    pub(crate) fn get(&self, ledger: CommitId) -> Option<Arc<Kept>> {
        self.kept().get(&ledger).cloned()
    }

    /// Files of spaces that could not be opened; they stay as they are.
    pub(crate) fn broken(&self) -> &[PathBuf] {
        &self.broken
    }

    /// Counts up when a space comes or goes.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// How this device shows for whom it speaks.
    pub(crate) fn chain(&self) -> Result<Chain, SpaceFault> {
        let now = self.circle.now()?;
        let own = now.view.devices.get(&self.circle.device()).ok_or(CircleError::NoCircle)?;
        Ok(own.chain.iter().map(|certificate| ByteBuf::from(certificate.der())).collect())
    }

    /// Founds a space of that name.
    pub(crate) fn found(&self, name: &str) -> Result<Arc<Kept>, SpaceFault> {
        let (root, chain) = (self.circle.now()?.root.der().to_vec(), self.chain()?);
        self.add(|path| Space::found(path, self.keys.clone(), root, chain, name, clock::now()))
    }

    /// Begins to keep the space that somebody else founded with this commit.
    pub(crate) fn adopt(&self, genesis: Commit) -> Result<Arc<Kept>, SpaceFault> {
        if let Some(kept) = self.get(genesis.id()) {
            return Ok(kept);
        }
        let path = self.path_of(genesis.id());
        self.add_at(&path, |path| Space::adopt(path, self.keys.clone(), genesis))
    }

    /// Where a space that others founded lies: always at the same place, so that what guards this device against signing
    /// a number twice is found again when a space comes back.
    fn path_of(&self, ledger: CommitId) -> PathBuf {
        let name = self.keys.records.blind("space files", ledger.as_bytes());
        self.dir.join(HEXLOWER.encode(&name)).with_extension(SUFFIX)
    }

    /// Where its commits lie once more.
    fn log_of(&self, ledger: CommitId) -> PathBuf {
        let name = self.keys.records.blind("commit logs", ledger.as_bytes());
        self.logs.join(HEXLOWER.encode(&name)).with_extension(LOG)
    }

    /// Makes the files of spaces anew that are missing or cannot be opened, from the logs of their commits. What is in their
    /// way is set aside. With each what did not go well.
    pub(crate) fn rebuild(&self) -> Result<Vec<MadeAnew>, SpaceFault> {
        let mut done = Vec::new();
        for entry in std::fs::read_dir(&self.logs)? {
            let path = entry?.path();
            if path.extension().is_none_or(|suffix| suffix != LOG) {
                continue;
            }
            let mut first = None;
            let report = read_log(&path, &self.keys.records, |bytes| {
                let commit = Commit::read(&bytes).ok().filter(|commit| commit.header().ledger == CommitId::ZERO);
                first = first.take().or(commit);
                Ok::<_, std::io::Error>(())
            })?;
            let Some(genesis) = first else {
                tracing::warn!(path = %path.display(), ?report, "a log of commits has no beginning");
                continue;
            };
            let ledger = genesis.id();
            if self.get(ledger).is_none() {
                done.push((ledger, self.rebuild_one(genesis)));
            }
        }
        Ok(done)
    }

    fn rebuild_one(&self, genesis: Commit) -> Result<Arc<Kept>, SpaceFault> {
        let ledger = genesis.id();
        let path = self.marked_path(ledger)?.unwrap_or_else(|| self.path_of(ledger));
        let aside = format!("damaged-{}", clock::now().0);
        for suffix in [SUFFIX.to_owned(), format!("{SUFFIX}-wal"), format!("{SUFFIX}-shm")] {
            let there = path.with_extension(&suffix);
            if there.exists() {
                std::fs::rename(&there, path.with_extension(format!("{suffix}.{aside}")))?;
            }
        }
        self.add_at(&path, |path| Space::adopt_again(path, self.keys.clone(), genesis))
    }

    /// The file of a space is damaged, and in use: it is made anew at the next start.
    pub(crate) fn rebuild_later(&self, kept: &Kept) -> Result<(), SpaceFault> {
        Ok(store::durable::write(&kept.path.with_extension(ANEW), b"", Existing::Replace)?)
    }

    /// Where the watermark of a ledger lies, without its ending: what was signed must not be forgotten.
    fn marked_path(&self, ledger: CommitId) -> Result<Option<PathBuf>, SpaceFault> {
        for entry in std::fs::read_dir(&self.dir)? {
            let path = entry?.path();
            let ends = path.extension().is_some_and(|suffix| suffix == "mark");
            if ends && is_mark_of(&path, &self.keys.records, ledger) {
                return Ok(Some(path.with_extension("")));
            }
        }
        Ok(None)
    }

    /// Ends keeping a space: its file and its contents go, the watermark stays.
    pub(crate) fn forget(&self, kept: &Kept) -> Result<(), SpaceFault> {
        let id = kept.space.id();
        // First: what it could be made anew from.
        store::durable::remove(&self.log_of(id))?;
        self.kept.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
        self.changed.send_modify(|count| *count += 1);
        let mark = |path: &Path| path.with_extension(format!("{SUFFIX}.mark"));
        let later = self.path_of(id);
        if kept.path != later && mark(&kept.path).exists() {
            std::fs::rename(mark(&kept.path), mark(&later))?;
        }
        // Whoever signed nothing has nothing to guard.
        if kept.space.peek(|store| Ok(store.watermark()? == Watermark::default()))? {
            store::durable::remove(&mark(&later))?;
        }
        for suffix in [SUFFIX.to_owned(), format!("{SUFFIX}-wal"), format!("{SUFFIX}-shm")] {
            match std::fs::remove_file(kept.path.with_extension(suffix)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        std::fs::File::open(&self.dir)?.sync_all()?;
        self.wishes.delete(id.as_bytes())?;
        Ok(self.objects.forget(&kept.namespace(), clock::now())?)
    }

    fn add(&self, make: impl FnOnce(&Path) -> Result<Space, SpaceFault>) -> Result<Arc<Kept>, SpaceFault> {
        let name = HEXLOWER.encode(&seal::random::<16>());
        self.add_at(&self.dir.join(name).with_extension(SUFFIX), make)
    }

    fn add_at(
        &self,
        path: &Path,
        make: impl FnOnce(&Path) -> Result<Space, SpaceFault>,
    ) -> Result<Arc<Kept>, SpaceFault> {
        let kept = Arc::new(self.keep(make(path)?, path)?);
        self.kept.write().unwrap_or_else(PoisonError::into_inner).insert(kept.space.id(), kept.clone());
        self.changed.send_modify(|count| *count += 1);
        Ok(kept)
    }

    /// Bytes that a space takes here.
    pub(crate) fn taken(&self, kept: &Kept) -> Result<u64, SpaceFault> {
        let file = kept.space.peek(|store| Ok(store.file_bytes()?))?;
        Ok(self.objects.usage(&kept.namespace())?.bytes.saturating_add(file))
    }

    /// The most bytes that all spaces together take which this device cannot read.
    pub(crate) fn storage_limit(&self) -> Option<u64> {
        Some(self.storage_limit.load(Ordering::Relaxed)).filter(|limit| *limit > 0)
    }

    /// Sets that limit; 0: there is none.
    pub(crate) fn limit_storage(&self, bytes: u64) {
        self.storage_limit.store(bytes, Ordering::Relaxed);
    }

    /// Notes what the owner wants of a space.
    pub(crate) fn set_wish(&self, kept: &Kept, wish: Wish) -> Result<(), SpaceFault> {
        self.wishes.put(kept.space.id().as_bytes(), &wish)?;
        if kept.wish().on_demand && !wish.on_demand {
            contents::hold_again(kept)?;
        }
        *kept.wish_mut() = wish;
        self.changed.send_modify(|count| *count += 1);
        Ok(())
    }
}
