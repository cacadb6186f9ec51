//! Bringing back, undoing, conflicts, and what is told of the past.

use api::ErrorCode;
use api::types::*;
use testkit::Dice;

use super::world::{Home, lines, meet};

fn pair() -> (Home, Home) {
    let ada = Home::founder("ada");
    let bob = ada.member("bob");
    ada.create("ours");
    ada.share("", "bob", "editor").unwrap();
    meet(&ada, &bob);
    (ada, bob)
}

fn restore(home: &Home, path: &str, at: Option<&str>) -> Result<PlanDone, api::ApiError> {
    let (space, at) = ("ours".into(), at.map(str::to_owned));
    home.calls.restore(&TreeRestore { space, path: path.into(), at, preview: false })
}

fn log(home: &Home, path: &str) -> Vec<TreeVersion> {
    home.calls.log(&TreeLogQuery { space: "ours".into(), path: path.into(), limit: None }).unwrap()
}

fn undo(home: &Home, member: &str, since: &str) -> Result<PlanDone, api::ApiError> {
    let (space, member, since) = ("ours".into(), Some(member.to_owned()), since.to_owned());
    home.calls.undo(&TreeUndo { space, member, since, ..TreeUndo::default() })
}

fn conflicts(home: &Home) -> Vec<Conflict> {
    home.calls.conflicts(&ConflictQuery { space: Some("ours".into()) }).unwrap()
}

fn resolve(home: &Home, keep: &str) -> Result<PlanDone, api::ApiError> {
    let id = conflicts(home)[0].id.clone();
    let preview = ConflictResolve { id: id.clone(), keep: keep.into(), preview: true };
    let before = home.shows();
    let said = home.calls.resolve(&preview)?;
    assert_eq!(home.shows(), before, "a preview changes nothing");
    let done = home.calls.resolve(&ConflictResolve { id, keep: keep.into(), preview: false })?;
    assert_eq!(said.steps, done.steps);
    Ok(done)
}

/// Some changes, whatever they are.
fn change(home: &Home, dice: &mut Dice) {
    let names = ["a", "b", "a/x", "b/x", "c"];
    let any = |dice: &mut Dice| names[dice.below(5) as usize];
    let (one, other) = (any(dice), any(dice));
    // Many of them cannot be, which must change nothing.
    let before = home.shows();
    let done = match dice.below(5) {
        0 => home.mkdir(&[one]),
        1 => home.mv(&[one], other),
        2 => home.cp(&[one], other),
        3 => home.rm(&[one]),
        _ => {
            let dir = home.shows().iter().any(|(path, kind)| path == one && kind == "Dir");
            let parent =
                one.rsplit_once('/').is_none_or(|(dir, _)| home.shows().contains(&(dir.to_owned(), "Dir".into())));
            if !dir && parent {
                home.write(one, &format!("{}", dice.roll()));
            }
            return;
        }
    };
    if done.is_err() {
        assert_eq!(home.shows(), before, "what is refused changes nothing");
    }
}

#[test]
fn every_point_that_a_listing_showed_can_be_restored() {
    for seed in 0..6 {
        let mut dice = Dice::new(seed);
        let ada = Home::founder("ada");
        ada.create("ours");
        ada.mkdir(&["a"]).unwrap();
        let mut points = Vec::new();
        for _ in 0..12 {
            change(&ada, &mut dice);
            points.push((log(&ada, "")[0].id.clone(), ada.shows()));
        }
        for (point, shown) in &points {
            assert_eq!(
                &ada.shows_at(Some(point)).iter().map(|line| &line.0).collect::<Vec<_>>(),
                &shown.iter().map(|line| &line.0).collect::<Vec<_>>(),
                "seed {seed}"
            );
            restore(&ada, "", Some(point)).unwrap();
            assert_eq!(&ada.shows(), shown, "seed {seed}");
        }
    }
}

