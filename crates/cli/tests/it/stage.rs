//! Runs command lines on a terminal made of buffers, and compares what they wrote with a file.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use api::types::Passphrase;
use tokio::sync::Notify;
use warren_cli::{Input, Terminal, run_on};

use crate::fake::FakeHost;

/// 2026-11-21 12:00:00 UTC.
pub const NOW: i64 = 1_795_262_400_000;

/// What a command did.
pub struct Ran {
    pub code: u8,
    pub out: String,
    pub err: String,
}

/// A terminal with scripted answers, and the device behind it.
pub struct Stage {
    pub host: Arc<FakeHost>,
    pub answers: Vec<&'static str>,
    pub passphrase: Option<&'static str>,
    pub file_passphrase: Option<&'static str>,
    pub full: bool,
    pub somebody_there: bool,
    /// Columns of the terminal that a person looks at; absent: nobody looks.
    pub columns: Option<u16>,
    pub stdin: &'static [u8],
    /// Ctrl-C as soon as somebody listens for it.
    pub interrupt: bool,
    transcript: String,
}

impl Stage {
    pub fn new() -> Self {
        Self {
            host: Arc::new(FakeHost::running()),
            answers: Vec::new(),
            passphrase: None,
            file_passphrase: None,
            full: false,
            somebody_there: false,
            columns: None,
            stdin: b"",
            interrupt: false,
            transcript: String::new(),
        }
    }

    pub fn with(host: FakeHost) -> Self {
        Self { host: Arc::new(host), ..Self::new() }
    }

    /// Runs a command line; `|` separates arguments that have blanks.
    pub async fn run(&mut self, line: &str) -> Ran {
        let args: Vec<OsString> = if line.contains('|') {
            line.split('|').map(OsString::from).collect()
        } else {
            line.split_whitespace().map(OsString::from).collect()
        };
        let args = std::iter::once(OsString::from("warren")).chain(args);
        let (out, err) = (Buffer::default(), Buffer::default());
        let answers = self.answers.drain(..).map(str::to_owned).collect();
        let terminal = Terminal {
            out: if self.full { Box::new(FullDisk) } else { Box::new(out.clone()) },
            err: Box::new(err.clone()),
            out_is_terminal: self.columns.is_some(),
            err_is_terminal: false,
            in_is_terminal: self.somebody_there,
            input: Arc::new(Script { answers: Mutex::new(answers), stdin: self.stdin, err: err.clone() }),
            columns: self.columns.unwrap_or(100),
            color: false,
            passphrase: self.passphrase.map(|text| Passphrase(text.to_owned())),
            file_passphrase: self.file_passphrase.map(|text| Passphrase(text.to_owned())),
            hostname: "desk.example.org".to_owned(),
            clock: || NOW,
            zone: jiff::tz::TimeZone::UTC,
            interrupt: Some(self.interrupt()),
        };
        let host = self.host.clone();
        let code = run_on(terminal, args, move |_| Ok(host)).await;
        let ran = Ran { code, out: out.text(), err: err.text() };
        self.transcript.push_str(&format!("$ warren {line}\n{}", ran.out));
        for line in ran.err.lines() {
            self.transcript.push_str(&format!("! {line}\n"));
        }
        if code != 0 {
            self.transcript.push_str(&format!("exit {code}\n"));
        }
        self.transcript.push('\n');
        ran
    }

    fn interrupt(&self) -> Arc<Notify> {
        let notify = Notify::new();
        if self.interrupt {
            notify.notify_one();
        }
        Arc::new(notify)
    }

    /// [`Self::golden`], with `PATH` for a path that is another one each time.
    #[track_caller]
    pub fn golden_without(&mut self, name: &str, path: &str) {
        self.transcript = self.transcript.replace(path, "PATH");
        self.golden(name);
    }

    /// Compares everything that was run so far with a golden file.
    #[track_caller]
    pub fn golden(&self, name: &str) {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/it/golden/{name}.txt"));
        if std::env::var_os("WARREN_BLESS").is_some() {
            std::fs::write(&path, &self.transcript).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            golden == self.transcript,
            "{} differs; WARREN_BLESS=1 writes it anew. Now:\n{}",
            path.display(),
            self.transcript
        );
    }
}

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Standard output on a full disk.
struct FullDisk;

impl Write for FullDisk {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Script {
    answers: Mutex<VecDeque<String>>,
    stdin: &'static [u8],
    err: Buffer,
}

impl Input for Script {
    fn line(&self) -> io::Result<Option<String>> {
        writeln!(self.err.clone()).unwrap();
        Ok(self.answers.lock().unwrap().pop_front())
    }

    fn passphrase(&self, prompt: &str) -> io::Result<Passphrase> {
        writeln!(self.err.clone(), "{prompt}").unwrap();
        self.answers.lock().unwrap().pop_front().map(Passphrase).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn has_keyboard(&self) -> bool {
        !self.answers.lock().unwrap().is_empty()
    }

    fn bytes(&self) -> Box<dyn Read + Send> {
        Box::new(self.stdin)
    }
}
