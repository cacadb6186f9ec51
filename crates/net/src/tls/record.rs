//! The TLS 1.3 record layer (RFC 8446 section 5) over buffers: no sockets, no handshake.
//!
//! [`Sealer`] and [`Opener`] each own one direction. Invariants: a sequence number is used once per
//! key; nothing is given out before its tag was checked; a key is replaced long before its
//! cipher's limit; after the first error the direction stays broken.
//!
//! Keys come from rustls, which also computes their successors ([`Rekey`]).

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use aws_lc_rs::aead::{
    AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};
use rustls::{
    ConnectionTrafficSecrets, client::ClientConnectionData, kernel::KernelConnection,
    server::ServerConnectionData,
};
use thiserror::Error;

/// Bytes before the payload of a record: type, version, length.
pub(crate) const HEADER: usize = 5;
/// Largest plaintext of a record (RFC 8446 section 5.1).
pub(crate) const MAX_PLAIN: usize = 1 << 14;
/// Inner content type and AEAD tag.
pub(crate) const TRAILER: usize = 1 + TAG;
/// Largest record that we make.
pub(crate) const MAX_SEALED: usize = HEADER + MAX_PLAIN + TRAILER;
/// Largest payload that a peer may send (RFC 8446 section 5.2).
const MAX_PAYLOAD: usize = MAX_PLAIN + 256;
/// Largest record that a peer may send.
pub(crate) const MAX_RECORD: usize = HEADER + MAX_PAYLOAD;

const TAG: usize = 16;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;
/// Content type application_data, legacy version 0x0303: how every protected record begins.
const PREFIX: [u8; 3] = [APPLICATION_DATA, 3, 3];
/// Alert: level warning, close_notify (RFC 8446 section 6.1).
const CLOSE_NOTIFY: [u8; 2] = [1, 0];
/// Handshake message key_update without its one-byte body (RFC 8446 section 4.6.3).
const KEY_UPDATE: [u8; 4] = [24, 0, 0, 1];
/// Records under one key: half of what rustls allows AES-GCM (2^24), about 128 GiB. Tests get
/// there sooner.
const RECORDS_PER_KEY: u64 = if cfg!(test) { 20 } else { 1 << 23 };
/// Records in a row that carry no data before the peer is taken for a flooder.
const MAX_IDLE_RECORDS: u32 = 32;

/// Why a direction of a TLS connection ended badly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum RecordError {
    /// Not the header of a protected record, or a length out of bounds.
    #[error("malformed TLS record")]
    Malformed,
    /// The tag did not fit: changed, replayed, reordered or cut.
    #[error("TLS record failed its check")]
    BadTag,
    /// An alert other than close_notify.
    #[error("the peer ended TLS with alert {0}")]
    Alert(u8),
    /// A content type or handshake message that has no place after the handshake.
    #[error("unexpected TLS message")]
    Unexpected,
    /// Too many records without data.
    #[error("flood of empty TLS records")]
    Flood,
    /// rustls could not give the next key.
    #[error("TLS key update failed")]
    Rekey,
}

/// Where successor keys come from; shared by both directions, touched once in 128 GiB.
pub(crate) enum Kernel {
    /// This side dialled.
    Client(KernelConnection<ClientConnectionData>),
    /// This side was dialled.
    Server(KernelConnection<ServerConnectionData>),
}

/// The two directions' common state.
#[derive(Clone)]
pub(crate) struct Rekey(Arc<RekeyInner>);

struct RekeyInner {
    kernel: Mutex<Kernel>,
    wanted: AtomicBool,
}

impl Rekey {
    pub(crate) fn new(kernel: Kernel) -> Self {
        Self(Arc::new(RekeyInner {
            kernel: Mutex::new(kernel),
            wanted: AtomicBool::new(false),
        }))
    }

    fn next(&self, sending: bool) -> Result<DirectionKey, RecordError> {
        let mut kernel = self.0.kernel.lock().unwrap_or_else(PoisonError::into_inner);
        let secrets = match (&mut *kernel, sending) {
            (Kernel::Client(k), true) => k.update_tx_secret(),
            (Kernel::Client(k), false) => k.update_rx_secret(),
            (Kernel::Server(k), true) => k.update_tx_secret(),
            (Kernel::Server(k), false) => k.update_rx_secret(),
        };
        let (seq, secrets) = secrets.map_err(|_| RecordError::Rekey)?;
        DirectionKey::new(seq, secrets)
    }
}

/// One direction's key, and the number of its next record.
pub(crate) struct DirectionKey {
    key: LessSafeKey,
    iv: [u8; 12],
    seq: u64,
}

impl DirectionKey {
    pub(crate) fn new(seq: u64, secrets: ConnectionTrafficSecrets) -> Result<Self, RecordError> {
        let (algorithm, key, iv): (&'static Algorithm, _, _) = match secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&AES_128_GCM, key, iv),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&AES_256_GCM, key, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (&CHACHA20_POLY1305, key, iv),
            _ => return Err(RecordError::Rekey),
        };
        let key = UnboundKey::new(algorithm, key.as_ref()).map_err(|_| RecordError::Rekey)?;
        Ok(Self {
            key: LessSafeKey::new(key),
            iv: iv.as_ref().try_into().map_err(|_| RecordError::Rekey)?,
            seq,
        })
    }

    /// The nonce of the next record (RFC 8446 section 5.3); every call uses one up.
    fn nonce(&mut self) -> Nonce {
        let mut nonce = self.iv;
        for (byte, seq) in nonce[4..].iter_mut().zip(self.seq.to_be_bytes()) {
            *byte ^= seq;
        }
        self.seq += 1;
        Nonce::assume_unique_for_key(nonce)
    }
}

