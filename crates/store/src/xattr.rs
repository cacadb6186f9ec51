//! Extended attributes that users set (`user.*`), where the system and the file system have them.

use std::io;
use std::os::fd::AsFd;

use logic::space::{XATTR_BYTES_MAX, XATTRS_MAX};
use rustix::io::Errno;

/// A name and its value.
pub type Attribute = (Vec<u8>, Vec<u8>);

/// Attributes of other classes belong to the system: access lists, capabilities, labels.
const CLASS: &[u8] = b"user.";

/// The attributes of an open file or directory, by rising name; none where there is no such thing. What is above the
/// limits is left out.
#[cfg(any(target_os = "linux", target_vendor = "apple"))]
pub(crate) fn read(file: impl AsFd) -> io::Result<Vec<Attribute>> {
    use rustix::fs::{fgetxattr, flistxattr};
    let file = file.as_fd();
    let Some(list) = grown(1 << 10, |buffer| flistxattr(file, buffer))? else { return Ok(Vec::new()) };
    let mut names: Vec<&[u8]> = list.split(|byte| *byte == 0).filter(|name| name.starts_with(CLASS)).collect();
    names.sort_unstable();
    let mut found = Vec::new();
    let mut bytes = 0;
    for name in names {
        let Some(value) = grown(1 << 10, |buffer| fgetxattr(file, name, buffer))? else { continue };
        bytes += name.len() + value.len();
        if found.len() == XATTRS_MAX || bytes > XATTR_BYTES_MAX {
            break;
        }
        found.push((name.to_vec(), value));
    }
    Ok(found)
}

/// Calls with larger buffers until the answer fits; `None`: there is nothing, or the file system has no attributes.
#[cfg(any(target_os = "linux", target_vendor = "apple"))]
fn grown(first: usize, mut call: impl FnMut(&mut [u8]) -> rustix::io::Result<usize>) -> io::Result<Option<Vec<u8>>> {
    let mut buffer = vec![0; first];
    loop {
        match call(&mut buffer) {
            Ok(len) => {
                buffer.truncate(len);
                return Ok(Some(buffer));
            }
            Err(Errno::RANGE) if buffer.len() <= XATTR_BYTES_MAX => buffer.resize(buffer.len() * 4, 0),
            Err(Errno::RANGE | Errno::OPNOTSUPP | Errno::NODATA | Errno::NOSYS) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}

/// As above: none.
#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
pub(crate) fn read(_: impl AsFd) -> io::Result<Vec<Attribute>> {
    Ok(Vec::new())
}

/// Sets attributes of an open file or directory; those of other classes are left alone. `false`: the file system has
/// none.
pub(crate) fn write(file: impl AsFd, attributes: &[Attribute]) -> io::Result<bool> {
    let file = file.as_fd();
    for (name, value) in attributes.iter().filter(|(name, _)| name.starts_with(CLASS)) {
        match set(file, name, value) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(false),
            done => done?,
        }
    }
    Ok(true)
}

#[cfg(any(target_os = "linux", target_vendor = "apple"))]
fn set(file: std::os::fd::BorrowedFd<'_>, name: &[u8], value: &[u8]) -> rustix::io::Result<()> {
    rustix::fs::fsetxattr(file, name, value, rustix::fs::XattrFlags::empty())
}

#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
fn set(_: std::os::fd::BorrowedFd<'_>, _: &[u8], _: &[u8]) -> rustix::io::Result<()> {
    Err(Errno::NOSYS)
}
