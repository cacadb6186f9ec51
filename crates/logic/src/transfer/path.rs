//! Names and paths that may come from outside.
//!
//! A name is bytes, as on Unix; a path is a sequence of names below a root that the receiver chooses. There is no way
//! to write a path that climbs or is absolute: [`RelPath`] is made of checked names only, so whoever holds one need
//! not check again. Names that are legal in general but cannot exist on the receiver's system are found by
//! [`Naming::objection`]: those entries are left out by name, and the transfer goes on.

use crate::Misbehaved;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Longest name in bytes (`NAME_MAX` of common file systems).
pub const NAME_MAX: usize = 255;
/// Deepest nesting of a path.
pub const DEPTH_MAX: usize = 128;
/// Longest path in bytes, separators included (`PATH_MAX` of Linux, without its NUL).
pub const PATH_MAX: usize = 4095;

/// Checks one name as it came from a peer.
pub fn check_name(name: &[u8]) -> Result<(), Misbehaved> {
    match name {
        [] => Err(Misbehaved::NameEmpty),
        b"." | b".." => Err(Misbehaved::NameTraversal),
        _ if name.len() > NAME_MAX => Err(Misbehaved::NameTooLong),
        _ if name.contains(&b'/') => Err(Misbehaved::NameWithSeparator),
        _ if name.contains(&0) => Err(Misbehaved::NameWithNul),
        _ => Ok(()),
    }
}

/// A path below a root, of one or more checked names joined by `/`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "serde_bytes::ByteBuf", into = "serde_bytes::ByteBuf")]
pub struct RelPath(Box<[u8]>);

impl RelPath {
    /// Parses names joined by single `/`; anything that is absolute, climbs or has empty names is refused.
    pub fn parse(bytes: &[u8]) -> Result<Self, Misbehaved> {
        if bytes.len() > PATH_MAX {
            return Err(Misbehaved::PathTooDeep);
        }
        let mut depth = 0;
        for name in bytes.split(|&byte| byte == b'/') {
            check_name(name)?;
            depth += 1;
        }
        if depth > DEPTH_MAX {
            return Err(Misbehaved::PathTooDeep);
        }
        Ok(Self(bytes.into()))
    }

    /// A name below `parent`, or below the root itself.
    pub fn child(parent: Option<&Self>, name: &[u8]) -> Result<Self, Misbehaved> {
        check_name(name)?;
        let Some(parent) = parent else {
            return Ok(Self(name.into()));
        };
        let mut bytes = Vec::with_capacity(parent.0.len() + 1 + name.len());
        bytes.extend_from_slice(&parent.0);
        bytes.push(b'/');
        bytes.extend_from_slice(name);
        if bytes.len() > PATH_MAX || parent.depth() >= DEPTH_MAX {
            return Err(Misbehaved::PathTooDeep);
        }
        Ok(Self(bytes.into()))
    }

    /// The names from the root downwards.
    pub fn names(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|&byte| byte == b'/')
    }

    /// How many names there are; at least one.
    pub fn depth(&self) -> usize {
        self.names().count()
    }

    /// The last name.
    pub fn name(&self) -> &[u8] {
        self.names().next_back().unwrap_or_default()
    }

    /// The path without its last name; `None` directly below the root.
    pub fn parent(&self) -> Option<Self> {
        let cut = self.0.iter().rposition(|&byte| byte == b'/')?;
        Some(Self(self.0[..cut].into()))
    }

    /// Names joined by `/`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<serde_bytes::ByteBuf> for RelPath {
    type Error = Misbehaved;

    fn try_from(bytes: serde_bytes::ByteBuf) -> Result<Self, Misbehaved> {
        Self::parse(&bytes)
    }
}

impl From<RelPath> for serde_bytes::ByteBuf {
    fn from(path: RelPath) -> Self {
        Self::from(path.0.into_vec())
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

/// Which names the receiver's system can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// Any bytes but `/` and NUL.
    Unix,
    /// Windows: no reserved characters or device names, no trailing dot or blank, UTF-8.
    Windows,
}

impl Naming {
    /// The rules of the system this was compiled for.
    pub const HERE: Self = if cfg!(windows) { Self::Windows } else { Self::Unix };

