//! A folder in which programs work meanwhile.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use logic::folder::Print;
use logic::transfer::path::RelPath;
use tempfile::TempDir;

use super::{Folder, FolderError, Rules, STAGING, Watch};

fn folder() -> (TempDir, Folder) {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::begin(&dir.path().join("docs")).unwrap();
    (dir, folder)
}

fn at(path: &str) -> RelPath {
    RelPath::parse(path.as_bytes()).unwrap()
}

fn put(folder: &Folder, path: &str, content: &[u8], expected: Option<&Print>) -> Result<Print, FolderError> {
    let staged = folder.stage()?;
    let mut out = staged.write(content.len() as u64);
    out.append(content).unwrap();
    out.finish().unwrap();
    folder.put(&staged, &at(path), expected, None, Some(0o640))
}

fn left_in_staging(folder: &Folder) -> usize {
    fs::read_dir(folder.path().join(STAGING)).unwrap().count()
}

#[test]
fn what_a_program_wrote_meanwhile_is_neither_replaced_nor_removed() {
    let (_dir, folder) = folder();
    let file = folder.path().join("letter");
    let first = put(&folder, "letter", b"one", None).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    // Something is there where nothing was expected.
    assert!(matches!(put(&folder, "letter", b"two", None), Err(FolderError::Changed(_))));
    // Somebody wrote.
    fs::write(&file, b"somebody").unwrap();
    assert!(matches!(put(&folder, "letter", b"two", Some(&first)), Err(FolderError::Changed(_))));
    assert!(matches!(folder.remove(&at("letter"), &first), Err(FolderError::Changed(_))));
    assert!(matches!(folder.rename(&at("letter"), &at("other"), &first), Err(FolderError::Changed(_))));
    assert_eq!(fs::read(&file).unwrap(), b"somebody");
    let now = folder.print(&at("letter")).unwrap().unwrap();
    let second = put(&folder, "letter", b"two", Some(&now)).unwrap();
    assert_eq!(fs::read(&file).unwrap(), b"two");
    fs::write(folder.path().join("taken"), b"mine").unwrap();
    assert!(matches!(folder.rename(&at("letter"), &at("taken"), &second), Err(FolderError::Changed(_))));
    let moved = folder.rename(&at("letter"), &at("other"), &second).unwrap();
    folder.remove(&at("other"), &moved).unwrap();
    folder.remove(&at("other"), &moved).unwrap();
    assert_eq!(fs::read(folder.path().join("taken")).unwrap(), b"mine");
    assert_eq!(left_in_staging(&folder), 0);
}

#[test]
fn what_a_crash_left_half_exchanged_goes_back_into_the_folder() {
    let (_dir, folder) = folder();
    let staging = folder.path().join(STAGING);
    fs::write(staging.join("out-5"), b"somebody's").unwrap();
    fs::write(staging.join("ours"), b"half").unwrap();
    let path = folder.path().to_owned();
    drop(folder);
    let folder = Folder::open(&path).unwrap();
    assert_eq!(fs::read(path.join("rescued-5")).unwrap(), b"somebody's");
    assert_eq!(left_in_staging(&folder), 0);
}

#[test]
fn directories_go_only_when_nothing_is_in_them() {
    let (_dir, folder) = folder();
    let made = folder.make_dir(&at("a"), Some(0o750)).unwrap();
    folder.make_dir(&at("a"), None).unwrap();
    put(&folder, "a/b", b"x", None).unwrap();
    assert!(matches!(folder.remove(&at("a"), &made), Err(FolderError::NotEmpty(_))));
    assert!(matches!(folder.make_dir(&at("a/b"), None), Err(FolderError::Changed(_))));
    folder.sync([None, Some(&at("a")), Some(&at("gone"))]).unwrap();
}

#[test]
fn nothing_is_done_or_seen_through_links() {
    let (dir, folder) = folder();
    let outside = dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), b"s").unwrap();
    symlink(&outside, folder.path().join("way")).unwrap();
    assert!(put(&folder, "way/new", b"x", None).is_err());
    assert_eq!(folder.print(&at("way/secret")).unwrap(), None);
    assert!(folder.open_file(&at("way/secret")).is_err() && folder.open_file(&at("way")).is_err());
    assert_eq!(folder.link_target(&at("way")).unwrap(), outside.as_os_str().as_encoded_bytes());
    let look = folder.look_everywhere(&Rules::default()).unwrap();
    assert_eq!(look.looked.len(), 1, "{look:?}");
    let staged = folder.stage_link(b"elsewhere").unwrap();
    let way = folder.print(&at("way")).unwrap().unwrap();
    folder.put(&staged, &at("way"), Some(&way), None, None).unwrap();
    drop(staged);
    assert_eq!(folder.link_target(&at("way")).unwrap(), b"elsewhere");
    assert_eq!(fs::read(outside.join("secret")).unwrap(), b"s");
}

