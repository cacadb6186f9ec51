//! What every command has at hand: the host, the running device, the printer, questions and passphrases.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use api::types::{Passphrase, PeerQuery, PlanDone};
use api::{ApiError, ApiResult, ErrorCode, Host, Service};
use serde::Serialize;

use crate::args::Global;
use crate::exit::{Failure, INTERRUPTED, exit_code};
use crate::print::{self, Page, Show, Tone};
use crate::terminal::{Terminal, read_passphrase};
use crate::units::count;
use crate::unseen;

/// How to give the device's passphrase without being asked.
const DEVICE_PASSPHRASE: &str = "give it in the environment variable WARREN_PASSPHRASE or with --passphrase-file FILE";

/// Asks for the passphrase of a device that is made; says what the device will insist on.
pub(crate) const NEW_DEVICE: &str = "Passphrase for the new device (at least 8 characters): ";

/// How to give a sealed file's passphrase without being asked.
pub(crate) const FILE_PASSPHRASE: &str =
    "give it in the environment variable WARREN_FILE_PASSPHRASE or with --file-passphrase-file FILE";

/// State of one run of the command line.
pub(crate) struct Context {
    pub(crate) terminal: Terminal,
    pub(crate) json: bool,
    pub(crate) quiet: bool,
    pub(crate) yes: bool,
    passphrase_file: Option<PathBuf>,
    host: Option<Arc<dyn Host>>,
    /// Standard input is no place for answers: the content comes from there.
    pub(crate) content_on_stdin: bool,
    /// The first write to standard output that failed.
    lost_output: Option<std::io::Error>,
    /// Nobody reads standard output any more.
    reader_left: bool,
}

impl Context {
    pub(crate) fn new(terminal: Terminal, global: Global) -> Self {
        Self {
            terminal,
            json: global.json,
            quiet: global.quiet,
            yes: global.yes,
            passphrase_file: global.passphrase_file,
            host: None,
            content_on_stdin: false,
            lost_output: None,
            reader_left: false,
        }
    }

    pub(crate) fn set_host(&mut self, host: Arc<dyn Host>) {
        self.host = Some(host);
    }

    /// The host of this home.
    pub(crate) fn host(&self) -> Arc<dyn Host> {
        self.host.clone().expect("set before any command runs, in run_on")
    }

    /// A client of the running device. Says what is missing if there is none: a device at all, or only its start.
    pub(crate) async fn running(&self) -> ApiResult<Arc<dyn Service>> {
        let host = self.host();
        match host.running().await {
            Err(error) if error.code == ErrorCode::NotRunning && !host.initialised()? => {
                Err(not_initialised(&host.home()))
            }
            other => other,
        }
    }

    /// The running device if there is one.
    pub(crate) async fn running_if_any(&self) -> ApiResult<Option<Arc<dyn Service>>> {
        match self.host().running().await {
            Ok(service) => Ok(Some(service)),
            Err(error) if error.code == ErrorCode::NotRunning => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Shows a result: one JSON document, or a page for people.
    pub(crate) fn show<T: Show + Serialize + ?Sized>(&mut self, value: &T) {
        let text = if self.json {
            print::json::line(value)
        } else {
            let mut page = self.page();
            value.human(&mut page);
            page.finish()
        };
        self.write_out(&text);
    }

    /// [`Self::show`] for what people look at but may do without: nothing with `--quiet`, for scripts all the same.
    pub(crate) fn show_unless_quiet<T: Show + Serialize + ?Sized>(&mut self, value: &T) {
        if self.json || !self.quiet {
            self.show(value);
        }
    }

    /// Shows one part of a stream: a JSON line, or nothing special for people.
    pub(crate) fn json_line(&mut self, value: &(impl Serialize + ?Sized)) {
        let text = print::json::line(value);
        self.write_out(&text);
    }

    /// Shows text for people on standard output; nothing with `--json`.
    pub(crate) fn say(&mut self, text: &str) {
        if !self.json {
            self.write_out(&format!("{text}\n"));
        }
    }

    /// Shows a link as a QR code where a person looks. A picture that is broken into other lines is none.
    pub(crate) fn draw(&mut self, link: &str) {
        if !self.terminal.out_is_terminal || self.json || self.quiet {
            return;
        }
        let Some(picture) = print::qr::qr(link) else { return };
        let width = picture.lines().map(|line| line.chars().count()).max().unwrap_or_default();
        if width <= self.terminal.columns.into() {
            self.say(&picture);
        } else {
            self.note(&format!("(The QR code of the link needs a terminal of {width} columns.)"));
        }
    }

    /// Tells people something beside the result, on standard error; nothing with `--json` or `--quiet`.
    pub(crate) fn note(&mut self, text: &str) {
        if !self.json && !self.quiet {
            self.write_err(&format!("{text}\n"));
        }
    }

    /// An empty page in the terminal's style.
    pub(crate) fn page(&self) -> Page {
        Page::new(&self.terminal)
    }

    /// Shows an error with its hint; gives the exit code.
    pub(crate) fn fail(&mut self, failure: Failure) -> u8 {
        match failure {
            Failure::Said(code) => code,
            Failure::Error(error) => {
                let text = if self.json { print::json::error(&error) } else { print::error(&self.terminal, &error) };
                self.write_err(&text);
                exit_code(error.code)
            }
        }
    }

    /// Writes to standard output. What fails is told at the end ([`Self::lost_output`]): the work goes on.
    pub(crate) fn write_out(&mut self, text: &str) {
        match self.terminal.write_out(text) {
            Ok(read) => self.reader_left |= !read,
            Err(error) => {
                self.lost_output.get_or_insert(error);
            }
        }
    }

    /// Writes what is no text to standard output.
    pub(crate) fn write_bytes(&mut self, bytes: &[u8]) {
        match self.terminal.out.write_all(bytes).and_then(|()| self.terminal.out.flush()) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                self.lost_output.get_or_insert(error);
            }
            _ => {}
        }
    }

