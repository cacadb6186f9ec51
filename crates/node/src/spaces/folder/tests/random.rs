//! Random work in two folders, with rounds and exchanges at random.

use proptest::prelude::*;

use logic::space::NodeKind;

use super::*;

#[derive(Debug, Clone)]
enum Deed {
    Write(u8, u8),
    Save(u8, u8),
    Link(u8, u8),
    MakeDir(u8),
    Rename(u8, u8),
    Remove(u8),
    Mode(u8),
    Share(u8),
    Round,
    Hear,
    Talk,
    Carry,
}

const NAMES: [&str; 4] = ["a", "b", "B", "c"];

/// One of a few paths.
fn path(number: u8) -> String {
    let name = |number: u8| NAMES[usize::from(number % 4)];
    match number % 3 {
        0 => name(number / 3).to_owned(),
        1 => format!("{}/{}", name(number / 3), name(number / 12)),
        _ => format!("{}/{}/{}", name(number / 3), name(number / 12), name(number / 48)),
    }
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        6 => (any::<u8>(), any::<u8>()).prop_map(|(path, seed)| Deed::Write(path, seed)),
        2 => (any::<u8>(), any::<u8>()).prop_map(|(path, seed)| Deed::Save(path, seed)),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(path, to)| Deed::Link(path, to)),
        3 => any::<u8>().prop_map(Deed::MakeDir),
        6 => (any::<u8>(), any::<u8>()).prop_map(|(from, to)| Deed::Rename(from, to)),
        3 => any::<u8>().prop_map(Deed::Remove),
        1 => any::<u8>().prop_map(Deed::Mode),
        2 => any::<u8>().prop_map(Deed::Share),
        5 => Just(Deed::Round),
        2 => Just(Deed::Hear),
        3 => Just(Deed::Talk),
        2 => Just(Deed::Carry),
    ]
}

fn act(device: &mut Device, other: &Device, deed: &Deed, seen: &mut BTreeSet<[u8; 32]>) {
    let at = |number: u8| device.at(&path(number));
    let text =
        |seed: u8| if seed.is_multiple_of(4) { noise(seed, 2000) } else { format!("text {}", seed % 16).into_bytes() };
    // What cannot be done is not.
    match deed {
        Deed::Write(path, seed) => {
            let _ = fs::create_dir_all(at(*path).parent().unwrap());
            if !at(*path).is_symlink() {
                let _ = fs::write(at(*path), text(*seed));
            }
        }
        Deed::Save(path, seed) => {
            fs::write(device.at("saved"), text(*seed)).unwrap();
            if fs::rename(device.at("saved"), at(*path)).is_err() {
                fs::remove_file(device.at("saved")).unwrap();
            }
        }
        Deed::Link(path, to) => drop(symlink(to.to_string(), at(*path))),
        Deed::MakeDir(path) => drop(fs::create_dir_all(at(*path))),
        Deed::Rename(from, to) => {
            let _ = fs::rename(at(*from), at(*to));
        }
        Deed::Remove(path) => {
            let _ = fs::remove_file(at(*path));
            let _ = fs::remove_dir_all(at(*path));
        }
        Deed::Mode(path) => {
            if at(*path).is_file() && !at(*path).is_symlink() {
                fs::set_permissions(at(*path), fs::Permissions::from_mode(0o600)).unwrap();
            }
        }
        // Only owners share.
        Deed::Share(number) => {
            let kind = device.node(&path(*number)).and_then(|node| node.id.kind());
            if matches!(kind, Some(NodeKind::File | NodeKind::Link)) {
                let _ = device.home.share(&path(*number), "carl", "editor");
            }
        }
        Deed::Round => {
            seen.extend(files(device));
            device.round();
        }
        Deed::Hear => {
            if device.open.is_some() {
                device.hear();
            }
        }
        Deed::Talk => talk(device, other),
        Deed::Carry => carry(device, other),
    }
}

fn files(device: &Device) -> Vec<[u8; 32]> {
    let hash = |lies| if let Lies::File(hash, _) = lies { Some(hash) } else { None };
    device.folder().into_values().filter_map(hash).collect()
}

/// So many stories: PROPTEST_CASES, else few enough for every day.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(24)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 300, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_done_both_end_the_same_and_nothing_is_lost(
        deeds in prop::collection::vec((any::<bool>(), deed()), 0..50),
    ) {
        let (mut ada, mut bob) = pair();
        let carl = ada.home.member("carl");
        ada.home.tell(&bob.home);
        let mut seen = BTreeSet::new();
        for (first, deed) in &deeds {
            let (device, other) = if *first { (&mut ada, &bob) } else { (&mut bob, &ada) };
            act(device, other, deed, &mut seen);
        }
        seen.extend(files(&ada));
        seen.extend(files(&bob));
        settle(&mut ada, &mut bob);
        let kept = ada.contents();
        prop_assert!(seen.iter().all(|content| kept.contains(content)));
        world::meet(&ada.home, &carl);
        let own = carl.kept_of(ada.kept()).space.tree(|tree| Ok(tree.list(Node::ROOT)?)).unwrap();
        prop_assert!(own.is_empty(), "carl sees more than what is shared");
        world::meet(&ada.home, &bob.home);
        let commits = ada.commits();
        // Who lost what was in step tells nothing.
        bob.forget();
        settle(&mut bob, &mut ada);
        prop_assert_eq!(ada.commits(), commits);
    }
}
