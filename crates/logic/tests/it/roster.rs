//! The roster: what must be refused, and that order, repetition and route never matter.

use std::collections::BTreeMap;
use std::time::Duration;

use logic::Misbehaved;
use logic::limits::ROSTER_BATCH_ITEMS;
use logic::roster::{AddressRecord, Change, Due, Me, Roster, RosterUpdate, SignedRecord, Standing, Summary, View};
use logic::wire::Address;
use proptest::prelude::*;
use seal::DeviceKey;
use seal::beacon::BeaconKey;
use seal::pki::{Crl, Reason, Role};
use testkit::circle::{FOUNDED, LIFETIME, TestDevice, TestMember, crl};
use testkit::{Dice, TestCircle};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Ada (admin), Bob (reader), a device each, all known to a roster.
struct Scene {
    circle: TestCircle,
    ada_member: TestMember,
    bob_member: TestMember,
    ada: TestDevice,
    bob: TestDevice,
    roster: Roster,
}

impl Scene {
    fn new() -> Self {
        let mut circle = TestCircle::new(4);
        let ada_member = circle.member("Ada", Role::Admin);
        let bob_member = circle.member("Bob", Role::Reader);
        let (ada, bob) = (circle.device(&ada_member, "desk"), circle.device(&bob_member, "phone"));
        let roster = circle.roster(&[&ada, &bob]);
        Self { circle, ada_member, bob_member, ada, bob, roster }
    }

    fn view(&self) -> View {
        View::new(&self.roster, FOUNDED)
    }

    /// The update is refused by that name, and nothing of it stays.
    #[track_caller]
    fn refused(&mut self, update: &RosterUpdate, offence: Misbehaved) {
        let before = self.roster.clone();
        assert_eq!(self.roster.merge(update, FOUNDED), Err(offence));
        assert_eq!(self.roster, before);
    }
}

fn lists<'a>(crls: impl IntoIterator<Item = &'a Crl>) -> RosterUpdate {
    RosterUpdate::of([], crls, [])
}

fn records(records: impl IntoIterator<Item = SignedRecord>) -> RosterUpdate {
    RosterUpdate::of([], [], records)
}

/// The update with one bit of its encoding changed, from the end.
fn flipped(update: &RosterUpdate, from_end: usize) -> RosterUpdate {
    let mut bytes = postcard::to_stdvec(update).unwrap();
    let at = bytes.len() - from_end;
    bytes[at] ^= 1;
    postcard::from_bytes(&bytes).unwrap()
}

#[test]
fn a_forged_list_is_refused() {
    let mut scene = Scene::new();
    // The last bytes of the encoding: the list's signature, no records, no more.
    let forged = flipped(&lists([&scene.bob_member.crl(2, &[], FOUNDED)]), 3);
    scene.refused(&forged, Misbehaved::CrlForged);
}

#[test]
fn an_older_list_changes_nothing_and_as_an_answer_it_is_an_offence() {
    let mut scene = Scene::new();
    let revoking = scene.bob_member.crl(2, &[scene.bob.chain[0].serial()], FOUNDED);
    let changes = scene.roster.merge(&lists([&revoking]), FOUNDED).unwrap();
    assert_eq!(changes, [Change::DeviceRemoved(scene.bob.id())]);
    let older = lists([&scene.bob_member.crl(1, &[], FOUNDED.plus(DAY))]);
    assert_eq!(scene.roster.merge(&older, FOUNDED), Ok(vec![]));
    assert_eq!(scene.view().devices[&scene.bob.id()].standing, Standing::Removed);
    assert_eq!(older.check_answer(&scene.roster.summary()), Err(Misbehaved::CrlRolledBack));
}

#[test]
fn a_list_by_somebody_who_issues_nothing_is_refused() {
    let mut scene = Scene::new();
    let stranger = scene.circle.member("Eve", Role::Admin);
    scene.refused(&lists([&stranger.crl(1, &[], FOUNDED)]), Misbehaved::CrlWrongIssuer);
}

#[test]
fn a_list_counts_for_what_its_issuer_certified_only() {
    let mut scene = Scene::new();
    let overreaching =
        scene.bob_member.crl(2, &[scene.ada.chain[0].serial(), scene.ada_member.certificate.serial()], FOUNDED);
    assert_eq!(scene.roster.merge(&lists([&overreaching]), FOUNDED), Ok(vec![]));
    assert_eq!(scene.view().devices[&scene.ada.id()].standing, Standing::Active);
}

#[test]
fn too_many_entries_are_refused() {
    let mut scene = Scene::new();
    let record = scene.bob.address(1, 7);
    let flood = records(std::iter::repeat_n(record, ROSTER_BATCH_ITEMS + 1));
    scene.refused(&flood, Misbehaved::RosterTooLong);
}

