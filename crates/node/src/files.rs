//! Files sealed to members or under a passphrase (age format). Blocking.
//!
//! A result appears under its name only when it is whole and durable; nothing is overwritten.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use api::types::{Decrypt, Encrypt, FileKeyOf, Sealed};
use api::{ApiError, ApiResult, ErrorCode, Output, SealedStream};
use data_encoding::BASE64URL_NOPAD;
use seal::file::{FileError, FileKey, OpenWith, SealTo, decrypt, encrypt, file_key, look};
use seal::{Passphrase, SealIdentity, SealRecipient};

use zeroize::Zeroizing;

use crate::errors::{internal, io_error};

/// Buffer between the disk and the cipher, bytes.
const BUFFER: usize = 256 * 1024;

/// To whom a file is sealed.
pub(crate) enum Readers {
    /// Whoever has the passphrase.
    Passphrase(Passphrase),
    /// Members, by name and recipient.
    Members(Vec<(String, SealRecipient)>),
}

/// Seals a file.
pub(crate) fn seal_file(request: &Encrypt, readers: Readers) -> ApiResult<Sealed> {
    let input = open(&request.input)?;
    let (bytes, names) = match readers {
        Readers::Passphrase(passphrase) => (
            convert(&request.output, |out| encrypt(input, out, SealTo::Passphrase(&passphrase), request.armor))?,
            Vec::new(),
        ),
        Readers::Members(members) => {
            let (names, recipients): (Vec<_>, Vec<_>) = members.into_iter().unzip();
            (
                convert(&request.output, |out| encrypt(input, out, SealTo::Recipients(&recipients), request.armor))?,
                names,
            )
        }
    };
    Ok(Sealed { output: request.output.clone(), bytes, readers: names })
}

/// Opens a sealed file with the member's identity or a passphrase. Where there is no identity, the reason is given to
/// whoever brings a file that needs one.
pub(crate) fn open_file(request: &Decrypt, identity: ApiResult<SealIdentity>) -> ApiResult<Sealed> {
    let input = open(&request.input)?;
    let bytes = match (&request.passphrase, identity) {
        (Some(passphrase), _) => {
            let passphrase = Passphrase::new(passphrase.0.clone());
            convert(&request.output, |out| decrypt(input, out, OpenWith::Passphrase(&passphrase)))?
        }
        (None, Ok(identity)) => convert(&request.output, |out| decrypt(input, out, OpenWith::Identities(&[identity])))?,
        (None, Err(_)) if look(input).map_err(|e| age_error(&request.output, e))?.under_passphrase => {
            return Err(age_error(&request.output, FileError::NeedsPassphrase));
        }
        (None, Err(why)) => return Err(why),
    };
    Ok(Sealed { output: request.output.clone(), bytes, readers: Vec::new() })
}

/// Why nothing that is sealed to members can be opened without a device.
pub(crate) fn no_device() -> ApiError {
    ApiError::new(ErrorCode::NotRunning, "the file is sealed to members, and no device is running")
        .hint("start yours with `warren up --detach`: its keys open what is sealed to you")
}

/// Seals a stream in this process.
pub(crate) fn seal_stream(input: impl Read, output: Output, to: &api::SealTo, armor: bool) -> ApiResult<u64> {
    let input = BufReader::with_capacity(BUFFER, input);
    match to {
        api::SealTo::Passphrase(passphrase) => {
            let passphrase = Passphrase::new(passphrase.0.clone());
            convert_to(output, |out| encrypt(input, out, SealTo::Passphrase(&passphrase), armor))
        }
        api::SealTo::Recipients(recipients) => {
            let read = |text: &String| text.parse().map_err(|e| internal(format!("{text}: {e}")));
            let recipients: Vec<SealRecipient> = recipients.iter().map(read).collect::<ApiResult<_>>()?;
            convert_to(output, |out| encrypt(input, out, SealTo::Recipients(&recipients), armor))
        }
    }
}