#[test]
fn what_was_deleted_comes_back_as_it_was_last() {
    let ada = Home::founder("ada");
    ada.create("ours");
    ada.mkdir(&["dir/sub"]).unwrap();
    ada.write("dir/sub/file", "one");
    ada.write("dir/other", "two");
    let before = ada.shows();
    ada.rm(&["dir"]).unwrap();
    restore(&ada, "dir/sub/file", None).unwrap();
    assert_eq!(ada.shows(), lines(&[("dir", "Dir"), ("dir/sub", "Dir"), ("dir/sub/file", "one")]));
    ada.rm(&["dir"]).unwrap();
    let dir = restore(&ada, "dir", None);
    assert!(dir.is_ok());
    restore(&ada, "dir/other", None).unwrap();
    assert_eq!(ada.shows(), before);
    assert_eq!(restore(&ada, "dir", None).unwrap_err().code, ErrorCode::BadRequest, "it is there: to which point?");
    assert_eq!(restore(&ada, "never", None).unwrap_err().code, ErrorCode::NotFound);
}

#[test]
fn undoing_leaves_what_others_did() {
    let (ada, bob) = pair();
    ada.write("file", "ada's");
    meet(&ada, &bob);
    let since = log(&ada, "")[0].id.clone();
    bob.write("file", "bob's");
    bob.mkdir(&["mine"]).unwrap();
    meet(&ada, &bob);
    ada.write("other", "new");
    assert_eq!(undo(&ada, "nobody", &since).unwrap_err().code, ErrorCode::NotFound);
    let done = undo(&ada, "bob", &since).unwrap();
    assert_eq!((done.count, done.commits.len()), (2, 1));
    assert_eq!(ada.shows(), lines(&[("file", "ada's"), ("other", "new")]));
    // Undone is undone again by its own point.
    undo(&ada, "ada", &since).unwrap();
    meet(&ada, &bob);
    assert_eq!(ada.shows(), bob.shows());
}

#[test]
fn both_sides_of_a_conflict_are_listed_and_one_is_chosen() {
    for (keep, left) in [
        ("mine", vec![("doc.txt", "ada's")]),
        ("theirs", vec![("doc.txt", "bob's")]),
        ("both", vec![("doc (X, D).txt", "X"), ("doc.txt", "Y")]),
    ] {
        let (ada, bob) = pair();
        ada.write("doc.txt", "base\n");
        meet(&ada, &bob);
        ada.write("doc.txt", "ada's");
        bob.write("doc.txt", "bob's");
        meet(&ada, &bob);
        let conflict = conflicts(&ada).remove(0);
        assert_eq!((conflict.kind.as_str(), conflict.sides.len()), ("versions", 2));
        assert_eq!(conflict.id, conflicts(&bob)[0].id, "the same on every device");
        let diff = conflict.diff.unwrap();
        assert!(diff.contains("ada's") && diff.contains("bob's"));
        assert_eq!(resolve(&ada, "somebody's").unwrap_err().code, ErrorCode::BadRequest);
        resolve(&ada, keep).unwrap();
        meet(&ada, &bob);
        assert!(conflicts(&ada).is_empty() && conflicts(&bob).is_empty());
        assert_eq!(ada.shows(), bob.shows());
        if keep == "both" {
            let names: Vec<_> = ada.shows().into_iter().map(|(name, _)| name).collect();
            assert_eq!(names.len(), left.len());
            assert!(names[0].starts_with("doc (") && names[0].ends_with(").txt"), "{names:?}");
        } else {
            assert_eq!(ada.shows(), lines(&left));
        }
    }
}

#[test]
fn an_edit_that_a_delete_did_not_know_of_is_a_conflict() {
    for (keep, left) in [("mine", vec![]), ("theirs", vec![("doc", "bob's")]), ("shown", vec![("doc", "bob's")])] {
        let (ada, bob) = pair();
        ada.write("doc", "base");
        meet(&ada, &bob);
        ada.rm(&["doc"]).unwrap();
        bob.write("doc", "bob's");
        meet(&ada, &bob);
        assert_eq!(conflicts(&ada)[0].kind, "edited_and_deleted");
        resolve(&ada, keep).unwrap();
        meet(&ada, &bob);
        assert_eq!((ada.shows(), conflicts(&bob).len()), (lines(&left), 0));
    }
}

