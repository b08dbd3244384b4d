//! Notices from the events that the network or the backend is gone, and that it is back. Pure: the
//! clock is an argument.
//!
//! Not here: when the line is shown (`plain`, `bars`).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::text::{duration, safe};
use crate::event::{Event, Phase};

/// A failure is reported if nothing has moved for this long: most failures end after one or two
/// attempts.
const FAILURE_DELAY: Duration = Duration::from_secs(3);
/// Without a failure, the network may still be busy with bytes that it has accepted.
const SILENCE_DELAY: Duration = Duration::from_secs(6);
/// The end of a shorter silence without a failure is not reported.
const MIN_REPORTED_SILENCE: Duration = Duration::from_secs(30);
/// After a failure, bytes that are sent count once they have been sent steadily for this long: a
/// connection accepts some bytes before it breaks.
const STEADY_TIME: Duration = Duration::from_secs(2);
/// A longer pause ends steady sending.
const MAX_PAUSE: Duration = Duration::from_secs(1);
/// An attempt without a result for this long has not failed as the one before.
const MAX_ATTEMPT_TIME: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub struct Connection {
    /// The host of the backend, or another word for it, until it has responded.
    contacting: Option<String>,
    by_item: BTreeMap<usize, Work>,
    /// When bytes were last read, sent or confirmed, or the backend last responded.
    moved_at: Instant,
    /// Since when bytes are sent without a pause or a failure, and when the last were.
    sending: Option<(Instant, Instant)>,
    /// The last failure, if nothing has moved since.
    failure: Option<Failure>,
    /// A failure before the last movement, of a part that may still wait for its next attempt.
    earlier_failure: Option<Failure>,
    /// A host has not responded since the last movement.
    is_unreached: bool,
    /// The loss is reported.
    is_lost: bool,
}

/// The work on one source at its last report.
#[derive(Debug, Clone, Copy, Default)]
struct Work {
    phase: Phase,
    hashed: u64,
    sent: u64,
    confirmed: u64,
}

#[derive(Debug)]
struct Failure {
    host: Option<String>,
    reason: String,
    /// When attempts follow.
    next_attempts: Vec<Instant>,
}

impl Failure {
    /// When the next attempt follows; in the past if it is under way.
    fn next_attempt(&self, now: Instant) -> Option<Instant> {
        let later = self.next_attempts.iter().filter(|at| **at > now).min();
        later.or(self.next_attempts.iter().max()).copied()
    }
}

/// A change of the connection that is worth a line of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Lost,
    /// The line that reports the end of the loss; `None` after a short silence.
    Restored(Option<String>),
}

impl Connection {
    pub fn new(now: Instant) -> Self {
        Self {
            contacting: None,
            by_item: BTreeMap::new(),
            moved_at: now,
            sending: None,
            failure: None,
            earlier_failure: None,
            is_unreached: false,
            is_lost: false,
        }
    }

    /// Takes an event. Returns the end of a loss.
    pub fn record(&mut self, event: &Event, now: Instant) -> Option<Change> {
        match event {
            Event::Connecting { host } => {
                let host = host.as_deref().unwrap_or("the store");
                self.contacting = Some(host.to_owned());
                return self.on_moved(now);
            }
            Event::Retry {
                kind,
                wait_ms,
                message,
                unreached,
                ..
            } => {
                self.sending = None;
                self.is_unreached |= unreached.is_some();
                let earlier = self.failure.take().or(self.earlier_failure.take());
                let mut next_attempts = earlier.map_or_else(Vec::new, |it| it.next_attempts);
                next_attempts.retain(|at| *at > now);
                next_attempts.push(now + Duration::from_millis(*wait_ms));
                self.failure = Some(Failure {
                    host: unreached.as_deref().map(safe),
                    reason: reason(unreached.is_some(), kind, message),
                    next_attempts,
                });
                return None;
            }
            Event::Progress { item, .. } => return self.on_progress(*item, event, now),
            Event::Waiting { item, .. }
            | Event::Blocked { item, .. }
            | Event::Completed { item, .. }
            | Event::Kept { item, .. }
            | Event::Failed { item, .. } => {
                self.by_item.remove(item);
            }
            Event::Sources { .. }
            | Event::Selected { .. }
            | Event::Skipped { .. }
            | Event::Unmatched { .. }
            | Event::Plan { .. }
            | Event::Part { .. }
            | Event::Changed { .. }
            | Event::Comparing { .. }
            | Event::Restarted { .. }
            | Event::Moved { .. }
            | Event::Renamed { .. }
            | Event::Exit { .. } => {}
        }
        if matches!(
            event,
            Event::Failed { .. }
                | Event::Exit { .. }
                | Event::Sources { .. }
                | Event::Selected { .. }
                | Event::Skipped { .. }
                | Event::Unmatched { .. }
        ) {
            return None;
        }
        self.contacting = None;
        self.on_moved(now)
    }