/// Reads the header of a sealed stream, and remembers what it read.
pub(crate) fn look_into(mut input: Box<dyn Read + Send>) -> ApiResult<SealedStream> {
    let mut beginning = Vec::new();
    let seen = look(Recorder { input: &mut input, read: &mut beginning });
    let seen = seen.map_err(|error| age_error("a plain stream", error))?;
    Ok(SealedStream { beginning, rest: input, header: seen.header, under_passphrase: seen.under_passphrase })
}

/// Opens a sealed stream in this process.
pub(crate) fn open_stream(sealed: SealedStream, output: Output, with: &api::OpenWith) -> ApiResult<u64> {
    let input = sealed.beginning.as_slice().chain(sealed.rest);
    let piped = matches!(output, Output::Stream(_));
    let opened = match with {
        api::OpenWith::Passphrase(passphrase) => {
            let passphrase = Passphrase::new(passphrase.0.clone());
            convert_to(output, |out| decrypt(input, out, OpenWith::Passphrase(&passphrase)))
        }
        api::OpenWith::Key(key) => {
            let bytes = BASE64URL_NOPAD.decode(key.key.0.as_bytes()).ok().map(Zeroizing::new);
            let bytes = bytes.and_then(|bytes| <[u8; 16]>::try_from(bytes.as_slice()).ok());
            let key = FileKey::from_bytes(bytes.ok_or_else(|| internal("the device gave something else than a key"))?);
            convert_to(output, |out| decrypt(input, out, OpenWith::FileKey(&key)))
        }
    };
    opened.map_err(|error| match error.code {
        ErrorCode::Damaged if piped => error.hint(
            "what came out before this is genuine, but not the whole: do not take it for that; get another copy of the file",
        ),
        _ => error,
    })
}

/// The key of a sealed stream with this header.
pub(crate) fn key_of(request: &FileKeyOf, identity: &SealIdentity) -> ApiResult<api::types::FileKey> {
    let header = BASE64URL_NOPAD
        .decode(request.header.as_bytes())
        .map_err(|_| ApiError::new(ErrorCode::BadRequest, "the header of the stream is no base64url"))?;
    let key = file_key(&header, identity).map_err(|error| age_error(&request.path, error))?;
    Ok(api::types::FileKey { key: api::types::Passphrase(BASE64URL_NOPAD.encode(key.as_bytes())) })
}

/// Passes bytes on and keeps them.
struct Recorder<'a> {
    input: &'a mut dyn Read,
    read: &'a mut Vec<u8>,
}

impl Read for Recorder<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.read.extend_from_slice(&buffer[..count]);
        Ok(count)
    }
}

/// Writes through `work` into a file, as [`convert`] does, or to whoever reads along.
fn convert_to(output: Output, work: impl FnOnce(&mut dyn Write) -> Result<u64, FileError>) -> ApiResult<u64> {
    match output {
        Output::File(path) => convert(&path, |out| work(out)),
        Output::Stream(stream) => {
            let mut buffered = BufWriter::with_capacity(BUFFER, stream);
            // The cipher flushes at the end. After an error, whole chunks that are in the buffer are written all the same.
            work(&mut buffered).map_err(|error| age_error("the result on standard output", error))
        }
    }
}

fn open(path: &str) -> ApiResult<BufReader<File>> {
    let file = File::open(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => ApiError::new(ErrorCode::NotFound, format!("there is no file {path}")),
        _ => io_error(&format!("read {path}"), &e),
    })?;
    if file.metadata().is_ok_and(|meta| meta.is_dir()) {
        return Err(ApiError::new(ErrorCode::BadRequest, format!("{path} is a folder"))
            .hint("pack it first: tar -cf folder.tar folder"));
    }
    Ok(BufReader::with_capacity(BUFFER, file))
}

