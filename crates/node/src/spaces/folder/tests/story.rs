//! What people do in folders, one thing at a time.

use std::io::Write;
use std::os::unix::fs::MetadataExt;

use super::*;

fn versions(device: &Device) -> usize {
    device.conflicts().iter().filter(|conflict| matches!(conflict, Conflict::Versions { .. })).count()
}

#[test]
fn a_tree_comes_to_the_other_folder_as_it_is_and_then_nothing_happens() {
    let (mut ada, mut bob) = pair();
    ada.write("a/b/c/deep", "deep");
    ada.write("big", noise(1, 3_000_000));
    ada.write("empty", "");
    fs::create_dir_all(ada.at("a/nothing/at all")).unwrap();
    symlink("../elsewhere/\u{e9}", ada.at("a/link")).unwrap();
    fs::set_permissions(ada.at("a/b/c/deep"), fs::Permissions::from_mode(0o750)).unwrap();
    for name in
        [&b"-rf"[..], b"new\nline", b"\xff\xfe", b"a b ", "e\u{301}".as_bytes(), b" (conflict x)", b"...", b"\\"]
    {
        fs::write(ada.keeper.path.join(OsString::from_vec(name.to_vec())), name).unwrap();
    }
    let sparse = fs::File::create(ada.at("holes")).unwrap();
    sparse.set_len(5_000_000).unwrap();
    drop(sparse);
    let long = "n".repeat(255);
    ada.write(&format!("a/{long}"), "long");
    ada.round();
    ada.check();
    exchange(&ada, &bob);
    assert_eq!(bob.round(), 0);
    bob.check();
    assert_eq!(ada.folder(), bob.folder());
    for file in ["a/b/c/deep", "big", "empty", "holes"] {
        let time = |device: &Device| {
            let meta = device.at(file).metadata().unwrap();
            (meta.mtime(), meta.mtime_nsec())
        };
        assert_eq!(time(&ada), time(&bob), "{file}");
    }
    let before = (ada.commits(), bob.commits(), ada.standing().done, bob.standing().done);
    for device in [&mut ada, &mut bob] {
        device.round();
        assert!(device.standing().warnings.is_empty(), "{:?}", device.standing().warnings);
    }
    assert_eq!(before, (ada.commits(), bob.commits(), ada.standing().done, bob.standing().done));
    assert_eq!(ada.conflicts(), vec![]);
}

#[test]
fn what_both_wrote_apart_is_kept_and_shown_alike() {
    let (mut ada, mut bob) = pair();
    ada.write("doc", "base");
    settle(&mut ada, &mut bob);
    ada.write("doc", "ada's");
    bob.write("doc", "bob's, longer");
    ada.round();
    bob.round();
    exchange(&ada, &bob);
    settle(&mut ada, &mut bob);
    assert_eq!(versions(&ada), 1);
    assert_eq!(ada.conflicts(), bob.conflicts());
    for text in ["base", "ada's", "bob's, longer"] {
        assert!(ada.contents().contains(blake3::hash(text.as_bytes()).as_bytes()));
    }
    // Made apart under one name: both are there.
    ada.write("new", "ada's");
    bob.write("new", "bob's");
    ada.round();
    bob.round();
    exchange(&ada, &bob);
    settle(&mut ada, &mut bob);
    let new: Vec<_> = ada.folder().into_keys().filter(|path| path.as_os_str().as_bytes().starts_with(b"new")).collect();
    assert_eq!(new.len(), 2);
}

#[test]
fn folders_that_had_the_same_before_become_one_without_a_conflict() {
    let (mut ada, mut bob) = pair();
    for device in [&ada, &bob] {
        device.write("dir/same", "same");
        device.write("dir/big", noise(2, 100_000));
    }
    bob.write("dir/differs", "bob's");
    ada.write("dir/differs", "ada's");
    ada.round();
    exchange(&ada, &bob);
    settle(&mut bob, &mut ada);
    assert_eq!(ada.folder().len(), 4);
    // Neither knew of the other.
    assert_eq!((versions(&ada), ada.conflicts().len()), (1, 1));
    assert!(["ada's", "bob's"].iter().all(|text| ada.contents().contains(blake3::hash(text.as_bytes()).as_bytes())));
}

