//! Speed: a token bucket that limits it, and a smoothed measure that shows it.

use std::time::Duration;

/// Lets bytes through at a steady rate; time is any monotonic clock's.
#[derive(Debug, Clone, Default)]
pub struct Bucket {
    rate: Option<u64>,
    /// The moment at which everything taken so far is paid for.
    paid: Duration,
}

impl Bucket {
    /// A burst may run this far ahead of the rate.
    const BURST: Duration = Duration::from_millis(50);

    /// Changes the rate, in bytes per second; `None` lets everything through.
    pub fn set(&mut self, rate: Option<u64>, now: Duration) {
        self.rate = rate;
        self.paid = now;
    }

    /// The rate.
    pub fn rate(&self) -> Option<u64> {
        self.rate
    }

    /// When something may be taken: `None` for now.
    pub fn wait(&self, now: Duration) -> Option<Duration> {
        self.rate?;
        let free = self.paid.saturating_sub(Self::BURST);
        (free > now).then_some(free)
    }

    /// Takes so many bytes; may go into debt, so that a block larger than the burst passes at all.
    pub fn take(&mut self, bytes: u64, now: Duration) {
        if let Some(rate) = self.rate {
            let cost = Duration::from_secs_f64(bytes as f64 / rate.max(1) as f64);
            self.paid = self.paid.max(now).saturating_add(cost);
        }
    }
}

/// Bytes per second over the last few seconds.
#[derive(Debug, Clone, Default)]
pub struct Speed {
    since: Option<(Duration, u64)>,
    /// When the counter moved last.
    moved: Duration,
    rate: f64,
}

impl Speed {
    const STEP: f64 = 0.2;
    const SMOOTH_S: f64 = 2.0;
    /// After so long without a byte it stands.
    const STALE: Duration = Duration::from_millis(2500);

    /// Notes the counter's value; the first call only starts the measure.
    pub fn note(&mut self, total: u64, now: Duration) {
        let Some((then, before)) = self.since else {
            (self.since, self.moved) = (Some((now, total)), now);
            return;
        };
        if total <= before && now.saturating_sub(self.moved) >= Self::STALE {
            (self.since, self.rate) = (Some((now, total)), 0.0);
            return;
        }
        let seconds = now.saturating_sub(then).as_secs_f64();
        if seconds < Self::STEP {
            return;
        }
        if total > before {
            self.moved = now;
        }
        let current = total.saturating_sub(before) as f64 / seconds;
        let weight = if self.rate == 0.0 { 1.0 } else { 1.0 - (-seconds / Self::SMOOTH_S).exp() };
        self.rate += weight * (current - self.rate);
        self.since = Some((now, total));
    }

    /// Bytes per second.
    pub fn rate(&self) -> u64 {
        self.rate as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bucket_holds_its_rate_over_time() {
        let mut bucket = Bucket::default();
        let (mut now, mut taken) = (Duration::from_secs(5), 0u64);
        bucket.set(Some(1_000_000), now);
        while now < Duration::from_secs(15) {
            match bucket.wait(now) {
                Some(then) => now = then,
                None => {
                    bucket.take(1 << 16, now);
                    taken += 1 << 16;
                }
            }
        }
        assert!((9_900_000..10_300_000).contains(&taken), "{taken}");
    }

    #[test]
    fn no_rate_never_waits_and_idle_time_is_not_saved_up() {
        let mut bucket = Bucket::default();
        bucket.take(u64::MAX, Duration::ZERO);
        assert_eq!(bucket.wait(Duration::ZERO), None);
        bucket.set(Some(1000), Duration::ZERO);
        bucket.take(1000, Duration::from_secs(100));
        assert_eq!(bucket.wait(Duration::from_secs(100)), Some(Duration::from_millis(100_950)));
    }

    #[test]
    fn speed_follows_the_counter() {
        let mut speed = Speed::default();
        for second in 0..20u64 {
            speed.note(second * 500, Duration::from_secs(second));
        }
        assert!((490..=510).contains(&speed.rate()));
    }

    #[test]
    fn what_stands_still_has_no_speed() {
        let mut speed = Speed::default();
        let at = |tenth: u64| Duration::from_millis(tenth * 100);
        for tenth in 0..=100 {
            speed.note(tenth * 50, at(tenth));
        }
        for tenth in 101..=126 {
            speed.note(5000, at(tenth));
        }
        assert_eq!(speed.rate(), 0);
        for tenth in 127..=140 {
            speed.note(5000 + (tenth - 126) * 50, at(tenth));
        }
        assert!((450..=550).contains(&speed.rate()), "{}", speed.rate());
        // A counter that begins anew is no speed.
        speed.note(0, at(200));
        assert_eq!(speed.rate(), 0);
    }
}
