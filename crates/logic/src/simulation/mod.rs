//! The simulation of spaces: devices that share one, in virtual time, with everything that goes wrong and everybody who
//! makes it go wrong.
//!
//! | part | what it is |
//! |---|---|
//! | `people` | keys and certificates, the same everywhere |
//! | `keys` | sealing that needs no chance |
//! | `device` | a device that keeps the rules: the real ledger, sessions, statements and tree, on a disk that crashes |
//! | `alarm` | what devices notice |
//! | `world` | one run: network, partitions, crashes, backups, clocks, what people do |
//! | `deeds`, `cheats` | what adversaries do, and what must come of it |
//! | `oracle` | what must hold after every step, and in the end |
//! | `tests` | many runs |
//!
//! A step is one message that arrives, one timer, or one act of chance. Everything follows from the seed and the plan that
//! a failure prints. What `node` and `store` add (objects, who is given what, real disks) has tests there.

#![allow(clippy::unwrap_used)]

mod alarm;
mod cheats;
mod deeds;
mod device;
mod keys;
mod oracle;
mod people;
mod tests;
mod world;
