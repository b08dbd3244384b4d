//! Endurance test, run by hand (`scripts/endurance`): uploads a large file, kills client and
//! gateway at random moments, and checks the object and the bytes sent.
//!
//! Not here: kills during uploads of small files (`tests/behaviour`).

#[path = "../support/mod.rs"]
mod support;

use std::process;
use std::thread;
use std::time::{Duration, Instant};

use bytesize::ByteSize;

use support::command::{Command, Running};
use support::random::Rng;
use support::s3::S3;
use support::wait;
use support::world::World;

struct Settings {
    size: u64,
    kills: u64,
    gateway_kills: u64,
    part_size: u64,
    jobs: u64,
    /// The store of `UPLOAD_TEST_S3_…` instead of the embedded one.
    s3: bool,
    seed: u64,
}

impl Settings {
    fn from(args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mib = 1 << 20;
        let mut settings = Self {
            size: 2048 * mib,
            kills: 10,
            gateway_kills: 1,
            part_size: 8 * mib,
            jobs: 4,
            s3: false,
            seed: 1,
        };
        let mut args = args;
        while let Some(name) = args.next() {
            let value = args.next().ok_or(format!("{name} needs a value"))?;
            let bytes = || value.parse::<ByteSize>().map(|size| size.as_u64());
            let number = || {
                value
                    .parse::<u64>()
                    .map_err(|error| format!("{name}: {error}"))
            };
            match name.as_str() {
                "--size" => settings.size = bytes()?,
                "--part-size" => settings.part_size = bytes()?,
                "--kills" => settings.kills = number()?,
                "--gateway-kills" => settings.gateway_kills = number()?,
                "--jobs" => settings.jobs = number()?,
                "--seed" => settings.seed = number()?,
                "--store" => settings.s3 = value == "s3",
                _ => return Err(format!("unknown argument {name}")),
            }
        }
        Ok(settings)
    }

    fn command(&self, world: &World, verb: &str) -> Command {
        world.upload(&[verb, "--jobs", &self.jobs.to_string()])
    }
}

fn main() {
    let settings = Settings::from(std::env::args().skip(1)).unwrap_or_else(|problem| {
        eprintln!("{problem}");
        process::exit(2)
    });
    let mut rng = Rng::new(settings.seed);
    let store = settings
        .s3
        .then(|| S3::real(&format!("upload-endurance-{}", process::id())));
    let mut world = store.as_ref().map_or_else(World::new, World::on_store);
    let store = store.unwrap_or_else(|| world.store());
    // The gateway's probe sends bytes too.
    let probe_bytes = world.bytes_put();

    println!("writing {} of random bytes", ByteSize(settings.size));
    let file = world.sandbox.file("film.bin", settings.size);
    let began = Instant::now();
    let put = settings
        .command(&world, "put")
        .args(["--part-size", &settings.part_size.to_string()])
        .arg(&file);
    let mut running = put.spawn();
    let events = settings.kills + settings.gateway_kills;
    for event in 0..events {
        // Each event has a share of the file: it occurs at a random position of its share, plus a
        // few milliseconds.
        let share = settings.size / (events + 1);
        let offset = probe_bytes + event * share + rng.between(0, share);
        wait_for_bytes(&world, &mut running, offset);
        thread::sleep(Duration::from_millis(rng.between(0, 50)));
        // Spreads the kills of the gateway evenly: with one in eleven events, it is the sixth.
        let gateway_kills_until = |events_so_far: u64| {
            (2 * events_so_far * settings.gateway_kills + events) / (2 * events)
        };
        let kills_gateway = gateway_kills_until(event + 1) > gateway_kills_until(event);
        let sent = ByteSize(world.bytes_put() - probe_bytes);
        if kills_gateway {
            world.restart_gateway();
            println!("after {sent}: killed the gateway and started it again");
        } else {
            running.kill9();
            println!("after {sent}: killed the client (SIGKILL) and resumed");
            running = settings.command(&world, "resume").spawn();
        }
    }
    running.wait_at_most(Duration::from_hours(1)).succeeds();
    let seconds = began.elapsed().as_secs_f64();

    store.assert_holds_only(&file);
    let sent = world.bytes_put() - probe_bytes;
    let bound = settings.size + events * settings.jobs * settings.part_size;
    println!("the object equals the file; one object, no open multipart upload");
    println!(
        "sent {sent} bytes for {}, at most {bound} allowed, in {seconds:.1} s",
        settings.size
    );
    assert!(sent <= bound, "more bytes were sent than allowed");
}

fn wait_for_bytes(world: &World, running: &mut Running, bytes: u64) {
    let mut last = (world.bytes_put(), Instant::now());
    while world.bytes_put() < bytes {
        assert!(
            running.is_running(),
            "the client ended too early:\n{}",
            running.stderr()
        );
        let now = world.bytes_put();
        if now > last.0 {
            last = (now, Instant::now());
        }
        assert!(
            last.1.elapsed() < wait::WAIT_LIMIT,
            "no bytes were sent for a while:\n{}",
            running.stderr()
        );
        thread::sleep(Duration::from_millis(2));
    }
}
