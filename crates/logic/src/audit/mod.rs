//! The activity log's alphabet: one typed event per operation, connect, disconnect, refusal and error.
//!
//! Events hold names, also of files: they live only here because the store seals every record. Contents of files and
//! messages, passphrases, codes and keys are in no event. Names, outcomes and fields are documented in `docs/events.md`;
//! a test compares. New events go to the end of the list: the position is what is stored.

mod detail;
mod event;
mod record;
mod tally;

pub use detail::{Outcome, Who};
pub use event::{Event, EventKind};
pub use record::{BadRecord, Record};
pub use tally::Tally;

#[cfg(test)]
mod tests;
