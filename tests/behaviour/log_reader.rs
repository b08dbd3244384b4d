//! A reader of the log that ends: neither a gateway nor a client ends or hangs with it.
//!
//! Not here: a closed standard output (`output`, `terminal_signals`).

use std::fs::File;
use std::io::{BufRead, BufReader, PipeReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use crate::support::PART;
use crate::support::command::{Command, Running};
use crate::support::raw_http;
use crate::support::sandbox::Sandbox;
use crate::support::world::World;

/// The size of a pipe on Linux.
const PIPE_BYTES: usize = 64 << 10;

/// Runs a command with standard error in a pipe. Returns the reading end.
fn spawn_with_log(command: Command) -> (Running, BufReader<PipeReader>) {
    let (reader, writer) = std::io::pipe().unwrap();
    let running = command.stderr_to(File::from(OwnedFd::from(writer))).spawn();
    (running, BufReader::new(reader))
}

/// The address of a gateway, by its log.
#[track_caller]
fn listening(log: &mut impl BufRead) -> SocketAddr {
    let mut lines = log.lines().map_while(Result::ok);
    let addr = lines.find_map(|line| {
        let (_, addr) = line.split_once("listening on http://")?;
        addr.trim_end_matches('/').parse().ok()
    });
    addr.expect("the address of the gateway")
}

#[test]
fn gateway_serves_after_the_reader_of_its_log_has_ended() {
    for format in ["text", "json"] {
        let sandbox = Sandbox::new();
        let serve = sandbox.upload(["serve", "-vvv", "--listen", "127.0.0.1:0"]);
        let (mut gateway, mut log) = spawn_with_log(serve.args(["--log-format", format]));
        let addr = listening(&mut log);
        drop(log);
        for _ in 0..10 {
            assert_eq!(raw_http::get(addr, "/healthz", &[]).status, 200);
            assert_eq!(raw_http::get(addr, "/v1", &[]).status, 200);
        }
        let file = sandbox.file("film.bin", PART + 1);
        let put = sandbox.upload(["put", "-vvv", "--part-size", "5MiB", "--backend"]);
        put.arg(format!("http://{addr}"))
            .arg(&file)
            .run()
            .succeeds();
        assert!(gateway.is_running());
    }
}

/// The pipe of the log is full, because its reader reads nothing.
#[test]
fn gateway_and_put_continue_while_the_reader_of_the_log_reads_nothing() {
    let sandbox = Sandbox::new();
    let serve = sandbox.upload(["serve", "-vvv", "--listen", "127.0.0.1:0"]);
    let (mut gateway, mut log) = spawn_with_log(serve);
    let addr = listening(&mut log);
    for _ in 0..1000 {
        assert_eq!(raw_http::get(addr, "/v1", &[]).status, 200);
    }
    let file = sandbox.file("film.bin", PART + 1);
    let backend = format!("http://{addr}");
    let put = sandbox.upload(["put", "--part-size", "5MiB", "--backend", &backend]);
    put.arg(&file).run().succeeds();
    assert!(gateway.is_running());
    gateway.kill9();
    let mut unread = Vec::new();
    log.read_to_end(&mut unread).unwrap();
    assert!(unread.len() > PIPE_BYTES - 4096, "the pipe was not full");
}

#[test]
fn put_ends_after_the_reader_of_its_log_has_ended() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 2 * PART + 1);
    for (number, flags) in ["-v", "-vvv", "--json", "--progress=plain"]
        .iter()
        .enumerate()
    {
        let put = sandbox.upload(["put", "--force", flags, "-v", "--backend", "embedded"]);
        let (put, mut log) = spawn_with_log(put.arg(&file));
        if number == 0 {
            // As with `| head -1`.
            log.read_line(&mut String::new()).unwrap();
        }
        drop(log);
        put.wait().succeeds();
    }
}

/// The error itself cannot be shown, but the exit code can.
#[test]
fn failure_without_a_reader_of_standard_error_has_its_exit_code() {
    let world = World::new();
    let absent = world.sandbox.path("absent.bin");
    for command in [
        world.put(&absent),
        world.put(&absent).arg("-vvv"),
        world.upload(&["put", "--no-such-flag"]),
    ] {
        let (running, log) = spawn_with_log(command);
        drop(log);
        let code = running.wait().code().unwrap();
        assert!([2, 66].contains(&code), "{code}");
    }
}

/// The pipe is full, and its reader does not read.
#[test]
fn put_ends_while_the_reader_of_standard_error_reads_nothing() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 2 * PART);
    let absent = world.sandbox.path("absent.bin");
    let commands = [
        (world.put(&file), 0),
        (world.upload(&["put"]).arg(&absent).arg("-v"), 66),
        (world.upload(&["put", "--no-such-flag"]), 2),
        (world.upload(&["list", "--json", "-v"]), 0),
    ];
    let running = commands.map(|(command, code)| {
        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(&vec![b'x'; PIPE_BYTES]).unwrap();
        let command = command.stderr_to(File::from(OwnedFd::from(writer)));
        (command.spawn(), reader, code)
    });
    for (running, reader, code) in running {
        running.wait().exits(code);
        drop(reader);
    }
    assert_eq!(world.store().objects().len(), 1);
}
