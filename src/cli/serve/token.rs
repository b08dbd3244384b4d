//! `upload serve token`: makes, lists and revokes API tokens in the ledger, also while gateways run
//! on it.

use jiff::Timestamp;
use serde::Serialize;

use super::ledger_location;
use crate::cli::args::serve::TokenVerb;
use crate::cli::output;
use crate::cli::settings::Settings;
use crate::event;
use crate::report::safe;
use upload_gateway::{ApiToken, Ledger, LedgerConfig};
use upload_types::error::Result;

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
        TokenVerb::Add { name, expires, .. } => {
            let token = match expires {
                Some(ttl) => ledger.add_expiring_token(name, *ttl).await?,
                None => ledger.add_token(name).await?,
            };
            output::print(&(added(name, token.expose(), json) + "\n"))?;
            if !settings.quiet() {
                output::eprint_line(&usage(name, &location));
            }
            Ok(())
        }
        TokenVerb::List { .. } => {
            let tokens = ledger.tokens().await?;
            let lines = tokens.iter().map(|token| listed(token, json) + "\n");
            output::print(&lines.collect::<String>())
        }
        TokenVerb::Revoke { id, .. } => ledger.revoke(id).await,
    }
}

/// What the token is for, beside the token on standard output.
fn usage(name: &str, location: &LedgerConfig) -> String {
    format!(
        "this is the token of {}; it is not shown again\n\
         gateway: run `upload serve --auth tokens` on this ledger ({})\n\
         client: write the token to a file, and run `upload put FILE --backend URL --token-file TOKEN_FILE`",
        safe(name),
        ledger_location::shown(location)
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
    })
}

fn listed(token: &ApiToken, json: bool) -> String {
    if json {
        return event::to_json_line(&Line {
            kind: "token",
            id: Some(&token.id),
            name: &token.name,
            token: None,
            created_at: Some(token.created_at),
            revoked_at: token.revoked_at,
            expires_at: token.expires_at,
        });
    }
    let state = match (token.revoked_at, token.expires_at) {
        (Some(at), _) => format!("revoked {at:.0}"),
        (None, Some(at)) if at <= Timestamp::now() => format!("expired {at:.0}"),
        (None, Some(at)) => format!("valid until {at:.0}"),
        (None, None) => "valid".to_owned(),
    };
    format!(
        "{}  {:.0}  {state}  {}",
        token.id,
        token.created_at,
        safe(&token.name)
    )
}
