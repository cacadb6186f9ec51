//! Files of this machine into sealed objects and versions, and back.
//!
//! | module | what it does |
//! |---|---|
//! | `put`, `levels`, `target` | files and folders into a space: what goes where |
//! | `reading`, `sealing` | bytes of files into durable objects |
//! | `commit` | what is there after that, in as few commits as hold it |
//! | `read`, `fetch` | the bytes of a version, from here or from others |
//! | `get` | what is in a space onto the disk of this machine |
//! | `copy` | contents in another space |
//! | `holds` | which objects the commits name that came |
//! | `single` | the same, file by file, for folders in step |
//! | `tidy`, `gate` | letting go of what is not needed any more |
//! | `jobs` | work that takes time |

mod ahead;
mod commit;
mod copy;
mod fault;
mod fetch;
mod gate;
mod get;
mod holds;
mod jobs;
mod levels;
mod put;
mod read;
mod reading;
mod sealing;
mod single;
mod stage;
mod target;
#[cfg(test)]
mod tests;
mod tidy;

pub(crate) use copy::copy_content;
pub(crate) use fault::ContentFault;
pub(crate) use fetch::{Alone, Fetch, NotHere, PATIENCE};
pub(crate) use gate::Gate;
pub(crate) use get::{Get, destination, get};
pub(crate) use holds::{all_held, hold_again, hold_new, lost};
pub(crate) use jobs::{Jobs, Progress};
pub(crate) use put::{Put, put};
pub(crate) use read::{Access, Patient, Piece, Pieces};
pub(crate) use reading::nothing;
pub(crate) use single::{Single, give, hash, shape, take};
pub(crate) use target::{check_own, no_path};
pub(crate) use tidy::{GRACE, Unneeded, mark_time, tidy};
