//! What is let go, and what is not; and spaces that are made anew from what lies beside their objects.

use std::time::Duration;

use logic::space::Event;
use seal::{ObjectId, Timestamp};
use store::objects::HeldPlace;
use store::space::Standing;

use super::super::tidy::{GRACE, mark_time, tidy};
use super::super::{Gate, hold_new};
use super::*;
use crate::spaces::list::History;

const DAY: Duration = Duration::from_secs(24 * 3600);

impl Home {
    fn tidy(&self, policy: History, now: Timestamp) -> super::super::Unneeded {
        tidy(self.kept(), &self.spaces().objects, policy, true, now).unwrap()
    }

    fn put_bytes(&self, name: &str, bytes: &[u8]) {
        let path = self.work().join(name);
        fs::write(&path, bytes).unwrap();
        self.put(&path, "");
    }

    /// Contents of all versions of a file, latest first.
    fn versions(&self, node: Node) -> Vec<Content> {
        let history = self.kept().space.tree(|tree| Ok(tree.history(node)?)).unwrap();
        let written = history.into_iter().filter_map(|event| match event {
            Event::Written(version) => version.written.map(|written| written.content),
            Event::Placed(_) => None,
        });
        written.collect()
    }

    fn read_content(&self, content: &Content) -> Result<Vec<u8>, ContentFault> {
        let Content::File { size, .. } = content else { return Ok(Vec::new()) };
        let mut pieces = Pieces::open(self.access(), content, 0..*size, &Patient)?;
        let mut bytes = Vec::new();
        while let Some(piece) = pieces.next(&Patient) {
            match piece? {
                Piece::Data(data) => bytes.extend(data),
                Piece::Zeros(len) => bytes.resize(bytes.len() + len as usize, 0),
            }
        }
        Ok(bytes)
    }

    /// Everything that may be removed at that time is.
    fn collect(&self, now: Timestamp) {
        while self.spaces().objects.collect(now, GRACE).unwrap().more {}
        while self.spaces().objects.compact(1 << 30).unwrap().more {}
    }

    fn held(&self) -> usize {
        let (mut count, mut next) = (0, Some(HeldPlace::default()));
        while let Some(place) = next {
            let (ids, after) = self.spaces().objects.held(&self.kept().namespace(), place).unwrap();
            (count, next) = (count + ids.len(), after);
        }
        count
    }
}

/// A home with a file of three versions and one that was deleted.
fn with_past() -> (Home, Node) {
    let home = Home::new();
    for number in 1..=3 {
        home.put_bytes("file", &noise(number, 700_000));
    }
    home.put_bytes("gone", &noise(9, 300_000));
    let gone = home.entry("gone").unwrap().node;
    home.kept().space.write(gone.realm, clock::now(), |tree, _, _| Ok((vec![tree.deletion(gone)?], ()))).unwrap();
    let node = home.entry("file").unwrap().node;
    (home, node)
}

#[test]
fn by_default_nothing_goes_that_any_version_names() {
    let (home, node) = with_past();
    let held = home.held();
    let later = clock::now().plus(DAY * 4000);
    let found = home.tidy(History::All, later);
    assert_eq!((found.old.objects, found.unnamed.objects, found.unreadable), (0, 0, 0));
    home.collect(later.plus(DAY * 2));
    assert_eq!(home.held(), held);
    for (number, content) in (1..=3).rev().zip(home.versions(node)) {
        assert_eq!(home.read_content(&content).unwrap(), noise(number, 700_000));
    }
}

#[test]
fn what_nothing_names_stays_for_a_day_and_goes_then() {
    let (home, _) = with_past();
    let (held, objects, now) = (home.held(), &home.spaces().objects, clock::now());
    let left: Vec<Vec<u8>> = (1..=20_u8).map(|number| noise(number, 5000)).collect();
    let ids: Vec<ObjectId> = left.iter().map(|bytes| ObjectId::of(bytes)).collect();
    let whole: Vec<_> = left.iter().cloned().map(seal::Object::of).collect();
    objects.put_many(&home.kept().namespace(), &whole, now).unwrap();
    let preview = tidy(home.kept(), objects, History::All, false, now).unwrap();
    assert_eq!((preview.unnamed.objects, preview.unnamed.bytes, preview.old.objects), (20, 100_000, 0));
    assert_eq!(home.held(), held + 20, "a preview changes nothing");
    home.tidy(History::All, now);
    assert_eq!(home.held(), held);
    home.collect(now.plus(DAY / 2));
    assert!(ids.iter().all(|id| objects.has(id).unwrap()), "the day is not over");
    home.collect(now.plus(DAY * 2));
    assert!(!ids.iter().any(|id| objects.has(id).unwrap()));
    assert_eq!(home.read("file", 0..700_000).unwrap(), noise(3, 700_000));
}

