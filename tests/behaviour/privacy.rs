//! What is kept is kept from others: modes of files, places that are not ours alone, and the memory of the process.
//!
//! Border: other users of the same machine; what is in the files is `secrets`.

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::Path;

use rustix::process::{Signal, geteuid};

use crate::interrupt::held;
use crate::support::PART;
use crate::support::gateway::Gateway;
use crate::support::sandbox::Sandbox;
use crate::support::world::World;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Everything that is made is ours alone from the moment it is there, whatever the umask: journal, write-ahead log, shared memory,
/// locks, the store and its ledger.
#[test]
fn what_is_made_is_for_nobody_else() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 2 * PART);
    let put = world
        .sandbox
        .command("sh")
        .env("UPLOAD_BACKEND", world.proxy.url());
    let put = put
        .args([
            "-c",
            "umask 0; exec \"$0\" put --part-size 5MiB \"$1\"",
            env!("CARGO_BIN_EXE_upload"),
        ])
        .arg(&file);
    let running = held(&world, put, PART);
    let home = world.sandbox.path("home");
    let made: Vec<_> = world
        .sandbox
        .files()
        .into_iter()
        .filter(|path| path.starts_with(&home))
        .collect();
    for name in ["journal.db", "journal.db-wal", "journal.db-shm"] {
        assert!(
            made.iter().any(|path| path.ends_with(name)),
            "{name} is not among {made:?}"
        );
    }
    assert!(
        made.iter()
            .any(|path| path.display().to_string().contains("journal.db.locks/")),
        "{made:?}"
    );
    for path in &made {
        assert_eq!(mode(path), 0o600, "{}", path.display());
        let dirs = path.ancestors().skip(1).take_while(|dir| *dir != home);
        assert!(
            dirs.clone().all(|dir| mode(dir) == 0o700),
            "{:?}",
            dirs.map(|dir| (dir, mode(dir))).collect::<Vec<_>>()
        );
    }
    world.proxy.unblock();
    running.wait().succeeds();
}

#[test]
fn what_a_store_in_the_same_process_makes_is_for_nobody_else() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 10);
    let script = "umask 0; exec \"$0\" put --backend embedded \"$1\"";
    sandbox
        .command("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_upload")])
        .arg(&file)
        .run()
        .succeeds();
    let home = sandbox.path("home");
    for path in sandbox
        .files()
        .into_iter()
        .filter(|path| path.starts_with(&home))
    {
        assert_eq!(mode(&path) & 0o077, 0, "{}", path.display());
    }
}

#[test]
fn a_journal_is_kept_in_no_place_that_others_can_change() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 10);
    let put = |journal: &Path| {
        let put = sandbox
            .upload(["put", "--backend", "embedded", "--journal"])
            .arg(journal)
            .arg(&file);
        put.run()
    };
    let (own, link) = (sandbox.path("own"), sandbox.path("link"));
    fs::create_dir(&own).unwrap();
    symlink(&own, &link).unwrap();
    put(&link.join("journal.db"))
        .exits(73)
        .stderr_contains("symbolic link");
    symlink(sandbox.path("elsewhere.db"), own.join("link.db")).unwrap();
    put(&own.join("link.db")).exits(73);
    assert!(!sandbox.path("elsewhere.db").exists());

    fs::set_permissions(&own, Permissions::from_mode(0o1777)).unwrap();
    put(&own.join("journal.db"))
        .exits(73)
        .stderr_contains("--journal");
    fs::set_permissions(&own, Permissions::from_mode(0o700)).unwrap();
    if geteuid().is_root() {
        // As with `sudo`, that leaves HOME as it was.
        chown(&own, Some(12_345), Some(12_345)).unwrap();
        put(&own.join("journal.db"))
            .exits(73)
            .stderr_contains("another user");
        put(&own.join("not/there/yet/journal.db"))
            .exits(73)
            .stderr_contains("another user");
        chown(&own, Some(0), Some(0)).unwrap();
    }
    assert_eq!(
        fs::read_dir(&own).unwrap().count(),
        1,
        "something was made there"
    );
    put(&own.join("journal.db")).succeeds();
}

