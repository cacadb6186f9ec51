//! The loop behind both doors: accept, serve HTTP/1.1 on each connection, stop in good order.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// Connections that are served at the same time; more wait in the system's queue.
const MAX_CONNECTIONS: usize = 128;

/// How long a caller may take to send its request line and headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long calls under way may take once the door closes; event streams are cut then.
const LAST_CALLS: Duration = Duration::from_secs(1);

/// How long to wait after a failed `accept` (out of file descriptors, for example).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where connections come from.
pub(super) trait Door: Send {
    /// One connection.
    type Conn: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection that may come in at all; `Ok(None)` for one that was turned away.
    fn accept(&mut self) -> impl Future<Output = io::Result<Option<Self::Conn>>> + Send;
}

/// Serves `router` at the door until `until` completes; then lets calls under way end.
pub(super) async fn serve<D: Door>(mut door: D, router: Router, until: impl Future<Output = ()>) {
    let (closing, closed) = watch::channel(());
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    let mut until = pin!(until);
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await.ok();
            (place, door.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = &mut until => break,
            Some(_) = connections.join_next() => continue,
            next = next => next,
        };
        match accepted {
            Ok(Some(conn)) => {
                let serving = converse(conn, router.clone(), closed.clone());
                connections.spawn(async move {
                    serving.await;
                    drop(place);
                });
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection of the local API");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(door);
    drop(closing);
    let ended = async { while connections.join_next().await.is_some() {} };
    // Past the limit only event streams are left; dropping the set cuts them.
    let _ = tokio::time::timeout(LAST_CALLS, ended).await;
}

/// Serves one connection until it ends or the door closes.
async fn converse<C>(conn: C, router: Router, mut closed: watch::Receiver<()>)
where
    C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    let serving = http.serve_connection(TokioIo::new(conn), TowerToHyperService::new(router));
    let mut serving = pin!(serving);
    let result = tokio::select! {
        result = serving.as_mut() => result,
        _ = closed.changed() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection of the local API ended early");
    }
}
