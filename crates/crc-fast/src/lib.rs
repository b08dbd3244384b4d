//! The three checksums that S3 knows beside the hashes, in the place of the crate `crc-fast`: that one brings the tables of fifty, which
//! are 700 kB of a program that asks for none of them but where a client of the embedded store does.
//!
//! Border: what `s3s` calls, by the names it calls it; the arithmetic is the crate `crc`'s.

use crc::{CRC_32_ISCSI, CRC_32_ISO_HDLC, CRC_64_NVME, Crc, Table};

static ISO_HDLC: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISO_HDLC);
static ISCSI: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);
static NVME: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_NVME);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrcAlgorithm {
    Crc32IsoHdlc,
    Crc32Iscsi,
    Crc64Nvme,
}

/// A checksum on its way.
pub struct Digest(State);

enum State {
    Bits32(crc::Digest<'static, u32, Table<16>>),
    Bits64(crc::Digest<'static, u64, Table<16>>),
}

impl Digest {
    #[must_use]
    pub fn new(algorithm: CrcAlgorithm) -> Self {
        Self(match algorithm {
            CrcAlgorithm::Crc32IsoHdlc => State::Bits32(ISO_HDLC.digest()),
            CrcAlgorithm::Crc32Iscsi => State::Bits32(ISCSI.digest()),
            CrcAlgorithm::Crc64Nvme => State::Bits64(NVME.digest()),
        })
    }

    pub fn update(&mut self, data: &[u8]) {
        match &mut self.0 {
            State::Bits32(digest) => digest.update(data),
            State::Bits64(digest) => digest.update(data),
        }
    }

    /// 32 bits in the lower half where it has no more.
    #[must_use]
    pub fn finalize(self) -> u64 {
        match self.0 {
            State::Bits32(digest) => digest.finalize().into(),
            State::Bits64(digest) => digest.finalize(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check values of the catalogue of parametrised CRC algorithms (reveng.sourceforge.io).
    #[test]
    fn the_catalogues_check_values_are_met() {
        for (algorithm, check) in [
            (CrcAlgorithm::Crc32IsoHdlc, 0xCBF4_3926),
            (CrcAlgorithm::Crc32Iscsi, 0xE306_9283),
            (CrcAlgorithm::Crc64Nvme, 0xAE8B_1486_0A79_9888),
        ] {
            let mut digest = Digest::new(algorithm);
            digest.update(b"1234");
            digest.update(b"56789");
            assert_eq!(digest.finalize(), check, "{algorithm:?}");
        }
    }
}
