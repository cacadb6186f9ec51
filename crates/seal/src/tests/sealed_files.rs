//! age files: our own round trip, damage, and exchange with the `age` tool where it is installed.

use crate::file::{FileError, FileKey, OpenWith, SealTo, decrypt, encrypt, file_key, look};
use crate::{Passphrase, SealIdentity, SealRecipient};
use proptest::prelude::{ProptestConfig, any, prop_assert_eq, proptest};
use std::io::{Read, Write};
use std::process::{Command, Stdio};

fn sealed(plain: &[u8], to: &[SealRecipient], armor: bool) -> Vec<u8> {
    let mut sealed = Vec::new();
    assert_eq!(encrypt(plain, &mut sealed, SealTo::Recipients(to), armor).unwrap(), plain.len() as u64);
    sealed
}

fn opened(sealed: &[u8], with: &SealIdentity) -> Result<Vec<u8>, FileError> {
    let mut plain = Vec::new();
    decrypt(sealed, &mut plain, OpenWith::Identities(std::slice::from_ref(with)))?;
    Ok(plain)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn every_recipient_opens_any_size(size in 0_usize..200_000, armor in any::<bool>()) {
        let identities = [SealIdentity::generate(), SealIdentity::generate()];
        let plain: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
        let file = sealed(&plain, &[identities[0].recipient(), identities[1].recipient()], armor);
        for identity in &identities {
            prop_assert_eq!(&opened(&file, identity).unwrap(), &plain);
        }
    }

    #[test]
    fn garbage_is_not_an_age_file(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        assert!(matches!(opened(&bytes, &SealIdentity::generate()), Err(FileError::NotAge)));
    }
}

#[test]
fn sizes_around_the_chunk_survive() {
    let identity = SealIdentity::generate();
    for size in [0, 1, 65_535, 65_536, 65_537, 131_072] {
        let plain = vec![9; size];
        assert_eq!(opened(&sealed(&plain, &[identity.recipient()], false), &identity).unwrap(), plain, "{size} bytes");
    }
}

#[test]
fn strangers_do_not_open_and_nobody_is_no_recipient() {
    let file = sealed(b"plain", &[SealIdentity::generate().recipient()], true);
    assert!(matches!(opened(&file, &SealIdentity::generate()), Err(FileError::NotForYou)));
    let nobody = encrypt(&b"plain"[..], Vec::new(), SealTo::Recipients(&[]), false);
    assert!(matches!(nobody, Err(FileError::NoRecipients)));
}

#[test]
fn a_file_key_opens_its_file_and_no_other_one() {
    let identity = SealIdentity::generate();
    for armor in [false, true] {
        let file = sealed(&[7; 100_000], &[SealIdentity::generate().recipient(), identity.recipient()], armor);
        let other = sealed(b"other", &[identity.recipient()], armor);
        let header = look(file.as_slice()).unwrap().header;
        let key = file_key(&header, &identity).unwrap();
        let mut plain = Vec::new();
        decrypt(file.as_slice(), &mut plain, OpenWith::FileKey(&key)).unwrap();
        assert_eq!(plain, [7; 100_000]);
        let refused = decrypt(other.as_slice(), Vec::new(), OpenWith::FileKey(&key));
        assert!(matches!(refused, Err(FileError::Damaged)), "{refused:?}");
        let stranger = file_key(&header, &SealIdentity::generate());
        assert!(matches!(stranger, Err(FileError::NotForYou)), "{stranger:?}");
        assert!(look(&file[..100]).is_err() && file_key(&header[..header.len() - 1], &identity).is_err());
    }
    let mut sealed = Vec::new();
    encrypt(&b"x"[..], &mut sealed, SealTo::Passphrase(&Passphrase::new("four good words".to_owned())), false).unwrap();
    assert!(matches!(file_key(&look(sealed.as_slice()).unwrap().header, &identity), Err(FileError::NeedsPassphrase)));
    let forged = FileKey::from_bytes([0; 16]);
    assert!(matches!(
        decrypt(sealed.as_slice(), Vec::new(), OpenWith::FileKey(&forged)),
        Err(FileError::NeedsPassphrase)
    ));
}

#[test]
fn file_cut_anywhere_or_changed_does_not_open() {
    let identity = SealIdentity::generate();
    let file = sealed(&[5; 70_000], &[identity.recipient()], false);
    for length in (0..200).chain([60_000, 65_800, file.len() - 1]) {
        assert!(opened(&file[..length], &identity).is_err(), "{length} bytes");
    }
    for position in [0, 20, 40, 60, 100, 160, 200, 300, 60_000, file.len() - 1] {
        let mut changed = file.clone();
        changed[position] ^= 1;
        assert!(opened(&changed, &identity).is_err(), "byte {position}");
    }
    let mut longer = file;
    longer.push(0);
    assert!(matches!(opened(&longer, &identity), Err(FileError::Damaged)));
}

