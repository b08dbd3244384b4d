//! The state of each part of one upload: digests, ETag, failures, and the bytes of the attempt
//! under way.
//!
//! Not here: which step a part is in (`part_queue`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use upload_types::{ETag, Md5, PartNumber, Sha256};

use super::concurrency::PIECE_BYTES;
use super::retry::Failures;
use crate::journal::Part;
use crate::source::Digests;

#[derive(Debug, Default)]
struct PartState {
    sha256: Option<Sha256>,
    /// Set once the store has acknowledged the bytes of `sha256`.
    etag: Option<ETag>,
    /// Set between hashing and storing, if the backend wants it.
    md5: Option<Md5>,
    failures: Failures,
    attempt: Attempt,
    /// The most bytes that any attempt has sent.
    furthest: u64,
}

/// The work that is under way for a part.
#[derive(Debug, Default)]
enum Attempt {
    #[default]
    None,
    Hashing(Arc<AtomicU64>),
    Sending(Sending),
}

#[derive(Debug)]
struct Sending {
    bytes: Arc<AtomicU64>,
    /// When the current piece began, and at which byte.
    piece_since: Instant,
    piece_start: u64,
}

/// The last piece of a part that was being sent.
#[derive(Debug, Clone, Copy)]
pub struct LastPiece {
    pub since: Instant,
    /// Bytes in the pieces before it.
    pub start: u64,
}

#[derive(Debug, Default)]
pub struct PartStates(BTreeMap<PartNumber, PartState>);

impl PartStates {
    #[must_use]
    pub fn from_journal(parts: impl IntoIterator<Item = Part>) -> Self {
        let states = parts.into_iter().map(|part| {
            let state = PartState {
                sha256: Some(part.sha256),
                etag: part.etag,
                ..PartState::default()
            };
            (part.number, state)
        });
        Self(states.collect())
    }

    /// The parts whose SHA-256 is known, as the journal has them.
    #[must_use]
    pub fn to_journal(&self) -> BTreeMap<PartNumber, Part> {
        let parts = self.0.iter().filter_map(|(number, state)| {
            let part = Part {
                number: *number,
                sha256: state.sha256?,
                etag: state.etag.clone(),
            };
            Some((*number, part))
        });
        parts.collect()
    }

