//! The `upload resume` command line for hints, with the flags of the current command. It contains no secrets: values of
//! headers are left out, and so is the proxy, whose URL may have a password.

use std::ffi::OsStr;

use super::args::{ConnectionArgs, GlobalArgs, WaitState};

/// `upload resume` with journal, profile and connection of the command line, quoted for a POSIX shell.
#[must_use]
pub fn resume_command(global: &GlobalArgs, connection: &ConnectionArgs, wait: WaitState) -> String {
    let ConnectionArgs {
        token_file,
        headers,
        store_hosts,
        ca_cert,
        allow_insecure_http,
        s3,
        ..
    } = connection;
    let mut words = Words::default();
    words.push("upload");
    words.option("--journal", global.journal.as_ref());
    words.option("--config", global.config.as_ref());
    words.option("--profile", global.profile.as_deref());
    words.push("resume");
    words.option("--wait", (wait == WaitState::Ready).then_some("ready"));
    words.option("--token-file", token_file.as_ref());
    for header in headers {
        words.option("--header", Some(without_value(header)));
    }
    words.option("--ca-cert", ca_cert.as_ref());
    for host in store_hosts {
        words.option("--store-host", Some(host.to_string()));
    }
    words.switch("--allow-insecure-http", *allow_insecure_http);
    words.option("--s3-endpoint", s3.s3_endpoint.as_deref());
    words.option("--s3-region", s3.s3_region.as_deref());
    words.switch("--s3-path-style", s3.s3_path_style);
    words.quoted()
}

#[derive(Default)]
struct Words(Vec<String>);

impl Words {
    fn push(&mut self, word: impl AsRef<OsStr>) {
        self.0.push(word.as_ref().to_string_lossy().into_owned());
    }

    fn option(&mut self, name: &str, value: Option<impl AsRef<OsStr>>) {
        if let Some(value) = value {
            self.push(name);
            self.push(value);
        }
    }

    fn switch(&mut self, name: &str, is_set: bool) {
        if is_set {
            self.push(name);
        }
    }

    fn quoted(&self) -> String {
        // Only a NUL byte cannot be quoted, and no argument contains one.
        shlex::try_join(self.0.iter().map(String::as_str)).unwrap_or_else(|_| self.0.join(" "))
    }
}

/// A header without its value, which the user has to type again.
fn without_value(header: &str) -> String {
    match header.split_once(':') {
        Some((name, _)) if !header.starts_with('@') => format!("{name}: VALUE"),
        _ => header.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(global: &GlobalArgs, connection: &ConnectionArgs) -> String {
        resume_command(global, connection, WaitState::None)
    }

    #[test]
    fn command_repeats_flags_without_secrets() {
        let (global, connection) = (GlobalArgs::default(), ConnectionArgs::default());
        assert_eq!(command(&global, &connection), "upload resume");
        let with_headers = ConnectionArgs {
            headers: vec!["X-Key: canary".to_owned(), "@/tmp/head".to_owned()],
            ..ConnectionArgs::default()
        };
        assert_eq!(
            command(&global, &with_headers),
            "upload resume --header 'X-Key: VALUE' --header @/tmp/head"
        );
    }

    #[test]
    fn shell_reads_the_command_as_it_was_typed() {
        let journal = "/tmp/it's my journal.db";
        let global = GlobalArgs {
            journal: Some(journal.into()),
            ..GlobalArgs::default()
        };
        let connection = ConnectionArgs {
            allow_insecure_http: true,
            ..ConnectionArgs::default()
        };
        let line = resume_command(&global, &connection, WaitState::Ready);
        let words = [
            "upload",
            "--journal",
            journal,
            "resume",
            "--wait",
            "ready",
            "--allow-insecure-http",
        ];
        assert_eq!(shlex::split(&line).unwrap(), words, "{line}");
    }
}