#[test]
fn what_came_from_a_pipe_has_no_mode_and_is_no_other_file_for_that() {
    let (mut ada, mut bob) = pair();
    ada.home.write("doc", "text");
    exchange(&ada, &bob);
    ada.write("doc", "text");
    fs::set_permissions(ada.at("doc"), fs::Permissions::from_mode(0o600)).unwrap();
    let commits = ada.commits();
    ada.round();
    bob.round();
    for device in [&mut ada, &mut bob] {
        device.forget();
        device.round();
        assert_eq!((device.commits(), device.conflicts()), (commits, vec![]));
    }
    // A mode that somebody gives it from now on is told.
    fs::set_permissions(bob.at("doc"), fs::Permissions::from_mode(0o755)).unwrap();
    settle(&mut bob, &mut ada);
    assert_eq!(ada.at("doc").metadata().unwrap().permissions().mode() & 0o777, 0o755);
    assert_eq!(ada.conflicts(), vec![]);
}

#[test]
fn two_files_of_one_name_that_were_told_together_are_told_apart() {
    use api::types::{ConflictQuery, ConflictResolve};
    use api::{Reply, Request};
    for number in 0..2 {
        let (mut ada, _) = pair();
        ada.write("doc", "small");
        ada.write("DOC", "LARGE");
        ada.round();
        let asked = ConflictQuery { space: Some("ours".into()) };
        let Ok(Reply::Conflicts(mut conflicts)) = ada.home.call(Request::Conflicts(asked)) else { panic!() };
        let conflict = conflicts.remove(0);
        let keep = conflict.sides[number].version.clone().unwrap();
        let resolve = |keep: String| {
            let resolve = ConflictResolve { id: conflict.id.clone(), keep, preview: false };
            ada.home.call(Request::ConflictResolve(resolve))
        };
        let (commit, index) = keep.split_once('.').unwrap();
        assert!(resolve(commit[..8].to_owned()).is_err(), "it is of both");
        resolve(format!("{}.{index}", &commit[..8])).unwrap();
        ada.round();
        assert_eq!((ada.folder().len(), ada.conflicts()), (1, vec![]));
        ada.check();
    }
}

#[test]
fn what_has_the_name_of_warrens_own_directory_stays_in_the_space_and_is_named() {
    let (mut ada, _) = pair();
    ada.home.write(store::folder::STAGING, "text");
    ada.home.write("doc", "text");
    for _ in 0..2 {
        ada.round();
        assert_eq!((ada.folder().len(), ada.home.shows().len()), (1, 2));
        assert!(ada.standing().warnings[0].starts_with(store::folder::STAGING));
    }
}

#[test]
fn an_edit_wins_over_a_delete() {
    for edits_first in [true, false] {
        let (mut ada, mut bob) = pair();
        ada.write("dir/doc", "base");
        ada.write("dir/other", "goes");
        settle(&mut ada, &mut bob);
        ada.write("dir/doc", "edited");
        fs::remove_dir_all(bob.at("dir")).unwrap();
        if edits_first {
            ada.round();
            bob.round();
        } else {
            bob.round();
            exchange(&ada, &bob);
            ada.round();
        }
        exchange(&ada, &bob);
        settle(&mut bob, &mut ada);
        assert_eq!(bob.read("dir/doc"), "edited");
        assert!(!ada.has("dir/other"));
    }
}

