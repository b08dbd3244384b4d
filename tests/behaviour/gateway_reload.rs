//! SIGHUP: a running gateway reads its configuration again.

use std::fs;

use rustix::process::Signal;

use crate::support::gateway::Gateway;
use crate::support::raw_http::{self, Response};
use crate::support::sandbox::Sandbox;
use crate::support::wait;

/// A gateway with a configuration file.
struct Configured {
    gateway: Gateway,
}

impl Configured {
    #[track_caller]
    fn new(text: &str) -> Self {
        let sandbox = Sandbox::new();
        let path = sandbox.path("serve.toml");
        fs::write(&path, text).unwrap();
        let config = path.to_str().unwrap().to_owned();
        let gateway = Gateway::start_in(sandbox, &["--config", &config], &[]);
        Self { gateway }
    }

    /// Writes another configuration and waits until the log has `line`.
    #[track_caller]
    fn reload(&self, text: &str, line: &str) -> String {
        fs::write(self.gateway.sandbox().path("serve.toml"), text).unwrap();
        let before = self.gateway.stderr().len();
        self.gateway.signal(Signal::HUP);
        wait::until(line, || {
            let stderr = self.gateway.stderr().get(before..)?.to_owned();
            stderr.contains(line).then_some(stderr)
        })
    }

    #[track_caller]
    fn begin(&self, content_type: &str) -> Response {
        let body = format!(r#"{{"name":"a","size":7,"content_type":"{content_type}"}}"#);
        let key = format!("idempotency-key: {content_type}");
        let headers = ["content-type: application/json", &key];
        let addr = self.gateway.addr();
        raw_http::request(addr, "POST", "/v1/uploads", &headers, body.as_bytes())
    }
}

#[test]
fn hangup_applies_changed_settings_and_names_those_that_need_a_restart() {
    let configured = Configured::new("allow_type = \"video/*\"\n");
    assert_eq!(configured.begin("image/png").status, 415);
    let text = "allow_type = [\"video/*\", \"image/*\"]\nverbose = 1\nurl_ttl = \"1h\"\n\
                [[limits]]\nowner = \"local\"\nquota = \"open=1\"\n";
    let log = configured.reload(text, "after a restart");
    assert!(
        log.contains("applied=\"limits allow_type verbose\""),
        "{log}"
    );
    assert!(log.contains("settings=\"url_ttl\""), "{log}");
    assert_eq!(configured.begin("image/png").status, 201);
    assert_eq!(configured.begin("image/jpeg").status, 429);
    wait::until("a line of a request", || {
        configured
            .gateway
            .stderr()
            .contains("upload::access")
            .then_some(())
    });
}

#[test]
fn attributes_that_a_reload_allows_can_be_chosen() {
    let configured = Configured::new("");
    let put = || {
        let sandbox = configured.gateway.sandbox();
        let put = sandbox.upload(["put", "--backend", &configured.gateway.url()]);
        put.args(["--tag", "a=b"]).arg(sandbox.file("a", 100)).run()
    };
    put().exits(77);
    let text = "allow_attribute = [\"tag\"]\n";
    configured.reload(text, "applied=\"allow_attribute\"");
    put().succeeds();
}

#[test]
fn wrong_configuration_at_hangup_keeps_the_previous_one() {
    let configured = Configured::new("allow_type = \"video/*\"\n");
    for wrong in [
        "allow_type = \"image/*\"\nquota = \"many\"\n",
        "allow_type = \"image/*\"\n[broken\n",
        "allow_type = \"image/*\"\nhook = \"exec:/nowhere/at/all\"\n",
        "allow_types = \"image/*\"\n",
    ] {
        let log = configured.reload(wrong, "could not reload");
        assert!(log.contains("ERROR"), "{log}");
        assert_eq!(configured.begin("image/png").status, 415, "{wrong}");
    }
    assert_eq!(configured.begin("video/mp4").status, 201);
    configured.reload("allow_type = \"image/*\"\n", "applied=\"allow_type\"");
    assert_eq!(configured.begin("image/png").status, 201);
}

#[test]
fn hooks_that_a_reload_adds_check_uploads() {
    let configured = Configured::new("");
    let put = |name: &str| {
        let file = configured.gateway.sandbox().file(name, 100);
        let sandbox = configured.gateway.sandbox();
        let put = sandbox.upload(["put", "--backend", &configured.gateway.url()]);
        put.args(["--wait", "ready"]).arg(file).run()
    };
    put("a").succeeds();
    let text = "hook = \"check=exec:/bin/sh\"\nhook_arg = [\"check=-c\", \"check=exit 10\"]\n";
    configured.reload(text, "applied=\"hook\"");
    put("b").exits(77);
    configured.reload("", "applied=\"hook\"");
    put("c").succeeds();
}

/// The hook could be added at once, but `cdn` applies until a restart: objects would be public
/// before the hook has accepted them.
#[test]
fn hook_is_not_added_while_a_cdn_is_still_in_use() {
    let configured = Configured::new("cdn = \"https://cdn.example\"\nallow_type = \"video/*\"\n");
    let text = "hook = \"exec:/bin/sh\"\nallow_type = \"image/*\"\n";
    let log = configured.reload(text, "could not reload");
    assert!(log.contains("ERROR"), "{log}");
    assert_eq!(configured.begin("image/png").status, 415);
    assert_eq!(configured.begin("video/mp4").status, 201);
}
