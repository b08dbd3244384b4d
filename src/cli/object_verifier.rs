//! Verifies the bytes of a downloaded object against the SHA-256 of each part in the journal, and
//! against the checksum of the receipt. Pure: bytes in, result out.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256 as Sha256Hasher};

use crate::journal::Part;
use upload_types::plan::Plan;
use upload_types::saturating;
use upload_types::{Checksum, PartNumber, Sha256};

/// Why an object is not the uploaded file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mismatch {
    Part(PartNumber),
    Checksum,
    TooShort { bytes: u64, expected: u64 },
    TooLong { expected: u64 },
}

/// How an object was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verified {
    /// The SHA-256 of this many parts of `of`.
    Parts { verified: u32, of: u32 },
    /// The checksum of the receipt, which covers every part.
    Checksum,
    /// The size only: no SHA-256 is known.
    Size,
}

pub struct ObjectVerifier {
    plan: Plan,
    expected: BTreeMap<PartNumber, Sha256>,
    checksum: Option<Checksum>,
    /// Number and length of each part that has not begun, in reverse order.
    next_parts: Vec<(PartNumber, u64)>,
    current: Option<CurrentPart>,
    digests: Vec<Sha256>,
    verified_parts: u32,
    bytes: u64,
}

struct CurrentPart {
    number: PartNumber,
    bytes_left: u64,
    hasher: Sha256Hasher,
}

impl ObjectVerifier {
    pub fn new(plan: Plan, parts: &[Part], checksum: Option<Checksum>) -> Self {
        let mut next_parts: Vec<_> = plan
            .parts()
            .map(|(number, range)| (number, range.len))
            .collect();
        next_parts.reverse();
        Self {
            plan,
            expected: parts
                .iter()
                .map(|part| (part.number, part.sha256))
                .collect(),
            checksum,
            next_parts,
            current: None,
            digests: Vec::new(),
            verified_parts: 0,
            bytes: 0,
        }
    }

    /// Hashes the next bytes, and compares each part that ends in them.
    pub fn update(&mut self, mut bytes: &[u8]) -> Result<(), Mismatch> {
        while !bytes.is_empty() {
            let Some(part) = self.current_part() else {
                return Err(Mismatch::TooLong {
                    expected: self.plan.size(),
                });
            };
            let length = saturating::to_usize(part.bytes_left).min(bytes.len());
            let (in_part, rest) = bytes.split_at(length);
            part.hasher.update(in_part);
            part.bytes_left -= in_part.len() as u64;
            self.bytes += in_part.len() as u64;
            self.end_complete_part()?;
            bytes = rest;
        }
        Ok(())
    }

    /// Checks that the object is complete and, unless every part was verified, its checksum.
    pub fn finish(mut self) -> Result<Verified, Mismatch> {
        // The only part of an empty object begins and ends here.
        if self.plan.size() == 0 && self.current_part().is_some() {
            self.end_complete_part()?;
        }
        if self.bytes < self.plan.size() {
            return Err(Mismatch::TooShort {
                bytes: self.bytes,
                expected: self.plan.size(),
            });
        }
        let of = self.plan.count();
        if self.verified_parts == of {
            return Ok(Verified::Parts { verified: of, of });
        }
        match (self.checksum.as_ref(), self.computed_checksum()) {
            (Some(expected), Some(computed)) if *expected == computed => Ok(Verified::Checksum),
            (Some(_), Some(_)) => Err(Mismatch::Checksum),
            _ if self.verified_parts > 0 => Ok(Verified::Parts {
                verified: self.verified_parts,
                of,
            }),
            _ => Ok(Verified::Size),
        }
    }

    fn current_part(&mut self) -> Option<&mut CurrentPart> {
        if self.current.is_none() {
            let (number, bytes_left) = self.next_parts.pop()?;
            self.current = Some(CurrentPart {
                number,
                bytes_left,
                hasher: Sha256Hasher::new(),
            });
        }
        self.current.as_mut()
    }

