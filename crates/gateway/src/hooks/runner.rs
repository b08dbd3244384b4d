//! The hooks of a gateway: checks their configuration, and runs one of them.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::command;
use super::disposal::OnReject;
use super::document::Document;
use super::hook::{Hook, HookKind};
use super::verdict::Verdict;
use super::webhook::{self, WebhookClient};
use upload_net::Network;
use upload_types::Token;
use upload_types::backoff::Backoff;
use upload_types::error::{Error, Kind, Result};

const MAX_NAME_BYTES: usize = 64;
const MIN_SECRET_BYTES: usize = 16;
/// Leaves room for the longest key after the prefix.
const MAX_QUARANTINE_PREFIX_BYTES: usize = 256;
/// The first key segment of all uploads.
const UPLOADS_PREFIX: &str = "uploads";
const RETRY_BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_hours(1));

/// The delay before a hook runs again after `failures` failures in a row. `random` is in 0..1.
#[must_use]
pub fn retry_delay(failures: u32, random: f64) -> Duration {
    RETRY_BACKOFF.equal_jitter(failures, random)
}

/// The hooks of a gateway, in the order in which they run. By default there are none.
#[derive(Debug, Clone, Default)]
pub struct Hooks {
    list: Arc<[Hook]>,
    on_reject: OnReject,
    /// Present if there is a webhook.
    webhook_client: Option<WebhookClient>,
}

impl Hooks {
    /// Checks the configuration of the hooks.
    ///
    /// # Errors
    /// [`Kind::Config`] for an invalid or duplicate name, a program that cannot be run, a webhook
    /// without a secret, or an invalid quarantine prefix.
    pub fn new(
        list: Vec<Hook>,
        on_reject: OnReject,
        secret: Option<Token>,
        network: &Network,
    ) -> Result<Self> {
        let mut names = HashSet::new();
        for hook in &list {
            let is_new = names.insert(hook.name.as_str());
            check_hook(hook, is_new)?;
        }
        if let OnReject::Quarantine(prefix) = &on_reject {
            check_quarantine_prefix(prefix)?;
        }
        let has_webhook = list
            .iter()
            .any(|hook| matches!(hook.kind, HookKind::Webhook { .. }));
        let webhook_client = if has_webhook {
            Some(webhook_client(secret, network)?)
        } else {
            None
        };
        Ok(Self {
            list: list.into(),
            on_reject,
            webhook_client,
        })
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Hook> {
        self.list.iter()
    }

    #[must_use]
    pub fn on_reject(&self) -> &OnReject {
        &self.on_reject
    }

    /// Runs one of the hooks for an upload. If the future is dropped, the hook ends: a program is
    /// killed together with its child processes.
    pub async fn run(&self, hook: &Hook, document: &Document<'_>) -> Verdict {
        let body = match serde_json::to_vec(document) {
            Ok(body) => body,
            Err(error) => {
                return Verdict::Retry(format!("its document could not be encoded: {error}"));
            }
        };
        let run = async {
            match (&hook.kind, &self.webhook_client) {
                (HookKind::Command { program, args }, _) => {
                    command::run(&hook.name, program, args, &body).await
                }
                (HookKind::Webhook { url }, Some(client)) => {
                    client.call(url, &document.delivery_id(), body).await
                }
                (HookKind::Webhook { .. }, None) => {
                    Verdict::Retry("there is no secret to sign the request".to_owned())
                }
            }
        };
        timeout(hook.time_limit, run).await.unwrap_or_else(|_| {
            Verdict::Retry(format!("it did not end within {:?}", hook.time_limit))
        })
    }
}

fn check_hook(hook: &Hook, is_name_new: bool) -> Result<()> {
    let error = |reason: &str| {
        let name = &hook.name;
        Error::new(Kind::Config, format!("could not use the hook {name:?}")).with_source(reason)
    };
    let is_name_valid = (1..=MAX_NAME_BYTES).contains(&hook.name.len())
        && hook
            .name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b));
    if !is_name_valid {
        return Err(error(
            "its name is not 1 to 64 letters, digits, -, _, . or :",
        ));
    }
    if !is_name_new {
        return Err(
            error("another hook has that name").with_hint("give it another name: --hook NAME=…")
        );
    }
    match &hook.kind {
        HookKind::Command { program, .. } => {
            command::check(program).map_err(|reason| error(&reason))
        }
        HookKind::Webhook { url } => webhook::check(url).map_err(error),
    }
}

