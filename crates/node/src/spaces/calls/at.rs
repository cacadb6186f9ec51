//! Points in the history of a space.
//!
//! A version stands for itself and everything that its device had seen. A time is less sure, because clocks are what
//! people set them to: every commit counts as made when its device said, but not before anything that it had seen, and
//! what a clock says that is ahead of this device's own is not believed. So a point in time is a state that could be seen
//! by somebody, and a clock that was set back hides nothing that lies behind others.

use std::collections::HashMap;
use std::time::Duration;

use api::{ApiError, ErrorCode};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use logic::ledger::{CommitId, Frontier, Header, Shelf};
use logic::space::{NodeId, NodeKind, Tree, VersionId};
use seal::{DeviceId, Timestamp};
use store::space::{Logged, Reader};

use crate::clock;
use crate::spaces::{Kept, SpaceFault};

/// Digits of a version's id that name it, at least.
const ID_PREFIX: usize = 8;
/// Commits that are read at a time.
const BATCH: usize = 1000;

/// A version as text: the commit, and which of its changes.
pub(in crate::spaces) fn version_text(version: &VersionId) -> String {
    format!("{}.{}", version.commit, version.index)
}

/// What somebody wrote as a point.
enum Point {
    Time(Timestamp),
    Version(CommitId),
}

/// What was seen at a point; `None` for no point: now.
pub(super) fn frontier_of(kept: &Kept, point: Option<&str>) -> Result<Option<Frontier>, SpaceFault> {
    let Some(point) = point else { return Ok(None) };
    kept.space.look(|_, reader| Ok(Some(frontier(reader, point, clock::now())?)))
}

/// The same, by who looks at the space already.
pub(super) fn frontier(reader: &Reader<'_>, point: &str, now: Timestamp) -> Result<Frontier, SpaceFault> {
    match read(reader, point, now)? {
        Point::Time(time) => at_time(reader, time, now),
        Point::Version(commit) => {
            let mut frontier = at_commit(reader, commit)?;
            let placed = placed(reader, commit)?.unwrap_or_default();
            for seen in placed.entries().collect::<Vec<_>>() {
                if !frontier.covers(seen.device, seen.seq) {
                    frontier.set(seen.device, seen.seq, seen.id);
                }
            }
            Ok(frontier)
        }
    }
}

/// Of a version of a file that is a realm: what was seen when that took its place. It is written first, and then shown.
fn placed(reader: &Reader<'_>, commit: CommitId) -> Result<Option<Frontier>, SpaceFault> {
    let tree = Tree::new(reader);
    let realm = reader.stored(&commit).map(|stored| stored.header.realm);
    let mount = realm.map(|realm| tree.mounted_at(realm)).transpose()?.flatten();
    let mount = mount.filter(|mount| mount.id.kind().and_then(NodeKind::top).is_some_and(NodeId::is_alone));
    let made = mount.map(|mount| tree.stat(mount)).transpose()?.flatten().and_then(|stat| stat.made);
    made.map(|made| at_commit(reader, made.stamp.commit)).transpose()
}

fn read(reader: &Reader<'_>, point: &str, now: Timestamp) -> Result<Point, SpaceFault> {
    let text = point.trim();
    if let Some(prefix) = version_prefix(text)
        && let Some(commit) = commit_called(reader, &prefix)?
    {
        return Ok(Point::Version(commit));
    }
    if let Ok(passed) = humantime::parse_duration(text) {
        let passed = i64::try_from(passed.as_millis()).unwrap_or(i64::MAX);
        return Ok(Point::Time(Timestamp(now.0.saturating_sub(passed))));
    }
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(Point::Time(Timestamp(time.as_millisecond())));
    }
    let local = TimeZone::system();
    if let Ok(date) =
        text.parse::<jiff::civil::DateTime>().map_err(drop).and_then(|time| time.to_zoned(local.clone()).map_err(drop))
        && text.contains(':')
    {
        return Ok(Point::Time(Timestamp(date.timestamp().as_millisecond())));
    }
    if let Ok(date) = text.parse::<Date>()
        && text.contains('-')
    {
        // The end of that day: what was there on it.
        let next = date.tomorrow().and_then(|next| next.to_zoned(local));
        let end = next.map_or(now.0, |next| next.timestamp().as_millisecond() - 1);
        return Ok(Point::Time(Timestamp(end)));
    }
    let message = match version_prefix(text) {
        Some(_) => format!("no version of this space begins with {text}"),
        None => format!("{text:?} is no point in time"),
    };
    Err(ApiError::new(ErrorCode::NotFound, message)
        .hint("write a time (2026-11-21T18:00:00Z, 2026-11-21), how long ago (90m, 2h, 3d, 1w), or a version as `warren log` shows it")
        .into())
}

