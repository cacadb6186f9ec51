//! What an announcement says, and which announcements are news.
//!
//! No sockets and no clock. Invariant: an announcement is used once; an old one recorded by
//! somebody and sent again is not believed, and could only have led to a dial that fails.

use std::{collections::HashMap, time::Duration};

use seal::{
    DeviceId, Timestamp,
    beacon::{BeaconKey, SIZE},
};
use serde::{Deserialize, Serialize};

use super::Announcement;

/// Version of the content.
const VERSION: u8 = 1;
/// How far the clocks of two devices may differ, and how old a recorded announcement may be.
const MAX_SKEW: Duration = Duration::from_secs(10 * 60);
/// Devices remembered at once: more than a circle can have.
const REMEMBERED: usize = 4096;

/// The content of an announcement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Content {
    version: u8,
    pub(super) device: DeviceId,
    pub(super) boot: [u8; 16],
    pub(super) at: Timestamp,
    pub(super) port: u16,
}

impl Content {
    pub(super) fn new(about: Announcement, now: Timestamp) -> Self {
        Self {
            version: VERSION,
            device: about.device,
            boot: about.boot,
            at: now,
            port: about.port,
        }
    }

    /// The datagram.
    pub(super) fn seal(&self, key: &BeaconKey) -> Option<[u8; SIZE]> {
        let content = postcard::to_stdvec(self).ok()?;
        key.seal(&content, crate::random()).ok()
    }

    /// The content, if the datagram is one of this circle's and of a version that we know.
    pub(super) fn open(key: &BeaconKey, datagram: &[u8]) -> Option<Self> {
        let plain = key.open(datagram).ok()?;
        let content: Self = postcard::from_bytes(&plain).ok()?;
        (content.version == VERSION && content.port != 0).then_some(content)
    }
}

/// The newest announcement of every device.
#[derive(Default)]
pub(super) struct Newest(HashMap<DeviceId, ([u8; 16], Timestamp)>);

impl Newest {
    /// True if `content` is newer than what was heard of its device, and of our time.
    pub(super) fn is_news(&self, content: &Content, now: Timestamp) -> bool {
        let fresh = now.since(content.at) <= MAX_SKEW && content.at.since(now) <= MAX_SKEW;
        fresh
            && self
                .0
                .get(&content.device)
                .is_none_or(|(_, at)| content.at > *at)
    }

    /// Remembers it; true if this run of the device was not known.
    pub(super) fn note(&mut self, content: &Content) -> bool {
        if self.0.len() >= REMEMBERED && !self.0.contains_key(&content.device) {
            self.0.clear();
        }
        let before = self.0.insert(content.device, (content.boot, content.at));
        before.is_none_or(|(boot, _)| boot != content.boot)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn content(device: u8, at: Timestamp) -> Content {
        let about = Announcement {
            device: DeviceId::from_bytes([device; 32]),
            port: 4000,
            boot: [device; 16],
        };
        Content::new(about, at)
    }

    #[test]
    fn only_the_circle_reads_it_and_two_look_unrelated() {
        let key = BeaconKey::generate();
        let sent = content(1, NOW);
        let (one, two) = (sent.seal(&key).unwrap(), sent.seal(&key).unwrap());
        assert_eq!(Content::open(&key, &one), Some(sent));
        assert_eq!(Content::open(&BeaconKey::generate(), &one), None);
        let equal = one.iter().zip(&two).filter(|(a, b)| a == b).count();
        assert!(equal < 16, "{equal} of 256 bytes are the same");
    }

    #[test]
    fn a_replayed_old_or_future_announcement_is_no_news() {
        let mut newest = Newest::default();
        let first = content(1, NOW);
        assert!(newest.is_news(&first, NOW));
        assert!(newest.note(&first));
        assert!(!newest.is_news(&first, NOW));
        assert!(!newest.is_news(&content(1, NOW.minus(EAGER)), NOW));
        let next = content(1, NOW.plus(EAGER));
        assert!(newest.is_news(&next, NOW));
        assert!(!newest.note(&next), "the same run is no newcomer");
        let day = Duration::from_secs(86_400);
        assert!(!newest.is_news(&content(2, NOW.minus(day)), NOW));
        assert!(!newest.is_news(&content(2, NOW.plus(day)), NOW));
    }

    const EAGER: Duration = super::super::EAGER;

    proptest! {
        #[test]
        fn any_datagram_is_survived(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let key = BeaconKey::from_bytes([3; 32]);
            prop_assert_eq!(Content::open(&key, &bytes), None);
        }

        #[test]
        fn any_sealed_content_is_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let key = BeaconKey::from_bytes([3; 32]);
            let datagram = key.seal(&bytes, [5; 24]).unwrap();
            if let Some(content) = Content::open(&key, &datagram) {
                prop_assert_ne!(content.port, 0);
            }
        }
    }
}
