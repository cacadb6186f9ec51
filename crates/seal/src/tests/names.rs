//! Names that people read: what may be one, and which count as the same.

use crate::DeviceId;
use crate::pki::{BadName, look_alike, name_key, valid_name};
use proptest::prelude::{any, prop_assert, proptest};

#[test]
fn ordinary_names_of_many_scripts_are_valid() {
    for name in ["Ada", "Ada's laptop", "Jürgen", "Ольга", "山田", "สมชาย", "büro.2", "x_y-z", "O'Brien (home)", "✨"]
    {
        assert_eq!(valid_name(name), Ok(()), "{name}");
    }
}

#[test]
fn names_that_deceive_or_break_lists_are_refused() {
    let long = "n".repeat(65);
    let id = DeviceId::from_bytes([77; 32]).to_string();
    let cases = [
        ("", BadName::Empty),
        (&long, BadName::TooLong),
        (" Ada", BadName::Blank),
        ("Ada ", BadName::Blank),
        ("Ada  L", BadName::Blank),
        ("Ada\u{a0}L", BadName::Blank),
        ("Ada\u{3000}L", BadName::Blank),
        ("Ada\n", BadName::Invisible),
        ("Ada\0", BadName::Invisible),
        ("Ada\u{7f}", BadName::Invisible),
        ("Ad\u{200b}a", BadName::Invisible),
        ("Ad\u{200d}a", BadName::Invisible),
        ("\u{202e}adA", BadName::Invisible),
        ("\u{2066}adA", BadName::Invisible),
        ("Ada\u{feff}", BadName::Invisible),
        ("Ad\u{ad}a", BadName::Invisible),
        ("Ada\u{2028}", BadName::Invisible),
        ("Ada\u{e0041}", BadName::Invisible),
        ("Ada\u{fe0f}", BadName::Invisible),
        ("\u{3164}", BadName::Invisible),
        ("a/b", BadName::Reserved),
        ("a\\b", BadName::Reserved),
        ("a,b", BadName::Reserved),
        ("Ada~2", BadName::Reserved),
        ("-rf", BadName::Reserved),
        ("Ju\u{308}rgen", BadName::NotNormal),
        (".", BadName::Meaning),
        ("..", BadName::Meaning),
        ("All", BadName::Meaning),
        ("\u{ff2d}e", BadName::Meaning),
        (&id, BadName::IdLike),
        (&id.to_uppercase(), BadName::IdLike),
        (&id[..40], BadName::IdLike),
    ];
    for (name, fault) in cases {
        assert_eq!(valid_name(name), Err(fault), "{name:?}");
    }
}

#[test]
fn names_that_look_alike_by_case_or_width_count_as_the_same() {
    for (a, b) in [("Ada", "ADA"), ("Ada", "Ａｄａ"), ("STRASSE", "strasse"), ("ﬁn", "FIN"), ("Ά", "ά")] {
        assert_eq!(name_key(a), name_key(b));
    }
    assert_ne!(name_key("Ada"), name_key("Eda"));
}

#[test]
fn names_that_can_be_taken_for_each_other_are_alike() {
    let alike = [
        ("Bob", "B\u{43e}b"),
        ("Ian", "lan"),
        ("paul", "pau1"),
        ("Alice", "A1ice"),
        ("Ada", "\u{410}da"),
        ("ADA", "\u{430}da"),
    ];
    for (a, b) in alike {
        assert!(look_alike(a, b) && look_alike(b, a), "{a} {b}");
    }
    for (a, b) in [("Ada", "Eda"), ("bob", "rob"), ("J\u{fc}rgen", "Jurgen"), ("Anna", "Hanna"), ("ian", "lan")] {
        assert!(!look_alike(a, b), "{a} {b}");
    }
}

proptest! {
    #[test]
    fn names_with_one_key_are_alike(name in any::<String>()) {
        prop_assert!(look_alike(&name_key(&name), &name));
    }

    #[test]
    fn key_of_a_key_is_itself(name in any::<String>()) {
        let key = name_key(&name);
        prop_assert!(name_key(&key) == key, "{:?} -> {:?} -> {:?}", name, key, name_key(&key));
    }

    #[test]
    fn valid_names_show_as_one_line_without_surprise(name in any::<String>()) {
        if valid_name(&name).is_ok() {
            let surprise = ['\n', '\r', '\t', '\u{1b}', '\u{202e}', '/', ','];
            prop_assert!(!name.contains(surprise) && name.trim() == name && !name.is_empty());
        }
    }
}
