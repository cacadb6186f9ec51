//! The keys of a space's realms: which of them this device has, how it comes by them, and how new ones are made.
//!
//! A key comes from its own commit (sealed to this device), from the epoch after it (back link) or from the realm around
//! (child link); whichever way, it is the one that its commit commits to. What is stored is sealed by the store.

use logic::ledger::{Control, EpochId, Ledger, Link, RealmId, Rekey, SealingKey, Wrap};
use seal::DeviceId;
use seal::epoch::{EpochKey, LinkContext};
use seal::hpke::{HpkePublic, ReadSeed, WrapContext, Wrapped, wrap};
use serde_bytes::ByteBuf;
use store::space::{Reader, SpaceError, Transaction};

use super::SpaceFault;

/// Under which kind of value the keys are stored.
const EPOCHS: &str = "epoch";

/// Who looks for keys, and where.
pub(super) struct Seeker<'a> {
    pub(super) device: DeviceId,
    pub(super) seed: &'a ReadSeed,
    pub(super) ledger: &'a Ledger,
}

/// A key that is here.
pub(super) fn key(store: &Reader<'_>, epoch: &EpochId) -> Result<Option<EpochKey>, SpaceError> {
    let bytes = store.value(EPOCHS, epoch.as_bytes())?;
    Ok(bytes.and_then(|bytes| bytes.as_slice().try_into().ok()).map(|bytes| EpochKey::from_bytes(&bytes)))
}

fn keep(store: &Transaction<'_>, epoch: &EpochId, key: &EpochKey) -> Result<(), SpaceError> {
    store.set_value(EPOCHS, epoch.as_bytes(), key.as_bytes())
}

