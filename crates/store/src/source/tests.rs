//! Trees of every shape, and what changes while they are read.

#![allow(clippy::unwrap_used)]

use super::*;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};

fn rel(path: &str) -> RelPath {
    RelPath::new(path.split('/')).unwrap()
}

fn listed(walk: Walk<'_>) -> Vec<PathBuf> {
    walk.map(|entry| entry.unwrap().path.as_path().to_owned()).collect()
}

#[test]
fn everything_is_listed_once_in_byte_order_directories_first() {
    let dir = tempfile::tempdir().unwrap();
    let top = dir.path().join("top");
    for inner in ["a", "a/z", "a-b", "B", "empty"] {
        std::fs::create_dir_all(top.join(inner)).unwrap();
    }
    for file in ["a/1", "a/z/deep", "a-b/x", "B/y", "zero"] {
        std::fs::write(top.join(file), "").unwrap();
    }
    std::fs::write(top.join(OsStr::from_bytes(b"\xff;\n")), "odd").unwrap();
    let source = Source::new([&top]).unwrap();
    let odd = OsStr::from_bytes(b"top/\xff;\n");
    let expected: Vec<PathBuf> = [
        "top",
        "top/B",
        "top/B/y",
        "top/a",
        "top/a/1",
        "top/a/z",
        "top/a/z/deep",
        "top/a-b",
        "top/a-b/x",
        "top/empty",
        "top/zero",
    ]
    .iter()
    .map(PathBuf::from)
    .chain([PathBuf::from(odd)])
    .collect();
    assert_eq!(listed(source.walk()), expected);
    for names in [1, 2, 3] {
        assert_eq!(listed(source.walk().with_names_at_once(names)), expected, "{names} names at once");
    }
    assert_eq!(source.open(&RelPath::new(["top".as_ref(), OsStr::from_bytes(b"\xff;\n")]).unwrap()).unwrap().len(), 3);
}

#[test]
fn kinds_times_bits_and_sizes_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join("t").join(name);
    std::fs::create_dir(dir.path().join("t")).unwrap();
    std::fs::write(path("run"), "12345").unwrap();
    std::fs::set_permissions(path("run"), PermissionsExt::from_mode(0o755)).unwrap();
    let sparse = std::fs::File::create(path("sparse")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"data", 4 << 20).unwrap();
    sparse.set_len(8 << 20).unwrap();
    symlink("/etc", path("link")).unwrap();
    fs::mkfifoat(fs::CWD, path("pipe"), fs::Mode::RUSR).unwrap();
    std::fs::create_dir(path(crate::landing::PARTIAL_DIR)).unwrap();
    std::fs::write(path(crate::landing::PARTIAL_DIR).join("x"), "").unwrap();
    std::fs::create_dir(path(crate::folder::STAGING)).unwrap();

    let source = Source::new([dir.path().join("t")]).unwrap();
    let (entries, skipped): (Vec<_>, Vec<_>) = source.walk().partition(|entry| entry.is_ok());
    let kinds: Vec<EntryKind> = entries.into_iter().map(|entry| entry.unwrap().kind).collect();
    assert_eq!(
        kinds,
        [
            EntryKind::Directory,
            EntryKind::Symlink { target: "/etc".into() },
            EntryKind::File { size: 5, executable: true, sparse: false },
            EntryKind::File { size: 8 << 20, executable: false, sparse: true },
        ]
    );
    let skipped: Vec<Skipped> = skipped.into_iter().map(|entry| entry.unwrap_err()).collect();
    assert!(matches!(&skipped[0], Skipped { why: SkipReason::PartialDir, .. }));
    assert!(matches!(&skipped[1], Skipped { why: SkipReason::PartialDir, .. }));
    assert!(matches!(&skipped[2], Skipped { path: at, why: SkipReason::Special, .. } if at.ends_with("t/pipe")));
    assert_eq!(skipped.len(), 3);

    let file = source.open(&rel("t/sparse")).unwrap();
    let data = file.next_data(0).unwrap().unwrap();
    assert!(data.start <= 4 << 20 && data.end >= (4 << 20) + 4 && data.end - data.start < 1 << 20, "{data:?}");
    assert_eq!(file.next_data(data.end).unwrap(), None);
    assert_eq!(file.next_data(u64::MAX).unwrap(), None);
}

#[test]
fn named_paths_get_top_level_names_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    for inner in ["a/x", "b/x"] {
        std::fs::create_dir_all(dir.path().join(inner)).unwrap();
    }
    std::fs::write(dir.path().join("f.txt"), "1").unwrap();
    std::fs::write(dir.path().join("a/f.txt"), "22").unwrap();
    symlink("f.txt", dir.path().join("alias")).unwrap();
    let named = ["a/x", "b/x", "b/x/../x", "f.txt", "a/f.txt", "a/x/..", "alias"].map(|name| dir.path().join(name));
    let source = Source::new(&named).unwrap();
    // The alias is the file that was named before.
    assert_eq!(
        source.names().collect::<Vec<_>>(),
        ["a", "f (2).txt", "f.txt", "x", "x (2)"],
        "sorted as transfers list them"
    );
    assert_eq!(source.open(&rel("f (2).txt")).unwrap().len(), 2);
    assert_eq!(source.locate(&rel("x (2)/y")).unwrap(), dir.path().canonicalize().unwrap().join("b/x/y"));
    assert_eq!(source.locate(&rel("nobody")), None);

    let alias = Source::new([dir.path().join("alias")]).unwrap();
    assert_eq!(listed(alias.walk()), [Path::new("alias")]);
    assert_eq!(alias.open(&rel("alias")).unwrap().len(), 1, "a link that the user names is followed");
}

