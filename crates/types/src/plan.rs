//! The plan of an upload: from a size to parts. Pure arithmetic, the same in client and gateway.
//!
//! Border: no I/O, and no limit of its own: what a store allows comes in as [`Limits`]. Which parts still have to be sent
//! is `transfer/resume`.

use crate::error::{Error, Kind, Result};
use crate::names::{ByteRange, PartNumber};
use crate::wire::Limits;

/// The size of a part when nobody wishes for another.
pub const DEFAULT_PART_SIZE: u64 = 8 << 20;

/// How a source of `size` bytes is cut: all parts have `part_size` bytes, the last what is left.
/// A source of zero bytes has one part of zero bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    size: u64,
    part_size: u64,
    count: u32,
}

impl Plan {
    /// Cuts `size` bytes into parts of `wish` bytes (default [`DEFAULT_PART_SIZE`]), doubled until `limits.max_parts`
    /// suffice; at the store's very end, where doubling would pass `limits.max_part`, as large as that.
    ///
    /// # Errors
    /// [`Kind::Unauthorized`] when the store takes no object of that size, [`Kind::Usage`] when the wish is out of its range.
    pub fn new(size: u64, wish: Option<u64>, limits: &Limits) -> Result<Self> {
        let wish = match wish {
            None => DEFAULT_PART_SIZE.clamp(limits.min_part.max(1), limits.max_part.max(1)),
            Some(wish) if wish == 0 || wish < limits.min_part || wish > limits.max_part => {
                let (min, max) = (limits.min_part, limits.max_part);
                return Err(Error::new(
                    Kind::Usage,
                    format!(
                        "a part of {wish} bytes is outside what the store takes ({min} to {max} bytes)"
                    ),
                ));
            }
            Some(wish) => wish,
        };
        let room = u64::from(limits.max_parts)
            .saturating_mul(limits.max_part)
            .min(limits.max_size);
        if size > room {
            return Err(Error::new(
                Kind::Unauthorized,
                format!("{size} bytes are more than the store takes ({room} bytes)"),
            )
            .with_hint("split the file, or ask the operator of the backend for a larger limit"));
        }
        let mut part_size = wish;
        while size.div_ceil(part_size) > u64::from(limits.max_parts) {
            part_size = part_size.saturating_mul(2).min(limits.max_part);
        }
        Self::pinned(size, part_size)
    }

    /// The plan that a backend or a journal has pinned before.
    ///
    /// # Errors
    /// [`Kind::Incompatible`] for a part size of zero, or parts beyond counting.
    pub fn pinned(size: u64, part_size: u64) -> Result<Self> {
        let count = if part_size == 0 {
            None
        } else {
            u32::try_from(size.div_ceil(part_size).max(1)).ok()
        };
        match count {
            Some(count) => Ok(Self {
                size,
                part_size,
                count,
            }),
            None => Err(Error::new(
                Kind::Incompatible,
                format!("{size} bytes cannot be cut into parts of {part_size} bytes"),
            )),
        }
    }

    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    #[must_use]
    pub fn part_size(&self) -> u64 {
        self.part_size
    }

    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// One plain PUT instead of a multipart upload.
    #[must_use]
    pub fn is_single(&self) -> bool {
        self.count == 1
    }

    /// Where a part lies; nothing for a number beyond the plan.
    #[must_use]
    pub fn range(&self, number: PartNumber) -> Option<ByteRange> {
        if number.get() > self.count {
            return None;
        }
        let start = u64::from(number.get() - 1) * self.part_size;
        Some(ByteRange {
            start,
            len: self.part_size.min(self.size - start),
        })
    }

    /// Every part in order.
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

    fn sizes(size: u64, wish: u64) -> Vec<u64> {
        Plan::new(size, Some(wish), &AWS)
            .unwrap()
            .parts()
            .map(|(_, range)| range.len)
            .collect()
    }

    #[test]
    fn the_edges_of_a_part() {
        let part = 5 * MIB;
        assert_eq!(sizes(0, part), [0]);
        assert_eq!(sizes(1, part), [1]);
        assert_eq!(sizes(part - 1, part), [part - 1]);
        assert_eq!(sizes(part, part), [part]);
        assert_eq!(sizes(part + 1, part), [part, 1]);
        assert_eq!(sizes(3 * part, part), [part; 3]);
    }

    #[test]
    fn parts_grow_until_the_stores_count_suffices() {
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
            Plan::new(AWS.max_size + 1, None, &AWS).unwrap_err().kind(),
            Kind::Unauthorized
        );
    }

    #[test]
    fn a_wish_outside_the_stores_range_is_a_usage_error() {
        for wish in [0, 5 * MIB - 1, 5 * GIB + 1] {
            assert_eq!(
                Plan::new(1, Some(wish), &AWS).unwrap_err().kind(),
                Kind::Usage
            );
        }
    }

    proptest! {
        #[test]
        fn parts_are_contiguous_equal_and_within_the_limits(
            size in prop_oneof![0..64 * MIB, 0..AWS.max_size],
            wish in prop_oneof![Just(None), (AWS.min_part..=AWS.max_part).prop_map(Some)],
            max_parts in 1..=10_000_u32,
        ) {
            let limits = Limits { max_parts, ..AWS };
            let Ok(plan) = Plan::new(size, wish, &limits) else {
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
    }
}
