//! A real device for tests: the real binary in a home of its own, driven through its command line.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Passphrase of every home in these tests.
pub const PASSPHRASE: &str = "correct horse battery staple";

/// No command may take longer than so many seconds, even on a slow machine.
const PATIENCE: &str = "240";

/// One home with its device.
pub struct Device {
    dir: tempfile::TempDir,
    lan_port: u16,
}

/// What a command did.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Insists on success.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// Insists on failure with this exit code, and that the message contains `needle`.
    #[track_caller]
    pub fn fails(self, code: i32, needle: &str) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        assert!(self.stderr.contains(needle), "no {needle:?} in: {}", self.stderr);
        self
    }

    /// The one JSON document on standard output.
    #[track_caller]
    pub fn json(self) -> Value {
        let ran = self.ok();
        assert_eq!(ran.stdout.lines().count(), 1, "one document on one line: {}", ran.stdout);
        serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {}", ran.stdout))
    }

    /// The last line of a JSON stream.
    #[track_caller]
    pub fn last(&self) -> Value {
        let line = self.stdout.lines().last().unwrap_or_else(|| panic!("no output; stderr: {}", self.stderr));
        serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))
    }
}

/// A LAN port for one circle, so that circles of parallel tests do not even hear each other. Below the ports that
/// systems give out by themselves.
pub fn lan_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let block = u16::try_from(std::process::id() % 200).unwrap() * 100;
    10_000 + block + NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The binary under test, hermetic: no variable of the caller reaches it.
pub fn warren() -> Command {
    hermetic(Command::new(env!("CARGO_BIN_EXE_warren")))
}

/// The same under a guard that ends it when it hangs.
fn guarded() -> Command {
    let mut command = Command::new("timeout");
    command.args(["--foreground", "-s", "KILL", PATIENCE, env!("CARGO_BIN_EXE_warren")]);
    hermetic(command)
}

fn hermetic(mut command: Command) -> Command {
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("NO_COLOR", "1")
        .stdin(Stdio::null());
    command
}

impl Device {
    /// An empty home whose circle announces itself on `lan_port`.
    pub fn new(lan_port: u16) -> Self {
        Self { dir: tempfile::tempdir().unwrap(), lan_port }
    }

    /// Member `name` founds `circle`; not up yet.
    pub fn founder(name: &str, circle: &str) -> Self {
        let device = Self::new(lan_port());
        device.run(["init", "--name", name, "--circle", circle, "--device", &format!("{name}-box")]).ok();
        device.set_up();
        device
    }

    /// A further member, invited by a running device and joined by link; up afterwards.
    pub fn joined(inviter: &Self, name: &str) -> Self {
        let device = Self::beside(inviter);
        let invitation = inviter.run(["invite", "--json"]).json();
        let link = invitation["link"].as_str().unwrap().to_owned();
        device.run(["join", &link, "--name", name, "--device", &format!("{name}-box"), "--yes"]).ok();
        device.up();
        device
    }

    /// An empty home on the same LAN port.
    pub fn beside(other: &Self) -> Self {
        let device = Self::new(other.lan_port);
        device.set_up();
        device
    }

    /// Two running members, alice and bob, who know each other; bob takes what alice sends.
    pub fn pair() -> (Self, Self) {
        let alice = Self::founder("alice", "home");
        alice.up();
        let bob = Self::joined(&alice, "bob");
        alice.wait_online("bob");
        bob.wait_online("alice");
        (alice, bob)
    }

    /// Like [`Device::pair`], and bob accepts everything.
    pub fn trusting_pair() -> (Self, Self) {
        let (alice, bob) = Self::pair();
        bob.trust("alice");
        (alice, bob)
    }

    fn set_up(&self) {
        self.run(["config", "lan_port", &self.lan_port.to_string()]).ok();
        self.land_in(&self.received());
    }

    pub fn land_in(&self, dir: &Path) {
        self.run(["config", "received_dir", dir.to_str().unwrap()]).ok();
    }

    pub fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    pub fn received(&self) -> PathBuf {
        self.dir.path().join("received")
    }

