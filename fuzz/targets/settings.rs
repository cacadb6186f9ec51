//! Settings: a file that can be read is written and read back as the same, mistakes included; refused values change nothing.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use store::settings::{Settings, SettingsFile};

/// One folder per process, in memory where there is such a place.
static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.expect("a folder")
});

fuzz_target!(|text: &str| {
    let path = FOLDER.path().join("settings.toml");
    std::fs::write(&path, text).expect("a file");
    if let Ok(file) = SettingsFile::read(&path) {
        file.save().expect("a file");
        let again = SettingsFile::read(&path).expect("what was written");
        let values = |file: &SettingsFile| file.settings().list().into_iter().map(|s| s.value).collect::<Vec<_>>();
        assert_eq!(values(&file), values(&again));
        assert_eq!(file.whole().is_ok(), again.whole().is_ok(), "a mistake came or went");
    }
    if let Some((key, value)) = text.split_once('=') {
        let mut settings = Settings::default();
        let before = settings.list().into_iter().map(|s| s.value).collect::<Vec<_>>();
        if settings.set(key.trim(), value.trim()).is_err() {
            assert_eq!(settings.list().into_iter().map(|s| s.value).collect::<Vec<_>>(), before);
        }
    }
});
