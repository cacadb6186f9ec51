//! Whom a name means, for every command.
//!
//! Invariant: nobody receives what was meant for another by choosing a name. A whole device id beats every name; where the
//! beginning of an id is somebody else's name as well, nobody is meant. Members who were removed have no name while
//! somebody in the circle has it.

use std::collections::BTreeSet;

use api::{ApiError, ApiResult, ErrorCode};
use logic::roster::{DeviceView, ID_PREFIX, MemberView, Standing};
use seal::DeviceId;
use seal::pki::name_key;

use crate::book::Note;

/// One device of one member, with what its owner says of the member.
pub(crate) struct Found<'a> {
    pub device: &'a DeviceView,
    pub member: &'a MemberView,
    pub note: Note,
}

impl Found<'_> {
    /// What commands call the member.
    pub(crate) fn name(&self) -> &str {
        if self.note.pet_name.is_empty() { &self.member.shown } else { &self.note.pet_name }
    }

    /// What commands call the device.
    pub(crate) fn full_name(&self) -> String {
        format!("{}/{}", self.name(), self.device.name)
    }

    pub(crate) fn is_removed(&self) -> bool {
        self.device.standing == Standing::Removed
    }

    /// `key` is a [`name_key`].
    pub(crate) fn is_called(&self, key: &str) -> bool {
        name_key(self.name()) == key || name_key(&self.member.shown) == key
    }

    fn is_fully_called(&self, key: &str) -> bool {
        name_key(&self.full_name()) == key || name_key(&format!("{}/{}", self.member.shown, self.device.name)) == key
    }
}

/// The devices of the one member that `name` means: pet name, member name, `member/device`, or an id or its beginning.
pub(crate) fn meant<'a>(all: Vec<Found<'a>>, name: &str) -> ApiResult<Vec<Found<'a>>> {
    let hits = hits(&all, name);
    let members: BTreeSet<_> = hits.iter().map(|&hit| all[hit].member.member).collect();
    match members.len() {
        1 => Ok(all.into_iter().enumerate().filter(|(i, _)| hits.contains(i)).map(|(_, found)| found).collect()),
        0 => Err(unknown(name, all.iter().filter(|found| !found.is_removed()).map(|found| found.name().to_owned()))),
        _ => Err(ApiError::new(ErrorCode::BadRequest, format!("{name} means more than one member")).hint(format!(
            "write one of {}: the beginnings of their device ids",
            hits.iter().map(|&hit| distinct(&all[hit])).collect::<Vec<_>>().join(", ")
        ))),
    }
}

/// How to mean one device whatever its names: enough of its id, with its member's own name.
fn distinct(found: &Found<'_>) -> String {
    let id: String = found.device.device.to_string().chars().take(ID_PREFIX + 4).collect();
    format!("{id} ({})", found.member.shown)
}

