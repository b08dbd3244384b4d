//! The schedule of a stream: the size of each part of a source whose size is unknown until it ends.
//! The size doubles after a number of parts. Pure arithmetic, the same in client and gateway.
//!
//! Parts begin small, so that the first one is sent early and a part fits into memory. They grow,
//! so that the largest object of the store fits into its number of parts.
//!
//! Not here: the plan of a source of known size ([`crate::plan`]).

use crate::ids::PartNumber;
use crate::part_size::{ByteRange, DEFAULT_PART_BYTES, PlanError};
use crate::saturating;
use crate::wire::Limits;

/// The number of parts that the store permits is divided by this: a stream of the expected size has
/// at most the quotient. The other parts are left for a stream that is larger than expected.
const EXPECTED_PARTS_DIVISOR: u32 = 2;

/// The sizes of parts: `part_size` bytes, doubled after each `double_after` parts. Only the last
/// part of a stream may be smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    part_size: u64,
    /// `None` if all parts have the same size.
    double_after: Option<u32>,
}

impl Schedule {
    /// The schedule for a stream of perhaps `expected` bytes. The first part has `requested` bytes
    /// (default [`DEFAULT_PART_BYTES`]), or more if that takes too many parts for `expected`. No
    /// part is larger than `limits.max_part`.
    ///
    /// # Errors
    /// [`PlanError::PartSizeOutOfRange`], or [`PlanError::TooLarge`] for `expected`.
    pub fn new(
        expected: Option<u64>,
        requested: Option<u64>,
        limits: &Limits,
    ) -> Result<Self, PlanError> {
        let (min, max) = (limits.min_part, limits.max_part);
        let mut part_size = match requested {
            None => DEFAULT_PART_BYTES.clamp(min.max(1), max.max(1)),
            Some(part_size) if part_size == 0 || part_size < min || part_size > max => {
                return Err(PlanError::PartSizeOutOfRange {
                    part_size,
                    min,
                    max,
                });
            }
            Some(part_size) => part_size,
        };
        let expected = expected.unwrap_or(0);
        let most = u64::from(limits.max_parts).saturating_mul(max);
        let max_size = most.min(limits.max_size);
        if expected > max_size {
            return Err(PlanError::TooLarge {
                size: expected,
                max_size,
            });
        }
        let divisor = if limits.equal_parts {
            1
        } else {
            EXPECTED_PARTS_DIVISOR
        };
        let expected_parts = u64::from((limits.max_parts / divisor).max(1));
        while part_size < max && expected.div_ceil(part_size) > expected_parts {
            part_size = part_size.saturating_mul(2).min(max);
        }
        let double_after = (!limits.equal_parts).then(|| {
            // The largest part is at most `max`.
            let sizes = (max / part_size).ilog2() + 1;
            let expected_parts = saturating::to_u32(expected.div_ceil(part_size));
            limits.max_parts.div_ceil(sizes).max(expected_parts).max(1)
        });
        Ok(Self {
            part_size,
            double_after,
        })
    }

    /// The schedule that a backend or a ledger has fixed.
    ///
    /// # Errors
    /// [`PlanError::Indivisible`] for a part size of zero.
    pub fn pinned(part_size: u64, double_after: Option<u32>) -> Result<Self, PlanError> {
        if part_size == 0 || double_after == Some(0) {
            return Err(PlanError::Indivisible { size: 0, part_size });
        }
        Ok(Self {
            part_size,
            double_after,
        })
    }

    /// The size of the first part, in bytes.
    #[must_use]
    pub fn part_size(self) -> u64 {
        self.part_size
    }

    /// After each group of this many parts, the part size doubles. `None` if all parts have the
    /// same size.
    #[must_use]
    pub fn double_after(self) -> Option<u32> {
        self.double_after
    }

    /// The range of a part that is not the last one. Returns `None` beyond 2^64 bytes.
    #[must_use]
    pub fn range(self, number: PartNumber) -> Option<ByteRange> {
        let (start, len) = self.start_and_len(number)?;
        start.checked_add(len)?;
        Some(ByteRange { start, len })
    }

    /// The start of a part, and its size if it is not the last one.
    pub(crate) fn start_and_len(self, number: PartNumber) -> Option<(u64, u64)> {
        let index = u128::from(number.get() - 1);
        let part_size = u128::from(self.part_size);
        let (start, len) = match self.double_after {
            None => (index * part_size, part_size),
            Some(double_after) => {
                let run = u128::from(double_after);
                let doublings = u32::try_from(index / run).ok().filter(|n| *n < 64)?;
                let len = part_size << doublings;
                // The runs before have 1 + 2 + 4 + … times the bytes of the first one.
                let runs_before = (1_u128 << doublings) - 1;
                let start = run
                    .checked_mul(part_size)?
                    .checked_mul(runs_before)?
                    .checked_add((index % run).checked_mul(len)?)?;
                (start, len)
            }
        };
        Some((u64::try_from(start).ok()?, u64::try_from(len).ok()?))
    }

