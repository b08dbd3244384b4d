//! Uploads of streams: their size is unknown until they end. Each part has the size of the
//! schedule, except the last one.
//!
//! A client that reads the stream again after an interruption may find other bytes in a part. It
//! then signs the part again, with another SHA-256: the last one that was signed counts. The
//! stored object is compared with the checksum of all parts in any case, so bytes of two readings
//! never mix.
//!
//! Not here: everything that is the same for uploads with a plan (`begin`, `sign`, `complete`).

use std::collections::BTreeMap;

use super::lifecycle::refuse_transition;
use super::shared_state::Service;
use crate::auth::Owner;
use crate::ledger::{LedgerPart, TransitionOutcome, Upload};
use crate::problem::{Refusal, ledger_failed};
use upload_types::crash;
use upload_types::plan::Plan;
use upload_types::saturating;
use upload_types::schedule::Schedule;
use upload_types::wire::{Code, CompleteRequest, Limits, MAX_SIGN_PARTS, PartSpec};
use upload_types::{ByteRange, PartNumber};

impl Service {
    /// Pins parts of a stream to their SHA-256, and counts their bytes towards the quota.
    pub(super) async fn pin_stream(
        &self,
        owner: &Owner,
        upload: &Upload,
        epoch: u64,
        parts: &[PartSpec],
    ) -> Result<(), Refusal> {
        let schedule = upload.plan.schedule();
        let ends = parts.iter().filter_map(|part| end(schedule, part));
        let bytes = ends.max().unwrap_or(0);
        let outcome = self
            .ledger
            .pin_stream(
                &upload.id,
                epoch,
                parts.to_vec(),
                (bytes, self.quota(owner)),
                self.renewed(),
            )
            .await
            .map_err(ledger_failed)??;
        if outcome != TransitionOutcome::Done {
            return Err(refuse_transition(outcome));
        }
        crash::point("gateway.stream.pinned");
        Ok(())
    }
}

/// The end of a part in its stream.
fn end(schedule: Schedule, part: &PartSpec) -> Option<u64> {
    schedule.range(part.number)?.start.checked_add(part.size)
}

/// Checks the parts of a request to sign: 1 to [`MAX_SIGN_PARTS`] parts, none larger than the
/// schedule permits. A smaller one is the last of the stream.
///
/// # Errors
/// `invalid_request` that names the first wrong part; `too_large` if the store permits no
/// stream of this size.
pub fn check_parts(schedule: Schedule, parts: &[PartSpec], limits: &Limits) -> Result<(), Refusal> {
    let invalid = |detail: String| Err(Refusal::with_detail(Code::InvalidRequest, detail));
    if parts.is_empty() || parts.len() > MAX_SIGN_PARTS {
        return invalid(format!("a request signs 1 to {MAX_SIGN_PARTS} parts"));
    }
    for part in parts {
        let number = part.number;
        let len = schedule.range(number).map(|range| range.len);
        let end = end(schedule, part).filter(|_| number.get() <= limits.max_parts);
        if end.is_none_or(|end| end > limits.max_size) {
            let capacity = schedule.capacity(limits);
            let detail = format!(
                "a stream with a first part of {} bytes has at most {capacity} bytes",
                schedule.part_size()
            );
            return Err(Refusal::with_detail(Code::TooLarge, detail));
        }
        if let Some(len) = len.filter(|len| part.size > *len) {
            return invalid(format!(
                "part {number} of this stream has at most {len} bytes"
            ));
        }
        if part.size == 0 && number != PartNumber::FIRST {
            return invalid(format!("part {number} is empty"));
        }
    }
    Ok(())
}

