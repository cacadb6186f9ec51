//! A file read by two: one opens the next pieces while the other takes them.

use std::sync::mpsc::sync_channel;
use std::thread;

use super::fault::ContentFault;
use super::read::{Piece, Pieces, Waiting};

/// Pieces that are opened and not taken yet.
const AHEAD: usize = 2;
/// So few are read by one.
const FEW: usize = 4;

impl Pieces {
    /// Gives all that is left to `take`, in order.
    pub(super) fn for_each(
        mut self,
        waiting: &(dyn Waiting + Sync),
        mut take: impl FnMut(Piece) -> Result<(), ContentFault>,
    ) -> Result<(), ContentFault> {
        if self.left() < FEW {
            while let Some(piece) = self.next(waiting) {
                take(piece?)?;
            }
            return Ok(());
        }
        thread::scope(|scope| {
            let (to, from) = sync_channel(AHEAD);
            scope.spawn(move || {
                while let Some(piece) = self.next(waiting) {
                    let failed = piece.is_err();
                    if to.send(piece).is_err() || failed {
                        return;
                    }
                }
            });
            from.into_iter().try_for_each(|piece| take(piece?))
        })
    }
}
