//! The command line against a fake device: golden transcripts, exit codes, help, JSON, and what must never reach a
//! terminal. `WARREN_BLESS=1 cargo test -p warren-cli` writes the transcripts anew; look at the difference.
#![allow(clippy::unwrap_used)]

mod errors;
mod fake;
mod help;
mod spaces;
mod spaces_fake;
mod stage;
mod transcripts;
