//! Every way in which a hello must fail, and the one in which it works.

use std::time::Duration;

use logic::Misbehaved;
use logic::hello::{Context, Credentials, Denied, Dialer, HelloError, PeerProven, Responder};
use logic::limits::{CRL_BYTES, HELLO_FRAME};
use logic::wire::Frame;
use proptest::prelude::*;
use seal::pki::{Crl, Role};
use seal::{Purpose, Timestamp};
use serde_bytes::ByteBuf;
use testkit::TestCircle;
use testkit::circle::{FOUNDED, LIFETIME, TestDevice, TestMember};
use testkit::forge::{Hello, Signed, Statement, bytes};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Ada (admin) and Bob (reader), a device each; Ada dials.
struct Scene {
    circle: TestCircle,
    ada: TestDevice,
    bob: TestDevice,
    ada_member: TestMember,
    bob_member: TestMember,
}

impl Scene {
    fn new() -> Self {
        let mut circle = TestCircle::new(1);
        let ada_member = circle.member("Ada", Role::Admin);
        let bob_member = circle.member("Bob", Role::Reader);
        let ada = circle.device(&ada_member, "desk");
        let bob = circle.device(&bob_member, "phone");
        Self { circle, ada, bob, ada_member, bob_member }
    }

    fn here(&self, exporter: u8) -> Context {
        Context { exporter: [exporter; 32], local: self.ada.id(), remote: self.bob.id() }
    }

    fn there(&self, exporter: u8) -> Context {
        Context { exporter: [exporter; 32], local: self.bob.id(), remote: self.ada.id() }
    }

    fn hello_with(&self, credentials: &Credentials) -> (Dialer, Frame) {
        Dialer::start(&self.ada.key, credentials, self.here(1)).unwrap()
    }

    fn hello(&self) -> (Dialer, Frame) {
        self.hello_with(&self.circle.credentials(&self.ada))
    }

    fn answer_at(&self, hello: &[u8], now: Timestamp) -> Result<(PeerProven, Frame), Denied> {
        Responder::new(self.there(1)).answer(hello, &self.bob.key, &self.circle.credentials(&self.bob), now)
    }

    fn answer(&self, hello: &[u8]) -> Result<(PeerProven, Frame), Denied> {
        self.answer_at(hello, FOUNDED)
    }

    /// How the responder names the offence; the reply must be the one refusal that strangers get.
    #[track_caller]
    fn refused(&self, hello: &[u8], offence: Misbehaved) {
        self.refused_at(hello, FOUNDED, offence);
    }

    #[track_caller]
    fn refused_at(&self, hello: &[u8], now: Timestamp, offence: Misbehaved) {
        let denied = self.answer_at(hello, now).map(|(peer, _)| peer).unwrap_err();
        assert_eq!(denied.fault, HelloError::Misbehaved(offence));
        assert_eq!(denied.reply.unwrap().as_bytes(), [0, 0, 0, 1, 2], "strangers learn nothing");
    }

    /// Ada, who was removed, is refused and shown the list that says so; nobody is told anything else.
    #[track_caller]
    fn removed(&self, dialer: Dialer, hello: &[u8], known_to_ada: &Credentials, crl: &Crl) {
        let denied = self.answer(hello).map(|(peer, _)| peer).unwrap_err();
        assert_eq!(denied.fault, HelloError::Misbehaved(Misbehaved::CertificateRevoked));
        let told = dialer.finish(denied.reply.unwrap().body(), known_to_ada, FOUNDED).unwrap_err();
        assert_eq!(told, HelloError::Removed(Box::new(crl.clone())));
    }

    /// Ada's hello with a changed statement, signed by her real key.
    fn forged(&self, change: impl FnOnce(&mut Statement)) -> Vec<u8> {
        let mut statement = Hello::read(self.hello().1.body()).signed().statement();
        change(&mut statement);
        Hello::Hello(Signed::make(&self.ada.key, b'D', &self.here(1), &[], bytes(&statement))).bytes()
    }

    /// Bob's reply with a changed statement, signed by his real key; what Ada makes of it.
    fn forged_reply(
        &self,
        versions: (u16, u16),
        change: impl FnOnce(&mut Statement),
    ) -> Result<PeerProven, HelloError> {
        let credentials = self.circle.credentials(&self.ada);
        let (dialer, hello) = Dialer::start_with(versions, &self.ada.key, &credentials, self.here(1)).unwrap();
        let (_, reply) = self.answer(hello.body()).unwrap();
        let mut statement = Hello::read(reply.body()).signed().statement();
        change(&mut statement);
        let first = Hello::read(hello.body()).signed().statement;
        let reply = Hello::Reply(Signed::make(&self.bob.key, b'R', &self.there(1), &first, bytes(&statement)));
        dialer.finish(&reply.bytes(), &credentials, FOUNDED)
    }
}

