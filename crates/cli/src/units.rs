//! Sizes, rates and times as people write and read them.

use std::time::Duration;

/// Bytes from `10`, `10k`, `1.5M`, `2GiB` ...: k, M, G, T are powers of 1000; Ki, Mi, Gi, Ti of 1024.
///
/// # Errors
/// A message for the one who typed it.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().map_err(|_| wrong_size(text))?;
    let unit = unit.trim().to_ascii_lowercase();
    let factor: u64 = match unit.strip_suffix('b').unwrap_or(&unit) {
        "" => 1,
        "k" => 1000,
        "m" => 1000_u64.pow(2),
        "g" => 1000_u64.pow(3),
        "t" => 1000_u64.pow(4),
        "ki" => 1 << 10,
        "mi" => 1 << 20,
        "gi" => 1 << 30,
        "ti" => 1 << 40,
        _ => return Err(wrong_size(text)),
    };
    let bytes = number * factor as f64;
    if bytes < u64::MAX as f64 {
        Ok(bytes.round() as u64)
    } else {
        Err(format!("`{text}` is more than any disk holds"))
    }
}

fn wrong_size(text: &str) -> String {
    format!("`{text}` is no size: write for example 500k, 10M, 1.5GiB")
}

/// Bytes per second from a size with or without `/s`; `None` from `off`.
///
/// # Errors
/// A message for the one who typed it.
pub(crate) fn parse_rate(text: &str) -> Result<Rate, String> {
    if matches!(text, "off" | "none") {
        return Ok(Rate(None));
    }
    let bytes = parse_size(text.strip_suffix("/s").unwrap_or(text))
        .map_err(|_| format!("`{text}` is no rate: write for example 500k, 10M/s, or off"))?;
    if bytes == 0 {
        return Err(format!("`{text}` would stop everything: write `off` for no limit"));
    }
    Ok(Rate(Some(bytes)))
}

/// A rate limit in bytes per second; `None`: no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate(pub(crate) Option<u64>);

/// A duration from `90s`, `10min`, `1h`, `2days` ...
///
/// # Errors
/// A message for the one who typed it.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|_| format!("`{text}` is no duration: write for example 30s, 10min, 1h, 2days"))
}

/// A size for people.
pub(crate) fn size(bytes: u64) -> String {
    humansize::format_size(bytes, humansize::BINARY.decimal_places(1))
}

/// A rate for people.
pub(crate) fn rate(bytes_per_second: u64) -> String {
    format!("{}/s", size(bytes_per_second))
}

/// A length of time for people, in its two largest units.
pub(crate) fn span(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {:02}s", seconds % 60),
        (0, _, _) => format!("{hours}h {minutes:02}m"),
        _ => format!("{days}d {hours}h"),
    }
}

/// A round trip for people.
pub(crate) fn round_trip(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..100_000 => format!("{:.1} ms", micros as f64 / 1000.0),
        _ => format!("{} ms", micros / 1000),
    }
}

/// A count with its noun.
pub(crate) fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn sizes_are_read_as_they_are_written() {
        let cases = [
            ("0", 0),
            ("10", 10),
            ("1k", 1000),
            ("1kB", 1000),
            ("1KiB", 1024),
            ("1.5 M", 1_500_000),
            ("2gi", 2 << 30),
            ("1T", 1_000_000_000_000),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "k", "-1", "1x", "1.2.3M", "99999999T", "1e9", "NaN"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rates_may_be_off() {
        assert_eq!(parse_rate("off"), Ok(Rate(None)));
        assert_eq!(parse_rate("10M/s"), Ok(Rate(Some(10_000_000))));
        for text in ["fast", "0", "0k/s", "0.1"] {
            assert!(parse_rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn spans_show_two_units() {
        let shown: Vec<String> = [5, 65, 3_660, 90_000].map(span).to_vec();
        assert_eq!(shown, ["5s", "1m 05s", "1h 01m", "1d 1h"]);
    }
}
