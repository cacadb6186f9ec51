//! Relative paths that cannot leave the tree they are used in.
//!
//! The transfer engine checks the names that a peer sends; this is the second, independent check, made where the
//! path meets the disk. A [`RelPath`] holds at least one component; no component is empty, `.`, `..`, longer than
//! 255 bytes, or contains `/` or NUL. Names are bytes, as on every Unix: nothing here assumes UTF-8.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// Longest component in bytes (`NAME_MAX` of every common file system).
pub const MAX_COMPONENT: usize = 255;

/// Most components of a path.
pub const MAX_DEPTH: usize = 128;

/// Why a path was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum UnsafePath {
    /// There are no components.
    #[error("the path is empty")]
    NoComponents,
    /// A component is the empty string.
    #[error("a component is empty")]
    EmptyComponent,
    /// A component is `.`.
    #[error("a component is \".\"")]
    CurrentDir,
    /// A component is `..`.
    #[error("a component is \"..\"")]
    ParentDir,
    /// A component contains `/`.
    #[error("a component contains a slash")]
    Slash,
    /// A component contains a NUL byte.
    #[error("a component contains a NUL byte")]
    Nul,
    /// A component is longer than [`MAX_COMPONENT`] bytes.
    #[error("a component is longer than {MAX_COMPONENT} bytes")]
    LongComponent,
    /// There are more than [`MAX_DEPTH`] components.
    #[error("the path is more than {MAX_DEPTH} levels deep")]
    TooDeep,
}

/// A checked relative path: the components joined by `/`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RelPath(OsString);

impl RelPath {
    /// Checks `components` one by one and joins them.
    pub fn new<C: AsRef<OsStr>>(components: impl IntoIterator<Item = C>) -> Result<Self, UnsafePath> {
        let mut joined = Vec::new();
        for (depth, component) in components.into_iter().enumerate() {
            let component = component.as_ref().as_bytes();
            check_component(component)?;
            if depth == MAX_DEPTH {
                return Err(UnsafePath::TooDeep);
            }
            if depth > 0 {
                joined.push(b'/');
            }
            joined.extend_from_slice(component);
        }
        if joined.is_empty() {
            return Err(UnsafePath::NoComponents);
        }
        Ok(Self(OsString::from_vec(joined)))
    }

    /// This path with one more component.
    pub fn join(&self, name: &OsStr) -> Result<Self, UnsafePath> {
        check_component(name.as_bytes())?;
        if self.depth() >= MAX_DEPTH {
            return Err(UnsafePath::TooDeep);
        }
        let mut joined = self.0.clone();
        joined.push("/");
        joined.push(name);
        Ok(Self(joined))
    }

    /// The components from the top.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &OsStr> {
        self.0.as_bytes().split(|b| *b == b'/').map(OsStr::from_bytes)
    }

    /// Number of components, at least 1.
    pub fn depth(&self) -> usize {
        self.components().count()
    }

    /// The last component.
    pub fn name(&self) -> &OsStr {
        OsStr::from_bytes(split_last(self.0.as_bytes()).1)
    }

    /// The path without its last component, `None` when it has only one.
    pub fn parent(&self) -> Option<Self> {
        let (parent, _) = split_last(self.0.as_bytes());
        (!parent.is_empty()).then(|| Self(OsStr::from_bytes(parent).to_owned()))
    }

    /// The path in the system's form, for messages and for joining to a directory.
    pub fn as_path(&self) -> &Path {
        Path::new(&self.0)
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Splits joined components into everything before the last slash (or nothing) and what follows it.
pub(crate) fn split_last(joined: &[u8]) -> (&[u8], &[u8]) {
    match joined.iter().rposition(|b| *b == b'/') {
        Some(slash) => (&joined[..slash], &joined[slash + 1..]),
        None => (&[], joined),
    }
}

fn check_component(component: &[u8]) -> Result<(), UnsafePath> {
    match component {
        b"" => Err(UnsafePath::EmptyComponent),
        b"." => Err(UnsafePath::CurrentDir),
        b".." => Err(UnsafePath::ParentDir),
        c if c.contains(&b'/') => Err(UnsafePath::Slash),
        c if c.contains(&0) => Err(UnsafePath::Nul),
        c if c.len() > MAX_COMPONENT => Err(UnsafePath::LongComponent),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_everything_that_could_leave_the_tree() {
        let cases: [(&[&str], UnsafePath); 9] = [
            (&[], UnsafePath::NoComponents),
            (&[""], UnsafePath::EmptyComponent),
            (&["a", ""], UnsafePath::EmptyComponent),
            (&["a", "."], UnsafePath::CurrentDir),
            (&["..", "a"], UnsafePath::ParentDir),
            (&["a", "..", "b"], UnsafePath::ParentDir),
            (&["/etc/passwd"], UnsafePath::Slash),
            (&["a/../b"], UnsafePath::Slash),
            (&["a\0b"], UnsafePath::Nul),
        ];
        for (components, why) in cases {
            assert_eq!(RelPath::new(components), Err(why), "{components:?}");
        }
        assert_eq!(RelPath::new(["x".repeat(256)]), Err(UnsafePath::LongComponent));
        assert_eq!(RelPath::new(vec!["d"; MAX_DEPTH + 1]), Err(UnsafePath::TooDeep));
        assert_eq!(RelPath::new(vec!["d"; MAX_DEPTH]).unwrap().join(OsStr::new("e")), Err(UnsafePath::TooDeep));
        assert_eq!(RelPath::new(["a"]).unwrap().join(OsStr::new("..")), Err(UnsafePath::ParentDir));
    }

    proptest! {
        #[test]
        fn what_is_accepted_stays_below_the_root_and_keeps_its_components(
            components in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..6), 0..5)
        ) {
            let names: Vec<&OsStr> = components.iter().map(|c| OsStr::from_bytes(c)).collect();
            if let Ok(path) = RelPath::new(&names) {
                prop_assert_eq!(path.components().collect::<Vec<_>>(), names.clone());
                let normal = path.as_path().components()
                    .filter(|c| matches!(c, std::path::Component::Normal(_))).count();
                prop_assert_eq!(normal, names.len());
                prop_assert_eq!(path.name(), *names.last().unwrap());
                if let Some(parent) = path.parent() {
                    prop_assert_eq!(parent.join(path.name()).unwrap(), path);
                }
            }
        }
    }
}
