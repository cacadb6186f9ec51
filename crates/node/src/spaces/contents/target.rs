//! Where something goes in a space: paths into directories, over the borders of realms.

use std::sync::Arc;

use api::types::TreePath;
use api::{ApiError, ErrorCode};
use logic::Misbehaved;
use logic::space::{Entry, Node, NodeKind, Outcome as TreeOutcome, Rows, Tree, Written};
use logic::transfer::path::check_name;
use store::folder::STAGING;

use super::commit::{self, Item, Spot};
use super::fault::ContentFault;
use super::sealing::Noted;
use crate::spaces::Kept;

/// The names of a path.
///
/// # Errors
/// A name that cannot be.
pub(super) fn names(path: &[u8]) -> Result<Vec<&[u8]>, ContentFault> {
    let names: Vec<&[u8]> = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).collect();
    for name in &names {
        check_name(name).map_err(|why| no_path(path, why))?;
        check_own(name)?;
    }
    Ok(names)
}

/// What somebody wrote is no path.
pub(crate) fn no_path(path: &[u8], why: Misbehaved) -> ApiError {
    let why = match why {
        Misbehaved::NameEmpty => "a name in it is empty",
        Misbehaved::NameTraversal => "a name in it is . or ..",
        Misbehaved::NameTooLong => "a name in it is too long",
        Misbehaved::NameWithNul => "a name in it has a NUL",
        Misbehaved::PathTooDeep => "it has more than 128 names, or 4095 bytes",
        _ => "a name in it cannot be",
    };
    ApiError::new(ErrorCode::BadRequest, format!("{} is no path in a space: {why}", shown(path)))
        .hint("names are joined by /, each has 1 to 255 bytes, and none is . or ..")
}

/// What is called like this is left out of folders that are kept in step: nothing new gets the name.
pub(crate) fn check_own(name: &[u8]) -> Result<(), ApiError> {
    if name != STAGING.as_bytes() {
        return Ok(());
    }
    let message =
        format!("{STAGING} is the name that Warren gives to its own directory in folders that are kept in step");
    Err(ApiError::new(ErrorCode::BadRequest, message).hint("choose another name"))
}

/// A path for people.
pub(super) fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

/// What is known of the way to a directory.
enum Way {
    There(Node),
    /// So many names lead to this directory, and the next to nothing.
    Until(usize, Node),
    /// So many names lead to something that is no directory.
    Blocked(usize),
}

fn way<R: Rows>(tree: &Tree<R>, parts: &[Entry], names: &[&[u8]]) -> TreeOutcome<Way, R> {
    let mut dir = Node::ROOT;
    for (depth, name) in names.iter().enumerate() {
        if let Some(part) = parts.iter().find(|part| depth == 0 && part.name == *name && part.kind.is_dir()) {
            dir = part.node;
            continue;
        }
        let Some(entry) = tree.entry(dir, name)? else { return Ok(Way::Until(depth, dir)) };
        if !entry.kind.is_dir() {
            return Ok(Way::Blocked(depth + 1));
        }
        match tree.entered(entry.node)? {
            Some(inside) => dir = inside,
            None => return Ok(Way::Blocked(depth + 1)),
        }
    }
    Ok(Way::There(dir))
}

/// The directory at a path; `make`: with what lacks of it.
///
/// # Errors
/// There is none, or something else.
pub(super) fn directory(kept: &Kept, parts: &[Entry], names: &[&[u8]], make: bool) -> Result<Arc<Spot>, ContentFault> {
    let age = kept.space.age();
    let (depth, dir) = match kept.space.tree(|tree| Ok(way(tree, parts, names)?))? {
        Way::There(dir) => return Ok(Spot::there(dir)),
        Way::Until(depth, dir) => (depth, dir),
        Way::Blocked(depth) => {
            let path = shown(&names[..depth].join(&b'/'));
            return Err(ApiError::new(ErrorCode::Exists, format!("{path} is no directory")).into());
        }
    };
    if !make {
        let path = shown(&names[..=depth].join(&b'/'));
        return Err(ApiError::new(ErrorCode::NotFound, format!("there is no directory {path} in the space"))
            .hint("make it with `warren mkdir`, or let it be made with --parents")
            .into());
    }
    let mut parent = Spot::there(dir);
    let mut items = Vec::new();
    for (at, name) in names.iter().enumerate().skip(depth) {
        let spot = Spot::to_be(dir.realm);
        items.push(Item {
            parent,
            name: name.to_vec(),
            kind: NodeKind::Dir,
            written: Written::default(),
            found: None,
            spot: Some(spot.clone()),
            only_if: None,
            place: shown(&names[..=at].join(&b'/')),
        });
        parent = spot;
    }
    let done = commit::commit(kept, dir.realm, &items, &Noted::default(), age)?;
    match done.blocked.into_iter().next() {
        Some(path) => Err(ApiError::new(ErrorCode::Exists, format!("{path} is no directory")).into()),
        None => Ok(parent),
    }
}

/// A path below another.
pub(super) fn below(path: &[u8], name: &[u8]) -> TreePath {
    TreePath(if path.is_empty() { name.to_vec() } else { [path, b"/", name].concat() })
}
