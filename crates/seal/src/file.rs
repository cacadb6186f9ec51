//! Files sealed to members or to a passphrase, as `age-encryption.org/v1` streams (see `docs/formats/age.md`): any age
//! tool opens them with the member's identity.
//!
//! Invariant: memory is bounded by age's 64 KiB chunks whatever the size. Each chunk is authenticated before it is
//! written, but only a successful return says that the file was whole: callers must discard the output on error.

use crate::Passphrase;
use crate::recipient::{SealIdentity, SealRecipient};
use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::{DecryptError, Decryptor, EncryptError, Encryptor, scrypt};
use age_core::format::{FILE_KEY_BYTES, FileKey as AgeFileKey, Stanza};
use age_core::secrecy::ExposeSecret;
use std::cell::RefCell;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::iter;
use zeroize::Zeroizing;

/// log2 of scrypt's N for files under a passphrase: 256 MiB of memory, as the age tool takes.
const WORK_FACTOR: u8 = 18;
/// log2 of the most that a file may demand: 1 GiB of memory.
const MAX_WORK_FACTOR: u8 = 20;
/// Room for some thousand recipients.
const MAX_HEADER: u64 = 1024 * 1024;
/// Bytes between the header and the content.
const NONCE: usize = 16;
/// Lines of armour have 64 characters.
const MAX_LINE: usize = 1024;
/// Bytes that are read at a time: one chunk of the format.
const BUFFER: usize = 64 * 1024;

/// To whom a file is sealed.
#[derive(Clone, Copy, Debug)]
pub enum SealTo<'a> {
    /// Any one of them can open it.
    Recipients(&'a [SealRecipient]),
    /// Whoever knows it can open it.
    Passphrase(&'a Passphrase),
}

/// With what a file is opened.
#[derive(Clone, Copy, Debug)]
pub enum OpenWith<'a> {
    /// The first that fits.
    Identities(&'a [SealIdentity]),
    /// For files that were sealed under a passphrase.
    Passphrase(&'a Passphrase),
    /// For the one file that it is the key of.
    FileKey(&'a FileKey),
}

/// The key of one file that is sealed to recipients: opens that file and nothing else. Wiped when dropped.
#[derive(Clone)]
pub struct FileKey(Zeroizing<[u8; FILE_KEY_BYTES]>);

impl FileKey {
    /// A key that [`file_key`] gave.
    #[must_use]
    pub fn from_bytes(bytes: [u8; FILE_KEY_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The secret.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; FILE_KEY_BYTES] {
        &self.0
    }
}

impl fmt::Debug for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileKey(***)")
    }
}

impl age::Identity for FileKey {
    fn unwrap_stanza(&self, _: &Stanza) -> Option<Result<AgeFileKey, DecryptError>> {
        // A wrong one does not pass the header's MAC.
        Some(Ok(AgeFileKey::new(Box::new(*self.0))))
    }
}

/// Remembers the file key that an identity finds.
struct Finder<'a> {
    identity: &'a SealIdentity,
    found: RefCell<Option<FileKey>>,
}

impl age::Identity for Finder<'_> {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<AgeFileKey, DecryptError>> {
        let found = self.identity.age().unwrap_stanza(stanza)?;
        if let Ok(key) = &found {
            *self.found.borrow_mut() = Some(FileKey::from_bytes(*key.expose_secret()));
        }
        Some(found)
    }
}

/// The key of the file whose header this is ([`Look::header`]). Whoever gets it can open that file without the identity.
///
/// # Errors
/// [`FileError::NotAge`], [`FileError::NotForYou`], [`FileError::NeedsPassphrase`], [`FileError::Damaged`].
pub fn file_key(header: &[u8], identity: &SealIdentity) -> Result<FileKey, FileError> {
    let sealed = Decryptor::new_buffered(header).map_err(header_error)?;
    if sealed.is_scrypt() {
        return Err(FileError::NeedsPassphrase);
    }
    let finder = Finder { identity, found: RefCell::new(None) };
    // The header's MAC is checked with the key.
    sealed.decrypt(iter::once(&finder as &dyn age::Identity)).map_err(header_error)?;
    finder.found.into_inner().ok_or(FileError::NotForYou)
}

