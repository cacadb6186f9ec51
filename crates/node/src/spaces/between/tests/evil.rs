//! Peers that do not keep the rules.
