//! Two devices, their disks, and links that can be cut.

use super::super::*;
use async_trait::async_trait;
use logic::Misbehaved;
use seal::{DeviceKey, Signature};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll, ready};
use store::spool::SpoolFile;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, duplex};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// A device: its key, its shelf, what it decided.
pub struct Device {
    pub key: DeviceKey,
    pub home: tempfile::TempDir,
    pub decision: Mutex<Decision>,
    pub events: Mutex<Vec<Happened>>,
    shelf: Mutex<BTreeMap<TransferId, Vec<u8>>>,
}

impl Device {
    pub fn new(seed: u8) -> Arc<Self> {
        Arc::new(Self {
            key: DeviceKey::from_seed(&[seed; 32]),
            home: tempfile::tempdir().unwrap(),
            decision: Mutex::new(Decision::Accept { to: None, ceiling: None }),
            events: Mutex::default(),
            shelf: Mutex::default(),
        })
    }

    /// A new process over the same disk.
    pub fn start(self: &Arc<Self>) -> Transfers {
        Transfers::new(self.clone(), self.clone()).unwrap()
    }

    pub fn offences(&self) -> Vec<Misbehaved> {
        let events = self.events.lock().unwrap();
        let offence = |event: &Happened| match event.what {
            What::Misbehaved(offence) => Some(offence),
            _ => None,
        };
        events.iter().filter_map(offence).collect()
    }
}

impl Host for Device {
    fn me(&self) -> DeviceId {
        self.key.id()
    }

    fn peer_name(&self, peer: &DeviceId) -> String {
        peer.short()
    }

    fn decide(&self, _: &DeviceId, _: &Offer) -> Decision {
        self.decision.lock().unwrap().clone()
    }

    fn received_dir(&self) -> PathBuf {
        self.home.path().join("received")
    }

    fn sign(&self, receipt: &[u8]) -> Signature {
        self.key.sign(seal::Purpose::TransferReceipt, receipt)
    }

    fn happened(&self, event: Happened) {
        self.events.lock().unwrap().push(event);
    }
}

impl Shelf for Device {
    fn put(&self, id: &TransferId, record: &[u8]) -> io::Result<()> {
        self.shelf.lock().unwrap().insert(*id, record.to_vec());
        Ok(())
    }

    fn remove(&self, id: &TransferId) -> io::Result<()> {
        self.shelf.lock().unwrap().remove(id);
        Ok(())
    }

    fn all(&self) -> io::Result<Remembered> {
        let records = self.shelf.lock().unwrap().iter().map(|(id, record)| (*id, record.clone())).collect();
        Ok(Remembered { records, damaged: Vec::new() })
    }

    fn open_input(&self, _: &SpoolId) -> io::Result<Arc<SpoolFile>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn remove_input(&self, _: &SpoolId) {}
}

/// A link that carries so many bytes from its first to its second device and then is dead.
pub struct Link {
    pub from: DeviceId,
    pub to: DeviceId,
    pub service: Transfers,
    fuse: Arc<AtomicI64>,
    cut: CancellationToken,
    pub lanes: usize,
}

impl Link {
    pub fn up(from: &Device, to: &Device, service: &Transfers, bytes: i64) -> Arc<dyn Connection> {
        let (from, to, fuse) = (from.key.id(), to.key.id(), Arc::new(AtomicI64::new(bytes)));
        Arc::new(Self { from, to, service: service.clone(), fuse, cut: CancellationToken::new(), lanes: 3 })
    }

    fn pipe(&self) -> (Stream, Stream) {
        let (near, far) = duplex(64 << 10);
        let burn = |end: tokio::io::DuplexStream| {
            let (recv, send) = tokio::io::split(end);
            let (recv, send) = (Fused::new(recv, &self.fuse, &self.cut), Fused::new(send, &self.fuse, &self.cut));
            Stream { send: Box::new(send), recv: Box::new(recv) }
        };
        (burn(near), burn(far))
    }
}

#[async_trait]
impl Connection for Link {
    fn peer(&self) -> DeviceId {
        self.to
    }

    async fn open(&self, id: TransferId) -> io::Result<Stream> {
        let (near, far) = self.pipe();
        let (service, from) = (self.service.clone(), self.from);
        tokio::spawn(async move { service.serve_transfer(from, id, far).await });
        Ok(near)
    }

    async fn open_lanes(&self, id: TransferId, _: usize) -> io::Result<Lanes> {
        let mut streams = Vec::new();
        for _ in 0..self.lanes {
            let (near, far) = self.pipe();
            self.service.serve_lane(self.from, id, far);
            streams.push(near);
        }
        Ok(Lanes { streams, kind: "quic" })
    }
}

/// One end of a stream of a link.
struct Fused<T> {
    inner: T,
    fuse: Arc<AtomicI64>,
    cut: CancellationToken,
    until_cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl<T> Fused<T> {
    fn new(inner: T, fuse: &Arc<AtomicI64>, cut: &CancellationToken) -> Self {
        let until_cut = Box::pin(cut.clone().cancelled_owned());
        Self { inner, fuse: fuse.clone(), cut: cut.clone(), until_cut }
    }

    fn alive(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.until_cut.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionReset.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Fused<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.alive(cx)?;
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Fused<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.alive(cx)?;
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, bytes))?;
        if self.fuse.fetch_sub(written as i64, Ordering::Relaxed) <= written as i64 {
            self.cut.cancel();
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.alive(cx)?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// Everything that must be the same on both sides, by path.
pub fn portrait(top: &Path) -> BTreeMap<PathBuf, (String, Vec<u8>, i64, i64)> {
    let mut all = BTreeMap::new();
    let mut todo = vec![top.to_owned()];
    while let Some(path) = todo.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        let (kind, content) = if meta.is_dir() {
            todo.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            ("dir", Vec::new())
        } else if meta.is_symlink() {
            ("link", fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec())
        } else {
            let exec = meta.permissions().mode() & 0o100 != 0;
            (if exec { "exec" } else { "file" }, fs::read(&path).unwrap())
        };
        let place = path.strip_prefix(top).unwrap().to_owned();
        all.insert(place, (kind.to_owned(), content, meta.mtime(), meta.mtime_nsec()));
    }
    all
}

/// Waits until a transfer stands like this.
pub async fn until(service: &Transfers, id: &str, wanted: impl Fn(&Transfer) -> bool) -> Transfer {
    let (mut snapshots, began) = (service.subscribe(), Instant::now());
    loop {
        assert!(began.elapsed() < Duration::from_secs(20), "stands still: {:?}", service.get(id));
        // An offer may not have arrived yet.
        if let Some(view) = service.get(id).ok().filter(|view| wanted(view)) {
            return view;
        }
        // Progress is published at a limited rate; a state never waits.
        let _ = tokio::time::timeout(Duration::from_millis(300), snapshots.recv()).await;
    }
}
