//! The help is the manual: every command's is kept, so that each change of it is seen.

use crate::fake::FakeHost;
use crate::stage::Stage;

const COMMANDS: &[&str] = &[
    "",
    "init",
    "up",
    "down",
    "status",
    "lock",
    "unlock",
    "passphrase",
    "config",
    "invite",
    "invites",
    "join",
    "peers",
    "peers rule",
    "cert",
    "send",
    "receive",
    "inbox",
    "transfers",
    "encrypt",
    "decrypt",
    "space",
    "space create",
    "space list",
    "space info",
    "space rename",
    "space trust",
    "space share",
    "space unshare",
    "space keep",
    "space history",
    "space quota",
    "space forget",
    "access",
    "sync",
    "verify",
    "store",
    "store check",
    "store repair",
    "store rebuild",
    "store tidy",
    "evidence",
    "evidence export",
    "device",
    "device lost",
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
    "conflicts resolve",
    "undo",
    "jobs",
    "log",
    "demo",
    "service",
    "completions",
    "man",
    "version",
];

#[tokio::test]
async fn help_of_every_command() {
    let mut stage = Stage::with(FakeHost::empty());
    for command in COMMANDS {
        let ran = stage.run(format!("{command} --help").trim()).await;
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{command}");
        let of_space = ["space", "store", "conflicts"].iter().any(|of| command.starts_with(of));
        assert!(!of_space || ran.out.contains("Examples:\n"), "{command} has no examples");
        assert!(ran.out.lines().all(|line| line.chars().count() <= 130), "{command} has long lines");
    }
    stage.golden("help");
}