#[test]
fn two_members_prove_themselves() {
    let scene = Scene::new();
    let (dialer, hello) = scene.hello();
    let (ada, reply) = scene.answer(hello.body()).unwrap();
    let bob = dialer.finish(reply.body(), &scene.circle.credentials(&scene.ada), FOUNDED).unwrap();
    assert_eq!(
        (ada.device(), ada.member_name(), ada.device_name(), ada.role()),
        (scene.ada.id(), "Ada", "desk", Role::Admin)
    );
    assert_eq!((bob.device(), bob.member(), bob.role()), (scene.bob.id(), scene.bob_member.id(), Role::Reader));
    assert_eq!(bob.boot(), scene.circle.credentials(&scene.bob).boot);
    assert_eq!((ada.version(), bob.version()), (2, 2));
}

#[test]
fn the_chain_of_another_device_does_not_help() {
    let mut scene = Scene::new();
    let other = scene.circle.device(&scene.ada_member, "other");
    let (_, hello) = scene.hello_with(&scene.circle.credentials(&other));
    scene.refused(hello.body(), Misbehaved::HelloKeyMismatch);
}

#[test]
fn an_expired_certificate_is_refused() {
    let scene = Scene::new();
    scene.refused_at(scene.hello().1.body(), FOUNDED.plus(LIFETIME + DAY), Misbehaved::CertificateExpired);
}

#[test]
fn a_certificate_of_tomorrow_is_refused() {
    let mut scene = Scene::new();
    let eve = scene.circle.admit(None, "Eve", Role::Reader, FOUNDED.plus(DAY));
    scene.ada = scene.circle.certify(&eve, scene.ada.key.clone(), "desk");
    scene.refused(scene.hello().1.body(), Misbehaved::CertificateNotYetValid);
}

#[test]
fn a_revoked_device_and_a_revoked_member_are_refused_and_shown_why() {
    let mut scene = Scene::new();
    let old = scene.circle.credentials(&scene.ada);
    let (dialer, hello) = scene.hello_with(&old);
    let crl = scene.ada_member.crl(2, &[scene.ada.chain[0].serial()], FOUNDED);
    scene.circle.publish(crl.clone());
    scene.removed(dialer, hello.body(), &old, &crl);

    let mut scene = Scene::new();
    let old = scene.circle.credentials(&scene.ada);
    let (dialer, hello) = scene.hello_with(&old);
    let crl = testkit::circle::crl(&scene.circle.root_issuer(), 2, &[scene.ada_member.certificate.serial()], FOUNDED);
    scene.circle.publish(crl.clone());
    scene.removed(dialer, hello.body(), &old, &crl);
}

#[test]
fn a_removal_is_believed_only_with_a_list_that_revokes_the_own_chain() {
    let scene = Scene::new();
    let own = scene.circle.credentials(&scene.ada);
    let told = |der: &[u8]| {
        let (dialer, _) = scene.hello();
        dialer.finish(&Hello::Revoked(ByteBuf::from(der)).bytes(), &own, FOUNDED).unwrap_err()
    };
    let serial = scene.ada.chain[0].serial();
    let of_another = scene.ada_member.crl(2, &[scene.bob.chain[0].serial()], FOUNDED);
    let by_another = scene.bob_member.crl(2, &[serial], FOUNDED);
    let real = scene.ada_member.crl(2, &[serial], FOUNDED);
    let mut forged = real.der().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    for der in [of_another.der(), by_another.der(), &forged] {
        assert_eq!(told(der), HelloError::Misbehaved(Misbehaved::CrlForged));
    }
    assert_eq!(told(b"no list"), HelloError::Misbehaved(Misbehaved::CrlInvalid));
    assert_eq!(told(&vec![0; CRL_BYTES + 1]), HelloError::Misbehaved(Misbehaved::CrlTooBig));
    assert_eq!(told(real.der()), HelloError::Removed(Box::new(real)));
}

#[test]
fn who_does_not_hold_the_revoked_key_is_not_told() {
    let mut scene = Scene::new();
    let (_, hello) = scene.hello();
    let crl = scene.ada_member.crl(2, &[scene.ada.chain[0].serial()], FOUNDED);
    scene.circle.publish(crl);
    let mut signed = Hello::read(hello.body()).signed();
    signed.proof = scene.ada.key.sign(Purpose::HelloProof, b"something else");
    scene.refused(&Hello::Hello(signed).bytes(), Misbehaved::HelloProofInvalid);
}

