//! Post-upload actions: what is run for an object once it is verified, and what it says of it.
//!
//! Border: one hook and one upload give one verdict, and it changes nothing. When hooks run, and what follows from a verdict, is
//! `service/hooks`; an action is a program (`command`) or a request (`webhook`).

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

use upload_types::error::{Error, Kind, Result};
use upload_types::names::Token;

mod command;
mod document;
mod webhook;

pub use document::Document;

/// The most bytes of an answer, or of what a program prints, that are read.
const SAID_MAX: usize = 64 << 10;
/// The longest reason, in characters.
const REASON_MAX: usize = 500;
/// The first wait after a failure, and the longest.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_hours(1);
/// The shortest secret that signs webhooks.
const SECRET_MIN: usize = 16;
/// The longest prefix of a quarantine, which leaves room for any key of ours behind it.
const PREFIX_MAX: usize = 256;

/// An action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// 1 to 64 of letters, digits and `-_.:`; no other hook of the gateway has it. What has accepted an upload is remembered
    /// by it.
    pub name: String,
    pub kind: HookKind,
    /// How long it may take for one upload.
    pub time_limit: Duration,
}

#[derive(Clone, PartialEq, Eq)]
pub enum HookKind {
    /// Run without a shell; an absolute path.
    Command {
        program: PathBuf,
        args: Vec<String>,
    },
    Webhook {
        url: Url,
    },
}

/// A webhook's path or query may be what lets us in there, and so may an argument.
impl fmt::Debug for HookKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command { program, .. } => write!(f, "Command({})", program.display()),
            Self::Webhook { url } => write!(f, "Webhook({})", url.origin().ascii_serialization()),
        }
    }
}

/// What becomes of an object that a hook rejects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum OnReject {
    #[default]
    Delete,
    /// It stays where it is; nobody reads it through the gateway.
    Keep,
    /// It moves below this prefix.
    Quarantine(String),
}

/// The same for one object, as it was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    Delete,
    Keep,
    /// It moves to this key.
    Quarantine(String),
}

/// What a hook says of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Accept,
    Reject(Reason),
    /// It could not tell: to be asked again. The text is for the log.
    Later(String),
}

/// Why an object was rejected: words of a stranger, in one line without anything that a terminal obeys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason(String);

