//! The tasks of a running device: engines, disk and network joined, one folder per service.

pub mod transfers;
