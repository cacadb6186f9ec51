//! Looking into a folder.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use logic::folder::{Looked, Names, Print};
use logic::space::NodeKind;
use logic::transfer::path::RelPath;
use rustix::fs::{self, Dir, Mode, OFlags};

use super::{Folder, FolderError, IGNORE, STAGING, is_nowhere, print_at};

/// Longest file of rules that is read.
const RULES_MAX: u64 = 1 << 20;

/// What is left out of a folder.
#[derive(Debug, Clone)]
pub struct Rules {
    text: String,
    rules: Gitignore,
}

impl Default for Rules {
    fn default() -> Self {
        Self { text: String::new(), rules: Gitignore::empty() }
    }
}

impl PartialEq for Rules {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Rules {}

impl Rules {
    /// Reads rules in the syntax of gitignore. Lines that make no sense are given back with the reason.
    pub fn read(text: &str) -> (Self, Vec<String>) {
        let mut builder = GitignoreBuilder::new("");
        let lines = text.lines().enumerate();
        let mut bad: Vec<String> = lines
            .filter_map(|(number, line)| {
                let error = builder.add_line(None, line).err()?;
                Some(format!("{IGNORE}, line {}: {error}", number + 1))
            })
            .collect();
        let rules = builder.build().unwrap_or_else(|error| {
            bad.push(format!("{IGNORE}: {error}"));
            Gitignore::empty()
        });
        (Self { text: text.to_owned(), rules }, bad)
    }

    /// Whether something is left out, itself or with a directory around it.
    pub fn leave_out(&self, path: &RelPath, is_dir: bool) -> bool {
        let own = path.names().next() == Some(STAGING.as_bytes());
        let path = Path::new(OsStr::from_bytes(path.as_bytes()));
        own || self.rules.matched_path_or_any_parents(path, is_dir).is_ignore()
    }
}

/// Something that is left out though no rule says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Where.
    pub path: RelPath,
    /// Why, in words.
    pub why: String,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Look {
    /// By directory.
    pub looked: Looked,
    /// What cannot be kept in step.
    pub left_out: Vec<LeftOut>,
}

impl Folder {
    /// The rules that lie in the folder, and what is wrong with them.
    ///
    /// # Errors
    /// [`FolderError`]: there are rules and they cannot be read. Without them too much would be told.
    pub fn rules(&self) -> Result<(Rules, Vec<String>), FolderError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match fs::openat(&self.root, IGNORE, flags, Mode::empty()) {
            Ok(file) => std::fs::File::from(file),
            Err(rustix::io::Errno::NOENT) => return Ok(Default::default()),
            Err(error) => return Err(self.top(error.into())),
        };
        let mut text = Vec::new();
        file.take(RULES_MAX).read_to_end(&mut text).map_err(|error| self.top(error))?;
        Ok(Rules::read(&String::from_utf8_lossy(&text)))
    }

    /// Looks into directories (`None`: the folder itself), and all the way down into those inside that `is_known` does not
    /// know as they are. A directory that is not there is left out: what is around it is looked at as well.
    ///
    /// # Errors
    /// [`FolderError`]: something could not be read, so nothing may follow.
    pub fn look(
        &self,
        dirs: BTreeSet<Option<RelPath>>,
        rules: &Rules,
        mut is_known: impl FnMut(&RelPath, &Print) -> bool,
    ) -> Result<Look, FolderError> {
        self.check()?;
        let mut look = Look::default();
        let mut open: Vec<Option<RelPath>> = dirs.into_iter().collect();
        while let Some(dir) = open.pop() {
            if look.looked.contains_key(&dir) || dir.as_ref().is_some_and(|dir| rules.leave_out(dir, true)) {
                continue;
            }
            let Some(entries) = self.entries(dir.as_ref(), rules, &mut look.left_out)? else { continue };
            for (name, print) in &entries {
                if print.kind == NodeKind::Dir
                    && let Ok(path) = RelPath::child(dir.as_ref(), name)
                    && !is_known(&path, print)
                {
                    open.push(Some(path));
                }
            }
            look.looked.insert(dir, entries);
        }
        self.check()?;
        Ok(look)
    }

    /// Every directory of the folder.
    ///
    /// # Errors
    /// As above.
    pub fn look_everywhere(&self, rules: &Rules) -> Result<Look, FolderError> {
        self.look(BTreeSet::from([None]), rules, |_, _| false)
    }

    fn entries(
        &self,
        dir: Option<&RelPath>,
        rules: &Rules,
        left_out: &mut Vec<LeftOut>,
    ) -> Result<Option<Names>, FolderError> {
        let failed = |error: std::io::Error| match dir {
            Some(path) => FolderError::at(path)(error),
            None => self.top(error),
        };
        let handle = match self.dir(dir) {
            Err(error) if is_nowhere(&error) => return Ok(None),
            handle => handle.map_err(failed)?,
        };
        let mut entries = Vec::new();
        for entry in Dir::read_from(&handle).map_err(|error| failed(error.into()))? {
            let entry = entry.map_err(|error| failed(error.into()))?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let Ok(path) = RelPath::child(dir, name) else {
                // Deeper than a space can hold.
                left_out.extend(dir.map(|dir| LeftOut { path: dir.clone(), why: "is too deep".into() }));
                continue;
            };
            let print = print_at(&handle, OsStr::from_bytes(name)).map_err(FolderError::at(&path))?;
            match print {
                Some(print) if !rules.leave_out(&path, print.kind == NodeKind::Dir) => {
                    entries.push((name.to_vec(), print));
                }
                Some(_) => {}
                // Gone again, or a socket, device or the like.
                None => left_out.push(LeftOut { path, why: "is no file, directory or link".into() }),
            }
        }
        Ok(Some(entries))
    }

    pub(super) fn top(&self, error: std::io::Error) -> FolderError {
        FolderError::Top { path: self.path.clone(), error }
    }
}
