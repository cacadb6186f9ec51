//! Random folders come back as they were.

use proptest::prelude::*;

use super::*;

/// What is made at a place.
#[derive(Debug, Clone)]
enum Make {
    Dir,
    File { seed: u8, len: usize, hole: bool },
    Link(Vec<u8>),
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let nasty = prop::sample::select(vec![
        b"a".to_vec(),
        b"A".to_vec(),
        b"a.txt".to_vec(),
        "\u{e9}".into(),
        "e\u{301}".into(),
        b"\xff".to_vec(),
        b"-rf".to_vec(),
        b"a (conflict 1 2026-11-21 00)".to_vec(),
    ]);
    prop_oneof![3 => nasty, 1 => prop::collection::vec((1_u8..).prop_filter("no slash", |byte| *byte != b'/'), 1..12)]
        .prop_filter("no dots", |name| name != b"." && name != b"..")
}

fn make() -> impl Strategy<Value = Make> {
    let len = prop_oneof![4 => 0..700_usize, 2 => 700..300_000_usize, 1 => 300_000..10_000_000_usize];
    prop_oneof![
        2 => Just(Make::Dir),
        4 => (any::<u8>(), len, any::<bool>()).prop_map(|(seed, len, hole)| Make::File { seed, len, hole }),
        1 => prop::collection::vec(1_u8.., 1..20).prop_map(Make::Link),
    ]
}

/// Makes what can be made.
fn build(root: &Path, plan: &[(Vec<Vec<u8>>, Make)]) {
    for (path, make) in plan {
        let mut at = root.to_owned();
        at.extend(path.iter().map(|name| OsString::from_vec(name.clone())));
        if at.symlink_metadata().is_ok() || fs::create_dir_all(at.parent().unwrap()).is_err() {
            continue;
        }
        match make {
            Make::Dir => fs::create_dir(&at).unwrap(),
            Make::Link(to) => std::os::unix::fs::symlink(OsString::from_vec(to.clone()), &at).unwrap(),
            Make::File { seed, len, hole } => {
                use std::os::unix::fs::FileExt;
                let file = fs::File::create(&at).unwrap();
                let from = if *hole { len / 2 } else { 0 };
                file.write_all_at(&noise(*seed, len - from), from as u64).unwrap();
                file.set_permissions(fs::Permissions::from_mode(0o400 | u32::from(*seed))).unwrap();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_random_folder_comes_back_as_it_was(
        plan in prop::collection::vec((prop::collection::vec(name(), 1..4), make()), 0..14),
        more in prop::collection::vec((prop::collection::vec(name(), 1..4), make()), 0..5),
    ) {
        let home = Home::new();
        let dir = home.work().join("dir");
        fs::create_dir(&dir).unwrap();
        build(&dir, &plan);
        let before = snapshot(&home.work());
        home.put(&dir, "");
        prop_assert_eq!(snapshot(&home.get("dir")), before);
        let commits = home.commits();
        home.put(&dir, "");
        prop_assert_eq!(home.commits(), commits);
        // Other things come in, others go.
        for entry in fs::read_dir(&dir).unwrap().take(2) {
            let path = entry.unwrap().path();
            match path.symlink_metadata().unwrap().is_dir() {
                true => fs::remove_dir_all(path).unwrap(),
                false => fs::remove_file(path).unwrap(),
            }
        }
        build(&dir, &more);
        let before = snapshot(&home.work());
        let put = Put { delete: true, ..asked(&dir, "") };
        let (done, job) = home.put_with(&put);
        done.unwrap();
        if job.files_failed == 0 {
            prop_assert_eq!(snapshot(&home.get("dir")), before);
        }
    }
}
