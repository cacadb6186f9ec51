//! What a path or pattern means in a space.

use api::types::TreePath;
use api::{ApiError, ErrorCode};
use globset::{GlobBuilder, GlobMatcher};
use logic::space::{Entry, Node, NodeKind, Rows, fold};
use logic::transfer::path::RelPath;

use super::scene::{Eye, join};
use crate::spaces::SpaceFault;
use crate::spaces::contents::no_path;

/// Paths that a pattern may mean, at most.
const MEANT: usize = 100_000;

/// A path that was found.
#[derive(Debug, Clone)]
pub(super) struct Meant {
    /// From the root; empty for the root.
    pub(super) path: Vec<u8>,
    /// What is there.
    pub(super) entry: Entry,
}

/// The names of a path; none for the root. A slash before or after is let pass.
pub(super) fn names(path: &TreePath) -> Result<Vec<Vec<u8>>, ApiError> {
    let bytes = path.0.strip_prefix(b"/").unwrap_or(&path.0);
    let bytes = bytes.strip_suffix(b"/").unwrap_or(bytes);
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    match RelPath::parse(bytes) {
        Ok(path) => Ok(path.names().map(<[u8]>::to_vec).collect()),
        Err(why) => Err(no_path(bytes, why)),
    }
}

/// The root as an entry.
pub(super) fn root() -> Meant {
    let (name, given) = (Vec::new(), Vec::new());
    let entry = Entry { node: Node::ROOT, name, given, kind: NodeKind::Dir, realm: None, brief: None };
    Meant { path: Vec::new(), entry }
}