    fn on_progress(&mut self, item: usize, event: &Event, now: Instant) -> Option<Change> {
        let Event::Progress {
            hashed,
            sent,
            confirmed,
            phase,
            ..
        } = event
        else {
            return None;
        };
        let work = Work {
            phase: *phase,
            hashed: *hashed,
            sent: *sent,
            confirmed: *confirmed,
        };
        let before = self.by_item.insert(item, work).unwrap_or_default();
        let is_reading = match (before.phase, work.phase) {
            (Phase::Checking(before), Phase::Checking(now)) => now > before,
            _ => work.hashed > before.hashed,
        };
        if work.sent > before.sent {
            let since = self
                .sending
                .filter(|(_, last)| now.saturating_duration_since(*last) <= MAX_PAUSE)
                .map_or(now, |(since, _)| since);
            self.sending = Some((since, now));
        }
        let is_sending = self
            .sending
            .is_some_and(|(since, last)| match self.failure {
                Some(_) => last.saturating_duration_since(since) >= STEADY_TIME,
                None => last == now,
            });
        let has_new_phase = self.failure.is_none() && work.phase != before.phase;
        let has_moved = work.confirmed > before.confirmed
            || (is_reading && self.failure.is_none())
            || is_sending
            || has_new_phase;
        has_moved.then(|| self.on_moved(now)).flatten()
    }

    fn on_moved(&mut self, now: Instant) -> Option<Change> {
        let pause = now.saturating_duration_since(self.moved_at);
        let has_failed = self.failure.is_some();
        if let Some(failure) = self.failure.take() {
            // The host has responded.
            self.earlier_failure = Some(Failure {
                host: None,
                ..failure
            });
        }
        let is_restored = std::mem::take(&mut self.is_unreached);
        self.moved_at = now;
        if !std::mem::take(&mut self.is_lost) {
            return None;
        }
        let is_reported = has_failed || pause >= MIN_REPORTED_SILENCE;
        let pause = duration(Duration::from_secs(pause.as_secs()));
        let text = if is_restored {
            Some(format!("connection restored after {pause}"))
        } else {
            is_reported.then(|| format!("progress again after {pause}"))
        };
        Some(Change::Restored(text))
    }

    /// Takes the time. Returns the beginning of a loss, and the end of one that no event shows.
    pub fn tick(&mut self, now: Instant) -> Option<Change> {
        let pause = now.saturating_duration_since(self.moved_at);
        if self.failure.is_none() && pause >= SILENCE_DELAY {
            let is_due = |failure: &mut Failure| failure.next_attempts.iter().any(|at| *at > now);
            self.failure = self.earlier_failure.take_if(is_due);
        }
        let next_attempt = self
            .failure
            .as_ref()
            .and_then(|failure| failure.next_attempt(now));
        let is_overdue =
            next_attempt.is_some_and(|at| now.saturating_duration_since(at) > MAX_ATTEMPT_TIME);
        if is_overdue && !self.is_waiting_for_network() {
            // Calls that succeed without an event, such as those of a wait for checks.
            return self.on_moved(now);
        }
        let is_sending = self
            .sending
            .is_some_and(|(_, last)| now.saturating_duration_since(last) <= MAX_PAUSE);
        let is_over = match &self.failure {
            Some(_) => pause >= FAILURE_DELAY && !is_sending,
            None => pause >= SILENCE_DELAY && self.is_waiting_for_network(),
        };
        if self.is_lost || !is_over {
            return None;
        }
        self.is_lost = true;
        Some(Change::Lost)
    }

