//! The load of each step: the number of its parts, and how many more may enter it. Pure.

use std::time::Duration;

/// How long the parts on the wire may take together at the rate limit.
const MAX_UNCONFIRMED: Duration = Duration::from_secs(16);

/// The number of parts in each step, of one upload or of all uploads together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    pub hashing: usize,
    /// Hashed, not yet requested to be signed.
    pub hashed: usize,
    pub signing: usize,
    /// Signed, not yet sent.
    pub signed: usize,
    pub sending: usize,
}

impl Load {
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            hashing: self.hashing + other.hashing,
            hashed: self.hashed + other.hashed,
            signing: self.signing + other.signing,
            signed: self.signed + other.signed,
            sending: self.sending + other.sending,
        }
    }

    /// Subtracts a load that was added before.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self {
            hashing: self.hashing - other.hashing,
            hashed: self.hashed - other.hashed,
            signing: self.signing - other.signing,
            signed: self.signed - other.signed,
            sending: self.sending - other.sending,
        }
    }
}

/// How many parts may enter each step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    pub hash: usize,
    pub sign: usize,
    pub send: usize,
}

/// The room that keeps `jobs` parts in sending, as many more signed, and as many more hashed, while
/// at most `hashers` parts are hashed at a time. So neither hashing nor sending waits for the
/// other, and URLs are used soon.
#[must_use]
pub fn room(load: Load, jobs: usize, hashers: usize) -> Room {
    let signed = load.signing + load.signed + load.sending;
    let hashed = load.hashing + load.hashed;
    Room {
        hash: hashers
            .saturating_sub(load.hashing)
            .min(jobs.saturating_sub(hashed)),
        sign: (2 * jobs).saturating_sub(signed),
        send: jobs.saturating_sub(load.sending),
    }
}

/// Whether a part of `len` bytes may be sent while parts of `sending` bytes are on the wire. Parts
/// share the rate limit (bytes per second): fewer are not slower, each is confirmed earlier, and an
/// interruption loses less.
#[must_use]
pub fn fits_rate_limit(limit: Option<u64>, sending: u64, len: u64) -> bool {
    let max_bytes = limit.map(|rate| rate.saturating_mul(MAX_UNCONFIRMED.as_secs()));
    sending == 0 || max_bytes.is_none_or(|max| sending.saturating_add(len) <= max)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many parts of this size are sent at once.
    fn parts_at(limit: Option<u64>, len: u64) -> u64 {
        let fits = |count: &u64| fits_rate_limit(limit, count * len, len);
        (0..64).take_while(fits).count() as u64
    }

    #[test]
    fn parts_under_a_rate_limit_are_confirmed_in_time() {
        const MIB: u64 = 1 << 20;
        assert_eq!(parts_at(Some(MIB), 8 * MIB), 2);
        assert_eq!(parts_at(Some(64 << 10), 8 * MIB), 1);
        assert_eq!(parts_at(Some(100 * MIB), 8 * MIB), 64);
        assert_eq!(parts_at(Some(MIB), 1000), 64);
        assert_eq!(parts_at(None, 8 * MIB), 64);
    }

    #[test]
    fn room_is_bounded_by_jobs_and_hashers() {
        let idle = room(Load::default(), 4, 2);
        let free = Room {
            hash: 2,
            sign: 8,
            send: 4,
        };
        assert_eq!(idle, free);
        let busy = Load {
            hashing: 1,
            hashed: 3,
            signing: 0,
            signed: 4,
            sending: 4,
        };
        let full = Room {
            hash: 0,
            sign: 0,
            send: 0,
        };
        assert_eq!(room(busy, 4, 2), full);
    }
}
