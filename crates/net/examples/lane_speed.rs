//! How fast one stream is between two processes on loopback, and what it costs.
//!
//! `cargo run --release -p warren-net --example lane_speed -- [GiB] [tcp|quic|idle]`
//!
//! Prints MB/s and CPU seconds per GiB of each side, and the resident memory. With `idle` both
//! sides only hold the link for a moment: that is what a device at rest needs.

#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

use std::{
    env,
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use logic::{Misbehaved, hello::Credentials, wire::Address};
use seal::{DeviceId, DeviceKey, Timestamp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use warren_net::{Admission, Incoming, NetConfig, Network};

const BLOCK: usize = 1 << 20;

struct Anybody;

impl Admission for Anybody {
    fn credentials(&self) -> Option<Credentials> {
        None
    }
    fn now(&self) -> Timestamp {
        Timestamp(0)
    }
    fn blocked(&self, _device: DeviceId) -> bool {
        false
    }
    fn guests_welcome(&self) -> bool {
        true
    }
    fn report(&self, from: Option<DeviceId>, addr: Option<SocketAddr>, offence: Misbehaved) {
        println!("offence of {from:?} at {addr:?}: {offence}");
    }
}

#[tokio::main]
async fn main() {
    let args: Vec<String> = env::args().collect();
    match args.get(1).map(String::as_str) {
        Some("send") => send(&args).await,
        _ => receive(&args).await,
    }
}

fn config(lane: &str) -> NetConfig {
    NetConfig {
        tcp_lane: lane != "quic",
        ..NetConfig::loopback()
    }
}

async fn receive(args: &[String]) {
    let gib = args.get(1).map_or("4", String::as_str);
    let lane = args.get(2).map_or("tcp", String::as_str);
    let key = DeviceKey::generate();
    let (network, mut incoming) = Network::bind(&key, config(lane), Arc::new(Anybody))
        .await
        .unwrap();
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["send", gib, lane])
        .args([network.id().to_string(), network.port().to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let Some(Incoming::Guest(link)) = incoming.recv().await else {
        panic!("no link")
    };
    link.vouch();
    let mut control = link.accept().await.unwrap();
    control.recv.read_u8().await.unwrap();
    control.send.write_u8(0).await.unwrap();
    let streams = control.recv.read_u8().await.unwrap();
    let (start, cpu) = (Instant::now(), cpu());
    let mut tasks = Vec::new();
    for _ in 0..streams {
        let mut stream = link.accept().await.unwrap();
        tasks.push(tokio::spawn(async move {
            let mut buf = vec![0; BLOCK];
            let mut sum = 0u64;
            loop {
                match stream.recv.read(&mut buf).await.unwrap() {
                    0 => return sum,
                    n => sum += n as u64,
                }
            }
        }));
    }
    let mut sum = 0;
    for task in tasks {
        sum += task.await.unwrap();
    }
    if lane == "idle" {
        tokio::time::sleep(Duration::from_secs(3)).await;
        println!("idle: {} KiB resident", resident());
    } else {
        report("received", sum, start, cpu);
        println!("{:?} key agreement", link.key_agreement());
    }
    control.send.write_u8(1).await.unwrap();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        println!("{}", line.unwrap());
    }
    child.wait().unwrap();
    network.close().await;
}

async fn send(args: &[String]) {
    let (total, lane) = (args[2].parse::<u64>().unwrap() << 30, &args[3]);
    let device: DeviceId = args[4].parse().unwrap();
    let addr = SocketAddr::from(([127, 0, 0, 1], args[5].parse().unwrap()));
    let key = DeviceKey::generate();
    let (network, _incoming) = Network::bind(&key, config(lane), Arc::new(Anybody))
        .await
        .unwrap();
    let link = network
        .connect_guest(device, &[Address::Direct(addr)], Duration::from_secs(5))
        .await
        .unwrap();
    let mut control = link.open().await.unwrap();
    control.send.write_u8(0).await.unwrap();
    control.recv.read_u8().await.unwrap();
    let streams = match lane.as_str() {
        "idle" => Vec::new(),
        _ => link.open_bulk(8).await.unwrap().streams,
    };
    control.send.write_u8(streams.len() as u8).await.unwrap();
    let (start, cpu, count) = (Instant::now(), cpu(), streams.len());
    let mut tasks = Vec::new();
    for mut stream in streams {
        tasks.push(tokio::spawn(async move {
            let block = vec![7; BLOCK];
            for _ in 0..total / BLOCK as u64 / count as u64 {
                stream.send.write_all(&block).await.unwrap();
            }
            stream.send.finish().await.unwrap();
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    control.recv.read_u8().await.unwrap();
    match lane.as_str() {
        "idle" => println!("idle: {} KiB resident", resident()),
        _ => report("sent", total, start, cpu),
    }
    std::io::stdout().flush().unwrap();
    network.close().await;
}

fn report(what: &str, bytes: u64, start: Instant, cpu_before: f64) {
    let seconds = start.elapsed().as_secs_f64();
    let (mb, gib) = (bytes as f64 / 1e6, bytes as f64 / f64::from(1 << 30));
    println!(
        "{what}: {gib:.1} GiB, {:.0} MB/s, {:.2} CPU s/GiB, {} KiB resident",
        mb / seconds,
        (cpu() - cpu_before) / gib,
        resident()
    );
}

/// User and system seconds of this process (proc_pid_stat(5), fields 14 and 15, in 1/100 s).
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    ticks as f64 / 100.0
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
