//! Whoever can write to the disk, and has no key.

use logic::ledger::{CommitId, Shelf};
use logic::space::{Key, Rows, Table};
use rusqlite::params;
use seal::{DeviceKey, RecordKey};
use warren_store::database::DatabaseError;
use warren_store::space::{Note, Part, Reading, SpaceError, SpaceStore, Worth};

use super::{Place, chain, write};

fn key(group: u8, rest: u8) -> Key {
    Key { group: vec![group], part: vec![], rest: vec![rest] }
}

/// A file with something of everything: rows of two groups, five commits, two values.
fn filled(place: &Place) -> (SpaceStore, Vec<CommitId>) {
    let store = place.create();
    let mut commits = chain(&DeviceKey::from_seed(&[1; 32]), 5);
    commits[0].after = Some(logic::ledger::Past::default());
    write(&store, |mut tx| {
        for (table, group, rest) in
            [(Table::Node, 1, 0), (Table::Node, 2, 0), (Table::Version, 1, 1), (Table::Version, 1, 2)]
        {
            tx.put(table, &key(group, rest), &[group, rest])?;
        }
        for shelved in &commits {
            tx.store(shelved)?;
        }
        tx.set_value("keys", b"a", b"first")?;
        tx.set_value("keys", b"b", b"second")
    });
    (store, commits.iter().map(|shelved| shelved.commit.id()).collect())
}

/// A part, how many of its values are wrong, and whether the totals say so.
type Found = (Part, u64, bool);
/// A row of the tree as SQLite has it: group, kind, rest, body.
type Raw = (Vec<u8>, u8, Vec<u8>, Vec<u8>);

/// What a check says after somebody ran that SQL.
fn damaged_by(sql: &str) -> Vec<Found> {
    let place = Place::new();
    let (store, _) = filled(&place);
    assert!(store.check().unwrap().is_whole());
    place.raw().execute_batch(sql).unwrap();
    let report = store.check().unwrap();
    drop(store);
    assert_eq!(place.open().check().unwrap(), report, "opening changes nothing");
    report.damage.into_iter().map(|(part, damage)| (part, damage.values, damage.totals)).collect()
}

#[test]
fn a_check_names_what_was_touched() {
    let nodes = Part::Tree(Table::Node);
    let versions = Part::Tree(Table::Version);
    let cases: [(&str, &[Found]); 16] = [
        ("UPDATE tree SET body = zeroblob(length(body)) WHERE kind = 0", &[(nodes, 2, true)]),
        ("UPDATE tree SET body = substr(body, 1, length(body) - 1) WHERE kind = 1", &[(versions, 2, false)]),
        ("UPDATE tree SET body = 'text' WHERE kind = 0", &[(nodes, 2, true)]),
        ("UPDATE tree SET kind = 77 WHERE kind = 0", &[(nodes, 0, true), (Part::File, 2, false)]),
        ("UPDATE tree SET kind = 2 WHERE kind = 0", &[(nodes, 0, true), (Part::Tree(Table::Head), 2, true)]),
        ("DELETE FROM tree WHERE kind = 0", &[(nodes, 0, true)]),
        (
            "UPDATE commits SET head = (SELECT head FROM commits WHERE number = 2) WHERE number = 3",
            &[(Part::Heads, 1, true)],
        ),
        (
            "UPDATE commits SET note = (SELECT note FROM commits WHERE number = 2) WHERE number = 3",
            &[(Part::Notes, 1, true)],
        ),
        ("UPDATE commits SET past = NULL", &[(Part::Pasts, 0, true)]),
        ("UPDATE commits SET past = x'00' WHERE number = 1", &[(Part::Pasts, 1, true)]),
        ("UPDATE commits SET unsettled = NULL WHERE number = 4", &[(Part::Notes, 1, false)]),
        ("UPDATE commits SET wanted = zeroblob(16) WHERE number = 4", &[(Part::Notes, 1, false)]),
        ("UPDATE commits SET lamport = 77 WHERE number = 4", &[(Part::Heads, 1, false)]),
        ("UPDATE bodies SET body = zeroblob(300) WHERE number = 4", &[(Part::Bodies, 1, true)]),
        ("DELETE FROM bodies WHERE number = 4", &[(Part::Bodies, 1, true)]),
        ("UPDATE named SET body = zeroblob(100)", &[(Part::Values, 2, true)]),
    ];
    for (sql, expected) in cases {
        assert_eq!(damaged_by(sql), expected, "{sql}");
    }
}

