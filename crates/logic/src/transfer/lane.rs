//! Content on its way: pieces, packed into parcels.
//!
//! A lane carries parcels: a `u32` length (big-endian) and so many bytes. A parcel is a sequence of pieces; a piece is
//! a fixed header and, if it carries data, the bytes of one block. Many small files share a parcel, so that nobody
//! pays per file for scheduling, and a big file sends one block per parcel. Byte format: `docs/formats/transfer.md`.

use super::hash::{BLOCK, Value};
use crate::Misbehaved;

/// Bytes of a piece's header.
pub const PIECE_HEADER: usize = 46;
/// Most pieces that one parcel may hold; bounds how far lanes can run apart.
pub const PARCEL_PIECES: usize = 1024;
/// Longest parcel: one full block, or many small pieces.
pub const PARCEL_MAX: usize = BLOCK as usize + PIECE_HEADER * PARCEL_PIECES;

/// How a piece brings its block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PieceKind {
    /// The bytes follow.
    Data,
    /// All bytes are zero; nothing follows.
    Zero,
    /// The receiver said that it holds this block, and it is the right one; nothing follows.
    Same,
}

/// Header of a piece: which block of which file, and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// How the bytes come.
    pub kind: PieceKind,
    /// Which reading of the file; grows when the source changed while it was sent.
    pub generation: u8,
    /// Number of the entry in the listing.
    pub entry: u32,
    /// Number of the block in the file.
    pub block: u32,
    /// Bytes in the block.
    pub len: u32,
    /// Value of the block ([`super::hash::block_value`]).
    pub value: Value,
}

impl Piece {
    /// The header's bytes.
    pub fn encode(&self) -> [u8; PIECE_HEADER] {
        let mut out = [0; PIECE_HEADER];
        out[0] = match self.kind {
            PieceKind::Data => 0,
            PieceKind::Zero => 1,
            PieceKind::Same => 2,
        };
        out[1] = self.generation;
        out[2..6].copy_from_slice(&self.entry.to_be_bytes());
        out[6..10].copy_from_slice(&self.block.to_be_bytes());
        out[10..14].copy_from_slice(&self.len.to_be_bytes());
        out[14..].copy_from_slice(&self.value);
        out
    }

    fn decode(header: &[u8; PIECE_HEADER]) -> Result<Self, Misbehaved> {
        let kind = match header[0] {
            0 => PieceKind::Data,
            1 => PieceKind::Zero,
            2 => PieceKind::Same,
            _ => return Err(Misbehaved::PieceMalformed),
        };
        let word = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let mut value = [0; 32];
        value.copy_from_slice(&header[14..]);
        let piece = Self { kind, generation: header[1], entry: word(2), block: word(6), len: word(10), value };
        if piece.len == 0 || u64::from(piece.len) > BLOCK {
            return Err(Misbehaved::PieceMalformed);
        }
        Ok(piece)
    }

    /// Bytes of content that follow the header.
    pub fn carried(&self) -> usize {
        match self.kind {
            PieceKind::Data => self.len as usize,
            PieceKind::Zero | PieceKind::Same => 0,
        }
    }
}

/// The pieces of a parcel, front to back.
#[derive(Debug, Clone)]
pub struct Pieces<'a> {
    rest: &'a [u8],
    count: usize,
}

impl<'a> Pieces<'a> {
    /// Reads a parcel's body.
    pub fn of(parcel: &'a [u8]) -> Self {
        Self { rest: parcel, count: 0 }
    }

    fn split(&mut self) -> Result<(Piece, &'a [u8]), Misbehaved> {
        let (header, rest) = self.rest.split_first_chunk().ok_or(Misbehaved::PieceMalformed)?;
        let piece = Piece::decode(header)?;
        let (bytes, rest) = rest.split_at_checked(piece.carried()).ok_or(Misbehaved::PieceMalformed)?;
        self.rest = rest;
        self.count += 1;
        if self.count > PARCEL_PIECES {
            return Err(Misbehaved::PieceMalformed);
        }
        Ok((piece, bytes))
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Result<(Piece, &'a [u8]), Misbehaved>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let item = self.split();
        if item.is_err() {
            self.rest = &[];
        }
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn piece(kind: PieceKind, len: u32) -> Piece {
        Piece { kind, generation: 1, entry: 2, block: 3, len, value: [4; 32] }
    }

    #[test]
    fn pieces_come_back_as_they_were_packed() {
        let mut parcel = Vec::new();
        for (kind, len) in
            [(PieceKind::Data, 3), (PieceKind::Zero, 9), (PieceKind::Same, 1 << 20), (PieceKind::Data, 1)]
        {
            parcel.extend(piece(kind, len).encode());
            parcel.extend(vec![5; piece(kind, len).carried()]);
        }
        let back: Vec<_> = Pieces::of(&parcel).map(|item| item.unwrap()).collect();
        assert_eq!(back.len(), 4);
        assert_eq!(back[0], (piece(PieceKind::Data, 3), &[5, 5, 5][..]));
        assert_eq!(back[2], (piece(PieceKind::Same, 1 << 20), &[][..]));
    }

    #[test]
    fn malformed_parcels_are_refused() {
        let good = piece(PieceKind::Data, 3).encode();
        let mut unknown_kind = good;
        unknown_kind[0] = 3;
        let empty = piece(PieceKind::Data, 0).encode();
        let huge = piece(PieceKind::Zero, (1 << 20) + 1).encode();
        let many: Vec<u8> = (0..=PARCEL_PIECES).flat_map(|_| piece(PieceKind::Zero, 1).encode()).collect();
        for bad in [&good[..], &good[..45], &unknown_kind, &empty, &huge, &many] {
            let last = Pieces::of(bad).last().unwrap();
            assert_eq!(last, Err(Misbehaved::PieceMalformed));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let carried: usize = Pieces::of(&bytes).filter_map(Result::ok).map(|(_, data)| data.len()).sum();
            prop_assert!(carried <= bytes.len());
        }
    }
}