fn hits(all: &[Found<'_>], name: &str) -> Vec<usize> {
    let select = |test: &dyn Fn(&Found<'_>) -> bool| -> Vec<usize> {
        all.iter().enumerate().filter(|(_, found)| test(found)).map(|(i, _)| i).collect()
    };
    let (key, lower) = (name_key(name), name.to_lowercase());
    if let Ok(id) = lower.parse::<DeviceId>() {
        return select(&|found| found.device.device == id);
    }
    let begins = |found: &Found<'_>| found.device.device.to_string().starts_with(&lower);
    let by_id = select(&|found| lower.len() >= ID_PREFIX && begins(found));
    let by_name = [false, true].into_iter().find_map(|removed| {
        let called = select(&|found| found.is_removed() == removed && found.is_called(&key));
        let hits = if called.is_empty() {
            select(&|found| found.is_removed() == removed && found.is_fully_called(&key))
        } else {
            called
        };
        (!hits.is_empty()).then_some(hits)
    });
    [by_id, by_name.unwrap_or_default()].concat()
}

/// No member has that name; perhaps a similar one was meant.
pub(crate) fn unknown(name: &str, names: impl IntoIterator<Item = String>) -> ApiError {
    let names: BTreeSet<String> = names.into_iter().collect();
    let near = names
        .iter()
        .map(|known| (strsim::levenshtein(&known.to_lowercase(), &name.to_lowercase()), known))
        .filter(|(far, known)| *far <= 1 + known.chars().count() / 3)
        .min();
    let error = ApiError::new(ErrorCode::NotFound, format!("nobody in the circle is called {name}"));
    match near {
        Some((_, known)) => error.hint(format!("did you mean {known}?")),
        None if names.is_empty() => error.hint("nobody else is in the circle yet: `warren invite` makes an invitation"),
        None => error.hint(format!("there are {}", names.into_iter().collect::<Vec<_>>().join(", "))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use seal::pki::Role;
    use seal::{MemberId, Timestamp};

    use super::*;

    /// A member with one device called `box`; `number` makes the ids.
    fn somebody(number: u8, name: &str, standing: Standing) -> (MemberView, DeviceView) {
        let member = MemberId::from_bytes([number; 32]);
        let (ends_at, chain) = (Timestamp(0), Vec::new());
        let view = MemberView {
            member,
            name: name.into(),
            shown: name.into(),
            role: Role::Reader,
            recipient: None,
            standing,
            ends_at,
            chain: chain.clone(),
        };
        let device = DeviceView {
            device: DeviceId::from_bytes([number; 32]),
            name: "box".into(),
            member,
            standing,
            ends_at,
            addresses: Vec::new(),
            address_counter: 0,
            chain,
        };
        (view, device)
    }

    fn look(circle: &[(MemberView, DeviceView)], name: &str) -> Result<u8, String> {
        meant(all(circle), name).map(|found| found[0].member.member.as_bytes()[0]).map_err(|error| error.to_string())
    }

    fn all(circle: &[(MemberView, DeviceView)]) -> Vec<Found<'_>> {
        circle.iter().map(|(member, device)| Found { device, member, note: Note::default() }).collect()
    }

    #[test]
    fn nobody_receives_what_is_meant_for_an_id_by_taking_it_as_a_name() {
        let id = DeviceId::from_bytes([1; 32]).to_string();
        let twelve = &id[..12];
        for (eve, asked, meant) in [(&*id, &*id, Some(1)), (twelve, &*id, Some(1)), (twelve, twelve, None)] {
            let circle = [somebody(1, "bob", Standing::Active), somebody(2, eve, Standing::Active)];
            for asked in [asked.to_owned(), asked.to_uppercase()] {
                assert_eq!(look(&circle, &asked).ok(), meant, "{eve} {asked}");
            }
            assert_eq!(look(&circle, &format!("{eve}/box")), Ok(2));
        }
        // Removed, the id still is not the name of another.
        let circle = [somebody(1, "bob", Standing::Removed), somebody(2, twelve, Standing::Active)];
        assert!(look(&circle, twelve).unwrap_err().contains("more than one"));
    }

    #[test]
    fn a_name_goes_on_to_whoever_has_it_now() {
        let circle = [
            somebody(1, "bob", Standing::Removed),
            somebody(2, "Bob", Standing::Active),
            somebody(3, "bob", Standing::Removed),
            somebody(4, "carol", Standing::Removed),
        ];
        assert_eq!((look(&circle, "bob"), look(&circle, "BOB/box")), (Ok(2), Ok(2)));
        assert_eq!(look(&circle, &DeviceId::from_bytes([3; 32]).to_string()[..8]), Ok(3));
        assert_eq!(look(&circle, "carol"), Ok(4), "nobody else has it");
        assert!(look(&circle[..1], "dan").is_err());
        let error = meant(all(&circle), "somebody else").err().unwrap();
        assert_eq!(error.hint.unwrap(), "there are Bob");
    }
}
