//! A wide-area link in user space, between two network interfaces (TUN) that it creates.
//!
//! ```text
//! link-emulator NEAR FAR [--rate MBIT] [--delay MS] [--queue KIB] [--loss PERCENT] [--seed N]
//! ```
//!
//! From NEAR to FAR: `--rate` megabits per second (0: no limit), with a drop-tail queue of
//! `--queue` KiB, `--delay` milliseconds and a random loss of `--loss` percent. From FAR to NEAR:
//! the same delay and loss, and no limit. Prints `ready` once the interfaces exist; the caller
//! moves them into network namespaces and gives them addresses. Each line of standard input
//! changes the link: `rate MBIT`, `delay MS`, `loss PERCENT`, `down` or `up`. At the end of
//! standard input, it prints the counts of both directions as JSON and ends.
//!
//! Needs the right to create interfaces (root) and `/dev/net/tun`. Linux only.

#[cfg(target_os = "linux")]
mod arguments;
#[cfg(target_os = "linux")]
mod direction;
#[cfg(target_os = "linux")]
mod emulator;

#[cfg(target_os = "linux")]
fn main() -> anyhow::Result<()> {
    emulator::run(&arguments::parse(std::env::args().skip(1))?)
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("link-emulator: needs Linux");
    std::process::exit(1);
}
