//! Answers those who call: QUIC connections and TCP lanes, at a bounded rate and number.
//!
//! A caller costs nothing but a counter until [`crate::gate`] lets it in; then it has
//! `Limits::handshake` to prove a key and, as a member, its membership.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use iroh::endpoint::{Connection, Incoming as Call, IncomingAddr};
use logic::Misbehaved;
use seal::DeviceId;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::{
    close::Goodbye,
    gate::{Gate, Verdict},
    guest::GuestLink,
    known::Party,
    lane::dial::{self, LaneError},
    link::{Denial, Link},
    network::{ALPN_GUEST, Incoming, Shared},
    tls::HandshakeError,
};

/// TCP calls that may be unanswered at once, of those who are expected and of all others.
const TCP_HANDSHAKES: usize = 64;
/// How long a refused member may take to read the refusal.
const LINGER: Duration = Duration::from_millis(500);
/// How long to wait when the system is out of sockets.
const OUT_OF_SOCKETS: Duration = Duration::from_millis(100);

/// Starts answering on all sockets.
pub(crate) fn start(shared: &Arc<Shared>, listeners: Vec<TcpListener>) {
    let door = Arc::new(Door::new(shared.clone()));
    shared.spawn(answer_quic(door));
    for listener in listeners {
        let door = Arc::new(Door::new(shared.clone()));
        shared.spawn(answer_tcp(door, listener));
    }
}

/// The gate of one socket, and when it last reported a flood.
struct Door {
    shared: Arc<Shared>,
    gate: Mutex<(Gate, Option<Instant>)>,
}

impl Door {
    fn new(shared: Arc<Shared>) -> Self {
        let limits = &shared.config.limits;
        let gate = Gate::new(limits.calm_rate, limits.flood_rate);
        Self { shared, gate: Mutex::new((gate, None)) }
    }

    fn knock(&self, addr: SocketAddr, proven: bool, busy: bool) -> Verdict {
        let now = Instant::now();
        let party = self.shared.party(addr);
        let mut gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        let verdict = gate.0.knock(party, proven, busy, now);
        let told = gate.1.is_some_and(|at| now.duration_since(at) < Duration::from_secs(1));
        if verdict == Verdict::Ignore && !told {
            gate.1 = Some(now);
            drop(gate);
            let offence = Misbehaved::ConnectFlood;
            self.shared.admission.report(None, Some(addr), offence);
        }
        verdict
    }
}

async fn answer_quic(door: Arc<Door>) {
    let endpoint = door.shared.endpoint.clone();
    while let Some(call) = endpoint.accept().await {
        let shared = &door.shared;
        let addr = match call.remote_addr() {
            IncomingAddr::Ip(addr) => Some(addr),
            _ => None,
        };
        let proven = call.remote_addr_validated();
        // Places of their own, so that strangers cannot take them; nor whoever forges a member's address.
        let reserved = proven && addr.is_some_and(|addr| !matches!(shared.party(addr), Party::Network(_)));
        let places = if reserved { &shared.reserved } else { &shared.handshakes };
        let permit = places.clone().try_acquire_owned().ok();
        // What comes over a relay has been let in by the relay.
        let verdict = addr.map_or(Verdict::Admit, |addr| door.knock(addr, proven, permit.is_none()));
        match (verdict, permit) {
            (Verdict::Ignore, _) => call.ignore(),
            (Verdict::Prove, _) => {
                // It fails only for a caller that has proven its address already.
                let _ = call.retry();
            }
            (Verdict::Admit, None) => call.refuse(),
            (Verdict::Admit, Some(permit)) => {
                let shared = shared.clone();
                shared.clone().spawn(async move { welcome(shared, call, addr, permit).await });
            }
        }
    }
}

async fn welcome(shared: Arc<Shared>, call: Call, addr: Option<SocketAddr>, permit: OwnedSemaphorePermit) {
    let deadline = shared.config.limits.handshake;
    let handshake = async { call.accept().map_err(drop)?.await.map_err(drop) };
    let conn = match timeout(deadline, handshake).await {
        Ok(Ok(conn)) => conn,
        // Ends of scans and lost packets; nothing is proven about anybody.
        Ok(Err(())) => return,
        Err(_) => {
            let offence = Misbehaved::HandshakeTooSlow;
            return shared.admission.report(None, addr, offence);
        }
    };
    let device = DeviceId::from_bytes(*conn.remote_id().as_bytes());
    let report = |offence| shared.admission.report(Some(device), addr, offence);
    if shared.admission.blocked(device) {
        report(Misbehaved::BlockedConnected);
        return Goodbye::Refused.say(&conn);
    }
    let met = match conn.alpn() {
        ALPN_GUEST => timeout(deadline, guest(&shared, &conn, addr)).await,
        _ => timeout(deadline, member(&shared, &conn, addr)).await,
    };
    drop(permit);
    match met {
        // The queue is full only if nobody takes links: then they are dropped, hence closed.
        Ok(Ok(link)) => drop(shared.incoming.try_send(link)),
        Ok(Err(why)) => why.say(&conn),
        Err(_) => {
            report(Misbehaved::HandshakeTooSlow);
            Goodbye::Misbehaved.say(&conn);
        }
    }
}

