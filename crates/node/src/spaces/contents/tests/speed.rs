//! How fast it is, when asked for: `cargo test --release -p warren-node --lib -- --ignored --nocapture contents::tests::speed`

use std::time::Instant;

use super::*;

fn timed<T>(what: &str, bytes: u64, work: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let value = work();
    let took = begun.elapsed().as_secs_f64();
    println!("{what}: {took:.2} s, {:.0} MB/s", bytes as f64 / took / 1e6);
    value
}

#[test]
#[ignore = "measures"]
fn a_gigabyte_and_ten_thousand_files() {
    let home = Home::new();
    let (large, many) = (home.work().join("large"), home.work().join("many"));
    {
        use std::io::Write;
        let mut file = fs::File::create(&large).unwrap();
        (0..64).for_each(|seed| file.write_all(&noise(seed, 16 << 20)).unwrap());
        file.sync_all().unwrap();
    }
    fs::create_dir(&many).unwrap();
    for number in 0..10_000_u32 {
        let dir = many.join((number % 100).to_string());
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(number.to_string()), &noise(number as u8, 4000)[..]).unwrap();
    }
    timed("put 1 GiB that does not compress", 1 << 30, || home.put(&large, ""));
    timed("get it", 1 << 30, || home.get("large"));
    timed("read it", 1 << 30, || home.read("large", 0..u64::MAX).unwrap());
    fs::File::open(&large).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    timed("put it again with another time", 1 << 30, || home.put(&large, ""));
    fs::copy(&large, home.work().join("copy")).unwrap();
    timed("put a copy of it", 1 << 30, || home.put(&home.work().join("copy"), ""));
    timed("put 10,000 files of 4 kB", 40_000_000, || home.put(&many, ""));
    timed("put them again", 40_000_000, || home.put(&many, ""));
    timed("get them", 40_000_000, || home.get("many"));
    let peak = fs::read_to_string("/proc/self/status").unwrap_or_default();
    println!("{}", peak.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default());
}
