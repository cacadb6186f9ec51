//! Who holds what: namespaces, their totals and quotas.
//!
//! A hold is a row of an object's number and a tag: a keyed hash of namespace and object. Whoever has the database
//! without its key sees how many hold an object, but not which objects are held by the same. Totals are sealed.

use rusqlite::Connection;
use seal::Timestamp;
use serde::{Deserialize, Serialize};

use super::pack::ObjectId;
use super::{Numbers, ObjectError, ObjectStore, index};

/// Rows that are looked at or changed in one step, so that others get their turn.
const STEP: usize = 1000;

/// Milliseconds.
const HOUR: i64 = 3_600_000;

/// Whoever holds objects: a space by the id of its ledger, later the owner of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Namespace(pub [u8; 32]);

/// What a namespace holds. An object counts in full for each namespace that holds it, so that nobody learns from the
/// numbers what others hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Number of objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The most bytes that it may hold; `None`: no limit.
    pub quota: Option<u64>,
}

/// Where a listing of what a namespace holds goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HeldPlace(i64);

impl HeldPlace {
    /// A place that was stored.
    pub fn from_number(number: u64) -> Self {
        Self(index::signed(number))
    }

    /// To store it. Numbers are as good as the index: made anew, it has others.
    pub const fn number(self) -> u64 {
        self.0.unsigned_abs()
    }
}

/// A keyed hash of namespace and object.
pub(super) type Tag = [u8; 16];

/// [`Usage`] as it is stored.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) enum Holding {
    V1 { objects: u64, bytes: u64, quota: Option<u64> },
}

impl From<Usage> for Holding {
    fn from(Usage { objects, bytes, quota }: Usage) -> Self {
        Self::V1 { objects, bytes, quota }
    }
}

impl From<Holding> for Usage {
    fn from(Holding::V1 { objects, bytes, quota }: Holding) -> Self {
        Self { objects, bytes, quota }
    }
}

/// Makes the tags of one namespace.
struct Tagger([u8; 32]);

impl Tagger {
    fn tag(&self, id: &ObjectId) -> Tag {
        *blake3::keyed_hash(&self.0, id.as_bytes()).as_bytes().first_chunk().expect("a hash has 32 bytes")
    }
}

impl ObjectStore {
    /// What `namespace` holds, and may hold.
    pub fn usage(&self, namespace: &Namespace) -> Result<Usage, ObjectError> {
        self.usage_in(&self.database.connection(), namespace)
    }

    /// Sets or lifts the limit of what `namespace` may hold. What it holds already stays, also above the limit.
    pub fn set_quota(&self, namespace: &Namespace, quota: Option<u64>) -> Result<(), ObjectError> {
        self.change(|transaction| {
            let usage = Usage { quota, ..self.usage_in(transaction, namespace)? };
            Ok(self.holdings.put_in(transaction, &namespace.0, &usage.into())?)
        })
    }

    /// Lets `namespace` hold objects that are here; returns those that are not. Trusts the caller that the namespace
    /// may have them: never to be done on the bare word of a peer, who could find out what others hold.
    pub fn hold(&self, namespace: &Namespace, ids: &[ObjectId]) -> Result<Vec<ObjectId>, ObjectError> {
        let _writer = self.writer();
        let mut absent = Vec::new();
        for ids in ids.chunks(STEP) {
            let mut here = Vec::new();
            let connection = self.database.connection();
            for id in ids {
                match index::find(&connection, id)? {
                    Some(row) if row.is_here() => here.push((*id, row.len)),
                    _ => absent.push(*id),
                }
            }
            drop(connection);
            self.check_quota(namespace, &here)?;
            self.change(|transaction| self.hold_in(transaction, namespace, &here, &Numbers::new()))?;
        }
        Ok(absent)
    }

    /// Which of `ids` are here and held by `namespace`: what somebody may be given who has a right to it and to no other.
    pub fn holding(&self, namespace: &Namespace, ids: &[ObjectId]) -> Result<Vec<bool>, ObjectError> {
        let tagger = self.tagger(namespace);
        let connection = self.database.connection();
        let one = |id: &ObjectId| match index::find(&connection, id)? {
            Some(row) if row.is_here() => index::holds(&connection, row.number, &tagger.tag(id)),
            _ => Ok(false),
        };
        ids.iter().map(one).collect()
    }

    /// Does `namespace` hold an object, be it here or not?
    pub fn is_held(&self, namespace: &Namespace, id: &ObjectId) -> Result<bool, ObjectError> {
        let (tagger, connection) = (self.tagger(namespace), self.database.connection());
        match index::find(&connection, id)? {
            Some(row) => index::holds(&connection, row.number, &tagger.tag(id)),
            None => Ok(false),
        }
    }

