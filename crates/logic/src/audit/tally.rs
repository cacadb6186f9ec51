//! Keeps a peer from filling the log: what it does over and over is written a few times, then counted.
//!
//! No clock inside: records bring their time. The first of a kind is always written; what is counted comes out later as
//! one [`Event::PeerRepeated`]. What this device or its owner does is never counted, nor is what ended well.
//! Called by the writer of the log.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use seal::{DeviceId, Timestamp};

use super::{Event, Record, Who};
use crate::Misbehaved;

/// Between the first and the second count of a kind; each pause is longer than the one before.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
const GROWTH: u32 = 10;

/// Kinds by stranger, and by member, that are kept apart. More strangers are taken for one, as are more members.
const STRANGERS: usize = 256;
const MEMBERS: usize = 8192;

/// Who did something, as far as that cannot be changed at will: strangers have as many keys as they like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Source {
    Member(DeviceId),
    /// IPv4 address, or IPv6 /64.
    Host(IpAddr),
    Others,
}

/// What it did: name of the event, and the offence where it is one.
type Kind = (&'static str, Option<Misbehaved>);

/// How much of a kind is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Share {
    /// So many before the others are counted.
    written: u32,
    /// After so long without another one, the next is a first one again.
    memory: Duration,
}

const OFFENCE: Share = Share { written: 1, memory: Duration::from_secs(3600) };
const BUSTLE: Share = Share { written: 100, memory: Duration::from_secs(60) };

/// One kind of event of one source.
#[derive(Debug)]
struct Count {
    who: Who,
    written: u32,
    counted: u64,
    first: Timestamp,
    last: Timestamp,
    /// When the count is told next, if there is one then, and how long after that.
    due: Timestamp,
    pause: Duration,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Tally {
    counts: HashMap<(Source, Kind), Count>,
    strangers: usize,
}

impl Tally {
    /// Gives the record back if it is to be written now.
    pub fn take(&mut self, record: Record) -> Option<Record> {
        let Some((who, kind, share)) = limited(&record.event) else { return Some(record) };
        let at = record.at;
        let key = (self.source(who, kind), kind);
        let fresh = !self.counts.contains_key(&key);
        if fresh && matches!(key.0, Source::Host(_)) {
            self.strangers += 1;
        }
        let count = self.counts.entry(key).or_insert_with(|| Count {
            who: if key.0 == Source::Others { Who::default() } else { who.clone() },
            written: 0,
            counted: 0,
            first: at,
            last: at,
            due: at.plus(FIRST_PAUSE),
            pause: FIRST_PAUSE,
        });
        if count.counted == 0 && at.since(count.last) >= share.memory {
            (count.written, count.pause, count.due) = (0, FIRST_PAUSE, at.plus(FIRST_PAUSE));
        }
        count.last = at;
        if count.written < share.written {
            count.written += 1;
            return Some(record);
        }
        if count.counted == 0 {
            count.first = at;
        }
        count.counted += 1;
        None
    }

    /// What has been counted and is to be told by now.
    pub fn due(&mut self, now: Timestamp) -> Vec<Record> {
        self.tell(now, |count| count.due <= now)
    }

    /// Everything that has been counted: the log is closed.
    pub fn close(&mut self, now: Timestamp) -> Vec<Record> {
        self.tell(now, |_| true)
    }

    /// When [`Self::due`] has something next.
    pub fn wake_at(&self) -> Option<Timestamp> {
        self.counts.values().filter(|count| count.counted > 0).map(|count| count.due).min()
    }

    fn tell(&mut self, now: Timestamp, chosen: impl Fn(&Count) -> bool) -> Vec<Record> {
        let mut told = Vec::new();
        for ((_, (event, offence)), count) in &mut self.counts {
            if count.counted == 0 || !chosen(count) {
                continue;
            }
            told.push(Record {
                at: now,
                event: Event::PeerRepeated {
                    who: count.who.clone(),
                    event: (*event).to_owned(),
                    offence: *offence,
                    count: std::mem::take(&mut count.counted),
                    first_at: count.first,
                    last_at: count.last,
                },
            });
            count.pause = (count.pause * GROWTH).min(LONGEST_PAUSE);
            count.due = now.plus(count.pause);
        }
        // Forgotten late rather than early: only the order of the map decides about the order of what is told.
        self.counts.retain(|_, count| count.counted > 0 || now.since(count.last) < LONGEST_PAUSE);
        self.strangers = self.counts.keys().filter(|(source, _)| matches!(source, Source::Host(_))).count();
        told.sort_by_key(|record| match &record.event {
            Event::PeerRepeated { first_at, .. } => *first_at,
            _ => record.at,
        });
        told
    }

