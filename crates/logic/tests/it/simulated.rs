//! Many devices on a bad network: what one learns, all learn, and who hears nobody says so.

use logic::roster::Roster;
use logic::roster::{RosterUpdate, Summary, View};
use proptest::prelude::*;
use seal::pki::Role;
use serde::{Deserialize, Serialize};
use testkit::circle::FOUNDED;
use testkit::{Conditions, Happening, Network, TestCircle};

/// What the simulated devices say.
#[derive(Serialize, Deserialize)]
enum Say {
    Summary(Summary),
    Update(RosterUpdate),
}

fn send(network: &mut Network, from: usize, to: usize, say: &Say) {
    network.send(from, to, postcard::to_stdvec(say).unwrap());
}

/// Each device asks a random other one now and then; lost, doubled and late messages must not matter.
fn gossip(network: &mut Network, rosters: &mut [Roster], rounds: usize) {
    let count = rosters.len();
    for round in 0..rounds {
        for (from, roster) in rosters.iter().enumerate() {
            let to = (from + 1 + (round + usize::try_from(network.dice().below(7)).unwrap()) % (count - 1)) % count;
            send(network, from, to, &Say::Summary(roster.summary()));
        }
        while let Some(happening) = network.step() {
            let Happening::Arrival(packet) = happening else { continue };
            match postcard::from_bytes(&packet.bytes).unwrap() {
                Say::Summary(summary) => {
                    let answer = rosters[packet.to].missing(&summary);
                    if !answer.is_empty() {
                        send(network, packet.to, packet.from, &Say::Update(answer));
                    }
                }
                Say::Update(update) => drop(rosters[packet.to].merge(&update, FOUNDED).unwrap()),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3))]

    /// Ten devices that each know only themselves and the admin end with one roster; so do two halves after a partition,
    /// in which each admin revoked somebody else.
    #[test]
    fn all_devices_come_to_know_the_same(seed: u64) {
        let mut circle = TestCircle::new(seed);
        let admin = circle.member("Ada", Role::Admin);
        let desk = circle.device(&admin, "desk");
        let members: Vec<_> = (0..9).map(|n| circle.admit(Some(&admin), &format!("m{}", n % 5), Role::Editor, FOUNDED)).collect();
        let devices: Vec<_> = members.iter().map(|member| circle.device(member, "phone")).collect();
        let mut rosters: Vec<_> = devices.iter().map(|device| circle.roster(&[&desk, device])).collect();
        rosters.push(circle.roster(&[&desk]));
        let mut network = Network::new(seed, Conditions::hostile(), FOUNDED);
        for (a, b) in (0..5).flat_map(|a| (5..10).map(move |b| (a, b))) {
            network.cut(a, b);
        }
        gossip(&mut network, &mut rosters, 12);
        for (a, b) in (0..5).flat_map(|a| (5..10).map(move |b| (a, b))) {
            network.heal(a, b);
        }
        let revoking = admin.crl(2, &[members[3].certificate.serial()], FOUNDED);
        rosters[9].merge(&RosterUpdate::of([], [&revoking], []), FOUNDED).unwrap();
        rosters[0].merge(&RosterUpdate::of([], [], [devices[0].address(3, 7)]), FOUNDED).unwrap();
        gossip(&mut network, &mut rosters, 25);
        for roster in &rosters {
            prop_assert_eq!(roster.digest(), rosters[0].digest());
        }
        let view = View::new(&rosters[0], FOUNDED);
        prop_assert_eq!(view.active_devices().count(), 9);
        prop_assert_eq!(view.members.len(), 10);
    }
}
