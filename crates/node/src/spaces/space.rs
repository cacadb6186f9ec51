//! One space on this device: its ledger, its tree and what is stored of both.
//!
//! Whatever comes, from here or from others, goes through one door ([`Space::change`]): the ledger decides, what it says
//! is stored, what now counts and can be opened goes into the tree, all in one transaction. After a failure the ledger is
//! read again from what is stored, so memory never runs ahead of the disk. What this device signed is told to nobody
//! before the mark that guards it against older copies of the disk is written. Blocking; for threads that may.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use logic::Misbehaved;
use logic::ledger::{Action, Commit, CommitId, EpochId, Equivocation, Header, Kind, Ledger, Seen, Stored, Verdict};
use logic::space::{BadBody, Change, Effect, Node, Origin, Tree};
use seal::body::{self, BodyContext, BodyError};
use seal::{DeviceId, Keyring};
use store::space::{
    Logged, Note, Part, Reader, Reading, Report, SpaceError, SpaceStore, Standing, Transaction, Watermark, Worth,
};
use tokio::sync::watch;

use super::SpaceFault;
use super::epochs::{self, Seeker};
use super::logged::Logged as Log;

/// Under which kind of value the ledger's memory is stored.
const LEDGER: &str = "ledger";
/// Commits that are worked off at a time.
const BATCH: usize = 256;

/// See the module.
pub struct Space {
    pub(super) store: SpaceStore,
    pub(super) keys: Arc<Keyring>,
    /// `None` after a failure: to be read again.
    ledger: Mutex<Option<Ledger>>,
    changed: watch::Sender<u64>,
    listeners: Mutex<Vec<Weak<Listener>>>,
    /// Where its commits are kept once more.
    pub(super) log: Mutex<Option<Log>>,
}

/// Directories in which readers see something differently.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Touched {
    /// Which; of a realm its root.
    pub(super) dirs: BTreeSet<Node>,
}

