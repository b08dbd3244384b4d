//! Protection from other users of the machine: modes of files, directories of others, process
//! memory.
//!
//! Not here: the contents of files (`secrets`).

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::Path;

use rustix::process::{Signal, geteuid};

use crate::support::PART;
use crate::support::command::Command;
use crate::support::gateway::Gateway;
use crate::support::sandbox::Sandbox;
use crate::support::world::World;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Journal, write-ahead log, shared memory and locks are private to their owner with any umask.
#[test]
fn files_of_the_client_are_private_to_their_owner() {
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
    let running = world.run_until_blocked(put, PART);
    let home = world.sandbox.path("home");
    let files: Vec<_> = world
        .sandbox
        .files()
        .into_iter()
        .filter(|path| path.starts_with(&home))
        .collect();
    for name in ["journal.db", "journal.db-wal", "journal.db-shm"] {
        assert!(
            files.iter().any(|path| path.ends_with(name)),
            "{name} is not among {files:?}"
        );
    }
    assert!(
        files
            .iter()
            .any(|path| path.display().to_string().contains("journal.db.locks/")),
        "{files:?}"
    );
    for path in &files {
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
fn files_of_the_embedded_backend_are_private_to_their_owner() {
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
fn journal_in_a_directory_that_others_control_is_rejected() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 10);
    let put = |journal: &Path| {
        let put = sandbox
            .upload(["put", "--backend", "embedded", "--journal"])
            .arg(journal)
            .arg(&file);
        put.run()
    };
    let (dir, link) = (sandbox.path("dir"), sandbox.path("link"));
    fs::create_dir(&dir).unwrap();
    symlink(&dir, &link).unwrap();
    put(&link.join("journal.db"))
        .exits(73)
        .stderr_contains("symbolic link");
    symlink(sandbox.path("elsewhere.db"), dir.join("link.db")).unwrap();
    put(&dir.join("link.db")).exits(73);
    assert!(!sandbox.path("elsewhere.db").exists());

    fs::set_permissions(&dir, Permissions::from_mode(0o1777)).unwrap();
    put(&dir.join("journal.db"))
        .exits(73)
        .stderr_contains("--journal");
    fs::set_permissions(&dir, Permissions::from_mode(0o700)).unwrap();
    if geteuid().is_root() {
        // As with `sudo`, which may keep the HOME of another user.
        chown(&dir, Some(12_345), Some(12_345)).unwrap();
        put(&dir.join("journal.db"))
            .exits(73)
            .stderr_contains("another user");
        put(&dir.join("not/there/yet/journal.db"))
            .exits(73)
            .stderr_contains("another user");
        chown(&dir, Some(0), Some(0)).unwrap();
    }
    assert_eq!(
        fs::read_dir(&dir).unwrap().count(),
        1,
        "a file was made in the rejected directory"
    );
    put(&dir.join("journal.db")).succeeds();
}

/// Kubernetes makes such directories for an emptyDir volume, or a volume with an fsGroup.
#[test]
fn home_that_all_users_may_write_to_gets_private_directories() {
    for volume_mode in [0o777, 0o2777] {
        let sandbox = Sandbox::new();
        let file = sandbox.file("film.bin", 10);
        let volume = sandbox.path("volume");
        fs::create_dir(&volume).unwrap();
        fs::set_permissions(&volume, Permissions::from_mode(volume_mode)).unwrap();
        let put = Command::new(env!("CARGO_BIN_EXE_upload"))
            .without_env()
            .env("HOME", &volume)
            .args(["put", "--backend", "embedded"])
            .arg(&file);
        put.run().succeeds();
        for directory in [".local", ".local/state/upload", ".local/share/upload"] {
            assert_eq!(mode(&volume.join(directory)), 0o700, "{directory}");
        }
    }
}

/// The places of `upload serve` are checked like that of the journal.
#[test]
fn ledger_and_store_in_directories_that_others_control_are_rejected() {
    let sandbox = Sandbox::new();
    let (dir, link) = (sandbox.path("place"), sandbox.path("link"));
    fs::create_dir(&dir).unwrap();
    symlink(&dir, &link).unwrap();
    let own = sandbox.path("own");
    fs::create_dir(&own).unwrap();
    let serve = |ledger: &Path, store: &Path| {
        let ledger = format!("sqlite:{}", ledger.join("gateway.db").display());
        let store = format!("embedded:{}", store.display());
        let serve = sandbox.upload(["serve", "--listen", "127.0.0.1:0", "--ledger"]);
        serve.arg(ledger).args(["--store", &store])
    };
    let assert_rejected = |reason: &str, place: &Path| {
        for (ledger, store) in [(place, &*own), (&*own, place)] {
            let output = serve(ledger, store).run().exits(73);
            assert!(output.stderr().contains(reason), "{output}");
        }
    };
    fs::set_permissions(&dir, Permissions::from_mode(0o777)).unwrap();
    assert_rejected("every user", &dir);
    assert_eq!(mode(&dir), 0o777);
    fs::set_permissions(&dir, Permissions::from_mode(0o755)).unwrap();
    assert_rejected("symbolic link", &link);
    assert_eq!(mode(&dir), 0o755);
    if geteuid().is_root() {
        chown(&dir, Some(12_345), None).unwrap();
        assert_rejected("another user", &dir);
        assert_rejected("another user", &dir.join("new"));
        chown(&dir, Some(0), None).unwrap();
    }
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
    let mut running = serve(&dir, &dir).spawn();
    running.wait_for("`listening`", |running| {
        running.stderr().contains("listening on").then_some(())
    });
}

#[test]
fn embedded_store_of_a_client_in_a_directory_that_others_control_is_rejected() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 10);
    let store = sandbox.path("data/upload/store");
    fs::create_dir_all(&store).unwrap();
    fs::set_permissions(&store, Permissions::from_mode(0o777)).unwrap();
    let put = || {
        let put = sandbox.upload(["put", "--backend", "embedded"]).arg(&file);
        put.env("XDG_DATA_HOME", sandbox.path("data")).run()
    };
    put().exits(73).stderr_contains("every user");
    fs::set_permissions(&store, Permissions::from_mode(0o700)).unwrap();
    put().succeeds();
}

