//! The limit on all sending together: one bucket, from which the transfers take turns.
//!
//! A transfer has one place in the queue however many lanes it has, and the queue is served in order. So each transfer
//! that has something to send gets the same share, and what one does not need goes to the others.

use super::lanes::LOOK_AGAIN;
use logic::transfer::rate::Bucket;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// See the module.
#[derive(Debug)]
pub(super) struct Total {
    bucket: Mutex<Bucket>,
    /// Serves whoever waits in the order in which they came.
    queue: tokio::sync::Mutex<()>,
    began: Instant,
}

impl Total {
    pub fn new() -> Self {
        Self { bucket: Mutex::default(), queue: tokio::sync::Mutex::default(), began: Instant::now() }
    }

    fn bucket(&self) -> MutexGuard<'_, Bucket> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the limit, in bytes per second; `None`: no limit.
    pub fn set(&self, limit: Option<u64>) {
        let mut bucket = self.bucket();
        if bucket.rate() != limit {
            bucket.set(limit, self.began.elapsed());
        }
    }

    /// Waits until so many bytes may be sent.
    async fn take(&self, bytes: u64) {
        let _first = self.queue.lock().await;
        while let Some(wait) = self.try_take(bytes) {
            // The limit may change meanwhile.
            sleep(wait.min(LOOK_AGAIN)).await;
        }
    }

    fn try_take(&self, bytes: u64) -> Option<Duration> {
        let now = self.began.elapsed();
        let mut bucket = self.bucket();
        let wait = bucket.wait(now);
        if wait.is_none() {
            bucket.take(bytes, now);
        }
        wait.map(|then| then.saturating_sub(now))
    }
}

/// A transfer's place in the queue.
#[derive(Debug)]
pub(super) struct Seat {
    total: Arc<Total>,
    /// Held by the lane whose turn it is.
    turn: tokio::sync::Mutex<()>,
}

impl Seat {
    pub fn at(total: Arc<Total>) -> Self {
        Self { total, turn: tokio::sync::Mutex::default() }
    }

    /// The limit, in bytes per second.
    pub fn limit(&self) -> Option<u64> {
        self.total.bucket().rate()
    }

    /// Waits until so many bytes may be sent.
    pub async fn take(&self, bytes: u64) {
        if self.limit().is_some() {
            let _turn = self.turn.lock().await;
            self.total.take(bytes).await;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    const SLICE: u64 = 1 << 18;

    /// A transfer with so many lanes that sends as fast as it may; what it has sent.
    fn transfer(total: &Arc<Total>, lanes: usize) -> Arc<AtomicU64> {
        let sent = Arc::new(AtomicU64::new(0));
        let seat = Arc::new(Seat::at(total.clone()));
        for _ in 0..lanes {
            let (seat, sent) = (seat.clone(), sent.clone());
            tokio::spawn(async move {
                loop {
                    seat.take(SLICE).await;
                    sent.fetch_add(SLICE, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                }
            });
        }
        sent
    }

    #[tokio::test(start_paused = true)]
    async fn transfers_share_the_limit_however_many_lanes_they_have() {
        let total = Arc::new(Total::new());
        total.set(Some(10_000_000));
        let sent = [transfer(&total, 1), transfer(&total, 8), transfer(&total, 3)];
        sleep(Duration::from_secs(30)).await;
        let sent = sent.map(|sent| sent.load(Ordering::Relaxed));
        let all = sent.iter().sum::<u64>();
        assert!((299_000_000..302_000_000).contains(&all), "{all}");
        assert!(sent.iter().all(|one| one.abs_diff(100_000_000) < 1_000_000), "{sent:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_that_is_lifted_or_changed_holds_nobody_up() {
        let total = Arc::new(Total::new());
        total.set(Some(1));
        total.take(SLICE).await;
        let waiting = tokio::spawn({
            let total = total.clone();
            async move { total.take(SLICE).await }
        });
        sleep(Duration::from_secs(5)).await;
        assert!(!waiting.is_finished());
        total.set(None);
        sleep(LOOK_AGAIN).await;
        assert!(waiting.await.is_ok());
    }
}
