//! Paths: the two independent checks (`logic` where it is received, `store` where it meets the disk) agree.
#![no_main]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use libfuzzer_sys::fuzz_target;
use logic::transfer::path::{Naming, PATH_MAX, RelPath};

fuzz_target!(|bytes: &[u8]| {
    let received = RelPath::parse(bytes);
    let on_disk = store::RelPath::new(bytes.split(|byte| *byte == b'/').map(OsStr::from_bytes));
    assert!(bytes.len() > PATH_MAX || received.is_ok() == on_disk.is_ok(), "{received:?} {on_disk:?}");
    let (Ok(path), Ok(on_disk)) = (received, on_disk) else { return };
    assert_eq!(path.as_bytes(), on_disk.as_path().as_os_str().as_bytes());
    assert!(on_disk.as_path().is_relative());
    assert_eq!(path.depth(), on_disk.depth());
    assert!(on_disk.as_path().components().all(|part| matches!(part, std::path::Component::Normal(_))));
    let below = path.parent();
    assert_eq!(
        below.as_ref().map(RelPath::as_bytes),
        on_disk.parent().as_ref().map(|p| p.as_path().as_os_str().as_bytes())
    );
    assert_eq!(RelPath::child(below.as_ref(), path.name()).as_ref(), Ok(&path));
    let written = testkit::forge::bytes(&path);
    assert_eq!(logic::wire::decode::<RelPath>(&written), Ok(path.clone()));
    assert_eq!(Naming::Unix.path_objection(&path), None);
    if Naming::Windows.path_objection(&path).is_none() {
        assert!(path.names().all(|name| Naming::Windows.objection(name).is_none()));
    }
});
