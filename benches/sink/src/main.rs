//! A neutral S3 sink for benchmarks. Every client can upload to it; the kernel discards the bodies,
//! so the client is measured.
//!
//! ```text
//! sink [--listen ADDR:PORT] [--tls DIR] [--rate BYTES] [--total-rate BYTES] [--delay MS]
//!      [--throttle N] [--throttle-rate N] [--list yes]
//! ```
//!
//! It prints the address it listens on. `--rate` limits the bytes per second of each connection,
//! `--total-rate` those of all connections together (`10M` is ten million). `--delay` is the time
//! before each response. Beyond `--throttle` requests at a time, or `--throttle-rate` per second,
//! the response is 503 `SlowDown`. `GET /__sink/stats` returns the counts as JSON; `POST
//! /__sink/reset` clears the counts and the objects, `/__sink/clear-counts` the counts. With
//! `--list yes`, objects are listed; otherwise lists are empty. With `--tls`, a directory with
//! `server.pem` and `server.key`, the same port also accepts TLS; this process then decrypts the
//! bodies.
//!
//! Not here: verification. No signature is checked, no body is kept, no checksum is computed. For
//! measurements on loopback only.

mod connection;
mod limits;
mod memory;
mod request;
mod stats;
mod wire;

use std::env;
use std::error::Error;
use std::io::Write as _;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use limits::Limits;
use memory::Memory;
use stats::Stats;
use wire::Tls;

/// Heads are short, and bodies stay in the kernel.
const THREAD_STACK_BYTES: usize = 128 << 10;

/// The state that all connections share.
pub struct Sink {
    limits: Limits,
    memory: Memory,
    stats: Stats,
    tls: Option<Tls>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut listen = "127.0.0.1:0".to_owned();
    let mut limits = Limits::default();
    let (mut tls, mut lists_objects) = (None, false);
    let mut words = env::args().skip(1);
    while let Some(option) = words.next() {
        let value = words
            .next()
            .ok_or_else(|| format!("{option} needs a value"))?;
        match option.as_str() {
            "--listen" => listen = value,
            "--tls" => tls = Some(wire::load(value.as_ref())?),
            "--list" => lists_objects = value == "yes",
            "--rate" => limits.rate = Some(number(&value)?),
            "--total-rate" => limits.set_total_rate(number(&value)?),
            "--delay" => limits.delay = Duration::from_millis(number(&value)?),
            "--throttle" => limits.at_once = Some(number(&value)?),
            "--throttle-rate" => limits.set_request_rate(number(&value)?),
            _ => return Err(format!("no such option: {option}").into()),
        }
    }
    let listener = TcpListener::bind(listen)?;
    if let Some(buffer) = limits.receive_buffer() {
        // Bytes in the kernel's buffer have left the client; under a rate limit they must be few.
        // Connections inherit the setting.
        rustix::net::sockopt::set_socket_recv_buffer_size(&listener, buffer)?;
    }
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{}", listener.local_addr()?)?;
    stdout.flush()?;
    let sink = Arc::new(Sink {
        limits,
        memory: Memory::new(lists_objects),
        stats: Stats::default(),
        tls,
    });
    for stream in listener.incoming() {
        let (stream, sink) = (stream?, Arc::clone(&sink));
        // The client reports the errors of its connection.
        thread::Builder::new()
            .stack_size(THREAD_STACK_BYTES)
            .spawn(move || connection::serve(stream, &sink))?;
    }
    Ok(())
}

/// Parses `10`, `10k`, `10M` or `10G`, with decimal units as for the speed of links.
fn number(text: &str) -> Result<u64, Box<dyn Error>> {
    let (digits, factor) = match text.strip_suffix(['k', 'M', 'G']) {
        Some(digits) if text.ends_with('k') => (digits, 1_000),
        Some(digits) if text.ends_with('M') => (digits, 1_000_000),
        Some(digits) => (digits, 1_000_000_000),
        None => (text, 1),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| format!("not a number: {text}"))?;
    if number == 0 && factor > 1 {
        return Err("a limit must be greater than zero".into());
    }
    Ok(number * factor)
}
