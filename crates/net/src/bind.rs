//! Opens the sockets: UDP for QUIC and TCP for the lane, on one port number.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use iroh::{
    Endpoint, RelayConfig, RelayMap, RelayMode, RelayUrl, SecretKey,
    endpoint::{BindOpts, IdleTimeout, PortmapperConfig, QuicTransportConfig, VarInt, presets},
};
use seal::DeviceKey;
use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;

use crate::{
    config::NetConfig,
    congestion::ByDistance,
    network::{ALPN_GUEST, ALPN_MEMBER, BindError},
    tls::provider,
};

/// Free ports that are tried until one is free for TCP and UDP.
const ATTEMPTS: usize = 16;
/// TCP connections that may wait to be answered.
const BACKLOG: i32 = 128;
/// Streams and unread bytes that a peer may have before it has proven what it is: the desk and
/// one more; a hello is at most 128 KiB.
const STREAMS_UNPROVEN: VarInt = VarInt::from_u32(2);
const WINDOW_UNPROVEN: VarInt = VarInt::from_u32(256 << 10);
/// Unread bytes of one stream. More breaks connections: QUIC's reassembly gives up at a thousand
/// fragments when the reader lags.
const STREAM_WINDOW: VarInt = VarInt::from_u32(1_250_000);
/// Unacknowledged bytes of a link.
const SEND_WINDOW: u64 = 16 << 20;

/// What [`bind`] opened.
pub(crate) struct Bound {
    pub(crate) endpoint: Endpoint,
    pub(crate) listeners: Vec<TcpListener>,
}

impl Bound {
    pub(crate) fn tcp_port(&self) -> Option<u16> {
        Some(self.listeners.first()?.local_addr().ok()?.port())
    }
}

/// The endpoint's UDP port.
pub(crate) fn port(endpoint: &Endpoint) -> u16 {
    endpoint.bound_sockets().first().map_or(0, SocketAddr::port)
}

/// Opens everything on the wanted port, or on any if that is allowed.
pub(crate) async fn bind(key: &DeviceKey, config: &NetConfig) -> Result<Bound, BindError> {
    if config.port != 0 {
        match bind_on(key, config, config.port).await {
            Err(BindError::Socket(e)) if e.kind() == io::ErrorKind::AddrInUse => {
                if !config.any_port_if_taken {
                    return Err(BindError::PortTaken(config.port));
                }
            }
            bound => return bound,
        }
    }
    let mut taken = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..ATTEMPTS {
        match bind_on(key, config, 0).await {
            Err(BindError::Socket(e)) if e.kind() == io::ErrorKind::AddrInUse => taken = e,
            bound => return bound,
        }
    }
    Err(BindError::Socket(taken))
}

/// TCP first: if any port will do, the system picks one, and UDP takes the same.
async fn bind_on(key: &DeviceKey, config: &NetConfig, port: u16) -> Result<Bound, BindError> {
    let mut port = port;
    let mut listeners = Vec::new();
    for ip in &config.listen {
        match listen(SocketAddr::new(*ip, port)) {
            Ok(listener) => {
                port = listener.local_addr().map_err(BindError::Socket)?.port();
                listeners.push(listener);
            }
            Err(e) if ip.is_ipv6() && e.kind() != io::ErrorKind::AddrInUse => {
                tracing::debug!(error = %e, "no IPv6 here");
            }
            Err(e) => return Err(BindError::Socket(e)),
        }
    }
    let endpoint = endpoint(key, config, port).await?;
    if !config.tcp_lane {
        listeners.clear();
    }
    Ok(Bound { endpoint, listeners })
}

fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

async fn endpoint(key: &DeviceKey, config: &NetConfig, port: u16) -> Result<Endpoint, BindError> {
    let setup = |e: &dyn std::fmt::Display| BindError::Setup(e.to_string());
    let mut builder = Endpoint::builder(presets::Empty)
        .crypto_provider(provider())
        .secret_key(SecretKey::from_bytes(&key.seed()))
        .alpns(vec![ALPN_MEMBER.to_vec(), ALPN_GUEST.to_vec()])
        .transport_config(transport(config).map_err(|e| setup(&e))?)
        .portmapper_config(match config.portmap {
            true => PortmapperConfig::default(),
            false => PortmapperConfig::Disabled,
        })
        .clear_ip_transports();
    builder = match relays(&config.relays)? {
        None => builder.relay_mode(RelayMode::Disabled),
        Some(relays) => builder.relay_mode(RelayMode::Custom(relays)),
    };
    for ip in &config.listen {
        let options = BindOpts::default().set_is_required(ip.is_ipv4());
        builder = builder.bind_addr_with_opts(SocketAddr::new(*ip, port), options).map_err(|e| setup(&e))?;
    }
    builder.bind().await.map_err(|e| match udp_is_taken(&config.listen, port) {
        true => BindError::Socket(io::ErrorKind::AddrInUse.into()),
        false => setup(&e),
    })
}

/// The endpoint does not say why it could not be bound, so look.
fn udp_is_taken(ips: &[IpAddr], port: u16) -> bool {
    ips.iter().any(|ip| {
        matches!(std::net::UdpSocket::bind((*ip, port)),
            Err(e) if e.kind() == io::ErrorKind::AddrInUse)
    })
}

fn transport(config: &NetConfig) -> Result<QuicTransportConfig, iroh::endpoint::VarIntBoundsExceeded> {
    let limits = &config.limits;
    Ok(QuicTransportConfig::builder()
        .max_concurrent_bidi_streams(STREAMS_UNPROVEN)
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .receive_window(WINDOW_UNPROVEN)
        .stream_receive_window(STREAM_WINDOW)
        .send_window(SEND_WINDOW)
        .datagram_receive_buffer_size(None)
        .congestion_controller_factory(Arc::new(ByDistance))
        .max_idle_timeout(Some(IdleTimeout::try_from(limits.silence)?))
        .default_path_max_idle_timeout(limits.silence)
        .keep_alive_interval(limits.keep_alive())
        .default_path_keep_alive_interval(limits.keep_alive())
        .build())
}

fn relays(urls: &[String]) -> Result<Option<RelayMap>, BindError> {
    let configs = urls
        .iter()
        .map(|url| {
            let parsed = url.parse::<RelayUrl>();
            let parsed = parsed.map_err(|_| BindError::Relay(url.clone()))?;
            Ok(Arc::new(RelayConfig::new(parsed, Some(Default::default()))))
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok((!configs.is_empty()).then(|| RelayMap::from_iter(configs)))
}
