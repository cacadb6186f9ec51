//! The settings file: read with all its mistakes, so that each can be named by its line and mended by command while the
//! others stay as they are.

use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::{Settings, SettingsError, value};
use crate::durable::{self, Existing};

/// A settings file as it was found.
#[derive(Debug)]
pub struct SettingsFile {
    path: PathBuf,
    settings: Settings,
    mistakes: Vec<Mistake>,
}

/// A line that is refused.
#[derive(Debug)]
struct Mistake {
    line: usize,
    key: String,
    value: toml::Value,
    why: SettingsError,
}

impl SettingsFile {
    /// Reads the file at `path`; without one all settings have their defaults.
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        match std::fs::read(path) {
            Ok(bytes) => Self::parse(path, &bytes),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Self::parse(path, b""),
            Err(source) => Err(SettingsError::Io { path: path.to_owned(), source }),
        }
    }

    /// The settings, unless there is a mistake in the file.
    pub fn whole(mut self) -> Result<Settings, SettingsError> {
        if self.mistakes.is_empty() {
            return Ok(self.settings);
        }
        let first = self.mistakes.swap_remove(0);
        Err(SettingsError::InFile { path: self.path, line: first.line, key: first.key, mistake: Box::new(first.why) })
    }

    /// The settings, those with a mistake at their defaults.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Changes a setting; `None` is back to its default. Mends what was wrong with this key, and removes it where it is
    /// in the file and no setting at all.
    pub fn set(&mut self, key: &str, text: Option<&str>) -> Result<(), SettingsError> {
        let wrong = self.mistakes.iter().position(|mistake| mistake.key == key);
        let set = match text {
            Some(text) => self.settings.set(key, text),
            None => Settings::default().get(key).and_then(|default| self.settings.set(key, &default)),
        };
        match (set, wrong) {
            (Err(SettingsError::UnknownKey { .. }), Some(_)) if text.is_none() => {}
            (Err(error), _) => return Err(error),
            (Ok(()), _) => {}
        }
        self.mistakes.retain(|mistake| mistake.key != key);
        Ok(())
    }

    /// Writes the whole file anew, durably.
    pub fn save(&self) -> Result<(), SettingsError> {
        durable::write(&self.path, self.render().as_bytes(), Existing::Replace)
            .map_err(|source| SettingsError::Io { path: self.path.clone(), source })
    }

    fn parse(path: &Path, bytes: &[u8]) -> Result<Self, SettingsError> {
        let line_at = |offset: usize| 1 + bytes.iter().take(offset).filter(|byte| **byte == b'\n').count();
        let bad = |offset: usize, why: &str| SettingsError::Syntax {
            path: path.to_owned(),
            line: line_at(offset),
            why: why.to_owned(),
        };
        let text = std::str::from_utf8(bytes).map_err(|e| bad(e.valid_up_to(), "this is no UTF-8"))?;
        let syntax = |e: toml::de::Error| bad(e.span().map_or(0, |span| span.start), e.message());
        let table: toml::Table = text.parse().map_err(syntax)?;
        let places = DeTable::parse(text).map_err(syntax)?;
        let mut file = Self { path: path.to_owned(), settings: Settings::default(), mistakes: Vec::new() };
        for (key, value) in table {
            if let Err(why) = file.settings.set(&key, &value::text_of(&value)) {
                let place = places.get_ref().keys().find(|place| place.get_ref().as_ref() == key.as_str());
                let line = place.map_or(1, |place| line_at(place.span().start));
                file.mistakes.push(Mistake { line, key, value, why });
            }
        }
        file.mistakes.sort_by_key(|mistake| mistake.line);
        Ok(file)
    }

    /// The file: every setting with its help, those with their default value commented out, mistakes as they were.
    fn render(&self) -> String {
        let mut text =
            String::from("# Settings of Warren. This file is written anew when a setting is changed by command.\n");
        for setting in self.settings.list() {
            let value = self.settings.to_toml(setting.key).map(|v| v.to_string()).unwrap_or_default();
            let mark = if setting.value == setting.default { "# " } else { "" };
            let _ = write!(text, "\n# {} Takes {}.\n{mark}{} = {value}\n", setting.help, setting.takes, setting.key);
        }
        let wrong: toml::Table = self.mistakes.iter().map(|m| (m.key.clone(), m.value.clone())).collect();
        if !wrong.is_empty() {
            let _ = write!(text, "\n# This cannot be used:\n{wrong}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(text: &[u8]) -> Result<SettingsFile, SettingsError> {
        SettingsFile::parse(Path::new("/home/settings.toml"), text)
    }

    #[test]
    fn a_mistake_is_named_with_file_line_and_key() {
        for (text, said) in [
            (
                &b"lan = true\n\nlan-prot = 1"[..],
                "line 3: there is no setting \"lan-prot\"; did you mean \"lan_port\"?",
            ),
            (b"# x\nport = \"many\"", "line 2: port cannot be \"many\": it takes a number from 0 to 65535"),
            (b"lan = true\nport = {a = 1}", "line 2: port cannot be"),
            (b"lan = 1979-05-27", "line 1: lan cannot be"),
            (b"\n[port]\nx = 1", "line 2: port cannot be"),
            (b"lan = true\nport = [1", "line 2: "),
            (b"lan = true\nlan = true", "line 2: "),
            (b"lan = true\n\xff", "line 2: this is no UTF-8"),
        ] {
            let refused = parse(text).and_then(SettingsFile::whole).unwrap_err().to_string();
            let said = format!("/home/settings.toml, {said}");
            assert!(refused.starts_with(&said), "{refused}");
        }
    }

    #[test]
    fn mistakes_are_mended_one_by_one_and_nothing_else_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("settings.toml");
        std::fs::write(&path, "port = \"many\"\ncolour = \"red\"\nlan_port = -1\nlan = false\n[extra]\nx = 1").unwrap();
        let change = |key: &str, value: Option<&str>| {
            let mut file = SettingsFile::read(&path)?;
            file.set(key, value)?;
            file.save()
        };
        assert!(matches!(change("port", Some("some")), Err(SettingsError::BadValue { .. })));
        assert!(matches!(change("colour", Some("blue")), Err(SettingsError::UnknownKey { .. })));
        assert!(matches!(change("shape", None), Err(SettingsError::UnknownKey { .. })));
        for (key, value) in [("port", Some("4000")), ("colour", None), ("extra", None)] {
            change(key, value).unwrap();
            assert!(Settings::load(&path).is_err(), "the other mistakes are still there");
        }
        assert!(Settings::load(&path).unwrap_err().to_string().contains("lan_port cannot be \"-1\""));
        change("lan_port", None).unwrap();
        let settings = Settings::load(&path).unwrap();
        assert_eq!((settings.port, settings.lan, settings.lan_port), (4000, false, 9090));
    }
}