#[test]
fn a_commit_that_vanished_is_missed() {
    let vanished = "DELETE FROM bodies WHERE number = 3; DELETE FROM commits WHERE number = 3";
    let parts: Vec<Part> = damaged_by(vanished).into_iter().map(|(part, _, _)| part).collect();
    assert_eq!(parts, [Part::Heads, Part::Bodies, Part::Notes]);
}

#[test]
fn an_older_row_is_noticed_although_it_opens() {
    let place = Place::new();
    let (store, ids) = filled(&place);
    let raw = place.raw();
    let row = "SELECT body FROM tree WHERE kind = 0 ORDER BY grp LIMIT 1";
    let old: Vec<u8> = raw.query_row(row, [], |row| row.get(0)).unwrap();
    let old_note: Vec<u8> = raw.query_row("SELECT note FROM commits WHERE number = 2", [], |row| row.get(0)).unwrap();
    write(&store, |mut tx| {
        tx.put(Table::Node, &key(1, 0), b"newer")?;
        tx.put(Table::Node, &key(2, 0), b"newer")?;
        let void = Worth::Void(logic::ledger::Why::Forked);
        tx.set_note(&ids[1], &Note { worth: void, reading: Reading::Waits, applied: false })
    });
    assert!(store.check().unwrap().is_whole());
    let first = "UPDATE tree SET body = ? WHERE kind = 0 AND grp = (SELECT min(grp) FROM tree WHERE kind = 0)";
    assert_eq!(raw.execute(first, [old]).unwrap(), 1);
    raw.execute("UPDATE commits SET note = ?, unsettled = 1, wanted = NULL WHERE number = 2", [old_note]).unwrap();
    let damage = store.check().unwrap().damage;
    let parts: Vec<_> = damage.iter().map(|(part, damage)| (*part, damage.values, damage.totals)).collect();
    assert_eq!(parts, [(Part::Tree(Table::Node), 0, true), (Part::Notes, 0, true)]);
}

#[test]
fn values_open_nowhere_else() {
    let place = Place::new();
    let (store, _) = filled(&place);
    let raw = place.raw();
    // Two rows of one table and group, two groups, two tables, two values: exchanged in pairs.
    let all: Vec<Raw> = raw
        .prepare("SELECT grp, kind, rest, body FROM tree")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(all.len(), 4);
    for (group, kind, rest, own) in &all {
        for (_, _, _, other) in all.iter().filter(|row| row.3 != *own) {
            let put = |body: &[u8]| {
                let sql = "UPDATE tree SET body = ? WHERE grp = ? AND kind = ? AND rest = ?";
                assert_eq!(raw.execute(sql, params![body, group, kind, rest]).unwrap(), 1);
            };
            put(other);
            let table = if *kind == 0 { Table::Node } else { Table::Version };
            let read = store.read(|reader| {
                for group in [1, 2] {
                    reader.scan(table, &[group], None)?;
                }
                Ok::<_, SpaceError>(())
            });
            assert!(matches!(read, Err(SpaceError::Damaged(Part::Tree(found))) if found == table));
            put(own);
        }
    }
    // The same row of another file under the same key.
    let twin = Place { key: place.key.clone(), ..Place::new() };
    let (other, _) = filled(&twin);
    drop(other);
    let attach = format!("ATTACH '{}' AS twin", twin.path().display());
    raw.execute_batch(&attach).unwrap();
    raw.execute_batch("DELETE FROM tree; INSERT INTO tree SELECT * FROM twin.tree").unwrap();
    assert!(store.read(|reader| reader.get(Table::Node, &key(1, 0))).unwrap().is_none(), "even the ids differ");
    assert!(!store.check().unwrap().is_whole());
}

