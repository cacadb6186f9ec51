//! Between those who store objects that no commit names yet, and whoever releases objects that none names: never both at
//! once. What ends with the process needs no such care: after a crash nothing is being stored.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    storing: usize,
    closed: bool,
}

/// Somebody stores objects for a commit that is still to be signed. One may be inside of another.
pub(crate) struct Storing<'a>(&'a Gate);

/// Nobody does, and nobody begins.
pub(crate) struct Closed<'a>(&'a Gate);

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while the gate is closed.
    pub(crate) fn enter(&self) -> Storing<'_> {
        let state = self.changed.wait_while(self.state(), |state| state.closed);
        state.unwrap_or_else(PoisonError::into_inner).storing += 1;
        Storing(self)
    }

    /// Waits until nobody stores. `None`: somebody did all the time.
    pub(crate) fn close(&self, patience: Duration) -> Option<Closed<'_>> {
        let until = Instant::now() + patience;
        let mut state = self.state();
        while state.storing > 0 || state.closed {
            let left = until.checked_duration_since(Instant::now())?;
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.closed = true;
        Some(Closed(self))
    }
}

impl Drop for Storing<'_> {
    fn drop(&mut self) {
        self.0.state().storing -= 1;
        self.0.changed.notify_all();
    }
}

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        self.0.state().closed = false;
        self.0.changed.notify_all();
    }
}
