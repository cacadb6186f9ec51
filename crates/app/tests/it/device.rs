//! A real device for tests: the real binary in a home of its own, driven through its command line.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Passphrase of every home in these tests.
pub const PASSPHRASE: &str = "correct horse battery staple";

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
        serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {}", ran.stdout))
    }
}

/// A LAN port that nobody else on this machine uses now, so that circles of parallel tests do not even hear each other.
pub fn free_lan_port() -> u16 {
    std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The binary under test, hermetic: no variable of the caller reaches it.
pub fn warren() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_warren"));
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

    /// Member `name` founds `circle`.
    pub fn founder(name: &str, circle: &str) -> Self {
        let device = Self::new(free_lan_port());
        device.run(["init", "--name", name, "--circle", circle]).ok();
        device.set_up();
        device
    }

    /// A further member, invited and joined by code; both sides run afterwards.
    pub fn joined(inviter: &Self, name: &str) -> Self {
        let device = Self::new(inviter.lan_port);
        let invitation = inviter.run(["invite", "--json"]).json();
        device.set_up();
        device.run(["join", invitation["code"].as_str().unwrap(), "--name", name, "--yes"]).ok();
        device
    }

    fn set_up(&self) {
        self.run(["config", "lan_port", &self.lan_port.to_string()]).ok();
        self.run(["config", "received_dir", self.received().to_str().unwrap()]).ok();
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

    pub fn command<I: IntoIterator<Item = S>, S: AsRef<std::ffi::OsStr>>(&self, args: I) -> Command {
        let mut command = warren();
        command.args(args).env("WARREN_HOME", self.home()).env("WARREN_PASSPHRASE", PASSPHRASE);
        command
    }

    pub fn run<I: IntoIterator<Item = S>, S: AsRef<std::ffi::OsStr>>(&self, args: I) -> Ran {
        Ran::of(self.command(args).output().unwrap())
    }

    pub fn up(&self) {
        self.run(["up", "--detach"]).ok();
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.run(["status", "--json"]).json()["pid"].as_i64().unwrap()).unwrap()
    }

    /// kill -9, as a power cut would.
    pub fn kill(&self) {
        let pid = self.pid();
        Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
        wait("the device to be gone", || !Path::new(&format!("/proc/{pid}")).exists());
    }

    pub fn peers(&self) -> Vec<Value> {
        self.run(["peers", "--json"]).json().as_array().unwrap().clone()
    }

    pub fn wait_online(&self, name: &str) {
        wait(&format!("{name} to be online"), || {
            self.peers().iter().any(|p| p["name"] == name && p["state"] == "online")
        });
    }

    pub fn transfers(&self) -> Vec<Value> {
        self.run(["transfers", "--all", "--json"]).json().as_array().unwrap().clone()
    }

    /// Accepts everything from `name` without asking.
    pub fn trust(&self, name: &str) {
        self.run(["peers", "rule", name, "--auto-accept", "1TB"]).ok();
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if self.home().exists() {
            let _ = self.run(["down"]);
        }
    }
}

/// Waits for something that another process does; a minute at most.
#[track_caller]
pub fn wait(what: &str, mut until: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !until() {
        assert!(Instant::now() < end, "waited for {what}");
        std::thread::sleep(Duration::from_millis(50));
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
        return;
    }
    let names = |dir: &Path| {
        let mut names: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names(a), names(b), "names in {}", b.display());
    for name in names(a) {
        assert_same_tree(&a.join(&name), &b.join(&name));
    }
}
