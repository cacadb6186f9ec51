//! Where a command line runs: its streams, whether people look at them, and what they are asked. Tests put buffers and
//! scripted answers here.

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::sync::Arc;

use api::types::Passphrase;
use clap::ValueEnum;
use tokio::signal::unix::SignalKind;
use tokio::sync::Notify;
use zeroize::Zeroizing;

use crate::unseen::{self, Unseen};

/// Answers of a person, or of a script of answers. Calls may block; they run on a thread of their own.
pub trait Input: Send + Sync {
    /// One line without its end; `None` at the end of the input.
    ///
    /// # Errors
    /// Those of reading.
    fn line(&self) -> io::Result<Option<String>>;

    /// A passphrase, typed without being shown.
    ///
    /// # Errors
    /// Those of reading; `UnexpectedEof` if the input ended instead (Ctrl-D).
    fn passphrase(&self, prompt: &str) -> io::Result<Passphrase>;

    /// True if a passphrase can be asked for, whatever standard input is.
    fn has_keyboard(&self) -> bool;

    /// Standard input as bytes.
    fn bytes(&self) -> Box<dyn Read + Send>;
}

/// Where output goes and answers come from.
pub struct Terminal {
    /// Results.
    pub out: Box<dyn Write + Send>,
    /// Errors, questions, progress.
    pub err: Box<dyn Write + Send>,
    /// True if a person looks at `out`.
    pub out_is_terminal: bool,
    /// True if a person looks at `err`.
    pub err_is_terminal: bool,
    /// True if a person can answer.
    pub in_is_terminal: bool,
    /// Answers.
    pub input: Arc<dyn Input>,
    /// Columns, where a person looks at `out`.
    pub columns: u16,
    /// True to use colours.
    pub color: bool,
    /// `WARREN_PASSPHRASE`.
    pub passphrase: Option<Passphrase>,
    /// `WARREN_FILE_PASSPHRASE`.
    pub file_passphrase: Option<Passphrase>,
    /// Name of this machine.
    pub hostname: String,
    /// Time now in Unix milliseconds.
    pub clock: fn() -> i64,
    /// Time zone for showing times.
    pub zone: jiff::tz::TimeZone,
    /// Stands for Ctrl-C where there is no keyboard.
    pub interrupt: Option<Arc<Notify>>,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// Where a person looks, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Terminal {
    /// The terminal of this process.
    pub fn of_process() -> Self {
        let (out, err) = (io::stdout(), io::stderr());
        let columns = std::env::var("COLUMNS")
            .ok()
            .and_then(|columns| columns.parse().ok())
            .or_else(|| rustix::termios::tcgetwinsize(&out).ok().map(|size| size.ws_col))
            .or_else(|| rustix::termios::tcgetwinsize(&err).ok().map(|size| size.ws_col))
            .filter(|columns| *columns > 0)
            .unwrap_or(100);
        Self {
            out_is_terminal: out.is_terminal(),
            err_is_terminal: err.is_terminal(),
            in_is_terminal: io::stdin().is_terminal(),
            out: Box::new(out),
            err: Box::new(err),
            input: Arc::new(Keyboard),
            columns,
            color: false,
            passphrase: secret("WARREN_PASSPHRASE"),
            file_passphrase: secret("WARREN_FILE_PASSPHRASE"),
            hostname: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            clock: || jiff::Timestamp::now().as_millisecond(),
            zone: jiff::tz::TimeZone::system(),
            interrupt: None,
        }
    }

    /// Writes to standard output. A reader who went away (`| head`) is no error; tells whether somebody still reads.
    pub(crate) fn write_out(&mut self, text: &str) -> io::Result<bool> {
        match self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            written => written.map(|()| true),
        }
    }

    /// Decides about colours.
    pub(crate) fn choose_color(&mut self, choice: ColorChoice) {
        self.color = match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => {
                let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
                let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
                self.out_is_terminal && !set("NO_COLOR") && !dumb
            }
        };
    }

    /// Completes at Ctrl-C. From the first call on, Ctrl-C no longer ends the process by itself.
    pub(crate) fn interrupted(&self) -> impl Future<Output = ()> + Send + 'static {
        let stand_in = self.interrupt.clone();
        async move {
            match stand_in {
                Some(notify) => notify.notified().await,
                None => {
                    unseen::leave_to_others(SignalKind::interrupt());
                    if tokio::signal::ctrl_c().await.is_err() {
                        std::future::pending::<()>().await;
                    }
                }
            }
        }
    }
}

/// A variable of the environment that is set and not empty.
fn secret(name: &str) -> Option<Passphrase> {
    std::env::var(name).ok().map(Passphrase).filter(|secret| !secret.0.is_empty())
}

/// Longest passphrase in bytes that is read.
const PASSPHRASE_MAX: usize = 64 << 10;

/// The first line of what `reader` has, without its end. Nothing after it is read, and no copy of it is left anywhere.
///
/// # Errors
/// Those of reading, and `InvalidData` where it is too long or no UTF-8.
pub(crate) fn read_passphrase(reader: &mut dyn Read) -> io::Result<Passphrase> {
    let mut line = Zeroizing::new(Vec::with_capacity(PASSPHRASE_MAX));
    let mut byte = Zeroizing::new([0]);
    loop {
        match reader.read(&mut *byte) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
            Ok(0) => break,
            Ok(_) if byte[0] == b'\n' => break,
            Ok(_) if line.len() == PASSPHRASE_MAX => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the passphrase is too long"));
            }
            Ok(_) => line.push(byte[0]),
        }
    }
    let typed = std::str::from_utf8(&line)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the passphrase is no UTF-8"))?;
    Ok(Passphrase(typed.trim_end_matches('\r').to_owned()))
}

/// What comes from a terminal, up to a character that interrupts.
struct Typed {
    terminal: std::fs::File,
    interrupt: u8,
}

impl Read for Typed {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.terminal.read(buf)?;
        if read == 0 {
            // Ctrl-D, or the terminal is gone: what came so far is no passphrase.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if buf[..read].contains(&self.interrupt) {
            // Not `Interrupted`, which readers take for "try again".
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(read)
    }
}

/// Standard input without a buffer of its own, in which a passphrase would stay.
struct Unbuffered;

impl Read for Unbuffered {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(rustix::stdio::stdin(), buf)?)
    }
}

/// The process's standard input and its controlling terminal.
struct Keyboard;

impl Input for Keyboard {
    fn line(&self) -> io::Result<Option<String>> {
        let mut line = String::new();
        let read = io::stdin().lock().read_line(&mut line)?;
        Ok((read > 0).then(|| line.trim_end_matches(['\n', '\r']).to_owned()))
    }

    fn passphrase(&self, prompt: &str) -> io::Result<Passphrase> {
        let mut terminal = std::fs::OpenOptions::new().read(true).write(true).open("/dev/tty")?;
        terminal.write_all(prompt.as_bytes())?;
        let unseen = Unseen::begin(terminal.try_clone()?)?;
        let typed = read_passphrase(&mut Typed { terminal: terminal.try_clone()?, interrupt: unseen.interrupt });
        drop(unseen);
        match typed {
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {
                // What Ctrl-C does at any other time, now that the terminal is as it was.
                unseen::end_by(SignalKind::interrupt());
                rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::INT)?;
                Err(io::ErrorKind::Interrupted.into())
            }
            typed => typed,
        }
    }

    fn has_keyboard(&self) -> bool {
        std::fs::File::open("/dev/tty").is_ok()
    }

    fn bytes(&self) -> Box<dyn Read + Send> {
        Box::new(Unbuffered)
    }
}
