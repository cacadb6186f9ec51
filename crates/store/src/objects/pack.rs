//! The bytes of a pack file: a header, then records one after the other, each of which says what it is
//! (`docs/formats/objects.md`). Here they are made, read and searched for; files are the business of `files`.
//!
//! A record's check is keyed by its pack's id, which never leaves the disk, and covers its place. So bytes that look
//! like a record inside an object, put there by whoever made that object, are not taken for one.

use std::fs::File;
use std::io;

use crate::landing::read_full_at;

/// Names an object: the BLAKE3 hash of its bytes.
pub type ObjectId = [u8; 32];

/// The longest object in bytes: a chunk of 4 MiB and what compression that does not help, padding and sealing may add.
pub const MAX_OBJECT: usize = (4 << 20) + (128 << 10);

/// Names a pack; random.
pub type PackId = [u8; 16];

/// Length of a pack's header in bytes.
pub const PACK_HEADER: u64 = 64;

/// Length of a record's header in bytes.
pub const RECORD_HEADER: u64 = 56;

/// Records begin at multiples of this.
const ALIGNMENT: u64 = 8;

const PACK_MAGIC: [u8; 8] = *b"WRNPACK\x01";
const RECORD_MAGIC: [u8; 8] = *b"WRNO\x01\0\0\0";

/// Bytes of a record's header that its check covers.
const CHECKED: usize = 44;

/// How many bytes are looked at together when a record is searched for.
const WINDOW: usize = 64 << 10;

/// What a disk loses at a time.
const SECTOR: usize = 4096;

/// Anything that can be read at an offset: a pack file, or its bytes.
pub trait ReadAt {
    /// Reads into `buffer` from `offset` until it is full or the source ends; returns how many bytes were read.
    fn read_full_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

impl ReadAt for File {
    fn read_full_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        read_full_at(self, offset, buffer)
    }
}

impl ReadAt for [u8] {
    fn read_full_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.get(offset..)).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

/// The header of pack `id`.
pub fn pack_header(id: &PackId) -> [u8; PACK_HEADER as usize] {
    let mut header = [0; PACK_HEADER as usize];
    header[..8].copy_from_slice(&PACK_MAGIC);
    header[8..24].copy_from_slice(id);
    let check = blake3::hash(&header[..32]);
    header[32..].copy_from_slice(check.as_bytes());
    header
}

/// The id in a pack's header, if that is whole.
pub fn read_pack_header(pack: &(impl ReadAt + ?Sized)) -> io::Result<Option<PackId>> {
    let mut header = [0; PACK_HEADER as usize];
    pack.read_full_at(0, &mut header)?;
    let id = PackId::try_from(&header[8..24]).unwrap_or_default();
    Ok((header == pack_header(&id)).then_some(id))
}

/// What checks the headers of one pack's records.
#[derive(Clone)]
pub struct PackKey([u8; 32]);

impl PackKey {
    /// The key of pack `id`.
    pub fn new(id: &PackId) -> Self {
        Self(blake3::derive_key("warren 2026-11 pack record check v1", id))
    }

    /// The header of the record at `offset` that holds object `id` of `len` bytes.
    pub fn record_header(&self, offset: u64, id: &ObjectId, len: u32) -> [u8; RECORD_HEADER as usize] {
        let mut header = [0; RECORD_HEADER as usize];
        header[..8].copy_from_slice(&RECORD_MAGIC);
        header[8..12].copy_from_slice(&len.to_be_bytes());
        header[12..CHECKED].copy_from_slice(id);
        let check = self.check(offset, &header);
        header[CHECKED..].copy_from_slice(&check);
        header
    }

    /// Object and length of the record at `offset`, if these bytes begin with its header.
    pub fn read_record_header(&self, offset: u64, bytes: &[u8]) -> Option<(ObjectId, u32)> {
        let header: &[u8; RECORD_HEADER as usize] = bytes.first_chunk()?;
        if !header.starts_with(&RECORD_MAGIC) || header[CHECKED..] != self.check(offset, header) {
            return None;
        }
        let len = u32::from_be_bytes(*header[8..].first_chunk()?);
        let id = *header[12..].first_chunk()?;
        (len as usize <= MAX_OBJECT).then_some((id, len))
    }

