//! The roster: an update is taken whole or not at all, twice is once, and order does not matter.
#![no_main]

use arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use logic::roster::{AddressRecord, BeaconRecord, Roster, RosterUpdate, SignedRecord, View};
use logic::wire::{Address, decode};
use seal::Timestamp;
use seal::beacon::BeaconKey;
use serde_bytes::ByteBuf;
use testkit::forge::bytes;
use warren_fuzz::edit;
use warren_fuzz::forge::Update;
use warren_fuzz::world::{NOW, WORLD, device_key, member_key, sign_anew};

fn record(u: &mut Unstructured<'_>) -> Result<SignedRecord> {
    let key = device_key(u.int_in_range(0..=2)?);
    if u.arbitrary()? {
        let key_bytes = u.arbitrary()?;
        let record = BeaconRecord { generation: u.arbitrary()?, key: BeaconKey::from_bytes(key_bytes) };
        return Ok(SignedRecord::beacon(&key, record));
    }
    let addresses = (0..u.int_in_range(0..=17)?).map(|_| match u.arbitrary()? {
        true => Ok(Address::Relay(u.arbitrary()?)),
        false => Ok(Address::Direct((u.arbitrary::<[u8; 4]>()?, u.arbitrary()?).into())),
    });
    let addresses = addresses.collect::<Result<_>>()?;
    let member = member_key(u.int_in_range(0..=2)?).id();
    Ok(SignedRecord::address(&key, AddressRecord { member, counter: u.arbitrary()?, addresses }))
}

/// An update as an insider may make it: real certificates and lists, changed and signed anew, in any order.
fn update(u: &mut Unstructured<'_>) -> Result<RosterUpdate> {
    let mut update = Update { more: u.arbitrary()?, ..Update::default() };
    let certificates: Vec<_> = WORLD.members.iter().chain(&WORLD.devices).chain([&WORLD.root]).collect();
    for _ in 0..u.int_in_range(0..=6)? {
        let certificate = u.choose(&certificates)?;
        let mut der = certificate.der().to_vec();
        if u.ratio(1, 3)? {
            der = edit(&der, u)?;
            sign_anew(&mut der, &WORLD.seed_of(certificate.facts().issuer_key_id));
        }
        update.certificates.push(ByteBuf::from(der));
    }
    for _ in 0..u.int_in_range(0..=3)? {
        let crl = u.choose(&WORLD.crls)?;
        let mut der = crl.der().to_vec();
        if u.arbitrary()? {
            der = edit(&der, u)?;
            sign_anew(&mut der, &WORLD.seed_of(Some(crl.facts().issuer_key_id)));
        }
        update.crls.push(ByteBuf::from(der));
    }
    for _ in 0..u.int_in_range(0..=4)? {
        update.records.push(record(u)?);
    }
    Ok(decode(&bytes(&update)).expect("the same format"))
}

/// Takes it, and checks what always holds.
fn take(roster: &mut Roster, update: &RosterUpdate, now: Timestamp) -> bool {
    let before = roster.clone();
    let taken = roster.merge(update, now).is_ok();
    if !taken {
        assert!(*roster == before, "a refused update left traces");
        return false;
    }
    let once = roster.digest();
    assert_eq!(roster.merge(update, now), Ok(Vec::new()), "twice is more than once");
    assert_eq!(roster.digest(), once);
    assert_eq!(Roster::from_bytes(&roster.to_bytes()).as_ref(), Ok(&*roster));
    true
}

fn run(data: &[u8]) -> Result<()> {
    let mut u = Unstructured::new(data);
    let now = if u.arbitrary()? { NOW } else { Timestamp(u.arbitrary()?) };
    let base = if u.arbitrary()? { WORLD.roster() } else { Roster::new(WORLD.root.clone()) };
    if u.ratio(1, 4)? {
        let body = edit(&bytes(&WORLD.update()), &mut u)?;
        if let Ok(update) = decode::<RosterUpdate>(&body) {
            let _ = update.check_answer(&base.summary());
            take(&mut base.clone(), &update, now);
        }
        return Ok(());
    }
    let (one, other) = (update(&mut u)?, update(&mut u)?);
    let (mut here, mut there) = (base.clone(), base);
    let both = take(&mut here, &one, now) && take(&mut here, &other, now);
    if both && take(&mut there, &other, now) && take(&mut there, &one, now) {
        assert_eq!(here.digest(), there.digest(), "the order mattered");
        for device in View::new(&here, now).active_devices() {
            assert!(here.chain_of(device.device, now).is_some());
        }
        let mut newcomer = Roster::new(WORLD.root.clone());
        if newcomer.merge(&here.everything(), now).is_ok() {
            assert_eq!(newcomer.digest(), here.digest(), "a newcomer knows something else");
        }
    }
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    let _ = run(data);
});
