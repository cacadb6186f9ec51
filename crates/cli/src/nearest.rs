//! "Did you mean": the candidate that looks most like what was typed.

/// How alike two names must be, 0 to 1 (Jaro-Winkler).
const ALIKE: f64 = 0.75;

/// The nearest candidate, if one is near enough.
pub(crate) fn nearest<'a>(typed: &str, candidates: &'a [String]) -> Option<&'a str> {
    let typed = typed.to_lowercase();
    candidates
        .iter()
        .map(|name| (strsim::jaro_winkler(&typed, &name.to_lowercase()), name))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name.as_str())
}
