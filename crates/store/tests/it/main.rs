//! Full disks and power loss, on file systems of their own. Both need root (and power loss `mkfs.ext4` and `xfs_io`);
//! where these are missing the tests say so and pass. And the file of a space, attacked from all sides.

#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

mod full;
mod objects;
mod power;
mod space;
mod volume;