/// The commit that a version's id, or its beginning, names.
fn version_prefix(text: &str) -> Option<String> {
    let commit = text.split_once('.').map_or(text, |(commit, _)| commit).to_lowercase();
    let hex = commit.len() >= ID_PREFIX && commit.len() <= 64 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    hex.then_some(commit)
}

fn commit_called(reader: &Reader<'_>, prefix: &str) -> Result<Option<CommitId>, SpaceFault> {
    if let Ok(bytes) = data_encoding::HEXLOWER.decode(prefix.as_bytes())
        && let Ok(whole) = <[u8; 32]>::try_from(bytes)
    {
        let id = CommitId::from_bytes(whole);
        return Ok(reader.stored(&id).map(|_| id));
    }
    let mut found = None;
    for logged in Arrived::new(reader) {
        let id = logged?.id;
        if id.to_string().starts_with(prefix) && found.replace(id).is_some() {
            let message = format!("more than one version begins with {prefix}");
            return Err(ApiError::new(ErrorCode::BadRequest, message).hint("write more of it").into());
        }
    }
    Ok(found)
}

/// A commit and everything that its device had seen.
pub(super) fn at_commit(reader: &Reader<'_>, commit: CommitId) -> Result<Frontier, SpaceFault> {
    let mut way: Vec<(CommitId, Header)> = Vec::new();
    let mut here = commit;
    // What was seen lies beside some of the commits of a chain; the others say what is new.
    let mut frontier = loop {
        if let Some(past) = reader.after(&here) {
            break past.frontier();
        }
        let header = reader.stored(&here).ok_or(SpaceFault::Lost(here))?.header;
        let previous = header.previous;
        way.push((here, header));
        if previous.is_zero() {
            break Frontier::default();
        }
        here = previous;
    };
    for (id, header) in way.into_iter().rev() {
        header.seen.iter().for_each(|seen| frontier.set(seen.device, seen.seq, seen.id));
        frontier.set(header.device, header.seq, id);
    }
    Ok(frontier)
}

/// What was made until a time.
pub(super) fn at_time(reader: &Reader<'_>, time: Timestamp, now: Timestamp) -> Result<Frontier, SpaceFault> {
    let mut frontier = Frontier::default();
    // When each commit of a device counts as made. What arrived before comes before.
    let mut made: HashMap<DeviceId, Vec<i64>> = HashMap::new();
    for logged in Arrived::new(reader) {
        let Logged { id, header, note, .. } = logged?;
        let before = |device: &DeviceId, seq: u64| {
            let times = made.get(device)?;
            times.get(usize::try_from(seq).ok()?).or(times.last()).copied()
        };
        let own = header.seq.checked_sub(1).and_then(|seq| before(&header.device, seq));
        let seen = header.seen.iter().filter_map(|seen| before(&seen.device, seen.seq));
        let believed = note.worth.counts() && header.time <= now;
        let claim = believed.then_some(header.time.0);
        let at = seen.chain(own).chain(claim).max().unwrap_or(i64::MIN);
        let times = made.entry(header.device).or_default();
        if times.len() as u64 == header.seq {
            times.push(at);
        }
        if at <= time.0 && !frontier.covers(header.device, header.seq) {
            frontier.set(header.device, header.seq, id);
        }
    }
    Ok(frontier)
}

/// Commits in the order in which they came.
struct Arrived<'a, 'r> {
    reader: &'a Reader<'r>,
    after: i64,
    batch: std::vec::IntoIter<Logged>,
}

impl<'a, 'r> Arrived<'a, 'r> {
    fn new(reader: &'a Reader<'r>) -> Self {
        Self { reader, after: 0, batch: Vec::new().into_iter() }
    }
}

impl Iterator for Arrived<'_, '_> {
    type Item = Result<Logged, SpaceFault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.batch.len() == 0 {
            match self.reader.arrived(self.after, BATCH) {
                Ok(batch) => self.batch = batch.into_iter(),
                Err(error) => return Some(Err(error.into())),
            }
        }
        let logged = self.batch.next()?;
        self.after = logged.moment.arrival();
        Some(Ok(logged))
    }
}

/// A day.
pub(super) const DAY: Duration = Duration::from_secs(86_400);
