//! "Did you mean": the candidate that looks most like what was typed.

/// How alike two names must be, 0 to 1 (Jaro-Winkler).
const ALIKE: f64 = 0.75;

/// The nearest candidate, if one is near enough.
pub(crate) fn nearest<'a>(typed: &str, candidates: &'a [String]) -> Option<&'a str> {
    let typed = typed.to_lowercase();
    candidates
        .iter()
        .map(|name| (strsim::jaro_winkler(&typed, &name.to_lowercase()), name))
        .filter(|(likeness, name)| *likeness >= ALIKE || is_one_slip(&typed, &name.to_lowercase()))
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name.as_str())
}

/// True if one typing slip (a letter wrong, missing, too many, or two swapped) makes one name of the other.
fn is_one_slip(typed: &str, name: &str) -> bool {
    typed.chars().count() > 1 && strsim::damerau_levenshtein(typed, name) == 1
}
