//! One direction of a link: decides for each packet whether it is lost, dropped or delivered, and
//! when. Pure: the clock is an argument, and the random numbers come from a seed.
//!
//! Times are nanoseconds since some moment.

use std::collections::VecDeque;

/// The properties of a direction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Properties {
    /// Bytes per second; `None` for no limit.
    pub rate: Option<f64>,
    /// From the end of the queue to the other side, in nanoseconds.
    pub delay: u64,
    /// If more bytes than this are in the queue, the next packet is dropped.
    pub queue_bytes: f64,
    /// The share of packets that are lost, 0 to 1.
    pub loss: f64,
    /// Every packet is lost while the link is down.
    pub is_up: bool,
}

/// Counts of packets and bytes since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Counts {
    pub delivered: u64,
    pub delivered_bytes: u64,
    pub lost: u64,
    pub dropped: u64,
    /// The sum over delivered packets of the time in the queue, in nanoseconds.
    pub queued: u64,
    /// The longest time of a packet in the queue, in nanoseconds.
    pub longest_queued: u64,
}

/// A packet on its way.
struct Packet {
    due: u64,
    bytes: Vec<u8>,
}

pub struct Direction {
    pub properties: Properties,
    pub counts: Counts,
    random: Random,
    /// When the last packet of the queue has left it.
    free_at: u64,
    on_the_way: VecDeque<Packet>,
    /// Buffers of delivered packets, to be used again.
    unused: Vec<Vec<u8>>,
}

impl Direction {
    #[must_use]
    pub fn new(properties: Properties, seed: u64) -> Self {
        Self {
            properties,
            counts: Counts::default(),
            random: Random::new(seed),
            free_at: 0,
            on_the_way: VecDeque::new(),
            unused: Vec::new(),
        }
    }

    /// Takes a packet that arrives at `now`.
    pub fn accept(&mut self, now: u64, bytes: &[u8]) {
        let Properties {
            rate,
            delay,
            queue_bytes,
            loss,
            is_up,
        } = self.properties;
        if !is_up || self.random.next() < loss {
            self.counts.lost += 1;
            return;
        }
        let mut leaves = now;
        if let Some(rate) = rate {
            let starts = self.free_at.max(now);
            if seconds(starts - now) * rate > queue_bytes {
                self.counts.dropped += 1;
                return;
            }
            leaves = starts + nanoseconds(float(bytes.len() as u64) / rate);
            self.free_at = leaves;
        }
        let queued = leaves - now;
        self.counts.queued += queued;
        self.counts.longest_queued = self.counts.longest_queued.max(queued);
        let mut buffer = self.unused.pop().unwrap_or_default();
        buffer.clear();
        buffer.extend_from_slice(bytes);
        let due = leaves + delay;
        // A shorter delay does not let a packet overtake those before it.
        let due = self.on_the_way.back().map_or(due, |last| due.max(last.due));
        self.on_the_way.push_back(Packet { due, bytes: buffer });
    }

    /// The next packet, if it is due.
    #[must_use]
    pub fn due(&self, now: u64) -> Option<&[u8]> {
        let next = self.on_the_way.front()?;
        (next.due <= now).then_some(next.bytes.as_slice())
    }

    /// When the next packet is due.
    #[must_use]
    pub fn next_due(&self) -> Option<u64> {
        self.on_the_way.front().map(|packet| packet.due)
    }

    /// Removes the next packet, which has been written to the other side.
    pub fn delivered(&mut self) {
        if let Some(packet) = self.on_the_way.pop_front() {
            self.counts.delivered += 1;
            self.counts.delivered_bytes += packet.bytes.len() as u64;
            self.unused.push(packet.bytes);
        }
    }
}

/// Random numbers from 0 to 1 (xorshift64).
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        // The state must not be zero.
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        float(self.0 >> 11) / float(1 << 53)
    }
}

#[expect(clippy::cast_precision_loss, reason = "the numbers are below 2^53")]
fn float(number: u64) -> f64 {
    number as f64
}

fn seconds(nanoseconds: u64) -> f64 {
    float(nanoseconds) / 1e9
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a packet takes less than a day"
)]
fn nanoseconds(seconds: f64) -> u64 {
    (seconds * 1e9).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: u64 = 1_000_000;

    fn direction(rate: f64, queue_bytes: f64, loss: f64) -> Direction {
        let properties = Properties {
            rate: Some(rate),
            delay: 50 * MILLISECOND,
            queue_bytes,
            loss,
            is_up: true,
        };
        Direction::new(properties, 1)
    }

    #[test]
    fn packets_leave_at_the_rate_and_arrive_after_the_delay() {
        let mut link = direction(1e6, 1e6, 0.0);
        for _ in 0..3 {
            link.accept(0, &[0; 1000]);
        }
        for number in 1..=3 {
            let due = 50 * MILLISECOND + number * MILLISECOND;
            assert_eq!(link.next_due(), Some(due));
            assert_eq!(link.due(due - 1), None);
            assert_eq!(link.due(due).map(<[u8]>::len), Some(1000));
            link.delivered();
        }
        assert_eq!(link.counts.delivered_bytes, 3000);
        assert_eq!(link.counts.queued, 6 * MILLISECOND);
        assert_eq!(link.counts.longest_queued, 3 * MILLISECOND);
    }

    #[test]
    fn packets_beyond_the_queue_are_dropped() {
        let mut link = direction(1e6, 5000.0, 0.0);
        for _ in 0..20 {
            link.accept(0, &[0; 1000]);
        }
        // The sixth finds exactly 5,000 bytes before it.
        assert_eq!(link.counts.dropped, 14);
        link.accept(10 * MILLISECOND, &[0; 1000]);
        assert_eq!(link.counts.dropped, 14);
    }

    #[test]
    fn share_of_lost_packets_is_that_of_the_properties() {
        let mut link = direction(1e12, 1e12, 0.01);
        for _ in 0..100_000 {
            link.accept(0, &[0; 40]);
        }
        assert!(
            (900..1100).contains(&link.counts.lost),
            "{}",
            link.counts.lost
        );
    }

    #[test]
    fn link_that_is_down_loses_every_packet_and_works_again() {
        let mut link = direction(1e6, 1e6, 0.0);
        link.properties.is_up = false;
        link.accept(0, &[0; 1000]);
        link.properties.is_up = true;
        link.accept(0, &[0; 1000]);
        assert_eq!(
            (link.counts.lost, link.next_due()),
            (1, Some(51 * MILLISECOND))
        );
    }

    #[test]
    fn shorter_delay_keeps_the_order() {
        let mut link = direction(1e9, 1e6, 0.0);
        link.accept(0, &[1; 1000]);
        link.properties.delay = 0;
        link.accept(0, &[2; 1000]);
        let now = link.next_due().unwrap();
        assert_eq!(link.due(now).unwrap()[0], 1);
        link.delivered();
        assert_eq!(link.due(now).unwrap()[0], 2);
    }
}
