//! Parts of files, and what reading does with what is damaged.

use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

use logic::space::manifest::Manifest;

use super::*;

#[test]
fn any_part_of_a_file_can_be_read() {
    let home = Home::new();
    let file = home.work().join("f");
    let mut bytes = noise(1, 5 << 20);
    bytes.splice(1 << 20..1 << 20, vec![0; 3 << 20]);
    fs::write(&file, &bytes).unwrap();
    home.put(&file, "");
    let len = bytes.len() as u64;
    let ranges = [0..len, 0..1, len - 1..len, len..len + 5, 7..7, 1_000_000..5_000_001, 3..u64::MAX, 9_999_999..3];
    for range in ranges {
        let end = range.end.min(len).max(range.start.min(len)) as usize;
        let expected = &bytes[range.start.min(len) as usize..end];
        assert!(home.read("f", range.clone()).unwrap() == expected, "{range:?}");
    }
}

#[test]
fn a_file_of_very_many_parts_has_an_index() {
    let home = Home::new();
    let path = home.work().join("f");
    let mut file = fs::File::create(&path).unwrap();
    for number in 0..600_u64 {
        file.seek(SeekFrom::Start(number * (200 << 10))).unwrap();
        file.write_all(&noise((number % 251) as u8, 100)).unwrap();
    }
    drop(file);
    home.put(&path, "");
    let Content::File { size, manifest, .. } = home.written("f").content else { panic!("no file") };
    assert!(matches!(Manifest::read(&manifest, size).unwrap(), Manifest::Index(_)));
    let bytes = fs::read(&path).unwrap();
    assert!(home.read("f", 0..size).unwrap() == bytes);
    assert!(fs::read(home.get("f").join("f")).unwrap() == bytes);
}

/// Changes a byte in every kilobyte of every pack behind its first bytes.
fn damage(home: &Home) {
    for entry in fs::read_dir(home.dir.path().join("objects")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|suffix| suffix == "pack") {
            let file = fs::File::options().read(true).write(true).open(&path).unwrap();
            for at in (1024..file.metadata().unwrap().len()).step_by(1024) {
                file.write_all_at(&[0x5a], at).unwrap();
            }
        }
    }
}

#[test]
fn what_is_damaged_is_said_and_nothing_is_half_in_place() {
    let home = Home::new();
    let dir = home.work().join("d");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("large"), noise(1, 3 << 20)).unwrap();
    fs::write(dir.join("tiny"), "inside of the commit").unwrap();
    home.put(&dir, "");
    damage(&home);
    let into = home.dir.path().join("into");
    let (done, job) = home.get_with("d/large", &into, Existing::Replace);
    assert!(matches!(done, Err(ContentFault::Damaged(_))), "{done:?}");
    assert_eq!(job.files_failed, 1);
    assert_eq!(fs::read_dir(&into).unwrap().count(), 0);
    assert!(matches!(home.read("d/large", 0..10), Err(ContentFault::Damaged(_))));
    // What is whole comes.
    let (done, job) = home.get_with("d", &into, Existing::Number);
    done.unwrap();
    assert_eq!((job.files_done, job.files_failed, job.warnings.len()), (1, 1, 1));
    assert_eq!(fs::read(into.join("d/tiny")).unwrap(), b"inside of the commit");
    assert_eq!(fs::read_dir(into.join("d")).unwrap().count(), 1);
    // Putting again what was found damaged mends it.
    for at in (0..3 << 20).step_by(100_000) {
        let _ = home.read("d/large", at..at + 1);
    }
    fs::write(dir.join("again"), noise(1, 3 << 20)).unwrap();
    home.put(&dir, "");
    home.get("d/again");
}

#[test]
fn what_is_not_here_is_said() {
    let home = Home::new();
    let file = home.work().join("f");
    fs::write(&file, noise(1, 3 << 20)).unwrap();
    home.put(&file, "");
    for entry in fs::read_dir(home.dir.path().join("objects")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|suffix| suffix == "pack") {
            fs::remove_file(path).unwrap();
        }
    }
    let mut home = home;
    home.restart();
    assert!(matches!(home.read("f", 0..10), Err(ContentFault::NotHere(_))));
    let error: api::ApiError = home.read("f", 0..10).unwrap_err().into();
    assert_eq!(error.code, api::ErrorCode::Unreachable);
}

#[test]
fn getting_never_leaves_the_target_and_replaces_only_what_it_is_told_to() {
    let home = Home::new();
    let dir = home.work().join("d");
    fs::create_dir_all(dir.join("sub")).unwrap();
    fs::write(dir.join("sub/f"), "new").unwrap();
    fs::write(dir.join("g"), "new").unwrap();
    std::os::unix::fs::symlink("/etc", dir.join("link")).unwrap();
    home.put(&dir, "");
    let (into, outside) = (home.dir.path().join("into"), home.dir.path().join("outside"));
    for existing in [Existing::Replace, Existing::Skip] {
        let _ = fs::remove_dir_all(&into);
        fs::create_dir_all(into.join("d")).unwrap();
        fs::create_dir_all(&outside).unwrap();
        fs::write(into.join("d/g"), "old").unwrap();
        fs::write(into.join("d/mine"), "mine").unwrap();
        std::os::unix::fs::symlink(&outside, into.join("d/sub")).unwrap();
        let (done, job) = home.get_with("d", &into, existing);
        done.unwrap();
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "a link was followed");
        assert_eq!(fs::read_link(into.join("d/sub")).unwrap(), outside);
        assert_eq!(fs::read(into.join("d/mine")).unwrap(), b"mine");
        let expected: &[u8] = if existing == Existing::Replace { b"new" } else { b"old" };
        assert_eq!(fs::read(into.join("d/g")).unwrap(), expected);
        assert!(job.warnings.iter().any(|warning| warning.contains("sub")), "{job:?}");
        assert!(!into.join(".warren-partial").exists());
    }
    let (done, job) = home.get_with("d", &into, Existing::Number);
    done.unwrap();
    assert_eq!(job.made, [TreePath::from(into.join("d (2)").to_str().unwrap())]);
    assert_eq!(snapshot(&into.join("d (2)")), snapshot(&dir));
}
