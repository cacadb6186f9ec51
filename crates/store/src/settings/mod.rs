//! `settings.toml`: what a user may choose and nobody needs to hide.
//!
//! One table, below, holds for each setting its key, type, default and help; the struct, the file, and getting and
//! setting by key all come from it. An unknown key or a value that makes no sense is refused with a hint, never
//! ignored. [`Settings::save`] writes the whole file anew with the help as comments.

mod file;
mod value;

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use value::Value;

pub use file::SettingsFile;
pub use value::{Rate, Size};

/// Why settings were refused.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// There is no such setting.
    #[error("there is no setting {key:?}{}", similar.map(|s| format!("; did you mean {s:?}?")).unwrap_or_default())]
    UnknownKey {
        /// The key as given.
        key: String,
        /// The known key that is most like it, if any is.
        similar: Option<&'static str>,
    },
    /// The value makes no sense for this setting.
    #[error("{key} cannot be {value:?}: it takes {takes}")]
    BadValue {
        /// The setting.
        key: &'static str,
        /// The value as given.
        value: String,
        /// What it takes.
        takes: &'static str,
    },
    /// The file is not TOML.
    #[error("{}, line {line}: {why}", path.display())]
    Syntax {
        /// The settings file.
        path: PathBuf,
        /// Where, from 1.
        line: usize,
        /// Why not.
        why: String,
    },
    /// The file has a setting that is none, or a value that makes no sense.
    #[error("{}, line {line}: {mistake}", path.display())]
    InFile {
        /// The settings file.
        path: PathBuf,
        /// Where, from 1.
        line: usize,
        /// The key as it stands there.
        key: String,
        /// Unknown key or bad value.
        mistake: Box<SettingsError>,
    },
    /// The file cannot be read or written.
    #[error("{path:?}: {source}")]
    Io {
        /// The settings file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// One setting, for listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its key.
    pub key: &'static str,
    /// Its present value, as [`Settings::set`] takes it.
    pub value: String,
    /// Its value when nobody has chosen one.
    pub default: String,
    /// What kind of value it takes.
    pub takes: &'static str,
    /// What it is for.
    pub help: String,
}