impl Reason {
    /// Whatever was said, made fit; nothing said is `rejected`.
    #[must_use]
    pub fn of(text: Option<&str>) -> Self {
        let text: String = words(text.unwrap_or_default(), REASON_MAX);
        Self(if text.is_empty() {
            "rejected".to_owned()
        } else {
            text
        })
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Text of others in one line: without control or invisible characters, without a signature, and cut.
fn words(text: &str, max: usize) -> String {
    // What a debugger would escape is what a terminal may obey or hide, but for quotes.
    let shown = |c: char| matches!(c, '"' | '\'' | '\\') || c.escape_debug().nth(1).is_none();
    let text: String = text
        .chars()
        .map(|c| if shown(c) { c } else { ' ' })
        .collect();
    // Tools like to name the URL that failed them.
    let discreet = |word: &str| match word.split_once('?') {
        Some((place, query)) if query.contains("X-Amz-") => format!("{place}?REDACTED"),
        _ => word.to_owned(),
    };
    let text = text
        .split_whitespace()
        .map(discreet)
        .collect::<Vec<_>>()
        .join(" ");
    text.chars().take(max).collect()
}

/// How long to wait after so many failures in a row: a second, doubled each time up to an hour, of which the `dice` (0..1) take
/// up to a half.
#[must_use]
pub fn back_off(failures: u32, dice: f64) -> Duration {
    let whole = FIRST
        .saturating_mul(1 << failures.saturating_sub(1).min(16))
        .min(LONGEST);
    whole.mul_f64(1.0 - dice.clamp(0.0, 1.0) / 2.0)
}

/// The hooks of a gateway, in the order they are run; by default none.
#[derive(Debug, Clone, Default)]
pub struct Hooks {
    pub list: Arc<[Hook]>,
    pub on_reject: OnReject,
    webhooks: Option<webhook::Sender>,
}

impl Hooks {
    /// Checks them, and what they need.
    ///
    /// # Errors
    /// [`Kind::Config`] for names that are none or not unique, a program that cannot be run, a webhook without a secret, and a
    /// quarantine that no key can begin with.
    pub fn new(list: Vec<Hook>, on_reject: OnReject, secret: Option<Token>) -> Result<Self> {
        let fits = |name: &str| {
            (1..=64).contains(&name.len())
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
        };
        for (place, hook) in list.iter().enumerate() {
            let wrong = |why: &str| {
                Error::new(
                    Kind::Config,
                    format!("could not use the hook {:?}", hook.name),
                )
                .with_source(why)
            };
            if !fits(&hook.name) {
                return Err(wrong(
                    "its name is not 1 to 64 of letters, digits, -, _, . and :",
                ));
            }
            if list[..place].iter().any(|other| other.name == hook.name) {
                return Err(wrong("another hook has that name")
                    .with_hint("name it otherwise: --hook NAME=…"));
            }
            match &hook.kind {
                HookKind::Command { program, .. } => {
                    command::check(program).map_err(|why| wrong(&why))?;
                }
                HookKind::Webhook { url } => webhook::check(url).map_err(wrong)?,
            }
        }
        if let OnReject::Quarantine(prefix) = &on_reject {
            let fits = |segment: &str| {
                !matches!(segment, "" | "." | "..") && !segment.chars().any(char::is_control)
            };
            let others = prefix.split('/').next() == Some("uploads");
            if others || prefix.len() > PREFIX_MAX || !prefix.split('/').all(fits) {
                return Err(Error::new(Kind::Config, format!("could not put what is rejected beneath {prefix:?}"))
                    .with_hint(
                        "a quarantine is a prefix of keys, such as quarantine; not uploads, where all others are",
                    ));
            }
        }
        let any_webhook = list
            .iter()
            .any(|hook| matches!(hook.kind, HookKind::Webhook { .. }));
        let webhooks = match (any_webhook, secret) {
            (false, _) => None,
            (true, Some(secret)) if secret.expose().len() >= SECRET_MIN => {
                Some(webhook::Sender::new(secret)?)
            }
            (true, Some(_)) => {
                return Err(Error::new(
                    Kind::Config,
                    format!("the secret of webhooks is shorter than {SECRET_MIN}"),
                ));
            }
            (true, None) => {
                return Err(Error::new(
                    Kind::Config,
                    "webhooks are signed, and there is no secret to sign with",
                )
                .with_hint("name a file that holds one: --hook-secret-file FILE"));
            }
        };
        Ok(Self {
            list: list.into(),
            on_reject,
            webhooks,
        })
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Asks one of them about an upload. Dropped, it ends: a program is killed, and with it those it started.
    pub async fn run(&self, hook: &Hook, document: &Document<'_>) -> Verdict {
        let body = match serde_json::to_vec(document) {
            Ok(body) => body,
            Err(error) => {
                return Verdict::Later(format!("its document could not be written: {error}"));
            }
        };
        let verdict = async {
            match (&hook.kind, &self.webhooks) {
                (HookKind::Command { program, args }, _) => {
                    command::run(&hook.name, program, args, &body).await
                }
                (HookKind::Webhook { url }, Some(sender)) => {
                    sender.ask(url, &document.delivery(), body).await
                }
                (HookKind::Webhook { .. }, None) => {
                    Verdict::Later("there is no secret to sign with".to_owned())
                }
            }
        };
        let late = |_| Verdict::Later(format!("it did not end within {:?}", hook.time_limit));
        tokio::time::timeout(hook.time_limit, verdict)
            .await
            .unwrap_or_else(late)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_an_hour_and_the_dice_take_half_at_most() {
        let ms = |failures, dice| back_off(failures, dice).as_millis();
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

    #[test]
    fn a_reason_is_one_line_of_what_can_be_seen() {
        assert_eq!(Reason::of(None).as_str(), "rejected");
        assert_eq!(Reason::of(Some(" \u{1b}\n")).as_str(), "rejected");
        assert_eq!(
            Reason::of(Some("a \"virus\"\r\n\u{1b}[2J\u{202e}é\u{9b}x\\")).as_str(),
            "a \"virus\" [2J é x\\"
        );
        let signed = "GET http://s/a?X-Amz-Signature=1 failed";
        assert_eq!(
            Reason::of(Some(signed)).as_str(),
            "GET http://s/a?REDACTED failed"
        );
        assert_eq!(
            Reason::of(Some(&"é".repeat(10_000)))
                .as_str()
                .chars()
                .count(),
            REASON_MAX
        );
    }

    fn hook(name: &str, kind: HookKind) -> Hook {
        Hook {
            name: name.into(),
            kind,
            time_limit: Duration::from_secs(1),
        }
    }

    fn run(program: &str) -> HookKind {
        HookKind::Command {
            program: program.into(),
            args: Vec::new(),
        }
    }

    fn ask(url: &str) -> HookKind {
        HookKind::Webhook {
            url: url.parse().unwrap(),
        }
    }

    #[test]
    fn what_cannot_be_a_hook_is_refused_before_anything_begins() {
        let secret = || Some(Token::new("0123456789abcdef".into()));
        let keep = OnReject::Keep;
        let made = |list: Vec<Hook>| Hooks::new(list, OnReject::Delete, secret()).is_ok();
        assert!(made(vec![
            hook("a", run("/bin/sh")),
            hook("b", ask("http://10.0.0.1:1/x?y"))
        ]));
        assert!(!made(vec![
            hook("a", run("/bin/sh")),
            hook("a", run("/bin/sh"))
        ]));
        for name in ["", "a b", "é", "a\n"] {
            assert!(!made(vec![hook(name, run("/bin/sh"))]), "{name:?}");
        }
        for program in ["sh", "bin/sh", "/bin", "/nowhere/at/all", "/etc/passwd"] {
            assert!(!made(vec![hook("a", run(program))]), "{program}");
        }
        for url in ["ftp://host/", "https://user:password@host/"] {
            assert!(!made(vec![hook("a", ask(url))]), "{url}");
        }
        assert!(Hooks::new(vec![hook("a", ask("https://host/"))], keep.clone(), None).is_err());
        assert!(
            Hooks::new(
                vec![hook("a", ask("https://host/"))],
                keep,
                Some(Token::new("short".into()))
            )
            .is_err()
        );
        for prefix in ["", "uploads", "uploads/x", "/a", "a//b", "a/../b"] {
            assert!(
                Hooks::new(vec![], OnReject::Quarantine(prefix.into()), None).is_err(),
                "{prefix}"
            );
        }
    }

    #[test]
    fn a_webhooks_path_is_shown_to_nobody() {
        let shown = format!(
            "{:?}",
            hook("a", ask("https://hooks.example/services/T0/secret?token=x"))
        );
        assert!(
            shown.contains("https://hooks.example")
                && !shown.contains("secret")
                && !shown.contains("token"),
            "{shown}"
        );
    }
}