/// Else everything would seem to be deleted.
#[test]
fn an_empty_place_where_the_folder_was_is_not_the_folder() {
    let (dir, folder) = folder();
    let path = folder.path().to_owned();
    fs::rename(&path, dir.path().join("elsewhere")).unwrap();
    assert!(matches!(folder.check(), Err(FolderError::NotTheFolder(_))));
    assert!(matches!(Folder::open(&path), Err(FolderError::NotTheFolder(_))));
    fs::create_dir(&path).unwrap();
    assert!(matches!(folder.look_everywhere(&Rules::default()), Err(FolderError::NotTheFolder(_))));
    assert!(matches!(Folder::open(&path), Err(FolderError::NotTheFolder(_))));
}

#[test]
fn rules_leave_out_what_git_would() {
    let (_dir, folder) = folder();
    let (rules, bad) = Rules::read("*.tmp\n/build/\n!keep.tmp\n# words\ndeep/**/x\n[z-a]\n");
    assert_eq!(bad.len(), 1, "{bad:?}");
    for (path, is_dir, out) in [
        ("a.tmp", false, true),
        ("d/a.tmp", false, true),
        ("keep.tmp", false, false),
        ("build", true, true),
        ("build/x/y", false, true),
        ("d/build", true, false),
        ("build", false, false),
        ("deep/a/b/x", false, true),
        (".warren-sync", true, true),
        (".warren-sync/f", false, true),
        (".warrenignore", false, false),
    ] {
        assert_eq!(rules.leave_out(&at(path), is_dir), out, "{path}");
    }
    fs::write(folder.path().join(".warrenignore"), "*.tmp\n").unwrap();
    fs::write(folder.path().join("a.tmp"), "").unwrap();
    fs::write(folder.path().join("b"), "").unwrap();
    let look = folder.look_everywhere(&folder.rules().unwrap().0).unwrap();
    let mut names: Vec<_> = look.looked[&None].iter().map(|(name, _)| name.clone()).collect();
    names.sort();
    assert_eq!(names, [b".warrenignore".to_vec(), b"b".to_vec()]);
}

#[test]
fn only_what_is_not_known_is_looked_into() {
    let (_dir, folder) = folder();
    for dir in ["a/b/c", "d/e"] {
        fs::create_dir_all(folder.path().join(dir)).unwrap();
    }
    let look = folder.look([None].into(), &Rules::default(), |path, _| *path == at("a")).unwrap();
    let dirs: Vec<_> = look.looked.keys().cloned().collect();
    assert_eq!(dirs, [None, Some(at("d")), Some(at("d/e"))]);
}

#[test]
fn a_watched_folder_says_where_something_changed_and_not_where_it_was_read() {
    let (_dir, folder) = folder();
    fs::create_dir(folder.path().join("d")).unwrap();
    let (wake, woken) = std::sync::mpsc::channel();
    let watch = Watch::new(folder.path(), move || wake.send(()).unwrap_or_default()).unwrap();
    let mut dirty = super::Dirty::default();
    let mut until = |dir: Option<RelPath>| {
        while !dirty.dirs.contains(&dir) {
            woken.recv_timeout(std::time::Duration::from_secs(60)).unwrap();
            dirty.merge(watch.take());
        }
        std::mem::take(&mut dirty)
    };
    fs::write(folder.path().join("d/new"), b"x").unwrap();
    until(Some(at("d")));
    fs::read(folder.path().join("d/new")).unwrap();
    put(&folder, "last", b"x", None).unwrap();
    let dirty = until(None);
    assert!(dirty.dirs.iter().all(|dir| dir.as_ref().is_none_or(|dir| *dir == at("d"))), "{dirty:?}");
    // A directory that came while it was watched is watched as well.
    fs::create_dir(folder.path().join("later")).unwrap();
    until(None);
    while !watch.take().dirs.contains(&Some(at("later"))) {
        fs::write(folder.path().join("later/new"), b"x").unwrap();
        std::thread::yield_now();
    }
}