/// Somebody who wants to know where something changed.
pub(super) struct Listener {
    touched: Mutex<Touched>,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl Listener {
    /// What has changed since the last time.
    pub(super) fn take(&self) -> Touched {
        std::mem::take(&mut *self.touched.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn hear(&self, dirs: &BTreeSet<Node>) {
        self.touched.lock().unwrap_or_else(PoisonError::into_inner).dirs.extend(dirs);
        (self.wake)();
    }
}

/// What came of a change, besides what is stored.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What readers see differently.
    pub effects: Vec<Effect>,
    /// Devices that signed two commits with one number.
    pub forks: Vec<Equivocation>,
    /// Commits that wait for these, and who has them.
    pub ask: Vec<(Option<DeviceId>, Vec<Seen>)>,
    /// Commits that had waited and broke a rule: whose, and which.
    pub refused: Vec<(DeviceId, Misbehaved)>,
    /// Commits from the future.
    pub ahead: Vec<CommitId>,
    /// Devices whose first commit came.
    pub entered: BTreeSet<DeviceId>,
}

/// A change that is being made.
pub(super) struct Work<'a, 't> {
    pub(super) ledger: &'a mut Ledger,
    pub(super) store: &'a Transaction<'t>,
    outcome: Outcome,
}

impl Space {
    /// Begins to keep a ledger of which only the first commit is here, in a new file.
    ///
    /// # Errors
    /// [`SpaceFault`], here and below.
    pub fn adopt(path: &Path, keys: Arc<Keyring>, genesis: Commit) -> Result<Self, SpaceFault> {
        let ledger = Ledger::open(genesis)?;
        let store = SpaceStore::create(path, &keys.records, ledger.id())?;
        Self::begin(store, keys, ledger)
    }

    /// As [`Self::adopt`], for a ledger that was kept here before.
    ///
    /// # Errors
    /// As above.
    pub(super) fn adopt_again(path: &Path, keys: Arc<Keyring>, genesis: Commit) -> Result<Self, SpaceFault> {
        let ledger = Ledger::open(genesis)?;
        let store = SpaceStore::create_again(path, &keys.records, ledger.id())?;
        Self::begin(store, keys, ledger)
    }

    fn begin(store: SpaceStore, keys: Arc<Keyring>, ledger: Ledger) -> Result<Self, SpaceFault> {
        let space = Self::of(store, keys, Some(ledger));
        space.change(|_| Ok(()))?;
        Ok(space)
    }

    fn of(store: SpaceStore, keys: Arc<Keyring>, ledger: Option<Ledger>) -> Self {
        let (changed, listeners, log) = (watch::Sender::new(0), Mutex::default(), Mutex::default());
        Self { store, keys, ledger: Mutex::new(ledger), changed, listeners, log }
    }

    /// Opens the file of a space, and finishes what a crash left undone.
    ///
    /// # Errors
    /// As above.
    pub fn open(path: &Path, keys: Arc<Keyring>) -> Result<Self, SpaceFault> {
        let store = SpaceStore::open(path, &keys.records)?;
        let space = Self::of(store, keys, None);
        space.change(|_| Ok(()))?;
        Ok(space)
    }

    /// Which ledger it is.
    pub fn id(&self) -> CommitId {
        self.store.ledger()
    }

    /// This device.
    pub fn device(&self) -> DeviceId {
        self.keys.device.id()
    }

    /// Whether its file is the newest one.
    ///
    /// # Errors
    /// As above.
    pub fn standing(&self) -> Result<Standing, SpaceFault> {
        Ok(self.store.standing()?)
    }

    /// From now on nothing is signed: what is here may be older than what this device signed.
    pub(super) fn doubt(&self) -> Result<(), SpaceFault> {
        Ok(self.store.doubt()?)
    }

    /// The commits that are here are all that this device ever signed, with so many statements at least. False: it is known
    /// to have signed others.
    pub(super) fn vouch(&self, statements: u64) -> Result<bool, SpaceFault> {
        let Some((commits, tip)) = self.look(|ledger, _| Ok(self.own_chain(ledger)))? else { return Ok(false) };
        match self.store.vouch(Watermark { commits, tip, statements }) {
            Ok(()) => {
                self.nudge();
                Ok(true)
            }
            Err(SpaceError::WouldGoBack) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads and checks everything that is stored.
    ///
    /// # Errors
    /// As above; damage is no error but in the report.
    pub fn check(&self) -> Result<Report, SpaceFault> {
        Ok(self.store.check()?)
    }

    /// Counts up with every change.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// How many changes there were since it was opened.
    pub(super) fn age(&self) -> u64 {
        *self.changed.borrow()
    }

    /// The ledger, as it is stored.
    fn ledger(&self) -> Result<MutexGuard<'_, Option<Ledger>>, SpaceFault> {
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        if ledger.is_none() {
            *ledger = Some(stored(&self.store)?);
        }
        if self.store.standing()? == Standing::Behind {
            self.store.mirror()?;
        }
        Ok(ledger)
    }

    /// Looks at the ledger and at what is stored.
    ///
    /// # Errors
    /// As above, and those of `work`.
    pub fn look<T>(&self, work: impl FnOnce(&Ledger, &Reader<'_>) -> Result<T, SpaceFault>) -> Result<T, SpaceFault> {
        let ledger = self.ledger()?;
        let ledger = ledger.as_ref().ok_or(SpaceFault::Unfinished)?;
        self.store.read(|reader| work(ledger, reader))
    }

    /// Looks at the tree, without keeping anybody from writing.
    ///
    /// # Errors
    /// As above.
    pub fn tree<T>(&self, work: impl FnOnce(&Tree<&Reader<'_>>) -> Result<T, SpaceFault>) -> Result<T, SpaceFault> {
        self.store.read(|reader| work(&Tree::new(reader)))
    }

    /// Reads small values, without waiting for anybody.
    pub(super) fn peek<T>(&self, work: impl FnOnce(&Reader<'_>) -> Result<T, SpaceFault>) -> Result<T, SpaceFault> {
        self.store.read(work)
    }

    /// Writes small values that change nothing about ledger or tree.
    pub(super) fn jot<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T, SpaceFault>) -> Result<T, SpaceFault> {
        self.store.transaction(work)
    }

    /// The one door: see the module.
    pub(super) fn change<T>(
        &self,
        change: impl FnOnce(&mut Work<'_, '_>) -> Result<T, SpaceFault>,
    ) -> Result<(T, Outcome), SpaceFault> {
        let mut held = self.ledger()?;
        // Taken out: unless all goes well it has to be read again.
        let mut ledger = held.take().ok_or(SpaceFault::Unfinished)?;
        let done = self.store.transaction(|store| {
            let mut work = Work { ledger: &mut ledger, store, outcome: Outcome::default() };
            let value = change(&mut work)?;
            self.settle(&mut work)?;
            store.set_value(LEDGER, b"", &work.ledger.to_bytes())?;
            self.note_log(store)?;
            Ok::<_, SpaceFault>((value, work.outcome))
        })?;
        *held = Some(ledger);
        // Before anybody else can change something: who is inside of a change knows whether something has changed.
        self.changed.send_modify(|count| *count += 1);
        drop(held);
        self.write_log();
        self.tell(&done.1.effects);
        Ok(done)
    }

    /// Tells from now on in which directories something changed; `wake` is called each time, and must not block.
    pub(super) fn listen(&self, wake: impl Fn() + Send + Sync + 'static) -> Arc<Listener> {
        let listener = Arc::new(Listener { touched: Mutex::default(), wake: Box::new(wake) });
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&listener));
        listener
    }

    /// Wakes whoever listens, for something beside the space: contents came.
    pub(super) fn nudge(&self) {
        self.rouse(&BTreeSet::new());
    }

    fn tell(&self, effects: &[Effect]) {
        let mut dirs = BTreeSet::new();
        for effect in effects {
            if let Effect::Shown { node, before, after } = effect {
                dirs.extend(before.iter().chain(after).map(|seen| node.beside(seen.parent)));
            }
        }
        if !dirs.is_empty() {
            self.rouse(&dirs);
        }
    }

    fn rouse(&self, dirs: &BTreeSet<Node>) {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|listener| {
            listener.upgrade().is_some_and(|listener| {
                listener.hear(dirs);
                true
            })
        });
    }

    /// Stores and judges what the ledger has taken, then brings keys and tree up to date.
    pub(super) fn settle(&self, work: &mut Work<'_, '_>) -> Result<(), SpaceFault> {
        let Work { ledger, store, outcome } = work;
        let mut keys = Vec::new();
        while let Some(action) = ledger.poll(*store) {
            match action {
                Action::Store(shelved) => {
                    match shelved.commit.header().kind {
                        Kind::Enter => drop(outcome.entered.insert(shelved.commit.device())),
                        // What is written under a key stays readable whatever becomes of the commit that announced it.
                        Kind::Rekey => keys.push(shelved.commit.id()),
                        _ => {}
                    }
                    store.store(&shelved)?;
                }
                Action::Effective(id) => drop(store.judged(&id, Worth::Effective)?),
                Action::Void(id, why) => drop(store.judged(&id, Worth::Void(why))?),
                Action::Again(id) => drop(store.judged(&id, Worth::Again)?),
                Action::Evidence(fork) => outcome.forks.push(fork),
                Action::Ask(from, seen) => outcome.ask.push((from, seen)),
                Action::Refused { author, offence, .. } => outcome.refused.push((author, offence)),
                Action::ClockAhead(id) => outcome.ahead.push(id),
            }
        }
        for commit in keys {
            self.learn(ledger, store, commit)?;
        }
        loop {
            let left = store.unsettled(BATCH)?;
            if left.is_empty() {
                return Ok(());
            }
            for logged in left {
                // What was noted of it is lost.
                let note = match logged.note.worth {
                    Worth::Unjudged => {
                        let verdict = verdict(ledger, &logged).ok_or(SpaceFault::Lost(logged.id))?;
                        store.judged(&logged.id, verdict.into())?
                    }
                    _ => logged.note,
                };
                if note.is_settled() {
                    continue;
                }
                match self.work_off(store, &logged.id, &logged.header, note)? {
                    Some(effects) => outcome.effects.extend(effects),
                    // Everything is to be done anew.
                    None => break,
                }
            }
        }
    }

    /// Does what is left to do with one commit. `None`: the tree is empty again.
    fn work_off(
        &self,
        store: &Transaction<'_>,
        id: &CommitId,
        header: &Header,
        note: Note,
    ) -> Result<Option<Vec<Effect>>, SpaceFault> {
        let opened = match note.worth.counts() || note.applied {
            true => self.open_body(store, id, header),
            false => Ok((note.reading, Vec::new())),
        };
        let (reading, changes) = match opened {
            // One commit that is damaged keeps nobody from the others. If it is in the tree, what it did there is not
            // known any more: the tree is made anew without it.
            Err(SpaceFault::Lost(_)) if note.applied => {
                store.clear_tree()?;
                store.set_note(id, &Note { reading: Reading::Lost, applied: false, ..note })?;
                return Ok(None);
            }
            Err(SpaceFault::Lost(_)) => (Reading::Lost, Vec::new()),
            opened => opened?,
        };
        let apply = note.worth.counts() && reading == Reading::Opened;
        let mut tree = Tree::new(store);
        let origin = Origin::of(*id, header);
        let effects = match (note.applied, apply) {
            (false, true) => tree.apply(&origin, &changes)?,
            (true, false) => tree.retract(&origin, &changes)?,
            _ => Vec::new(),
        };
        store.set_note(id, &Note { reading, applied: apply, ..note })?;
        Ok(Some(effects))
    }

    /// Opens the body of a data commit, if its key is here.
    pub(super) fn open_body(
        &self,
        store: &Reader<'_>,
        id: &CommitId,
        header: &Header,
    ) -> Result<(Reading, Vec<Change>), SpaceFault> {
        let Some(key) = epochs::key(store, &header.epoch)? else { return Ok((Reading::Waits, Vec::new())) };
        let bytes = match store.commit_bytes(id) {
            Ok(bytes) => bytes.ok_or(SpaceFault::Lost(*id))?,
            Err(SpaceError::Damaged(Part::Bodies)) => return Err(SpaceFault::Lost(*id)),
            Err(error) => return Err(error.into()),
        };
        let commit = Commit::read(&bytes).ok().filter(|commit| commit.id() == *id).ok_or(SpaceFault::Lost(*id))?;
        let opened = match body::open(&key, &context(store.ledger(), header), commit.body()) {
            Ok(plain) => plain,
            Err(BodyError::TooNew) => return Ok((Reading::TooNew, Vec::new())),
            Err(_) => return Ok((Reading::Unreadable, Vec::new())),
        };
        Ok(match Change::read_all(&opened) {
            Ok(changes) => (Reading::Opened, changes),
            Err(BadBody::TooNew(_)) => (Reading::TooNew, Vec::new()),
            Err(_) => (Reading::Unreadable, Vec::new()),
        })
    }

    /// Keys may have come: what waited for them is worked off.
    fn learn(&self, ledger: &Ledger, store: &Transaction<'_>, from: EpochId) -> Result<(), SpaceFault> {
        for (realm, epoch) in self.seeker(ledger).learn(from, store)? {
            loop {
                let waiting = store.waiting_for(realm, epoch, BATCH)?;
                if waiting.is_empty() {
                    break;
                }
                for logged in waiting {
                    store.set_note(&logged.id, &Note { reading: Reading::Sealed, ..logged.note })?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn seeker<'a>(&'a self, ledger: &'a Ledger) -> Seeker<'a> {
        Seeker { device: self.keys.device.id(), seed: &self.keys.read, ledger }
    }
}

/// The ledger as it is stored.
fn stored(store: &SpaceStore) -> Result<Ledger, SpaceFault> {
    store.read(|reader| {
        let bytes = reader.value(LEDGER, b"")?.ok_or(SpaceFault::Unfinished)?;
        Ok(Ledger::from_bytes(&bytes, reader)?)
    })
}

/// What the ledger says of a stored commit; `None`: a control commit that it does not know.
pub(super) fn verdict(ledger: &Ledger, logged: &Logged) -> Option<Verdict> {
    match logged.header.kind {
        Kind::Data => {
            let stored = Stored { header: logged.header.clone(), branch: logged.branch };
            Some(ledger.judgement().counts(&stored))
        }
        _ => ledger.judgement().control(&logged.id),
    }
}

/// What the body of a commit is bound to.
pub(super) fn context(ledger: CommitId, header: &Header) -> BodyContext {
    BodyContext {
        ledger: *ledger.as_bytes(),
        device: header.device,
        seq: header.seq,
        realm: *header.realm.as_bytes(),
        epoch: *header.epoch.as_bytes(),
        kind: header.kind as u8,
    }
}
