//! How fast bodies pass: a rate, and a gate that shuts after a number of bytes.
//!
//! Border: it only makes callers wait. A gate is what lets a test kill a client in mid-transfer without racing it.

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
    /// Bytes each second; none is as fast as it goes.
    rate: Option<u64>,
    /// When the rate lets the next block pass.
    due: Option<Instant>,
    /// How many bytes may still pass; none is any number.
    room: Option<u64>,
    closed: bool,
}

impl Flow {
    pub fn set_rate(&self, rate: Option<u64>) {
        let mut state = self.state.lock().unwrap();
        state.rate = rate;
        state.due = None;
    }

    /// Shuts the gate once this many further bytes have passed; none opens it.
    pub fn set_room(&self, room: Option<u64>) {
        self.state.lock().unwrap().room = room;
        self.changed.notify_all();
    }

    /// Opens everything for good.
    pub fn close(&self) {
        self.state.lock().unwrap().closed = true;
        self.changed.notify_all();
    }

    pub fn is_shut(&self) -> bool {
        self.state.lock().unwrap().room == Some(0)
    }

    /// Returns when `wish` bytes, or the smaller number it gives, may pass.
    pub fn admit(&self, wish: u64) -> u64 {
        let shut = |state: &mut State| !state.closed && state.room == Some(0);
        let mut state = self
            .changed
            .wait_while(self.state.lock().unwrap(), shut)
            .unwrap();
        let admitted = state.room.map_or(wish, |room| room.min(wish));
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