macro_rules! settings {
    ($($(#[doc = $help:literal])+ $key:ident: $type:ty = $default:expr;)+) => {
        /// What a user may choose.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Settings {
            $($(#[doc = $help])+ pub $key: $type,)+
        }

        impl Default for Settings {
            fn default() -> Self {
                Self { $($key: $default,)+ }
            }
        }

        /// All keys, in the order in which they are listed.
        const KEYS: &[&str] = &[$(stringify!($key)),+];

        impl Settings {
            /// Every setting with its value and help.
            pub fn list(&self) -> Vec<Setting> {
                let default = Self::default();
                vec![$(Setting {
                    key: stringify!($key),
                    value: self.$key.show(),
                    default: default.$key.show(),
                    takes: <$type as Value>::TAKES,
                    help: [$($help.trim()),+].join(" "),
                },)+]
            }

            /// Changes the setting `key` to the value that `text` means.
            pub fn set(&mut self, key: &str, text: &str) -> Result<(), SettingsError> {
                match key {
                    $(stringify!($key) => {
                        self.$key = Value::parse(text.trim()).ok_or_else(|| SettingsError::BadValue {
                            key: stringify!($key),
                            value: text.to_owned(),
                            takes: <$type as Value>::TAKES,
                        })?;
                        Ok(())
                    })+
                    _ => Err(SettingsError::UnknownKey { key: key.to_owned(), similar: similar(key) }),
                }
            }

            fn to_toml(&self, key: &str) -> Option<toml::Value> {
                match key {
                    $(stringify!($key) => Some(self.$key.to_toml()),)+
                    _ => None,
                }
            }
        }
    };
}

settings! {
    /// Folder where received files land; a relative path begins at the home.
    received_dir: PathBuf = PathBuf::from("received");
    /// Port for other devices, UDP and TCP; 0: one that the system chose once, as long as it is free.
    port: u16 = 0;
    /// Addresses of this machine to listen on; empty for all.
    bind: Vec<IpAddr> = Vec::new();
    /// Announce this device on the local network, unreadable for strangers, and look for others there.
    lan: bool = true;
    /// Port of the announcements on the local network; the same on all devices.
    lan_port: u16 = 9090;
    /// Relays for devices that cannot reach each other directly, as URLs.
    relays: Vec<String> = Vec::new();
    /// Ask the router to let other devices in (UPnP, NAT-PMP, PCP).
    portmap: bool = false;
    /// Send bulk data over TCP where that works, which is faster than QUIC.
    tcp_lane: bool = true;
    /// Highest rate of all sending together, per second.
    rate_limit: Rate = Rate(None);
    /// Accept offers up to this size from every member without asking; 0 always asks.
    auto_accept: Size = Size(0);
    /// Most bytes that spaces which this device stores without reading may take, all together; 0 sets no limit.
    storage_limit: Size = Size(0);
    /// Entries kept in the activity log.
    log_keep: u64 = 100_000;
}

impl Settings {
    /// Reads the settings at `path`; without a file all have their defaults.
    pub fn load(path: &Path) -> Result<Self, SettingsError> {
        SettingsFile::read(path)?.whole()
    }

    /// The present value of the setting `key`.
    pub fn get(&self, key: &str) -> Result<String, SettingsError> {
        let found = self.list().into_iter().find(|setting| setting.key == key);
        found
            .map(|setting| setting.value)
            .ok_or_else(|| SettingsError::UnknownKey { key: key.to_owned(), similar: similar(key) })
    }
}

/// The known key that is most like `key`, if at most a third of it would have to change.
fn similar(key: &str) -> Option<&'static str> {
    let key = key.replace('-', "_").to_lowercase();
    let (distance, nearest) = KEYS.iter().map(|known| (edit_distance(&key, known), *known)).min()?;
    (distance <= nearest.len() / 3).then_some(nearest)
}

/// Levenshtein distance in bytes.
fn edit_distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_saved_is_loaded_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("settings.toml");
        assert_eq!(Settings::load(&path).unwrap(), Settings::default());
        let mut file = SettingsFile::read(&path).unwrap();
        file.save().unwrap();
        assert_eq!(Settings::load(&path).unwrap(), Settings::default());
        let values = [
            ("received_dir", "/tmp/a \"b\"\nc"),
            ("port", "4711"),
            ("bind", "127.0.0.1, ::1"),
            ("lan", "off"),
            ("lan_port", "9191"),
            ("relays", "https://relay.example:443/"),
            ("portmap", "false"),
            ("tcp_lane", "no"),
            ("rate_limit", "2.5M"),
            ("auto_accept", "1G"),
            ("storage_limit", "2T"),
            ("log_keep", "10"),
        ];
        assert_eq!(values.map(|(key, _)| key), KEYS, "every setting is tried");
        for (key, value) in values {
            file.set(key, Some(value)).unwrap();
        }
        file.save().unwrap();
        let mut settings = file.settings().clone();
        let loaded = Settings::load(&path).unwrap();
        assert_eq!(loaded, settings);
        assert_eq!(loaded.rate_limit, Rate(Some(2_500_000)));
        assert_eq!(loaded.auto_accept, Size(1_000_000_000));
        assert!(!loaded.lan);
        settings.set("rate_limit", "off").unwrap();
        assert_eq!(settings.rate_limit, Rate(None));
    }

    #[test]
    fn values_shown_can_be_set_again() {
        let mut settings = Settings::default();
        for setting in settings.list() {
            settings.set(setting.key, &setting.value).unwrap();
        }
        assert_eq!(settings, Settings::default());
    }

    #[test]
    fn unknown_keys_and_senseless_values_are_refused_with_a_hint() {
        let mut settings = Settings::default();
        let refusal = |e: SettingsError| e.to_string();
        assert_eq!(
            refusal(settings.set("Lan-Prot", "1").unwrap_err()),
            "there is no setting \"Lan-Prot\"; did you mean \"lan_port\"?"
        );
        assert_eq!(refusal(settings.get("colour").unwrap_err()), "there is no setting \"colour\"");
        for (key, value) in [
            ("port", "65536"),
            ("port", "-1"),
            ("lan", "maybe"),
            ("relays", "relay.example"),
            ("rate_limit", "fast"),
            ("rate_limit", "0"),
            ("auto_accept", "1e999"),
            ("auto_accept", "-5"),
            ("bind", "localhost"),
            ("received_dir", ""),
        ] {
            assert!(matches!(settings.set(key, value), Err(SettingsError::BadValue { .. })), "{key} = {value}");
        }
        assert_eq!(settings, Settings::default());
    }
}