async fn guest(shared: &Arc<Shared>, conn: &Connection, addr: Option<SocketAddr>) -> Result<Incoming, Goodbye> {
    let device = DeviceId::from_bytes(*conn.remote_id().as_bytes());
    let report = |offence| shared.admission.report(Some(device), addr, offence);
    if !shared.admission.guests_welcome() {
        report(Misbehaved::GuestUnexpected);
        return Err(Goodbye::Refused);
    }
    let place = shared.guests.clone().try_acquire_owned().ok();
    if place.is_none() && !shared.admission.expected(device) {
        return Err(Goodbye::Busy);
    }
    match GuestLink::admit(shared.clone(), conn.clone(), place).await {
        Ok(guest) => Ok(Incoming::Guest(guest)),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            report(Misbehaved::HandshakeInvalid);
            Err(Goodbye::Misbehaved)
        }
        Err(_) => Err(Goodbye::Failed),
    }
}

async fn member(shared: &Arc<Shared>, conn: &Connection, addr: Option<SocketAddr>) -> Result<Incoming, Goodbye> {
    match Link::admit(shared.clone(), conn.clone()).await {
        Ok(link) => {
            shared.acquaint(addr);
            Ok(Incoming::Member(link))
        }
        Err(denial) => {
            if let Denial::Misbehaved(offence) = denial {
                let device = DeviceId::from_bytes(*conn.remote_id().as_bytes());
                shared.admission.report(Some(device), addr, offence);
            }
            // The dialer hangs up once it has read why; it need not.
            let _ = timeout(LINGER, conn.closed()).await;
            Err(Goodbye::Refused)
        }
    }
}

async fn answer_tcp(door: Arc<Door>, listener: TcpListener) {
    let expected = Arc::new(Semaphore::new(TCP_HANDSHAKES));
    let strange = Arc::new(Semaphore::new(TCP_HANDSHAKES));
    loop {
        let (socket, addr) = match listener.accept().await {
            Ok(call) => call,
            Err(error) => {
                tracing::debug!(%error, "cannot accept TCP");
                tokio::time::sleep(OUT_OF_SOCKETS).await;
                continue;
            }
        };
        #[cfg(test)]
        if door.shared.deaf.is_cancelled() {
            continue;
        }
        // Ticket holders have places of their own, so that a flood cannot take them.
        let places = if door.shared.tickets.expects(addr.ip()) {
            &expected
        } else if door.knock(addr, true, false) == Verdict::Ignore {
            continue;
        } else {
            &strange
        };
        let Ok(permit) = places.clone().try_acquire_owned() else {
            continue;
        };
        let shared = door.shared.clone();
        shared.clone().spawn(async move {
            lane(&shared, socket, addr).await;
            drop(permit);
        });
    }
}

async fn lane(shared: &Shared, socket: TcpStream, addr: SocketAddr) {
    let answer = dial::answer(&shared.tls, &shared.tickets, socket);
    let (device, offence) = match timeout(shared.config.limits.handshake, answer).await {
        Ok(Ok(())) => return,
        Ok(Err((device, LaneError::Misbehaved(offence)))) => (device, offence),
        Ok(Err((device, error))) if is_offence(&error) => (device, Misbehaved::HandshakeInvalid),
        Ok(Err((_, error))) => {
            return tracing::debug!(%addr, %error, "no lane came of a TCP call");
        }
        Err(_) => (None, Misbehaved::HandshakeTooSlow),
    };
    let device = device.map(DeviceId::from_bytes);
    shared.admission.report(device, Some(addr), offence);
}

/// Hanging up is nobody's fault, and whoever only wants to know our key shows none.
fn is_offence(error: &LaneError) -> bool {
    match error {
        LaneError::Handshake(HandshakeError::Tls(error)) => !matches!(error, rustls::Error::NoCertificatesPresented),
        LaneError::Handshake(HandshakeError::Protocol) | LaneError::Refused => true,
        _ => false,
    }
}