#[test]
fn renames_are_moves_and_what_others_write_meanwhile_arrives() {
    let (mut ada, mut bob) = pair();
    ada.write("dir/sub/file", noise(3, 50_000));
    ada.write("dir/doc", "1");
    ada.write("plain", "plain");
    settle(&mut ada, &mut bob);
    let nodes = ["dir", "dir/sub/file", "plain"].map(|path| ada.node(path).unwrap());
    let inode = bob.at("dir/sub/file").metadata().unwrap().ino();
    ada.mv("dir", "renamed");
    ada.mv("plain", "renamed/simple");
    bob.write("dir/sub/new", "bob's");
    bob.write("dir/doc", "22");
    ada.round();
    bob.round();
    exchange(&ada, &bob);
    // Woken by the space only.
    bob.hear();
    ada.hear();
    ada.check();
    bob.check();
    assert_eq!(["renamed", "renamed/sub/file", "renamed/simple"].map(|path| bob.node(path).unwrap()), nodes);
    assert_eq!(bob.at("renamed/sub/file").metadata().unwrap().ino(), inode);
    assert_eq!((ada.read("renamed/sub/new"), ada.read("renamed/doc")), ("bob's".into(), "22".into()));
    assert!(!bob.has("dir") && !bob.has("plain"));
    // Moved and written at once.
    ada.mv("renamed/doc", "doc");
    let mut file = fs::OpenOptions::new().append(true).open(ada.at("doc")).unwrap();
    file.write_all(b"3").unwrap();
    drop(file);
    fs::set_permissions(ada.at("renamed/simple"), fs::Permissions::from_mode(0o600)).unwrap();
    ada.mv("renamed/simple", "simple");
    settle(&mut ada, &mut bob);
    assert_eq!(bob.read("doc"), "223");
    assert_eq!(ada.node("simple").unwrap(), nodes[2]);
    assert_eq!(ada.conflicts(), vec![]);
    let commits = ada.commits();
    ada.round();
    assert_eq!(ada.commits(), commits);
}

#[test]
fn directories_turned_inside_out_move() {
    let (mut ada, mut bob) = pair();
    ada.write("x/y/file", "file");
    ada.write("p/in p", "p");
    ada.write("q/in q", "q");
    settle(&mut ada, &mut bob);
    let nodes = ["x", "x/y", "x/y/file"].map(|path| ada.node(path).unwrap());
    let inode = bob.at("x/y/file").metadata().unwrap().ino();
    ada.mv("x/y", "y");
    ada.mv("x", "y/x");
    ada.mv("p", "aside");
    ada.mv("q", "p");
    ada.mv("aside", "q");
    bob.write("p/more in p", "more");
    settle(&mut ada, &mut bob);
    assert_eq!(["y/x", "y", "y/file"].map(|path| ada.node(path).unwrap()), nodes);
    assert_eq!(bob.at("y/file").metadata().unwrap().ino(), inode);
    assert!(bob.has("q/in p") && bob.has("p/in q") && ada.has("q/more in p"));
    assert_eq!(ada.conflicts(), vec![]);
}

#[test]
fn two_files_change_names() {
    let (mut ada, mut bob) = pair();
    ada.write("one", "first");
    ada.write("two", "second!");
    settle(&mut ada, &mut bob);
    ada.mv("one", "aside");
    ada.mv("two", "one");
    ada.mv("aside", "two");
    settle(&mut ada, &mut bob);
    assert_eq!((bob.read("one"), bob.read("two")), ("second!".into(), "first".into()));
    assert_eq!((bob.folder().len(), ada.conflicts()), (2, vec![]));
    // In the space itself: the files of both are renamed.
    let inodes = |device: &Device| ["one", "two"].map(|path| device.at(path).metadata().unwrap().ino());
    let before = inodes(&bob);
    for (from, to) in [("one", "aside"), ("two", "one"), ("aside", "two")] {
        ada.home.mv(&[from], to).unwrap();
    }
    exchange(&ada, &bob);
    bob.hear();
    ada.hear();
    bob.check();
    ada.check();
    assert_eq!(inodes(&bob), [before[1], before[0]]);
}

#[test]
fn a_save_by_renaming_over_it_is_one_new_version() {
    let (mut ada, mut bob) = pair();
    ada.write("doc", "1");
    settle(&mut ada, &mut bob);
    let (node, commits) = (ada.node("doc").unwrap(), ada.commits());
    ada.write("doc~tmp", "two");
    ada.mv("doc~tmp", "doc");
    ada.round();
    assert_eq!((ada.node("doc").unwrap(), ada.commits()), (node, commits + 1));
    settle(&mut ada, &mut bob);
    assert_eq!(bob.read("doc"), "two");
    let history = ada.kept().space.tree(|tree| Ok(tree.history(node)?)).unwrap();
    assert_eq!(history.iter().filter(|event| matches!(event, Event::Written(_))).count(), 2);
}

