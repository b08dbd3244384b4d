//! Source files of any size with contents nobody can guess, and their hashes by means of their own.
//!
//! Border: hashes here come from `sha2` and arithmetic alone, never from the code under test.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write as _};
use std::path::Path;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest as _, Sha256};

use super::random::Rng;

const BLOCK: usize = 1 << 20;

/// Writes `size` bytes that depend on `seed` only.
pub fn random(path: &Path, size: u64, seed: u64) {
    let mut file = File::create(path).unwrap();
    let mut rng = Rng::seeded(seed);
    let mut block = vec![0; BLOCK];
    let mut left = size;
    while left > 0 {
        let len = usize::try_from(left.min(BLOCK as u64)).unwrap();
        rng.fill(&mut block[..len]);
        file.write_all(&block[..len]).unwrap();
        left -= len as u64;
    }
}

/// A file of `size` zero bytes that takes no room.
pub fn sparse(path: &Path, size: u64) {
    File::create(path).unwrap().set_len(size).unwrap();
}

/// Changes the byte at `at`, in place; the size stays.
pub fn flip_byte(path: &Path, at: u64) {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let mut byte = [0];
    file.seek(SeekFrom::Start(at)).unwrap();
    file.read_exact(&mut byte).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(&[byte[0] ^ 0xff]).unwrap();
}

/// Cuts the file, or lengthens it with zero bytes.
pub fn resize(path: &Path, size: u64) {
    OpenOptions::new()
        .write(true)
        .open(path)
        .unwrap()
        .set_len(size)
        .unwrap();
}

/// Gives the file another modification time and leaves its bytes alone.
pub fn touch(path: &Path) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    let before = file.metadata().unwrap().modified().unwrap();
    file.set_modified(SystemTime::now()).unwrap();
    assert_ne!(
        file.metadata().unwrap().modified().unwrap(),
        before,
        "the clock stands still"
    );
}

/// Lower-case hex.
pub fn sha256(path: &Path) -> String {
    let mut file = File::open(path).unwrap();
    let mut all = Sha256::new();
    let mut block = vec![0; BLOCK];
    loop {
        match file.read(&mut block).unwrap() {
            0 => return hex(&all.finalize()),
            len => all.update(&block[..len]),
        }
    }
}

pub fn sha256_of(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// SHA-256 of each part, when the file is cut every `part_size` bytes.
pub fn part_sha256s(path: &Path, part_size: u64) -> Vec<[u8; 32]> {
    let bytes = fs::read(path).unwrap();
    if bytes.is_empty() {
        return vec![Sha256::digest([]).into()];
    }
    bytes
        .chunks(usize::try_from(part_size).unwrap())
        .map(|part| Sha256::digest(part).into())
        .collect()
}

/// What S3 calls the object's checksum: of one part its SHA-256, else the composite with `-N` behind it.
pub fn checksum(path: &Path, part_size: u64) -> String {
    match part_sha256s(path, part_size).as_slice() {
        [only] => BASE64.encode(only),
        parts => format!(
            "{}-{}",
            BASE64.encode(Sha256::digest(parts.concat())),
            parts.len()
        ),
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
