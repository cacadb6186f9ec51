//! What hostile names, planted links, crashes, full and closed disks do to a landing.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::meta::{FileMeta, FileTime};
use crate::relpath::RelPath;
use proptest::prelude::*;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

const ID: LandingId = [7; 16];

fn rel(path: &str) -> RelPath {
    RelPath::new(path.split('/')).unwrap()
}

fn meta(executable: bool) -> FileMeta {
    FileMeta { modified: FileTime { seconds: 1_000_000_000, nanos: 123_456_789 }, executable }
}

struct Received {
    dir: tempfile::TempDir,
    landing: Landing,
}

fn received() -> Received {
    let dir = tempfile::tempdir().unwrap();
    let landing = Landing::open(&dir.path().join("received")).unwrap();
    Received { dir, landing }
}

impl Received {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("received").join(name)
    }

    fn tree(&self) -> PathBuf {
        self.path(PARTIAL_DIR).join(id_name(&ID)).join("tree")
    }

    fn begin(&self) -> Building {
        self.landing.begin(&ID).unwrap()
    }

    /// Sends one file called `name` and returns under which name it landed.
    fn land(&self, name: &OsStr) -> OsString {
        let building = self.begin();
        building.put_file(&RelPath::new([name]).unwrap(), b"new", &meta(false)).unwrap();
        let paths = building.finish().unwrap().settle().unwrap();
        assert_eq!(std::fs::read(&paths[0]).unwrap(), b"new");
        paths[0].file_name().unwrap().to_owned()
    }
}

#[test]
fn a_tree_lands_whole_with_times_bits_links_and_holes() {
    let received = received();
    let building = received.begin();
    assert!(!building.is_resumed());
    building.create_dir(&rel("top")).unwrap();
    building.create_dir(&rel("top/empty")).unwrap();
    building.put_file(&rel("top/run"), b"#!/bin/sh\n", &meta(true)).unwrap();
    building.put_file(&rel("top/zero"), b"", &meta(false)).unwrap();
    let sparse = building.create_file(&rel("top/sparse"), false).unwrap();
    sparse.write_at(8 << 20, b"data").unwrap();
    sparse.set_len(16 << 20).unwrap();
    sparse.close(&meta(false)).unwrap();
    let late = building.create_file(&rel("top/late"), false).unwrap();
    late.write_at(0, b"x").unwrap();
    late.close(&meta(true)).unwrap();
    building.symlink(&rel("top/link"), OsStr::new("../../../etc/passwd")).unwrap();
    building.set_modified(&rel("top/empty"), meta(false).modified).unwrap();
    building.set_modified(&rel("top/link"), meta(false).modified).unwrap();
    assert_eq!(std::fs::read_dir(received.path("")).unwrap().count(), 1, "nothing shows before the end");
    let landed = building.finish().unwrap();
    assert_eq!(landed.paths(), [received.path("top")]);
    landed.settle().unwrap();

    let stat = |name: &str| received.path("top").join(name).symlink_metadata().unwrap();
    for name in ["empty", "run", "zero", "sparse", "late", "link"] {
        assert_eq!((stat(name).mtime(), stat(name).mtime_nsec()), (1_000_000_000, 123_456_789), "{name}");
    }
    assert_eq!(stat("run").mode() & 0o100, 0o100);
    assert_eq!(stat("late").mode() & 0o100, 0o100);
    assert_eq!(stat("zero").mode() & 0o111, 0);
    assert_eq!(stat("sparse").len(), 16 << 20);
    assert!(stat("sparse").blocks() * 512 < 1 << 20, "holes stay holes");
    assert_eq!(std::fs::read_link(received.path("top/link")).unwrap(), Path::new("../../../etc/passwd"));
    assert!(!received.path(PARTIAL_DIR).exists());
    assert_eq!(received.landing.unfinished().unwrap(), [] as [LandingId; 0]);
}