    /// False once what is written to standard output reaches nobody.
    pub(crate) fn is_read(&self) -> bool {
        !self.reader_left && self.lost_output.is_none()
    }

    /// The error of a result that could not be written.
    pub(crate) fn lost_output(&mut self) -> Option<ApiError> {
        self.lost_output.take().map(|error| Failure::io("cannot write to standard output", &error))
    }

    /// Writes to standard error.
    pub(crate) fn write_err(&mut self, text: &str) {
        let _ = self.terminal.err.write_all(text.as_bytes());
        let _ = self.terminal.err.flush();
    }

    /// Asks for a line. `None` at the end of input.
    ///
    /// # Errors
    /// `BadRequest` with `otherwise` as the hint where nobody can answer.
    pub(crate) async fn ask(&mut self, question: &str, otherwise: &str) -> ApiResult<Option<String>> {
        self.must_have_somebody(question, ErrorCode::BadRequest, otherwise)?;
        self.write_err(question);
        let input = self.terminal.input.clone();
        off_thread(move || input.line()).await
    }

    /// Asks yes or no; yes without asking with `--yes`.
    pub(crate) async fn confirm(&mut self, question: &str) -> ApiResult<bool> {
        if self.yes {
            return Ok(true);
        }
        let answer = self.ask(&format!("{question} [y/N] "), "say `--yes` to agree without being asked").await?;
        Ok(answer.is_some_and(|answer| is_yes(&answer)))
    }

    /// Shows what was done: in one word where somebody has just seen and agreed to it.
    pub(crate) fn done(&mut self, done: &PlanDone, agreed: bool) {
        if agreed && !self.json && done.count > 0 {
            self.note(&format!("Done: {}.", count(done.count, "step")));
        } else {
            self.show_unless_quiet(done);
        }
    }

    /// Shows what would be done and asks whether to do it. Where nobody can answer, what would be done is the result.
    ///
    /// # Errors
    /// Nobody agreed.
    pub(crate) async fn agree<T: Show + Serialize>(&mut self, plan: &T, question: &str) -> Result<(), Failure> {
        if self.json || !self.terminal.in_is_terminal {
            self.show(plan);
        } else {
            let mut page = self.page();
            plan.human(&mut page);
            self.write_err(&page.finish());
        }
        if self.confirm(question).await? {
            return Ok(());
        }
        self.note("Nothing was done.");
        Err(Failure::Said(INTERRUPTED))
    }

    /// The passphrase of the device from file or environment; absent where neither is given.
    pub(crate) fn given_passphrase(&self) -> ApiResult<Option<Passphrase>> {
        match &self.passphrase_file {
            Some(path) => self.passphrase_in(path).map(Some),
            None => Ok(self.terminal.passphrase.clone()),
        }
    }

    /// The passphrase of a sealed file, from `file` or its own variable of the environment. That of the device is
    /// never taken for it: whoever gets the sealed file would have to be told it.
    pub(crate) fn given_file_passphrase(&self, file: Option<&Path>) -> ApiResult<Option<Passphrase>> {
        match file {
            Some(path) => self.passphrase_in(path).map(Some),
            None => Ok(self.terminal.file_passphrase.clone()),
        }
    }

    /// The first line of a file, or of standard input for `-`.
    pub(crate) fn passphrase_in(&self, path: &Path) -> ApiResult<Passphrase> {
        let what = format!("cannot read the passphrase file {}", path.display());
        let mut reader: Box<dyn std::io::Read + Send> = if path.as_os_str() == "-" {
            self.terminal.input.bytes()
        } else {
            Box::new(std::fs::File::open(path).map_err(|error| Failure::io(&what, &error))?)
        };
        let first = read_passphrase(&mut *reader).map_err(|error| Failure::io(&what, &error))?;
        if first.0.is_empty() {
            return Err(ApiError::new(ErrorCode::BadRequest, "the passphrase file has an empty first line"));
        }
        Ok(first)
    }

