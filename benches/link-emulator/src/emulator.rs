//! Moves packets between the two interfaces.

use std::io::{self, BufRead as _, ErrorKind, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use serde_json::{Value, json};
use tun_rs::{DeviceBuilder, Layer, SyncDevice};

use crate::arguments::{self, Arguments};
use crate::direction::{Direction, Properties};

const MTU_BYTES: u16 = 1500;
/// Packets that are read from one interface before the other one gets its turn.
const BATCH: usize = 64;
/// How long to wait if an interface takes no packet.
const FULL_PAUSE: Duration = Duration::from_micros(200);

/// Runs until the end of standard input.
///
/// # Errors
/// The interfaces cannot be created, or fail.
pub fn run(arguments: &Arguments) -> Result<()> {
    let near = create(&arguments.near)?;
    let far = create(&arguments.far)?;
    println!("ready");
    io::stdout().flush()?;
    let back = Properties {
        rate: None,
        ..arguments.properties
    };
    let mut link = Link {
        start: Instant::now(),
        to_far: Direction::new(arguments.properties, arguments.seed),
        to_near: Direction::new(back, arguments.seed.wrapping_add(1)),
    };
    let mut commands = Commands::new()?;
    loop {
        let waits = link.pass(&near, &far)?;
        for line in commands.read()? {
            match arguments::change(&line) {
                Ok(change) => link.apply(change),
                Err(error) => eprintln!("{error}"),
            }
        }
        if commands.is_closed {
            break;
        }
        let timeout = Timespec::try_from(waits).context("the time to wait")?;
        let wanted = [commands.stdin.as_fd(), near.as_fd(), far.as_fd()];
        let mut polled = wanted.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        match poll(&mut polled, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("waiting for packets"),
        }
    }
    println!(
        "{}",
        json!({ "to_far": shown(&link.to_far), "to_near": shown(&link.to_near) })
    );
    Ok(())
}

fn create(name: &str) -> Result<SyncDevice> {
    let device = DeviceBuilder::new()
        .name(name)
        .layer(Layer::L3)
        .mtu(MTU_BYTES)
        .build_sync()
        .with_context(|| {
            format!("could not create the interface {name}: run as root, with /dev/net/tun")
        })?;
    device.set_nonblocking(true)?;
    Ok(device)
}

struct Link {
    start: Instant,
    to_far: Direction,
    to_near: Direction,
}

impl Link {
    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn apply(&mut self, change: arguments::Change) {
        let rate = self.to_near.properties.rate;
        change.apply(&mut self.to_far.properties);
        change.apply(&mut self.to_near.properties);
        self.to_near.properties.rate = rate;
    }

    /// Reads the packets that have arrived and writes those that are due. Returns how long nothing
    /// else is due.
    fn pass(&mut self, near: &SyncDevice, far: &SyncDevice) -> Result<Duration> {
        let mut buffer = [0; MTU_BYTES as usize];
        let mut waits = Duration::from_millis(100);
        for (from, to, is_to_far) in [(near, far, true), (far, near, false)] {
            let now = self.now();
            let direction = if is_to_far {
                &mut self.to_far
            } else {
                &mut self.to_near
            };
            let mut read = 0;
            while read < BATCH {
                match from.recv(&mut buffer) {
                    Ok(len) => direction.accept(now, &buffer[..len]),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    // The interface is down until the caller has given it an address.
                    Err(error) if is_down(&error) => break,
                    Err(error) => return Err(error).context("reading a packet"),
                }
                read += 1;
            }
            if read == BATCH {
                waits = Duration::ZERO;
            }
            let now = self.now();
            let direction = if is_to_far {
                &mut self.to_far
            } else {
                &mut self.to_near
            };
            while let Some(packet) = direction.due(now) {
                match to.send(packet) {
                    Ok(_) => direction.delivered(),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        waits = waits.min(FULL_PAUSE);
                        break;
                    }
                    Err(error) if is_down(&error) => direction.delivered(),
                    Err(error) => return Err(error).context("writing a packet"),
                }
            }
            if let Some(due) = direction.next_due() {
                waits = waits.min(Duration::from_nanos(due.saturating_sub(now)));
            }
        }
        Ok(waits)
    }
}

fn is_down(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(code) if code == rustix::io::Errno::IO.raw_os_error())
}

/// The lines of standard input.
struct Commands {
    stdin: io::Stdin,
    pending: Vec<u8>,
    is_closed: bool,
}

impl Commands {
    fn new() -> Result<Self> {
        let stdin = io::stdin();
        set_nonblocking(stdin.as_fd())?;
        Ok(Self {
            stdin,
            pending: Vec::new(),
            is_closed: false,
        })
    }

    /// The lines that have arrived.
    fn read(&mut self) -> Result<Vec<String>> {
        let mut bytes = [0; 1024];
        match self.stdin.lock().read(&mut bytes) {
            Ok(0) => self.is_closed = true,
            Ok(count) => self.pending.extend_from_slice(&bytes[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error).context("reading standard input"),
        }
        let Some(end) = self.pending.iter().rposition(|byte| *byte == b'\n') else {
            return Ok(Vec::new());
        };
        let lines: Vec<u8> = self.pending.drain(..=end).collect();
        Ok(lines.lines().collect::<io::Result<_>>()?)
    }
}

fn set_nonblocking(fd: BorrowedFd<'_>) -> Result<()> {
    let flags = fcntl_getfl(fd)?;
    fcntl_setfl(fd, flags | OFlags::NONBLOCK)?;
    Ok(())
}

fn shown(direction: &Direction) -> Value {
    let counts = direction.counts;
    let mean = counts.queued.checked_div(counts.delivered).unwrap_or(0);
    json!({
        "packets": counts.delivered,
        "bytes": counts.delivered_bytes,
        "lost": counts.lost,
        "dropped": counts.dropped,
        "mean_queue_us": mean / 1000,
        "longest_queue_us": counts.longest_queued / 1000,
    })
}
