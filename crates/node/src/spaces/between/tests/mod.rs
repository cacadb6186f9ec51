//! Devices that share spaces.
