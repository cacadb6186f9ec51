//! A long wire: UDP datagrams between two sockets, delayed, paced, and lost at random.
//!
//! `wire DELAY_MS MBIT LOSS_PERCENT ADDRESS ADDRESS`, with a bound UDP socket as standard input and another as standard
//! output, each in a network of its own: what comes in at the one leaves at the other, to that end's address (the first
//! address is that of standard input's end). Each socket has the address of the device at the other end, so that neither
//! device notices the wire. `scripts/netlab` makes the sockets.
//!
//! Datagrams come and go in batches (GRO, GSO), because one system call each would be too slow; delay, rate and loss are
//! each datagram's own. A direction is a queue like that of a router: what would wait longer than [`QUEUE`] is dropped.

#![allow(clippy::print_stderr, clippy::unwrap_used, missing_docs)]

use noq_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::{
    io::IoSliceMut,
    net::{SocketAddr, UdpSocket},
    os::fd::AsFd,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

/// How long a datagram may wait for its turn.
const QUEUE: Duration = Duration::from_millis(50);
/// A batch that the kernel hands over, at most.
const BATCH: usize = 1 << 16;
/// Datagrams that leave within this time leave together, as an Ethernet card's do.
const TOGETHER: Duration = Duration::from_micros(100);
/// What a datagram needs on the wire beside itself: UDP, IPv4 and Ethernet with its gap.
const HEADERS: usize = 8 + 20 + 38;
/// Socket buffers: a pause of the wire must not lose anything.
const BUFFER: usize = 4 << 20;

#[derive(Clone, Copy)]
struct Wire {
    delay: Duration,
    bytes_per_second: f64,
    loss: f64,
}

/// One end of the wire.
struct End {
    socket: UdpSocket,
    state: UdpSocketState,
}

/// Datagrams of one size that came together, and when each is due.
struct Batch {
    bytes: Vec<u8>,
    size: usize,
    due: Vec<Instant>,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| arguments[at].parse::<f64>().unwrap();
    let address = |at: usize| arguments[at].parse::<SocketAddr>().unwrap();
    let wire = Wire {
        delay: Duration::from_secs_f64(number(0) / 1e3),
        bytes_per_second: number(1) * 1e6 / 8.0,
        loss: number(2) / 100.0,
    };
    let (one, other) = (Arc::new(End::new(std::io::stdin())), Arc::new(End::new(std::io::stdout())));
    let (back, home) = ((other.clone(), one.clone()), address(3));
    thread::spawn(move || wire.carry(2, &back.0, back.1, home));
    wire.carry(1, &one, other, address(4));
}

impl End {
    fn new(socket: impl AsFd) -> Self {
        let socket = UdpSocket::from(socket.as_fd().try_clone_to_owned().unwrap());
        let state = UdpSocketState::new(UdpSockRef::from(&socket)).unwrap();
        state.set_recv_buffer_size(UdpSockRef::from(&socket), BUFFER).unwrap();
        state.set_send_buffer_size(UdpSockRef::from(&socket), BUFFER).unwrap();
        socket.set_nonblocking(false).unwrap();
        Self { socket, state }
    }

    fn send(&self, to: SocketAddr, contents: &[u8], size: usize) {
        let most = size * self.state.max_gso_segments().get().min(BATCH / size - 1);
        for contents in contents.chunks(most) {
            let transmit = Transmit { destination: to, ecn: None, contents, segment_size: Some(size), src_ip: None };
            // Nobody at home: a wire does not mind.
            let _ = self.state.try_send(UdpSockRef::from(&self.socket), &transmit);
        }
    }
}

impl Wire {
    fn carry(self, seed: u64, from: &End, to: Arc<End>, address: SocketAddr) {
        let (send, batches) = mpsc::channel();
        thread::spawn(move || deliver(&batches, &to, address));
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        let mut free_at = Instant::now();
        let mut buffer = vec![0; BATCH];
        loop {
            // One batch at a time: the call waits until it has as many as were asked for.
            let (slices, metas) = (&mut [IoSliceMut::new(&mut buffer)], &mut [RecvMeta::default()]);
            if from.state.recv(UdpSockRef::from(&from.socket), slices, metas).is_err() {
                continue;
            }
            let (now, [RecvMeta { len, stride, .. }]) = (Instant::now(), *metas);
            let mut batch = Batch { bytes: Vec::with_capacity(len), size: stride, due: Vec::new() };
            for datagram in buffer[..len].chunks(stride) {
                free_at = free_at.max(now);
                if free_at - now > QUEUE || dice.random_bool(self.loss) {
                    continue;
                }
                free_at += Duration::from_secs_f64((datagram.len() + HEADERS) as f64 / self.bytes_per_second);
                batch.bytes.extend_from_slice(datagram);
                batch.due.push(free_at + self.delay);
            }
            if send.send(batch).is_err() {
                return;
            }
        }
    }
}

/// Sends each datagram when it is due.
fn deliver(batches: &mpsc::Receiver<Batch>, to: &End, address: SocketAddr) {
    for batch in batches {
        let mut sent = 0;
        while let Some(first) = batch.due.get(sent) {
            thread::sleep(first.saturating_duration_since(Instant::now()));
            let latest = Instant::now() + TOGETHER;
            let until = sent + batch.due[sent..].partition_point(|due| *due <= latest).max(1);
            let end = (until * batch.size).min(batch.bytes.len());
            to.send(address, &batch.bytes[sent * batch.size..end], batch.size);
            sent = until;
        }
    }
}
