//! The folders of a home, with their threads.

use std::time::Instant;

use api::types::{StoreAction, StoreCare, TreePath};
use api::{Reply, Request};
use logic::transfer::path::RelPath;
use store::database::Database;

use super::super::Folders;
use super::*;

fn wait(what: &str, mut until: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !until() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_folder_is_watched_and_told_until_it_is_ended() {
    let home = Home::founder("ada");
    home.create("ours");
    let kept = home.kept("ours");
    let dir = tempfile::tempdir().unwrap();
    let database = Database::create(&dir.path().join("database"), home.keys.records.clone()).unwrap();
    let path = dir.path().canonicalize().unwrap().join("folder");
    let open = || Folders::open(home.spaces(), &database).unwrap();
    let folders = open();
    folders.add(&path, kept.clone(), Node::ROOT, true).unwrap();
    let again = folders.add(&path, kept.clone(), Node::ROOT, true).unwrap();
    assert_eq!(folders.all().unwrap().len(), 1);
    folders.add(&path.join("inside"), kept.clone(), Node::ROOT, true).unwrap_err();
    fs::remove_dir(path.join("inside")).unwrap();
    let shows = |text: &str| {
        let shown = home.shows();
        shown.iter().any(|(path, content)| path == "dir/file" && content == text)
    };
    fs::create_dir_all(path.join("dir")).unwrap();
    fs::write(path.join("dir/file"), "one").unwrap();
    wait("the first", || shows("one"));
    fs::write(path.join("dir/file"), "second").unwrap();
    wait("the second", || shows("second"));
    home.write("there", "from there");
    wait("from there", || fs::read_to_string(path.join("there")).is_ok_and(|text| text == "from there"));
    // Asked, it answers when it is in step.
    let name = TreePath(path.as_os_str().as_bytes().to_vec());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    fs::write(path.join("dir/file"), "third one").unwrap();
    let now = runtime.block_on(folders.now(&name)).unwrap();
    assert_eq!((now.state.as_str(), now.problem), ("in_step", None));
    assert!(shows("third one"));
    folders.stop();
    assert!(folders.all().unwrap().is_empty());
    // After a restart it goes on with what happened meanwhile.
    fs::write(path.join("dir/file"), "meanwhile").unwrap();
    let folders = open();
    assert_eq!(folders.all().unwrap()[0].id, again.id);
    wait("meanwhile", || shows("meanwhile"));
    // The folder is away, and comes back.
    let aside = dir.path().join("aside");
    fs::rename(&path, &aside).unwrap();
    let now = runtime.block_on(folders.now(&name)).unwrap();
    assert_eq!(now.state, "stopped");
    assert!(shows("meanwhile"));
    fs::rename(&aside, &path).unwrap();
    let now = runtime.block_on(folders.now(&name)).unwrap();
    assert_eq!((now.state.as_str(), now.problem), ("in_step", None));
    folders.remove(&name).unwrap();
    assert!(folders.all().unwrap().is_empty() && !path.join(store::folder::STAGING).exists());
    assert!(path.join("dir/file").exists() && shows("meanwhile"));
    assert!(open().all().unwrap().is_empty());
}

#[test]
fn a_space_is_mended_while_its_folder_is_worked_on() {
    let home = Home::founder("ada");
    home.create("ours");
    let kept = home.kept("ours");
    let dir = tempfile::tempdir().unwrap();
    let database = Database::create(&dir.path().join("database"), home.keys.records.clone()).unwrap();
    let path = dir.path().canonicalize().unwrap().join("folder");
    let folders = Folders::open(home.spaces(), &database).unwrap();
    folders.add(&path, kept.clone(), Node::ROOT, true).unwrap();
    fs::create_dir(path.join("dir")).unwrap();
    (0..300).for_each(|number| fs::write(path.join(format!("dir/{number}")), "text").unwrap());
    let name = TreePath(path.as_os_str().as_bytes().to_vec());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(folders.now(&name)).unwrap();
    folders.stop();
    rusqlite::Connection::open(home.file_of_space()).unwrap().execute_batch("DELETE FROM tree").unwrap();
    let folders = Folders::open(home.spaces(), &database).unwrap();
    let work = |number: u32| {
        let file = path.join(format!("dir/{number}"));
        let _ = match number % 3 {
            0 => fs::write(path.join(format!("dir/new{number}")), "new"),
            1 => fs::rename(file, path.join(format!("moved{number}"))),
            _ => fs::remove_file(file),
        };
        std::thread::sleep(Duration::from_millis(10));
    };
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| (0..300).for_each(work));
        while !worker.is_finished() {
            let care = StoreCare { action: StoreAction::Repair };
            let Ok(Reply::StoreCare(said)) = home.call(Request::StoreCare(care)) else { panic!() };
            assert!(said.ok, "{said:?}");
        }
    });
    let now = runtime.block_on(folders.now(&name)).unwrap();
    assert_eq!((now.state.as_str(), now.problem), ("in_step", None));
    let shows = |path: String| {
        let path = RelPath::parse(path.as_bytes()).unwrap();
        kept.space.tree(|tree| Ok(tree.lookup(&path)?.is_some())).unwrap()
    };
    for number in 0..300 {
        let there =
            [shows(format!("dir/{number}")), shows(format!("dir/new{number}")), shows(format!("moved{number}"))];
        assert_eq!(there, [[true, true, false], [false, false, true], [false; 3]][number % 3], "{number}");
    }
    folders.stop();
}