fn check_quarantine_prefix(prefix: &str) -> Result<()> {
    let is_segment_valid = |segment: &str| {
        !matches!(segment, "" | "." | "..") && !segment.chars().any(char::is_control)
    };
    let is_among_uploads = prefix.split('/').next() == Some(UPLOADS_PREFIX);
    if !is_among_uploads
        && prefix.len() <= MAX_QUARANTINE_PREFIX_BYTES
        && prefix.split('/').all(is_segment_valid)
    {
        return Ok(());
    }
    Err(Error::new(
        Kind::Config,
        format!("could not use {prefix:?} as the prefix of the quarantine"),
    )
    .with_hint(
        "use another prefix of keys, such as quarantine; uploads is the prefix of all uploads",
    ))
}

fn webhook_client(secret: Option<Token>, network: &Network) -> Result<WebhookClient> {
    match secret {
        Some(secret) if secret.expose().len() >= MIN_SECRET_BYTES => {
            WebhookClient::new(secret, network)
        }
        Some(_) => Err(Error::new(
            Kind::Config,
            format!(
                "could not use the secret of webhooks: it has fewer than {MIN_SECRET_BYTES} bytes"
            ),
        )
        .with_hint("put a longer random secret into the file of --hook-secret-file")),
        None => Err(
            Error::new(Kind::Config, "could not sign webhooks: no secret is given")
                .with_hint("name a file that contains a secret: --hook-secret-file FILE"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_delays_double_up_to_an_hour_and_are_jittered_by_half() {
        let ms = |failures, random| retry_delay(failures, random).as_millis();
        assert_eq!(
            [0, 1, 2, 3, 4].map(|failures| ms(failures, 0.0)),
            [1000, 1000, 2000, 4000, 8000]
        );
        assert_eq!(
            [1, 2, 3, 4].map(|failures| ms(failures, 1.0)),
            [500, 1000, 2000, 4000]
        );
        assert_eq!(
            [13, 100, u32::MAX].map(|failures| ms(failures, 0.0)),
            [3_600_000; 3]
        );
    }

    fn hook(name: &str, kind: HookKind) -> Hook {
        Hook {
            name: name.into(),
            kind,
            time_limit: Duration::from_secs(1),
        }
    }

    fn command(program: &str) -> HookKind {
        HookKind::Command {
            program: program.into(),
            args: Vec::new(),
        }
    }

    fn webhook(url: &str) -> HookKind {
        HookKind::Webhook {
            url: url.parse().unwrap(),
        }
    }

    #[test]
    fn invalid_hooks_are_rejected_at_startup() {
        let is_valid = |list: Vec<Hook>| {
            let secret = Token::new("0123456789abcdef".into());
            Hooks::new(list, OnReject::Delete, Some(secret), &Network::default()).is_ok()
        };
        assert!(is_valid(vec![
            hook("a", command("/bin/sh")),
            hook("b", webhook("http://10.0.0.1:1/x?y"))
        ]));
        assert!(!is_valid(vec![
            hook("a", command("/bin/sh")),
            hook("a", command("/bin/sh"))
        ]));
        for name in ["", "a b", "é", "a\n"] {
            assert!(!is_valid(vec![hook(name, command("/bin/sh"))]), "{name:?}");
        }
        for program in ["sh", "bin/sh", "/bin", "/nowhere/at/all", "/etc/passwd"] {
            assert!(!is_valid(vec![hook("a", command(program))]), "{program}");
        }
        for url in ["ftp://host/", "https://user:password@host/"] {
            assert!(!is_valid(vec![hook("a", webhook(url))]), "{url}");
        }
    }

    #[test]
    fn webhooks_need_a_secret() {
        for secret in [None, Some(Token::new("short".into()))] {
            let list = vec![hook("a", webhook("https://host/"))];
            assert!(Hooks::new(list, OnReject::Keep, secret, &Network::default()).is_err());
        }
    }

    #[test]
    fn quarantine_prefix_must_not_be_among_uploads() {
        for prefix in ["", "uploads", "uploads/x", "/a", "a//b", "a/../b"] {
            let on_reject = OnReject::Quarantine(prefix.into());
            assert!(
                Hooks::new(vec![], on_reject, None, &Network::default()).is_err(),
                "{prefix}"
            );
        }
    }
}
