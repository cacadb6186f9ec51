//! What happens on a device: its log, and progress while it happens.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::{Job, Transfer};

/// One entry of the activity log. Contents of files and messages are never in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// Sequence number, gap-free from 1.
    pub seq: u64,
    /// Unix milliseconds.
    pub time: i64,
    /// What happened, as `noun.verb`, for example `transfer.done` (documented in `docs/events.md`).
    pub event: String,
    /// `ok`, `refused` or `failed`.
    pub outcome: String,
    /// The other side, if there is one: name, or address of a stranger.
    pub peer: Option<String>,
    /// Further fields, by name.
    pub details: BTreeMap<String, String>,
}

/// Which log entries to list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogQuery {
    /// Those after this sequence number.
    #[serde(default)]
    pub after: Option<u64>,
    /// At most so many, the newest.
    #[serde(default)]
    pub limit: Option<u32>,
    /// Only events whose name begins so.
    #[serde(default)]
    pub event: Option<String>,
}

/// What the event stream carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data", rename_all = "snake_case")]
pub enum Event {
    /// A new entry of the log.
    Log(LogEntry),
    /// A transfer changed; at most five times a second for each while it runs.
    Transfer(Box<Transfer>),
    /// The list of peers or their state changed: ask again.
    Peers,
    /// A space changed: ask again. At most twice a second for each.
    Space {
        /// Its id.
        id: String,
    },
    /// Work changed; at most five times a second for each while it runs.
    Job(Box<Job>),
    /// The device was locked or unlocked.
    Lock {
        /// True: locked.
        locked: bool,
    },
    /// The stream lost so many events because the reader was slow.
    Lost {
        /// How many.
        count: u64,
    },
}
