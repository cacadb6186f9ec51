//! The system's randomness, for keys, nonces, salts and serial numbers.

/// `N` unpredictable bytes from the operating system.
///
/// # Panics
/// When the operating system cannot provide randomness: nothing can be done safely then.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("a system without randomness cannot run this safely");
    bytes
}