#[test]
fn entries_without_their_issuer_are_refused() {
    let mut scene = Scene::new();
    let eve_member = scene.circle.member("Eve", Role::Reader);
    let eve = scene.circle.device(&eve_member, "x");
    scene.refused(&RosterUpdate::of([&eve.chain[0]], [], []), Misbehaved::RosterUnanchored);
    scene.refused(&records([eve.address(1, 7)]), Misbehaved::RosterUnanchored);
    let mut foreign = TestCircle::new(5);
    let foreign_member = foreign.member("Eve", Role::Admin);
    scene.refused(&RosterUpdate::of([&foreign_member.certificate], [], []), Misbehaved::RosterUnanchored);
    scene.refused(&RosterUpdate::of([&foreign.root], [], []), Misbehaved::CertificateForeign);
}

#[test]
fn a_forged_certificate_is_refused() {
    let mut scene = Scene::new();
    let eve = scene.circle.member("Eve", Role::Reader);
    // The last bytes: the signature, no lists, no records, no more.
    let forged = flipped(&RosterUpdate::of([&eve.certificate], [], []), 4);
    scene.refused(&forged, Misbehaved::CertificateInvalid);
}

#[test]
fn records_with_a_bad_signature_are_refused() {
    let mut scene = Scene::new();
    let forged = flipped(&records([scene.bob.address(1, 7)]), 2);
    scene.refused(&forged, Misbehaved::RecordSignatureInvalid);
}

#[test]
fn an_older_address_changes_nothing_and_as_an_answer_it_is_an_offence() {
    let mut scene = Scene::new();
    let id = scene.bob.id();
    let changes = scene.roster.merge(&records([scene.bob.address(5, 7)]), FOUNDED).unwrap();
    assert_eq!(changes, [Change::DeviceMoved(id)]);
    let older = records([scene.bob.address(4, 8)]);
    assert_eq!(scene.roster.merge(&older, FOUNDED), Ok(vec![]));
    assert_eq!(scene.view().devices[&id].addresses[0].direct().unwrap().port(), 7);
    assert_eq!(older.check_answer(&scene.roster.summary()), Err(Misbehaved::AddressRecordRolledBack));
}

#[test]
fn senseless_addresses_are_refused() {
    let mut scene = Scene::new();
    let member = scene.bob_member.id();
    let record =
        |addresses| records([SignedRecord::address(&scene.bob.key, AddressRecord { member, counter: 1, addresses })]);
    let zero = Address::Direct("0.0.0.0:7".parse().unwrap());
    let (senseless, long) = (record(vec![zero.clone()]), record(vec![zero; 17]));
    scene.refused(&senseless, Misbehaved::AddressRecordInvalid);
    scene.refused(&long, Misbehaved::AddressRecordTooLong);
}

#[test]
fn only_admins_make_beacon_keys_and_a_removed_one_loses_them() {
    let mut scene = Scene::new();
    scene.refused(&records([scene.bob.beacon(9, [9; 32])]), Misbehaved::BeaconKeyUnauthorized);
    let changes = scene.roster.merge(&records([scene.ada.beacon(1, [1; 32]), scene.ada.beacon(2, [2; 32])]), FOUNDED);
    assert_eq!(changes, Ok(vec![Change::BeaconRotated]));
    assert_eq!(scene.view().beacon_keys, [[2; 32], [1; 32]].map(BeaconKey::from_bytes));
    assert_eq!(scene.view().beacon_generation, 2);
    let list = crl(&scene.circle.root_issuer(), 2, &[scene.ada_member.certificate.serial()], FOUNDED);
    scene.roster.merge(&lists([&list]), FOUNDED).unwrap();
    assert_eq!(scene.view().beacon_keys, []);
}

#[test]
fn a_member_cannot_take_the_device_of_another_one() {
    let mut scene = Scene::new();
    let stolen = scene.circle.certify(&scene.bob_member, scene.ada.key.clone(), "mine now");
    scene.roster.merge(&RosterUpdate::of([&stolen.chain[0]], [], [scene.ada.address(1, 7)]), FOUNDED).unwrap();
    assert_eq!(scene.view().owner(scene.ada.id()).unwrap().name, "Ada");
}

#[test]
fn removing_an_admin_removes_whom_it_admitted_and_one_can_ask_before() {
    let mut scene = Scene::new();
    let carl_member = scene.circle.admit(Some(&scene.ada_member), "Carl", Role::Editor, FOUNDED);
    let carl = scene.circle.device(&carl_member, "laptop");
    scene.roster = scene.circle.roster(&[&scene.ada, &scene.bob, &carl]);
    assert_eq!(scene.view().devices[&carl.id()].standing, Standing::Active);
    assert_eq!(scene.roster.depends_on(scene.ada_member.id(), FOUNDED), [carl_member.id()]);
    let list = crl(&scene.circle.root_issuer(), 2, &[scene.ada_member.certificate.serial()], FOUNDED);
    scene.roster.merge(&lists([&list]), FOUNDED).unwrap();
    let view = scene.view();
    assert_eq!(view.devices[&carl.id()].standing, Standing::Removed);
    assert_eq!(view.devices[&scene.bob.id()].standing, Standing::Active);
    assert_eq!(scene.roster.chain_of(carl.id(), FOUNDED), None);
}