#[test]
fn of_each_file_so_many_versions_are_kept_and_what_is_shown_always() {
    let (home, node) = with_past();
    let now = clock::now();
    home.tidy(History::Versions(2), now);
    home.collect(now.plus(DAY * 2));
    let versions = home.versions(node);
    assert_eq!(home.read_content(&versions[0]).unwrap(), noise(3, 700_000));
    assert_eq!(home.read_content(&versions[1]).unwrap(), noise(2, 700_000));
    let wish = crate::spaces::list::Wish { history: History::Versions(2), ..Default::default() };
    home.spaces().set_wish(home.kept(), wish).unwrap();
    assert!(matches!(home.read_content(&versions[2]), Err(ContentFault::LetGo)));
    // The same again finds nothing, and what is written later is kept.
    let again = home.tidy(History::Versions(2), now);
    assert_eq!((again.old.objects, again.unnamed.objects), (0, 0));
}

#[test]
fn only_time_that_this_device_has_seen_pass_makes_a_version_old() {
    let (home, node) = with_past();
    let now = clock::now();
    let later = now.plus(DAY * 400);
    // Nothing was noted before: it may all have come a moment ago.
    let found = tidy(home.kept(), &home.spaces().objects, History::Days(30), false, later).unwrap();
    assert_eq!(found.old.objects, 0);
    assert_eq!(home.tidy(History::Days(30), later.plus(DAY * 20)).old.objects, 0, "within the days");
    let found = home.tidy(History::Days(30), later.plus(DAY * 31));
    assert!(found.old.objects >= 3, "two older versions, and what was deleted: {found:?}");
    home.collect(later.plus(DAY * 40));
    let versions = home.versions(node);
    assert_eq!(home.read_content(&versions[0]).unwrap(), noise(3, 700_000), "what is shown stays for ever");
    assert!(home.read_content(&versions[1]).is_err());
    // What is written now is new, whatever happened to the clock meanwhile.
    mark_time(home.kept(), Timestamp(0)).unwrap();
    home.put_bytes("file", &noise(4, 700_000));
    assert_eq!(home.tidy(History::Days(30), later.plus(DAY * 41)).old.objects, 0);
}

#[test]
fn nothing_is_let_go_while_somebody_stores_what_is_still_to_be_named() {
    let (home, _) = with_past();
    let storing = home.kept().gate.enter();
    let found = home.tidy(History::Versions(1), clock::now());
    assert!(found.busy && found.old.objects == 0);
    drop(storing);
    let found = home.tidy(History::Versions(1), clock::now());
    assert!(!found.busy && found.old.objects > 0);
}

#[test]
fn the_gate_keeps_both_apart_and_lets_the_same_in_twice() {
    let gate = Gate::default();
    let (one, two) = (gate.enter(), gate.enter());
    assert!(gate.close(Duration::from_millis(1)).is_none());
    drop((one, two));
    let closed = gate.close(Duration::ZERO).unwrap();
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| drop(gate.enter()));
        assert!(gate.close(Duration::ZERO).is_none());
        drop(closed);
        waits.join().unwrap();
    });
}

#[test]
fn what_is_written_again_within_the_day_comes_back() {
    let (home, _) = with_past();
    let now = clock::now();
    home.tidy(History::Versions(1), now);
    // The old content again: its chunks are found, and held.
    home.put_bytes("other", &noise(1, 700_000));
    home.put_bytes("third", &noise(2, 700_000));
    hold_new(home.kept(), &home.spaces().objects, false, |ids| panic!("{} are absent", ids.len())).unwrap();
    home.tidy(History::Versions(1), now.plus(DAY));
    home.collect(now.plus(DAY * 3));
    assert_eq!(home.read("other", 0..700_000).unwrap(), noise(1, 700_000));
    assert_eq!(home.read("third", 0..700_000).unwrap(), noise(2, 700_000));
}

fn remove_files(home: &Home, which: impl Fn(&str) -> bool) {
    for entry in fs::read_dir(home.dir.path().join("spaces")).unwrap() {
        let path = entry.unwrap().path();
        if which(&path.to_string_lossy()) {
            fs::remove_file(path).unwrap();
        }
    }
}

fn made_anew(home: &mut Home) -> usize {
    let made = home.spaces().rebuild().unwrap();
    let count = made.len();
    made.into_iter().for_each(|(_, made)| home.kept = Some(made.unwrap()));
    count
}