/// Makes records.
pub(crate) struct Sealer {
    key: DirectionKey,
    rekey: Rekey,
}

impl Sealer {
    pub(crate) fn new(key: DirectionKey, rekey: Rekey) -> Self {
        Self { key, rekey }
    }

    /// Seals in place: `slot` holds [`HEADER`] free bytes, then `len` bytes of application data,
    /// then at least [`TRAILER`] free bytes. Returns the record's length.
    pub(crate) fn seal(&mut self, slot: &mut [u8], len: usize) -> Result<usize, RecordError> {
        self.seal_as(APPLICATION_DATA, slot, len)
    }

    /// The end of this direction, as a record.
    pub(crate) fn close_notify(&mut self) -> Result<Vec<u8>, RecordError> {
        self.small(ALERT, &CLOSE_NOTIFY)
    }

    /// A key update to be sent before the next data, when this key is used up or the peer asked.
    pub(crate) fn key_update(&mut self) -> Result<Option<Vec<u8>>, RecordError> {
        if self.key.seq < RECORDS_PER_KEY && !self.rekey.0.wanted.load(Ordering::Relaxed) {
            return Ok(None);
        }
        self.rekey.0.wanted.store(false, Ordering::Relaxed);
        let [a, b, c, d] = KEY_UPDATE;
        let record = self.small(HANDSHAKE, &[a, b, c, d, 0])?;
        self.key = self.rekey.next(true)?;
        Ok(Some(record))
    }

    fn small(&mut self, kind: u8, body: &[u8]) -> Result<Vec<u8>, RecordError> {
        let mut record = vec![0; HEADER + body.len() + TRAILER];
        record[HEADER..HEADER + body.len()].copy_from_slice(body);
        self.seal_as(kind, &mut record, body.len())?;
        Ok(record)
    }

    fn seal_as(&mut self, kind: u8, slot: &mut [u8], len: usize) -> Result<usize, RecordError> {
        let payload = len + TRAILER;
        let (header, rest) = slot.split_at_mut(HEADER);
        header[..3].copy_from_slice(&PREFIX);
        let length = u16::try_from(payload).map_err(|_| RecordError::Malformed)?;
        header[3..].copy_from_slice(&length.to_be_bytes());
        let (plain, tag) = rest.split_at_mut(len + 1);
        plain[len] = kind;
        let nonce = self.key.nonce();
        let sealed = self
            .key
            .key
            .seal_in_place_separate_tag(nonce, Aad::from(&*header), plain)
            .map_err(|_| RecordError::BadTag)?;
        tag[..TAG].copy_from_slice(sealed.as_ref());
        Ok(HEADER + payload)
    }
}

/// What one record held.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Opened {
    /// Application data: it lies at `record[HEADER..HEADER + len]`.
    Data(usize),
    /// Nothing for the application.
    Nothing,
    /// The peer has sent everything.
    Closed,
}

/// Takes records apart.
pub(crate) struct Opener {
    key: DirectionKey,
    rekey: Rekey,
    idle: u32,
}

impl Opener {
    pub(crate) fn new(key: DirectionKey, rekey: Rekey) -> Self {
        Self {
            key,
            rekey,
            idle: 0,
        }
    }

    /// Length of the record that `bytes` begins with, header included; `None` if the header is not
    /// complete yet.
    pub(crate) fn record_len(bytes: &[u8]) -> Result<Option<usize>, RecordError> {
        let Some(header) = bytes.first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let payload = usize::from(u16::from_be_bytes([header[3], header[4]]));
        if header[..3] != PREFIX || !(TRAILER..=MAX_PAYLOAD).contains(&payload) {
            return Err(RecordError::Malformed);
        }
        Ok(Some(HEADER + payload))
    }

    /// Opens one whole record in place.
    pub(crate) fn open(&mut self, record: &mut [u8]) -> Result<Opened, RecordError> {
        let (header, payload) = record
            .split_at_mut_checked(HEADER)
            .ok_or(RecordError::Malformed)?;
        let nonce = self.key.nonce();
        let plain = self
            .key
            .key
            .open_in_place(nonce, Aad::from(&*header), payload)
            .map_err(|_| RecordError::BadTag)?;
        let end = plain
            .iter()
            .rposition(|byte| *byte != 0)
            .ok_or(RecordError::Unexpected)?;
        if end > MAX_PLAIN {
            return Err(RecordError::Malformed);
        }
        let (kind, body) = (plain[end], &plain[..end]);
        match (kind, body) {
            (APPLICATION_DATA, [_, ..]) => {
                self.idle = 0;
                Ok(Opened::Data(end))
            }
            (APPLICATION_DATA, []) => self.nothing(),
            (ALERT, body) if *body == CLOSE_NOTIFY => Ok(Opened::Closed),
            (ALERT, [_, code]) => Err(RecordError::Alert(*code)),
            (HANDSHAKE, [head @ .., wanted @ (0 | 1)]) if *head == KEY_UPDATE => {
                self.key = self.rekey.next(false)?;
                if *wanted == 1 {
                    self.rekey.0.wanted.store(true, Ordering::Relaxed);
                }
                self.nothing()
            }
            _ => Err(RecordError::Unexpected),
        }
    }

    fn nothing(&mut self) -> Result<Opened, RecordError> {
        self.idle += 1;
        if self.idle > MAX_IDLE_RECORDS {
            return Err(RecordError::Flood);
        }
        Ok(Opened::Nothing)
    }
}
