//! Sealed files: a changed file never gives anything but a beginning of what was sealed, and success only all of it.
//! Passphrases are left out: every try costs half a second by design.
#![no_main]

use arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use seal::file::{OpenWith, decrypt};
use warren_fuzz::edit;
use warren_fuzz::world::{ARMOURED, PLAIN, SEALED, identity};

fn run(data: &[u8]) -> Result<()> {
    let mut u = Unstructured::new(data);
    let sealed = match u.int_in_range(0..=2)? {
        0 => edit(SEALED, &mut u)?,
        1 => edit(ARMOURED, &mut u)?,
        _ => warren_fuzz::rest(&mut u).to_vec(),
    };
    let mut opened = Vec::new();
    let done = decrypt(sealed.as_slice(), &mut opened, OpenWith::Identities(&[identity()]));
    assert!(PLAIN.starts_with(&opened), "something else came out");
    if let Ok(bytes) = done {
        assert_eq!((bytes, opened.as_slice()), (PLAIN.len() as u64, PLAIN));
    }
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    let _ = run(data);
});