    /// Whether bytes should be moving or a response should arrive.
    fn is_waiting_for_network(&self) -> bool {
        let is_local = |phase| matches!(phase, Phase::Hashing | Phase::Checking(_));
        self.contacting.is_some() || self.by_item.values().any(|work| !is_local(work.phase))
    }

    /// Whether the time left means something.
    pub fn is_moving(&self, now: Instant) -> bool {
        !self.is_lost && now.saturating_duration_since(self.moved_at) < FAILURE_DELAY
    }

    /// Whether a loss is reported for the failure of an attempt, and not only for silence.
    pub fn has_failed(&self) -> bool {
        self.is_lost && self.failure.is_some()
    }

    /// How long nothing has moved.
    pub fn pause(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.moved_at)
    }

    /// The line about the loss, if it is reported.
    pub fn line(&self, now: Instant) -> Option<String> {
        if !self.is_lost {
            return None;
        }
        let pause = duration(Duration::from_secs(self.pause(now).as_secs()));
        let Some(failure) = &self.failure else {
            return Some(self.silence(&pause));
        };
        let next_attempt = failure.next_attempt(now);
        let wait = next_attempt.map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        let next = if wait.as_secs() == 0 {
            "trying again now".to_owned()
        } else {
            let wait = duration(Duration::from_secs(wait.as_secs()));
            format!("still trying (next attempt in {wait})")
        };
        let subject = match &failure.host {
            Some(host) => format!("no connection to {host}"),
            None => "no progress".to_owned(),
        };
        Some(format!("{subject} for {pause}; {next}: {}", failure.reason))
    }

    fn silence(&self, pause: &str) -> String {
        if let Some(host) = &self.contacting {
            return format!("no response from {} for {pause}; still waiting", safe(host));
        }
        let mut phases = self.by_item.values().map(|work| work.phase);
        if phases.all(|phase| phase == Phase::Completing) {
            return format!("waiting for the backend to complete the upload for {pause}");
        }
        format!("no progress for {pause}; still waiting for a response")
    }
}

