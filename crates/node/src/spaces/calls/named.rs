//! Which space a name means.
//!
//! Invariants: a whole id beats every name; of two spaces with one name neither is meant by that name alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::{ApiError, ApiResult, ErrorCode};
use logic::ledger::{CommitId, RealmId};
use logic::space::Tree;
use seal::pki::{name_key, valid_name};

use super::Calls;
use super::people::People;
use super::scene::Scene;
use crate::spaces::{Kept, SpaceFault};

/// Digits of an id that name a space, at least.
const ID_PREFIX: usize = 4;
/// Digits of an id that stand for a name.
const SHORT: usize = 8;

/// Spaces by the names that commands know them by here.
pub(super) struct Named {
    /// Name, its own name, space.
    all: Vec<(String, String, Arc<Kept>)>,
}

/// Checks the name of a space.
pub(super) fn check(name: &str) -> ApiResult<()> {
    let bad = |why: String| ApiError::new(ErrorCode::BadRequest, format!("{name:?} is no name for a space: {why}"));
    if name.contains(':') {
        return Err(bad("it must not contain a colon".into()).hint("SPACE:PATH is how paths in a space are written"));
    }
    if is_id_like(name) {
        return Err(bad("it looks like the id of a space".into()));
    }
    valid_name(name).map_err(|why| bad(why.to_string()))
}

fn is_id_like(name: &str) -> bool {
    name.len() >= SHORT && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn short(id: CommitId) -> String {
    id.to_string().chars().take(SHORT).collect()
}

/// The name that a space has: its root's, or that of the first part that is shared with this device.
pub(super) fn own_name(kept: &Kept) -> Result<Option<String>, SpaceFault> {
    let valid = |name: Vec<u8>| String::from_utf8(name).ok().filter(|name| check(name).is_ok());
    let root = kept.space.tree(|tree: &Tree<_>| Ok(tree.realm_name(RealmId::ROOT)?))?;
    if let Some(name) = root.and_then(valid) {
        return Ok(Some(name));
    }
    let parts = Scene::of(&kept.space)?.parts;
    Ok(parts.into_iter().find_map(|part| valid(part.name)))
}

impl Calls {
    pub(super) fn people(&self) -> ApiResult<People> {
        People::of(&self.circle, &self.book)
    }

    /// All spaces by name.
    pub(super) fn named(&self) -> Result<Named, SpaceFault> {
        let people = self.people()?;
        let mut all = Vec::new();
        for kept in self.spaces.all() {
            let own = own_name(&kept)?.unwrap_or_else(|| short(kept.space.id()));
            all.push((own.clone(), own, kept));
        }
        let count = |all: &[(String, String, Arc<Kept>)]| {
            let mut counts: BTreeMap<String, usize> = BTreeMap::new();
            all.iter().for_each(|(name, _, _)| *counts.entry(name_key(name)).or_default() += 1);
            counts
        };
        let counts = count(&all);
        for (name, own, kept) in all.iter_mut().filter(|(name, _, _)| counts[&name_key(name)] > 1) {
            let founder = kept.space.look(|ledger, _| Ok(ledger.judgement().founder()))?;
            *name = format!("{own} ({})", people.name(founder));
        }
        let counts = count(&all);
        for (name, _, kept) in all.iter_mut().filter(|(name, _, _)| counts[&name_key(name)] > 1) {
            *name = format!("{name} {}", short(kept.space.id()));
        }
        all.sort_by_key(|one| (name_key(&one.0), one.2.space.id()));
        Ok(Named { all })
    }

    /// The space that a name or the beginning of an id means, and its name here.
    pub(super) fn find(&self, name: &str) -> Result<(Arc<Kept>, String), SpaceFault> {
        self.named()?.find(name)
    }
}

impl Named {
    /// Every space with its name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<Kept>, &str)> {
        self.all.iter().map(|(name, _, kept)| (kept, name.as_str()))
    }

    fn find(self, name: &str) -> Result<(Arc<Kept>, String), SpaceFault> {
        let (key, lower) = (name_key(name), name.to_lowercase());
        let whole = self.all.iter().position(|(_, _, kept)| kept.space.id().to_string() == lower);
        let by_id = |kept: &Kept| lower.len() >= ID_PREFIX && kept.space.id().to_string().starts_with(&lower);
        let shown: Vec<_> = self.indexes(|(shown, _, _)| name_key(shown) == key);
        let own: Vec<_> = if shown.is_empty() { self.indexes(|(_, own, _)| name_key(own) == key) } else { shown };
        let mut hits = [own, self.indexes(|(_, _, kept)| by_id(kept))].concat();
        hits.sort_unstable();
        hits.dedup();
        let hits = whole.map_or(hits, |one| vec![one]);
        match hits.as_slice() {
            [one] => Ok((self.all[*one].2.clone(), self.all[*one].0.clone())),
            [] => Err(self.unknown(name).into()),
            several => {
                let names: Vec<_> = several
                    .iter()
                    .map(|&hit| format!("{} ({})", self.all[hit].0, short(self.all[hit].2.space.id())))
                    .collect();
                Err(ApiError::new(ErrorCode::BadRequest, format!("{name} means more than one space"))
                    .hint(format!("write one of {}", names.join(", ")))
                    .into())
            }
        }
    }

    fn indexes(&self, test: impl Fn(&(String, String, Arc<Kept>)) -> bool) -> Vec<usize> {
        self.all.iter().enumerate().filter(|(_, one)| test(one)).map(|(index, _)| index).collect()
    }

    fn unknown(&self, name: &str) -> ApiError {
        let error = ApiError::new(ErrorCode::NotFound, format!("there is no space called {name} here"));
        let near = self.all.iter().filter_map(|(known, _, _)| {
            let far = strsim::levenshtein(&known.to_lowercase(), &name.to_lowercase());
            (far <= 1 + known.chars().count() / 3).then_some((far, known))
        });
        match near.min() {
            Some((_, known)) => error.hint(format!("did you mean {known}?")),
            None if self.all.is_empty() => error.hint("there is none yet: `warren space create NAME` makes one"),
            None => {
                let names: Vec<_> = self.all.iter().map(|(name, _, _)| name.as_str()).collect();
                error.hint(format!("there are {}", names.join(", ")))
            }
        }
    }
}