#[test]
fn a_newer_revocation_list_counts_and_is_handed_out() {
    let mut scene = Scene::new();
    let mut credentials = scene.circle.credentials(&scene.ada);
    let newer = scene.ada_member.crl(2, &[], FOUNDED);
    credentials.crls.push(newer.clone());
    let (ada, _) = scene.answer(scene.hello_with(&credentials).1.body()).unwrap();
    assert_eq!(ada.newer_crls(), std::slice::from_ref(&newer));
    scene.circle.publish(newer);
    let (ada, _) = scene.answer(scene.hello().1.body()).unwrap();
    assert_eq!(ada.newer_crls(), [], "known by now");
}

#[test]
fn a_newer_list_that_revokes_its_bearer_counts_against_it() {
    let scene = Scene::new();
    let mut credentials = scene.circle.credentials(&scene.ada);
    credentials.crls.push(scene.ada_member.crl(2, &[scene.ada.chain[0].serial()], FOUNDED));
    scene.refused(scene.hello_with(&credentials).1.body(), Misbehaved::CertificateRevoked);
}

#[test]
fn a_member_of_another_circle_is_refused() {
    let scene = Scene::new();
    let mut foreign = TestCircle::new(2);
    let eve = foreign.member("Ada", Role::Admin);
    let device = foreign.certify(&eve, scene.ada.key.clone(), "desk");
    scene.refused(scene.hello_with(&foreign.credentials(&device)).1.body(), Misbehaved::CertificateForeign);
}

#[test]
fn a_reader_cannot_certify_a_member() {
    let mut scene = Scene::new();
    let mallory = scene.circle.member("Mallory", Role::Reader);
    let key = scene.ada.key.clone();
    let device = scene.circle.certify(&mallory, key, "desk");
    // Mallory presents Ada's certificate between her own device and the root.
    let chain = vec![device.chain[0].clone(), scene.ada_member.certificate.clone()];
    let credentials = Credentials { chain, ..scene.circle.credentials(&scene.ada) };
    scene.refused(scene.hello_with(&credentials).1.body(), Misbehaved::CertificateForeign);
    // A member's certificate is none of a device.
    let chain = vec![mallory.certificate.clone()];
    let credentials = Credentials { chain, ..scene.circle.credentials(&scene.ada) };
    scene.refused(scene.hello_with(&credentials).1.body(), Misbehaved::CertificateInvalid);
}

#[test]
fn a_stale_revocation_list_is_refused() {
    let mut scene = Scene::new();
    scene.circle.publish(scene.ada_member.crl(2, &[], FOUNDED.minus(DAY * 300)));
    let now = FOUNDED.plus(DAY * 100);
    scene.refused_at(scene.hello().1.body(), now, Misbehaved::CrlStale);
}

#[test]
fn a_missing_revocation_list_is_refused() {
    let mut scene = Scene::new();
    let by_ada = |crl: &Crl| crl.is_by(&scene.ada_member.certificate);
    scene.circle.crls.retain(|crl| !by_ada(crl));
    scene.refused(scene.hello().1.body(), Misbehaved::CrlMissing);
}

#[test]
fn forged_and_foreign_revocation_lists_are_named() {
    let scene = Scene::new();
    let forged = scene.forged(|statement| {
        let last = statement.crls[0].len() - 1;
        statement.crls[0][last] ^= 1;
    });
    scene.refused(&forged, Misbehaved::CrlForged);
    let by_bob = scene.bob_member.crl(9, &[], FOUNDED);
    let foreign = scene.forged(|statement| statement.crls.push(ByteBuf::from(by_bob.der())));
    scene.refused(&foreign, Misbehaved::CrlWrongIssuer);
    let garbage = scene.forged(|statement| statement.crls.push(ByteBuf::from([1, 2, 3])));
    scene.refused(&garbage, Misbehaved::CrlInvalid);
    let big = scene.forged(|statement| statement.crls.push(ByteBuf::from(vec![0; 40_000])));
    scene.refused(&big, Misbehaved::CrlTooBig);
}

#[test]
fn a_replayed_hello_is_recognised() {
    let scene = Scene::new();
    let (_, old) = Dialer::start(&scene.ada.key, &scene.circle.credentials(&scene.ada), scene.here(2)).unwrap();
    scene.refused(old.body(), Misbehaved::HelloReplayed);
    // With the channel's name patched in, the proof fails.
    let mut signed = Hello::read(old.body()).signed();
    let fresh = Hello::read(scene.hello().1.body()).signed().statement();
    let patched = Statement { channel: fresh.channel, ..signed.statement() };
    signed.statement = ByteBuf::from(postcard::to_stdvec(&patched).unwrap());
    scene.refused(&Hello::Hello(signed).bytes(), Misbehaved::HelloProofInvalid);
}

