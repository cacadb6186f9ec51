//! Which objects of a space this device needs no more, by what its owner has chosen ([`History`]), and letting go of them.
//!
//! Needed is what a version names that is shown, in conflict or within the history that is kept, and what anything names
//! that cannot be judged here: changes that do not count and may again. Let go is what only other versions name, and what
//! nothing names: objects of work that ended before it was signed. As long as there are changes that cannot be read here
//! and may be, or files whose lists of chunks are not here, nobody knows what these name, and nothing goes.
//!
//! Nothing is removed at once: what is let go stays for [`GRACE`] and comes back when something names it meanwhile
//! ([`super::hold_new`] holds it again). While somebody stores objects that are still to be named ([`super::Gate`]),
//! nothing is let go. Of the time only that is believed which this device has seen pass: a version counts as superseded
//! since the change that superseded it came here, whatever that change says.
//!
//! Memory: 8 bytes per object that is named, and 16 per file where not everything is kept. Objects are told apart by the
//! first 8 bytes of their names: two that are alike are needed both if one is.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use logic::ledger::{CommitId, Kind, RealmId, SpaceRole};
use logic::space::{Change, Content, Event, Node, NodeId, Tree, Version, VersionId, Written};
use seal::{ObjectId, Timestamp};
use store::objects::{HeldPlace, ObjectStore};
use store::space::{Logged, Reader, Reading};

use super::holds::names_of;
use crate::spaces::list::History;
use crate::spaces::{Kept, SpaceFault};

/// What nobody holds stays for this time.
pub(crate) const GRACE: Duration = Duration::from_secs(24 * 3600);
/// How long is waited for those who are storing objects.
const PATIENCE: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 60_000 });
/// Commits that are read in one step.
const STEP: usize = 64;
/// Under which kind of value it stands when what had come: by day, the time and the number of the last commit.
const MARKS: &str = "arrivals";
/// Under which kind of value it stands when something was let go last.
pub(crate) const RELEASED: &str = "released";
const DAY_MS: i64 = 24 * 3_600_000;

/// What is not needed any more, or was let go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Unneeded {
    /// Objects that only older versions name than are kept.
    pub old: Count,
    /// Objects that nothing names.
    pub unnamed: Count,
    /// Changes that cannot be read here: because of them everything stays.
    pub unreadable: u64,
    /// Somebody stored objects all the time: nothing was let go.
    pub busy: bool,
}

/// Objects and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// How many.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What is named by what.
#[derive(Default)]
struct Survey {
    /// By something that is kept, sorted.
    needed: Vec<u64>,
    /// By anything, sorted.
    named: Vec<u64>,
    /// Files that were looked at.
    seen: HashSet<[u8; 16]>,
    /// Up to which arrival.
    to: i64,
    /// Parts of the space that this device may read.
    realms: BTreeSet<RealmId>,
    unreadable: u64,
}

/// Notes, once a day, which commits are here: how long something has been so is told by this.
pub(crate) fn mark_time(kept: &Kept, now: Timestamp) -> Result<(), SpaceFault> {
    let day = now.0.div_euclid(DAY_MS).to_be_bytes();
    if kept.space.peek(|reader| Ok(reader.value(MARKS, &day)?.is_some()))? {
        return Ok(());
    }
    kept.space.jot(|store| {
        let last = store.last_arrival()?;
        let value = [now.0.to_be_bytes(), last.to_be_bytes()].concat();
        Ok(store.set_value(MARKS, &day, &value)?)
    })
}

