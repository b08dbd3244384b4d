//! Source files of any size, and their hashes. The hashes are computed with `sha2` only, not with
//! the code under test.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write as _};
use std::path::Path;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest as _, Sha256};

use super::random::Rng;

const BLOCK_BYTES: usize = 1 << 20;

/// Writes `size` pseudo-random bytes that depend on `seed` only.
pub fn random(path: &Path, size: u64, seed: u64) {
    let mut file = File::create(path).unwrap();
    let mut rng = Rng::seeded(seed);
    let mut block = vec![0; BLOCK_BYTES];
    let mut left = size;
    while left > 0 {
        let len = usize::try_from(left.min(BLOCK_BYTES as u64)).unwrap();
        rng.fill(&mut block[..len]);
        file.write_all(&block[..len]).unwrap();
        left -= len as u64;
    }
}

/// Makes a sparse file of `size` zero bytes.
pub fn sparse(path: &Path, size: u64) {
    File::create(path).unwrap().set_len(size).unwrap();
}

/// Inverts the byte at `at`, in place.
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

/// Truncates the file, or extends it with zero bytes.
pub fn resize(path: &Path, size: u64) {
    OpenOptions::new()
        .write(true)
        .open(path)
        .unwrap()
        .set_len(size)
        .unwrap();
}

/// Changes the file's modification time, not its bytes.
pub fn touch(path: &Path) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    let before = file.metadata().unwrap().modified().unwrap();
    file.set_modified(SystemTime::now()).unwrap();
    assert_ne!(
        file.metadata().unwrap().modified().unwrap(),
        before,
        "the modification time did not change"
    );
}

/// The SHA-256 of a file, in lower-case hexadecimal.
pub fn sha256(path: &Path) -> String {
    let mut file = File::open(path).unwrap();
    let mut all = Sha256::new();
    let mut block = vec![0; BLOCK_BYTES];
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

/// The SHA-256 of each part of `part_size` bytes. An empty file has one part.
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

/// The checksum that S3 reports for the object: the SHA-256 of a single part, otherwise the
/// composite with `-N`.
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
