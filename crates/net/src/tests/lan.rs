//! Devices on one machine find each other; strangers find nothing.

use std::{
    net::UdpSocket,
    sync::Arc,
    time::{Duration, SystemTime},
};

use seal::{DeviceId, DeviceKey, Timestamp, beacon::BeaconKey};

use super::PATIENCE;
use crate::lan::{Announcement, Lan, LanOwner, Nameplate, Sighting, ask};

struct Neighbour {
    about: Announcement,
    key: BeaconKey,
    plates: Vec<Nameplate>,
}

impl Neighbour {
    fn new(key: &BeaconKey, port: u16) -> Self {
        let device = DeviceKey::generate().id();
        Self { about: Announcement { device, port, boot: [1; 16] }, key: key.clone(), plates: vec![] }
    }

    fn id(&self) -> DeviceId {
        self.about.device
    }
}

impl LanOwner for Neighbour {
    fn announcement(&self) -> Option<Announcement> {
        Some(self.about)
    }
    fn beacon_keys(&self) -> Vec<BeaconKey> {
        vec![BeaconKey::generate(), self.key.clone()].into_iter().rev().collect()
    }
    fn nameplates(&self) -> Vec<Nameplate> {
        self.plates.clone()
    }
    fn now(&self) -> Timestamp {
        SystemTime::now().into()
    }
}

/// A port that nobody else on this machine uses right now.
fn free_port() -> u16 {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.local_addr().unwrap().port()
}

async fn sees(sightings: &mut tokio::sync::mpsc::Receiver<Sighting>, device: DeviceId) -> Sighting {
    let wait = async {
        loop {
            let sighting = sightings.recv().await.unwrap();
            if sighting.device == device {
                return sighting;
            }
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap()
}

#[tokio::test]
async fn devices_on_one_machine_see_each_other_and_strangers_see_nobody() {
    let (port, key) = (free_port(), BeaconKey::generate());
    let (a, b) = (Neighbour::new(&key, 1001), Neighbour::new(&key, 1002));
    let stranger = Neighbour::new(&BeaconKey::generate(), 1003);
    let (a_id, b_id) = (a.id(), b.id());
    let (_a, mut by_a) = Lan::start(port, Arc::new(a)).unwrap();
    let (_s, mut by_stranger) = Lan::start(port, Arc::new(stranger)).unwrap();
    let (_b, mut by_b) = Lan::start(port, Arc::new(b)).unwrap();
    let seen = sees(&mut by_a, b_id).await;
    assert_eq!(seen.addr.direct().unwrap().port(), 1002);
    assert_eq!(sees(&mut by_b, a_id).await.addr.direct().unwrap().port(), 1001);
    assert!(by_stranger.try_recv().is_err());
}

#[tokio::test]
async fn a_nameplate_is_found_where_it_is_open_and_nowhere_else() {
    let (port, key) = (free_port(), BeaconKey::generate());
    let mut b = Neighbour::new(&key, 1002);
    let device = b.id();
    b.plates.push(Nameplate { number: 77, device, port: 1002 });
    let (_a, _by_a) = Lan::start(port, Arc::new(Neighbour::new(&key, 1001))).unwrap();
    let (_b, _by_b) = Lan::start(port, Arc::new(b)).unwrap();
    let hints = ask(port, 77, PATIENCE).await.unwrap();
    assert_eq!(hints.len(), 1);
    assert_eq!(hints[0].device, device);
    assert!(hints[0].addrs.iter().all(|a| a.direct().unwrap().port() == 1002));
    let none = ask(port, 78, Duration::from_millis(500)).await.unwrap();
    assert_eq!(none, []);
}

/// A question as anybody can send it.
fn question(number: u16) -> [u8; 256] {
    let mut datagram = [0; 256];
    datagram[..8].copy_from_slice(b"warren?\x01");
    datagram[24..26].copy_from_slice(&number.to_be_bytes());
    datagram
}

#[tokio::test]
async fn who_asks_all_the_time_shuts_nobody_out() {
    let (port, key) = (free_port(), BeaconKey::generate());
    let mut owner = Neighbour::new(&key, 1002);
    let device = owner.id();
    owner.plates.push(Nameplate { number: 77, device, port: 1002 });
    let (_lan, _seen) = Lan::start(port, Arc::new(owner)).unwrap();
    let flood = UdpSocket::bind("127.0.0.1:0").unwrap();
    flood.set_broadcast(true).unwrap();
    let flooding = tokio::spawn(async move {
        loop {
            for _ in 0..5 {
                let _ = flood.send_to(&question(77), ("127.255.255.255", port));
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let asked = (0..3).map(|_| tokio::spawn(ask(port, 77, PATIENCE)));
    for hints in asked.collect::<Vec<_>>() {
        assert_eq!(hints.await.unwrap().unwrap()[0].device, device);
    }
    flooding.abort();
}
