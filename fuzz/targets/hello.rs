//! The hello: bytes of strangers never prove anything; an insider with real keys proves itself and nobody else.
#![no_main]

use arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use logic::hello::{Dialer, PeerProven, Responder};
use logic::wire::decode;
use serde_bytes::ByteBuf;
use testkit::forge::{Hello, Signed, Statement, bytes};
use warren_fuzz::edit;
use warren_fuzz::world::{NOW, WORLD, device_key, sign_anew};

/// A statement changed as bytes, or in its fields, certificates signed anew.
fn bent(honest: &[u8], u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    if u.arbitrary()? {
        return edit(honest, u);
    }
    let mut statement: Statement = decode(honest).expect("an honest statement");
    if u.arbitrary()? {
        statement.versions = u.arbitrary()?;
        statement.chosen = u.arbitrary()?;
    }
    let at = u.choose_index(statement.chain.len())?;
    let mut der = edit(&statement.chain[at], u)?;
    let facts = WORLD.chain(1)[at].facts().issuer_key_id;
    sign_anew(&mut der, &WORLD.seed_of(facts));
    statement.chain[at] = ByteBuf::from(der);
    if u.arbitrary()? {
        statement.chain.swap_remove(at);
    }
    if let (true, false) = (u.arbitrary()?, statement.crls.is_empty()) {
        let at = u.choose_index(statement.crls.len())?;
        let mut der = edit(&statement.crls[at], u)?;
        sign_anew(&mut der, &WORLD.seed_of(Some(WORLD.crls[at].facts().issuer_key_id)));
        statement.crls[at] = ByteBuf::from(der);
    }
    Ok(bytes(&statement))
}

fn is_peer(proven: &PeerProven, who: u8) {
    assert_eq!(proven.device(), device_key(who).id());
    assert!(seal::pki::valid_name(proven.member_name()).is_ok() && seal::pki::valid_name(proven.device_name()).is_ok());
    assert!(proven.certificate_ends_at() > NOW);
}

fn run(data: &[u8]) -> Result<()> {
    let mut u = Unstructured::new(data);
    let (ada, bea) = (WORLD.credentials(0), WORLD.credentials(1));
    let (of_ada, of_bea) = (WORLD.context(0), WORLD.context(1));
    let start = || Dialer::start(&device_key(1), &bea, of_bea).expect("own credentials");
    match u.int_in_range(0..=4)? {
        0 => {
            let hello = warren_fuzz::rest(&mut u);
            let answer = Responder::new(of_ada).answer(hello, &device_key(0), &ada, NOW);
            assert!(answer.is_err(), "a stranger was proven");
        }
        1 => assert!(start().0.finish(warren_fuzz::rest(&mut u), &bea, NOW).is_err(), "a stranger was proven"),
        2 => {
            let (_, hello) = start();
            let body = edit(hello.body(), &mut u)?;
            let answer = Responder::new(of_ada).answer(&body, &device_key(0), &ada, NOW);
            assert!(answer.is_err() || decode::<Hello>(&body).is_ok(), "a changed hello was taken");
            if let Ok((proven, _)) = answer {
                is_peer(&proven, 1);
            }
        }
        3 => {
            let Hello::Hello(signed) = decode(start().1.body()).expect("an honest hello") else { panic!("a hello") };
            let statement = bent(&signed.statement, &mut u)?;
            let hello = bytes(&Hello::Hello(Signed::make(&device_key(1), b'D', &of_bea, &[], statement)));
            if let Ok((proven, reply)) = Responder::new(of_ada).answer(&hello, &device_key(0), &ada, NOW) {
                is_peer(&proven, 1);
                assert!(matches!(decode(reply.body()), Ok(Hello::Reply(_))));
            }
        }
        _ => {
            let (dialer, hello) = start();
            let answered = Responder::new(of_ada).answer(hello.body(), &device_key(0), &ada, NOW);
            let (_, reply) = answered.expect("an honest hello");
            let Ok(Hello::Hello(first)) = decode(hello.body()) else { panic!("a hello") };
            let Ok(Hello::Reply(signed)) = decode(reply.body()) else { panic!("a reply") };
            let statement = edit(&signed.statement, &mut u)?;
            let reply = bytes(&Hello::Reply(Signed::make(&device_key(0), b'R', &of_ada, &first.statement, statement)));
            if let Ok(proven) = dialer.finish(&reply, &bea, NOW) {
                is_peer(&proven, 0);
            }
        }
    }
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    let _ = run(data);
});
