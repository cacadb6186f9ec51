//! Two strangers with a code: what an eavesdropper, a man in the middle and a guesser get.

use crate::pake::{Confirmed, Pake, PakeKeys, WrongCode};
use crate::words::{BadCode, Code, NAMEPLATES, safety_words, suggest};
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

fn exchange(joiner: (&[u8], &[u8]), inviter: (&[u8], &[u8])) -> (PakeKeys, PakeKeys) {
    let (joining, first) = Pake::joiner(joiner.0, joiner.1);
    let (inviting, second) = Pake::inviter(inviter.0, inviter.1);
    (joining.finish(&second).unwrap(), inviting.finish(&first).unwrap())
}

fn confirmed() -> (Confirmed, Confirmed) {
    let (joiner, inviter) = exchange((b"code", b"channel"), (b"code", b"channel"));
    let (from_joiner, from_inviter) = (joiner.confirm(), inviter.confirm());
    assert_ne!(from_joiner, from_inviter);
    (joiner.check(&from_inviter).unwrap(), inviter.check(&from_joiner).unwrap())
}

#[test]
fn same_code_and_channel_agree_and_talk() {
    let (mut joiner, mut inviter) = confirmed();
    for text in [&b"hello"[..], b"", b"again"] {
        let sealed = joiner.seal(text);
        assert_eq!(inviter.open(&sealed).unwrap().as_slice(), text);
        let sealed = inviter.seal(text);
        assert_eq!(joiner.open(&sealed).unwrap().as_slice(), text);
    }
}

#[test]
fn wrong_code_or_other_channel_is_seen_by_both() {
    for inviter in [(&b"guess"[..], &b"channel"[..]), (b"code", b"the other leg of a man in the middle")] {
        let (joiner, inviter) = exchange((b"code", b"channel"), inviter);
        let (from_joiner, from_inviter) = (joiner.confirm(), inviter.confirm());
        assert_eq!(joiner.check(&from_inviter).map(drop), Err(WrongCode));
        assert_eq!(inviter.check(&from_joiner).map(drop), Err(WrongCode));
    }
}

#[test]
fn own_messages_reflected_are_refused() {
    let (joiner, first) = Pake::joiner(b"code", b"channel");
    assert!(joiner.finish(&first).is_err());
    let (keys, _) = exchange((b"code", b"channel"), (b"code", b"channel"));
    let own = keys.confirm();
    assert_eq!(keys.check(&own).map(drop), Err(WrongCode));
    let (mut joiner, _) = confirmed();
    let own = joiner.seal(b"hello");
    assert!(joiner.open(&own).is_err());
}

#[test]
fn messages_cannot_be_replayed_reordered_or_changed() {
    let (mut joiner, mut inviter) = confirmed();
    let (one, two) = (joiner.seal(b"one"), joiner.seal(b"two"));
    assert!(inviter.open(&two).is_err(), "reordered");
    assert!(inviter.open(&one).is_ok());
    assert!(inviter.open(&one).is_err(), "replayed");
    let mut changed = two.clone();
    changed[30] ^= 1;
    assert!(inviter.open(&changed).is_err());
    assert!(inviter.open(&two).is_ok());
}

#[test]
fn confirmation_cut_short_or_empty_is_wrong() {
    for length in [0, 1, 16, 31] {
        let (joiner, inviter) = exchange((b"code", b"channel"), (b"code", b"channel"));
        let confirmation = inviter.confirm();
        assert_eq!(joiner.check(&confirmation[..length]).map(drop), Err(WrongCode), "{length} bytes");
    }
}

#[test]
fn code_is_read_as_people_type_it() {
    let code = Code::parse("abandon-zoo-Able about").unwrap();
    assert_eq!(code.to_string(), "abandon-zoo-able-about");
    for text in
        ["abandon zoo able about", " ABANDON--zoo_able.about\n", "aban-zoo-able-abou", "abandon, zoo, able, about"]
    {
        assert_eq!(text.parse::<Code>().as_ref(), Ok(&code), "{text}");
    }
    assert_eq!((code.nameplate(), code.secret()), (0, [0x07, 0xff, 0, 2, 0, 3]));
}

#[test]
fn code_with_wrong_words_says_which_and_what_may_be_meant() {
    assert_eq!(Code::parse("abandon zoo able"), Err(BadCode::WordCount(3)));
    assert_eq!(Code::parse(""), Err(BadCode::WordCount(0)));
    let wrong = Code::parse("abandon zoo able abuot");
    assert!(
        matches!(wrong, Err(BadCode::UnknownWord { word, suggestions }) if word == "abuot" && suggestions.contains(&"about"))
    );
    assert!(matches!(Code::parse("ab zoo able about"), Err(BadCode::UnknownWord { .. })), "ab begins several words");
    assert!(matches!(Code::parse(&"zö".repeat(1000)), Err(BadCode::WordCount(1))));
}

#[test]
fn suggestions_complete_or_correct() {
    assert_eq!(suggest("abou"), ["about"]);
    assert_eq!(suggest("ABO"), ["about", "above"]);
    assert_eq!(suggest("zooo"), ["zoo"]);
    assert!(suggest("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx").is_empty());
    assert!(suggest("a").len() <= 5);
}

#[test]
fn code_does_not_print_its_secret() {
    let code = Code::parse("abandon zoo able about").unwrap();
    assert_eq!(format!("{code:?}"), "Code(abandon-***)");
}

#[test]
fn safety_words_depend_on_every_part_and_its_borders() {
    let words = safety_words(&[b"ab", b"c"]);
    assert_eq!(words.split(' ').count(), 6);
    assert_eq!(words, safety_words(&[b"ab", b"c"]));
    for other in [&[&b"a"[..], b"bc"][..], &[b"c", b"ab"], &[b"abc"], &[b"ab", b"c", b""], &[]] {
        assert_ne!(words, safety_words(other));
    }
}

proptest! {
    #[test]
    fn codes_survive_being_spoken(nameplate in 0..NAMEPLATES) {
        let code = Code::generate(nameplate);
        prop_assert_eq!(code.nameplate(), nameplate);
        prop_assert_eq!(Code::parse(&code.to_string()), Ok(code));
    }

    #[test]
    fn garbage_never_panics(text: String, bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _ = Code::parse(&text);
        prop_assert!(suggest(&text).len() <= 5);
        let (pake, _) = Pake::joiner(b"code", b"channel");
        if let Ok(keys) = pake.finish(&bytes) {
            prop_assert!(keys.check(&bytes).is_err());
        }
    }
}