#[test]
fn two_things_of_one_name_are_a_conflict() {
    let (ada, bob) = pair();
    ada.write("Doc", "ada's");
    bob.write("doc", "bob's");
    meet(&ada, &bob);
    let conflict = conflicts(&ada).remove(0);
    assert_eq!((conflict.kind.as_str(), conflict.sides.len()), ("names", 2));
    let before = ada.shows();
    resolve(&ada, "both").unwrap();
    meet(&ada, &bob);
    assert_eq!((ada.shows(), conflicts(&bob).len()), (before, 0), "they are called as they were shown");
}

#[test]
fn each_of_two_things_of_one_name_can_be_kept() {
    for number in 0..2 {
        let (ada, bob) = pair();
        ada.write("Doc", "ada's");
        bob.write("doc", "bob's");
        // Directories have no version.
        ada.mkdir(&["Dir"]).unwrap();
        bob.mkdir(&["dir"]).unwrap();
        meet(&ada, &bob);
        for _ in 0..2 {
            let conflict = conflicts(&ada).remove(0);
            let side = &conflict.sides[number];
            let keep =
                side.version.clone().map_or(side.path.clone().unwrap().shown(), |version| version[..8].to_owned());
            resolve(&ada, &keep).unwrap();
        }
        meet(&ada, &bob);
        assert_eq!((conflicts(&bob).len(), bob.shows().len()), (0, 2));
    }
}

#[test]
fn the_log_says_who_did_what() {
    let (ada, bob) = pair();
    ada.mkdir(&["dir"]).unwrap();
    ada.write("dir/file", "one");
    meet(&ada, &bob);
    bob.write("dir/file", "three");
    bob.mv(&["dir/file"], "dir/new").unwrap();
    meet(&ada, &bob);
    ada.rm(&["dir/new"]).unwrap();
    let said: Vec<_> =
        log(&ada, "dir/new").into_iter().map(|line| (line.what, line.change.by, line.size, line.detail)).collect();
    let line = |what: &str, by: &str, size, detail: Option<&str>| {
        (what.to_owned(), by.to_owned(), size, detail.map(str::to_owned))
    };
    let all = [
        line("deleted", "ada", None, None),
        line("moved", "bob", None, Some("from dir/file")),
        line("written", "bob", Some(5), None),
        line("made", "ada", Some(3), None),
    ];
    assert_eq!(said, all);
    let below: Vec<_> = log(&ada, "dir").into_iter().map(|line| line.what).collect();
    assert_eq!(below, ["deleted", "moved", "written", "made", "made"]);
    let whole: Vec<_> = log(&ada, "").into_iter().map(|line| line.what).collect();
    for what in ["shared", "entered", "rekeyed", "named"] {
        assert!(whole.iter().any(|line| line == what), "{what}: {whole:?}");
    }
}

#[test]
fn two_points_are_compared() {
    let ada = Home::founder("ada");
    ada.create("ours");
    ada.mkdir(&["dir"]).unwrap();
    ada.write("dir/file", "one\ntwo\n");
    let from = log(&ada, "")[0].id.clone();
    ada.write("dir/file", "one\n2\n");
    ada.mkdir(&["dir/new"]).unwrap();
    let diff = |path: &str, from: Option<&str>| {
        let from = from.map(str::to_owned);
        ada.calls.diff(&TreeDiff { space: "ours".into(), path: path.into(), from, to: None }).unwrap()
    };
    let text = diff("dir/file", None).text.unwrap();
    assert!(text.contains("-two\n+2\n"), "{text}");
    let changes = diff("dir", Some(&from)).changes;
    let path = |line: &DiffLine| line.new.as_ref().or(line.old.as_ref()).unwrap().path.shown();
    assert_eq!(changes.iter().map(path).collect::<Vec<_>>(), ["dir/file", "dir/new"]);
    assert!(changes[0].old.is_some() && changes[1].old.is_none());
}
