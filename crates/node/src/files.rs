//! Files sealed to members or under a passphrase (age format). Blocking.
//!
//! A result appears under its name only when it is whole and durable; nothing is overwritten.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use api::types::{Decrypt, Encrypt, Sealed};
use api::{ApiError, ApiResult, ErrorCode};
use seal::file::{FileError, OpenWith, SealTo, decrypt, encrypt, wants_passphrase};
use seal::{Passphrase, SealIdentity, SealRecipient};

use crate::errors::io_error;

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
        (None, Err(_)) if wants_passphrase(input).map_err(|e| age_error(&request.output, e))? => {
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
    if path.symlink_metadata().is_ok() {
        return Err(ApiError::new(ErrorCode::Exists, format!("{output} is there already"))
            .hint("choose another name with --out FILE"));
    }
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = |e: &std::io::Error| io_error(&format!("write {output}"), e);
    let temporary = tempfile::Builder::new().prefix(".warren-").tempfile_in(dir).map_err(|e| failed(&e))?;
    let mut buffered = BufWriter::with_capacity(BUFFER, temporary.as_file());
    let bytes = work(&mut buffered).map_err(|e| age_error(output, e))?;
    buffered.flush().map_err(|e| failed(&e))?;
    drop(buffered);
    temporary.as_file().sync_all().map_err(|e| failed(&e))?;
    temporary.persist_noclobber(&path).map_err(|e| failed(&e.error))?;
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|e| failed(&e))?;
    Ok(bytes)
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