#[test]
fn the_next_list_keeps_what_was_revoked() {
    let mut scene = Scene::new();
    let issuer = scene.bob_member.issuer();
    let serials = scene.roster.serials_of_device(scene.bob.id(), &issuer, FOUNDED);
    assert_eq!(serials, [scene.bob.chain[0].serial()]);
    let first = scene.roster.next_crl(&issuer, &[(serials[0], Reason::KeyCompromise)], FOUNDED).unwrap();
    scene.roster.merge(&lists([&first]), FOUNDED).unwrap();
    let second = scene.roster.next_crl(&scene.bob_member.issuer(), &[], FOUNDED).unwrap();
    assert_eq!((first.facts().number, second.facts().number), (2, 3));
    assert_eq!(second.facts().revoked, first.facts().revoked);
    assert!(scene.roster.is_revoked(&scene.bob.chain[0]));
}

#[test]
fn what_runs_out_is_due_for_whoever_can_renew_it() {
    let scene = Scene::new();
    let ada = Me { member: scene.ada_member.id(), device: scene.ada.id(), holds_root: true };
    let bob = Me { member: scene.bob_member.id(), device: scene.bob.id(), holds_root: false };
    assert_eq!(scene.roster.due(&ada, FOUNDED), []);
    let late = FOUNDED.plus(LIFETIME - DAY);
    let mut due = scene.roster.due(&ada, late);
    due.sort_unstable();
    let mut members = [Due::Member(ada.member), Due::Member(bob.member)];
    members.sort_unstable();
    assert_eq!(due, [[Due::RootCrl, Due::MemberCrl, Due::Device].as_slice(), &members].concat());
    let end = scene.bob_member.certificate.facts().not_after;
    assert_eq!(scene.roster.due(&bob, late), [Due::MemberCrl, Due::Device, Due::OwnMember(end)]);
}

#[test]
fn a_stored_roster_is_read_back() {
    let scene = Scene::new();
    assert_eq!(Roster::from_bytes(&scene.roster.to_bytes()), Ok(scene.roster.clone()));
    assert!(Roster::from_bytes(&scene.roster.to_bytes()[..100]).is_err());
    assert!(Roster::from_bytes(&[9]).is_err());
}

/// Two admins, who admit members of the same and of other names at the same and at other times; some are revoked; records
/// are made by several devices. All of it in pieces that stand on their own.
fn pieces(seed: u64) -> (TestCircle, Vec<RosterUpdate>) {
    let mut circle = TestCircle::new(seed);
    let mut dice = Dice::new(seed);
    let admins = [circle.member("Ada", Role::Admin), circle.member("Zoe", Role::Admin)];
    let mut pieces = Vec::new();
    let mut numbers: BTreeMap<_, u64> = BTreeMap::new();
    for (index, admin) in admins.iter().enumerate() {
        let device = circle.device(admin, "desk");
        let record = device.beacon(dice.below(3), [u8::try_from(index).unwrap(); 32]);
        pieces.push(RosterUpdate::of(
            device.chain.iter().rev(),
            &circle.crls[..1],
            [record, device.address(dice.below(3), 9)],
        ));
    }
    for _ in 0..5 {
        let admin = &admins[usize::try_from(dice.below(2)).unwrap()];
        let name = ["Bob", "bob", "Carl"][usize::try_from(dice.below(3)).unwrap()];
        let member = circle.admit(Some(admin), name, Role::Reader, FOUNDED.plus(Duration::from_secs(dice.below(2))));
        let device = circle.device(&member, "phone");
        let records = [device.address(dice.below(3), 1), device.address(dice.below(3), 2)];
        let own = [member.crl(1, &[], FOUNDED), member.crl(2, &[], FOUNDED.plus(DAY))];
        pieces.push(RosterUpdate::of(device.chain.iter().rev(), &own, records));
        if dice.below(3) == 0 {
            let number = numbers.entry(admin.id()).or_insert(1);
            *number += dice.below(2);
            let list = admin.crl(*number, &[member.certificate.serial()], FOUNDED);
            pieces.push(RosterUpdate::of([&admin.certificate], [&list], []));
        }
    }
    for admin in &admins {
        pieces.push(RosterUpdate::of([&admin.certificate], [&admin.crl(1, &[], FOUNDED)], []));
    }
    (circle, pieces)
}

