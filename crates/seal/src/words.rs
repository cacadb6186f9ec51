//! Words that people say to each other: pairing codes and safety words (BIP-39 English list, 2048 words, 11 bits each;
//! no two words share their first four letters).
//!
//! A code is four words: the first, the *nameplate*, is public and finds the device that made the code; the other three
//! are 33 secret bits, used in SPAKE2 and nowhere else, so that every guess costs one conversation.

use crate::labels;
use crate::random::random;
use bip39::Language;
use std::fmt;
use std::str::FromStr;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// How many nameplates there are.
pub const NAMEPLATES: u16 = 2048;
/// Words of the secret.
const SECRET_WORDS: usize = 3;
/// Words of a code: nameplate and secret.
const CODE_WORDS: usize = 1 + SECRET_WORDS;
/// Words that compare two devices: 66 bits.
const SAFETY_WORDS: usize = 6;
/// How many words [`suggest`] offers at most.
const SUGGESTIONS: usize = 5;

/// A pairing code. `Display` gives the words (`acid-brave-cargo-dune`), `Debug` only the nameplate.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Code {
    nameplate: u16,
    secret: [u16; SECRET_WORDS],
}

/// Why a text is not a code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCode {
    /// A code has four words.
    #[error("a code has four words, not {0}")]
    WordCount(usize),
    /// A word that is not in the list, with the words that may be meant.
    #[error("{word:?} is not a word of a code")]
    UnknownWord {
        /// As it was typed, shortened.
        word: String,
        /// From [`suggest`].
        suggestions: Vec<&'static str>,
    },
}

impl Code {
    /// A code with a fresh secret at this nameplate (taken modulo [`NAMEPLATES`]).
    #[must_use]
    pub fn generate(nameplate: u16) -> Self {
        let secret = std::array::from_fn(|_| u16::from_be_bytes(random()) % NAMEPLATES);
        Self { nameplate: nameplate % NAMEPLATES, secret }
    }

    /// Reads a code as people type it: any case, blanks or hyphens, words shortened to a unique beginning.
    ///
    /// # Errors
    /// [`BadCode`] says which word is wrong and what may be meant.
    pub fn parse(text: &str) -> Result<Self, BadCode> {
        let typed: Vec<String> =
            text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect();
        let typed: [String; CODE_WORDS] = typed.try_into().map_err(|words: Vec<_>| BadCode::WordCount(words.len()))?;
        let mut indices = [0; CODE_WORDS];
        for (index, word) in indices.iter_mut().zip(&typed) {
            *index = find(word).ok_or_else(|| BadCode::UnknownWord {
                word: word.chars().take(16).collect(),
                suggestions: suggest(word),
            })?;
        }
        let [nameplate, secret @ ..] = indices;
        Ok(Self { nameplate, secret })
    }

    /// Where the code is offered; public.
    #[must_use]
    pub fn nameplate(&self) -> u16 {
        self.nameplate
    }

    /// The secret for SPAKE2: three word numbers, big endian.
    #[must_use]
    pub fn secret(&self) -> [u8; 2 * SECRET_WORDS] {
        let [a, b, c] = self.secret.map(u16::to_be_bytes);
        [a[0], a[1], b[0], b[1], c[0], c[1]]
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(word(self.nameplate))?;
        self.secret.iter().try_for_each(|&index| write!(f, "-{}", word(index)))
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Code({}-***)", word(self.nameplate))
    }
}

impl FromStr for Code {
    type Err = BadCode;

    fn from_str(text: &str) -> Result<Self, BadCode> {
        Self::parse(text)
    }
}

/// Words of the list that begin with `prefix`; when there is none, those that differ from it
/// least, by two letters at most.
#[must_use]
pub fn suggest(prefix: &str) -> Vec<&'static str> {
    let prefix: String = prefix.chars().take(16).flat_map(char::to_lowercase).collect();
    let beginning = Language::English.words_by_prefix(&prefix);
    if !prefix.is_empty() && !beginning.is_empty() {
        return beginning.iter().copied().take(SUGGESTIONS).collect();
    }
    let distances = list().iter().map(|word| (distance(&prefix, word), *word));
    let nearest = distances.clone().map(|(distance, _)| distance).min().unwrap_or(usize::MAX);
    let near = distances.filter(|(distance, _)| *distance == nearest && nearest <= 2).map(|(_, word)| word);
    near.take(SUGGESTIONS).collect()
}

/// Six words (66 bits) that two people compare to know that their devices saw the same `parts`, in the same order.
#[must_use]
pub fn safety_words(parts: &[&[u8]]) -> String {
    let mut hasher = blake3::Hasher::new_derive_key(labels::SAFETY_WORDS);
    for part in parts {
        hasher.update(&(part.len() as u64).to_be_bytes()).update(part);
    }
    let mut bytes = [0; 16];
    hasher.finalize_xof().fill(&mut bytes);
    let bits = u128::from_be_bytes(bytes);
    let words: Vec<_> = (1..=SAFETY_WORDS).map(|i| word((bits >> (128 - 11 * i) & 0x7ff) as u16)).collect();
    words.join(" ")
}

fn list() -> &'static [&'static str; 2048] {
    Language::English.word_list()
}

fn word(index: u16) -> &'static str {
    list()[usize::from(index % NAMEPLATES)]
}

/// The number of a word, given whole or by a beginning that only one word has.
fn find(typed: &str) -> Option<u16> {
    if let Some(index) = Language::English.find_word(typed) {
        return Some(index);
    }
    match Language::English.words_by_prefix(typed) {
        [only] => Language::English.find_word(only),
        _ => None,
    }
}

/// Levenshtein distance: how many letters must be put in, taken out or changed.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let changed = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
