//! Settings between the store, the network and the API.

use api::types::{SetSetting, Setting as ApiSetting, Settings as ApiSettings};
use api::{ApiError, ApiResult, ErrorCode};
use net::NetConfig;
use store::home::Home;
use store::settings::{Settings, SettingsError};

use crate::errors::io_error;

/// Reads the settings of a home.
pub(crate) fn load(home: &Home) -> ApiResult<Settings> {
    Settings::load(&home.settings()).map_err(settings_error)
}

/// Changes one setting, durably, if `change` says so; returns all.
pub(crate) fn change(home: &Home, change: Option<SetSetting>) -> ApiResult<Settings> {
    let mut settings = load(home)?;
    if let Some(change) = change {
        if change.value.is_empty() {
            let default = Settings::default().get(&change.key).map_err(settings_error)?;
            settings.set(&change.key, &default).map_err(settings_error)?;
        } else {
            settings.set(&change.key, &change.value).map_err(settings_error)?;
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
