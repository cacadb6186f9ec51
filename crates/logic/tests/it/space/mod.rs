//! The tree of a space against a model that recomputes everything, and against what people do to each other offline.

mod manifest;
mod model;
mod names;
mod neighbours;
mod plans;
mod properties;
mod world;