fn merged<'a>(circle: &TestCircle, pieces: impl IntoIterator<Item = &'a RosterUpdate>) -> Roster {
    let mut roster = Roster::new(circle.root.clone());
    for piece in pieces {
        roster.merge(piece, FOUNDED).unwrap();
    }
    roster
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Whatever the order and however often: the same roster, the same view, the same shown names.
    #[test]
    fn order_and_repetition_do_not_matter(seed: u64) {
        let (circle, mut pieces) = pieces(seed);
        let first = merged(&circle, &pieces);
        Dice::new(!seed).shuffle(&mut pieces);
        let other = merged(&circle, pieces.iter().chain(&pieces[..3]));
        prop_assert_eq!(&first, &other);
        prop_assert_eq!(first.digest(), other.digest());
        let now = FOUNDED.plus(DAY);
        let (view, other_view) = (View::new(&first, now), View::new(&other, now));
        prop_assert_eq!(&view, &other_view);
        let mut names: Vec<_> = view.members.values().filter(|member| member.standing != Standing::Removed).collect();
        names.sort_by_key(|member| seal::pki::name_key(&member.shown));
        names.dedup_by_key(|member| seal::pki::name_key(&member.shown));
        prop_assert_eq!(names.len(), view.members.values().filter(|member| member.standing != Standing::Removed).count());
    }

    /// (a + b) + c = a + (b + c), where "+" is an exchange of summaries and answers.
    #[test]
    fn grouping_does_not_matter(seed: u64, cut: prop::sample::Index, second: prop::sample::Index) {
        let (circle, pieces) = pieces(seed);
        let (cut, second) = (cut.index(pieces.len()), second.index(pieces.len()));
        let (low, high) = (cut.min(second), cut.max(second));
        let part = |pieces: &[RosterUpdate]| merged(&circle, pieces);
        let (a, b, c) = (part(&pieces[..low]), part(&pieces[low..high]), part(&pieces[high..]));
        let join = |one: &Roster, other: &Roster| {
            let mut both = one.clone();
            let answer = other.missing(&one.summary());
            answer.check_answer(&one.summary()).unwrap();
            both.merge(&answer, FOUNDED).unwrap();
            both
        };
        let left = join(&join(&a, &b), &c);
        let right = join(&a, &join(&b, &c));
        prop_assert_eq!(&left, &right);
        prop_assert_eq!(&left, &join(&c, &join(&b, &a)));
        prop_assert_eq!(left.missing(&right.summary()), RosterUpdate::default());
        prop_assert_eq!(&merged(&circle, [&left.missing(&Summary::default())]), &left);
        prop_assert_eq!(&merged(&circle, [&left.everything()]), &left);
    }
}

#[test]
fn the_first_certified_keeps_the_name() {
    let mut circle = TestCircle::new(6);
    let ada = circle.member("Ada", Role::Admin);
    let late = circle.admit(Some(&ada), "BOB", Role::Reader, FOUNDED.plus(DAY));
    let early = circle.admit(Some(&ada), "Bob", Role::Reader, FOUNDED);
    let devices = [circle.device(&late, "a"), circle.device(&early, "b")];
    let roster = circle.roster(&[&devices[0]]);
    let mut both = roster.clone();
    let changes = both.merge(&circle.roster(&[&devices[1]]).everything(), FOUNDED.plus(DAY)).unwrap();
    let conflict = Change::NameConflict { member: late.id(), wanted: "BOB".into(), shown: "BOB~2".into() };
    assert!(changes.contains(&conflict), "{changes:?}");
    let view = View::new(&both, FOUNDED.plus(DAY));
    assert_eq!(view.member_named("bob").unwrap().member, early.id());
    assert_eq!(view.member_named("bob~2").unwrap().member, late.id());
    assert!(view.name_taken("bOb", ada.id()) && !view.name_taken("Ada", ada.id()));
    assert!(view.name_taken("b\u{43e}b", ada.id()), "looks like bob");
}

#[test]
fn the_beginning_of_a_device_s_id_is_nobody_s_name() {
    let scene = Scene::new();
    let (view, id) = (scene.view(), scene.bob.key.id().to_string());
    for name in [&id, &id[..12], &id[..6], &id[..8].to_uppercase()] {
        assert!(view.name_taken(name, scene.ada_member.id()), "{name}");
    }
    for name in [&id[..5], &id[1..9], "bobby"] {
        assert!(!view.name_taken(name, scene.ada_member.id()), "{name}");
    }
}

#[test]
fn a_stranger_s_key_is_nobody_s() {
    let scene = Scene::new();
    assert_eq!(scene.roster.chain_of(DeviceKey::from_seed(&[1; 32]).id(), FOUNDED), None);
}