    /// A folder beside the home, for sources.
    pub fn files(&self) -> PathBuf {
        let files = self.dir.path().join("files");
        std::fs::create_dir_all(&files).unwrap();
        files
    }

    /// A source file with this content; its path as text.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.files().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn dress<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, mut command: Command, args: I) -> Command {
        command.args(args).env("WARREN_HOME", self.home()).env("WARREN_PASSPHRASE", PASSPHRASE);
        command
    }

    pub fn command<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, args: I) -> Command {
        self.dress(guarded(), args)
    }

    /// A command without a guard, to be sent signals.
    pub fn unguarded<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, args: I) -> Command {
        self.dress(warren(), args)
    }

    pub fn run<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, args: I) -> Ran {
        Ran::of(self.command(args).output().unwrap())
    }

    /// Runs with another passphrase.
    pub fn run_as<const N: usize>(&self, passphrase: &str, args: [&str; N]) -> Ran {
        Ran::of(self.command(args).env("WARREN_PASSPHRASE", passphrase).output().unwrap())
    }

    /// Starts a command that goes on while the test does something else.
    pub fn start<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, args: I) -> Running {
        Running::start(self.unguarded(args))
    }

    pub fn up(&self) {
        self.run(["up", "--detach"]).ok();
    }

    pub fn down(&self) {
        self.run(["down"]).ok();
    }

    pub fn status(&self) -> Value {
        self.run(["status", "--json"]).json()
    }

    /// kill -9, as a power cut would.
    pub fn kill(&self) {
        let pid = self.status()["pid"].to_string();
        Command::new("kill").args(["-9", &pid]).status().unwrap();
        let proc = PathBuf::from(format!("/proc/{pid}"));
        wait("the device to be gone", || !proc.exists() || is_zombie(&proc));
    }

    pub fn peers(&self) -> Vec<Value> {
        self.run(["peers", "--json"]).json().as_array().unwrap().clone()
    }

    /// The one peer of this name.
    #[track_caller]
    pub fn peer(&self, name: &str) -> Value {
        let peers = self.peers();
        peers.iter().find(|p| p["name"] == name).unwrap_or_else(|| panic!("no {name} in {peers:?}")).clone()
    }

    #[track_caller]
    pub fn wait_state(&self, name: &str, state: &str) {
        wait(&format!("{name} to be {state}"), || {
            self.peers().iter().any(|p| p["name"] == name && p["state"] == state)
        });
    }

    #[track_caller]
    pub fn wait_online(&self, name: &str) {
        self.wait_state(name, "online");
    }

    pub fn transfers(&self) -> Vec<Value> {
        self.run(["transfers", "--all", "--json"]).json().as_array().unwrap().clone()
    }

    /// One transfer by its id.
    #[track_caller]
    pub fn transfer(&self, id: &str) -> Value {
        self.run(["transfers", "show", id, "--json"]).json()
    }

    #[track_caller]
    pub fn wait_transfer(&self, id: &str, state: &str) -> Value {
        let mut last = Value::Null;
        wait_or(
            &format!("transfer {id} to be {state}"),
            || {
                last = self.transfer(id);
                last["state"] == state
            },
            || format!("{:?}", self.transfer(id)),
        );
        last
    }

    /// Queues a file or folder for one receiver; the id of the transfer.
    #[track_caller]
    pub fn queue(&self, path: &str, to: &str, more: &[&str]) -> String {
        let mut args = vec!["send", path, "--to", to, "--no-wait", "--json"];
        args.extend(more);
        self.run(args).json()["transfers"][0]["id"].as_str().unwrap().to_owned()
    }

    /// Waits for the one offer in the inbox.
    #[track_caller]
    pub fn offer(&self) -> Value {
        let mut offers = Vec::new();
        wait("an offer", || {
            offers = self.run(["inbox", "--json"]).json().as_array().unwrap().clone();
            offers.first().is_some_and(|offer| offer["scanned"] == true)
        });
        assert_eq!(offers.len(), 1, "{offers:?}");
        offers.remove(0)
    }

    /// Accepts everything from `name` without asking.
    pub fn trust(&self, name: &str) {
        self.run(["peers", "rule", name, "--auto-accept", "always"]).ok();
    }

    /// Names of the events in the log.
    pub fn events(&self) -> Vec<String> {
        let log = self.run(["log", "--json", "-n", "10000"]).json();
        log.as_array().unwrap().iter().map(|entry| entry["event"].as_str().unwrap().to_owned()).collect()
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if self.home().exists() {
            let _ = self.run(["down"]);
        }
    }
}

