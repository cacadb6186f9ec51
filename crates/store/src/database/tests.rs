//! What a thief, a wrong key, a full disk and a careless writer can do to the database.

#![allow(clippy::unwrap_used)]

use super::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Peer {
    name: String,
    address: String,
}

fn peer(name: &str) -> Peer {
    Peer { name: name.into(), address: "203.0.113.77:4711".into() }
}

fn fresh() -> (tempfile::TempDir, PathBuf, RecordKey) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("database");
    (dir, path, RecordKey::generate())
}

#[test]
fn values_are_found_by_key_in_their_own_table_and_survive_reopening() {
    let (_dir, path, key) = fresh();
    let database = Database::create(&path, key.clone()).unwrap();
    let (peers, others) = (database.table::<Peer>("peers"), database.table::<Peer>("others"));
    peers.put(b"b", &peer("Bea")).unwrap();
    peers.put(b"a", &peer("old")).unwrap();
    peers.put(b"a", &peer("Ada")).unwrap();
    others.put(b"a", &peer("other")).unwrap();
    drop((peers, others, database));

    let database = Database::open(&path, key).unwrap();
    let peers = database.table::<Peer>("peers");
    assert_eq!(peers.get(b"a").unwrap(), Some(peer("Ada")));
    assert_eq!(peers.get(b"c").unwrap(), None);
    assert_eq!(peers.all().unwrap().values, [(b"a".to_vec(), peer("Ada")), (b"b".to_vec(), peer("Bea"))]);
    assert!(peers.delete(b"a").unwrap());
    assert!(!peers.delete(b"a").unwrap());
    assert_eq!(peers.len().unwrap(), 1);
    assert_eq!(database.table::<Peer>("others").len().unwrap(), 1);
}

#[test]
fn a_damaged_value_hides_no_other_one_and_is_known_by_its_row() {
    let (_dir, path, key) = fresh();
    let database = Database::create(&path, key).unwrap();
    let peers = database.table::<Peer>("peers");
    for name in [b"a", b"b", b"c", b"d"] {
        peers.put(name, &peer("somebody")).unwrap();
    }
    let body: Vec<u8> = {
        let connection = database.connection();
        let read = "SELECT body FROM records WHERE id = ?";
        connection.query_row(read, [peers.row(b"b").0], |row| row.get(0)).unwrap()
    };
    let flipped = body.iter().enumerate().map(|(at, byte)| if at == 60 { byte ^ 4 } else { *byte }).collect::<Vec<_>>();
    let write = "UPDATE records SET body = ? WHERE id = ?";
    database.connection().execute(write, rusqlite::params![flipped, peers.row(b"b").0]).unwrap();
    database.connection().execute(write, rusqlite::params!["no blob", peers.row(b"d").0]).unwrap();

    let found = peers.all().unwrap();
    assert_eq!(found.values, [(b"a".to_vec(), peer("somebody")), (b"c".to_vec(), peer("somebody"))]);
    assert_eq!(found.damaged.len(), 2);
    assert!(found.damaged.contains(&peers.row(b"b")) && found.damaged.contains(&peers.row(b"d")));
    assert!(matches!(peers.get(b"b"), Err(DatabaseError::Damaged(_))));
    peers.put(b"b", &peer("new")).unwrap();
    peers.put(b"d", &peer("new")).unwrap();
    let found = peers.all().unwrap();
    assert_eq!((found.values.len(), found.damaged.len()), (4, 0));
}

#[test]
fn many_values_are_stored_together_or_not_at_all() {
    /// Cannot be serialised when it is `Bad`.
    #[derive(Debug, Deserialize)]
    enum Fussy {
        Good,
        Bad,
    }
    impl Serialize for Fussy {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            match self {
                Self::Good => serializer.serialize_unit_variant("Fussy", 0, "Good"),
                Self::Bad => Err(serde::ser::Error::custom("bad")),
            }
        }
    }
    let (_dir, path, key) = fresh();
    let table = Database::create(&path, key).unwrap().table::<Fussy>("fussy");
    let items: [(&[u8], &Fussy); 2] = [(b"1", &Fussy::Good), (b"2", &Fussy::Bad)];
    assert!(matches!(table.put_many(items), Err(DatabaseError::Unstorable(_))));
    assert!(table.is_empty().unwrap());
}

