//! Limits per owner: the rate of calls and signed URLs, and quotas of uploads and bytes.

mod quota;
mod rate;

pub use quota::{Excess, Limit, Quota, Usage};
pub use rate::{Rate, RateExceeded, RateLimiter};
