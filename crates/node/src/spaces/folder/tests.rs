//! Folders of several devices.