/// The reason of a failure in a few words. For a host that did not respond, that is the last cause.
fn reason(is_unreached: bool, kind: &str, message: &str) -> String {
    let message = if message.is_empty() { kind } else { message };
    let short = match message.rsplit(": ").next() {
        Some(cause) if is_unreached => cause.split(" (os error").next().unwrap_or(cause),
        _ => message,
    };
    safe(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry(unreached: Option<&str>, wait: u64) -> Event {
        Event::Retry {
            item: 0,
            source: Some(0),
            upload: None,
            path: None,
            number: None,
            attempt: 1,
            kind: "temporary",
            wait_ms: 1000 * wait,
            message: "could not send a part: error: Connection refused (os error 111)".into(),
            unreached: unreached.map(str::to_owned),
        }
    }

    fn progress(sent: u64, confirmed: u64, phase: Phase) -> Event {
        Event::Progress {
            item: 0,
            upload: None,
            path: String::new(),
            hashed: 0,
            sent,
            confirmed,
            size: 1000,
            rate: 0,
            waits: None,
            phase,
        }
    }

    /// A connection that has sent 50 bytes, and a function for the time.
    fn sending() -> (Connection, impl Fn(u64) -> Instant) {
        let start = Instant::now();
        let mut connection = Connection::new(start);
        connection.record(&progress(50, 0, Phase::Sending), start);
        (connection, move |millis| {
            start + Duration::from_millis(millis)
        })
    }

    #[test]
    fn loss_is_reported_once_with_host_duration_and_next_attempt() {
        let (mut connection, at) = sending();
        for millis in [100, 500, 900] {
            connection.record(
                &retry(Some("up.example through proxy p:3128"), 9),
                at(millis),
            );
            assert_eq!(connection.tick(at(millis)), None);
        }
        assert_eq!(connection.line(at(2900)), None);
        assert_eq!(connection.tick(at(3000)), Some(Change::Lost));
        assert_eq!(connection.tick(at(4000)), None);
        assert!(!connection.is_moving(at(4000)));
        assert_eq!(
            connection.line(at(4900)).unwrap(),
            "no connection to up.example through proxy p:3128 for 4s; \
             still trying (next attempt in 4s): Connection refused"
        );
        let confirmed = progress(50, 10, Phase::Sending);
        assert_eq!(
            connection.record(&confirmed, at(65_000)),
            Some(Change::Restored(Some(
                "connection restored after 1m 05s".into()
            )))
        );
        assert_eq!(connection.line(at(65_000)), None);
    }

    #[test]
    fn short_failures_are_not_reported() {
        let (mut connection, at) = sending();
        connection.record(&retry(Some("h"), 1), at(100));
        // The part is sent again from its beginning.
        connection.record(&progress(0, 0, Phase::Sending), at(200));
        for step in 1..60 {
            connection.record(&progress(step, 0, Phase::Sending), at(1000 + 100 * step));
            assert_eq!(connection.tick(at(1000 + 100 * step)), None, "{step}");
        }
    }

    #[test]
    fn bytes_that_are_sent_into_a_broken_connection_do_not_end_a_loss() {
        let (mut connection, at) = sending();
        connection.record(&retry(Some("h"), 1), at(0));
        assert_eq!(connection.tick(at(3000)), Some(Change::Lost));
        for second in 4..20 {
            let event = progress(100 * second, 0, Phase::Sending);
            assert_eq!(connection.record(&event, at(1000 * second)), None);
            connection.record(&retry(Some("h"), 1), at(1000 * second + 100));
            connection.record(&progress(0, 0, Phase::Sending), at(1000 * second + 200));
        }
        let ends = (0..30).filter_map(|step| {
            let event = progress(10 + step, 0, Phase::Sending);
            connection.record(&event, at(20_000 + 100 * step))
        });
        assert_eq!(ends.count(), 1, "steady sending ends the loss");
    }

    #[test]
    fn silence_is_reported_only_while_the_network_is_awaited() {
        let (mut connection, at) = sending();
        assert_eq!(connection.tick(at(5900)), None);
        assert_eq!(connection.tick(at(6000)), Some(Change::Lost));
        assert!(
            connection
                .line(at(8000))
                .unwrap()
                .starts_with("no progress for 8s")
        );
        let event = progress(60, 0, Phase::Sending);
        assert_eq!(
            connection.record(&event, at(9000)),
            Some(Change::Restored(None))
        );

        let checking = progress(60, 0, Phase::Checking(5));
        connection.record(&checking, at(9100));
        assert_eq!(connection.tick(at(60_000)), None);
    }

    #[test]
    fn silence_before_the_next_attempt_names_that_attempt() {
        let (mut connection, at) = sending();
        connection.record(&retry(Some("h"), 20), at(0));
        connection.record(&progress(60, 10, Phase::Sending), at(1000));
        assert_eq!(connection.tick(at(7000)), Some(Change::Lost));
        assert_eq!(
            connection.line(at(7000)).unwrap(),
            "no progress for 6s; still trying (next attempt in 13s): Connection refused"
        );
        let restored = connection.record(&progress(70, 20, Phase::Sending), at(20_000));
        let text = "progress again after 19s".to_owned();
        assert_eq!(restored, Some(Change::Restored(Some(text))));
    }

    #[test]
    fn unanswered_first_request_names_the_backend() {
        let start = Instant::now();
        let mut connection = Connection::new(start);
        let host = Some("up.example".to_owned());
        connection.record(&Event::Connecting { host }, start);
        let later = start + Duration::from_secs(7);
        assert_eq!(connection.tick(later), Some(Change::Lost));
        assert_eq!(
            connection.line(later).unwrap(),
            "no response from up.example for 7s; still waiting"
        );
    }
}
