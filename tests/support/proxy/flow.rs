//! Flow control for request bodies: a rate, and a limit of bytes after which bodies are blocked.
//! The limit lets a test kill a client in mid-transfer without a race.

use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

#[derive(Default)]
pub struct Flow {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Bytes a second; `None` is unlimited.
    rate: Option<u64>,
    /// When the next block may pass at this rate.
    due: Option<Instant>,
    /// How many bytes may still pass; `None` is unlimited.
    room: Option<u64>,
    closed: bool,
}

impl Flow {
    pub fn set_rate(&self, rate: Option<u64>) {
        let mut state = self.state.lock().unwrap();
        state.rate = rate;
        state.due = None;
    }

    /// Blocks bodies after this many further bytes; `None` unblocks them.
    pub fn set_room(&self, room: Option<u64>) {
        self.state.lock().unwrap().room = room;
        self.changed.notify_all();
    }

    /// Removes all limits permanently.
    pub fn close(&self) {
        self.state.lock().unwrap().closed = true;
        self.changed.notify_all();
    }

    pub fn is_blocked(&self) -> bool {
        self.state.lock().unwrap().room == Some(0)
    }

    /// Waits until bytes may pass; returns how many, at most `wanted`.
    pub fn admit(&self, wanted: u64) -> u64 {
        let blocked = |state: &mut State| !state.closed && state.room == Some(0);
        let mut state = self
            .changed
            .wait_while(self.state.lock().unwrap(), blocked)
            .unwrap();
        let admitted = state.room.map_or(wanted, |room| room.min(wanted));
        if let Some(room) = &mut state.room {
            *room -= admitted;
        }
        let rate = state.rate.filter(|_| !state.closed);
        let wait = rate.map(|rate| {
            let due = state.due.unwrap_or_else(Instant::now).max(Instant::now());
            let micros = admitted.saturating_mul(1_000_000) / rate.max(1);
            state.due = Some(due + Duration::from_micros(micros));
            due.saturating_duration_since(Instant::now())
        });
        drop(state);
        thread::sleep(wait.unwrap_or_default());
        admitted
    }
}