#[test]
fn events_keep_their_numbers_whatever_is_pruned() {
    let (_dir, path, key) = fresh();
    let database = Database::create(&path, key.clone()).unwrap();
    let log = database.events::<String>();
    assert_eq!(log.append_all(&[]).unwrap(), 0);
    assert_eq!(log.append_all(&["a".into(), "b".into(), "c".into()]).unwrap(), 3);
    assert_eq!(log.append(&"d".into()).unwrap(), 4);
    let whole = |events: Vec<Numbered<String>>| -> Vec<_> {
        events.into_iter().map(|(seq, event)| (seq, event.unwrap())).collect()
    };
    assert_eq!(whole(log.after(2, 10).unwrap()), [(3, "c".to_owned()), (4, "d".to_owned())]);
    assert_eq!(whole(log.after(0, 1).unwrap()), [(1, "a".to_owned())]);
    assert_eq!(whole(log.newest(2).unwrap()), [(3, "c".to_owned()), (4, "d".to_owned())]);
    assert_eq!(log.prune(10).unwrap(), 0);
    assert_eq!(log.prune(1).unwrap(), 3);
    assert_eq!(log.prune(0).unwrap(), 1);
    drop((log, database));
    let log = Database::open(&path, key).unwrap().events::<String>();
    assert_eq!(log.append(&"e".into()).unwrap(), 5, "numbers of events that are gone are not used again");
}

#[test]
fn the_wrong_key_is_told_from_damage_and_from_a_newer_version() {
    let (_dir, path, key) = fresh();
    drop(Database::create(&path, key.clone()).unwrap());
    let wrong = Database::open(&path, RecordKey::generate()).unwrap_err();
    assert!(wrong.to_string().contains("another keystore"), "{wrong}");

    let raw = Connection::open(&path).unwrap();
    raw.pragma_update(None, "user_version", 999).unwrap();
    drop(raw);
    assert!(matches!(Database::open(&path, key.clone()), Err(DatabaseError::TooNew { found: 999, .. })));

    std::fs::write(&path, "this is no database at all, but long enough to be looked at as one".repeat(20)).unwrap();
    assert!(matches!(Database::open(&path, key), Err(DatabaseError::Damaged(_))));
}

#[test]
fn a_value_of_another_type_is_damage_as_well() {
    let (_dir, path, key) = fresh();
    let database = Database::create(&path, key.clone()).unwrap();
    database.table::<Peer>("peers").put(b"a", &peer("Ada")).unwrap();
    database.connection().execute("UPDATE records SET body = 'a text'", []).unwrap();
    assert!(matches!(database.table::<Peer>("peers").get(b"a"), Err(DatabaseError::Damaged(_))));
    database.connection().execute("UPDATE key_check SET body = 7", []).unwrap();
    drop(database);
    assert!(matches!(Database::open(&path, key), Err(DatabaseError::Damaged(_))));
}

#[test]
fn damage_that_hides_rows_is_noticed() {
    let (_dir, path, key) = fresh();
    let database = Database::create(&path, key.clone()).unwrap();
    for n in 0..60u8 {
        database.table::<Peer>("peers").put(&[n], &peer("somebody")).unwrap();
        database.events::<Peer>().append(&peer("somebody")).unwrap();
    }
    drop(database);
    let whole = std::fs::read(&path).unwrap();
    let page = usize::from(u16::from_be_bytes([whole[16], whole[17]]));
    // The number of cells of a leaf stands in bytes 3 and 4 of its page: 13 is a leaf of a table, 10 of an index.
    let leaves: Vec<_> = (page..whole.len()).step_by(page).filter(|at| [10, 13].contains(&whole[*at])).collect();
    let full: Vec<_> = leaves.into_iter().filter(|at| whole[at + 4] > 1).collect();
    assert!(full.len() > 5, "{full:?}");
    for at in full {
        let mut damaged = whole.clone();
        damaged[at + 4] -= 1;
        std::fs::write(&path, damaged).unwrap();
        let opened = Database::open(&path, key.clone());
        assert!(matches!(opened, Err(DatabaseError::Damaged(_))), "page {}", at / page + 1);
    }
    std::fs::write(&path, whole).unwrap();
    Database::open(&path, key).unwrap();
}

#[test]
fn a_database_that_lost_its_content_is_not_taken_for_a_new_one() {
    let (_dir, path, key) = fresh();
    assert!(matches!(Database::open(&path, key.clone()), Err(DatabaseError::Missing)));
    assert!(!path.exists(), "asking for a database must not make one");
    let database = Database::create(&path, key.clone()).unwrap();
    assert!(matches!(Database::create(&path, key.clone()), Err(DatabaseError::Io { .. })), "made over another");
    assert!(!database.in_use().unwrap());
    database.set_in_use().unwrap();
    drop(database);
    assert!(Database::open(&path, key.clone()).unwrap().in_use().unwrap());

    let raw = Connection::open(&path).unwrap();
    raw.execute_batch("DELETE FROM key_check; DELETE FROM records; DELETE FROM events").unwrap();
    drop(raw);
    assert!(matches!(Database::open(&path, key.clone()), Err(DatabaseError::Damaged(_))));
    for empty in ["", "PRAGMA user_version = 0"] {
        std::fs::remove_file(&path).unwrap();
        Connection::open(&path).unwrap().execute_batch(&format!("PRAGMA page_size = 512; VACUUM; {empty}")).unwrap();
        assert!(matches!(Database::open(&path, key.clone()), Err(DatabaseError::Damaged(_))));
    }
    std::fs::write(&path, "").unwrap();
    assert!(matches!(Database::open(&path, key), Err(DatabaseError::Damaged(_))));
    assert_eq!(path.metadata().unwrap().len(), 0, "what is there is evidence");
}

