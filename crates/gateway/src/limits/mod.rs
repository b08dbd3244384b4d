//! Limits per owner: the rate of calls and signed URLs, and quotas of uploads and bytes.

mod owner_limits;
mod quota;
mod rate;

pub use owner_limits::{OwnerLimits, RateLimit};
pub use quota::{Excess, Limit, Quota, Usage};
pub use rate::{Rate, RateExceeded, RateLimiter};
