//! What goes where.

use std::io::{Seek, SeekFrom, Write};

use logic::ledger::{Control, Kind as CommitKind, RealmId};
use logic::space::{Kind, NodeId};
use rustix::fs::{XattrFlags, setxattr};

use super::*;
use crate::spaces::pen::Pen;

#[test]
fn a_folder_comes_back_as_it_was_and_is_not_written_twice() {
    let home = Home::new();
    let dir = home.work().join("album");
    fs::create_dir_all(dir.join("empty/deeper")).unwrap();
    fs::create_dir(dir.join("in")).unwrap();
    let names: [&[u8]; 10] = [
        b"plain.txt",
        b"two words",
        b"\xff\xfe not text",
        "n\u{303}fd".as_bytes(),
        "\u{f1}fd".as_bytes(),
        b"Readme",
        b"README",
        b"CON",
        b"dots...",
        "\u{202e}txt.exe".as_bytes(),
    ];
    for (number, name) in names.iter().enumerate() {
        fs::write(dir.join(OsString::from_vec(name.to_vec())), noise(number as u8, number * 100)).unwrap();
    }
    fs::write(dir.join("x".repeat(255)), "long").unwrap();
    fs::write(dir.join("in/large"), noise(1, 9 << 20)).unwrap();
    fs::write(dir.join("in/nothing"), "").unwrap();
    let mut sparse = fs::File::create(dir.join("in/sparse")).unwrap();
    sparse.seek(SeekFrom::Start(5 << 20)).unwrap();
    sparse.write_all(&noise(2, 300 << 10)).unwrap();
    sparse.set_len(20 << 20).unwrap();
    drop(sparse);
    std::os::unix::fs::symlink("../plain.txt", dir.join("in/link")).unwrap();
    std::os::unix::fs::symlink("/nowhere", dir.join("dangling")).unwrap();
    fs::set_permissions(dir.join("plain.txt"), fs::Permissions::from_mode(0o444)).unwrap();
    fs::set_permissions(dir.join("two words"), fs::Permissions::from_mode(0o751)).unwrap();
    let _ = setxattr(dir.join("README"), "user.colour", b"blue", XattrFlags::empty());
    let before = snapshot(&home.work());

    let job = home.put(&dir, "");
    assert_eq!((job.files_total, job.files_done, job.files_same, job.files_failed), (14, 14, 0, 0), "{job:?}");
    assert_eq!((job.bytes_done, job.scanned), (job.bytes_total, true));
    assert_eq!(job.made, [TreePath::from("album")]);
    let got = home.get("album");
    assert_eq!(snapshot(&got), before);
    let allocated = fs::metadata(got.join("album/in/sparse")).unwrap().blocks() * 512;
    assert!(allocated < 2 << 20, "the holes take {allocated} bytes");

    let commits = home.commits();
    let job = home.put(&dir, "");
    assert_eq!((job.files_done, job.files_same, home.commits()), (0, 14, commits));
    // What came back is the same as well.
    let job = home.put(&got.join("album"), "");
    assert_eq!((job.files_same, home.commits()), (14, commits));
}

#[test]
fn only_what_differs_is_written() {
    let home = Home::new();
    let dir = home.work().join("d");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("kept"), "same").unwrap();
    fs::write(dir.join("edited"), "one").unwrap();
    fs::write(dir.join("touched"), noise(3, 100_000)).unwrap();
    home.put(&dir, "");
    let before = home.written("d/touched");
    fs::write(dir.join("edited"), "three").unwrap();
    fs::File::open(dir.join("touched")).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let job = home.put(&dir, "");
    assert_eq!((job.files_done, job.files_same), (2, 1));
    assert_eq!(home.read("d/edited", 0..99).unwrap(), b"three");
    let after = home.written("d/touched");
    assert_eq!((&after.content, after.meta.mtime.unwrap().secs), (&before.content, 0));
}

#[test]
fn many_files_take_few_commits_and_one_folder_goes_into_another() {
    let home = Home::new();
    let dir = home.work().join("many");
    fs::create_dir(&dir).unwrap();
    for number in 0..2500 {
        fs::write(dir.join(format!("file {number}")), format!("{number}")).unwrap();
    }
    let before = home.commits();
    let job = home.put(&dir, "");
    assert_eq!(job.files_done, 2500);
    assert!(home.commits() - before <= 4, "{} commits", home.commits() - before);
    assert_eq!(home.names("many").len(), 2500);
}