#[test]
fn a_link_planted_in_the_tree_leads_nowhere() {
    let received = received();
    let outside = received.dir.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("precious"), "precious").unwrap();
    let building = received.begin();
    symlink(&outside, received.tree().join("dir")).unwrap();
    symlink(outside.join("precious"), received.tree().join("file")).unwrap();
    building.symlink(&rel("own"), outside.as_os_str()).unwrap();
    std::fs::hard_link(outside.join("precious"), received.tree().join("hard")).unwrap();

    let refused =
        |result: Result<(), LandingError>| assert!(matches!(result, Err(LandingError::InTheWay { .. })), "{result:?}");
    for dir in ["dir", "own"] {
        refused(building.put_file(&rel(&format!("{dir}/new")), b"x", &meta(false)));
        refused(building.put_file(&rel(&format!("{dir}/precious")), b"x", &meta(false)));
        refused(building.create_dir(&rel(&format!("{dir}/new"))));
        refused(building.symlink(&rel(&format!("{dir}/new")), OsStr::new("x")));
        refused(building.create_dir(&rel(dir)));
        refused(building.resume_file(&rel(&format!("{dir}/precious"))).map(drop));
        refused(building.set_modified(&rel(&format!("{dir}/precious")), meta(false).modified));
    }
    refused(building.remove(&rel("dir/precious")));
    refused(building.put_file(&rel("file"), b"x", &meta(false)));
    refused(building.resume_file(&rel("file")).map(drop));
    refused(building.resume_file(&rel("hard")).map(drop));
    building.remove(&rel("dir")).unwrap();
    building.abandon().unwrap();
    assert_eq!(std::fs::read(outside.join("precious")).unwrap(), b"precious");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
}

