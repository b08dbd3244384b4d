//! The parts of one upload on their way: to be hashed, to be signed, to be sent. Pure.
//!
//! ```text
//! to_hash ─▶ hashing ─▶ to_sign ─▶ signing ─▶ signed ─▶ sending ─▶ stored
//!    ▲                    ▲                     │          │
//!    └────────────────────┴──── retry_later ◀───┴──────────┘
//! ```
//!
//! Not here: how many parts may enter a step (`load`), and when a failed part returns (`retry`).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use upload_types::PartNumber;
use upload_types::wire::SignedPut;

use super::load::Load;

/// The share of its lifetime within which a presigned URL is used. After that, the part is signed
/// again.
const MAX_URL_AGE: f64 = 0.8;

/// A part with a URL.
#[derive(Debug)]
pub struct SignedEntry {
    pub put: SignedPut,
    pub signed_at: Instant,
}

/// The step at which a failed part starts again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryFrom {
    Hash,
    Sign,
}

#[derive(Debug, Default)]
pub struct PartQueue {
    to_hash: VecDeque<PartNumber>,
    to_sign: VecDeque<PartNumber>,
    signed: VecDeque<SignedEntry>,
    retry_later: Vec<(Instant, RetryFrom, PartNumber)>,
    hashing: usize,
    signing: usize,
    sending: usize,
}

impl PartQueue {
    #[must_use]
    pub fn new(to_hash: Vec<PartNumber>, to_sign: Vec<PartNumber>) -> Self {
        Self {
            to_hash: to_hash.into(),
            to_sign: to_sign.into(),
            ..Self::default()
        }
    }

    /// Whether no part is left in any step.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.load() == Load::default() && self.to_hash.is_empty() && self.retry_later.is_empty()
    }

    #[must_use]
    pub fn load(&self) -> Load {
        Load {
            hashing: self.hashing,
            hashed: self.to_sign.len(),
            signing: self.signing,
            signed: self.signed.len(),
            sending: self.sending,
        }
    }

    /// Puts parts whose time to retry has come at the front of their step.
    pub fn requeue_due(&mut self, now: Instant) {
        let retry_later = std::mem::take(&mut self.retry_later);
        for (at, from, number) in retry_later {
            match from {
                _ if at > now => self.retry_later.push((at, from, number)),
                RetryFrom::Hash => self.to_hash.push_front(number),
                RetryFrom::Sign => self.to_sign.push_front(number),
            }
        }
    }

    pub fn start_hashing(&mut self) -> Option<PartNumber> {
        let number = self.to_hash.pop_front()?;
        self.hashing += 1;
        Some(number)
    }

    pub fn on_hashed(&mut self, number: PartNumber) {
        self.hashing -= 1;
        self.to_sign.push_back(number);
    }

    pub fn on_hash_failed(&mut self, number: PartNumber, retry_at: Instant) {
        self.hashing -= 1;
        self.retry_later.push((retry_at, RetryFrom::Hash, number));
    }

    /// At most `max` parts, for one call.
    pub fn start_signing(&mut self, max: usize) -> Vec<PartNumber> {
        let count = max.min(self.to_sign.len());
        self.signing += count;
        self.to_sign.drain(..count).collect()
    }

    pub fn on_signed(&mut self, put: SignedPut, signed_at: Instant) {
        self.signing -= 1;
        self.signed.push_back(SignedEntry { put, signed_at });
    }

    /// The store already has a part that was to be signed.
    pub fn on_skipped(&mut self) {
        self.signing -= 1;
    }

    pub fn on_sign_failed(&mut self, number: PartNumber, retry_at: Instant) {
        self.signing -= 1;
        self.retry_later.push((retry_at, RetryFrom::Sign, number));
    }

    /// The next part whose URL is recent enough. Parts with an older URL are signed again.
    pub fn start_sending(&mut self, now: Instant) -> Option<SignedEntry> {
        while let Some(entry) = self.signed.pop_front() {
            let age = now.saturating_duration_since(entry.signed_at);
            let lifetime = Duration::from_secs(entry.put.expires_in);
            if age < lifetime.mul_f64(MAX_URL_AGE) {
                self.sending += 1;
                return Some(entry);
            }
            self.to_sign.push_front(entry.put.number);
        }
        None
    }

    pub fn on_stored(&mut self) {
        self.sending -= 1;
    }

    pub fn on_send_failed(&mut self, number: PartNumber, from: RetryFrom, retry_at: Instant) {
        self.sending -= 1;
        self.retry_later.push((retry_at, from, number));
    }
}

#[cfg(test)]
mod tests {
    use upload_types::SignedUrl;

    use super::*;

    fn numbers(numbers: impl IntoIterator<Item = u32>) -> Vec<PartNumber> {
        numbers.into_iter().map(|n| n.try_into().unwrap()).collect()
    }

    fn signed(number: PartNumber) -> SignedPut {
        SignedPut {
            number,
            url: SignedUrl::new("https://store/".into()),
            method: "PUT".into(),
            headers: [].into(),
            expires_in: 100,
        }
    }

    #[test]
    fn parts_pass_each_step_and_none_is_lost() {
        let now = Instant::now();
        let mut queue = PartQueue::new(numbers(1..=3), numbers([4]));
        let first = queue.start_hashing().unwrap();
        assert_eq!(first.get(), 1);
        queue.on_hashed(first);
        assert_eq!(queue.start_signing(10), numbers([4, 1]));
        queue.on_signed(signed(numbers([4])[0]), now);
        queue.on_sign_failed(first, now);
        assert_eq!(queue.start_sending(now).unwrap().put.number.get(), 4);
        let retry_at = now + Duration::from_secs(1);
        queue.on_send_failed(numbers([4])[0], RetryFrom::Hash, retry_at);
        queue.requeue_due(now);
        assert_eq!(queue.start_signing(10), numbers([1]));
        queue.on_skipped();
        queue.requeue_due(retry_at);
        let mut rest = Vec::new();
        while let Some(number) = queue.start_hashing() {
            rest.push(number);
            queue.on_hashed(number);
        }
        assert_eq!(rest, numbers([4, 2, 3]), "a part that failed goes first");
        for number in queue.start_signing(10) {
            queue.on_signed(signed(number), now);
            queue.start_sending(now).unwrap();
            assert!(!queue.is_empty());
            queue.on_stored();
        }
        assert!(queue.is_empty());
    }

    #[test]
    fn part_that_waits_to_be_retried_keeps_the_queue_open() {
        let now = Instant::now();
        let mut queue = PartQueue::new(numbers([1]), vec![]);
        let number = queue.start_hashing().unwrap();
        queue.on_hash_failed(number, now + Duration::from_secs(1));
        assert!(!queue.is_empty());
    }

    #[test]
    fn old_url_is_signed_again() {
        let now = Instant::now();
        let mut queue = PartQueue::new(vec![], numbers([1]));
        let number = queue.start_signing(1)[0];
        queue.on_signed(signed(number), now);
        assert!(queue.start_sending(now + Duration::from_secs(81)).is_none());
        assert_eq!(queue.start_signing(1), numbers([1]));
    }
}
