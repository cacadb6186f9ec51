//! Events: stored bytes, and agreement with their documentation.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use seal::{DeviceId, Timestamp};

use super::{BadRecord, Event, Outcome, Record, Who};
use crate::Misbehaved;

fn who() -> Who {
    Who {
        member: Some("ada".into()),
        device: Some(DeviceId::from_bytes([1; 32])),
        address: Some("192.0.2.7:4433".parse().unwrap()),
    }
}

/// One line of the table in `docs/events.md`.
fn documented() -> BTreeSet<(String, String, String)> {
    let text = include_str!("../../../../docs/events.md");
    let row = |line: &str| {
        let cells: Vec<_> = line.strip_prefix("| `")?.split(" | ").map(str::to_owned).collect();
        let [name, outcome, fields, ..] = cells.as_slice() else {
            return None;
        };
        name.contains('.').then(|| (name.trim_end_matches('`').to_owned(), outcome.clone(), fields.replace('`', "")))
    };
    text.lines().filter_map(row).collect()
}

#[test]
fn every_event_is_documented_with_outcome_and_fields() {
    let fields = |kind: &super::EventKind| {
        if kind.fields.is_empty() { "-".to_owned() } else { kind.fields.join(", ") }
    };
    let ours: BTreeSet<_> = Event::KINDS
        .iter()
        .map(|kind| (kind.name.to_owned(), kind.outcome.as_str().to_owned(), fields(kind)))
        .collect();
    assert_eq!(ours.len(), Event::KINDS.len(), "two events have one name");
    assert_eq!(documented(), ours);
}

#[test]
fn every_offence_is_documented() {
    let text = include_str!("../../../../docs/events.md");
    for offence in Misbehaved::ALL {
        assert!(
            text.contains(&format!("| `{}` | {offence} |", offence.name())),
            "docs/events.md lacks {}",
            offence.name()
        );
    }
}

#[test]
fn an_event_tells_who_and_what() {
    let event = Event::PeerMisbehaved { who: who(), offence: Misbehaved::WrongCode };
    assert_eq!((event.name(), event.outcome()), ("peer.misbehaved", Outcome::Refused));
    assert_eq!(event.peer().as_deref(), Some("ada"));
    let device = DeviceId::from_bytes([1; 32]).to_string();
    let details = [("device", device.as_str()), ("host", "192.0.2.7"), ("port", "4433"), ("offence", "WrongCode")];
    assert_eq!(event.details(), details.map(|(name, value)| (name, value.to_owned())));
    assert_eq!(Event::DeviceStopped {}.peer(), None);
}

#[test]
fn stored_records_keep_their_bytes() {
    let record = Record {
        at: Timestamp(5),
        event: Event::PeerMisbehaved { who: Who::default(), offence: Misbehaved::WrongCode },
    };
    let stored = [&[1, 10, 13, 0, 0, 0, 9][..], b"WrongCode"].concat();
    assert_eq!(record.to_bytes(), stored);
    assert_eq!(Record::from_bytes(&stored), Ok(record));
}

#[test]
fn records_of_other_versions_and_damaged_ones_are_told_apart() {
    assert_eq!(Record::from_bytes(&[2, 0]), Err(BadRecord::TooNew(2)));
    assert_eq!(Record::from_bytes(&[1, 10]), Err(BadRecord::Damaged));
    assert_eq!(Record::from_bytes(&[]), Err(BadRecord::Damaged));
}
