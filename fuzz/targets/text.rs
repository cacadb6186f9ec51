//! What people type or paste: codes, links, ids, names, roles. What is taken is printed and taken again as the same.
#![no_main]

use std::fmt::Display;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use libfuzzer_sys::fuzz_target;
use logic::pair::invitation::{Link, Ticket};
use logic::wire::TransferId;
use seal::pki::{Role, Serial, name_key, valid_name};
use seal::words::{Code, suggest};
use seal::{CircleId, DeviceId, MemberId, SealRecipient};

fn back<T: FromStr + Display + PartialEq>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        assert!(value.to_string().parse::<T>().is_ok_and(|again| again == value), "{text:?}");
    }
}

fuzz_target!(|data: &[u8]| {
    // The checksum of a link is no secret: make it right, so that the fields are reached.
    let mut fields = vec![1];
    fields.extend_from_slice(data);
    fields.extend(blake3::hash(&fields).as_bytes().iter().take(4).copied().collect::<Vec<_>>());
    for path in ["join", "get"] {
        back::<Link>(&format!("warren:{path}/{}", BASE32_NOPAD.encode(&fields)));
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    back::<Link>(text);
    back::<Code>(text);
    back::<DeviceId>(text);
    back::<MemberId>(text);
    back::<CircleId>(text);
    back::<TransferId>(text);
    back::<Role>(text);
    back::<Serial>(text);
    back::<SealRecipient>(text);
    if let Ok(Ticket::Code(code)) = text.parse::<Ticket>() {
        assert_eq!(Code::parse(text), Ok(code));
    }
    let _ = suggest(text);
    if valid_name(text).is_ok() {
        assert_eq!(name_key(&name_key(text)), name_key(text), "{text:?}");
        assert!(!text.chars().any(char::is_control));
    }
});
