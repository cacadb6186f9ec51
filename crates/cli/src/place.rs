//! `SPACE:PATH` on the command line: a place in a space. The first `:` ends the space's name, so names may have blanks and
//! paths may have colons; paths are bytes. Which argument is a place and which a path of this machine is decided by its
//! position alone.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use api::types::TreePath;
use api::{ApiError, ApiResult};
use clap::builder::{OsStringValueParser, TypedValueParser};

use crate::exit::Failure;
use crate::print::clean_bytes;

/// A place in a space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The space, by name or id.
    pub(crate) space: String,
    /// From its root; empty: all of it.
    pub(crate) path: TreePath,
    /// Written with a `/` at its end, or the root: a directory is meant.
    pub(crate) directory: bool,
}

/// Reads `SPACE:PATH`.
pub(crate) fn place() -> impl TypedValueParser<Value = Place> {
    OsStringValueParser::new().try_map(|text| Place::parse(&text))
}

/// Reads `SPACE` or `SPACE:PATH`.
pub(crate) fn scope() -> impl TypedValueParser<Value = Place> {
    OsStringValueParser::new().try_map(|text| Place::parse_scope(&text))
}

/// Reads `SPACE`, also with a `:` at its end.
pub(crate) fn space() -> impl TypedValueParser<Value = String> {
    OsStringValueParser::new().try_map(|text| {
        let place = Place::parse_scope(&text)?;
        if place.path.is_root() {
            Ok(place.space)
        } else {
            Err(format!("this is about a whole space: write `{}`", clean_bytes(place.space.as_bytes())))
        }
    })
}

impl Place {
    /// `SPACE:PATH`.
    fn parse(text: &OsStr) -> Result<Self, String> {
        if text.as_bytes().contains(&b':') {
            return Self::parse_scope(text);
        }
        let shown = clean_bytes(text.as_bytes());
        let local = text.as_bytes().contains(&b'/') || Path::new(text).exists();
        Err(if local {
            format!(
                "a place in a space is written SPACE:PATH, and `{shown}` names no space (`warren put` brings files of this \
                 machine into a space, `warren get` brings them out)"
            )
        } else {
            format!("a place in a space is written SPACE:PATH; `{shown}:` is all of the space `{shown}`")
        })
    }

    /// `SPACE` or `SPACE:PATH`.
    fn parse_scope(text: &OsStr) -> Result<Self, String> {
        let bytes = text.as_bytes();
        let (space, path) = match bytes.iter().position(|byte| *byte == b':') {
            Some(at) => (&bytes[..at], &bytes[at + 1..]),
            None => (bytes, &[][..]),
        };
        if space.is_empty() {
            return Err("the name of the space is missing before the `:` (`warren space list` lists them)".to_owned());
        }
        let space = std::str::from_utf8(space).map_err(|_| "the name of a space is text (UTF-8)".to_owned())?;
        Ok(Self {
            space: space.to_owned(),
            path: path_in_space(path)?,
            directory: path.is_empty() || path.ends_with(b"/"),
        })
    }

    /// For people.
    pub(crate) fn shown(&self) -> String {
        format!("{}:{}", clean_bytes(self.space.as_bytes()), clean_bytes(&self.path.0))
    }
}

/// A path as a space has it: without a `/` at either end, and without parts that mean nothing.
pub(crate) fn path_in_space(path: &[u8]) -> Result<TreePath, String> {
    let mut parts = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => return Err("`..` leads nowhere in a space: write the path from its root".to_owned()),
            part => parts.push(part),
        }
    }
    Ok(TreePath(parts.join(&b'/')))
}

/// Paths in the one space that they are all in.
///
/// # Errors
/// They are in several.
pub(crate) fn one_space(places: Vec<Place>) -> ApiResult<(String, Vec<TreePath>)> {
    let Some(space) = places.first().map(|place| place.space.clone()) else {
        return Err(Failure::usage("no place is named").hint("write SPACE:PATH"));
    };
    if let Some(other) = places.iter().find(|place| place.space != space) {
        let (first, other) = (clean_bytes(space.as_bytes()), clean_bytes(other.space.as_bytes()));
        return Err(Failure::usage(format!("the places are in two spaces, `{first}` and `{other}`"))
            .hint("one command works in one space: use it twice"));
    }
    Ok((space, places.into_iter().map(|place| place.path).collect()))
}

/// The absolute form of a path of this machine, as the API wants it.
pub(crate) fn on_this_machine(path: &Path) -> ApiResult<TreePath> {
    let absolute = std::path::absolute(path).map_err(|error| cannot_use(path, &error))?;
    Ok(TreePath(absolute.into_os_string().into_vec()))
}

fn cannot_use(path: &Path, error: &std::io::Error) -> ApiError {
    Failure::io(format_args!("cannot use `{}`", clean_bytes(path.as_os_str().as_bytes())), error)
}

/// What `get` was given: places, and perhaps a folder of this machine at the end. A last argument with a `:` is a place
/// as well, unless it begins like a path (`/`, `./`, `../`).
///
/// # Errors
/// What is wrong, for the one who typed it.
pub(crate) fn places_and_folder(mut given: Vec<OsString>) -> ApiResult<(Vec<Place>, Option<PathBuf>)> {
    let is_folder = |last: &OsStr| {
        let bytes = last.as_bytes();
        !bytes.contains(&b':') || [&b"/"[..], b"./", b"../"].iter().any(|start| bytes.starts_with(start))
    };
    let folder = if given.len() > 1 { given.pop_if(|last| is_folder(last)) } else { None };
    let places = given.iter().map(|text| Place::parse(text).map_err(Failure::usage)).collect::<ApiResult<_>>()?;
    Ok((places, folder.map(PathBuf::from)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parsed(text: &[u8]) -> Result<(String, Vec<u8>, bool), String> {
        Place::parse(OsStr::from_bytes(text)).map(|place| (place.space, place.path.0, place.directory))
    }

    #[test]
    fn the_first_colon_ends_the_name() {
        let cases: &[(&[u8], &str, &[u8], bool)] = &[
            (b"home:", "home", b"", true),
            (b"home:/", "home", b"", true),
            (b"home:a.txt", "home", b"a.txt", false),
            (b"our home:/a//./b c/", "our home", b"a/b c", true),
            (b"home:12:30.txt", "home", b"12:30.txt", false),
            (b"home:\xff\xfe", "home", b"\xff\xfe", false),
        ];
        for (text, space, path, directory) in cases {
            assert_eq!(parsed(text).unwrap(), ((*space).to_owned(), path.to_vec(), *directory));
        }
        for wrong in [&b"home"[..], b":a", b"", b"./a", b"home:a/../b", b"\xff:a"] {
            assert!(parsed(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_folder_is_told_from_a_place_by_position() {
        let split = |args: &[&str]| {
            let (places, folder) = places_and_folder(args.iter().map(OsString::from).collect()).unwrap();
            (places.iter().map(Place::shown).collect::<Vec<_>>(), folder)
        };
        assert_eq!(split(&["home:a"]), (vec!["home:a".into()], None));
        assert_eq!(split(&["home:a", "out"]), (vec!["home:a".into()], Some("out".into())));
        assert_eq!(split(&["home:a", "home:b"]), (vec!["home:a".into(), "home:b".into()], None));
        assert_eq!(split(&["home:a", "./12:30"]), (vec!["home:a".into()], Some("./12:30".into())));
        assert!(places_and_folder(vec!["out".into(), "home:a".into()]).is_err());
    }
}