    /// The number of parts of a stream of `size` bytes: at least 1. Returns `None` for more than a
    /// `u32` can count.
    #[must_use]
    pub fn count(self, size: u64) -> Option<u32> {
        let count = match self.double_after {
            None => size.div_ceil(self.part_size),
            Some(double_after) => {
                let (mut left, mut count, mut len) = (size, 0_u64, self.part_size);
                loop {
                    let run = u64::from(double_after);
                    let bytes = run.saturating_mul(len);
                    if left <= bytes {
                        break count + left.div_ceil(len);
                    }
                    left -= bytes;
                    count += run;
                    len = len.saturating_mul(2);
                }
            }
        };
        u32::try_from(count.max(1)).ok()
    }

    /// The largest stream that fits, in bytes.
    #[must_use]
    pub fn capacity(self, limits: &Limits) -> u64 {
        let last = PartNumber::try_from(limits.max_parts);
        let end = last.ok().and_then(|last| self.range(last));
        end.map_or(u64::MAX, ByteRange::end).min(limits.max_size)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;
    const TIB: u64 = 1 << 40;
    const AWS: Limits = Limits::S3;
    const EQUAL: Limits = Limits {
        equal_parts: true,
        ..AWS
    };

    fn number(number: u32) -> PartNumber {
        number.try_into().unwrap()
    }

    #[test]
    fn five_tebibytes_fit_into_ten_thousand_parts_that_begin_with_8_mib() {
        let schedule = Schedule::new(None, None, &AWS).unwrap();
        let sizes = [1, 1000, 1001, 2000, 2001, 10_000]
            .map(|part| schedule.range(number(part)).unwrap().len / MIB);
        assert_eq!(sizes, [8, 8, 16, 16, 32, 4096]);
        assert!(schedule.capacity(&AWS) >= 5 * TIB);
        assert!(schedule.count(5 * TIB).unwrap() <= 10_000);
    }

    #[test]
    fn expected_size_makes_parts_larger_and_may_be_wrong() {
        let first = |expected| Schedule::new(Some(expected), None, &AWS).unwrap();
        assert_eq!(first(10 * GIB).part_size(), 8 * MIB);
        let large = first(100 * GIB);
        let expected_parts = large.count(100 * GIB).unwrap();
        let last = large.range(number(expected_parts)).unwrap();
        assert_eq!((large.part_size() / MIB, last.len / MIB), (32, 32));
        assert!(large.capacity(&AWS) >= 300 * GIB);
        assert!(first(TIB).capacity(&AWS) >= 3 * TIB);
        let too_large = Schedule::new(Some(AWS.max_size + 1), None, &AWS);
        assert!(matches!(too_large, Err(PlanError::TooLarge { .. })));
    }

    #[test]
    fn equal_parts_limit_a_stream_unless_its_size_is_expected() {
        let schedule = Schedule::new(None, None, &EQUAL).unwrap();
        assert_eq!(schedule.double_after(), None);
        assert_eq!(schedule.capacity(&EQUAL) / GIB, 78);
        let expected = Schedule::new(Some(TIB), None, &EQUAL).unwrap();
        assert!(expected.capacity(&EQUAL) >= TIB);
    }

    #[test]
    fn part_size_outside_the_stores_range_is_rejected() {
        for part_size in [0, AWS.min_part - 1, AWS.max_part + 1] {
            let schedule = Schedule::new(None, Some(part_size), &AWS);
            assert!(matches!(
                schedule,
                Err(PlanError::PartSizeOutOfRange { .. })
            ));
        }
        assert!(Schedule::pinned(0, None).is_err());
        assert!(Schedule::pinned(1, Some(0)).is_err());
    }

    proptest! {
        #[test]
        fn parts_are_contiguous_and_within_the_limits(
            expected in prop_oneof![Just(None), (0..8 * TIB).prop_map(Some)],
            requested in prop_oneof![Just(None), (AWS.min_part..=AWS.max_part).prop_map(Some)],
            max_parts in 10..=10_000_u32,
            equal_parts: bool,
        ) {
            let limits = Limits { max_parts, equal_parts, ..AWS };
            let Ok(schedule) = Schedule::new(expected, requested, &limits) else {
                prop_assert!(expected.unwrap_or(0) > u64::from(max_parts) * AWS.max_part);
                return Ok(());
            };
            let pinned = Schedule::pinned(schedule.part_size(), schedule.double_after());
            prop_assert_eq!(pinned, Ok(schedule));
            let (mut end, mut len) = (0, 0);
            for part in 1..=max_parts {
                let range = schedule.range(number(part)).unwrap();
                prop_assert_eq!(range.start, end);
                prop_assert!(range.len >= len && range.len <= limits.max_part);
                (end, len) = (range.end(), range.len);
            }
            prop_assert_eq!(schedule.capacity(&limits), end.min(limits.max_size));
            prop_assert!(expected.unwrap_or(0) <= end);
            if requested.is_none() && !equal_parts && max_parts == 10_000 {
                prop_assert!(end >= 5 * TIB);
            }
        }
    }
}