#[test]
fn a_configuration_that_others_can_write_is_not_followed() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 10);
    let dir = sandbox.path("settings");
    fs::create_dir(&dir).unwrap();
    let (config, token) = (dir.join("config.toml"), dir.join("token"));
    fs::write(&config, "backend = \"embedded\"\n").unwrap();
    fs::write(&token, "canary\n").unwrap();
    let modes = |dir_mode: u32, file_mode: u32| {
        fs::set_permissions(&dir, Permissions::from_mode(dir_mode)).unwrap();
        for file in [&config, &token] {
            fs::set_permissions(file, Permissions::from_mode(file_mode)).unwrap();
        }
    };
    let with_config = || {
        sandbox
            .upload(["put", "--config"])
            .arg(&config)
            .arg(&file)
            .run()
    };
    let with_token = || {
        sandbox
            .upload(["put", "--backend", "embedded", "--token-file"])
            .arg(&token)
            .arg(&file)
            .run()
    };
    for (dir_mode, file_mode) in [
        (0o755, 0o664),
        (0o755, 0o646),
        (0o775, 0o644),
        (0o757, 0o600),
    ] {
        modes(dir_mode, file_mode);
        with_config().exits(78).stderr_contains("chmod go-w");
        with_token().exits(78).stderr_contains("chmod go-w");
    }
    if geteuid().is_root() {
        modes(0o755, 0o644);
        chown(&config, Some(12_345), None).unwrap();
        with_config().exits(78).stderr_contains("another user");
        chown(&config, Some(0), None).unwrap();
    }
    modes(0o755, 0o644);
    with_config().succeeds();
    with_token().succeeds();
}

/// The token is in no argument; a dump of the memory it is in is not to be had, however much the shell allows.
#[test]
fn memory_that_holds_a_token_is_not_dumped() {
    let world = World::with_args(&["--auth", "tokens"]);
    let token = world.gateway.token("canary");
    let file = world.sandbox.file("film.bin", 2 * PART);
    let script = "ulimit -c unlimited; exec \"$0\" put --part-size 5MiB \"$1\"";
    let put = world
        .sandbox
        .command("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_upload")])
        .arg(&file);
    let put = put
        .env("UPLOAD_BACKEND", world.proxy.url())
        .env("UPLOAD_TOKEN", &token);
    let running = held(&world, put, PART);
    let typed = fs::read(format!("/proc/{}/cmdline", running.pid())).unwrap();
    assert!(!String::from_utf8_lossy(&typed).contains(&token));
    // What /proc shows of it belongs to root: neither its environment nor its memory is for others, nor for a debugger of ours.
    if !geteuid().is_root() {
        assert!(fs::read(format!("/proc/{}/environ", running.pid())).is_err());
    }
    let tasks = fs::read_dir(format!("/proc/{}/task", running.pid())).unwrap();
    for task in tasks {
        let children =
            fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default();
        assert_eq!(children, "", "a child would inherit the environment");
    }
    running.signal(Signal::QUIT);
    let output = running.wait();
    assert_eq!(output.code(), None);
    assert!(!output.core_dumped(), "{output}");
    world.proxy.unblock();
    world.resume().env("UPLOAD_TOKEN", &token).run().succeeds();
}

/// Whatever the environment says: a proxy has no business between a gateway and what runs on its machine.
#[test]
fn a_gateway_reaches_its_store_past_any_proxy() {
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let url = format!("http://{}", proxy.local_addr().unwrap());
    let names = [
        "http_proxy",
        "HTTP_PROXY",
        "https_proxy",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
    ];
    // As it starts it tries the store, over HTTP.
    let gateway = Gateway::start(&[], &names.map(|name| (name, url.as_str())));
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 2 * PART);
    sandbox
        .upload(["put", "--backend", &gateway.url()])
        .arg(&file)
        .run()
        .succeeds();
    gateway.store().assert_holds_only(&file);
    assert_eq!(proxy.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
}

/// Who is turned away learns nothing of why; who runs the gateway does, and neither log holds the token.
#[test]
fn a_gateway_says_in_its_log_why_it_turned_a_token_away() {
    let gateway = Gateway::start(&["-v", "--auth", "tokens"], &[]);
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 10);
    let token = format!("{}canary", gateway.token("ci"));
    let put = sandbox
        .upload(["put", "--backend", &gateway.url()])
        .arg(&file)
        .env("UPLOAD_TOKEN", &token);
    let output = put.run().exits(77);
    let log = gateway.stderr();
    assert!(
        log.contains("token rejected") && log.contains("its secret is wrong"),
        "{log}"
    );
    assert!(
        !output.stderr().contains("secret is wrong"),
        "{}",
        output.stderr()
    );
    for text in [log.as_str(), output.stderr()] {
        assert!(
            !text.contains("canary") && !text.contains(&token[..30]),
            "{text}"
        );
    }
}