#[test]
fn exact_parents_and_delete() {
    let home = Home::new();
    let dir = home.work().join("d");
    fs::create_dir_all(dir.join("sub")).unwrap();
    fs::write(dir.join("a"), "a").unwrap();
    fs::write(dir.join("sub/b"), "b").unwrap();

    let error = home.put_with(&asked(&dir, "no/such")).0.unwrap_err();
    assert!(error.to_string().contains("no"), "{error}");
    let made = Put { parents: true, exact: true, ..asked(&dir, "x/y/z") };
    home.put_with(&made).0.unwrap();
    assert_eq!(home.names("x/y/z"), ["a", "sub"]);
    // The root itself.
    home.put_with(&Put { exact: true, ..asked(&dir, "") }).0.unwrap();
    assert_eq!(home.names(""), ["a", "sub", "x"]);

    fs::remove_file(dir.join("a")).unwrap();
    fs::remove_dir_all(dir.join("sub")).unwrap();
    fs::write(dir.join("c"), "c").unwrap();
    let asked = Put { delete: true, exact: true, ..asked(&dir, "x/y/z") };
    home.put_with(&asked).0.unwrap();
    assert_eq!(home.names("x/y/z"), ["c"]);
    assert_eq!(home.names(""), ["a", "sub", "x"], "nothing above is deleted");
}

#[test]
fn a_file_is_not_put_over_a_folder() {
    let home = Home::new();
    let (dir, file) = (home.work().join("d"), home.work().join("f"));
    fs::create_dir_all(dir.join("clash")).unwrap();
    fs::write(dir.join("other"), "o").unwrap();
    fs::write(&file, "f").unwrap();
    home.put(&dir, "");
    let error = home.put_with(&Put { exact: true, ..asked(&file, "d") }).0.unwrap_err();
    assert!(error.to_string().contains('d'), "{error}");
    // Inside of a folder the others go on.
    fs::remove_dir(dir.join("clash")).unwrap();
    fs::write(dir.join("clash"), "now a file").unwrap();
    fs::write(dir.join("other"), "changed").unwrap();
    let job = home.put(&dir, "");
    assert_eq!((job.files_failed, job.files_done), (1, 1), "{job:?}");
    assert_eq!(home.entry("d/clash").unwrap().kind, NodeKind::Dir);
}

#[test]
fn a_version_that_was_overtaken_is_not_overwritten() {
    let home = Home::new();
    let file = home.work().join("f");
    fs::write(&file, "one").unwrap();
    home.put_with(&Put { only_if: Some(None), ..asked(&file, "") }).0.unwrap();
    let seen = home.entry("f").unwrap().brief.unwrap().version.id();
    home.put_with(&Put { only_if: Some(None), ..asked(&file, "") }).0.unwrap_err();
    fs::write(&file, "two!").unwrap();
    home.put_with(&Put { only_if: Some(Some(seen)), ..asked(&file, "") }).0.unwrap();
    fs::write(&file, "three").unwrap();
    home.put_with(&Put { only_if: Some(Some(seen)), ..asked(&file, "") }).0.unwrap_err();
    assert_eq!(home.read("f", 0..99).unwrap(), b"two!");
}

#[test]
fn what_is_put_by_several_at_once_is_one_file() {
    let home = Home::new();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let home = &home;
            scope.spawn(move || {
                let dir = home.work().join(number.to_string());
                fs::create_dir(&dir).unwrap();
                fs::write(dir.join("shared"), format!("by {number}")).unwrap();
                home.put(&dir.join("shared"), "");
            });
        }
    });
    assert_eq!(home.names(""), ["shared"]);
    let node = home.entry("shared").unwrap().node;
    let history = home.kept().space.tree(|tree| Ok(tree.history(node)?)).unwrap();
    assert_eq!(history.len(), 9, "made once, written eight times");
}

#[test]
fn what_goes_into_a_realm_is_written_there() {
    let home = Home::new();
    let now = clock::now();
    let space = &home.kept().space;
    let (realm, _) = space
        .change(|work| {
            let control = Control::Realm { inherit: true, file: false };
            let realm = RealmId::made_by(space.rule(work, RealmId::ROOT, CommitKind::Realm, &control, now)?);
            space.settle(work)?;
            let mut pen = Pen::open(space, work, RealmId::ROOT, now)?;
            pen.make(Kind::Realm(realm), NodeId::ROOT, b"shut")?;
            pen.finish()?;
            Ok(realm)
        })
        .unwrap();
    let dir = home.work().join("shut");
    fs::create_dir_all(dir.join("in")).unwrap();
    fs::write(dir.join("in/f"), noise(1, 1000)).unwrap();
    home.put(&dir, "");
    assert_eq!(home.entry("shut/in/f").unwrap().node.realm, realm);
    assert!(matches!(home.written("shut/in/f").content, Content::File { size: 1000, .. }));
    assert_eq!(home.read("shut/in/f", 0..2000).unwrap(), noise(1, 1000));
    assert_eq!(home.names(""), ["shut"]);
}