/// What those names show; `None` if nothing. Where they showed nothing in the past, what they show today is meant, if it was
/// elsewhere then.
pub(super) fn lookup<R: Rows>(eye: &Eye<'_, R>, names: &[Vec<u8>]) -> Result<Option<Meant>, SpaceFault>
where
    SpaceFault: From<logic::space::Fault<R::Error>>,
{
    match walk(eye, names)? {
        Some(meant) => Ok(Some(meant)),
        None => moved(eye, names),
    }
}

fn walk<R: Rows>(eye: &Eye<'_, R>, names: &[Vec<u8>]) -> Result<Option<Meant>, SpaceFault>
where
    SpaceFault: From<logic::space::Fault<R::Error>>,
{
    let mut here = root();
    for name in names {
        let Some(entry) = eye.entry(here.entry.node, name)? else { return Ok(None) };
        here = Meant { path: join(&here.path, name), entry };
    }
    Ok(Some(here))
}

/// What is shown under those names today and was elsewhere in the past that one looks at.
pub(super) fn moved<R: Rows>(eye: &Eye<'_, R>, names: &[Vec<u8>]) -> Result<Option<Meant>, SpaceFault>
where
    SpaceFault: From<logic::space::Fault<R::Error>>,
{
    if !eye.is_past() || walk(eye, names)?.is_some() {
        return Ok(None);
    }
    let Some(today) = walk(&eye.today(), names)? else { return Ok(None) };
    Ok(eye.then(&today.entry)?.map(|entry| Meant { path: today.path, entry }))
}

/// What a path shows.
pub(super) fn find<R: Rows>(eye: &Eye<'_, R>, path: &TreePath) -> Result<Meant, SpaceFault>
where
    SpaceFault: From<logic::space::Fault<R::Error>>,
{
    let names = names(path)?;
    match lookup(eye, &names)? {
        Some(meant) => Ok(meant),
        None => Err(missing(eye, &names)?.into()),
    }
}

/// Everything that a path or pattern means, by rising paths; an error if it is nothing.
pub(super) fn expand<R: Rows>(eye: &Eye<'_, R>, path: &TreePath) -> Result<Vec<Meant>, SpaceFault>
where
    SpaceFault: From<logic::space::Fault<R::Error>>,
{
    let names = names(path)?;
    let mut found = vec![root()];
    let mut had_pattern = false;
    for (at, name) in names.iter().enumerate() {
        let mut next = Vec::new();
        for dir in found {
            if let Some(entry) = eye.entry(dir.entry.node, name)? {
                next.push(Meant { path: join(&dir.path, name), entry });
            } else if name == b"**" {
                had_pattern = true;
                below(eye, dir, at + 1 == names.len(), &mut next)?;
            } else if let Some(matcher) = matcher(name) {
                had_pattern = true;
                let matching = eye.list(dir.entry.node)?.into_iter().filter(|entry| is_match(&matcher, &entry.name));
                next.extend(matching.map(|entry| Meant { path: join(&dir.path, &entry.name), entry }));
            }
            check_count(next.len())?;
        }
        found = next;
    }
    if found.is_empty() && !had_pattern {
        found.extend(moved(eye, &names)?);
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found.dedup_by(|a, b| a.path == b.path);
    match (found.is_empty(), had_pattern) {
        (false, _) => Ok(found),
        (true, true) => {
            Err(ApiError::new(ErrorCode::NotFound, format!("nothing in the space fits {}", path.shown())).into())
        }
        (true, false) => Err(missing(eye, &names)?.into()),
    }
}

/// What `**` means: the directory and all directories below, at the end of a pattern everything below.
fn below<R: Rows>(eye: &Eye<'_, R>, dir: Meant, all: bool, next: &mut Vec<Meant>) -> Result<(), SpaceFault>
where
    SpaceFault: From<logic::space::Fault<R::Error>>,
{
    let mut open = vec![dir.clone()];
    if !all {
        next.push(dir);
    }
    while let Some(dir) = open.pop() {
        for entry in eye.list(dir.entry.node)? {
            let meant = Meant { path: join(&dir.path, &entry.name), entry };
            if super::scene::is_dir(&meant.entry) {
                open.push(meant.clone());
                next.push(meant);
            } else if all {
                next.push(meant);
            }
            check_count(next.len())?;
        }
    }
    Ok(())
}

fn check_count(count: usize) -> Result<(), ApiError> {
    if count <= MEANT {
        return Ok(());
    }
    Err(ApiError::new(ErrorCode::BadRequest, format!("the pattern means more than {MEANT} paths"))
        .hint("name the directory instead"))
}

/// The matcher of a name that is a pattern. Braces and backslashes are letters like others.
fn matcher(name: &[u8]) -> Option<GlobMatcher> {
    let text = str::from_utf8(name).ok().filter(|text| text.contains(['*', '?', '[']))?;
    let plain = text.replace('{', "[{]").replace('}', "[}]");
    let glob = GlobBuilder::new(&plain).backslash_escape(false).literal_separator(true).build().ok()?;
    Some(glob.compile_matcher())
}

#[cfg(unix)]
fn is_match(matcher: &GlobMatcher, name: &[u8]) -> bool {
    use std::os::unix::ffi::OsStrExt;
    matcher.is_match(std::ffi::OsStr::from_bytes(name))
}

#[cfg(not(unix))]
fn is_match(matcher: &GlobMatcher, name: &[u8]) -> bool {
    matcher.is_match(String::from_utf8_lossy(name).as_ref())
}

/// Nothing is there; perhaps a similar name was meant, or something that is deleted.
fn missing<R: Rows>(eye: &Eye<'_, R>, names: &[Vec<u8>]) -> Result<ApiError, SpaceFault>
where
    SpaceFault: From<logic::space::Fault<R::Error>>,
{
    let shown = String::from_utf8_lossy(&names.join(&b'/')).into_owned();
    let error = ApiError::new(ErrorCode::NotFound, format!("there is no {shown} in the space"));
    let mut here = root();
    for name in names {
        if let Some(entry) = eye.entry(here.entry.node, name)? {
            here = Meant { path: join(&here.path, name), entry };
            continue;
        }
        if !super::scene::is_dir(&here.entry) {
            let file = String::from_utf8_lossy(&here.path).into_owned();
            return Ok(error.hint(format!("{file} is no directory")));
        }
        let entries = eye.list(here.entry.node)?;
        let asked = String::from_utf8_lossy(name).to_lowercase();
        let near = entries.iter().filter_map(|entry| {
            let known = String::from_utf8_lossy(&entry.name).into_owned();
            let far = match fold(&entry.name) == fold(name) {
                true => 0,
                false => strsim::levenshtein(&known.to_lowercase(), &asked),
            };
            (far <= 1 + known.chars().count() / 3).then_some((far, known))
        });
        if let Some((_, known)) = near.min() {
            let known = join(&here.path, known.as_bytes());
            return Ok(error.hint(format!("did you mean {}?", String::from_utf8_lossy(&known))));
        }
        if !eye.is_past() && !eye.tree.ever_named(here.entry.node, name)?.is_empty() {
            return Ok(error.hint("it was there once: `warren ls --deleted` lists it, `warren restore` brings it back"));
        }
        break;
    }
    let dir =
        if here.path.is_empty() { "the root".to_owned() } else { String::from_utf8_lossy(&here.path).into_owned() };
    Ok(error.hint(format!("`warren ls` shows what is in {dir}")))
}