#[test]
fn what_a_program_changed_between_look_and_put_is_not_overwritten() {
    let (mut ada, mut bob) = pair();
    for name in ["written", "deleted", "moved", "new"] {
        if name != "new" {
            ada.write(name, "base");
        }
    }
    settle(&mut ada, &mut bob);
    ada.write("written", "ada's");
    ada.rm("deleted");
    fs::create_dir(ada.at("to")).unwrap();
    ada.mv("moved", "to/moved");
    ada.write("new", "ada's");
    ada.round();
    exchange(&ada, &bob);
    // After the look: what comes is done with nothing told.
    for name in ["written", "deleted", "moved", "new"] {
        bob.write(name, format!("bob's {name}"));
    }
    let touched = bob.open.as_mut().unwrap().listener.take().dirs;
    let passed = bob.keeper.do_there(bob.open.as_ref().unwrap(), Some(touched)).unwrap();
    assert!(passed.dirty.contains(&None));
    for name in ["written", "deleted", "moved", "new"] {
        assert_eq!(bob.read(name), format!("bob's {name}"));
    }
    settle(&mut bob, &mut ada);
    for name in ["written", "deleted", "moved", "new"] {
        assert!(ada.contents().contains(blake3::hash(format!("bob's {name}").as_bytes()).as_bytes()), "{name}");
    }
    assert_eq!(ada.read("deleted"), "bob's deleted");
    assert_eq!(ada.read("to/moved"), "bob's moved");
}

#[test]
fn what_is_left_out_from_now_on_is_forgotten_and_not_deleted() {
    let (mut ada, mut bob) = pair();
    ada.write("dir/keep", "keep");
    ada.write("dir/build/out", "out");
    ada.write("a.tmp", "tmp");
    settle(&mut ada, &mut bob);
    let shown = ada.space();
    ada.write(store::folder::IGNORE, "*.tmp\nbuild/\n");
    ada.round();
    for path in shown.keys() {
        assert!(ada.space().contains_key(path));
    }
    ada.rm("a.tmp");
    fs::remove_dir_all(ada.at("dir/build")).unwrap();
    ada.write("b.tmp", "not told");
    ada.round();
    assert!(ada.node("a.tmp").is_some() && ada.node("dir/build/out").is_some() && ada.node("b.tmp").is_none());
    exchange(&ada, &bob);
    bob.round();
    assert!(bob.has("a.tmp") && bob.has("dir/build/out"), "forgotten there as well, and still there");
    // No rules: all comes back.
    ada.write(store::folder::IGNORE, "");
    settle(&mut ada, &mut bob);
    assert!(ada.has("a.tmp") && bob.has("b.tmp") && ada.has("dir/build/out"));
    assert_eq!(ada.conflicts(), vec![]);
}

#[test]
fn a_folder_that_is_away_deletes_nothing() {
    let (mut ada, mut bob) = pair();
    ada.write("dir/file", "file");
    settle(&mut ada, &mut bob);
    let (path, aside) = (ada.keeper.path.clone(), ada.dir.path().join("aside"));
    let commits = ada.commits();
    for open in [true, false] {
        if !open {
            ada.open = None;
        }
        fs::rename(&path, &aside).unwrap();
        assert!(matches!(ada.try_round(), Err(FolderFault::Folder(_))));
        // An empty place to mount something.
        fs::create_dir(&path).unwrap();
        assert!(matches!(ada.try_round(), Err(FolderFault::Folder(_))));
        fs::remove_dir(&path).unwrap();
        fs::rename(&aside, &path).unwrap();
        ada.round();
    }
    assert_eq!(ada.commits(), commits);
    // The directory in the space goes: the folder stays as it is.
    let top = ada.node("dir").unwrap();
    let keeper = &ada.keeper;
    let hands = Hands { access: keeper.hands.access.clone(), progress: Progress::silent() };
    let other = tempfile::tempdir().unwrap();
    Folder::begin(other.path()).unwrap();
    let inside = Keeper::new(FolderId(seal::random()), other.path().to_owned(), ada.kept().clone(), top, false, hands);
    let mut open = inside.open().unwrap();
    let all = || Dirty { all: true, ..Dirty::default() };
    inside.rounds(&mut open, all(), None).unwrap();
    assert!(other.path().join("file").exists());
    ada.home.rm(&["dir"]).unwrap();
    assert!(matches!(inside.rounds(&mut open, all(), None), Err(FolderFault::NoTop)));
    assert!(other.path().join("file").exists());
    bob.round();
}

