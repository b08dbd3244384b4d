//! A gateway that is started again after a kill.

use std::fs;

use crate::support::command::{Command, Output, Running};
use crate::support::proxy::Proxy;
use crate::support::reserved_port::ReservedPort;
use crate::support::sandbox::Sandbox;
use crate::support::wait;

/// A gateway that may be killed, and is then started again without a crash point. The probe of the
/// store is off, since it passes points before any upload.
pub struct RestartableGateway {
    pub sandbox: Sandbox,
    pub proxy: Proxy,
    /// Further arguments of `upload serve`.
    pub args: Vec<String>,
    /// The URL of the ledger, if it is not a file.
    pub ledger: Option<String>,
    port: ReservedPort,
    running: Option<Running>,
    pub was_killed: bool,
}

impl RestartableGateway {
    pub fn new() -> Self {
        let (sandbox, proxy) = (Sandbox::new(), Proxy::start());
        let port = ReservedPort::new();
        proxy.forward_to(port.addr());
        Self {
            sandbox,
            proxy,
            args: Vec::new(),
            ledger: None,
            port,
            running: None,
            was_killed: false,
        }
    }

    /// Starts the gateway; returns true if it listens, false if it was killed earlier.
    pub fn start(&mut self, crash_env: Option<(&str, &str)>) -> bool {
        let credentials = self.sandbox.path("credentials").display().to_string();
        let args = [
            "serve",
            "--listen",
            &self.port.addr().to_string(),
            "--public-url",
            &self.proxy.url(),
            "--store-probe",
            "off",
        ];
        let mut command = self
            .sandbox
            .upload(args)
            .args(["--store-credentials", &credentials])
            .args(&self.args);
        if let Some(url) = &self.ledger {
            command = command.env("UPLOAD_LEDGER", url);
        }
        if let Some((name, value)) = crash_env {
            command = command.env(name, value);
        }
        let mut running = command.spawn();
        let listens = wait::until("the gateway to listen or to end", || {
            let listens = running.stderr().contains("listening on http://");
            (listens || !running.is_running()).then_some(listens)
        });
        self.running = Some(running);
        listens
    }

    /// Starts the gateway again if it was killed.
    pub fn restart_if_dead(&mut self) {
        if self
            .running
            .as_mut()
            .is_none_or(|running| !running.is_running())
        {
            self.was_killed = true;
            assert!(
                self.start(None),
                "the gateway does not start again: {}",
                self.stderr()
            );
        }
    }

    fn stderr(&self) -> String {
        self.running
            .as_ref()
            .map(Running::stderr)
            .unwrap_or_default()
    }

    /// The credentials of its store.
    pub fn credentials(&self) -> String {
        fs::read_to_string(self.sandbox.path("credentials")).unwrap()
    }

    /// Runs a client to its end and restarts the gateway meanwhile.
    pub fn run_client(&mut self, command: Command) -> Output {
        let mut client = command.spawn();
        wait::until("the client to end", || {
            self.restart_if_dead();
            (!client.is_running()).then_some(())
        });
        client.wait()
    }

    pub fn wait_until_killed(&mut self) {
        wait::until("the gateway to be killed", || {
            (!self.running.as_mut()?.is_running()).then_some(())
        });
    }

    pub fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            running.kill9();
        }
    }
}
