//! How two points of a path's history differ.

use api::types::{Diff, DiffLine, EntryKind, TreeDiff, TreeEntry, TreePath};
use api::{ApiError, ApiResult, ErrorCode};
use logic::ledger::Frontier;
use logic::space::{Content, Event, Node, Rows, Tree, Version};
use similar::TextDiff;
use std::sync::Arc;
use std::time::Duration;

use super::list::Lines;
use super::people::People;
use super::scene::{Eye, Scene, is_dir, join};
use super::{Calls, at, list, paths};
use crate::clock;
use crate::spaces::contents::{Patient, Piece, Pieces};
use crate::spaces::{Kept, SpaceFault};

/// Files above this are not compared as text, bytes.
const TEXT_MAX: u64 = 4 << 20;
/// Paths that a comparison lists, at most.
const LINES: usize = 10_000;
/// Lines around a change.
const CONTEXT: usize = 3;

impl Calls {
    /// Answers `tree_diff`.
    pub(super) fn diff(&self, request: &TreeDiff) -> ApiResult<Diff> {
        let (kept, _) = self.find(&request.space)?;
        let people = self.people()?;
        let to = at::frontier_of(&kept, request.to.as_deref())?;
        let from = at::frontier_of(&kept, request.from.as_deref())?;
        let day = match &from {
            Some(_) => None,
            None => Some(kept.space.look(|_, reader| at::at_time(reader, a_day_ago(), clock::now()))?),
        };
        let scene = Scene::of(&kept.space)?;
        let (mut diff, texts) = kept.space.tree(|tree| {
            let look = Looks { tree, scene: &scene, people: &people, calls: self };
            look.compare(&request.path, from.as_ref(), day.as_ref(), to.as_ref())
        })?;
        if let Some((old, new)) = texts {
            match self.text_diff(&kept, old.as_ref(), new.as_ref(), &request.path)? {
                Some(text) => diff.text = Some(text),
                None => diff.binary = true,
            }
        }
        Ok(diff)
    }

    /// Two versions as a unified diff; `None` if one is no text, or too long.
    pub(super) fn text_diff(
        &self,
        kept: &Arc<Kept>,
        old: Option<&Version>,
        new: Option<&Version>,
        path: &TreePath,
    ) -> Result<Option<String>, SpaceFault> {
        let (Some(before), Some(after)) = (self.text(kept, old)?, self.text(kept, new)?) else { return Ok(None) };
        let name = |side: &str, version: Option<&Version>| match version {
            Some(version) => format!("{side}/{} ({})", path.shown(), short(version)),
            None => "/dev/null".to_owned(),
        };
        let diff = TextDiff::configure().timeout(Duration::from_secs(5)).diff_lines(&before, &after);
        Ok(Some(diff.unified_diff().context_radius(CONTEXT).header(&name("a", old), &name("b", new)).to_string()))
    }

    /// The text of a version; `None` if it is none.
    fn text(&self, kept: &Arc<Kept>, version: Option<&Version>) -> Result<Option<String>, SpaceFault> {
        let Some(written) = version.and_then(|version| version.written.as_ref()) else {
            return Ok(Some(String::new()));
        };
        let bytes = match &written.content {
            Content::Nothing => Vec::new(),
            Content::Link { target } => target.to_vec(),
            Content::File { size, .. } if *size > TEXT_MAX => return Ok(None),
            content @ Content::File { size, .. } => {
                let access = self.reading(kept.clone(), Some(Duration::ZERO));
                let said = |fault| SpaceFault::from(ApiError::from(fault));
                let mut pieces = Pieces::open(access, content, 0..*size, &Patient).map_err(said)?;
                let mut bytes = Vec::new();
                while let Some(piece) = pieces.next(&Patient) {
                    match piece.map_err(said)? {
                        Piece::Data(data) => bytes.extend(data),
                        // A text has no holes.
                        Piece::Zeros(_) => return Ok(None),
                    }
                }
                bytes
            }
        };
        Ok(String::from_utf8(bytes).ok().filter(|text| !text.contains('\0')))
    }
}

fn a_day_ago() -> seal::Timestamp {
    let day = i64::try_from(at::DAY.as_millis()).unwrap_or(i64::MAX);
    seal::Timestamp(clock::now().0.saturating_sub(day))
}

fn short(version: &Version) -> String {
    at::version_text(&version.stamp.id()).chars().take(12).collect()
}

/// Two versions of a file.
type Sides = (Option<Version>, Option<Version>);

/// Looks at a space at two points.
struct Looks<'a, R: Rows> {
    tree: &'a Tree<R>,
    scene: &'a Scene,
    people: &'a People,
    calls: &'a Calls,
}

