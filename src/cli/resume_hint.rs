//! The command that goes on with what is unfinished, as it has to be typed: with the flags that led there.
//!
//! Border: pure, for people and their shells; a secret is in none of these flags, so a proxy's address is left out.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::args::{Connection, Global, WaitState};

/// `upload resume` with the journal, the profile and the connection that were named on the command line.
#[must_use]
pub fn resume(global: &Global, connection: &Connection, wait: WaitState) -> String {
    let path = |name: &'static str, path: &Option<PathBuf>| {
        named(name, path.clone().map(PathBuf::into_os_string))
    };
    let text =
        |name: &'static str, text: &Option<String>| named(name, text.clone().map(OsString::from));
    let bare = |name: &'static str, set: bool| {
        set.then(|| name.into())
            .into_iter()
            .collect::<Vec<OsString>>()
    };
    let Connection {
        token_file,
        headers,
        store_hosts,
        ca_cert,
        allow_insecure_http,
        s3,
        ..
    } = connection;
    let words = [
        vec!["upload".into()],
        path("--journal", &global.journal),
        path("--config", &global.config),
        text("--profile", &global.profile),
        vec!["resume".into()],
        text(
            "--wait",
            &(wait == WaitState::Ready).then(|| "ready".to_owned()),
        ),
        path("--token-file", token_file),
        headers
            .iter()
            .flat_map(|header| named("--header", Some(without_value(header).into())))
            .collect(),
        path("--ca-cert", ca_cert),
        store_hosts
            .iter()
            .flat_map(|host| named("--store-host", Some(host.to_string().into())))
            .collect(),
        bare("--allow-insecure-http", *allow_insecure_http),
        text("--s3-endpoint", &s3.s3_endpoint),
        text("--s3-region", &s3.s3_region),
        bare("--s3-path-style", s3.s3_path_style),
    ];
    let quoted: Vec<String> = words.concat().iter().map(|word| quoted(word)).collect();
    quoted.join(" ")
}

fn named(name: &str, value: Option<OsString>) -> Vec<OsString> {
    value
        .map(|value| vec![name.into(), value])
        .unwrap_or_default()
}

/// A header that was typed, to be typed again: what is secret in it stands in nobody's terminal.
fn without_value(header: &str) -> String {
    match header.split_once(':') {
        Some((name, _)) if !header.starts_with('@') => format!("{name}: VALUE"),
        _ => header.to_owned(),
    }
}

/// A word as a POSIX shell reads it.
fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_named_is_named_again() {
        assert_eq!(
            resume(&Global::default(), &Connection::default(), WaitState::None),
            "upload resume"
        );
        let global = Global {
            journal: Some("/tmp/my journal.db".into()),
            ..Global::default()
        };
        let connection = Connection {
            allow_insecure_http: true,
            ..Connection::default()
        };
        let line = resume(&global, &connection, WaitState::Ready);
        let headers = vec!["X-Key: canary".to_owned(), "@/tmp/head".to_owned()];
        let typed = resume(
            &Global::default(),
            &Connection {
                headers,
                ..Connection::default()
            },
            WaitState::None,
        );
        assert_eq!(
            typed,
            "upload resume --header 'X-Key: VALUE' --header @/tmp/head"
        );
        assert_eq!(
            line,
            "upload --journal '/tmp/my journal.db' resume --wait ready --allow-insecure-http"
        );
        assert_eq!(quoted("it's".as_ref()), r"'it'\''s'");
    }
}