/// What this device needs no more of a space. `release`: it lets go of it.
///
/// # Errors
/// The disk's; what was let go stays so.
pub(crate) fn tidy(
    kept: &Kept,
    objects: &ObjectStore,
    policy: History,
    release: bool,
    now: Timestamp,
) -> Result<Unneeded, SpaceFault> {
    mark_time(kept, now)?;
    let mut survey = Survey::default();
    survey.go_on(kept, objects, policy, now)?;
    let (mut found, mut next) = (Unneeded::default(), Some(HeldPlace::default()));
    while let Some(place) = next {
        let _closed = match release {
            true => match kept.gate.close(PATIENCE) {
                Some(closed) => Some(closed),
                None => return Ok(Unneeded { busy: true, ..found }),
            },
            false => None,
        };
        // What came meanwhile.
        survey.go_on(kept, objects, policy, now)?;
        let (held, after) = objects.held(&kept.namespace(), place)?;
        next = after;
        let mut gone = Vec::new();
        for id in held {
            let Some(why) = survey.unneeded(&id) else { continue };
            let count = if why == Why::Old { &mut found.old } else { &mut found.unnamed };
            count.objects += 1;
            count.bytes += objects.len(&id)?.unwrap_or(0);
            gone.push(id);
        }
        if release && !gone.is_empty() {
            kept.space.jot(|store| Ok(store.set_value(RELEASED, b"", &now.0.to_be_bytes())?))?;
            objects.release(&kept.namespace(), &gone, now)?;
        }
    }
    Ok(Unneeded { unreadable: survey.unreadable, ..found })
}

#[derive(PartialEq, Eq)]
enum Why {
    Old,
    Unnamed,
}

impl Survey {
    /// Why an object is not needed; `None`: it is, or it is not known.
    fn unneeded(&self, id: &ObjectId) -> Option<Why> {
        if self.unreadable > 0 {
            return None;
        }
        let print = print(id);
        match (self.needed.binary_search(&print), self.named.binary_search(&print)) {
            (Ok(_), _) => None,
            (Err(_), Ok(_)) => Some(Why::Old),
            (Err(_), Err(_)) => Some(Why::Unnamed),
        }
    }

    /// Looks at the commits that came since.
    fn go_on(&mut self, kept: &Kept, objects: &ObjectStore, policy: History, now: Timestamp) -> Result<(), SpaceFault> {
        self.realms = kept.space.look(|ledger, _| {
            let inside = ledger.judgement().realms().map(|(realm, _)| realm);
            let reads = |realm: &RealmId| {
                ledger.role_of(kept.space.device(), *realm).is_some_and(|role| role >= SpaceRole::Reader)
            };
            Ok(std::iter::once(RealmId::ROOT).chain(inside).filter(reads).collect())
        })?;
        let mut again = self.to > 0;
        loop {
            let from = self.to;
            let arrived = kept.space.peek(|reader| Ok(reader.arrived(from, STEP)?))?;
            let Some(last) = arrived.last() else { break };
            self.to = last.moment.arrival();
            if std::mem::take(&mut again) {
                // What is kept of a file may be different now.
                self.seen.clear();
            }
            for logged in arrived.iter().filter(|logged| logged.header.kind == Kind::Data) {
                kept.space.peek(|reader| self.look(kept, objects, reader, logged, policy, now))?;
            }
        }
        for prints in [&mut self.needed, &mut self.named] {
            prints.sort_unstable();
            prints.dedup();
        }
        Ok(())
    }