#[test]
fn a_damaged_commit_is_an_error_and_never_an_unknown_one() {
    let place = Place::new();
    let (store, ids) = filled(&place);
    place.raw().execute_batch("UPDATE commits SET head = zeroblob(200) WHERE number = 2").unwrap();
    let asked = store.transaction(|tx| {
        assert_eq!(tx.stored(&ids[1]), None);
        tx.set_value("keys", b"a", b"follows from a wrong answer")
    });
    assert!(matches!(asked, Err(SpaceError::Damaged(Part::Heads))), "{asked:?}");
    let value = store.read(|reader| reader.value("keys", b"a")).unwrap();
    assert_eq!(value.as_deref(), Some(&b"first"[..]), "what followed from it is rolled back");
    place.raw().execute_batch("UPDATE bodies SET body = zeroblob(200) WHERE number = 3").unwrap();
    let asked = store.read(|reader| Ok::<_, SpaceError>(reader.commit(&ids[2])));
    assert!(matches!(asked, Err(SpaceError::Damaged(Part::Bodies))));
}

#[test]
fn commits_that_come_again_mend_what_was_damaged() {
    let place = Place::new();
    let (store, ids) = filled(&place);
    let all = chain(&DeviceKey::from_seed(&[1; 32]), 5);
    write(&store, |tx| {
        tx.set_note(&ids[2], &Note { worth: Worth::Effective, reading: Reading::Opened, applied: true })
    });
    place
        .raw()
        .execute_batch("UPDATE commits SET head = x'01' WHERE number = 3; DELETE FROM bodies WHERE number = 4")
        .unwrap();
    let report = store.check().unwrap();
    assert_eq!(report.damage[&Part::Bodies].commits, [ids[3]]);
    write(&store, |tx| all[2..4].iter().try_for_each(|shelved| tx.store(shelved)));
    // What was taken away from outside stays in the totals until they are counted anew.
    assert!(store.check().unwrap().damage.values().all(|damage| damage.values == 0));
    store.recount().unwrap();
    assert!(store.check().unwrap().is_whole());
    let note = store.read(|reader| reader.note(&ids[2])).unwrap().unwrap();
    assert!(note.applied, "the note stays");
}

#[test]
fn a_damaged_tree_is_cleared_and_everything_is_to_be_applied_again() {
    let place = Place::new();
    let (store, ids) = filled(&place);
    write(&store, |tx| {
        let note = Note { worth: Worth::Effective, reading: Reading::Opened, applied: true };
        ids.iter().try_for_each(|id| tx.set_note(id, &note))
    });
    assert!(store.read(|reader| reader.unsettled(9)).unwrap().is_empty());
    place
        .raw()
        .execute_batch("UPDATE tree SET body = x'00'; UPDATE tree SET kind = 99 WHERE kind = 1 AND rest = (SELECT max(rest) FROM tree); UPDATE commits SET note = x'77' WHERE number = 5")
        .unwrap();
    write(&store, |tx| tx.clear_tree());
    let left: Vec<_> = store.read(|reader| reader.unsettled(9)).unwrap().into_iter().map(|logged| logged.id).collect();
    assert_eq!(left, ids);
    store.recount().unwrap();
    let report = store.check().unwrap();
    assert_eq!((report.rows, report.is_whole()), (0, true), "{report:?}");
}