#[test]
fn a_planted_partial_folder_that_is_a_link_is_refused() {
    let received = received();
    let outside = received.dir.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    symlink(&outside, received.path(PARTIAL_DIR)).unwrap();
    assert!(matches!(received.landing.begin(&ID), Err(LandingError::InTheWay { .. })));
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn a_pipe_in_place_of_a_file_does_not_block() {
    let received = received();
    let building = received.begin();
    let dir = disk::open_dir(&received.tree()).unwrap();
    rustix::fs::mkfifoat(&dir, "pipe", Mode::RUSR | Mode::WUSR).unwrap();
    assert!(matches!(building.resume_file(&rel("pipe")), Err(LandingError::InTheWay { .. })));
}

#[test]
fn names_that_are_taken_get_numbers_and_nothing_is_overwritten() {
    let received = received();
    for expected in ["a.tar.gz", "a (2).tar.gz", "a (3).tar.gz"] {
        assert_eq!(received.land(OsStr::new("a.tar.gz")), expected);
    }
    symlink("nowhere", received.path("dangling")).unwrap();
    assert_eq!(received.land(OsStr::new("dangling")), "dangling (2)");
    std::fs::create_dir(received.path("dir.d")).unwrap();
    assert_eq!(received.land(OsStr::new("dir.d")), "dir (2).d");
    let odd = OsStr::from_bytes(b"\xff\xfe;\n'\".bin");
    assert_eq!(received.land(odd), odd);
    assert_eq!(received.land(odd).as_bytes(), b"\xff\xfe;\n'\" (2).bin");
    let long = "n".repeat(255);
    assert_eq!(received.land(OsStr::new(&long)), *long);
    assert_eq!(received.land(OsStr::new(&long)).as_bytes(), format!("{} (2)", &long[4..]).as_bytes());
}

#[test]
fn an_item_that_is_itself_called_number_two_keeps_its_name_apart() {
    let received = received();
    std::fs::write(received.path("x"), "old").unwrap();
    let building = received.begin();
    for name in ["x", "x (2)"] {
        building.put_file(&rel(name), name.as_bytes(), &meta(false)).unwrap();
    }
    let paths = building.finish().unwrap().settle().unwrap();
    assert_eq!(paths, [received.path("x (2)"), received.path("x (2) (2)")]);
    assert_eq!(std::fs::read(&paths[0]).unwrap(), b"x");
    assert_eq!(std::fs::read(received.path("x")).unwrap(), b"old");
}

#[test]
fn an_interrupted_transfer_is_found_again_and_read_back() {
    let received = received();
    let building = received.begin();
    building.create_dir(&rel("d")).unwrap();
    let file = building.create_file(&rel("d/f"), false).unwrap();
    file.write_at(0, b"0123456789").unwrap();
    assert!(matches!(received.landing.begin(&ID), Err(LandingError::InUse)));
    drop((file, building));
    assert_eq!(received.landing.unfinished().unwrap(), [ID]);

    let building = received.begin();
    assert!(building.is_resumed() && !building.is_complete());
    building.create_dir(&rel("d")).unwrap();
    assert!(building.resume_file(&rel("d/none")).unwrap().is_none());
    let file = building.resume_file(&rel("d/f")).unwrap().unwrap();
    let mut buffer = [0; 20];
    assert_eq!(file.read_at(3, &mut buffer).unwrap(), 7);
    assert_eq!(&buffer[..7], b"3456789");
    file.zero_at(2, 4).unwrap();
    file.zero_at(9, 1000).unwrap();
    file.set_len(12).unwrap();
    assert_eq!(file.len().unwrap(), 12);
    file.close(&meta(false)).unwrap();
    building.finish().unwrap().settle().unwrap();
    assert_eq!(std::fs::read(received.path("d/f")).unwrap(), b"01\0\0\0\x00678\0\0\0");
}

/// Kills the landing after every number of moves, also with a plan that was changed because a name was taken.
#[test]
fn a_crash_while_moving_loses_nothing_and_lands_nothing_twice() {
    let names = ["a", "b", "c", "d"];
    for moved in 0..=names.len() {
        let received = received();
        std::fs::write(received.path("b"), "old").unwrap();
        let building = received.begin();
        for name in names {
            building.put_file(&rel(name), name.as_bytes(), &meta(false)).unwrap();
        }
        let landed = building.finish().unwrap();
        let expected = landed.paths().to_vec();
        drop(landed);
        // Undo the last moves: this is what lies there when the process dies after `moved` of them.
        for (name, path) in names.iter().zip(&expected).skip(moved) {
            std::fs::rename(path, received.tree().join(name)).unwrap();
        }
        // Meanwhile somebody takes a name that was still free.
        let stranger = received.path("d");
        let taken = moved < names.len();
        if taken {
            std::fs::write(&stranger, "stranger").unwrap();
        }

        let building = received.begin();
        assert!(building.is_complete());
        let paths = building.finish().unwrap().settle().unwrap();
        assert_eq!(paths[..3], expected[..3]);
        assert_eq!(paths[3], received.path(if taken { "d (2)" } else { "d" }));
        for (name, path) in names.iter().zip(&paths) {
            assert_eq!(std::fs::read_to_string(path).unwrap(), *name);
        }
        assert_eq!(std::fs::read_dir(received.path("")).unwrap().count(), 5 + usize::from(taken));
        assert_eq!(std::fs::read(received.path("b")).unwrap(), b"old");
    }
}

#[test]
fn until_it_is_settled_a_landing_tells_the_same_again() {
    let received = received();
    let building = received.begin();
    building.put_file(&rel("f"), b"1", &meta(false)).unwrap();
    let first = building.finish().unwrap().paths().to_vec();
    for _ in 0..2 {
        assert_eq!(received.begin().finish().unwrap().paths(), first);
    }
    assert_eq!(received.begin().finish().unwrap().settle().unwrap(), first);
    assert!(!received.begin().is_complete());
}

#[test]
fn a_damaged_plan_leads_nowhere() {
    let received = received();
    drop(received.begin());
    let plan = received.tree().with_file_name("plan");
    let hostile = postcard::to_extend(&vec![(b"f".to_vec(), b"../../escaped".to_vec(), 1u32)], vec![1u8]).unwrap();
    for bytes in [&b""[..], b"\x02\x00", b"\x01\xff\xff\xff\xff\x0f", &hostile] {
        std::fs::write(&plan, bytes).unwrap();
        assert!(matches!(received.landing.begin(&ID), Err(LandingError::DamagedPlan)), "{bytes:?}");
    }
}

#[test]
fn more_items_than_are_flushed_one_by_one() {
    let received = received();
    let building = received.begin();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let building = &building;
            scope.spawn(move || {
                building.create_dir(&rel(&format!("t{thread}"))).unwrap();
                for n in 0..200 {
                    let dir = format!("t{thread}/{n}");
                    building.create_dir(&rel(&dir)).unwrap();
                    building.put_file(&rel(&format!("{dir}/f")), dir.as_bytes(), &meta(false)).unwrap();
                }
            });
        }
    });
    building.finish().unwrap().settle().unwrap();
    assert_eq!(std::fs::read(received.path("t3/199/f")).unwrap(), b"t3/199");
}

