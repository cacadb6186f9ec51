//! Many devices on one machine.

use crate::device::{Device, assert_same_tree, wait};
use crate::faults::long;
use crate::tree::noise;

/// A circle of so many running devices, `m0` first; all know and see each other.
fn crowd(count: usize) -> Vec<Device> {
    let founder = Device::founder("m0", "crowd");
    founder.up();
    let mut devices = vec![founder];
    for i in 1..count {
        let device = Device::joined(&devices[0], &format!("m{i}"));
        devices.push(device);
    }
    for device in &devices {
        wait("everybody to be online", || device.status()["peers_online"] == count - 1);
    }
    devices
}

#[test]
fn five_devices_send_ten_things_at_once_in_both_directions() {
    let devices = crowd(5);
    for device in &devices {
        for other in device.peers() {
            device.trust(other["name"].as_str().unwrap());
        }
    }
    let mut sent = Vec::new();
    for (i, device) in devices.iter().enumerate() {
        for step in [1, 2] {
            let to = (i + step) % 5;
            let name = format!("from-{i}-to-{to}");
            let path = device.file(&name, noise((i * 7 + step) as u64, (3 << 20) + i * 1000));
            let id = device.queue(&path, &format!("m{to}"), &[]);
            sent.push((i, to, name, id));
        }
    }
    for (from, to, name, id) in &sent {
        devices[*from].wait_transfer(id, "done");
        assert_same_tree(&devices[*from].files().join(name), &devices[*to].received().join(name));
    }
    // Two devices, ten at once, both ways, between the same pair.
    let (one, two) = (&devices[0], &devices[1]);
    let mut pairwise = Vec::new();
    for i in 0..10_usize {
        let (from, to, to_name) = if i % 2 == 0 { (one, two, "m1") } else { (two, one, "m0") };
        let name = format!("pair-{i}");
        let id = from.queue(&from.file(&name, noise(i as u64, 1 << 20)), to_name, &[]);
        pairwise.push((from, to, name, id));
    }
    for (from, to, name, id) in pairwise {
        from.wait_transfer(&id, "done");
        assert_same_tree(&from.files().join(&name), &to.received().join(&name));
    }
}

#[test]
fn twenty_devices_form_one_circle() {
    if !long() {
        eprintln!("skipped: set WARREN_LONG=1 for twenty devices");
        return;
    }
    let devices = crowd(20);
    for device in &devices[1..] {
        device.trust("m0");
    }
    let note = devices[0].file("note", noise(1, 100_000));
    devices[0].run(["send", &note, "--all"]).ok();
    for device in &devices[1..] {
        assert!(std::fs::read(device.received().join("note")).unwrap() == noise(1, 100_000));
    }
}
