//! Settings between the store, the network and the API.

use std::sync::{Mutex, PoisonError};

use api::types::{SetSetting, Setting as ApiSetting, Settings as ApiSettings};
use api::{ApiError, ApiResult, ErrorCode};
use net::NetConfig;
use store::home::Home;
use store::landing::Landing;
use store::settings::{Settings, SettingsError, SettingsFile};

use crate::errors::io_error;

/// One change at a time: each writes the whole file, and of two at once one would be lost.
static CHANGING: Mutex<()> = Mutex::new(());

/// Reads the settings of a home.
pub(crate) fn load(home: &Home) -> ApiResult<Settings> {
    Settings::load(&home.settings()).map_err(settings_error)
}

/// Changes one setting, durably, if `change` says so; returns all. A change mends what was wrong with its setting in the
/// file, whatever else is wrong there.
pub(crate) fn change(home: &Home, change: Option<SetSetting>) -> ApiResult<Settings> {
    let _one = CHANGING.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(change) = change else { return load(home) };
    let mut file = SettingsFile::read(&home.settings()).map_err(settings_error)?;
    let value = (!change.value.is_empty()).then_some(change.value.as_str());
    file.set(&change.key, value).map_err(settings_error)?;
    if change.key == "received_dir" {
        let to = home.path().join(&file.settings().received_dir);
        Landing::probe(&to).map_err(|error| crate::sending::unusable(&to, error))?;
    }
    file.save().map_err(settings_error)?;
    Ok(file.settings().clone())
}

/// Settings as the API lists them.
pub(crate) fn shown(settings: &Settings) -> ApiSettings {
    let entries = settings.list().into_iter().map(|setting| ApiSetting {
        key: setting.key.into(),
        value: setting.value,
        help: setting.help,
    });
    ApiSettings { entries: entries.collect() }
}

/// How a device with these settings takes part in the network. `port` is what the command line says,
/// `last_port` the one that the system chose last.
pub(crate) fn network(settings: &Settings, port: Option<u16>, last_port: u16) -> NetConfig {
    let fixed = port.or((settings.port != 0).then_some(settings.port));
    let defaults = NetConfig::default();
    NetConfig {
        port: fixed.unwrap_or(last_port),
        any_port_if_taken: fixed.is_none(),
        listen: if settings.bind.is_empty() { defaults.listen } else { settings.bind.clone() },
        relays: settings.relays.clone(),
        portmap: settings.portmap,
        tcp_lane: settings.tcp_lane,
        loopback: true,
        limits: defaults.limits,
    }
}

fn settings_error(error: SettingsError) -> ApiError {
    let message = error.to_string();
    match error {
        SettingsError::Io { path, source } => io_error(&format!("read or write {}", path.display()), &source),
        SettingsError::UnknownKey { .. } => {
            ApiError::new(ErrorCode::NotFound, message).hint("`warren config` lists all settings")
        }
        SettingsError::BadValue { .. } => ApiError::new(ErrorCode::BadRequest, message),
        SettingsError::Syntax { .. } => ApiError::new(ErrorCode::BadRequest, message)
            .hint("mend that line, or move the file away: every setting has its default then"),
        SettingsError::InFile { key, mistake, .. } => {
            let error = ApiError::new(ErrorCode::BadRequest, message);
            match *mistake {
                SettingsError::UnknownKey { .. } => error.hint(format!("`warren config --unset {key}` removes it")),
                _ => error.hint(format!(
                    "`warren config {key} VALUE` mends it, `warren config --unset {key}` is the default"
                )),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn changes_that_are_made_at_the_same_time_are_all_made() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::create(dir.path()).unwrap();
        let wanted = [("port", "4001"), ("lan_port", "4002"), ("lan", "false"), ("tcp_lane", "false")];
        std::thread::scope(|scope| {
            for (key, value) in wanted {
                let home = &home;
                scope.spawn(move || change(home, Some(SetSetting { key: key.into(), value: value.into() })).unwrap());
            }
        });
        let settings = load(&home).unwrap();
        for (key, value) in wanted {
            assert_eq!(settings.get(key).unwrap(), value, "{key}");
        }
    }
}