/// Why a file could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Nobody to seal to.
    #[error("no recipient was given")]
    NoRecipients,
    /// Not an age file, or of a version that is not known.
    #[error("not an age file")]
    NotAge,
    /// Sealed to others.
    #[error("the file is not sealed to you")]
    NotForYou,
    /// Sealed under another passphrase.
    #[error("wrong passphrase")]
    WrongPassphrase,
    /// Sealed to recipients, but a passphrase was given.
    #[error("the file is sealed to members, not under a passphrase")]
    NeedsIdentity,
    /// Sealed under a passphrase, but none was given.
    #[error("the file is sealed under a passphrase")]
    NeedsPassphrase,
    /// The passphrase would take more than 1 GiB of memory to check.
    #[error("the file demands too much memory to check its passphrase")]
    TooCostly,
    /// Changed or cut short. What was written so far must be discarded.
    #[error("the file is damaged or cut short")]
    Damaged,
    /// Reading or writing failed.
    #[error(transparent)]
    Io(io::Error),
}

/// Seals all of `input` into `output`; with `armor` as text that survives mail. Returns how many bytes were read.
///
/// # Errors
/// [`FileError::NoRecipients`], [`FileError::Io`].
pub fn encrypt(mut input: impl Read, output: impl Write, to: SealTo<'_>, armor: bool) -> Result<u64, FileError> {
    let format = if armor { Format::AsciiArmor } else { Format::Binary };
    let output = ArmoredWriter::wrap_output(output, format).map_err(FileError::Io)?;
    let mut sealing = encryptor(to)?.wrap_output(output).map_err(FileError::Io)?;
    let bytes = copy(&mut input, &mut sealing, FileError::Io)?;
    sealing.finish().and_then(ArmoredWriter::finish).and_then(|mut output| output.flush()).map_err(FileError::Io)?;
    Ok(bytes)
}

fn encryptor(to: SealTo<'_>) -> Result<Encryptor, FileError> {
    let made = match to {
        SealTo::Recipients(recipients) => {
            let recipients: Vec<_> = recipients.iter().map(SealRecipient::age).collect();
            Encryptor::with_recipients(recipients.iter().map(|recipient| recipient as &dyn age::Recipient))
        }
        SealTo::Passphrase(passphrase) => {
            let mut recipient = scrypt::Recipient::new(passphrase.secret());
            recipient.set_work_factor(WORK_FACTOR);
            Encryptor::with_recipients(iter::once(&recipient as &dyn age::Recipient))
        }
    };
    made.map_err(|error| match error {
        EncryptError::Io(error) => FileError::Io(error),
        _ => FileError::NoRecipients,
    })
}

/// What the beginning of a sealed file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// Header and nonce, never armoured: what [`file_key`] takes.
    pub header: Vec<u8>,
    /// A passphrase opens it; else it is sealed to recipients.
    pub under_passphrase: bool,
}

/// Reads the beginning of a sealed file (armoured or not), and somewhat more of `input` than that.
///
/// # Errors
/// [`FileError::NotAge`], [`FileError::Io`].
pub fn look(input: impl Read) -> Result<Look, FileError> {
    let mut input = armoured_or_not(input);
    let mut header = read_header(&mut input)?;
    let mut nonce = [0; NONCE];
    input.read_exact(&mut nonce).map_err(not_age)?;
    header.extend_from_slice(&nonce);
    let under_passphrase = Decryptor::new_buffered(header.as_slice()).map_err(header_error)?.is_scrypt();
    Ok(Look { header, under_passphrase })
}