#[test]
fn one_file_is_written_from_several_threads() {
    let received = received();
    let building = received.begin();
    let file = building.create_file(&rel("f"), false).unwrap();
    file.reserve(16 << 20).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4u8 {
            let file = &file;
            scope.spawn(move || {
                for block in 0..4 {
                    let at = (u64::from(thread) + 4 * block) << 20;
                    file.write_at(at, &vec![thread + 1; 1 << 20]).unwrap();
                }
            });
        }
    });
    file.close(&meta(false)).unwrap();
    building.finish().unwrap().settle().unwrap();
    let bytes = std::fs::read(received.path("f")).unwrap();
    assert_eq!(bytes.len(), 16 << 20);
    assert!(bytes.chunks(1 << 20).enumerate().all(|(n, block)| block.iter().all(|b| usize::from(*b) == n % 4 + 1)));
}

/// What happens to a file between two looks at it: offset, length, and where in memory the bytes lie.
fn writes() -> impl Strategy<Value = Vec<(usize, usize, usize, bool)>> {
    let place = |most: usize| prop_oneof![(0..=most / ALIGN).prop_map(|pages| pages * ALIGN), 0..=most];
    prop::collection::vec((place(8 * ALIGN), place(4 * ALIGN), prop_oneof![Just(0), 0..ALIGN], any::<bool>()), 1..12)
}

proptest! {
    /// Past the page cache or through it, in whatever order: the file has what was written last.
    #[test]
    fn aligned_and_other_writes_agree(writes in writes()) {
        let received = received();
        let building = received.begin();
        let file = building.create_file(&rel("f"), false).unwrap();
        let mut model = Vec::new();
        for (number, (offset, len, shift, zero)) in (1..).zip(writes) {
            let mut memory = vec![0; 6 * ALIGN];
            let aligned = memory.as_ptr().align_offset(ALIGN);
            let bytes = &mut memory[aligned + shift..][..len];
            bytes.fill(if zero { 0 } else { number });
            model.resize(model.len().max(offset + len), 0);
            model[offset..offset + len].copy_from_slice(bytes);
            if zero {
                file.set_len(model.len() as u64).unwrap();
                file.zero_at(offset as u64, len as u64).unwrap();
            } else {
                file.write_at(offset as u64, bytes).unwrap();
            }
            let mut read = vec![1; model.len() + 1];
            let got = file.read_at(0, &mut read).unwrap();
            prop_assert!(read[..got] == model[..got] && model[got..].iter().all(|byte| *byte == 0));
        }
        file.set_len(model.len() as u64).unwrap();
        file.close(&meta(false)).unwrap();
        building.finish().unwrap().settle().unwrap();
        prop_assert!(std::fs::read(received.path("f")).unwrap() == model);
    }
}

#[test]
fn a_name_that_appears_twice_or_as_two_kinds_is_refused() {
    let received = received();
    let building = received.begin();
    building.put_file(&rel("f"), b"1", &meta(false)).unwrap();
    assert!(matches!(building.put_file(&rel("f"), b"2", &meta(false)), Err(LandingError::InTheWay { .. })));
    assert!(matches!(building.create_dir(&rel("f")), Err(LandingError::InTheWay { .. })));
    assert!(matches!(building.put_file(&rel("f/g"), b"2", &meta(false)), Err(LandingError::InTheWay { .. })));
    building.remove(&rel("f")).unwrap();
    building.create_dir(&rel("f")).unwrap();
    building.put_file(&rel("f/g"), b"2", &meta(false)).unwrap();
    building.remove(&rel("f")).unwrap();
    building.remove(&rel("f/g")).unwrap();
    building.create_dir(&rel("f")).unwrap();
    building.put_file(&rel("f/g"), b"3", &meta(false)).unwrap();
}

