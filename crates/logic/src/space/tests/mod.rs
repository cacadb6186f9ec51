//! The tree of a space against a model that recomputes everything, and against what people do to each other offline.
//!
//! `world` makes histories, `properties` and `plans` know what must hold of all, `neighbours` and `names` are chosen
//! cases, `mutants` leaves out one rule after the other and demands that it is missed, `long` tries very many histories.
//! `manifest` is about what files are made of, `titles` about names of realms, `alone` about realms that are single files. Everything follows from a seed, and every failure names it.

#![allow(clippy::unwrap_used)]

mod alone;
mod long;
mod manifest;
mod model;
mod mutants;
mod names;
mod neighbours;
mod plans;
mod properties;
mod titles;
mod world;