    /// Lets `namespace` hold these no more. What nobody holds then is removed after a time of grace, which begins now.
    pub fn release(&self, namespace: &Namespace, ids: &[ObjectId], now: Timestamp) -> Result<(), ObjectError> {
        let tagger = self.tagger(namespace);
        let _writer = self.writer();
        for ids in ids.chunks(STEP) {
            self.change(|transaction| {
                let mut usage = self.usage_in(transaction, namespace)?;
                for id in ids {
                    let Some(row) = index::find(transaction, id)? else { continue };
                    if index::release(transaction, &row, &tagger.tag(id), begun_hours(now))? {
                        usage.objects = usage.objects.saturating_sub(1);
                        usage.bytes = usage.bytes.saturating_sub(row.len.into());
                    }
                }
                Ok(self.holdings.put_in(transaction, &namespace.0, &usage.into())?)
            })?;
        }
        Ok(())
    }

    /// What `namespace` holds, in no order that means anything, a slice at a time: begins at the default place, and ends
    /// when there is no place to go on. What comes to be held or is released meanwhile may be missing or not.
    pub fn held(
        &self,
        namespace: &Namespace,
        place: HeldPlace,
    ) -> Result<(Vec<ObjectId>, Option<HeldPlace>), ObjectError> {
        let tagger = self.tagger(namespace);
        let connection = self.database.connection();
        let rows = index::after(&connection, place.0, STEP)?;
        let mut held = Vec::new();
        for row in &rows {
            if index::holds(&connection, row.number, &tagger.tag(&row.id))? {
                held.push(row.id);
            }
        }
        Ok((held, rows.last().map(|row| HeldPlace(row.number))))
    }

    /// Lets `namespace` hold nothing any more, and forgets its quota. Goes on where it was cut off when called again.
    pub fn forget(&self, namespace: &Namespace, now: Timestamp) -> Result<(), ObjectError> {
        let mut next = Some(HeldPlace::default());
        while let Some(place) = next {
            let (held, after) = self.held(namespace, place)?;
            self.release(namespace, &held, now)?;
            next = after;
        }
        self.holdings.delete(&namespace.0)?;
        Ok(())
    }

    /// Lets `namespace` hold these, which the index has, and counts them. Numbers that are known need not be looked up.
    pub(super) fn hold_in(
        &self,
        transaction: &Connection,
        namespace: &Namespace,
        objects: &[(ObjectId, u32)],
        numbers: &Numbers,
    ) -> Result<(), ObjectError> {
        let tagger = self.tagger(namespace);
        let mut usage = self.usage_in(transaction, namespace)?;
        for (id, len) in objects {
            let number = match numbers.get(id) {
                Some(number) => *number,
                None => index::find(transaction, id)?.ok_or(ObjectError::Missing(*id))?.number,
            };
            if index::hold(transaction, number, &tagger.tag(id))? {
                usage.objects += 1;
                usage.bytes = usage.bytes.saturating_add((*len).into());
            }
        }
        Ok(self.holdings.put_in(transaction, &namespace.0, &usage.into())?)
    }

    /// May `namespace` hold these as well? Only for whoever is the writer: nothing changes until it has held them.
    pub(super) fn check_quota(&self, namespace: &Namespace, objects: &[(ObjectId, u32)]) -> Result<(), ObjectError> {
        let connection = self.database.connection();
        let Usage { bytes: used, quota: Some(quota), .. } = self.usage_in(&connection, namespace)? else {
            return Ok(());
        };
        let fits = |wanted: u64| used.saturating_add(wanted) <= quota;
        if fits(objects.iter().map(|(_, len)| u64::from(*len)).sum()) {
            return Ok(());
        }
        let (tagger, mut wanted) = (self.tagger(namespace), 0);
        let mut seen = std::collections::HashSet::new();
        for (id, len) in objects {
            let held = match index::find(&connection, id)? {
                Some(row) => index::holds(&connection, row.number, &tagger.tag(id))?,
                None => false,
            };
            wanted += if held || !seen.insert(id) { 0 } else { u64::from(*len) };
        }
        if wanted == 0 || fits(wanted) { Ok(()) } else { Err(ObjectError::OverQuota { quota, used, wanted }) }
    }

    fn usage_in(&self, index: &Connection, namespace: &Namespace) -> Result<Usage, ObjectError> {
        Ok(self.holdings.get_in(index, &namespace.0)?.map(Usage::from).unwrap_or_default())
    }

    fn tagger(&self, namespace: &Namespace) -> Tagger {
        let secret = self.database.key().blind("object holds", &namespace.0);
        Tagger(blake3::derive_key("warren 2026-11 object hold tag v1", &secret))
    }
}

/// Times are stored in hours: a locked home says no more than the packs' own times. Rounded up, so that grace is never
/// shortened.
pub(super) fn begun_hours(time: Timestamp) -> i64 {
    past_hours(Timestamp(time.0.saturating_add(HOUR - 1)))
}

/// Hours that are over.
pub(super) fn past_hours(time: Timestamp) -> i64 {
    time.0.div_euclid(HOUR)
}
