//! What Warren believes about certificates, the real OpenSSL believes as well.

use std::path::Path;
use std::process::Command;

use crate::device::{Device, Ran, wait};

/// Asks OpenSSL about the device in `device_dir` with the lists in `lists`; `None` where there is no OpenSSL.
fn openssl(device_dir: &Path, lists: &Path) -> Option<Ran> {
    let at = |name: &str| device_dir.join(name).into_os_string();
    let output = Command::new("openssl")
        .args(["verify", "-x509_strict", "-crl_check_all", "-purpose", "sslclient"])
        .arg("-CAfile")
        .arg(at("root.pem"))
        .arg("-untrusted")
        .arg(at("chain.pem"))
        .arg("-CRLfile")
        .arg(lists)
        .arg(at("device.pem"))
        .output();
    match output {
        Ok(output) => Some(Ran::of(output)),
        Err(error) => {
            eprintln!("skipped: no openssl: {error}");
            None
        }
    }
}

#[test]
fn openssl_agrees_on_a_member_and_on_one_who_was_removed() {
    let (alice, bob) = Device::pair();
    let exported = |device: &Device, name: &str, whose: &[&str]| {
        let dir = device.files().join(name);
        let mut args = vec!["cert", "export", dir.to_str().unwrap()];
        args.extend(whose);
        assert_eq!(device.run(args.clone().into_iter().chain(["--json"])).json()["files"].as_array().unwrap().len(), 4);
        device.run(args).fails(4, "");
        dir
    };
    let own = exported(&alice, "own", &[]);
    let seen = exported(&alice, "bob seen by alice", &["bob"]);
    let before = exported(&bob, "before", &[]);
    for dir in [&own, &seen, &before] {
        if let Some(ran) = openssl(dir, &dir.join("crls.pem")) {
            ran.ok();
        }
    }
    let shown = alice.run(["cert", "show", "bob", "--json"]).json();
    assert_eq!(shown["verdict"], "valid");
    let kinds: Vec<_> = shown["certificates"].as_array().unwrap().iter().map(|c| c["kind"].clone()).collect();
    assert_eq!(kinds, ["device", "member", "root"]);
    let read = |dir: &Path, name: &str| std::fs::read_to_string(dir.join(name)).unwrap();
    let bundle = alice.file("bundle.pem", read(&before, "device.pem") + &read(&before, "chain.pem"));
    alice.run(["cert", "verify", &bundle]).ok();
    // Issuers that the circle knows need not be in the file.
    alice.run(["cert", "verify", before.join("device.pem").to_str().unwrap()]).ok();
    alice.run(["cert", "verify", &alice.file("nonsense.pem", "no certificate")]).fails(2, "");
    alice.run(["cert", "verify", &alice.file("binary.pem", b"\x30\x82\xff\xfe")]).fails(2, "no text");
    alice.run(["cert", "verify", alice.files().to_str().unwrap()]).fails(2, "");

    // Another circle's chain is as good as none.
    let stranger = Device::founder("mallory", "home");
    stranger.up();
    let foreign = exported(&stranger, "foreign", &[]);
    let foreign_bundle = alice.file("foreign.pem", read(&foreign, "device.pem") + &read(&foreign, "chain.pem"));
    let verdict = alice.run(["cert", "verify", &foreign_bundle, "--json"]);
    assert_eq!(verdict.code, 16, "{}{}", verdict.stdout, verdict.stderr);

    alice.run(["peers", "remove", "bob", "--yes"]).ok();
    wait("the revocation", || alice.run(["cert", "verify", &bundle]).code != 0);
    let refused = alice.run(["cert", "verify", &bundle, "--json"]);
    assert_eq!(refused.code, 16);
    assert!(refused.last()["verdict"].as_str().unwrap().contains("revoked"), "{}", refused.stdout);
    let after = exported(&alice, "after", &[]);
    let lists = after.join("all.pem");
    std::fs::write(&lists, read(&after, "crls.pem") + &read(&before, "crls.pem")).unwrap();
    if let Some(ran) = openssl(&before, &lists) {
        ran.fails(2, "certificate revoked");
    }
    if let Some(ran) = openssl(&after, &after.join("crls.pem")) {
        ran.ok();
    }
}