#[test]
fn a_received_folder_that_cannot_be_written_is_told_by_name() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "").unwrap();
    assert!(matches!(Landing::open(&dir.path().join("file/received")), Err(LandingError::InTheWay { .. })));
    if rustix::process::geteuid().is_root() {
        // Root may write everywhere but in places like this.
        let denied = Landing::open(Path::new("/proc/self/warren")).unwrap_err();
        assert!(matches!(denied, LandingError::Denied { .. } | LandingError::Io { .. }), "{denied}");
        return;
    }
    let received = dir.path().join("received");
    let landing = Landing::open(&received).unwrap();
    std::fs::set_permissions(&received, PermissionsExt::from_mode(0o500)).unwrap();
    assert!(matches!(landing.begin(&ID), Err(LandingError::Denied { .. })));
}

#[test]
fn a_key_to_come_back_with_stays_until_it_is_forgotten() {
    let received = received();
    let take = |fresh: u8| received.landing.return_key("acid", &[fresh; 32]);
    let path = received.path(PARTIAL_DIR).join("key-acid");
    let key = take(1).unwrap();
    assert!(!key.was_kept());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    assert!(matches!(take(2), Err(LandingError::InUse)), "two with one key");
    assert_eq!(*received.landing.return_key("brave", &[3; 32]).unwrap().seed(), [3; 32], "another code, another key");
    assert_eq!(key.note().unwrap(), b"");
    key.set_note(b"the longer way home").unwrap();
    key.set_note(b"home").unwrap();

    // Killed: the lock goes with the process, the key stays.
    drop(key);
    let key = take(4).unwrap();
    assert!(key.was_kept());
    assert_eq!((*key.seed(), key.note().unwrap()), ([1; 32], b"home".to_vec()));
    key.set_note(&[7; 10_000]).unwrap();
    assert!(key.note().unwrap().len() < 1000);
    key.forget().unwrap();
    received.landing.return_key("brave", &[5; 32]).unwrap().forget().unwrap();
    assert!(!received.path(PARTIAL_DIR).exists());
    assert_eq!(*take(6).unwrap().seed(), [6; 32]);
}

#[test]
fn a_key_does_not_hide_a_transfer_and_the_last_one_tidies_up() {
    let received = received();
    let key = received.landing.return_key("acid", &[1; 32]).unwrap();
    received.begin().abandon().unwrap();
    let building = received.begin();
    building.put_file(&rel("f"), b"x", &meta(false)).unwrap();
    assert_eq!(received.landing.unfinished().unwrap(), [ID]);
    assert!(received.landing.has(&ID).unwrap() && !received.landing.has(&[8; 16]).unwrap());
    building.finish().unwrap().settle().unwrap();
    assert!(received.path(PARTIAL_DIR).exists());
    key.forget().unwrap();
    assert!(!received.path(PARTIAL_DIR).exists());
}

#[test]
fn a_planted_or_damaged_key_is_refused() {
    let received = received();
    let path = received.path(PARTIAL_DIR).join("key-acid");
    drop(received.landing.return_key("acid", &[1; 32]).unwrap());
    for bytes in [&b""[..], b"\x01short", &[2; 33]] {
        std::fs::write(&path, bytes).unwrap();
        assert!(matches!(received.landing.return_key("acid", &[1; 32]), Err(LandingError::InTheWay { .. })));
    }
    std::fs::remove_file(&path).unwrap();
    let outside = received.dir.path().join("outside");
    std::fs::write(&outside, [1; 33]).unwrap();
    symlink(&outside, &path).unwrap();
    assert!(matches!(received.landing.return_key("acid", &[1; 32]), Err(LandingError::InTheWay { .. })));
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(matches!(received.landing.return_key("acid", &[1; 32]), Err(LandingError::InTheWay { .. })));
}

/// Each ends as another one begins, so that the folder comes and goes all the time.
#[test]
fn many_that_come_and_go_at_once_do_not_disturb_each_other() {
    let received = received();
    std::thread::scope(|scope| {
        for thread in 0..8u8 {
            let landing = &received.landing;
            scope.spawn(move || {
                for _ in 0..50 {
                    let key = landing.return_key(&thread.to_string(), &[thread; 32]).unwrap();
                    assert!(!key.was_kept());
                    landing.begin(&[thread; 16]).unwrap().abandon().unwrap();
                    key.forget().unwrap();
                }
            });
        }
    });
    assert!(!received.path(PARTIAL_DIR).exists());
}
