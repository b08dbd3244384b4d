//! The difference between the clocks of a backend and of its store, by the `Date` of their
//! responses. The clock of this machine need not be right.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};

use super::response::Response;

/// Smaller differences are not reported: a response may have been under way that long.
const MIN_REPORTED: SignedDuration = SignedDuration::from_secs(10);
/// The value of a clock that is not known.
const UNKNOWN: i64 = i64::MIN;

/// How far the clock of a server is ahead of the clock of this machine.
#[derive(Debug)]
pub struct ServerClock(AtomicI64);

impl Default for ServerClock {
    fn default() -> Self {
        Self(AtomicI64::new(UNKNOWN))
    }
}

impl ServerClock {
    /// Notes the `Date` of a response that has just arrived.
    pub fn observe(&self, response: &Response) {
        if let Some(ahead) = ahead(response) {
            self.0.store(ahead.as_secs(), Ordering::Relaxed);
        }
    }

    /// Compares this clock, of the backend, with that of the store that has just sent a response.
    /// Returns `None` if they agree, or if one of them is unknown.
    pub fn difference_to(&self, response: &Response) -> Option<String> {
        let backend = match self.0.load(Ordering::Relaxed) {
            UNKNOWN => return None,
            seconds => SignedDuration::from_secs(seconds),
        };
        let difference = backend - ahead(response)?;
        let direction = if difference.is_negative() {
            "behind"
        } else {
            "ahead of"
        };
        (difference.abs() >= MIN_REPORTED).then(|| {
            let difference = difference.abs();
            format!("the clock of the backend is {difference:#} {direction} that of the store")
        })
    }
}

fn ahead(response: &Response) -> Option<SignedDuration> {
    Some(response.date()?.duration_since(Timestamp::now()))
}

#[cfg(test)]
mod tests {
    use reqwest::header::{DATE, HeaderMap};

    use super::*;

    fn response(ahead: i64) -> Response {
        let date = Timestamp::now() + SignedDuration::from_secs(ahead);
        let date = jiff::fmt::rfc2822::to_string(&date.to_zoned(jiff::tz::TimeZone::UTC)).unwrap();
        Response {
            status: 200,
            headers: HeaderMap::from_iter([(DATE, date.parse().unwrap())]),
            body: Vec::new(),
        }
    }

    #[test]
    fn clocks_of_backend_and_store_are_compared_not_that_of_this_machine() {
        let clock = ServerClock::default();
        assert_eq!(clock.difference_to(&response(600)), None);
        clock.observe(&response(3600));
        assert_eq!(clock.difference_to(&response(3601)), None);
        let behind = clock.difference_to(&response(4800)).unwrap();
        assert!(
            behind.contains("behind") && !behind.contains("ahead"),
            "{behind}"
        );
        let ahead = clock.difference_to(&response(0)).unwrap();
        assert!(ahead.contains("ahead"), "{ahead}");
    }
}