    /// The SHA-256 of each part, without ETags: for another upload of the same source.
    #[must_use]
    pub fn digests_only(&self) -> Self {
        let states = self.0.iter().filter_map(|(number, state)| {
            let digest = PartState {
                sha256: Some(state.sha256?),
                ..PartState::default()
            };
            Some((*number, digest))
        });
        Self(states.collect())
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    #[must_use]
    pub fn sha256(&self, number: PartNumber) -> Option<Sha256> {
        self.0.get(&number)?.sha256
    }

    #[must_use]
    pub fn md5(&self, number: PartNumber) -> Option<Md5> {
        self.0.get(&number)?.md5
    }

    #[must_use]
    pub fn etag(&self, number: PartNumber) -> Option<&ETag> {
        self.0.get(&number)?.etag.as_ref()
    }

    /// Sets the digests of a part that the store has not acknowledged.
    pub fn set_digests(&mut self, number: PartNumber, digests: Digests) {
        let state = self.0.entry(number).or_default();
        state.sha256 = Some(digests.sha256);
        state.etag = None;
        state.md5 = digests.md5.or(state.md5);
    }

    /// Sets a SHA-256 without changing what else is known of the part.
    pub fn set_sha256(&mut self, number: PartNumber, sha256: Sha256) {
        self.0.entry(number).or_default().sha256 = Some(sha256);
    }

    /// The store has acknowledged a part whose SHA-256 is known.
    pub fn set_stored(&mut self, number: PartNumber, etag: ETag) {
        if let Some(state) = self.0.get_mut(&number) {
            state.etag = Some(etag);
            state.md5 = None;
        }
    }

    /// Removes every ETag.
    pub fn clear_etags(&mut self) {
        for state in self.0.values_mut() {
            state.etag = None;
        }
    }

    pub fn failures_mut(&mut self, number: PartNumber) -> &mut Failures {
        &mut self.0.entry(number).or_default().failures
    }

    pub fn clear_failures(&mut self, number: PartNumber) {
        *self.failures_mut(number) = Failures::default();
    }

    /// Starts an attempt to hash a part. Returns the counter of the bytes that were read.
    pub fn start_hashing(&mut self, number: PartNumber) -> Arc<AtomicU64> {
        let bytes: Arc<AtomicU64> = Arc::default();
        self.0.entry(number).or_default().attempt = Attempt::Hashing(Arc::clone(&bytes));
        bytes
    }

    /// Starts an attempt to send a part. Returns the counter of the bytes that the network
    /// accepted.
    pub fn start_sending(&mut self, number: PartNumber, now: Instant) -> Arc<AtomicU64> {
        let bytes: Arc<AtomicU64> = Arc::default();
        self.0.entry(number).or_default().attempt = Attempt::Sending(Sending {
            bytes: Arc::clone(&bytes),
            piece_since: now,
            piece_start: 0,
        });
        bytes
    }

    /// Ends the attempt of a part. If it was being sent, returns its last piece.
    pub fn end_attempt(&mut self, number: PartNumber) -> Option<LastPiece> {
        let state = self.0.get_mut(&number)?;
        match std::mem::take(&mut state.attempt) {
            Attempt::Sending(sending) => Some(LastPiece {
                since: sending.piece_since,
                start: sending.piece_start,
            }),
            Attempt::None | Attempt::Hashing(_) => None,
        }
    }

    /// Ends all attempts.
    pub fn end_attempts(&mut self) {
        for state in self.0.values_mut() {
            state.attempt = Attempt::None;
        }
    }

    #[must_use]
    pub fn is_sending(&self) -> bool {
        self.0
            .values()
            .any(|state| matches!(state.attempt, Attempt::Sending(_)))
    }

    /// Bytes read by the attempts to hash that are under way.
    #[must_use]
    pub fn hashing_bytes(&self) -> u64 {
        let bytes = self.0.values().map(|state| match &state.attempt {
            Attempt::Hashing(bytes) => bytes.load(Ordering::Relaxed),
            Attempt::None | Attempt::Sending(_) => 0,
        });
        bytes.sum()
    }

    /// Bytes sent by the attempts that are under way.
    #[must_use]
    pub fn sending_bytes(&self) -> u64 {
        let bytes = self.0.values().map(|state| match &state.attempt {
            Attempt::Sending(sending) => sending.bytes.load(Ordering::Relaxed),
            Attempt::None | Attempt::Hashing(_) => 0,
        });
        bytes.sum()
    }

    /// Whether, since the last call, an attempt has sent more bytes of its part than every earlier
    /// attempt.
    pub fn has_advanced(&mut self) -> bool {
        let mut has_advanced = false;
        for state in self.0.values_mut() {
            if let Attempt::Sending(sending) = &state.attempt {
                let sent = sending.bytes.load(Ordering::Relaxed);
                has_advanced |= sent > state.furthest;
                state.furthest = sent.max(state.furthest);
            }
        }
        has_advanced
    }

    /// Calls `report` with the start and the bytes of each piece of a part that was sent since the
    /// last call.
    pub fn report_pieces(&mut self, now: Instant, mut report: impl FnMut(Instant, u64)) {
        for state in self.0.values_mut() {
            if let Attempt::Sending(sending) = &mut state.attempt {
                let sent = sending.bytes.load(Ordering::Relaxed);
                let piece = sent.saturating_sub(sending.piece_start);
                if piece >= PIECE_BYTES {
                    report(sending.piece_since, piece);
                    sending.piece_since = now;
                    sending.piece_start += piece;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: PartNumber = PartNumber::FIRST;

    #[test]
    fn bytes_that_are_sent_again_are_no_progress() {
        let mut parts = PartStates::default();
        let attempts = [
            &[(0, false), (60, true), (60, false)][..],
            &[(0, false), (60, false), (61, true)],
        ];
        for (attempt, looks) in attempts.into_iter().enumerate() {
            let sent = parts.start_sending(FIRST, Instant::now());
            for (bytes, advanced) in looks {
                sent.store(*bytes, Ordering::Relaxed);
                let context = format!("{bytes} bytes at attempt {attempt}");
                assert_eq!(parts.has_advanced(), *advanced, "{context}");
            }
            parts.end_attempt(FIRST).unwrap();
        }
    }

    #[test]
    fn pieces_of_a_long_part_are_reported_once() {
        let mut parts = PartStates::default();
        let start = Instant::now();
        let sent = parts.start_sending(FIRST, start);
        let mut reported = Vec::new();
        for bytes in [PIECE_BYTES - 1, PIECE_BYTES + 5, 2 * PIECE_BYTES + 5] {
            sent.store(bytes, Ordering::Relaxed);
            parts.report_pieces(start, |_, bytes| reported.push(bytes));
        }
        assert_eq!(reported, [PIECE_BYTES + 5, PIECE_BYTES]);
        let last = parts.end_attempt(FIRST).unwrap();
        assert_eq!(last.start, 2 * PIECE_BYTES + 5);
    }

    #[test]
    fn new_digest_removes_the_etag() {
        let part = Part {
            number: FIRST,
            sha256: Sha256::of(b"1"),
            etag: Some("e".parse().unwrap()),
        };
        let mut parts = PartStates::from_journal([part.clone()]);
        assert_eq!(parts.to_journal()[&FIRST], part);
        let digests = Digests {
            sha256: Sha256::of(b"2"),
            md5: None,
        };
        parts.set_digests(FIRST, digests);
        assert_eq!(parts.etag(FIRST), None);
        assert_eq!(parts.sha256(FIRST), Some(Sha256::of(b"2")));
    }
}