#[test]
fn wrong_key_newer_version_lost_content_and_no_file_are_told_apart() {
    let place = Place::new();
    let open = || SpaceStore::open(&place.path(), &place.key);
    assert!(matches!(open(), Err(SpaceError::Database(DatabaseError::Missing))));
    assert!(!place.path().exists());
    drop(filled(&place));
    let wrong = SpaceStore::open(&place.path(), &RecordKey::generate());
    assert!(matches!(wrong, Err(SpaceError::Database(DatabaseError::WrongKey(_)))));
    let again = SpaceStore::create(&place.path(), &place.key, CommitId::ZERO);
    assert!(matches!(again, Err(SpaceError::Database(DatabaseError::Io { .. }))), "made over another");

    place.raw().pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(open(), Err(SpaceError::Database(DatabaseError::TooNew { found: 99, known: 1 }))));
    place.raw().pragma_update(None, "user_version", 1).unwrap();
    place.raw().execute_batch("UPDATE about SET totals = x'00'").unwrap();
    assert!(matches!(open(), Err(SpaceError::Damaged(Part::File))));
    place.raw().execute_batch("DELETE FROM about").unwrap();
    assert!(matches!(open(), Err(SpaceError::Damaged(Part::File))));
    for bytes in [Vec::new(), vec![b'x'; 9000]] {
        std::fs::write(place.path(), &bytes).unwrap();
        let _ = std::fs::remove_file(place.dir.path().join("space.db-wal"));
        assert!(matches!(open(), Err(SpaceError::Damaged(Part::File))));
        assert_eq!(std::fs::read(place.path()).unwrap(), bytes, "what is there is evidence");
    }
}

#[test]
fn a_torn_file_is_noticed() {
    let place = Place::new();
    let store = place.create();
    write(&store, |mut tx| (0..200u8).try_for_each(|n| tx.put(Table::Node, &key(n, n), &[n; 500])));
    drop(store);
    let whole = std::fs::read(place.path()).unwrap();
    for from in (4096..whole.len() - 9000).step_by(8192) {
        let mut bytes = whole.clone();
        bytes[from..from + 9000].fill(0xee);
        std::fs::write(place.path(), bytes).unwrap();
        let _ = std::fs::remove_file(place.dir.path().join("space.db-wal"));
        match SpaceStore::open(&place.path(), &place.key) {
            Err(error) => assert!(matches!(error, SpaceError::Damaged(_)), "{error:?}"),
            Ok(store) => assert!(!store.check().unwrap().is_whole(), "from {from}"),
        }
    }
}

#[test]
fn planted_words_and_exact_lengths_appear_in_no_file() {
    let place = Place::new();
    let store = place.create();
    let device = DeviceKey::from_seed(&[1; 32]);
    let mut all = chain(&device, 30);
    all.iter_mut().for_each(|shelved| shelved.after = Some(logic::ledger::Past::default()));
    for (n, shelved) in (0..).zip(&all) {
        write(&store, |mut tx| {
            let key = Key { group: b"planted-group".to_vec(), part: b"planted-part".to_vec(), rest: vec![n] };
            tx.put(Table::Child, &key, format!("planted-name-{n}").as_bytes())?;
            tx.store(shelved)?;
            tx.set_value("planted-kind", b"planted-name", b"planted-value")
        });
    }
    let needles = [b"planted".to_vec(), device.id().as_bytes().to_vec(), all[3].commit.id().as_bytes().to_vec()];
    let mut seen = 0;
    for entry in std::fs::read_dir(place.dir.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        for needle in &needles {
            assert!(!bytes.windows(needle.len()).any(|window| window == needle));
        }
        seen += usize::from(!bytes.is_empty());
    }
    assert!(seen >= 3, "database, log and watermark were looked at");

    write(&store, |mut tx| (0..31u8).try_for_each(|n| tx.put(Table::Node, &key(n, 0), &vec![n; n.into()])));
    let lengths = "SELECT count(DISTINCT length(body)) FROM tree WHERE kind = 0";
    let lengths: i64 = place.raw().query_row(lengths, [], |row| row.get(0)).unwrap();
    assert_eq!(lengths, 1);
}

#[test]
fn only_the_owner_may_read_its_files() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let (_store, _) = filled(&place);
    for entry in std::fs::read_dir(place.dir.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
    }
}
