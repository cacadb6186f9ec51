//! Settings between the store, the network and the API.

use std::sync::{Mutex, PoisonError};

use api::types::{SetSetting, Setting as ApiSetting, Settings as ApiSettings};
use api::{ApiError, ApiResult, ErrorCode};
use net::NetConfig;
use store::home::Home;
use store::landing::Landing;
use store::settings::{Settings, SettingsError};

use crate::errors::io_error;

/// One change at a time: each writes the whole file, and of two at once one would be lost.
static CHANGING: Mutex<()> = Mutex::new(());

/// Reads the settings of a home.
pub(crate) fn load(home: &Home) -> ApiResult<Settings> {
    Settings::load(&home.settings()).map_err(settings_error)
}

/// Changes one setting, durably, if `change` says so; returns all.
pub(crate) fn change(home: &Home, change: Option<SetSetting>) -> ApiResult<Settings> {
    let _one = CHANGING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut settings = load(home)?;
    if let Some(change) = change {
        if change.value.is_empty() {
            let default = Settings::default().get(&change.key).map_err(settings_error)?;
            settings.set(&change.key, &default).map_err(settings_error)?;
        } else {
            settings.set(&change.key, &change.value).map_err(settings_error)?;
        }
        if change.key == "received_dir" {
            let to = home.path().join(&settings.received_dir);
            Landing::probe(&to).map_err(|error| crate::sending::unusable(&to, error))?;
        }
        settings.save(&home.settings()).map_err(settings_error)?;
    }
    Ok(settings)
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

/// How a device with these settings takes part in the network. `port` is what the command line or the last run says.
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
        SettingsError::BadValue { .. } | SettingsError::Syntax { .. } => ApiError::new(ErrorCode::BadRequest, message),
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
