//! Kinds of values that settings take: their text, as people type it, and their TOML.

use std::net::IpAddr;
use std::path::PathBuf;

/// A number of bytes: `0`, `500K`, `2.5M`, `1G`, `1T` (powers of 1000), or `KiB`, `MiB`, `GiB`, `TiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Size(pub u64);

/// Bytes per second, or no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Rate(pub Option<u64>);

/// A kind of value.
pub(super) trait Value: Sized {
    /// What people may type.
    const TAKES: &'static str;

    /// Understands what was typed; `None` if it makes no sense.
    fn parse(text: &str) -> Option<Self>;

    /// The text that [`parse`](Self::parse) understands as this value.
    fn show(&self) -> String;

    /// How it stands in the file.
    fn to_toml(&self) -> toml::Value {
        self.show().into()
    }
}

/// The text of a value in the file; lists are joined by commas.
pub(super) fn text_of(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Array(items) => items.iter().map(text_of).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

impl Value for bool {
    const TAKES: &'static str = "true or false";

    fn parse(text: &str) -> Option<Self> {
        match text.to_lowercase().as_str() {
            "true" | "on" | "yes" => Some(true),
            "false" | "off" | "no" => Some(false),
            _ => None,
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }

    fn to_toml(&self) -> toml::Value {
        (*self).into()
    }
}

impl Value for u16 {
    const TAKES: &'static str = "a number from 0 to 65535";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn show(&self) -> String {
        self.to_string()
    }

    fn to_toml(&self) -> toml::Value {
        i64::from(*self).into()
    }
}

impl Value for u64 {
    const TAKES: &'static str = "a whole number";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().filter(|number| i64::try_from(*number).is_ok())
    }

    fn show(&self) -> String {
        self.to_string()
    }

    fn to_toml(&self) -> toml::Value {
        i64::try_from(*self).unwrap_or(i64::MAX).into()
    }
}

impl Value for PathBuf {
    const TAKES: &'static str = "a path";

    fn parse(text: &str) -> Option<Self> {
        (!text.is_empty() && !text.contains('\0')).then(|| text.into())
    }

    fn show(&self) -> String {
        self.to_string_lossy().into_owned()
    }
}

impl Value for Size {
    const TAKES: &'static str = "a size such as 500K, 2.5M or 1GiB";

    fn parse(text: &str) -> Option<Self> {
        let text = text.to_lowercase();
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let factor: u64 = match unit.trim() {
            "" | "b" => 1,
            "k" | "kb" => 1_000,
            "m" | "mb" => 1_000_000,
            "g" | "gb" => 1_000_000_000,
            "t" | "tb" => 1_000_000_000_000,
            "kib" => 1 << 10,
            "mib" => 1 << 20,
            "gib" => 1 << 30,
            "tib" => 1 << 40,
            _ => return None,
        };
        if let Ok(whole) = number.parse::<u64>() {
            return whole.checked_mul(factor).map(Self);
        }
        let bytes = number.parse::<f64>().ok()? * factor as f64;
        (bytes.is_finite() && bytes < u64::MAX as f64).then_some(Self(bytes as u64))
    }

    fn show(&self) -> String {
        self.0.to_string()
    }
}

impl Value for Rate {
    const TAKES: &'static str = "none, off, or a size per second such as 500K or 10M";

    fn parse(text: &str) -> Option<Self> {
        match text.to_lowercase().as_str() {
            "none" | "off" => Some(Self(None)),
            text => Size::parse(text.strip_suffix("/s").unwrap_or(text)).filter(|s| s.0 > 0).map(|s| Self(Some(s.0))),
        }
    }

    fn show(&self) -> String {
        self.0.map_or_else(|| "none".to_owned(), |bytes| bytes.to_string())
    }
}

impl Value for Vec<IpAddr> {
    const TAKES: &'static str = "IP addresses, separated by commas";

    fn parse(text: &str) -> Option<Self> {
        items(text).map(|item| item.parse().ok()).collect()
    }

    fn show(&self) -> String {
        self.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(",")
    }

    fn to_toml(&self) -> toml::Value {
        self.iter().map(IpAddr::to_string).collect::<Vec<_>>().into()
    }
}

impl Value for Vec<String> {
    const TAKES: &'static str = "URLs that begin with https:// or http://, separated by commas";

    fn parse(text: &str) -> Option<Self> {
        let is_url = |item: &str| ["https://", "http://"].iter().any(|s| item.len() > s.len() && item.starts_with(s));
        items(text).map(|item| is_url(item).then(|| item.to_owned())).collect()
    }

    fn show(&self) -> String {
        self.join(",")
    }

    fn to_toml(&self) -> toml::Value {
        self.clone().into()
    }
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}
