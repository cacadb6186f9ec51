//! Outgoing runs: begun when a link comes up, tried again after a failure, ended when it goes.

use super::Transfers;
use super::control::Broken;
use super::item::{Command, Item};
use super::outgoing::{self, End};
use super::ports::{Connection, What};
use api::types::TransferState;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// The longest wait before a run is tried again over the same link.
const RETRY_MAX: Duration = Duration::from_secs(60);

impl Transfers {
    /// A link came up: what waits for this peer goes on. A newer link takes the place of an older one.
    pub fn link_up(&self, connection: Arc<dyn Connection>) {
        let peer = connection.peer();
        let waiting: Vec<_> = {
            let mut table = self.table();
            table.links.insert(peer, connection.clone());
            table.items.values().filter(|item| item.peer == peer && item.outgoing).cloned().collect()
        };
        for item in waiting {
            item.lock().failures = 0;
            self.start(item, connection.clone());
        }
    }

    /// The link is gone. Runs notice by themselves; nothing new is begun over it.
    pub fn link_down(&self, connection: &Arc<dyn Connection>) {
        let mut table = self.table();
        let peer = connection.peer();
        if table.links.get(&peer).is_some_and(|link| Arc::ptr_eq(link, connection)) {
            table.links.remove(&peer);
        }
    }

    /// Says of all open transfers why there is no link, until their next run.
    pub fn explain_wait(&self, why: &str) {
        let items: Vec<_> = self.table().items.values().cloned().collect();
        for item in items {
            item.absent(why);
        }
    }

    /// Begins a run of an outgoing transfer, after the one that may still be under way over an older link.
    pub(super) fn start(&self, item: Arc<Item>, connection: Arc<dyn Connection>) {
        let this = self.clone();
        let (startable, untold) = {
            let inner = item.lock();
            (!inner.record.paused && inner.record.ended.is_none(), inner.record.untold)
        };
        if startable {
            tokio::spawn(async move { this.run_outgoing(item, connection).await });
        } else if untold {
            tokio::spawn(async move {
                let _turn = item.turn.lock().await;
                // If the link is cut again, the next one brings the news.
                let _ = outgoing::give_up(&item, &*connection).await;
            });
        }
    }

    /// Sees that the receiver learns of an end that it may not know about.
    pub(super) fn tell_end(&self, item: &Arc<Item>) {
        let link = self.table().links.get(&item.peer).cloned();
        let untold = item.lock().record.untold;
        if let Some(link) = link.filter(|_| untold) {
            self.start(item.clone(), link);
        }
    }

    async fn run_outgoing(self, item: Arc<Item>, connection: Arc<dyn Connection>) {
        tracing::debug!(id = %item.id, "a run waits for its turn");
        item.tell(Command::Yield);
        let turn = item.turn.lock().await;
        tracing::debug!(id = %item.id, "a run begins");
        let (commands, orders) = mpsc::unbounded_channel();
        {
            let mut inner = item.lock();
            if inner.record.paused || inner.record.ended.is_some() {
                return;
            }
            inner.begin_run(commands);
        }
        let end = Box::pin(outgoing::run(item.clone(), connection.clone(), orders)).await;
        tracing::debug!(id = %item.id, ?end, "a run ends");
        let again = self.ended(&item, end);
        drop(turn);
        self.settle_input(&item);
        self.tell_end(&item);
        if let Some(wait) = again {
            self.retry_after(wait, &item);
        }
    }

    /// Begins another run if the link is still there then. Holds nothing meanwhile: a device that is locked or stopped
    /// must be able to forget its keys.
    fn retry_after(&self, wait: Duration, item: &Arc<Item>) {
        let (deps, table, item) = (Arc::downgrade(&self.deps), Arc::downgrade(&self.table), Arc::downgrade(item));
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            let (Some(deps), Some(table), Some(item)) = (deps.upgrade(), table.upgrade(), item.upgrade()) else {
                return;
            };
            let this = Self { deps, table };
            let link = this.table().links.get(&item.peer).cloned();
            let idle = item.lock().run.is_none();
            if let Some(link) = link.filter(|_| idle) {
                this.start(item, link);
            }
        });
    }

    /// Notes how a run ended. Gives the time after which it should be tried again if the link is still there.
    pub(super) fn ended(&self, item: &Item, end: Result<End, Broken>) -> Option<Duration> {
        item.lock().run = None;
        let mut trouble = None;
        let problem = match end {
            Ok(End::Over | End::Yielded) => None,
            Ok(End::Stuck(reason, problem)) => {
                trouble = Some(reason);
                // Tried again and again: said once.
                if item.lock().record.problem.as_ref() != Some(&problem) {
                    item.happened(What::Cut { reason: problem.clone() });
                }
                Some(problem)
            }
            Err(Broken::Peer(offence)) => {
                item.happened(What::Misbehaved(offence));
                Some(format!("the other side broke the protocol: {offence}"))
            }
            Err(broken) => {
                item.happened(What::Cut { reason: broken.to_string() });
                None
            }
        };
        let failures = {
            let mut inner = item.lock();
            if inner.record.ended.is_some() {
                return None;
            }
            inner.settle_wire();
            (inner.record.problem, inner.record.trouble) = (problem, trouble);
            inner.failures += 1;
            inner.failures
        };
        let paused = item.lock().record.paused;
        let undecided = !item.outgoing && item.decided().is_none();
        item.state(match () {
            () if paused => TransferState::Paused,
            () if undecided => TransferState::Offered,
            () => TransferState::Waiting,
        });
        let wait = Duration::from_millis(500) * 2u32.saturating_pow(failures.min(16));
        Some(wait.min(RETRY_MAX))
    }
}