impl<R: Rows> Looks<'_, R>
where
    SpaceFault: From<logic::space::Fault<R::Error>>,
{
    fn eye<'e>(&'e self, then: Option<&'e Frontier>) -> Eye<'e, R> {
        Eye::new(self.tree, then.map(|then| self.tree.at(then)), self.scene)
    }

    fn compare(
        &self,
        path: &TreePath,
        from: Option<&Frontier>,
        day: Option<&Frontier>,
        to: Option<&Frontier>,
    ) -> Result<(Diff, Option<Sides>), SpaceFault> {
        let new_eye = self.eye(to);
        let names = paths::names(path)?;
        let new = paths::lookup(&new_eye, &names)?;
        let is_directory = new.as_ref().is_some_and(|meant| is_dir(&meant.entry));
        let old_eye = self.eye(from.or(if is_directory { day } else { None }));
        let gone = list::gone(&self.eye(None), path)?;
        if is_directory || gone.as_ref().is_some_and(|gone| is_dir(&gone.entry)) {
            return Ok((self.directories(&old_eye, &new_eye, path)?, None));
        }
        let Some(entry) = new.as_ref().or(gone.as_ref()).map(|meant| &meant.entry) else {
            return Err(paths::find(&new_eye, path).err().unwrap_or(SpaceFault::Unfinished));
        };
        let shown = new.as_ref().map(|_| new_eye.version(entry)).transpose()?.flatten();
        let old = match from {
            Some(_) => match paths::lookup(&old_eye, &names)? {
                Some(meant) => old_eye.version(&meant.entry)?,
                None => None,
            },
            None => self.before(entry.content(), shown.as_ref())?,
        };
        if old.is_none() && shown.is_none() {
            let message = format!("there was no {} at either point", path.shown());
            return Err(ApiError::new(ErrorCode::NotFound, message).into());
        }
        let same = old.as_ref().map(|old| &old.written) == shown.as_ref().map(|new| &new.written);
        Ok((Diff::default(), Some((old, shown)).filter(|_| !same)))
    }

    /// The version before another one, by when they were written.
    fn before(&self, node: Node, than: Option<&Version>) -> Result<Option<Version>, SpaceFault> {
        let older = |version: &Version| than.is_none_or(|than| version.stamp < than.stamp);
        Ok(self.tree.history(node)?.into_iter().find_map(|event| match event {
            Event::Written(version) if version.written.is_some() && older(&version) => Some(*version),
            _ => None,
        }))
    }

    /// What differs below a directory: the two are walked side by side, one directory of each level in memory.
    fn directories(&self, old: &Eye<'_, R>, new: &Eye<'_, R>, path: &TreePath) -> Result<Diff, SpaceFault> {
        let names = paths::names(path)?;
        let root = |eye: &Eye<'_, R>| -> Result<Option<Node>, SpaceFault> {
            Ok(paths::lookup(eye, &names)?.map(|meant| meant.entry.node))
        };
        let mut diff = Diff::default();
        let mut open = vec![(names.join(&b'/'), root(old)?, root(new)?)];
        while let Some((dir, before, after)) = open.pop() {
            let list = |eye: &Eye<'_, R>, node: Option<Node>| node.map_or(Ok(Vec::new()), |node| eye.list(node));
            let (before, after) = (list(old, before)?, list(new, after)?);
            let mut all: Vec<Vec<u8>> = before.iter().chain(&after).map(|entry| entry.name.clone()).collect();
            all.sort();
            all.dedup();
            let mut below = Vec::new();
            for name in all {
                let find = |entries: &[logic::space::Entry]| entries.iter().find(|entry| entry.name == name).cloned();
                let (one, other) = (find(&before), find(&after));
                let path = join(&dir, &name);
                let line =
                    |eye: &Eye<'_, R>, entry: &Option<logic::space::Entry>| -> Result<Option<TreeEntry>, SpaceFault> {
                        let lines =
                            Lines { eye, scene: self.scene, people: self.people, objects: &self.calls.spaces.objects };
                        entry.as_ref().map(|entry| lines.line(path.clone(), entry, false)).transpose()
                    };
                let (was, is) = (line(old, &one)?, line(new, &other)?);
                if differs(was.as_ref(), is.as_ref()) {
                    if diff.changes.len() >= LINES {
                        let message = format!("more than {LINES} paths differ");
                        return Err(ApiError::new(ErrorCode::BadRequest, message)
                            .hint("name a directory in it")
                            .into());
                    }
                    diff.changes.push(DiffLine { old: was, new: is });
                }
                let node = |entry: Option<logic::space::Entry>| entry.filter(is_dir).map(|entry| entry.node);
                let (was, is) = (node(one), node(other));
                if was.is_some() || is.is_some() {
                    below.push((path, was, is));
                }
            }
            open.extend(below.into_iter().rev());
        }
        diff.changes.sort_by(|a, b| path_of(a).cmp(path_of(b)));
        Ok(diff)
    }
}

fn path_of(line: &DiffLine) -> &[u8] {
    line.new.as_ref().or(line.old.as_ref()).map_or(&[], |entry| &entry.path.0)
}

/// True if a reader sees a difference. Of directories only whether they are there.
fn differs(was: Option<&TreeEntry>, is: Option<&TreeEntry>) -> bool {
    match (was, is) {
        (Some(was), Some(is)) => {
            let dirs = [was, is].map(|entry| matches!(entry.kind, EntryKind::Dir | EntryKind::Realm));
            dirs[0] != dirs[1] || !dirs[0] && (was.kind != is.kind || was.version != is.version)
        }
        _ => true,
    }
}
