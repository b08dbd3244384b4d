//! The load of each step: the number of its parts, and how many more may enter it. Pure.

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

#[cfg(test)]
mod tests {
    use super::*;

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