    /// Why a checked name cannot exist on this system; `None` if it can.
    pub fn objection(self, name: &[u8]) -> Option<&'static str> {
        match self {
            Self::Unix => None,
            Self::Windows => windows_objection(name),
        }
    }

    /// The first objection to any name of a path.
    pub fn path_objection(self, path: &RelPath) -> Option<&'static str> {
        path.names().find_map(|name| self.objection(name))
    }
}

/// "Naming Files, Paths, and Namespaces", Microsoft Learn.
fn windows_objection(name: &[u8]) -> Option<&'static str> {
    const DEVICES: [&str; 6] = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"];
    let Ok(text) = str::from_utf8(name) else {
        return Some("the name is not UTF-8");
    };
    if text.chars().any(|c| c < ' ' || r#"<>:"\|?*"#.contains(c)) {
        return Some("the name has a character that this system reserves");
    }
    if text.ends_with(['.', ' ']) {
        return Some("the name ends in a dot or a blank");
    }
    let stem = text.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let numbered = ["COM", "LPT"].iter().any(|port| {
        stem.strip_prefix(port).is_some_and(|rest| {
            matches!(rest, "¹" | "²" | "³") || (rest.len() == 1 && rest.as_bytes()[0].is_ascii_digit())
        })
    });
    (numbered || DEVICES.contains(&stem.as_str())).then_some("the name is reserved for a device")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_kind_of_traversal_is_refused() {
        for (bytes, offence) in [
            (&b""[..], Misbehaved::NameEmpty),
            (b"/etc/passwd", Misbehaved::NameEmpty),
            (b"..", Misbehaved::NameTraversal),
            (b"../x", Misbehaved::NameTraversal),
            (b"a/../../x", Misbehaved::NameTraversal),
            (b"a/./x", Misbehaved::NameTraversal),
            (b"a//x", Misbehaved::NameEmpty),
            (b"a/", Misbehaved::NameEmpty),
            (b"a\0b", Misbehaved::NameWithNul),
            (&[b'x'; 256], Misbehaved::NameTooLong),
        ] {
            assert_eq!(RelPath::parse(bytes), Err(offence), "{bytes:?}");
        }
        assert_eq!(check_name(b"a/b"), Err(Misbehaved::NameWithSeparator));
        let deep = vec!["d"; DEPTH_MAX + 1].join("/");
        assert_eq!(RelPath::parse(deep.as_bytes()), Err(Misbehaved::PathTooDeep));
    }

    #[test]
    fn legal_but_odd_names_pass() {
        for bytes in [&b"a;b\nc"[..], b"\xff\xfe", b"C:", b"...", b" ", b"-rf", b"a/b/c", b"~"] {
            assert_eq!(RelPath::parse(bytes).unwrap().as_bytes(), bytes);
        }
    }

    #[test]
    fn windows_refuses_by_name_what_it_cannot_hold() {
        for name in
            ["C:", "C:x", "a\\b", "nul", "NUL.txt", "com1", "LPT9.log", "COM¹", "a.", "a ", "a:b", "x*", "con .txt"]
        {
            assert!(Naming::Windows.objection(name.as_bytes()).is_some(), "{name}");
            assert!(Naming::Unix.objection(name.as_bytes()).is_none(), "{name}");
        }
        assert!(Naming::Windows.objection(b"\xff").is_some());
        for name in ["nulls", "com", "com10", "a.b", ".hidden", "lpt", "ünï"] {
            assert!(Naming::Windows.objection(name.as_bytes()).is_none(), "{name}");
        }
    }

    proptest! {
        #[test]
        fn a_parsed_path_never_leaves_its_root(bytes in proptest::collection::vec(prop_oneof![
            Just(b'/'), Just(b'.'), Just(0u8), any::<u8>()], 0..40)) {
            if let Ok(path) = RelPath::parse(&bytes) {
                prop_assert!(path.names().all(|name| check_name(name).is_ok()));
                prop_assert_eq!(path.as_bytes(), &bytes[..]);
                let rebuilt = RelPath::child(path.parent().as_ref(), path.name()).unwrap();
                prop_assert_eq!(rebuilt, path);
            }
        }
    }
}