    /// Under whom something is counted.
    fn source(&self, who: &Who, kind: Kind) -> Source {
        let source = match who {
            Who { member: Some(_), device: Some(device), .. } => Source::Member(*device),
            Who { address: Some(address), .. } => Source::Host(host(address.ip())),
            _ => Source::Others,
        };
        let room = match source {
            Source::Host(_) => self.strangers < STRANGERS,
            _ => self.counts.len() < STRANGERS + MEMBERS,
        };
        if room || self.counts.contains_key(&(source, kind)) { source } else { Source::Others }
    }
}

/// Events that others can cause as often as they like.
fn limited(event: &Event) -> Option<(&Who, Kind, Share)> {
    let name = event.name();
    Some(match event {
        Event::PeerMisbehaved { who, offence } => (who, (name, Some(*offence)), OFFENCE),
        Event::PeerConnected { who, .. }
        | Event::PeerDisconnected { who, .. }
        | Event::PeerMoved { who, .. }
        | Event::PeerRefused { who, .. }
        | Event::PeerDoubled { who }
        | Event::OfferReceived { who, .. }
        | Event::OfferRejected { who, .. }
        | Event::TransferPaused { who, .. }
        | Event::TransferResumed { who, .. }
        | Event::TransferInterrupted { who, .. }
        | Event::TransferCancelled { who, .. }
        | Event::TransferFailed { who, .. }
        | Event::TransferFileFailed { who, .. }
        | Event::TransferFileChanged { who, .. } => (who, (name, None), BUSTLE),
        _ => return None,
    })
}

fn host(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        ip => ip,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn member(number: u8) -> Who {
        Who {
            member: Some(format!("member {number}")),
            device: Some(DeviceId::from_bytes([number; 32])),
            address: None,
        }
    }

    fn offence(who: Who, offence: Misbehaved, at: i64) -> Record {
        Record { at: Timestamp(at), event: Event::PeerMisbehaved { who, offence } }
    }

    /// Events in the order in which a log with this tally would have them.
    fn log(records: impl IntoIterator<Item = Record>) -> Vec<Record> {
        let mut tally = Tally::default();
        let (mut log, mut now) = (Vec::new(), Timestamp(0));
        for record in records {
            while let Some(wake) = tally.wake_at().filter(|wake| *wake <= record.at) {
                log.extend(tally.due(wake));
            }
            now = record.at;
            log.extend(tally.take(record));
        }
        log.extend(tally.close(now));
        log
    }

    fn counted(log: &[Record]) -> Vec<u64> {
        let count = |record: &Record| match record.event {
            Event::PeerRepeated { count, .. } => Some(count),
            _ => None,
        };
        log.iter().filter_map(count).collect()
    }

    #[test]
    fn an_offence_that_is_repeated_for_a_week_is_written_once_and_counted() {
        let often = (0..7 * 24 * 360).map(|tick| offence(member(1), Misbehaved::WrongCode, tick * 10_000));
        let log = log(often);
        assert!(log.len() < 200, "{}", log.len());
        assert_eq!(log[0].event, Event::PeerMisbehaved { who: member(1), offence: Misbehaved::WrongCode });
        assert_eq!(counted(&log).iter().sum::<u64>() + 1, 7 * 24 * 360, "none is lost");
        assert_eq!(
            log[1].event,
            Event::PeerRepeated {
                who: member(1),
                event: "peer.misbehaved".into(),
                offence: Some(Misbehaved::WrongCode),
                count: 5,
                first_at: Timestamp(10_000),
                last_at: Timestamp(50_000),
            }
        );
    }

    #[test]
    fn slow_repetition_does_not_fill_the_log_either() {
        let slow = (0..1440).map(|minute| offence(member(1), Misbehaved::WrongCode, minute * 61_000));
        assert!(log(slow).len() < 40);
        // Once a day is news.
        let rare = (0..30).map(|day| offence(member(1), Misbehaved::WrongCode, day * 86_400_000));
        assert_eq!(log(rare).len(), 30);
    }

    #[test]
    fn the_first_of_each_kind_and_of_each_member_is_written_whatever_the_others_do() {
        let mut records = Vec::new();
        for round in 0..10 {
            for number in 0..5 {
                for kind in Misbehaved::ALL {
                    records.push(offence(member(number), *kind, round));
                }
            }
        }
        let kinds = 5 * Misbehaved::ALL.len();
        let log = log(records);
        let (first, rest) = log.split_at(kinds);
        assert!(first.iter().all(|record| record.event.name() == "peer.misbehaved"));
        assert_eq!((rest.len(), counted(rest)), (kinds, vec![9; kinds]));
    }

    #[test]
    fn strangers_with_ever_new_keys_and_addresses_are_bounded_in_memory_and_in_the_log() {
        let stranger = |number: u32| Who {
            member: None,
            device: Some(DeviceId::from_bytes(*blake3::hash(&number.to_le_bytes()).as_bytes())),
            address: Some((IpAddr::from(number.rotate_left(12).to_be_bytes()), 4433).into()),
        };
        let same = |number| Who { address: Some("192.0.2.7:4433".parse().unwrap()), ..stranger(number) };
        let keys = (0..2000).map(|number| offence(same(number), Misbehaved::WrongCode, 0));
        assert_eq!(counted(&log(keys)), [1999]);
        let addresses = (0..5000).map(|number| offence(stranger(number), Misbehaved::WrongCode, 0));
        assert!(log(addresses).len() <= STRANGERS + 2);
        // Members have places of their own.
        let mut records: Vec<_> = (0..5000).map(|number| offence(stranger(number), Misbehaved::WrongCode, 0)).collect();
        records.push(offence(member(1), Misbehaved::WrongCode, 0));
        assert!(log(records).iter().any(|record| record.event.peer().as_deref() == Some("member 1")));
    }

    #[test]
    fn connecting_and_offering_over_and_over_is_counted_but_neither_what_is_usual_nor_what_was_done() {
        let connected = |at: i64| Record {
            at: Timestamp(at),
            event: Event::PeerConnected { who: member(1), path: "direct".into(), dialled: false },
        };
        assert!(counted(&log((0..500).map(|minute| connected(minute * 61_000)))).is_empty());
        let log_of_flood = log((0..10_000).map(|second| connected(second * 1000)));
        assert!(log_of_flood.len() < 120);
        assert_eq!(counted(&log_of_flood).iter().sum::<u64>(), 9900);
        let done = |at| Record { at: Timestamp(at), event: Event::DeviceLocked {} };
        assert_eq!(log((0..1000).map(done)).len(), 1000);
    }
}
