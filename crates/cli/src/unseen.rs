//! Typing without being seen: the terminal stops to show what is typed, and shows it again whatever ends that.
//!
//! Ctrl-C is read as a character then. A signal from outside (`kill`) would end the process at once and leave the terminal
//! to the shell as it is; so, from the first question on, this process takes such signals itself, and ends by them after
//! it has put the terminal back. Nobody can do that for SIGKILL; SIGHUP means that the terminal is gone.

use std::fs::File;
use std::io::{self, Write};
use std::sync::{Mutex, OnceLock, PoisonError};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};

/// The terminal that does not show what is typed, and what it was like before.
static HIDDEN: Mutex<Option<(File, Termios)>> = Mutex::new(None);

/// Signals that something else in this process acts on, by number.
static OTHERS: Mutex<Vec<i32>> = Mutex::new(Vec::new());

/// A terminal that does not show what is typed, until this is dropped. Ctrl-C ends the line instead of the process.
pub(crate) struct Unseen {
    /// What Ctrl-C sends.
    pub(crate) interrupt: u8,
}

impl Unseen {
    pub(crate) fn begin(terminal: File) -> io::Result<Self> {
        let before = tcgetattr(&terminal)?;
        let interrupt = before.special_codes[SpecialCodeIndex::VINTR];
        let mut unseen = before.clone();
        unseen.local_modes.remove(LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ISIG);
        unseen.local_modes.insert(LocalModes::ICANON);
        unseen.special_codes[SpecialCodeIndex::VEOL] = interrupt;
        let mut hidden = HIDDEN.lock().unwrap_or_else(PoisonError::into_inner);
        tcsetattr(&terminal, OptionalActions::Now, &unseen)?;
        *hidden = Some((terminal, before));
        Ok(Self { interrupt })
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        show();
    }
}

/// Lets the terminal show again what is typed; tells whether it did not.
fn show() -> bool {
    let hidden = HIDDEN.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some((terminal, before)) = &hidden {
        // Nothing can be done about a terminal that is gone. The end of the line was not shown either.
        let _ = tcsetattr(terminal, OptionalActions::Now, before);
        let _ = (&*terminal).write_all(b"\n");
    }
    hidden.is_some()
}

/// From now on, deadly signals end this process by [`end_by`].
///
/// # Errors
/// The system does not let this process listen for them.
pub(crate) fn mind_signals() -> io::Result<()> {
    static MINDED: OnceLock<()> = OnceLock::new();
    if MINDED.set(()).is_err() {
        return Ok(());
    }
    for kind in [SignalKind::interrupt(), SignalKind::quit(), SignalKind::terminate()] {
        let mut signals = signal(kind)?;
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                end_by(kind);
            }
        });
    }
    Ok(())
}

/// Something else in this process acts on this signal from now on, except while a passphrase is typed.
pub(crate) fn leave_to_others(kind: SignalKind) {
    OTHERS.lock().unwrap_or_else(PoisonError::into_inner).push(kind.as_raw_value());
}

/// Ends this process as the signal would have, with the terminal as it was. Returns if that is left to others.
pub(crate) fn end_by(kind: SignalKind) {
    let number = kind.as_raw_value();
    let asked = show();
    if asked || !OTHERS.lock().unwrap_or_else(PoisonError::into_inner).contains(&number) {
        // What shells make of a process that a signal has ended.
        std::process::exit(128 + number);
    }
}