#[test]
fn after_a_crash_it_goes_on_without_conflicts_or_doubles() {
    let (mut ada, mut bob) = pair();
    ada.write("dir/a", "a");
    ada.write("dir/b", noise(4, 70_000));
    symlink("x", ada.at("dir/l")).unwrap();
    settle(&mut ada, &mut bob);
    let (before, commits) = (ada.folder(), ada.commits());
    // Nothing is known any more.
    ada.forget();
    bob.forget();
    settle(&mut ada, &mut bob);
    assert_eq!((ada.folder(), ada.commits(), ada.conflicts()), (before, commits, vec![]));
    // Told, and not noted; and done, and not noted.
    for device in 0..2 {
        for deed in 0..5 {
            let devices = [&mut ada, &mut bob];
            let [first, second] = devices;
            first.write("dir/a", "a");
            first.write("dir/b", "b");
            let _ = fs::remove_dir_all(first.at("dir/gone"));
            first.write("dir/gone/x", format!("x{device}{deed}"));
            settle(first, second);
            match deed {
                0 => first.write("dir/a", format!("changed {device} {deed}")),
                1 => first.mv("dir/b", "dir/c"),
                2 => fs::remove_dir_all(first.at("dir/gone")).unwrap(),
                3 => first.mv("dir", "other"),
                _ => first.write("new/dir/file", format!("new {device}")),
            }
            let lost = if device == 0 { &*first } else { &*second };
            let rows = noted(lost);
            first.round();
            exchange(first, second);
            second.round();
            let wanted = first.folder();
            let lost = if device == 0 { &mut *first } else { &mut *second };
            put_back(lost, &rows);
            let commits = lost.commits();
            settle(second, first);
            assert_eq!(first.folder(), wanted, "{device} {deed}");
            assert_eq!((first.commits(), first.conflicts()), (commits, vec![]), "{device} {deed}");
            if deed == 3 {
                first.mv("other", "dir");
            }
            let _ = fs::rename(first.at("dir/c"), first.at("dir/b"));
            settle(first, second);
        }
    }
}

/// What is noted as in step.
fn noted(device: &Device) -> Vec<logic::folder::Known> {
    use logic::folder::Base;
    let read = |tree: &logic::space::Tree<&store::space::Reader<'_>>| {
        let rows = base::Rows { store: tree.rows(), folder: device.keeper.id };
        let (mut found, mut open) = (Vec::new(), vec![device.keeper.top]);
        while let Some(dir) = open.pop() {
            for known in rows.inside(dir)? {
                open.push(known.node);
                found.push(known);
            }
        }
        Ok(found)
    };
    device.kept().space.tree(read).unwrap()
}

fn put_back(device: &mut Device, rows: &[logic::folder::Known]) {
    device.forget();
    let id = device.keeper.id;
    device.kept().space.jot(|store| rows.iter().try_for_each(|known| base::set(store, id, known))).unwrap();
}

