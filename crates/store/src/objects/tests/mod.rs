//! What crashes, full and failing disks, damage and lost files can do to the store.

#![allow(clippy::unwrap_used)]

mod basics;
mod faults;
mod loss;
mod putting;
mod world;

use super::fault::steps as disk;