/// Writes through `work` into a temporary file beside `output` and puts it in place when all is well.
fn convert(output: &str, work: impl FnOnce(&mut BufWriter<&File>) -> Result<u64, FileError>) -> ApiResult<u64> {
    let path = PathBuf::from(output);
    must_be_free(&path)?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if matches!(dir.metadata(), Err(error) if error.kind() == std::io::ErrorKind::NotFound) {
        return Err(ApiError::new(ErrorCode::NotFound, format!("there is no folder {}", dir.display()))
            .hint("make it first, or name another place with --out FILE"));
    }
    let failed = |e: &std::io::Error| io_error(&format!("write {output}"), e);
    // The kind alone: the whole error has a name that nobody knows.
    let temporary = tempfile::Builder::new().prefix(".warren-").tempfile_in(dir);
    let temporary = temporary.map_err(|e| failed(&e.kind().into()))?;
    let mut buffered = BufWriter::with_capacity(BUFFER, temporary.as_file());
    let bytes = work(&mut buffered).map_err(|e| age_error(output, e))?;
    buffered.flush().map_err(|e| failed(&e))?;
    drop(buffered);
    temporary.as_file().sync_all().map_err(|e| failed(&e))?;
    temporary.persist_noclobber(&path).map_err(|e| failed(&e.error))?;
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|e| failed(&e))?;
    Ok(bytes)
}

/// Sees that there is nothing at `path`, and says what to do about what is.
fn must_be_free(path: &Path) -> ApiResult<()> {
    let Ok(there) = path.symlink_metadata() else { return Ok(()) };
    let (shown, kind) = (path.display(), path.metadata().unwrap_or(there).file_type());
    let error = |message: String| ApiError::new(ErrorCode::Exists, message);
    Err(if kind.is_dir() {
        error(format!("{shown} is a folder")).hint("name a file in it with --out FILE")
    } else if kind.is_file() || kind.is_symlink() {
        error(format!("{shown} is there already")).hint("choose another name with --out FILE")
    } else {
        error(format!("{shown} is a device or a pipe, and the result is put in place as a new file"))
            .hint(format!("write into it through standard output: `--out - > {shown}`"))
    })
}

fn age_error(output: &str, error: FileError) -> ApiError {
    let message = error.to_string();
    match error {
        FileError::Io(e) => io_error(&format!("make {output}"), &e),
        FileError::WrongPassphrase => ApiError::new(ErrorCode::WrongPassphrase, message)
            .hint("it takes the passphrase that this file was sealed under, which is not that of a device"),
        FileError::NeedsPassphrase => {
            ApiError::new(ErrorCode::PassphraseNeeded, message).hint("give it with --file-passphrase-file FILE")
        }
        FileError::NotForYou | FileError::NeedsIdentity => {
            ApiError::new(ErrorCode::NotAllowed, message).hint("ask whoever sealed it to seal it to you as well")
        }
        FileError::NoRecipients => ApiError::new(ErrorCode::BadRequest, message),
        FileError::NotAge => ApiError::new(ErrorCode::Damaged, message)
            .hint("is it the right file? `warren encrypt` and the age tool make what this command opens"),
        FileError::TooCostly => ApiError::new(ErrorCode::Damaged, message)
            .hint("no age tool makes such a file by itself: mistrust its source"),
        FileError::Damaged => ApiError::new(ErrorCode::Damaged, message)
            .hint("get another copy of it from where it came from; nothing of this one was kept"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_place_where_nothing_can_be_put_is_named_with_what_is_the_matter() {
        let dir = tempfile::tempdir().unwrap();
        let within = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(within("file"), "x").unwrap();
        std::os::unix::fs::symlink("/dev/null", within("sink")).unwrap();
        std::os::unix::fs::symlink("nowhere", within("dangling")).unwrap();
        for (place, code, says) in [
            (within("none/x"), ErrorCode::NotFound, "there is no folder"),
            (within("file/x"), ErrorCode::Io, "not a directory"),
            (within("file"), ErrorCode::Exists, "is there already"),
            (within("dangling"), ErrorCode::Exists, "is there already"),
            (within(""), ErrorCode::Exists, "is a folder"),
            (within("sink"), ErrorCode::Exists, "is a device or a pipe"),
            ("/dev/full".to_owned(), ErrorCode::Exists, "is a device or a pipe"),
        ] {
            let error = convert(&place, |_| Ok(0)).unwrap_err();
            assert_eq!(error.code, code, "{place}: {error}");
            assert!(error.message.contains(says) && !error.message.contains(".warren-"), "{place}: {error}");
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3, "something was left there");
    }
}
