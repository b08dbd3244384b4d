//! `upload serve token`: makes, lists and revokes API tokens in the ledger, also while gateways run
//! on it.

use jiff::Timestamp;
use serde::Serialize;

use super::{ledger_location, limit_rules, owners};
use crate::cli::args::serve::TokenVerb;
use crate::cli::hint_commands::quoted;
use crate::cli::output;
use crate::cli::settings::Settings;
use crate::event;
use crate::report::{escape, safe, shorten};
use upload_gateway::{ApiToken, Ledger, LedgerConfig};
use upload_types::error::Result;

const HEADING: &str = "TOKEN        MADE       LAST USE (UTC)   STATE              NAME";
/// The columns of [`HEADING`] before the name.
const TERMINAL_COLUMNS: usize = 12 + 1 + 10 + 1 + 16 + 1 + 18 + 1;

/// A line of `--json`. Only `add` prints the token itself.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quota: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allow_types: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<&'a [String]>,
}

/// # Errors
/// Those of the ledger; [`Kind::Io`](upload_types::error::Kind::Io) if standard output fails.
pub async fn run(settings: &Settings, verb: &TokenVerb) -> Result<()> {
    let (TokenVerb::Add { ledger, .. }
    | TokenVerb::List { ledger }
    | TokenVerb::Revoke { ledger, .. }) = verb;
    let location = ledger_location::resolve(settings, ledger.ledger.as_deref())?;
    if !matches!(verb, TokenVerb::Add { .. }) {
        ledger_location::check_exists(&location)?;
    }
    let is_new = ledger_location::check_exists(&location).is_err();
    let ledger = Ledger::open(&location).await?;
    if is_new && !settings.quiet() {
        // A typing error in the location would make a token that no gateway knows.
        output::eprint_line(&format!(
            "made a new ledger: {}",
            ledger_location::shown(&location)
        ));
    }
    let json = settings.json();
    match verb {
        TokenVerb::Add {
            name,
            expires,
            quota,
            allow_types,
            keys,
            ..
        } => {
            let limits = limit_rules::of_token(quota.as_deref(), allow_types, keys)?;
            let token = ledger.add_limited_token(name, *expires, limits).await?;
            output::print(&(added(name, token.expose(), json) + "\n"))?;
            if !settings.quiet() {
                output::eprint_line(&usage(name, &location));
            }
            Ok(())
        }
        TokenVerb::List { .. } => {
            let tokens = ledger.tokens().await?;
            let columns = output::stdout_columns();
            if columns.is_some() && !json && !tokens.is_empty() {
                output::print(&format!("{HEADING}\n"))?;
            }
            let lines = tokens
                .iter()
                .map(|token| listed(token, json, columns) + "\n");
            output::print(&lines.collect::<String>())
        }
        TokenVerb::Revoke { id, .. } => ledger.revoke(id).await,
    }
}

/// The use of a token, for standard error. Standard output has the token.
fn usage(name: &str, location: &LedgerConfig) -> String {
    let gateway = match location {
        LedgerConfig::Sqlite(path) => {
            let ledger = format!("sqlite:{}", path.display());
            let ledger = escape(&quoted(&[ledger]));
            format!("`upload serve --auth tokens --ledger {ledger}`")
        }
        LedgerConfig::Postgres(_) => "`upload serve --auth tokens` with the same ledger".to_owned(),
    };
    format!(
        "this is the token of {}; it is not shown again\n\
         gateway: run {}\n\
         client: write the token to a file, and run `upload put FILE --backend URL --token-file TOKEN_FILE`",
        safe(name),
        gateway
    )
}

fn added(name: &str, secret: &str, json: bool) -> String {
    if !json {
        return secret.to_owned();
    }
    event::to_json_line(&Line {
        kind: "token",
        id: None,
        name,
        token: Some(secret),
        created_at: None,
        revoked_at: None,
        expires_at: None,
        last_used_at: None,
        subject: None,
        owner: None,
        quota: None,
        allow_types: None,
        keys: None,
    })
}

fn listed(token: &ApiToken, json: bool, columns: Option<usize>) -> String {
    if json {
        return event::to_json_line(&Line {
            kind: "token",
            id: Some(&token.id),
            name: &token.name,
            token: None,
            created_at: Some(token.created_at),
            revoked_at: token.revoked_at,
            expires_at: token.expires_at,
            last_used_at: token.last_used_at,
            subject: Some(token.subject()),
            owner: token.owner.as_deref(),
            quota: token.limits.quota.map(limit_rules::quota_text),
            allow_types: token.limits.allow_types.as_deref(),
            keys: token.limits.keys.as_deref(),
        });
    }
    if let Some(columns) = columns {
        let state = match (token.revoked_at, token.expires_at) {
            (Some(at), _) => format!("revoked {}", at.strftime("%Y-%m-%d")),
            (None, Some(at)) if at <= Timestamp::now() => {
                format!("expired {}", at.strftime("%Y-%m-%d"))
            }
            (None, Some(at)) => format!("until {}", at.strftime("%Y-%m-%d")),
            (None, None) => "valid".to_owned(),
        };
        return format!(
            "{:<12} {} {:<16} {state:<18} {}",
            token.id,
            token.created_at.strftime("%Y-%m-%d"),
            owners::minute(token.last_used_at),
            shorten(&safe(&token.name), columns.saturating_sub(TERMINAL_COLUMNS))
        );
    }
    let state = match (token.revoked_at, token.expires_at) {
        (Some(at), _) => format!("revoked {at:.0}"),
        (None, Some(at)) if at <= Timestamp::now() => format!("expired {at:.0}"),
        (None, Some(at)) => format!("valid until {at:.0}"),
        (None, None) => "valid".to_owned(),
    };
    let last_use = token.last_used_at.map(|at| format!("{at:.0}"));
    format!(
        "{}  {:.0}  {:<20}  {state:<32}  {}",
        token.id,
        token.created_at,
        last_use.as_deref().unwrap_or("-"),
        safe(&token.name)
    )
}