/// The plan of a stream that ends with the last part of a request to complete. `rows` are the
/// pinned parts, `plan` has the schedule.
///
/// # Errors
/// `source_mismatch` if a part was not signed, or if another part than the last one is
/// smaller than the schedule demands.
pub fn whole_plan(
    plan: &Plan,
    rows: &[LedgerPart],
    request: &CompleteRequest,
) -> Result<Plan, Refusal> {
    let mismatch = |detail: String| Refusal::with_detail(Code::SourceMismatch, detail);
    let sizes: BTreeMap<PartNumber, u64> = rows.iter().map(|row| (row.number, row.size)).collect();
    let schedule = plan.schedule();
    let mut end = None;
    for (expected, part) in (1_u32..).zip(&request.parts) {
        let number = part.number;
        if number.get() != expected {
            return Err(mismatch(format!(
                "part {expected} is missing or out of order"
            )));
        }
        let (size, range) = sizes
            .get(&number)
            .copied()
            .zip(schedule.range(number))
            .ok_or_else(|| mismatch(format!("part {number} was not signed")))?;
        let is_last = request.parts.len() == saturating::to_usize(expected);
        if size < range.len && !is_last {
            return Err(mismatch(format!(
                "part {number} has {size} bytes, which only the last part may have"
            )));
        }
        end = Some(ByteRange { len: size, ..range }.end());
    }
    let size = end.ok_or_else(|| mismatch("the request names no parts".to_owned()))?;
    Plan::of_stream(size, schedule).map_err(|error| mismatch(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use upload_types::wire::CompletePart;
    use upload_types::{Checksum, Sha256};

    /// The part size doubles from 10 bytes after each two parts.
    fn schedule() -> Schedule {
        Schedule::pinned(10, Some(2)).unwrap()
    }

    fn number(number: u32) -> PartNumber {
        number.try_into().unwrap()
    }

    fn spec(part: u32, size: u64) -> PartSpec {
        PartSpec {
            number: number(part),
            size,
            sha256: Sha256::of(b"a"),
            md5: None,
        }
    }

    #[test]
    fn signed_parts_are_at_most_as_large_as_scheduled() {
        let limits = Limits {
            max_parts: 4,
            max_size: 55,
            ..Limits::S3
        };
        let code = |parts: &[PartSpec]| {
            let checked = check_parts(schedule(), parts, &limits);
            checked.err().map(|refusal| refusal.code)
        };
        let invalid = Some(Code::InvalidRequest);
        assert_eq!(code(&[spec(1, 10), spec(2, 10), spec(3, 20)]), None);
        assert_eq!(code(&[spec(1, 0)]), None);
        assert_eq!(code(&[spec(4, 15)]), None);
        assert_eq!(code(&[]), invalid);
        assert_eq!(code(&[spec(1, 11)]), invalid);
        assert_eq!(code(&[spec(3, 21)]), invalid);
        assert_eq!(code(&[spec(2, 0)]), invalid);
        assert_eq!(code(&[spec(4, 16)]), Some(Code::TooLarge));
        assert_eq!(code(&[spec(5, 1)]), Some(Code::TooLarge));
    }

    #[test]
    fn only_the_last_part_of_a_whole_stream_may_be_short() {
        let plan = Plan::of_stream(0, schedule()).unwrap();
        let whole = |sizes: &[u64], numbers: &[u32]| {
            let rows: Vec<_> = (1..)
                .zip(sizes)
                .map(|(part, size)| LedgerPart {
                    number: number(part),
                    size: *size,
                    sha256: Some(Sha256::of(b"a")),
                    etag: None,
                })
                .collect();
            let parts = numbers.iter().map(|part| CompletePart {
                number: number(*part),
                etag: "e".parse().unwrap(),
                sha256: Sha256::of(b"a"),
            });
            let request = CompleteRequest {
                epoch: 1,
                parts: parts.collect(),
                checksum: Checksum::whole(&Sha256::of(b"a")),
            };
            let plan = whole_plan(&plan, &rows, &request);
            plan.map(|plan| (plan.size(), plan.count()))
                .map_err(|refusal| refusal.code)
        };
        let mismatch = Err(Code::SourceMismatch);
        assert_eq!(whole(&[10, 10, 20], &[1, 2, 3]), Ok((40, 3)));
        assert_eq!(whole(&[10, 10, 7], &[1, 2, 3]), Ok((27, 3)));
        assert_eq!(whole(&[0], &[1]), Ok((0, 1)));
        // A part of an earlier reading that was longer.
        assert_eq!(whole(&[10, 5, 20], &[1, 2]), Ok((15, 2)));
        assert_eq!(whole(&[10, 9, 20], &[1, 2, 3]), mismatch);
        assert_eq!(whole(&[10, 10], &[1, 2, 3]), mismatch);
        assert_eq!(whole(&[10, 10, 20], &[1, 3]), mismatch);
        assert_eq!(whole(&[10], &[]), mismatch);
    }
}
