//! The error of a plan that cannot be made, as the client reports it.
//!
//! Not here: why there is no plan (`upload_types::plan`).

use upload_types::error::{Error, Kind};
use upload_types::plan::PlanError;

/// Converts the error of [`Plan::new`](upload_types::plan::Plan::new) or
/// [`Plan::pinned`](upload_types::plan::Plan::pinned).
pub fn plan_error(error: PlanError) -> Error {
    let text = error.to_string();
    match error {
        PlanError::TooLarge { .. } => Error::new(Kind::Unauthorized, text)
            .with_hint("split the file, or ask the operator of the backend for a larger limit"),
        PlanError::PartSizeOutOfRange { .. } => Error::new(Kind::Usage, text),
        PlanError::Indivisible { .. } => Error::new(Kind::Incompatible, text),
    }
}
