//! `upload serve --probe`: prints what the store enforces, and the consequences, as a table or as
//! one line of JSON.
//!
//! Not here: probing and judging (`gateway`).

use std::fmt::Write as _;

use serde::Serialize;

use crate::cli::output;
use crate::cli::settings::Settings;
use crate::event;
use crate::report::safe;
use crate::report::text::size;
use upload_gateway::{Config, ProbeReport, StoreConfig};
use upload_s3::{Capability, Support};
use upload_types::error::Result;
use upload_types::wire::{Limits, Proof};

/// The line of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    store: &'a str,
    proof: Proof,
    limits: Limits,
    capabilities: Vec<CapabilityRow<'a>>,
    /// Warnings of the gateway, or why it would not start.
    warnings: &'a [String],
}

#[derive(Serialize)]
struct CapabilityRow<'a> {
    name: &'static str,
    held: Support,
    tried: &'static str,
    did: &'a str,
    means: &'static str,
}

/// # Errors
/// Those of the probe; [`Kind::Config`](upload_types::error::Kind::Config) if the gateway would not
/// start with this store.
pub async fn run(settings: &Settings, config: &Config) -> Result<()> {
    let probed = upload_gateway::probe_store(config).await?;
    let store = store_name(config);
    output::print(&if settings.json() {
        json_line(&store, &probed)
    } else {
        table(&store, &probed)
    })?;
    probed.assessment.map(drop)
}

/// The store as the command line names it.
fn store_name(config: &Config) -> String {
    let StoreConfig::S3 {
        bucket,
        prefix,
        endpoint,
        ..
    } = &config.store
    else {
        return "embedded".to_owned();
    };
    let slash = if prefix.is_empty() { "" } else { "/" };
    let at_endpoint = endpoint
        .as_ref()
        .map(|url| format!(" at {}", url.as_str().trim_end_matches('/')));
    format!(
        "s3://{bucket}{slash}{prefix}{}",
        at_endpoint.unwrap_or_default()
    )
}

fn capability_rows(probed: &ProbeReport) -> impl Iterator<Item = CapabilityRow<'_>> {
    Capability::ALL.into_iter().map(|capability| {
        let held = probed.profile.support(capability);
        CapabilityRow {
            name: capability.name(),
            held,
            tried: capability.request(),
            did: probed.profile.observed(capability),
            means: capability.meaning(held),
        }
    })
}

/// The proof that the gateway would use, and its warnings.
fn judgement(probed: &ProbeReport) -> (Proof, Vec<String>) {
    match &probed.assessment {
        Ok((proof, warnings)) => (*proof, warnings.clone()),
        Err(error) => (probed.profile.proof(), vec![error.to_string()]),
    }
}

fn json_line(store: &str, probed: &ProbeReport) -> String {
    let (proof, warnings) = judgement(probed);
    let line = Line {
        kind: "store",
        store,
        proof,
        limits: probed.limits,
        capabilities: capability_rows(probed).collect(),
        warnings: &warnings,
    };
    event::to_json_line(&line) + "\n"
}

fn table(store: &str, probed: &ProbeReport) -> String {
    let (proof, warnings) = judgement(probed);
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
        "store   {}\nproof   {}\nlimits  objects up to {}; parts of {} to {}{equal}; at most {max_parts} parts\n\n",
        safe(store),
        proof.name(),
        size(max_size),
        size(min_part),
        size(max_part),
    );
    for row in capability_rows(probed) {
        let did = if row.did.is_empty() {
            "not tested"
        } else {
            row.did
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{:<15} {:<8} {}: {}",
            row.name,
            row.held.name(),
            row.tried,
            safe(did)
        );
        let _ = writeln!(text, "{:<24} {}", "", row.means);
    }
    for warning in warnings {
        let _ = writeln!(text, "\n{warning}");
    }
    text
}
