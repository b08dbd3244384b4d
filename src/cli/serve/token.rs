//! `upload serve token`: makes, lists and revokes the API tokens of a gateway.
//!
//! Border: prints what the ledger says; how tokens are made and kept is `gateway/auth`.

use serde::Serialize;

use crate::cli::args::serve::TokenVerb;
use crate::cli::config::print;
use crate::cli::settings::Settings;
use crate::event;
use crate::report::safe;
use upload_gateway::{ApiToken, Ledger};
use upload_types::error::Result;

/// One line of `--json`: `type` is `token`. The token itself is there once, when it is made.
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
    created_at: Option<jiff::Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<jiff::Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<jiff::Timestamp>,
}

/// Does what was asked about tokens in the ledger, beside a gateway that may be running on it.
///
/// # Errors
/// What the ledger said; [`Kind::Io`](upload_types::error::Kind::Io) if standard output fails.
pub async fn run(settings: &Settings, verb: &TokenVerb) -> Result<()> {
    let (TokenVerb::Add { ledger, .. }
    | TokenVerb::List { ledger }
    | TokenVerb::Revoke { ledger, .. }) = verb;
    let ledger = Ledger::open(&super::ledger(settings, ledger.ledger.as_deref())?).await?;
    let json = settings.common.json;
    match verb {
        TokenVerb::Add { name, expires, .. } => {
            let token = match expires {
                Some(life) => ledger.add_expiring_token(name, *life).await?,
                None => ledger.add_token(name).await?,
            };
            let secret = token.expose();
            let line = Line {
                token: Some(secret),
                ..made(None, name)
            };
            print(&format!(
                "{}\n",
                if json {
                    event::to_json_line(&line)
                } else {
                    secret.to_owned()
                }
            ))
        }
        TokenVerb::List { .. } => {
            let tokens = ledger.tokens().await?;
            print(
                &tokens
                    .iter()
                    .map(|token| listed(token, json) + "\n")
                    .collect::<String>(),
            )
        }
        TokenVerb::Revoke { id, .. } => ledger.revoke(id).await,
    }
}

fn made<'a>(id: Option<&'a str>, name: &'a str) -> Line<'a> {
    Line {
        kind: "token",
        id,
        name,
        token: None,
        created_at: None,
        revoked_at: None,
        expires_at: None,
    }
}

fn listed(token: &ApiToken, json: bool) -> String {
    if json {
        let (created_at, revoked_at, expires_at) =
            (Some(token.created_at), token.revoked_at, token.expires_at);
        return event::to_json_line(&Line {
            created_at,
            revoked_at,
            expires_at,
            ..made(Some(&token.id), &token.name)
        });
    }
    let state = match (token.revoked_at, token.expires_at) {
        (Some(when), _) => format!("revoked {when:.0}"),
        (None, Some(end)) if end <= jiff::Timestamp::now() => format!("expired {end:.0}"),
        (None, Some(end)) => format!("valid until {end:.0}"),
        (None, None) => "valid".to_owned(),
    };
    format!(
        "{}  {:.0}  {state}  {}",
        token.id,
        token.created_at,
        safe(&token.name)
    )
}