#[test]
fn hook_program_that_others_control_is_rejected() {
    let sandbox = Sandbox::new();
    let dir = sandbox.path("hooks");
    fs::create_dir(&dir).unwrap();
    let program = dir.join("check");
    fs::write(&program, "#!/bin/sh\nexit 0\n").unwrap();
    let link = sandbox.path("link");
    symlink(&program, &link).unwrap();
    let modes = |dir_mode, file_mode| {
        fs::set_permissions(&dir, Permissions::from_mode(dir_mode)).unwrap();
        fs::set_permissions(&program, Permissions::from_mode(file_mode)).unwrap();
    };
    let serve = |program: &Path| {
        let hook = format!("exec:{}", program.display());
        sandbox.upload(["serve", "--listen", "127.0.0.1:0", "--hook", &hook])
    };
    for (dir_mode, file_mode) in [(0o755, 0o757), (0o777, 0o755)] {
        modes(dir_mode, file_mode);
        for program in [&program, &link] {
            let output = serve(program).run().exits(78);
            assert!(output.stderr().contains("every user"), "{output}");
        }
    }
    modes(0o755, 0o755);
    if geteuid().is_root() {
        for owned in [&program, &dir] {
            chown(owned, Some(12_345), None).unwrap();
            let output = serve(&link).run().exits(78);
            assert!(output.stderr().contains("another user"), "{output}");
            chown(owned, Some(0), None).unwrap();
        }
    }
    let mut running = serve(&link).spawn();
    running.wait_for("`listening`", |running| {
        running.stderr().contains("listening on").then_some(())
    });
}

#[test]
fn secret_that_others_can_read_has_a_warning_that_names_the_remedy() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 10);
    let (token, headers) = (
        world.sandbox.path("my token"),
        world.sandbox.path("headers"),
    );
    fs::write(&token, "canary").unwrap();
    fs::write(&headers, "X-Key: canary\n").unwrap();
    let put = |args: &[&str]| {
        let put = world.put(&file).arg("--token-file").arg(&token);
        let put = put.arg("--header").arg(format!("@{}", headers.display()));
        put.args(args).run().succeeds()
    };
    for mode in [0o644, 0o640] {
        for path in [&token, &headers] {
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
        assert!(put(&["--quiet"]).stderr().contains("warning"));
        let output = put(&[]);
        let warnings = output.stderr().lines();
        let warnings: Vec<_> = warnings.filter(|line| line.contains("warning: ")).collect();
        assert_eq!(warnings.len(), 2, "{output}");
        for warning in warnings {
            let command = warning.split('`').nth(1).unwrap();
            let shell = world.sandbox.command("sh").args(["-c", command]);
            shell.run().succeeds();
        }
        assert!(!put(&[]).stderr().contains("warning"));
    }
}

#[test]
fn configuration_that_others_can_write_is_rejected() {
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
    let put_with_config = || {
        sandbox
            .upload(["put", "--config"])
            .arg(&config)
            .arg(&file)
            .run()
    };
    let put_with_token = || {
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
        put_with_config().exits(78).stderr_contains("chmod go-w");
        put_with_token().exits(78).stderr_contains("chmod go-w");
    }
    if geteuid().is_root() {
        modes(0o755, 0o644);
        chown(&config, Some(12_345), None).unwrap();
        put_with_config().exits(78).stderr_contains("another user");
        chown(&config, Some(0), None).unwrap();
    }
    modes(0o755, 0o644);
    put_with_config().succeeds();
    put_with_token().succeeds();
}

/// The token is in no argument, and there is no core dump even if the shell allows one.
#[test]
fn process_with_a_token_writes_no_core_dump() {
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
    let running = world.run_until_blocked(put, PART);
    let arguments = fs::read(format!("/proc/{}/cmdline", running.pid())).unwrap();
    assert!(!String::from_utf8_lossy(&arguments).contains(&token));
    // Its files in /proc belong to root: other users cannot read its environment or memory, nor can
    // a debugger of the same user.
    if !geteuid().is_root() {
        assert!(fs::read(format!("/proc/{}/environ", running.pid())).is_err());
    }
    let tasks = fs::read_dir(format!("/proc/{}/task", running.pid())).unwrap();
    for task in tasks {
        let children = fs::read_to_string(task.unwrap().path().join("children")).unwrap();
        assert_eq!(children, "", "a child process inherits the environment");
    }
    running.signal(Signal::QUIT);
    let output = running.wait();
    assert_eq!(output.code(), None);
    assert!(!output.core_dumped(), "{output}");
    world.proxy.unblock();
    world.resume().env("UPLOAD_TOKEN", &token).run().succeeds();
}

/// A gateway ignores the proxies of the environment for a store on its own machine.
#[test]
fn gateway_uses_no_proxy_for_a_store_on_its_machine() {
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
    // At its start the gateway probes the store over HTTP.
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

/// The gateway's log holds the reason of a rejected token; the client's message does not. Neither
/// holds the token.
#[test]
fn gateway_logs_the_reason_of_a_rejected_token() {
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
        log.contains("token refused") && log.contains("its secret is wrong"),
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