    fn look(
        &mut self,
        kept: &Kept,
        objects: &ObjectStore,
        reader: &Reader<'_>,
        logged: &Logged,
        policy: History,
        now: Timestamp,
    ) -> Result<(), SpaceFault> {
        let changes = match kept.space.open_body(reader, &logged.id, &logged.header) {
            Ok((Reading::Opened, changes)) => changes,
            Ok((Reading::Unreadable, _)) => return Ok(()),
            Ok(_) | Err(SpaceFault::Lost(_)) => {
                self.unreadable += u64::from(self.realms.contains(&logged.header.realm));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        for change in &changes {
            let Change::Put { node, written, .. } = change else { continue };
            if !logged.note.worth.counts() || !logged.note.applied || policy == History::All {
                self.note(objects, written, true)?;
                continue;
            }
            let node = Node { realm: logged.header.realm, id: *node };
            if self.seen.insert(key(node)) {
                self.file(objects, reader, node, policy, now)?;
            }
        }
        Ok(())
    }

    /// Everything that is there of one file.
    fn file(
        &mut self,
        objects: &ObjectStore,
        reader: &Reader<'_>,
        node: Node,
        policy: History,
        now: Timestamp,
    ) -> Result<(), SpaceFault> {
        let tree = Tree::new(reader);
        let shown = tree.stat(node)?.filter(|stat| stat.shown).and_then(|stat| stat.version).map(|at| at.stamp.id());
        let history = tree.history(node)?;
        let versions: Vec<&Version> = history
            .iter()
            .filter_map(|event| match event {
                Event::Written(version) => Some(&**version),
                Event::Placed(_) => None,
            })
            .collect();
        let times = Times { reader, now, marks: marks(reader)? };
        let keep = kept_of(&versions, shown, policy, &times)?;
        for version in versions {
            if let Some(written) = &version.written {
                self.note(objects, written, keep.contains(&version.stamp.id()))?;
            }
        }
        Ok(())
    }

    /// Notes what a version names.
    fn note(&mut self, objects: &ObjectStore, written: &Written, needed: bool) -> Result<(), SpaceFault> {
        let Content::File { size, manifest, .. } = &written.content else { return Ok(()) };
        let (ids, all) = names_of(objects, manifest, *size)?;
        // Of a list that is not here nobody knows what it names.
        self.unreadable += u64::from(!all);
        for id in ids {
            self.named.push(print(&id));
            if needed {
                self.needed.push(print(&id));
            }
        }
        Ok(())
    }
}

/// The versions of a file, latest first, that are kept.
fn kept_of(
    versions: &[&Version],
    shown: Option<VersionId>,
    policy: History,
    times: &Times<'_>,
) -> Result<BTreeSet<VersionId>, SpaceFault> {
    // Since when each is superseded: since the latest change that did.
    let mut superseded: BTreeMap<VersionId, Timestamp> = BTreeMap::new();
    for version in versions {
        for base in &version.bases {
            let since = times.came(&version.stamp.id().commit, version.time)?;
            let known = superseded.entry(*base).or_insert(since);
            *known = (*known).max(since);
        }
    }
    let (mut keep, mut latest) = (BTreeSet::from_iter(shown), 0);
    for version in versions.iter().filter(|version| version.written.is_some()) {
        let id = version.stamp.id();
        latest += 1;
        let kept = match (superseded.get(&id), policy) {
            (None, _) | (_, History::All) => true,
            (Some(since), History::Days(days)) => {
                since.0 >= times.now.0.saturating_sub(i64::from(days).saturating_mul(DAY_MS))
            }
            (Some(_), History::Versions(count)) => latest <= count,
        };
        if kept {
            keep.insert(id);
        }
    }
    Ok(keep)
}

/// When something came here.
struct Times<'a> {
    reader: &'a Reader<'a>,
    now: Timestamp,
    /// By arrival: when it was noted that so much was here.
    marks: BTreeMap<i64, Timestamp>,
}

impl Times<'_> {
    /// The latest time at which a commit may have come: the first note that has it, or what it says itself if that is
    /// later. Without a note it came now.
    fn came(&self, commit: &CommitId, says: Timestamp) -> Result<Timestamp, SpaceFault> {
        let Some(arrival) = self.reader.arrival(commit)? else { return Ok(self.now) };
        let noted = self.marks.range(arrival..).map(|(_, time)| *time).min().unwrap_or(self.now);
        Ok(noted.max(says).min(self.now))
    }
}

fn marks(reader: &Reader<'_>) -> Result<BTreeMap<i64, Timestamp>, SpaceFault> {
    let mut marks = BTreeMap::new();
    for (_, value) in reader.values(MARKS)? {
        let (parts, _) = value.as_chunks::<8>();
        let [time, arrival] = parts else { continue };
        let (time, arrival) = (Timestamp(i64::from_be_bytes(*time)), i64::from_be_bytes(*arrival));
        let known = marks.entry(arrival).or_insert(time);
        *known = time.min(*known);
    }
    Ok(marks)
}

fn print(id: &ObjectId) -> u64 {
    u64::from_le_bytes(*id.as_bytes().first_chunk().expect("a name has 32 bytes"))
}

/// 16 bytes of a hash: nobody finds two files that have the same.
fn key(Node { realm, id: NodeId(id) }: Node) -> [u8; 16] {
    let hash = blake3::hash(&[&realm.as_bytes()[..], &id].concat());
    *hash.as_bytes().first_chunk().expect("a hash has 32 bytes")
}
