//! The plan of a source.

use upload_types::plan::Plan;
use upload_types::wire::Limits;

use super::common::{split_byte, split_number};

/// The plan for any size, requested part size and limits.
pub fn plan(bytes: &[u8]) {
    let (size, rest) = split_number(bytes);
    let (requested, rest) = split_number(rest);
    let (min_part, rest) = split_number(rest);
    let (max_part, rest) = split_number(rest);
    let (max_parts, rest) = split_number(rest);
    let (max_size, rest) = split_number(rest);
    let max_parts = u32::try_from(max_parts % 20_000).unwrap_or_default();
    let limits = Limits {
        min_part,
        max_part,
        max_parts,
        max_size,
        equal_parts: false,
    };
    let requested = Some(requested).filter(|_| split_byte(rest).0.is_multiple_of(2));
    // The client rejects a backend with such limits.
    if max_part == 0 || max_parts == 0 || min_part > max_part {
        return;
    }
    let Ok(plan) = Plan::new(size, requested, &limits) else {
        return;
    };
    assert!(
        (1..=max_parts).contains(&plan.count()) && plan.part_size() <= max_part && size <= max_size
    );
    assert!(plan.part_size() >= min_part);
    assert!(requested.is_none_or(|requested| plan.part_size() >= requested));
    let mut end = 0;
    for (number, range) in plan.parts() {
        assert!(range.start == end && (range.len > 0 || size == 0));
        assert!(range.len == plan.part_size() || number.get() == plan.count());
        end = range.end();
    }
    assert_eq!(end, size);
    assert_eq!(
        Plan::pinned(size, plan.part_size()).expect("the same plan"),
        plan
    );
}