impl Seeker<'_> {
    /// Takes every key out of this commit and those that it leads to; says which are new, with their realms.
    pub(super) fn learn(&self, from: EpochId, store: &Transaction<'_>) -> Result<Vec<(RealmId, EpochId)>, SpaceError> {
        let mut learned = Vec::new();
        let mut open = vec![from];
        while let Some(epoch) = open.pop() {
            let Some((realm, rekey)) = self.rekey(epoch) else { continue };
            let known = key(store, &epoch)?;
            let fresh = known.is_none();
            let Some(key) = known.map_or_else(|| self.find(epoch, realm, rekey, store), |key| Ok(Some(key)))? else {
                continue;
            };
            if fresh {
                keep(store, &epoch, &key)?;
                learned.push((realm, epoch));
            }
            if let Some(older) = self.older(realm, rekey, &key, store)? {
                learned.push((realm, older));
                open.push(older);
            }
            if fresh {
                open.extend(self.inside(epoch));
            }
        }
        Ok(learned)
    }

    fn rekey(&self, epoch: EpochId) -> Option<(RealmId, &Rekey)> {
        let commit = self.ledger.control(&epoch)?;
        match commit.control()? {
            Control::Rekey(rekey) => Some((commit.header().realm, rekey)),
            _ => None,
        }
    }

    /// The key of an epoch from its own commit.
    fn find(
        &self,
        epoch: EpochId,
        realm: RealmId,
        rekey: &Rekey,
        store: &Transaction<'_>,
    ) -> Result<Option<EpochKey>, SpaceError> {
        let context = WrapContext {
            ledger: *self.ledger.id().as_bytes(),
            realm: *realm.as_bytes(),
            number: rekey.number,
            device: self.device,
        };
        let own = rekey.wraps.iter().find(|wrap| wrap.device == self.device).map(|wrap| Wrapped {
            algorithm: wrap.algorithm,
            enc: wrap.enc.to_vec(),
            ct: wrap.ct.to_vec(),
        });
        match own.map(|wrapped| self.seed.unwrap(&context, &wrapped, &rekey.commitment)) {
            Some(Ok(key)) => return Ok(Some(key)),
            Some(Err(error)) => tracing::warn!(%epoch, %error, "a key that was sealed for this device does not open"),
            None => {}
        }
        let Some(link) = &rekey.parent else { return Ok(None) };
        let Some(parent) = key(store, &link.epoch)? else { return Ok(None) };
        Ok(parent.open_child(&self.context(realm, link), &link.sealed, &rekey.commitment).ok())
    }

    /// The epoch before, if the link to it opens and its key was not here.
    fn older(
        &self,
        realm: RealmId,
        rekey: &Rekey,
        key: &EpochKey,
        store: &Transaction<'_>,
    ) -> Result<Option<EpochId>, SpaceError> {
        let Some(link) = &rekey.back else { return Ok(None) };
        if self::key(store, &link.epoch)?.is_some() {
            return Ok(None);
        }
        let Some((_, before)) = self.rekey(link.epoch) else { return Ok(None) };
        match key.open_back(&self.context(realm, link), &link.sealed, &before.commitment) {
            Ok(older) => keep(store, &link.epoch, &older).map(|()| Some(link.epoch)),
            Err(error) => {
                tracing::warn!(epoch = %link.epoch, %error, "the way back to an older key does not open");
                Ok(None)
            }
        }
    }

    /// Epochs of realms inside whose keys lie under this one's.
    fn inside(&self, epoch: EpochId) -> Vec<EpochId> {
        let rekeys = self.ledger.judgement().controls().filter_map(|(id, _)| Some((id, self.rekey(id)?.1)));
        rekeys
            .filter(|(_, rekey)| rekey.parent.as_ref().is_some_and(|link| link.epoch == epoch))
            .map(|(id, _)| id)
            .collect()
    }

    fn context(&self, realm: RealmId, link: &Link) -> LinkContext {
        LinkContext { ledger: *self.ledger.id().as_bytes(), realm: *realm.as_bytes(), epoch: *link.epoch.as_bytes() }
    }

    /// A new key for a realm, sealed to every device that may read it now.
    pub(super) fn renew(&self, realm: RealmId, store: &Reader<'_>) -> Result<Rekey, SpaceFault> {
        let judgement = self.ledger.judgement();
        let fresh = EpochKey::generate();
        let number = judgement.epochs(realm).len() as u64 + 1;
        let context =
            |device| WrapContext { ledger: *self.ledger.id().as_bytes(), realm: *realm.as_bytes(), number, device };
        let mut wraps = Vec::new();
        for device in judgement.readers(realm) {
            // A device that offers no usable key cannot be given one: it sees that it waits for it.
            let Some(wrapped) = sealing(self.ledger, device).and_then(|to| wrap(&to, &context(device), &fresh).ok())
            else {
                tracing::warn!(device = %device.short(), "a device offers no key to which another could be sealed");
                continue;
            };
            let Wrapped { algorithm, enc, ct } = wrapped;
            wraps.push(Wrap { device, algorithm, enc: ByteBuf::from(enc), ct: ByteBuf::from(ct) });
        }
        let back = match judgement.epochs(realm).last().map(|epoch| epoch.id) {
            Some(before) => key(store, &before)?.map(|key| (before, key)),
            None => None,
        };
        let back = match back {
            Some((epoch, old)) => {
                let link = Link { epoch, sealed: ByteBuf::new() };
                let sealed = fresh.seal_back(&self.context(realm, &link), &old)?;
                Some(Link { epoch, sealed: ByteBuf::from(sealed) })
            }
            None => None,
        };
        let parent = self.under_parent(realm, &fresh, store)?;
        Ok(Rekey { number, commitment: fresh.commitment(), wraps, back, parent })
    }

    fn under_parent(&self, realm: RealmId, fresh: &EpochKey, store: &Reader<'_>) -> Result<Option<Link>, SpaceFault> {
        let judgement = self.ledger.judgement();
        let Some(around) = judgement.realm(realm).filter(|facts| facts.inherit).map(|facts| facts.parent) else {
            return Ok(None);
        };
        let Some(epoch) = judgement.writers_epoch(around).map(|epoch| epoch.id) else { return Ok(None) };
        // Not under a key that somebody can have who may not read inside: this one would never be clean.
        let inside = judgement.readers(realm);
        if !judgement.holders(around, epoch).is_some_and(|devices| devices.is_subset(&inside)) {
            return Ok(None);
        }
        let Some(outer) = key(store, &epoch)? else { return Ok(None) };
        let link = Link { epoch, sealed: ByteBuf::new() };
        let sealed = outer.seal_child(&self.context(realm, &link), fresh)?;
        Ok(Some(Link { epoch, sealed: ByteBuf::from(sealed) }))
    }
}

/// To what keys for a device are sealed, by its first commit.
fn sealing(ledger: &Ledger, device: DeviceId) -> Option<HpkePublic> {
    let entered = ledger.judgement().devices().find(|(id, _)| *id == device)?.1.entered;
    let entry = match ledger.control(&entered)?.control()? {
        Control::Genesis { entry, .. } | Control::Enter(entry) => entry,
        _ => return None,
    };
    HpkePublic::from_offers(entry.sealing.iter().map(|key| (key.algorithm, &key.public[..]))).ok()
}

/// What a device offers in its first commit.
pub(super) fn offers(seed: &ReadSeed) -> Vec<SealingKey> {
    let offers = seed.public().offers().into_iter();
    offers.map(|(algorithm, public)| SealingKey { algorithm, public: ByteBuf::from(public) }).collect()
}

/// True if somebody may read a realm and has not got its newest key though it could be given one, or can have it and may
/// not.
pub(super) fn is_due(ledger: &Ledger, realm: RealmId) -> bool {
    let judgement = ledger.judgement();
    let Some(epoch) = judgement.writers_epoch(realm).filter(|epoch| epoch.clean) else { return true };
    let control = ledger.control(&epoch.id).and_then(|commit| commit.control());
    let Some(Control::Rekey(rekey)) = control else { return true };
    let has = |device: &DeviceId| rekey.wraps.iter().any(|wrap| wrap.device == *device);
    // Who offers nothing to seal a key to would not have the next one either.
    let lacks = |device: &DeviceId| !has(device) && sealing(ledger, *device).is_some();
    judgement.readers(realm).iter().any(lacks)
}
