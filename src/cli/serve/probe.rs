//! `upload serve --probe`: prints what the store did when it was tried, and what that means.
//!
//! Border: a table, or one line of JSON; what is tried and what is enough is `gateway`.

use std::fmt::Write as _;

use serde::Serialize;

use crate::cli::config::print;
use crate::cli::settings::Settings;
use crate::event;
use crate::report::safe;
use crate::report::text::size;
use upload_gateway::{Config, ProbeReport, StoreConfig};
use upload_s3::{Capability, Support};
use upload_types::error::Result;
use upload_types::wire::{Limits, Proof};

/// The line of `--json`: `type` is `store`.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    store: &'a str,
    proof: Proof,
    limits: Limits,
    capabilities: Vec<Row<'a>>,
    /// What the gateway would warn of, or why it would not start.
    warnings: &'a [String],
}

#[derive(Serialize)]
struct Row<'a> {
    name: &'static str,
    held: Support,
    tried: &'static str,
    did: &'a str,
    means: &'static str,
}

/// Tries the store and prints what it did.
///
/// # Errors
/// What the probe was; [`Kind::Config`](upload_types::error::Kind::Config) when the gateway would not start with such a store.
pub async fn run(settings: &Settings, config: &Config) -> Result<()> {
    let probed = upload_gateway::probe_store(config).await?;
    let text = if settings.common.json {
        json(&place(config), &probed)
    } else {
        table(&place(config), &probed)
    };
    print(&text)?;
    probed.assessment.map(drop)
}

/// The store, as the command line names it.
fn place(config: &Config) -> String {
    match &config.store {
        StoreConfig::Embedded { .. } => "embedded".to_owned(),
        StoreConfig::S3 {
            bucket,
            prefix,
            endpoint,
            ..
        } => {
            let slash = if prefix.is_empty() { "" } else { "/" };
            let at = endpoint
                .as_ref()
                .map(|url| format!(" at {}", url.as_str().trim_end_matches('/')));
            format!("s3://{bucket}{slash}{prefix}{}", at.unwrap_or_default())
        }
    }
}

fn rows(probed: &ProbeReport) -> impl Iterator<Item = Row<'_>> {
    Capability::ALL.into_iter().map(|capability| {
        let held = probed.profile.support(capability);
        let (name, tried, means) = (
            capability.name(),
            capability.request(),
            capability.meaning(held),
        );
        Row {
            name,
            held,
            tried,
            did: probed.profile.observed(capability),
            means,
        }
    })
}

/// What the store would be held to, and what to say of it.
fn judged(probed: &ProbeReport) -> (Proof, Vec<String>) {
    match &probed.assessment {
        Ok((proof, warnings)) => (*proof, warnings.clone()),
        Err(error) => (probed.profile.proof(), vec![error.to_string()]),
    }
}

fn json(place: &str, probed: &ProbeReport) -> String {
    let (proof, warnings) = judged(probed);
    let (limits, capabilities) = (probed.limits, rows(probed).collect());
    let line = Line {
        kind: "store",
        store: place,
        proof,
        limits,
        capabilities,
        warnings: &warnings,
    };
    event::to_json_line(&line) + "\n"
}

fn table(place: &str, probed: &ProbeReport) -> String {
    let (proof, warnings) = judged(probed);
    let Limits {
        min_part,
        max_part,
        max_parts,
        max_size,
        equal_parts,
    } = probed.limits;
    let equal = if equal_parts {
        ", all but the last of one size"
    } else {
        ""
    };
    let mut text = format!(
        "store   {}\nproof   {}\nlimits  objects up to {}; parts of {} to {}{equal}; at most {max_parts}\n\n",
        safe(place),
        proof.name(),
        size(max_size),
        size(min_part),
        size(max_part),
    );
    for Row {
        name,
        held,
        tried,
        did,
        means,
    } in rows(probed)
    {
        let did = if did.is_empty() { "not tried" } else { did };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:<15} {:<8} {tried}: {}", held.name(), safe(did));
        let _ = writeln!(text, "{:<24} {means}", "");
    }
    for warning in warnings {
        let _ = writeln!(text, "\n{warning}");
    }
    text
}
