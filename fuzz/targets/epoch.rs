//! Sealing keys that a device offers, sealed epoch keys, links between epochs, bodies. What is changed does not open; what
//! is not, does.
#![no_main]

use std::sync::LazyLock;

use arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use seal::body::{self, BodyContext};
use seal::epoch::LinkContext;
use seal::hpke::{HpkePublic, WrapContext, Wrapped, wrap};
use seal::{DeviceId, EpochKey, ReadSeed};
use warren_fuzz::{edit, rest};

const DEVICE: DeviceId = DeviceId::from_bytes([3; 32]);
const WRAP: WrapContext = WrapContext { ledger: [1; 32], realm: [2; 16], number: 7, device: DEVICE };
const LINK: LinkContext = LinkContext { ledger: [1; 32], realm: [2; 16], epoch: [4; 32] };
const BODY: BodyContext =
    BodyContext { ledger: [1; 32], device: DEVICE, seq: 9, realm: [2; 16], epoch: [4; 32], kind: 7 };

/// A device, its offers, and an epoch key sealed to it in both ways.
struct Real {
    seed: ReadSeed,
    key: EpochKey,
    old: EpochKey,
    offers: Vec<(u8, Vec<u8>)>,
    wraps: Vec<Wrapped>,
    links: [Vec<u8>; 2],
}

static REAL: LazyLock<Real> = LazyLock::new(|| {
    let seed = ReadSeed::from_bytes(&[5; 32]);
    let [key, old] = [6, 7].map(|byte| EpochKey::from_bytes(&[byte; 32]));
    let offers = seed.public().offers();
    let classical = HpkePublic::from_offers(offers[1..].iter().map(borrow)).expect("X25519 is enough");
    let wraps = [&seed.public(), &classical].map(|public| wrap(public, &WRAP, &key).expect("honest keys")).into();
    let links = [key.seal_back(&LINK, &old), key.seal_child(&LINK, &old)].map(|link| link.expect("memory"));
    Real { seed, key, old, offers, wraps, links }
});

fn borrow(offer: &(u8, Vec<u8>)) -> (u8, &[u8]) {
    (offer.0, &offer.1)
}

fn run(data: &[u8]) -> Result<()> {
    let (mut u, real) = (Unstructured::new(data), &*REAL);
    match u.int_in_range(0..=4)? {
        0 => {
            let mut offers = real.offers.clone();
            for offer in &mut offers {
                *offer = (u.arbitrary()?, edit(&offer.1, &mut u)?);
            }
            if let Ok(public) = HpkePublic::from_offers(offers.iter().map(borrow)) {
                let again = public.offers();
                assert_eq!(HpkePublic::from_offers(again.iter().map(borrow)).as_ref(), Ok(&public));
                let _ = wrap(&public, &WRAP, &real.key);
            }
        }
        1 => {
            let wrapped = u.choose(&real.wraps)?;
            let (enc, ct) = (edit(&wrapped.enc, &mut u)?, edit(&wrapped.ct, &mut u)?);
            let changed = Wrapped { algorithm: *u.choose(&[1, 2, 2, 3])?, enc, ct };
            let opened = real.seed.unwrap(&WRAP, &changed, &real.key.commitment());
            assert_eq!(opened.is_ok(), changed == *wrapped);
        }
        2 => {
            let which = u.choose_index(2)?;
            let link = edit(&real.links[which], &mut u)?;
            let commitment = real.old.commitment();
            let back = real.key.open_back(&LINK, &link, &commitment);
            let child = real.key.open_child(&LINK, &link, &commitment);
            assert_eq!(back.is_ok(), which == 0 && link == real.links[0]);
            assert_eq!(child.is_ok(), which == 1 && link == real.links[1]);
        }
        3 => {
            let length = u.int_in_range(0..=1000)?;
            let plain = u.bytes(usize::min(length, u.len()))?.to_vec();
            let sealed = body::seal(&real.key, &BODY, &plain).expect("memory");
            assert_eq!(sealed.len(), body::sealed_len(plain.len()));
            let changed = edit(&sealed, &mut u)?;
            let opened = body::open(&real.key, &BODY, &changed).ok();
            assert_eq!(opened, (changed == sealed).then_some(plain));
        }
        _ => assert!(body::open(&real.key, &BODY, rest(&mut u)).is_err()),
    }
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    let _ = run(data);
});
