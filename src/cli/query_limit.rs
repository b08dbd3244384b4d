//! The time limit of verbs that ask a backend and do not upload.

use std::time::Duration;

use super::args::QueryArgs;
use super::parse::DurationOrNever;
use upload_types::error::{Error, Kind, Result};

impl QueryArgs {
    /// The longest time that the backend may take; `None` is no limit.
    #[must_use]
    pub fn limit(&self) -> Option<Duration> {
        self.give_up_after.duration()
    }
}

/// Waits for the responses of a backend, at most for `limit`.
///
/// # Errors
/// [`Kind::Temporary`] if they do not arrive in time, otherwise those of `query`.
pub fn within_limit<'a, T: 'a>(
    limit: Option<Duration>,
    query: impl Future<Output = Result<T>> + 'a,
) -> impl Future<Output = Result<T>> + 'a {
    // The future of a gateway that starts in this process is large.
    let query = Box::pin(query);
    async move {
        let Some(limit) = limit else {
            return query.await;
        };
        tokio::time::timeout(limit, query)
            .await
            .unwrap_or_else(|_| Err(gave_up(limit)))
    }
}

fn gave_up(limit: Duration) -> Error {
    let limit = DurationOrNever::After(limit);
    let what = format!("gave up: the backend did not respond within {limit}");
    Error::new(Kind::Temporary, what).with_hint(
        "check the network and the address of the backend; to wait longer, add \
         --give-up-after DURATION",
    )
}