    fn end_complete_part(&mut self) -> Result<(), Mismatch> {
        let Some(part) = self.current.take_if(|part| part.bytes_left == 0) else {
            return Ok(());
        };
        let digest = Sha256::new(part.hasher.finalize().into());
        self.digests.push(digest);
        match self.expected.get(&part.number) {
            Some(expected) if *expected != digest => Err(Mismatch::Part(part.number)),
            Some(_) => {
                self.verified_parts += 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The checksum of the received bytes in the form of the expected one, if it can be computed.
    fn computed_checksum(&self) -> Option<Checksum> {
        let is_composite = self.checksum.as_ref()?.as_str().contains('-');
        match self.digests.as_slice() {
            digests if is_composite => Some(Checksum::composite(digests)),
            [only] => Some(Checksum::whole(only)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PART_SIZE: u64 = 5 << 20;

    fn object(parts: u64) -> Vec<u8> {
        let size = usize::try_from(parts * PART_SIZE).unwrap() - 7;
        (0..=250_u8).cycle().take(size).collect()
    }

    fn plan(object: &[u8]) -> Plan {
        Plan::pinned(object.len() as u64, PART_SIZE).unwrap()
    }

    fn digests(object: &[u8]) -> Vec<Sha256> {
        let part_size = usize::try_from(PART_SIZE).unwrap();
        object.chunks(part_size).map(Sha256::of).collect()
    }

    fn journal_parts(object: &[u8]) -> Vec<Part> {
        let digests = digests(object);
        let parts = plan(object).parts().zip(digests);
        parts
            .map(|((number, _), sha256)| Part {
                number,
                sha256,
                etag: None,
            })
            .collect()
    }

    fn verify(verifier: ObjectVerifier, received: &[u8]) -> Result<Verified, Mismatch> {
        let mut verifier = verifier;
        for chunk in received.chunks(70_000) {
            verifier.update(chunk)?;
        }
        verifier.finish()
    }

    #[test]
    fn parts_are_verified_by_the_journal() {
        let object = object(3);
        let verifier = || ObjectVerifier::new(plan(&object), &journal_parts(&object), None);
        let all = Verified::Parts { verified: 3, of: 3 };
        assert_eq!(verify(verifier(), &object), Ok(all));
        let mut damaged = object.clone();
        damaged[usize::try_from(PART_SIZE).unwrap() + 1] ^= 1;
        let second = PartNumber::try_from(2).unwrap();
        assert_eq!(verify(verifier(), &damaged), Err(Mismatch::Part(second)));
    }

    #[test]
    fn unknown_parts_are_verified_by_the_checksum() {
        let object = object(2);
        let known = &journal_parts(&object)[..1];
        let composite = Checksum::composite(&digests(&object));
        let verifier =
            |checksum: Checksum| ObjectVerifier::new(plan(&object), known, Some(checksum));
        let result = verify(verifier(composite), &object);
        assert_eq!(result, Ok(Verified::Checksum));
        let other = Checksum::composite(&digests(&object)[1..]);
        assert_eq!(verify(verifier(other), &object), Err(Mismatch::Checksum));
    }

    #[test]
    fn size_is_verified_without_any_digest() {
        let object = object(1);
        let verifier = || ObjectVerifier::new(plan(&object), &[], None);
        assert_eq!(verify(verifier(), &object), Ok(Verified::Size));
        let expected = object.len() as u64;
        let short = verify(verifier(), &object[1..]);
        let bytes = expected - 1;
        assert_eq!(short, Err(Mismatch::TooShort { bytes, expected }));
        let long = verify(verifier(), &[&object[..], b"x"].concat());
        assert_eq!(long, Err(Mismatch::TooLong { expected }));
    }

    #[test]
    fn empty_object_has_one_part() {
        let part = Part {
            number: PartNumber::FIRST,
            sha256: Sha256::of(b""),
            etag: None,
        };
        let plan = Plan::pinned(0, PART_SIZE).unwrap();
        let verifier = ObjectVerifier::new(plan, &[part], None);
        let all = Verified::Parts { verified: 1, of: 1 };
        assert_eq!(verify(verifier, b""), Ok(all));
    }
}