#[test]
fn rewritten_versions_break_the_proof() {
    let scene = Scene::new();
    let mut signed = Hello::read(scene.hello().1.body()).signed();
    let rewritten = Statement { versions: (0, 1), ..signed.statement() };
    signed.statement = ByteBuf::from(postcard::to_stdvec(&rewritten).unwrap());
    scene.refused(&Hello::Hello(signed).bytes(), Misbehaved::HelloProofInvalid);
}

#[test]
fn a_responder_that_chooses_an_older_version_is_named() {
    let scene = Scene::new();
    let fault = scene.forged_reply((1, 3), |statement| statement.versions = (1, 3)).unwrap_err();
    assert_eq!(fault, HelloError::Misbehaved(Misbehaved::VersionDowngraded));
    for chosen in [None, Some(0), Some(4)] {
        let fault = scene.forged_reply((1, 1), |statement| statement.chosen = chosen).unwrap_err();
        assert_eq!(fault, HelloError::Misbehaved(Misbehaved::VersionUnoffered), "{chosen:?}");
    }
}

#[test]
fn devices_without_a_common_version_say_so() {
    let scene = Scene::new();
    let credentials = scene.circle.credentials(&scene.ada);
    let (dialer, hello) = Dialer::start_with((5, 6), &scene.ada.key, &credentials, scene.here(1)).unwrap();
    let denied = scene.answer(hello.body()).map(|(peer, _)| peer).unwrap_err();
    assert_eq!(denied.fault, HelloError::Incompatible { min: 5, max: 6 });
    let fault = dialer.finish(denied.reply.unwrap().body(), &credentials, FOUNDED).unwrap_err();
    assert_eq!(fault, HelloError::Incompatible { min: 1, max: 2 });
}

#[test]
fn a_reflected_hello_is_recognised() {
    let scene = Scene::new();
    let credentials = scene.circle.credentials(&scene.ada);
    let (dialer, hello) = scene.hello();
    let fault = dialer.finish(hello.body(), &credentials, FOUNDED).unwrap_err();
    assert_eq!(fault, HelloError::Misbehaved(Misbehaved::HelloReflected));
    let (dialer, hello) = scene.hello();
    let dressed = Hello::Reply(Hello::read(hello.body()).signed()).bytes();
    let fault = dialer.finish(&dressed, &credentials, FOUNDED).unwrap_err();
    assert_eq!(fault, HelloError::Misbehaved(Misbehaved::HelloReflected));
}

#[test]
fn a_reply_is_bound_to_the_hello_that_it_answers() {
    let scene = Scene::new();
    let credentials = scene.circle.credentials(&scene.ada);
    let (_, first) = scene.hello();
    let (_, reply) = scene.answer(first.body()).unwrap();
    let other = Credentials { boot: [9; 16], ..credentials.clone() };
    let (dialer, _) = scene.hello_with(&other);
    let fault = dialer.finish(reply.body(), &other, FOUNDED).unwrap_err();
    assert_eq!(fault, HelloError::Misbehaved(Misbehaved::HelloProofInvalid));
}

#[test]
fn chains_of_a_wrong_length_are_refused() {
    let scene = Scene::new();
    scene.refused(&scene.forged(|statement| statement.chain.clear()), Misbehaved::ChainEmpty);
    let long = scene.forged(|statement| {
        let again = statement.chain[1].clone();
        statement.chain.extend(vec![again; 5]);
    });
    scene.refused(&long, Misbehaved::ChainTooLong);
    scene.refused(
        &scene.forged(|statement| statement.chain[0] = ByteBuf::from([7; 30])),
        Misbehaved::CertificateInvalid,
    );
}

#[test]
fn garbage_is_named() {
    let scene = Scene::new();
    scene.refused(&[9, 9, 9], Misbehaved::FrameGarbled);
    scene.refused(&[], Misbehaved::FrameGarbled);
    scene.refused(&[2, 0], Misbehaved::FrameTrailingBytes);
    scene.refused(&[2], Misbehaved::FrameOutOfTurn);
    scene.refused(&vec![0; HELLO_FRAME.bytes() + 1], Misbehaved::FrameTooLong);
    let (_, reply) = scene.answer(scene.hello().1.body()).unwrap();
    scene.refused(reply.body(), Misbehaved::FrameOutOfTurn);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whichever byte of a hello is changed, and wherever it is cut: it proves nothing.
    #[test]
    fn no_changed_hello_is_accepted(at: prop::sample::Index, with in 1u8..) {
        let scene = Scene::new();
        let (_, hello) = scene.hello();
        let mut changed = hello.body().to_vec();
        let at = at.index(changed.len());
        prop_assert!(scene.answer(&changed[..at]).is_err());
        changed[at] ^= with;
        prop_assert!(scene.answer(&changed).is_err());
    }
}