#[test]
fn what_is_not_here_yet_is_waited_for_and_comes() {
    let (mut ada, mut bob) = pair();
    ada.write("small", "small");
    ada.write("dir/big", noise(5, 2_000_000));
    ada.round();
    talk(&ada, &bob);
    assert_eq!(bob.round(), 1);
    assert!(bob.has("small") && bob.has("dir") && !bob.has("dir/big"));
    let commits = bob.commits();
    assert_eq!(bob.round(), 1);
    assert_eq!(bob.commits(), commits, "what is not here yet was not deleted");
    carry(&ada, &bob);
    assert_eq!(bob.round(), 0);
    bob.check();
    // A new version: the old one stays meanwhile.
    ada.write("dir/big", noise(6, 2_000_000));
    ada.round();
    talk(&ada, &bob);
    assert_eq!(bob.round(), 1);
    assert_eq!(fs::read(bob.at("dir/big")).unwrap(), noise(5, 2_000_000));
    ada.mv("dir", "moved");
    ada.round();
    talk(&ada, &bob);
    assert_eq!(bob.round(), 1);
    assert_eq!(fs::read(bob.at("moved/big")).unwrap(), noise(5, 2_000_000));
    settle(&mut ada, &mut bob);
    assert_eq!(ada.conflicts(), vec![]);
}

#[test]
fn who_may_only_read_keeps_what_it_changed_and_is_told() {
    let (mut ada, mut bob) = with_role("reader");
    ada.write("doc", "base");
    ada.write("other", "base");
    ada.round();
    exchange(&ada, &bob);
    bob.round();
    bob.check();
    bob.write("doc", "bob's");
    bob.write("new", "bob's");
    bob.round();
    assert_eq!(bob.standing().warnings.len(), 1);
    ada.write("doc", "ada's");
    ada.write("other", "ada's");
    ada.round();
    exchange(&ada, &bob);
    bob.round();
    assert_eq!((bob.read("doc"), bob.read("new"), bob.read("other")), ("bob's".into(), "bob's".into(), "ada's".into()));
    assert_eq!(bob.standing().warnings.len(), 1);
    ada.round();
    assert!(ada.node("new").is_none());
}

#[test]
fn things_that_change_their_kind_and_names_that_differ_in_case_are_kept() {
    let (mut ada, mut bob) = pair();
    ada.write("thing", "file");
    ada.write("dir/inside", "inside");
    settle(&mut ada, &mut bob);
    ada.rm("thing");
    ada.write("thing/now", "a directory");
    fs::remove_dir_all(ada.at("dir")).unwrap();
    symlink("thing", ada.at("dir")).unwrap();
    settle(&mut ada, &mut bob);
    assert!(bob.at("dir").is_symlink() && bob.has("thing/now"));
    ada.write("Case", "1");
    ada.write("case", "2");
    ada.write("CASE", "3");
    settle(&mut ada, &mut bob);
    assert_eq!(ada.folder().len(), 6);
    let commits = ada.commits();
    settle(&mut ada, &mut bob);
    assert_eq!(ada.commits(), commits);
}

#[test]
fn a_file_of_an_older_version_is_brought_up_to_date_and_is_no_edit() {
    for role in ["editor", "reader"] {
        let (mut ada, mut bob) = with_role(role);
        ada.write("dir/doc", "1");
        ada.write("dir/other", "1");
        ada.write("gone", "1");
        symlink("x", ada.at("dir/link")).unwrap();
        fs::set_permissions(ada.at("dir/other"), fs::Permissions::from_mode(0o750)).unwrap();
        ada.round();
        exchange(&ada, &bob);
        bob.round();
        let first = noted(&bob);
        ada.write("dir/doc", "second");
        ada.round();
        exchange(&ada, &bob);
        bob.round();
        ada.write("dir/doc", "the third");
        ada.rm("gone");
        ada.round();
        exchange(&ada, &bob);
        // The second version is there, and the first one is noted.
        put_back(&mut bob, &first);
        let commits = ada.commits();
        bob.round();
        bob.check();
        assert_eq!(bob.standing().warnings, Vec::<String>::new());
        // Nothing is noted of what has become old.
        ada.write("dir/doc", "a fourth one");
        ada.round();
        exchange(&ada, &bob);
        bob.forget();
        bob.round();
        bob.check();
        exchange(&ada, &bob);
        assert_eq!((ada.commits(), bob.commits(), ada.conflicts()), (commits + 1, commits + 1, vec![]));
        assert_eq!(bob.standing().warnings, Vec::<String>::new());
        // Touched, and then it is another one.
        fs::write(bob.at("dir/other"), "1").unwrap();
        bob.round();
        ada.write("dir/other", "22");
        ada.round();
        exchange(&ada, &bob);
        bob.round();
        bob.check();
        assert_eq!(ada.conflicts(), vec![]);
        // An older content that somebody brings back is an edit.
        if role == "editor" {
            bob.write("dir/doc", "second");
            settle(&mut bob, &mut ada);
            assert_eq!(ada.read("dir/doc"), "second");
        }
    }
}

