//! The listing on its way: as much as fits the window.

use super::file::TheirHeld;
use super::{Phase, Sender};
use crate::transfer::limits::{BATCH_BYTES, REPORT_EVERY, WINDOW, WINDOW_BYTES};
use crate::transfer::message::FromSender;
use std::time::Duration;

impl Sender {
    pub(super) fn advance_listing(&mut self, now: Duration) {
        if self.phase == Phase::Ended || self.end_sent {
            return;
        }
        if self.phase == Phase::Running {
            if self.send_entries() {
                return;
            }
            if self.scan_ended && self.backlog.is_empty() {
                self.end_sent = true;
                let (totals, hash) = (self.listing.totals(), self.listing.hash());
                return self.send(FromSender::ListingEnd { totals, hash });
            }
        }
        let found = (self.listing.totals(), self.scan_ended);
        if found != self.found_sent && !self.found_sent.1 && (self.scan_ended || now >= self.found_after) {
            let grows = found.0.files >= self.found_sent.0.files && found.0.bytes >= self.found_sent.0.bytes;
            if grows {
                self.found_sent = found;
                self.found_after = now + REPORT_EVERY;
                self.send(FromSender::Found { found: found.0, complete: found.1 });
            }
        }
    }

    /// Sends the next entries that fit the window; false if there are none.
    fn send_entries(&mut self) -> bool {
        let (first, mut entries, mut bytes) = (self.sent, Vec::new(), 0);
        while let Some((_, weight)) = self.backlog.front() {
            let full = self.window.len() >= WINDOW as usize
                || (self.window_weight > 0 && self.window_weight + weight > WINDOW_BYTES);
            if full || bytes > BATCH_BYTES {
                break;
            }
            let Some((entry, weight)) = self.backlog.pop_front() else { break };
            bytes += 40 + weight;
            self.window.push_back(weight);
            self.window_weight += weight;
            self.enqueue(self.sent);
            self.sent += 1;
            entries.push(entry);
        }
        let some = !entries.is_empty();
        if some {
            self.send(FromSender::Entries { first, entries });
        }
        some
    }

    fn enqueue(&mut self, entry: u32) {
        let Some(file) = self.files.get_mut(&entry).filter(|file| !file.queued) else { return };
        file.queued = true;
        if self.resume && file.generation == 0 {
            file.held = Some(TheirHeld::default());
        }
        self.queue.push_back(entry);
    }
}