#[test]
fn header_without_end_is_given_up() {
    struct Endless(u64);
    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0 += buffer.len() as u64;
            assert!(self.0 < 3 << 20, "reads on and on");
            buffer.fill(b'A');
            Ok(buffer.len())
        }
    }
    for beginning in ["age-encryption.org/v1\n-> X25519 ", "-----BEGIN AGE ENCRYPTED FILE-----\n", "-> "] {
        let input = beginning.as_bytes().chain(Endless(0));
        let result = decrypt(input, Vec::new(), OpenWith::Identities(&[SealIdentity::generate()]));
        assert!(matches!(result, Err(FileError::NotAge)), "{result:?}");
    }
}

#[test]
fn passphrase_files_open_with_the_passphrase_only() {
    let passphrase = Passphrase::from("correct horse");
    let mut file = Vec::new();
    encrypt(&b"plain"[..], &mut file, SealTo::Passphrase(&passphrase), true).unwrap();
    let mut plain = Vec::new();
    assert_eq!(decrypt(&file[..], &mut plain, OpenWith::Passphrase(&passphrase)).unwrap(), 5);
    assert_eq!(plain, b"plain");
    let wrong = decrypt(&file[..], Vec::new(), OpenWith::Passphrase(&"wrong".into()));
    assert!(matches!(wrong, Err(FileError::WrongPassphrase)), "{wrong:?}");
    assert!(matches!(opened(&file, &SealIdentity::generate()), Err(FileError::NeedsPassphrase)));
    let to_member = sealed(b"plain", &[SealIdentity::generate().recipient()], false);
    let wrong = decrypt(&to_member[..], Vec::new(), OpenWith::Passphrase(&passphrase));
    assert!(matches!(wrong, Err(FileError::NeedsIdentity)), "{wrong:?}");
}

#[test]
fn full_disk_is_an_error_of_the_output() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let identity = SealIdentity::generate();
    let failed = encrypt(&b"plain"[..], Full, SealTo::Recipients(&[identity.recipient()]), false);
    assert!(matches!(failed, Err(FileError::Io(_))));
    let file = sealed(b"plain", &[identity.recipient()], false);
    let failed = decrypt(&file[..], Full, OpenWith::Identities(&[identity]));
    assert!(matches!(failed, Err(FileError::Io(_))));
}

/// Feeds `input` to `age` and returns its output; `None` where it is not installed.
fn age(arguments: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    let mut command = Command::new("age");
    let child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let Ok(mut child) = child else {
        println!("skipped: there is no age tool here");
        return None;
    };
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(output.stdout)
}

#[test]
fn age_tool_and_we_open_each_others_files() {
    let identity = SealIdentity::generate();
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("key");
    std::fs::write(&key_file, identity.to_text().as_bytes()).unwrap();
    let plain: Vec<u8> = (0..150_000_u32).map(|i| (i % 253) as u8).collect();
    for armor in [false, true] {
        let file = sealed(&plain, &[identity.recipient()], armor);
        let Some(output) = age(&["-d", "-i", key_file.to_str().unwrap()], &file) else { return };
        assert_eq!(output, plain);
        let recipient = identity.recipient();
        let mut arguments = vec!["-r", recipient.as_str()];
        arguments.extend(armor.then_some("-a"));
        let Some(file) = age(&arguments, &plain) else { return };
        assert_eq!(opened(&file, &identity).unwrap(), plain);
    }
}

#[test]
fn recipients_and_identities_that_are_none_are_refused() {
    let recipient = SealIdentity::generate().recipient();
    assert_eq!(recipient.to_string().parse(), Ok(recipient.clone()));
    let mut typo = recipient.to_string();
    typo.replace_range(10..11, if &typo[10..11] == "q" { "p" } else { "q" });
    for text in ["", "age1", &typo, "AGE-SECRET-KEY-1QQQQ"] {
        assert!(text.parse::<SealRecipient>().is_err(), "{text}");
        assert!(text.parse::<SealIdentity>().is_err(), "{text}");
    }
    let stored = postcard::to_stdvec(&recipient).unwrap();
    assert_eq!(postcard::from_bytes::<SealRecipient>(&stored), Ok(recipient));
    assert!(postcard::from_bytes::<SealRecipient>(&postcard::to_stdvec("age1").unwrap()).is_err());
}
