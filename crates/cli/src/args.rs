//! The command line as a whole: options that every command has, the commands in groups, and help that teaches.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::commands::{
    access, cat, cert, completions, config, conflicts, cp, decrypt, demo, device, diff, down, encrypt, evidence, get,
    inbox, init, invite, invites, jobs, join, lock, log, ls, man, mkdir, mv, passphrase, peers, put, receive, restore,
    rm, send, service, space, status, store, sync, transfers, undo, unlock, up, verify, version, write,
};
use crate::terminal::ColorChoice;

/// Files straight from disk to disk, among people who trust each other
#[derive(Debug, Parser)]
#[command(
    name = "warren",
    version,
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "\
Begin here:
  warren demo                                   three devices on this machine, at work
  warren init --name ada --circle family        a new circle, on the first device
  warren up --detach                            run the device
  warren invite                                 a code for somebody else, who says
  warren join acid-brave-coral-dune --name bo   on the other machine
  warren send Photos --to bo                    files, straight to bo's disk
  warren space create home                      a tree of files that several devices keep
  warren put notes.txt home:                    files into it
  warren space share home --with bo --role editor

`warren COMMAND --help` explains each command with examples. Exit codes: docs/exit-codes.md."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options that every command has.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options for every command")]
pub(crate) struct Global {
    /// Folder that holds the device; any number can live side by side
    #[arg(short = 'H', long, env = "WARREN_HOME", global = true, value_name = "DIR", value_hint = clap::ValueHint::DirPath, hide_env_values = true)]
    pub(crate) home: Option<PathBuf>,
    /// JSON on standard output, errors as JSON on standard error
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Agree to every question
    #[arg(short, long, global = true)]
    pub(crate) yes: bool,
    /// Results and errors only: no progress, no notes
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Say more about what goes on inside (up to three times)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Colours
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "WHEN",
        hide_possible_values = true,
        hide_default_value = true,
        help = "Colours: auto, always or never"
    )]
    pub(crate) color: ColorChoice,
    /// First line is the passphrase; `-` is standard input (or set WARREN_PASSPHRASE)
    #[arg(long, env = "WARREN_PASSPHRASE_FILE", global = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath, hide_env = true)]
    pub(crate) passphrase_file: Option<PathBuf>,
}

/// All commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(init::Init),
    Up(up::Up),
    Down(down::Down),
    Status(status::Status),
    Lock(lock::Lock),
    Unlock(unlock::Unlock),
    Passphrase(passphrase::Passphrase),
    Invite(invite::Invite),
    Invites(invites::Invites),
    Join(join::Join),
    Peers(peers::Peers),
    Send(send::Send),
    Receive(receive::Receive),
    Inbox(inbox::Inbox),
    Transfers(transfers::Transfers),
    Encrypt(encrypt::Encrypt),
    Decrypt(decrypt::Decrypt),
    Cert(cert::Cert),
    Space(space::Spaces),
    Access(access::Access),
    Ls(ls::Ls),
    Put(put::Put),
    Get(get::Get),
    Cat(cat::Cat),
    Write(write::Write),
    Mkdir(mkdir::Mkdir),
    Mv(mv::Mv),
    Cp(cp::Cp),
    Rm(rm::Rm),
    Restore(restore::Restore),
    Diff(diff::Diff),
    Conflicts(conflicts::Conflicts),
    Undo(undo::Undo),
    Sync(sync::Sync),
    Jobs(jobs::Jobs),
    Verify(verify::Verify),
    Store(store::Store),
    Evidence(evidence::Evidence),
    Device(device::Device),
    Log(log::Log),
    Config(config::Config),
    Service(service::Service),
    Demo(demo::Demo),
    Completions(completions::Completions),
    Man(man::Man),
    Version(version::Version),
}

/// Commands by what they are for, in the order of the help.
const GROUPS: &[(&str, &[&str])] = &[
    ("This device", &["init", "up", "down", "status", "lock", "unlock", "passphrase", "config"]),
    ("The circle", &["invite", "invites", "join", "peers", "device", "cert"]),
    ("Files from disk to disk", &["send", "receive", "inbox", "transfers", "encrypt", "decrypt"]),
    (
        "Spaces: trees of files that several devices keep together",
        &["space", "access", "sync", "verify", "store", "evidence"],
    ),
    (
        "Files in spaces, as SPACE:PATH",
        &[
            "ls",
            "put",
            "get",
            "cat",
            "write",
            "mkdir",
            "mv",
            "cp",
            "rm",
            "restore",
            "diff",
            "conflicts",
            "undo",
            "jobs",
        ],
    ),
    ("Watching and setting up", &["log", "demo", "service", "completions", "man", "version"]),
];

/// The whole command line, with its commands grouped in the help, which is wrapped at so many columns.
pub(crate) fn command(columns: u16) -> clap::Command {
    let command = Cli::command().term_width(columns.clamp(40, 110).into());
    let groups = grouped(&command);
    command.help_template(format!(
        "{{about}}\n\n{{usage-heading}} {{usage}}\n\n{groups}Options for every command:\n{{options}}{{after-help}}"
    ))
}

/// The commands with their first help line, group by group.
fn grouped(command: &clap::Command) -> String {
    let mut text = String::new();
    for (heading, names) in GROUPS {
        let _ = writeln!(text, "{heading}:");
        for name in *names {
            let about = command
                .find_subcommand(name)
                .and_then(clap::Command::get_about)
                .map(ToString::to_string)
                .unwrap_or_default();
            let _ = writeln!(text, "  {name:<12} {about}");
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_is_consistent() {
        command(100).debug_assert();
    }

    #[test]
    fn every_command_is_in_one_group_and_has_help_with_an_example() {
        let command = command(100);
        let mut grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| *names).copied().collect();
        let mut all: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
        grouped.sort_unstable();
        all.sort_unstable();
        assert_eq!(grouped, all);
        for sub in command.get_subcommands() {
            assert!(sub.get_about().is_some(), "{}", sub.get_name());
            let help = sub.get_after_help().map(ToString::to_string);
            assert!(help.is_some_and(|help| help.contains("warren ")), "{} has no example", sub.get_name());
        }
    }
}