    /// Forgets the passphrases of the environment: nothing else will need them.
    pub(crate) fn forget_passphrases(&mut self) {
        (self.terminal.passphrase, self.terminal.file_passphrase) = (None, None);
    }

    /// The passphrase: from file or environment, else asked for.
    pub(crate) async fn passphrase(&mut self, prompt: &str) -> ApiResult<Passphrase> {
        match self.given_passphrase()? {
            Some(passphrase) => Ok(passphrase),
            None => self.ask_passphrase(prompt, DEVICE_PASSPHRASE).await,
        }
    }

    /// A new passphrase: from file or environment, else asked for twice.
    pub(crate) async fn new_passphrase(&mut self, prompt: &str) -> ApiResult<Passphrase> {
        match self.given_passphrase()? {
            Some(passphrase) => Ok(passphrase),
            None => self.ask_new_passphrase(prompt, DEVICE_PASSPHRASE).await,
        }
    }

    /// Asks for a new passphrase twice. `otherwise`: how to give it where nobody can answer.
    pub(crate) async fn ask_new_passphrase(&mut self, prompt: &str, otherwise: &str) -> ApiResult<Passphrase> {
        let first = self.ask_passphrase(prompt, otherwise).await?;
        if first.0.is_empty() {
            return Err(Failure::usage("the passphrase is empty").hint("four or five random words make a good one"));
        }
        let second = self.ask_passphrase("The same again: ", otherwise).await?;
        if first != second {
            return Err(Failure::usage("the two passphrases differ").hint("nothing was changed; try again"));
        }
        Ok(first)
    }

    /// Asks for a passphrase. `otherwise`: how to give it where nobody can answer.
    pub(crate) async fn ask_passphrase(&mut self, prompt: &str, otherwise: &str) -> ApiResult<Passphrase> {
        if !self.content_on_stdin || !self.terminal.input.has_keyboard() {
            self.must_have_somebody(prompt, ErrorCode::PassphraseNeeded, otherwise)?;
        }
        if self.terminal.interrupt.is_none() {
            unseen::mind_signals().map_err(|error| Failure::io("cannot listen for signals", &error))?;
        }
        let (input, prompt) = (self.terminal.input.clone(), prompt.to_owned());
        off_thread(move || input.passphrase(&prompt)).await
    }

    /// The file that was named for the passphrase.
    pub(crate) fn passphrase_file(&self) -> Option<&Path> {
        self.passphrase_file.as_deref()
    }

    fn must_have_somebody(&self, question: &str, code: ErrorCode, otherwise: &str) -> ApiResult<()> {
        if self.terminal.in_is_terminal {
            return Ok(());
        }
        let asked = question.trim().trim_end_matches([':', '?', ' ']);
        let message = format!("nobody can answer \"{asked}\": standard input is no terminal");
        Err(ApiError::new(code, message).hint(otherwise))
    }

    /// Adds "did you mean" to an error about an unknown peer that has no hint yet.
    pub(crate) async fn suggest_peer(
        &self,
        service: &Arc<dyn Service>,
        asked: &[String],
        mut error: ApiError,
    ) -> ApiError {
        if error.code != ErrorCode::NotFound || error.hint.is_some() {
            return error;
        }
        let Ok(peers) = service.peers(PeerQuery::default()).await else {
            return error;
        };
        let names: Vec<String> = peers.into_iter().map(|peer| peer.name).collect();
        let unknown = asked.iter().find(|asked| !names.iter().any(|name| name == *asked));
        let near = unknown.and_then(|unknown| crate::nearest::nearest(unknown, &names));
        error.hint = Some(match near {
            Some(name) => format!("did you mean `{}`?", print::clean(name)),
            None => "`warren peers` lists the names".to_owned(),
        });
        error
    }

    /// Text in a tone, if colours are on.
    pub(crate) fn paint(&self, tone: Tone, text: &str) -> String {
        tone.paint(self.terminal.color, text)
    }
}

/// This home has no device.
pub(crate) fn not_initialised(home: &Path) -> ApiError {
    ApiError::new(
        ErrorCode::NotInitialised,
        format!("there is no device in {} yet", home.display()),
    )
    .hint("found a circle with `warren init --name NAME --circle CIRCLE`, or join one with `warren join CODE --name NAME`")
}

/// True for an answer that agrees.
pub(crate) fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

/// Runs something that blocks on a thread that nobody has to wait for.
async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> std::io::Result<T> + Send + 'static) -> ApiResult<T> {
    let (done, wait) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        // The one who asked may be gone by now.
        let _ = done.send(work());
    });
    match wait.await {
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::Interrupted => {
            Err(ApiError::new(ErrorCode::Cancelled, "interrupted"))
        }
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            Err(ApiError::new(ErrorCode::Cancelled, "the input ended before the answer; nothing was done"))
        }
        Ok(result) => result.map_err(|error| Failure::io("cannot read the answer", &error)),
        Err(_) => Err(ApiError::new(ErrorCode::Internal, "the question was dropped")),
    }
}
