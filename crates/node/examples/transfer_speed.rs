//! How fast the conveyor is without encryption: two devices in two processes over plain TCP on loopback.
//!
//! ```text
//! cargo run --release -p warren-node --example transfer_speed -- big|small|tiny [FOLDER]
//! ```
//! Makes the data below FOLDER (default: the temporary directory), sends it a few times, and prints seconds, CPU
//! seconds of both sides and their peak memory. What was received stays until the end: ext4 is slow to make files
//! where many were just deleted. `FOLDER` on tmpfs shows the software, on a disk the whole.

#![allow(clippy::print_stdout, clippy::expect_used)]

use async_trait::async_trait;
use logic::transfer::{Offer, TransferId};
use rand::{Rng, RngExt, SeedableRng};
use seal::{DeviceId, DeviceKey, Signature};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::spool::{SpoolFile, SpoolId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use warren_node::transfers::{
    Connection, Decision, Happened, Host, Lanes, Remembered, SendRequest, Shelf, Stream, Transfers, What,
};

/// Remembers nothing.
struct NoShelf;

impl Shelf for NoShelf {
    fn put(&self, _: &TransferId, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn remove(&self, _: &TransferId) -> io::Result<()> {
        Ok(())
    }

    fn all(&self) -> io::Result<Remembered> {
        Ok(Remembered::default())
    }

    fn open_input(&self, _: &SpoolId) -> io::Result<Arc<SpoolFile>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn remove_input(&self, _: &SpoolId) {}
}

fn key(seed: u8) -> DeviceKey {
    DeviceKey::from_seed(&[seed; 32])
}

struct Device {
    key: DeviceKey,
    received: PathBuf,
}

impl Host for Device {
    fn me(&self) -> DeviceId {
        self.key.id()
    }

    fn peer_name(&self, peer: &DeviceId) -> String {
        peer.short()
    }

    fn decide(&self, _: &DeviceId, _: &Offer) -> Decision {
        Decision::Accept { to: None, ceiling: None }
    }

    fn received_dir(&self) -> PathBuf {
        self.received.clone()
    }

    fn sign(&self, receipt: &[u8]) -> Signature {
        self.key.sign(seal::Purpose::TransferReceipt, receipt)
    }

    fn happened(&self, event: Happened) {
        if let What::Failed { .. } | What::Misbehaved(_) | What::FileFailed { .. } | What::Cut { .. } = event.what {
            println!("{event:?}");
        }
    }
}

/// The header of a stream here: 0 or 1, and the transfer's id.
struct Loopback {
    peer: DeviceId,
    to: SocketAddr,
}

impl Loopback {
    async fn connect(&self, kind: u8, id: TransferId) -> io::Result<Stream> {
        let mut socket = TcpStream::connect(self.to).await?;
        socket.set_nodelay(true)?;
        socket.write_all(&[kind]).await?;
        socket.write_all(&id.0).await?;
        Ok(stream(socket))
    }
}

fn stream(socket: TcpStream) -> Stream {
    let (recv, send) = socket.into_split();
    Stream { send: Box::new(send), recv: Box::new(recv) }
}

#[async_trait]
impl Connection for Loopback {
    fn peer(&self) -> DeviceId {
        self.peer
    }

    async fn open(&self, id: TransferId) -> io::Result<Stream> {
        self.connect(0, id).await
    }

    async fn open_lanes(&self, id: TransferId, _: usize) -> io::Result<Lanes> {
        Ok(Lanes { streams: vec![self.connect(1, id).await?], kind: "tcp" })
    }
}

async fn receive(received: PathBuf) -> io::Result<()> {
    let device = Device { key: key(2), received };
    let transfers = Transfers::new(Arc::new(device), Arc::new(NoShelf))?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    loop {
        let (mut socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let transfers = transfers.clone();
        tokio::spawn(async move {
            let (mut kind, mut id) = ([0], [0; 16]);
            socket.read_exact(&mut kind).await.expect("header");
            socket.read_exact(&mut id).await.expect("header");
            let (peer, id) = (key(1).id(), TransferId(id));
            match kind {
                [0] => transfers.serve_transfer(peer, id, stream(socket)).await,
                _ => transfers.serve_lane(peer, id, stream(socket)),
            }
        });
    }
}

/// User and system seconds, and peak resident MiB, of a process.
fn usage(pid: u32) -> (f64, f64) {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|kib| kib.trim().trim_end_matches(" kB").parse::<f64>().ok()).unwrap_or(0.0);
    ((ticks(11) + ticks(12)) / 100.0, peak / 1024.0)
}

struct Receiver(Child);

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn make_data(kind: &str, folder: &Path) -> PathBuf {
    let path = folder.join(kind);
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(7);
    match kind {
        "big" => {
            let mut bytes = vec![0; 1 << 20];
            let mut file = std::fs::File::create(&path).expect("create");
            for _ in 0..1024 {
                random.fill_bytes(&mut bytes);
                io::Write::write_all(&mut file, &bytes).expect("write");
            }
        }
        "small" => {
            for n in 0..10_000u32 {
                let dir = path.join(format!("d{}/e{}", n % 20, n % 200));
                std::fs::create_dir_all(&dir).expect("dir");
                let mut bytes = vec![0; random.random_range(512..26_000)];
                random.fill_bytes(&mut bytes);
                std::fs::write(dir.join(format!("f{n}")), bytes).expect("write");
            }
        }
        _ => std::fs::write(&path, b"ten bytes!").expect("write"),
    }
    path
}

async fn send(kind: &str, folder: &Path) -> io::Result<()> {
    let work = tempfile::tempdir_in(folder)?;
    let data = make_data(kind, work.path());
    let received = work.path().join("received");
    let mut child = Command::new(std::env::current_exe()?)
        .args(["receive".as_ref(), received.as_os_str()])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut address = String::new();
    let mut lines = io::BufReader::new(child.stdout.take().expect("piped"));
    io::BufRead::read_line(&mut lines, &mut address)?;
    let receiver = Receiver(child);
    let device = Device { key: key(1), received: work.path().join("unused") };
    let transfers = Transfers::new(Arc::new(device), Arc::new(NoShelf))?;
    let peer = key(2).id();
    transfers.link_up(Arc::new(Loopback { peer, to: address.trim().parse().expect("address") }));
    for round in 0..5 {
        let (cpu_out, cpu_in) = (usage(std::process::id()).0, usage(receiver.0.id()).0);
        let mut snapshots = transfers.subscribe();
        let began = Instant::now();
        let request = SendRequest { paths: vec![data.clone()], ..SendRequest::default() };
        transfers.send(&request, &[peer]).expect("send");
        let end = loop {
            let view = snapshots.recv().await.expect("snapshot");
            if view.state.is_final() {
                break view;
            }
        };
        let seconds = began.elapsed().as_secs_f64();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let (out, back) = (usage(std::process::id()), usage(receiver.0.id()));
        println!(
            "{kind} {round}: {:?} {seconds:.4} s, {:.0} MB/s, CPU {:.2} + {:.2} s, peak {:.0} / {:.0} MiB, problem {:?}",
            end.state,
            end.bytes_done as f64 / seconds / 1e6,
            out.0 - cpu_out,
            back.0 - cpu_in,
            out.1,
            back.1,
            end.problem,
        );
    }
    Ok(())
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let kind = arguments.first().map_or("big", String::as_str).to_owned();
    let folder = arguments.get(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async move {
        match kind.as_str() {
            "receive" => receive(folder).await,
            kind => send(kind, &folder).await,
        }
    })
}
