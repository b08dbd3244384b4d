//! The plan of an upload: how a source of a given size is cut into parts. Pure arithmetic, the same
//! in client and gateway.
//!
//! Not here: the limits of a store, which are an argument ([`Limits`]), and which parts are still
//! to be sent.

use crate::ids::PartNumber;
pub use crate::part_size::{ByteRange, DEFAULT_PART_BYTES, PlanError};
use crate::schedule::Schedule;
use crate::wire::Limits;

/// How a source of `size` bytes is cut: all parts have the size of the schedule, which is the same
/// for all parts of a file; the last part has the rest. A source of zero bytes has one part of zero
/// bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    size: u64,
    schedule: Schedule,
    count: u32,
}

impl Plan {
    /// Cuts `size` bytes into parts of `requested` bytes (default [`DEFAULT_PART_BYTES`]). The part
    /// size is doubled until `limits.max_parts` parts suffice, but is never larger than
    /// `limits.max_part`.
    ///
    /// # Errors
    /// [`PlanError::TooLarge`] or [`PlanError::PartSizeOutOfRange`].
    pub fn new(size: u64, requested: Option<u64>, limits: &Limits) -> Result<Self, PlanError> {
        let (min, max) = (limits.min_part, limits.max_part);
        let requested = match requested {
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
        let max_size = u64::from(limits.max_parts)
            .saturating_mul(max)
            .min(limits.max_size);
        if size > max_size {
            return Err(PlanError::TooLarge { size, max_size });
        }
        let mut part_size = requested;
        while size.div_ceil(part_size) > u64::from(limits.max_parts) {
            part_size = part_size.saturating_mul(2).min(max);
        }
        Self::pinned(size, part_size)
    }

    /// The plan with a part size that a backend or a journal has already fixed.
    ///
    /// # Errors
    /// [`PlanError::Indivisible`].
    pub fn pinned(size: u64, part_size: u64) -> Result<Self, PlanError> {
        let indivisible = PlanError::Indivisible { size, part_size };
        let schedule = Schedule::pinned(part_size, None).map_err(|_| indivisible)?;
        Self::of_stream(size, schedule)
    }

    /// The plan of a stream that has `size` bytes.
    ///
    /// # Errors
    /// [`PlanError::Indivisible`].
    pub fn of_stream(size: u64, schedule: Schedule) -> Result<Self, PlanError> {
        match schedule.count(size) {
            Some(count) => Ok(Self {
                size,
                schedule,
                count,
            }),
            None => Err(PlanError::Indivisible {
                size,
                part_size: schedule.part_size(),
            }),
        }
    }

    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The size of the first part, unless that is the last one too.
    #[must_use]
    pub fn part_size(&self) -> u64 {
        self.schedule.part_size()
    }

    #[must_use]
    pub fn schedule(&self) -> Schedule {
        self.schedule
    }

    /// The size of the largest part, in bytes, or that of a whole part if the only part is smaller.
    #[must_use]
    pub fn largest_part(&self) -> u64 {
        let last = PartNumber::try_from(self.count).ok();
        let largest = last.and_then(|last| self.schedule.start_and_len(last));
        largest.map_or(self.part_size(), |(_, len)| len)
    }

    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Whether the plan has one part. Such a source is sent in one plain PUT instead of a multipart
    /// upload.
    #[must_use]
    pub fn is_single(&self) -> bool {
        self.count == 1
    }

    /// The range of a part. Returns `None` for a number beyond the plan.
    #[must_use]
    pub fn range(&self, number: PartNumber) -> Option<ByteRange> {
        if number.get() > self.count {
            return None;
        }
        let (start, len) = self.schedule.start_and_len(number)?;
        Some(ByteRange {
            start,
            len: len.min(self.size.checked_sub(start)?),
        })
    }

    /// All parts in order.
    pub fn parts(&self) -> impl Iterator<Item = (PartNumber, ByteRange)> + use<> {
        let plan = *self;
        (1..=plan.count).filter_map(move |number| {
            let number = PartNumber::try_from(number).ok()?;
            Some((number, plan.range(number)?))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;
    const AWS: Limits = Limits::S3;

    fn part_sizes(size: u64, requested: u64) -> Vec<u64> {
        Plan::new(size, Some(requested), &AWS)
            .unwrap()
            .parts()
            .map(|(_, range)| range.len)
            .collect()
    }

    #[test]
    fn parts_at_the_edges_of_a_part_size() {
        let part = 5 * MIB;
        assert_eq!(part_sizes(0, part), [0]);
        assert_eq!(part_sizes(1, part), [1]);
        assert_eq!(part_sizes(part - 1, part), [part - 1]);
        assert_eq!(part_sizes(part, part), [part]);
        assert_eq!(part_sizes(part + 1, part), [part, 1]);
        assert_eq!(part_sizes(3 * part, part), [part; 3]);
    }

    #[test]
    fn part_size_doubles_until_the_part_count_fits() {
        assert_eq!(
            Plan::new(10_000 * 8 * MIB, None, &AWS).unwrap().part_size(),
            8 * MIB
        );
        assert_eq!(
            Plan::new(10_000 * 8 * MIB + 1, None, &AWS)
                .unwrap()
                .part_size(),
            16 * MIB
        );
        let full = Plan::new(AWS.max_size, None, &AWS).unwrap();
        assert_eq!((full.part_size(), full.count()), (5 * GIB, 10_000));
        assert_eq!(
            Plan::new(AWS.max_size + 1, None, &AWS),
            Err(PlanError::TooLarge {
                size: AWS.max_size + 1,
                max_size: AWS.max_size
            })
        );
    }

    #[test]
    fn part_size_outside_the_stores_range_is_rejected() {
        for part_size in [0, 5 * MIB - 1, 5 * GIB + 1] {
            let error = Plan::new(1, Some(part_size), &AWS).unwrap_err();
            let (min, max) = (AWS.min_part, AWS.max_part);
            assert_eq!(
                error,
                PlanError::PartSizeOutOfRange {
                    part_size,
                    min,
                    max
                }
            );
        }
        let error = Plan::pinned(1, 0).unwrap_err();
        assert_eq!(
            error,
            PlanError::Indivisible {
                size: 1,
                part_size: 0
            }
        );
    }

    proptest! {
        #[test]
        fn parts_are_contiguous_equal_and_within_the_limits(
            size in prop_oneof![0..64 * MIB, 0..AWS.max_size],
            requested in prop_oneof![Just(None), (AWS.min_part..=AWS.max_part).prop_map(Some)],
            max_parts in 1..=10_000_u32,
        ) {
            let limits = Limits { max_parts, ..AWS };
            let Ok(plan) = Plan::new(size, requested, &limits) else {
                prop_assert!(size > u64::from(max_parts) * AWS.max_part);
                return Ok(());
            };
            prop_assert!((1..=max_parts).contains(&plan.count()));
            let mut end = 0;
            for (number, range) in plan.parts() {
                prop_assert_eq!(range.start, end);
                let last = number.get() == plan.count();
                let fits = if last { range.len <= plan.part_size() } else { range.len == plan.part_size() };
                prop_assert!(fits);
                prop_assert!(size == 0 || range.len > 0);
                end = range.end();
            }
            prop_assert_eq!(end, size);
            prop_assert_eq!(Plan::pinned(size, plan.part_size()).unwrap(), plan);
        }

        #[test]
        fn number_and_size_of_the_last_part_of_a_stream_give_its_size(
            size in prop_oneof![0..64 * MIB, 0..7_u64 << 40],
            double_after in prop_oneof![Just(None), (1..3000_u32).prop_map(Some)],
            part_size in AWS.min_part..64 * MIB,
        ) {
            let schedule = Schedule::pinned(part_size, double_after).unwrap();
            let plan = Plan::of_stream(size, schedule).unwrap();
            let last = plan.count().try_into().unwrap();
            let (range, scheduled) = (plan.range(last).unwrap(), schedule.range(last).unwrap());
            prop_assert_eq!(range.start, scheduled.start);
            prop_assert!(range.len <= scheduled.len && (range.len > 0 || size == 0));
            prop_assert_eq!(range.end(), size);
        }
    }
}
