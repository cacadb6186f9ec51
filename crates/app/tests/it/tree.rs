//! Trees to send, with everything that file systems can come up with.

use std::ffi::OsStr;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

/// Bytes that look random and are the same every time.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[4]
        })
        .collect()
}

/// A tree with hard names, links, holes, empty things and sizes around block borders.
pub fn odd_tree(root: &Path) {
    std::fs::create_dir_all(root.join("empty/deeper/still")).unwrap();
    std::fs::create_dir_all(root.join("many")).unwrap();
    for (name, len) in
        [("zero", 0), ("one", 1), ("block", 1 << 20), ("block and one", (1 << 20) + 1), ("big.bin", (5 << 20) + 12_345)]
    {
        std::fs::write(root.join(name), noise(len as u64 + 7, len)).unwrap();
    }
    for i in 0..300 {
        std::fs::write(root.join("many").join(format!("{i:03}")), noise(i, (i as usize * 211) % 9000)).unwrap();
    }
    for name in [
        &b"semi;colon"[..],
        b"new\nline",
        b"\xff\xfe not utf-8",
        b"  blanks  ",
        b"-rf",
        "umlaut \u{e4}\u{301} \u{1f407}".as_bytes(),
        b"quote'\"",
        b"CON",
        b"trailing.",
    ] {
        std::fs::write(root.join(OsStr::from_bytes(name)), name).unwrap();
    }
    std::fs::write(root.join("script.sh"), "#!/bin/sh\nexit 0\n").unwrap();
    std::fs::set_permissions(root.join("script.sh"), std::fs::Permissions::from_mode(0o755)).unwrap();
    symlink("big.bin", root.join("link to big")).unwrap();
    symlink("../../outside", root.join("link out")).unwrap();
    symlink("/etc/passwd", root.join("absolute link")).unwrap();
    symlink("nowhere", root.join("dangling")).unwrap();
    let mut sparse = std::fs::File::create(root.join("sparse")).unwrap();
    sparse.seek(SeekFrom::Start(40 << 20)).unwrap();
    sparse.write_all(b"end of a hole").unwrap();
    drop(sparse);
    age(root, 1_000_000_000);
}

/// Gives everything below a time in the past, so that kept times can be told from new ones.
fn age(path: &Path, mut second: i64) {
    let meta = std::fs::symlink_metadata(path).unwrap();
    if meta.is_dir() {
        for item in std::fs::read_dir(path).unwrap() {
            second += 1;
            age(&item.unwrap().path(), second * 3 % 1_500_000_000);
        }
    }
    if !meta.is_symlink() {
        filetime::set_file_mtime(path, filetime::FileTime::from_unix_time(second, 123_456_789)).unwrap();
    }
}
