//! PEM bundles: what is read is written and read back as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seal::pki::Bundle;

fuzz_target!(|text: &str| {
    if let Ok(bundle) = Bundle::from_pem(text) {
        assert_eq!(Bundle::from_pem(&bundle.to_pem()), Ok(bundle));
    }
});
