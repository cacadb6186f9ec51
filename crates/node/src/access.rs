//! Opening and re-locking the keystore: the one way from a passphrase to keys. Blocking (Argon2id takes its time).

use api::{ApiError, ApiResult, ErrorCode};
use logic::audit::Event;
use seal::keyring::Loaded;
use seal::vault::{self, Cost, VaultError};
use seal::{Keyring, Passphrase};
use store::home::Home;
use store::keystore::{self, Attempts};

use crate::clock;
use crate::errors::io_error;
use crate::journal::Journal;

/// Keys, and how many wrong passphrases came before the right one.
pub(crate) struct Opened {
    /// The keys.
    pub keyring: Keyring,
    /// Wrong passphrases since the last right one.
    pub failures: u32,
}

/// Opens the keystore. Wrong passphrases cost growing waits, over restarts as well.
pub(crate) fn open(home: &Home, passphrase: &Passphrase) -> ApiResult<Opened> {
    let attempts = Attempts::load(home).map_err(|e| io_error("read the record of failed logins", &e))?;
    let wait = attempts.wait(clock::now());
    if !wait.is_zero() {
        let message = format!("{} wrong passphrases in a row", attempts.failures);
        return Err(
            ApiError::new(ErrorCode::WrongPassphrase, message).hint(format!("try again in {} s", wait.as_secs() + 1))
        );
    }
    let sealed = keystore::load(home).map_err(|e| io_error("read the keystore", &e))?;
    match vault::unlock(&sealed, passphrase) {
        Ok(secrets) => {
            let loaded = Keyring::from_bytes(&secrets).map_err(|e| ApiError::new(ErrorCode::Damaged, e.to_string()))?;
            let keyring = current(home, loaded, &sealed, passphrase)?;
            Attempts::succeed(home).map_err(|e| io_error("clear the record of failed logins", &e))?;
            Ok(Opened { keyring, failures: attempts.failures })
        }
        Err(VaultError::WrongPassphrase) => {
            let attempts = Attempts::fail(home, clock::now()).map_err(|e| io_error("note the failed login", &e))?;
            let wait = attempts.wait(clock::now());
            let error = ApiError::new(ErrorCode::WrongPassphrase, "wrong passphrase");
            Err(if wait.is_zero() {
                error.hint("try again; capitals and the layout of the keyboard count")
            } else {
                error.hint(format!("the next try is possible in {} s", wait.as_secs() + 1))
            })
        }
        Err(VaultError::TooNew) => Err(ApiError::new(ErrorCode::Internal, VaultError::TooNew.to_string())
            .hint("use the newer Warren with this home, as before")),
        Err(error) => Err(ApiError::new(ErrorCode::Damaged, format!("the keystore cannot be opened: {error}"))
            .hint("put back a copy of the file `keystore` from a backup of this home")),
    }
}

/// The keyring as this version has it. What an older one lacked is on disk before anybody uses it.
fn current(home: &Home, loaded: Loaded, sealed: &[u8], passphrase: &Passphrase) -> ApiResult<Keyring> {
    let keyring = match loaded {
        Loaded::Current(keyring) => return Ok(keyring),
        Loaded::Upgraded(keyring) => keyring,
    };
    let resealed = vault::cost(sealed).and_then(|cost| vault::lock(&keyring.to_bytes(), passphrase, cost));
    keystore::replace(home, &resealed.map_err(not_sealed)?).map_err(|e| io_error("store the upgraded keystore", &e))?;
    Ok(keyring)
}

/// Stores the keys of a new device.
pub(crate) fn create(home: &Home, keyring: &Keyring, passphrase: &Passphrase) -> ApiResult<()> {
    keystore::create(home, &lock(keyring, passphrase)?).map_err(|e| io_error("write the keystore", &e))
}

/// Seals the keys under another passphrase. The old one must be right.
pub(crate) fn change(home: &Home, old: &Passphrase, new: &Passphrase) -> ApiResult<Opened> {
    check_new(new)?;
    let opened = open(home, old)?;
    keystore::replace(home, &lock(&opened.keyring, new)?).map_err(|e| io_error("write the keystore", &e))?;
    Ok(opened)
}

/// Notes the wrong passphrases that came before the right one.
pub(crate) fn note_failures(journal: &Journal, failures: u32) {
    if failures > 0 {
        journal.note(Event::LoginFailed { failures, wait_s: keystore::delay(failures).as_secs() });
    }
}

/// Shortest passphrase that is taken, in characters.
const MIN_PASSPHRASE: usize = 8;

/// Refuses passphrases that protect nothing.
pub(crate) fn check_new(passphrase: &Passphrase) -> ApiResult<()> {
    if passphrase.expose().chars().count() < MIN_PASSPHRASE {
        let message = format!("a passphrase needs at least {MIN_PASSPHRASE} characters");
        return Err(ApiError::new(ErrorCode::BadRequest, message)
            .hint("four or five random words are easy to remember and hard to guess"));
    }
    Ok(())
}

fn lock(keyring: &Keyring, passphrase: &Passphrase) -> ApiResult<Vec<u8>> {
    check_new(passphrase)?;
    vault::lock(&keyring.to_bytes(), passphrase, Cost::DEFAULT).map_err(not_sealed)
}

fn not_sealed(error: VaultError) -> ApiError {
    ApiError::new(ErrorCode::Internal, format!("the keystore could not be sealed: {error}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// The same keys as version 1 wrote them: without the read seed.
    fn version_1(keyring: &Keyring) -> Vec<u8> {
        let mut bytes = keyring.to_bytes().to_vec();
        bytes[0] = 1;
        bytes.drain(140..172);
        bytes
    }

    #[test]
    fn keystore_without_read_seed_gets_one_that_lasts() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::create(&folder.path().join("home")).unwrap();
        let (made, passphrase) = (Keyring::generate(), Passphrase::from("correct horse"));
        let old = vault::lock(&version_1(&made), &passphrase, Cost::MINIMUM).unwrap();
        keystore::create(&home, &old).unwrap();

        let first = open(&home, &passphrase).map_err(|e| e.message).unwrap().keyring;
        assert_eq!(first.device.id(), made.device.id());
        let stored = keystore::load(&home).unwrap();
        assert_eq!(vault::cost(&stored), Ok(Cost::MINIMUM), "the passphrase costs what it did");
        let again = open(&home, &passphrase).map_err(|e| e.message).unwrap().keyring;
        assert_eq!(again.to_bytes(), first.to_bytes());
        assert_eq!(keystore::load(&home).unwrap(), stored, "a current keystore is left alone");
    }
}
