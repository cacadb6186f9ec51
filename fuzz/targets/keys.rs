//! Keyrings, keystores and stored rosters.
#![no_main]

use arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use logic::roster::Roster;
use seal::keyring::Loaded;
use seal::vault::{self, CostFloor};
use seal::{Keyring, Passphrase};
use warren_fuzz::edit;
use warren_fuzz::world::WORLD;

/// As `docs/formats/keystore.md` has it.
const CHECKSUM: &str = "warren 2026-11 key file checksum v1";

fn run(data: &[u8]) -> Result<()> {
    let mut u = Unstructured::new(data);
    match u.int_in_range(0..=2)? {
        0 => {
            let bytes = warren_fuzz::rest(&mut u);
            if let Ok(loaded) = Keyring::from_bytes(bytes) {
                // The identity's text may be in either case; what is written is stable, and current.
                let written = loaded.into_keyring().to_bytes();
                let Ok(Loaded::Current(again)) = Keyring::from_bytes(&written) else { panic!("what was written") };
                assert_eq!(*again.to_bytes(), *written);
            }
        }
        1 => {
            // The checksum at the end is no secret: make it right, so that what lies behind is reached.
            let mut file = warren_fuzz::rest(&mut u).to_vec();
            file.extend(blake3::derive_key(CHECKSUM, &file).iter().take(16));
            if let Ok(cost) = vault::cost(&file)
                && cost.m_kib() <= 64
                && cost.t() <= 4
                && cost.p() <= 2
            {
                let opened = vault::unlock_above(&file, &Passphrase::from("x".to_owned()), CostFloor::TestsOnly);
                assert!(opened.is_err(), "a keystore from nowhere opened");
            }
            assert!(vault::cost(&file[..file.len() - 1]).is_err());
        }
        _ => {
            let bytes = edit(&WORLD.roster().to_bytes(), &mut u)?;
            if let Ok(roster) = Roster::from_bytes(&bytes) {
                assert_eq!(Roster::from_bytes(&roster.to_bytes()).as_ref(), Ok(&roster));
            }
        }
    }
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    let _ = run(data);
});
