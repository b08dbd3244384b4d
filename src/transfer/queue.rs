//! Where each part of one upload stands on its way: outstanding, fingerprinted, signed, on the wire, stored. Pure.
//!
//! Border: order and counts. What may start is [`super::pace`]'s, when a failed part comes back is [`super::retry`]'s.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::pace::Load;
use upload_types::names::PartNumber;
use upload_types::wire::SignedPut;

/// A signed URL is used within this share of its life, or asked for again.
const LIFE_USED: f64 = 0.8;

/// A part that is about to go.
#[derive(Debug)]
pub struct Ready {
    pub signed: SignedPut,
    pub signed_at: Instant,
}

/// Where a part that failed begins again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Read and SHA-256 it (again).
    Hash,
    Sign,
}

#[derive(Debug, Default)]
pub struct Queue {
    outstanding: VecDeque<PartNumber>,
    hashed: VecDeque<PartNumber>,
    ready: VecDeque<Ready>,
    later: Vec<(Instant, Step, PartNumber)>,
    hashing: usize,
    signing: usize,
    putting: usize,
}

impl Queue {
    /// `outstanding` still have to be read, `hashed` only to be sent.
    #[must_use]
    pub fn new(outstanding: Vec<PartNumber>, hashed: Vec<PartNumber>) -> Self {
        Self {
            outstanding: outstanding.into(),
            hashed: hashed.into(),
            ..Self::default()
        }
    }

    /// Nothing is left to do or under way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Load {
            hashing,
            hashed,
            signing,
            signed,
            putting,
        } = self.load();
        hashing + hashed + signing + signed + putting == 0
            && self.outstanding.is_empty()
            && self.later.is_empty()
    }

    #[must_use]
    pub fn load(&self) -> Load {
        Load {
            hashing: self.hashing,
            hashed: self.hashed.len(),
            signing: self.signing,
            signed: self.ready.len(),
            putting: self.putting,
        }
    }

    /// Brings back what has waited long enough.
    pub fn wake(&mut self, now: Instant) {
        let (due, later) = std::mem::take(&mut self.later)
            .into_iter()
            .partition(|(at, ..)| *at <= now);
        self.later = later;
        let due: Vec<(Instant, Step, PartNumber)> = due;
        for (_, step, number) in due {
            match step {
                Step::Hash => self.outstanding.push_front(number),
                Step::Sign => self.hashed.push_front(number),
            }
        }
    }

    pub fn next_to_hash(&mut self) -> Option<PartNumber> {
        let number = self.outstanding.pop_front()?;
        self.hashing += 1;
        Some(number)
    }

    pub fn was_hashed(&mut self, number: PartNumber) {
        self.hashing -= 1;
        self.hashed.push_back(number);
    }

    pub fn hashing_failed(&mut self, number: PartNumber, at: Instant) {
        self.hashing -= 1;
        self.later.push((at, Step::Hash, number));
    }

    /// At most `most` parts that one call may sign.
    pub fn next_to_sign(&mut self, most: usize) -> Vec<PartNumber> {
        let numbers: Vec<_> = self.hashed.drain(..most.min(self.hashed.len())).collect();
        self.signing += numbers.len();
        numbers
    }

    pub fn was_signed(&mut self, signed: SignedPut, signed_at: Instant) {
        self.signing -= 1;
        self.ready.push_back(Ready { signed, signed_at });
    }

    /// It turned out to be in the store already.
    pub fn was_known(&mut self) {
        self.signing -= 1;
    }

    /// The next part whose URL is still good; one that has waited too long goes back to be signed.
    pub fn next_to_put(&mut self, now: Instant) -> Option<Ready> {
        while let Some(ready) = self.ready.pop_front() {
            let age = now.saturating_duration_since(ready.signed_at);
            if age < Duration::from_secs(ready.signed.expires_in).mul_f64(LIFE_USED) {
                self.putting += 1;
                return Some(ready);
            }
            self.hashed.push_front(ready.signed.number);
        }
        None
    }

    pub fn was_put(&mut self) {
        self.putting -= 1;
    }

    /// A part under way has failed and comes back at a time of its own; the caller says where it was with
    /// [`Queue::was_put`] and the like, or with this for what was being signed.
    pub fn signing_failed(&mut self, number: PartNumber, at: Instant) {
        self.signing -= 1;
        self.later.push((at, Step::Sign, number));
    }

    pub fn put_failed(&mut self, number: PartNumber, step: Step, at: Instant) {
        self.putting -= 1;
        self.later.push((at, step, number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use upload_types::names::SignedUrl;

    fn numbers(numbers: impl IntoIterator<Item = u32>) -> Vec<PartNumber> {
        numbers.into_iter().map(|n| n.try_into().unwrap()).collect()
    }

    fn signed(number: PartNumber) -> SignedPut {
        let url = SignedUrl::new("https://store/".into());
        SignedPut {
            number,
            url,
            method: "PUT".into(),
            headers: [].into(),
            expires_in: 100,
        }
    }

    #[test]
    fn a_part_goes_from_step_to_step_and_is_never_lost() {
        let now = Instant::now();
        let mut queue = Queue::new(numbers(1..=3), numbers([4]));
        let first = queue.next_to_hash().unwrap();
        assert_eq!(first.get(), 1);
        queue.was_hashed(first);
        assert_eq!(queue.next_to_sign(10), numbers([4, 1]));
        queue.was_signed(signed(numbers([4])[0]), now);
        queue.signing_failed(first, now);
        assert_eq!(queue.next_to_put(now).unwrap().signed.number.get(), 4);
        queue.put_failed(numbers([4])[0], Step::Hash, now + Duration::from_secs(1));
        queue.wake(now);
        assert_eq!(queue.next_to_sign(10), numbers([1]));
        queue.was_known();
        queue.wake(now + Duration::from_secs(1));
        let mut rest = Vec::new();
        while let Some(number) = queue.next_to_hash() {
            rest.push(number);
            queue.was_hashed(number);
        }
        assert_eq!(rest, numbers([4, 2, 3]), "a part that failed goes first");
        for number in queue.next_to_sign(10) {
            queue.was_signed(signed(number), now);
            queue.next_to_put(now).unwrap();
            assert!(!queue.is_empty());
            queue.was_put();
        }
        assert!(queue.is_empty());
    }

    #[test]
    fn a_url_that_has_waited_too_long_is_signed_again() {
        let now = Instant::now();
        let mut queue = Queue::new(vec![], numbers([1]));
        let number = queue.next_to_sign(1)[0];
        queue.was_signed(signed(number), now);
        assert!(queue.next_to_put(now + Duration::from_secs(81)).is_none());
        assert_eq!(queue.next_to_sign(1), numbers([1]));
    }
}