fn is_zombie(proc: &Path) -> bool {
    std::fs::read_to_string(proc.join("stat")).is_ok_and(|stat| stat.contains(") Z "))
}

/// A command that goes on.
pub struct Running {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Running {
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    #[track_caller]
    fn next_line(&mut self) -> String {
        let mut line = String::new();
        let len = self.lines.read_line(&mut line).unwrap();
        assert_ne!(len, 0, "the command ended: {}", self.stderr());
        line
    }

    /// What follows in the next line that begins with `label`.
    #[track_caller]
    pub fn text(&mut self, label: &str) -> String {
        loop {
            if let Some(text) = self.next_line().strip_prefix(label) {
                return text.trim_end().to_owned();
            }
        }
    }

    /// The next line of its JSON stream that satisfies `wanted`.
    #[track_caller]
    pub fn line(&mut self, mut wanted: impl FnMut(&Value) -> bool) -> Value {
        loop {
            let line = self.next_line();
            let value: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
            if wanted(&value) {
                return value;
            }
        }
    }

    fn stderr(&mut self) -> String {
        let mut text = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            let _ = std::io::Read::read_to_string(&mut stderr, &mut text);
        }
        text
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Ctrl-C.
    pub fn interrupt(&self) {
        assert!(Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap().success());
    }

    pub fn is_over(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its end.
    #[track_caller]
    pub fn finish(mut self) -> Ran {
        let mut stdout = String::new();
        std::io::Read::read_to_string(&mut self.lines, &mut stdout).unwrap();
        let stderr = self.stderr();
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        Ran { code, stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits for something that another process does; two minutes at most.
#[track_caller]
pub fn wait(what: &str, until: impl FnMut() -> bool) {
    wait_or(what, until, String::new);
}

/// The same; `explain` tells what is there instead.
#[track_caller]
pub fn wait_or(what: &str, mut until: impl FnMut() -> bool, explain: impl Fn() -> String) {
    let end = Instant::now() + Duration::from_secs(120);
    while !until() {
        assert!(Instant::now() < end, "waited for {what} {}", explain());
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Insists that two trees are the same: names, kinds, contents, links, executable bits, times.
#[track_caller]
pub fn assert_same_tree(a: &Path, b: &Path) {
    use std::os::unix::fs::MetadataExt;
    let (left, right) = (
        std::fs::symlink_metadata(a).unwrap(),
        std::fs::symlink_metadata(b).unwrap_or_else(|e| panic!("{}: {e}", b.display())),
    );
    assert_eq!(left.file_type(), right.file_type(), "{}", b.display());
    if left.is_symlink() {
        assert_eq!(std::fs::read_link(a).unwrap(), std::fs::read_link(b).unwrap(), "{}", b.display());
        return;
    }
    assert_eq!((left.mtime(), left.mtime_nsec()), (right.mtime(), right.mtime_nsec()), "time of {}", b.display());
    if left.is_file() {
        assert_eq!(left.mode() & 0o100, right.mode() & 0o100, "executable bit of {}", b.display());
        assert!(std::fs::read(a).unwrap() == std::fs::read(b).unwrap(), "content of {}", b.display());
        assert!(right.blocks() <= left.blocks() + 4096, "{} has lost its holes", b.display());
        return;
    }
    assert_eq!(names_in(a), names_in(b), "names in {}", b.display());
    for name in names_in(a) {
        assert_same_tree(&a.join(&name), &b.join(&name));
    }
}

/// What is in a folder; nothing where there is none. The folder of unfinished transfers is not counted.
pub fn names_in(dir: &Path) -> Vec<std::ffi::OsString> {
    let items = std::fs::read_dir(dir).map(|items| items.map(|e| e.unwrap().file_name()).collect::<Vec<_>>());
    let mut names = items.unwrap_or_default();
    names.retain(|name| name != ".warren-partial");
    names.sort();
    names
}