/// Opens all of `input` (armoured or not) into `output`. Returns how many bytes were written.
///
/// # Errors
/// See [`FileError`]. On error the output may hold a beginning of the file and must be discarded.
pub fn decrypt(input: impl Read, mut output: impl Write, with: OpenWith<'_>) -> Result<u64, FileError> {
    let mut input = armoured_or_not(input);
    let header = read_header(&mut input)?;
    let sealed = Decryptor::new_buffered(header.as_slice().chain(input)).map_err(header_error)?;
    let mut opened = match (with, sealed.is_scrypt()) {
        (OpenWith::Identities(_) | OpenWith::FileKey(_), true) => return Err(FileError::NeedsPassphrase),
        (OpenWith::Passphrase(_), false) => return Err(FileError::NeedsIdentity),
        (OpenWith::Identities(identities), false) => sealed
            .decrypt(identities.iter().map(|identity| identity.age() as &dyn age::Identity))
            .map_err(header_error)?,
        (OpenWith::FileKey(key), false) => {
            sealed.decrypt(iter::once(key as &dyn age::Identity)).map_err(header_error)?
        }
        (OpenWith::Passphrase(passphrase), true) => {
            let mut identity = scrypt::Identity::new(passphrase.secret());
            identity.set_max_work_factor(MAX_WORK_FACTOR);
            sealed.decrypt(iter::once(&identity as &dyn age::Identity)).map_err(passphrase_error)?
        }
    };
    let bytes = copy(&mut opened, &mut output, damaged)?;
    output.flush().map_err(FileError::Io)?;
    Ok(bytes)
}

fn armoured_or_not(input: impl Read) -> impl BufRead {
    BufReader::with_capacity(BUFFER, ArmoredReader::new(ShortLines { input, content: Content::Unknown }))
}

/// Passes bytes on until a line of a text grows beyond any line of armour. The armour reader collects whole lines, and
/// would collect a line without end.
struct ShortLines<R> {
    input: R,
    content: Content,
}

/// What the first byte says of a file: binary ones begin with "age-encryption.org", armour with hyphens.
enum Content {
    Unknown,
    Binary,
    /// With so many bytes since the last line feed.
    Text(usize),
}

impl<R: Read> Read for ShortLines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        for &byte in &buffer[..read] {
            self.content = match self.content {
                Content::Binary => break,
                Content::Unknown if byte == b'a' => Content::Binary,
                Content::Unknown => Content::Text(1),
                Content::Text(_) if byte == b'\n' => Content::Text(0),
                Content::Text(MAX_LINE) => return Err(io::ErrorKind::InvalidData.into()),
                Content::Text(line) => Content::Text(line + 1),
            };
        }
        Ok(read)
    }
}

/// Everything up to the line with the header's MAC, so that no file makes us read a header without end.
fn read_header(input: &mut impl BufRead) -> Result<Vec<u8>, FileError> {
    let mut header = Vec::new();
    let mut limited = input.take(MAX_HEADER);
    loop {
        let line = header.len();
        let read = limited.read_until(b'\n', &mut header).map_err(not_age)?;
        if header[line..].starts_with(b"---") {
            return Ok(header);
        }
        if read == 0 {
            return Err(FileError::NotAge);
        }
    }
}

fn header_error(error: DecryptError) -> FileError {
    match error {
        DecryptError::Io(error) => not_age(error),
        DecryptError::NoMatchingKeys | DecryptError::KeyDecryptionFailed => FileError::NotForYou,
        DecryptError::InvalidMac | DecryptError::DecryptionFailed => FileError::Damaged,
        DecryptError::ExcessiveWork { .. } => FileError::TooCostly,
        _ => FileError::NotAge,
    }
}

fn passphrase_error(error: DecryptError) -> FileError {
    match header_error(error) {
        FileError::NotForYou | FileError::Damaged => FileError::WrongPassphrase,
        other => other,
    }
}

/// The age reader reports what is wrong with the bytes as `InvalidData` and `UnexpectedEof`.
fn not_age(error: io::Error) -> FileError {
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => FileError::NotAge,
        _ => FileError::Io(error),
    }
}

fn damaged(error: io::Error) -> FileError {
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => FileError::Damaged,
        _ => FileError::Io(error),
    }
}

/// Copies everything; errors of the input are judged by `reading`, those of the output are always [`FileError::Io`].
fn copy(input: &mut impl Read, output: &mut impl Write, reading: fn(io::Error) -> FileError) -> Result<u64, FileError> {
    let mut buffer = vec![0; BUFFER];
    let mut total = 0;
    loop {
        let read = match input.read(&mut buffer) {
            Ok(0) => return Ok(total),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(reading(error)),
        };
        output.write_all(&buffer[..read]).map_err(FileError::Io)?;
        total += read as u64;
    }
}
