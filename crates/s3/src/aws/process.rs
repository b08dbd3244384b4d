//! The `credential_process` of a profile: a program that writes keys as JSON ("Sourcing credentials
//! with an external process" in the AWS SDKs and Tools Reference Guide).

use std::process::{Output, Stdio};
use std::time::Duration;

use reqsign_aws_v4::Credential;
use serde::Deserialize;
use tokio::process::Command;
use tokio::time::timeout;

use super::service_call::{JsonKeys, one_line};
use crate::fault::Fault;

/// Every call of the store waits for the program.
const TIME_LIMIT: Duration = Duration::from_mins(1);
/// The version of the output that is understood.
const VERSION: u32 = 1;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Header {
    version: u32,
}

/// Runs the program of the profile `name`, without a shell, and reads its output.
///
/// # Errors
/// A configuration error if it cannot be run, or writes something else; a rejection with its exit
/// code and the first line of its standard error if it fails.
pub(super) async fn credential(name: &str, command_line: &str) -> Result<Credential, Fault> {
    let setting = format!("the credential_process of the AWS profile {name}");
    let unusable = |reason: &str| {
        Fault::config(
            format!("{setting} {reason}"),
            "correct credential_process in the AWS configuration",
        )
    };
    let words = shlex::split(command_line).unwrap_or_default();
    let [program, arguments @ ..] = words.as_slice() else {
        return Err(unusable("is not a command line"));
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = timeout(TIME_LIMIT, command.output())
        .await
        .map_err(|_| unusable("did not end within a minute"))?
        .map_err(|error| unusable(&format!("could not be run: {error}")))?;
    if !output.status.success() {
        return Err(Fault::no_access(
            "the credential process of the gateway has failed",
            format!("{setting} failed: {}", outcome(&output)),
            "run the program of credential_process by hand to see why it fails",
        ));
    }
    let version = serde_json::from_slice(&output.stdout).map(|header: Header| header.version);
    if !matches!(version, Ok(VERSION)) {
        return Err(unusable("did not write JSON with Version 1"));
    }
    JsonKeys::parse(&output.stdout)
        .ok_or_else(|| unusable("did not write AccessKeyId and SecretAccessKey"))
}

/// The exit code, or the signal, and the first line of the standard error.
fn outcome(output: &Output) -> String {
    let status = match output.status.code() {
        Some(code) => format!("exit code {code}"),
        None => output.status.to_string(),
    };
    match one_line(&String::from_utf8_lossy(&output.stderr)) {
        line if line.is_empty() => status,
        line => format!("{status}: {line}"),
    }
}