    fn check(&self, offset: u64, header: &[u8; RECORD_HEADER as usize]) -> [u8; RECORD_HEADER as usize - CHECKED] {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(&offset.to_be_bytes()).update(&header[..CHECKED]);
        *hasher.finalize().as_bytes().first_chunk().expect("a hash has 32 bytes")
    }
}

/// What the record of an object of `len` bytes takes up in a pack.
pub fn record_len(len: u64) -> u64 {
    (RECORD_HEADER + len).next_multiple_of(ALIGNMENT)
}

/// May a record begin here?
pub fn is_aligned(offset: u64) -> bool {
    offset.is_multiple_of(ALIGNMENT)
}

/// A complete record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// The object.
    pub id: ObjectId,
    /// Where the record begins in the pack.
    pub offset: u64,
    /// Length of the object in bytes.
    pub len: u32,
    /// Are its bytes those of the object?
    pub sound: bool,
}

impl Record {
    /// Where the record ends.
    pub fn end(&self) -> u64 {
        self.offset + record_len(self.len.into())
    }
}

/// Finds the records of a pack from front to back, whatever lies between them. Memory: one object.
///
/// What the disk does not give is taken for damaged, so that one bad sector does not hide everything else.
pub struct Scanner<'a, R: ?Sized> {
    pack: &'a R,
    key: PackKey,
    at: u64,
    end: u64,
    body: Vec<u8>,
    unreadable: bool,
}

impl<'a, R: ReadAt + ?Sized> Scanner<'a, R> {
    /// The records of the pack with this key that lie between two offsets.
    pub fn new(pack: &'a R, key: PackKey, from: u64, to: u64) -> Self {
        let at = from.max(PACK_HEADER).next_multiple_of(ALIGNMENT);
        Self { pack, key, at, end: to, body: Vec::new(), unreadable: false }
    }

    /// Was there anything so far that the disk did not give?
    pub fn met_unreadable(&self) -> bool {
        self.unreadable
    }

    /// The bytes that stand for the object in the record that was found last.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    fn read(&mut self, offset: u64, buffer: &mut [u8]) {
        if self.pack.read_full_at(offset, buffer).is_ok() {
            return;
        }
        self.unreadable = true;
        for (number, sector) in buffer.chunks_mut(SECTOR).enumerate() {
            if self.pack.read_full_at(offset + (number * SECTOR) as u64, sector).is_err() {
                sector.fill(0);
            }
        }
    }

    /// The next header at or behind the present place: where it is, and what it says.
    fn next_header(&mut self) -> Option<(u64, ObjectId, u32)> {
        let mut window = vec![0; RECORD_HEADER as usize];
        while self.at.checked_add(RECORD_HEADER)? <= self.end {
            let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
            window.resize(window.len().min(left), 0);
            self.read(self.at, &mut window);
            for place in (0..=window.len() - RECORD_HEADER as usize).step_by(ALIGNMENT as usize) {
                let offset = self.at + place as u64;
                if let Some((id, len)) = self.key.read_record_header(offset, &window[place..]) {
                    self.at = offset + ALIGNMENT;
                    return Some((offset, id, len));
                }
            }
            self.at += ((window.len() - RECORD_HEADER as usize) as u64 / ALIGNMENT + 1) * ALIGNMENT;
            // Not where it should be: from here on it is searched for.
            window.resize(WINDOW, 0);
        }
        None
    }
}

impl<R: ReadAt + ?Sized> Iterator for Scanner<'_, R> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        loop {
            let (offset, id, len) = self.next_header()?;
            let start = offset + RECORD_HEADER;
            if start + u64::from(len) > self.end {
                // Cut off; behind its header there may be others all the same.
                continue;
            }
            let mut body = std::mem::take(&mut self.body);
            body.resize(len as usize, 0);
            self.read(start, &mut body);
            let record = Record { id, offset, len, sound: *blake3::hash(&body).as_bytes() == id };
            self.body = body;
            if record.sound {
                self.at = record.end();
            }
            return Some(record);
        }
    }
}