#[test]
fn what_cannot_be_sent_is_told_by_name() {
    let dir = tempfile::tempdir().unwrap();
    symlink("nowhere", dir.path().join("dangling")).unwrap();
    assert!(matches!(Source::new([] as [&Path; 0]), Err(SourceError::Nothing)));
    for name in ["missing", "dangling"] {
        assert!(matches!(Source::new([dir.path().join(name)]), Err(SourceError::Missing { .. })), "{name}");
    }
    assert!(matches!(Source::new(["/dev/null"]), Err(SourceError::Special { .. })));
}

#[test]
fn links_swapped_in_are_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    std::fs::create_dir_all(path("t/inner")).unwrap();
    std::fs::write(path("t/inner/f"), "mine").unwrap();
    std::fs::write(path("t/g"), "mine").unwrap();
    std::fs::create_dir(path("outside")).unwrap();
    std::fs::write(path("outside/f"), "secret").unwrap();
    let source = Source::new([path("t")]).unwrap();
    assert_eq!(listed(source.walk()).len(), 4);

    std::fs::rename(path("t/inner"), path("t/moved")).unwrap();
    symlink(path("outside"), path("t/inner")).unwrap();
    std::fs::remove_file(path("t/g")).unwrap();
    symlink(path("outside/f"), path("t/g")).unwrap();
    source.open(&rel("t/inner/f")).unwrap_err();
    source.open(&rel("t/g")).unwrap_err();
    source.open(&rel("t/moved")).unwrap_err();
    source.open(&rel("t")).unwrap_err();
    source.open(&rel("other/f")).unwrap_err();
}

#[test]
fn every_change_while_reading_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    let changes: [fn(&Path); 5] = [
        |path| std::fs::write(path, "longer contents").unwrap(),
        |path| std::fs::write(path, "").unwrap(),
        |path| std::fs::remove_file(path).unwrap(),
        |path| {
            std::fs::write(path.with_extension("new"), "contents").unwrap();
            std::fs::rename(path.with_extension("new"), path).unwrap();
        },
        |path| std::fs::set_permissions(path, PermissionsExt::from_mode(0o700)).unwrap(),
    ];
    for (n, change) in changes.into_iter().enumerate() {
        std::fs::write(&path, "contents").unwrap();
        let source = Source::new([&path]).unwrap();
        let file = source.open(&rel("f")).unwrap();
        assert!(!file.changed().unwrap());
        change(&path);
        assert!(file.changed().unwrap(), "change {n}");
    }
}

#[test]
fn a_tree_that_changes_while_it_is_walked_ends_without_repeats() {
    let dir = tempfile::tempdir().unwrap();
    let top = dir.path().join("t");
    std::fs::create_dir(&top).unwrap();
    for n in 0..20 {
        std::fs::write(top.join(format!("{n:02}")), "").unwrap();
    }
    let source = Source::new([&top]).unwrap();
    let walk = source.walk().with_names_at_once(4);
    let mut seen = Vec::new();
    for found in walk {
        if let Ok(entry) = found {
            seen.push(entry.path.as_path().to_owned());
        }
        if seen.len() == 6 {
            std::fs::remove_file(top.join("07")).unwrap();
            std::fs::remove_file(top.join("15")).unwrap();
            std::fs::write(top.join("00-again"), "").unwrap();
            std::fs::write(top.join("16-new"), "").unwrap();
        }
    }
    assert!(seen.is_sorted() && seen.windows(2).all(|pair| pair[0] != pair[1]));
    assert!(seen.contains(&PathBuf::from("t/16-new")) && !seen.contains(&PathBuf::from("t/15")));
}

#[test]
fn what_lies_too_deep_is_left_out_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut deep = dir.path().join("t");
    for _ in 0..crate::relpath::MAX_DEPTH + 3 {
        deep.push("d");
    }
    std::fs::create_dir_all(&deep).unwrap();
    let source = Source::new([dir.path().join("t")]).unwrap();
    let (entries, skipped): (Vec<_>, Vec<_>) = source.walk().partition(|entry| entry.is_ok());
    assert_eq!(entries.len(), crate::relpath::MAX_DEPTH);
    assert!(matches!(&skipped[..], [Err(Skipped { why: SkipReason::TooDeep, .. })]));
}

#[test]
fn an_item_of_the_spool_is_one_file_that_does_not_change() {
    let dir = tempfile::tempdir().unwrap();
    let content = b"from a pipe".repeat(20_000);
    let file = Arc::new(crate::spool::nameless(dir.path(), &mut &content[..]).unwrap());
    let source = Source::spooled("piped.bin".into(), file);
    let entries: Vec<_> = source.walk().map(Result::unwrap).collect();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].path, rel("piped.bin"));
    let size = content.len() as u64;
    assert_eq!(entries[0].kind, EntryKind::File { size, executable: false, sparse: false });
    for _ in 0..2 {
        let opened = source.open(&rel("piped.bin")).unwrap();
        assert_eq!((opened.len(), opened.meta().modified), (size, entries[0].modified));
        let mut bytes = vec![0; content.len()];
        assert_eq!(opened.read_at(0, &mut bytes).unwrap(), content.len());
        assert!(bytes == content && !opened.changed().unwrap());
    }
    assert!(source.open(&rel("other")).is_err() && source.open(&rel("piped.bin/below")).is_err());
}