#[test]
fn extended_attributes_come_along_and_stay() {
    let set = |device: &Device, value: &str| {
        rustix::fs::setxattr(device.at("doc"), "user.colour", value.as_bytes(), rustix::fs::XattrFlags::empty())
    };
    let (mut ada, mut bob) = pair();
    ada.write("doc", "text");
    if set(&ada, "blue").is_err() {
        // No such thing on this disk.
        return;
    }
    let shown = |device: &Device| {
        let mut value = [0; 16];
        let len = rustix::fs::getxattr(device.at("doc"), "user.colour", &mut value).unwrap();
        String::from_utf8(value[..len].to_vec()).unwrap()
    };
    settle(&mut ada, &mut bob);
    assert_eq!(shown(&bob), "blue");
    fs::write(bob.at("doc"), "edited").unwrap();
    settle(&mut bob, &mut ada);
    assert_eq!((ada.read("doc"), shown(&ada)), ("edited".into(), "blue".into()));
    set(&ada, "green").unwrap();
    settle(&mut ada, &mut bob);
    assert_eq!(shown(&bob), "green");
}

#[test]
fn a_directory_that_takes_the_place_of_another_one_is_another_one() {
    let (mut ada, mut bob) = pair();
    ada.write("dir/x", "old");
    ada.write("dir/y", "old");
    settle(&mut ada, &mut bob);
    ada.home.rm(&["dir"]).unwrap();
    ada.home.mkdir(&["dir"]).unwrap();
    ada.home.write("dir/x", "new");
    settle(&mut ada, &mut bob);
    assert_eq!((bob.read("dir/x"), bob.has("dir/y"), bob.conflicts()), ("new".into(), false, vec![]));
    assert_eq!(ada.folder(), bob.folder());
}

#[test]
fn a_tree_that_has_lost_rows_deletes_nothing_from_the_folder() {
    for what in ["DELETE FROM tree"] {
        let (mut ada, mut bob) = pair();
        for name in ["a", "dir/b", "dir/inside/c", "dir/inside/d"] {
            ada.write(name, name);
        }
        settle(&mut ada, &mut bob);
        let before = bob.folder();
        rusqlite::Connection::open(bob.home.file_of_space()).unwrap().execute_batch(what).unwrap();
        let mut open = bob.keeper.open().unwrap();
        let all = || Dirty { all: true, ..Dirty::default() };
        for _ in 0..3 {
            let _ = bob.keeper.rounds(&mut open, all(), None);
        }
        let after = bob.folder();
        assert!(before.iter().all(|(path, lies)| after.get(path) == Some(lies)), "{what}: {after:?}");
        // The space was told of no deletion either.
        exchange(&ada, &bob);
        ada.round();
        assert!(before.keys().all(|path| ada.folder().contains_key(path)), "{what}");
    }
}

#[test]
fn what_a_deleted_file_costs_does_not_grow_with_its_directory() {
    let (mut ada, _) = pair();
    let mut delete = |count: u32| {
        (0..count).for_each(|number| ada.write(&format!("dir/{number}"), "text"));
        ada.round();
        fs::remove_dir_all(ada.at("dir")).unwrap();
        let begun = std::time::Instant::now();
        ada.round();
        begun.elapsed() / count
    };
    let (few, many) = (delete(100), delete(800));
    assert!(many < few * 4, "{few:?} each, {many:?} where there are eight times as many");
}