#[test]
fn values_cannot_be_moved_between_rows_or_changed() {
    let (_dir, path, key) = fresh();
    let database = Database::create(&path, key).unwrap();
    let (peers, log) = (database.table::<Peer>("peers"), database.events::<Peer>());
    peers.put(b"friend", &peer("Ada")).unwrap();
    peers.put(b"foe", &peer("Mallory")).unwrap();
    log.append_all(&[peer("first"), peer("second")]).unwrap();

    let raw = Connection::open(&path).unwrap();
    let bodies: Vec<Vec<u8>> = raw
        .prepare("SELECT body FROM records ORDER BY id")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let exchange = "UPDATE records SET body = CASE body WHEN ?1 THEN ?2 ELSE ?1 END";
    raw.execute(exchange, [&bodies[0], &bodies[1]]).unwrap();
    log.append(&peer("third")).unwrap();
    raw.execute("UPDATE events SET seq = 9 WHERE seq = 2", []).unwrap();
    raw.execute("UPDATE events SET body = 'text' WHERE seq = 3", []).unwrap();
    assert!(matches!(peers.get(b"friend"), Err(DatabaseError::Damaged(_))));
    let found = peers.all().unwrap();
    assert_eq!((found.values.len(), found.damaged.len()), (0, 2));
    let found = log.newest(9).unwrap();
    assert!(matches!(
        found.as_slice(),
        [(1, Ok(first)), (3, Err(DatabaseError::Damaged(_))), (9, Err(DatabaseError::Damaged(_)))] if first.name == "first"
    ));
    raw.execute("UPDATE records SET body = x'01'", []).unwrap();
    assert!(matches!(peers.get(b"friend"), Err(DatabaseError::Damaged(_))));
}

#[test]
fn planted_words_appear_in_no_file_of_the_database() {
    let (dir, path, key) = fresh();
    let database = Database::create(&path, key).unwrap();
    let peers = database.table::<Peer>("planted-table");
    for round in 0..200 {
        let planted = Peer { name: format!("Planted-Name-{round}"), address: "planted.example:4711".into() };
        peers.put(format!("planted-key-{round}").as_bytes(), &planted).unwrap();
        database.events().append(&format!("/home/planted/path-{round}.txt")).unwrap();
        if round % 3 == 0 {
            peers.delete(format!("planted-key-{round}").as_bytes()).unwrap();
        }
    }
    // With the database still open, so that the write-ahead log is there as well.
    let mut seen = 0;
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap().to_ascii_lowercase();
        assert!(!bytes.windows(7).any(|w| w == b"planted"));
        seen += usize::from(!bytes.is_empty());
    }
    assert!(seen >= 2, "database and write-ahead log were looked at");
}

#[test]
fn lengths_are_hidden_in_steps() {
    let (_dir, path, key) = fresh();
    let database = Database::create(&path, key).unwrap();
    let names = database.table::<String>("names");
    for len in 1..100 {
        names.put(&[len], &"x".repeat(len.into())).unwrap();
    }
    let lengths: i64 = database
        .connection()
        .query_row("SELECT count(DISTINCT length(body)) FROM records", [], |row| row.get(0))
        .unwrap();
    assert_eq!(lengths, 1);
}

#[test]
fn many_threads_may_use_it() {
    let (_dir, path, key) = fresh();
    let database = Database::create(&path, key).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4u8 {
            let (table, log) = (database.table::<u8>("numbers"), database.events::<u8>());
            scope.spawn(move || {
                for n in 0..20 {
                    table.put(&[thread, n], &n).unwrap();
                    log.append(&n).unwrap();
                }
            });
        }
    });
    assert_eq!(database.table::<u8>("numbers").len().unwrap(), 80);
    assert_eq!(database.events::<u8>().newest(100).unwrap().len(), 80);
}

#[test]
fn only_the_owner_may_read_its_files() {
    use std::os::unix::fs::PermissionsExt;
    let (dir, path, key) = fresh();
    let database = Database::create(&path, key).unwrap();
    database.table::<u8>("numbers").put(b"x", &1).unwrap();
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
    }
}
