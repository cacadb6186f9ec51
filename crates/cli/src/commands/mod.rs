//! One file per command: its arguments (whose comments are its help) and what it does.

pub(crate) mod access;
pub(crate) mod cat;
pub(crate) mod cert;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod conflicts;
pub(crate) mod cp;
pub(crate) mod decrypt;
pub(crate) mod demo;
pub(crate) mod device;
pub(crate) mod diff;
pub(crate) mod down;
pub(crate) mod encrypt;
pub(crate) mod evidence;
pub(crate) mod get;
pub(crate) mod inbox;
pub(crate) mod init;
pub(crate) mod invite;
pub(crate) mod invites;
pub(crate) mod jobs;
pub(crate) mod join;
pub(crate) mod lock;
pub(crate) mod log;
pub(crate) mod ls;
pub(crate) mod man;
pub(crate) mod mkdir;
pub(crate) mod mv;
pub(crate) mod passphrase;
pub(crate) mod peers;
pub(crate) mod put;
pub(crate) mod receive;
pub(crate) mod restore;
pub(crate) mod rm;
pub(crate) mod send;
pub(crate) mod service;
pub(crate) mod space;
pub(crate) mod status;
pub(crate) mod store;
mod stream;
pub(crate) mod sync;
pub(crate) mod transfers;
pub(crate) mod undo;
pub(crate) mod unlock;
pub(crate) mod up;
pub(crate) mod verify;
pub(crate) mod version;
pub(crate) mod write;

use crate::args::Command;
use crate::context::Context;
use crate::exit::Outcome;

/// Runs a command. Each future is boxed: they are large, and only one of them runs.
pub(crate) async fn run(command: Command, cx: &mut Context) -> Outcome {
    match command {
        Command::Init(args) => Box::pin(args.run(cx)).await,
        Command::Up(args) => Box::pin(args.run(cx)).await,
        Command::Down(args) => Box::pin(args.run(cx)).await,
        Command::Status(args) => Box::pin(args.run(cx)).await,
        Command::Lock(args) => Box::pin(args.run(cx)).await,
        Command::Unlock(args) => Box::pin(args.run(cx)).await,
        Command::Passphrase(args) => Box::pin(args.run(cx)).await,
        Command::Invite(args) => Box::pin(args.run(cx)).await,
        Command::Invites(args) => Box::pin(args.run(cx)).await,
        Command::Join(args) => Box::pin(args.run(cx)).await,
        Command::Peers(args) => Box::pin(args.run(cx)).await,
        Command::Send(args) => Box::pin(args.run(cx)).await,
        Command::Receive(args) => Box::pin(args.run(cx)).await,
        Command::Inbox(args) => Box::pin(args.run(cx)).await,
        Command::Transfers(args) => Box::pin(args.run(cx)).await,
        Command::Encrypt(args) => Box::pin(args.run(cx)).await,
        Command::Decrypt(args) => Box::pin(args.run(cx)).await,
        Command::Cert(args) => Box::pin(args.run(cx)).await,
        Command::Space(args) => Box::pin(args.run(cx)).await,
        Command::Access(args) => Box::pin(args.run(cx)).await,
        Command::Ls(args) => Box::pin(args.run(cx)).await,
        Command::Put(args) => Box::pin(args.run(cx)).await,
        Command::Get(args) => Box::pin(args.run(cx)).await,
        Command::Cat(args) => Box::pin(args.run(cx)).await,
        Command::Write(args) => Box::pin(args.run(cx)).await,
        Command::Mkdir(args) => Box::pin(args.run(cx)).await,
        Command::Mv(args) => Box::pin(args.run(cx)).await,
        Command::Cp(args) => Box::pin(args.run(cx)).await,
        Command::Rm(args) => Box::pin(args.run(cx)).await,
        Command::Restore(args) => Box::pin(args.run(cx)).await,
        Command::Diff(args) => Box::pin(args.run(cx)).await,
        Command::Conflicts(args) => Box::pin(args.run(cx)).await,
        Command::Undo(args) => Box::pin(args.run(cx)).await,
        Command::Sync(args) => Box::pin(args.run(cx)).await,
        Command::Jobs(args) => Box::pin(args.run(cx)).await,
        Command::Verify(args) => Box::pin(args.run(cx)).await,
        Command::Store(args) => Box::pin(args.run(cx)).await,
        Command::Evidence(args) => Box::pin(args.run(cx)).await,
        Command::Device(args) => Box::pin(args.run(cx)).await,
        Command::Log(args) => Box::pin(args.run(cx)).await,
        Command::Config(args) => Box::pin(args.run(cx)).await,
        Command::Service(args) => args.run(cx),
        Command::Demo(args) => Box::pin(args.run(cx)).await,
        Command::Completions(args) => args.run(cx),
        Command::Man(args) => args.run(cx),
        Command::Version(args) => args.run(cx),
    }
}