#[test]
fn a_space_is_made_anew_from_what_lies_beside_its_objects() {
    let (mut home, node) = with_past();
    let (commits, id, past) = (home.commits(), home.kept().space.id(), home.versions(node));
    for marks in [false, true] {
        (home.kept, home.spaces) = (None, None);
        remove_files(&home, |name| marks || !name.ends_with(".mark"));
        home.restart();
        assert!(home.kept.is_none());
        assert_eq!(made_anew(&mut home), 1);
        assert_eq!(home.kept().space.id(), id);
        assert_eq!(home.versions(node), past);
        assert!(home.commits() >= commits && home.names("") == ["file"]);
        assert_eq!(home.read("file", 0..700_000).unwrap(), noise(3, 700_000));
        assert!(home.kept().space.check().unwrap().is_whole());
        // It may sign more if it knows all that it has signed.
        let standing = home.kept().space.standing().unwrap();
        assert_eq!(standing, if marks { Standing::Unknown } else { Standing::Good });
        let root = logic::ledger::RealmId::ROOT;
        let written = home.kept().space.write(root, clock::now(), |_, _, _| Ok((Vec::new(), ())));
        assert_eq!(written.is_ok(), !marks);
    }
    home.restart();
    assert_eq!(made_anew(&mut home), 0);
    assert_eq!(home.commits(), commits + 1);
}

#[test]
fn an_older_copy_of_the_file_catches_up_from_the_log_before_anything_is_signed() {
    let (mut home, _) = with_past();
    (home.kept, home.spaces) = (None, None);
    let spaces = home.dir.path().join("spaces");
    let copies: Vec<_> = fs::read_dir(&spaces)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.to_string_lossy().ends_with(".mark"))
        .map(|path| (path.clone(), fs::read(&path).unwrap()))
        .collect();
    home.restart();
    home.put_bytes("later", &noise(7, 100_000));
    let commits = home.commits();
    (home.kept, home.spaces) = (None, None);
    remove_files(&home, |name| !name.ends_with(".mark"));
    copies.iter().for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
    home.restart();
    assert_eq!(home.commits(), commits);
    // The watermark may be a copy as well.
    assert_eq!(home.kept().space.standing().unwrap(), Standing::Unknown);
    let written = home.kept().space.write(logic::ledger::RealmId::ROOT, clock::now(), |_, _, _| Ok((Vec::new(), ())));
    assert!(written.is_err());
    assert_eq!(home.read("later", 0..100_000).unwrap(), noise(7, 100_000));
}

#[test]
fn a_log_that_lost_its_end_lets_nothing_be_signed_twice() {
    let (mut home, _) = with_past();
    let commits = home.commits();
    (home.kept, home.spaces) = (None, None);
    remove_files(&home, |name| !name.ends_with(".mark"));
    for entry in fs::read_dir(home.dir.path().join("objects")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "log") {
            let bytes = fs::read(&path).unwrap();
            fs::write(&path, &bytes[..bytes.len() - 64]).unwrap();
        }
    }
    home.restart();
    assert_eq!(made_anew(&mut home), 1);
    assert_eq!(home.commits(), commits - 1);
    assert!(matches!(home.kept().space.standing().unwrap(), Standing::RolledBack { .. }));
    let written = home.kept().space.write(logic::ledger::RealmId::ROOT, clock::now(), |_, _, _| Ok((Vec::new(), ())));
    assert!(written.is_err(), "the number was given away before");
    assert_eq!(home.names(""), ["file", "gone"], "the delete is what was lost");
}

#[test]
fn a_damaged_change_keeps_nobody_from_the_others_and_is_mended_from_the_log() {
    let (mut home, _) = with_past();
    let names = home.names("");
    (home.kept, home.spaces) = (None, None);
    let mut path = fs::read_dir(home.dir.path().join("spaces")).unwrap().map(|entry| entry.unwrap().path());
    let path = path.find(|path| path.extension().is_some_and(|ending| ending == "space")).unwrap();
    let file = rusqlite::Connection::open(&path).unwrap();
    // The second file, judged and to be applied anew: a tree that was damaged as well.
    let number: i64 = file.query_row("SELECT max(number) - 1 FROM commits", [], |row| row.get(0)).unwrap();
    file.execute("UPDATE bodies SET body = zeroblob(200) WHERE number = ?", [number]).unwrap();
    drop(file);
    home.restart();
    home.kept().space.change(|work| Ok(work.store.clear_tree()?)).unwrap();
    assert_eq!(home.read("file", 0..700_000).unwrap(), noise(3, 700_000));
    home.put_bytes("more", &noise(5, 10_000));
    assert!(home.names("").contains(&"more".to_owned()));
    let mended = home.kept().space.mend().unwrap();
    assert_eq!(mended, 1);
    home.kept().space.store.recount().unwrap();
    assert!(home.kept().space.check().unwrap().is_whole());
    assert_eq!(home.names("").len(), names.len() + 1);
}
