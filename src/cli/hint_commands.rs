//! The commands that hints name, with the flags of the command that failed, so that a user can copy
//! them. They contain no secrets: the values of headers are left out, and so is a proxy whose
//! URL contains a user.
//!
//! Not here: the hints (each is attached where its error is made).

use std::ffi::OsStr;

use super::args::{ConnectionArgs, GlobalArgs, WaitState};

/// The subject of a failed command, as far as it is known.
#[derive(Debug, Clone, Copy, Default)]
pub struct Subject<'a> {
    /// The backend, as the journal names it.
    pub backend: Option<&'a str>,
    pub file: Option<&'a str>,
    pub upload: Option<&'a str>,
}

/// The flags that the commands of hints repeat.
#[derive(Debug, Clone, Default)]
pub struct HintCommands {
    global: Vec<String>,
    connection: Vec<String>,
    wait: WaitState,
}

impl HintCommands {
    #[must_use]
    pub fn new(global: &GlobalArgs, connection: &ConnectionArgs, wait: WaitState) -> Self {
        Self {
            global: global_flags(global),
            connection: connection_flags(connection),
            wait,
        }
    }

    /// The command that continues unfinished uploads, quoted for a POSIX shell.
    #[must_use]
    pub fn resume(&self) -> String {
        let mut words = vec!["upload".to_owned()];
        words.extend_from_slice(&self.global);
        words.push("resume".to_owned());
        match self.wait {
            WaitState::Auto => {}
            WaitState::None => words.extend(["--wait", "none"].map(str::to_owned)),
            WaitState::Ready => words.extend(["--wait", "ready"].map(str::to_owned)),
        }
        words.extend_from_slice(&self.connection);
        quoted(&words)
    }

    /// Completes the commands of a hint, which are between backticks: adds the flags, and replaces
    /// the words `FILE` and `ID`. `upload serve` has other flags and is not changed.
    #[must_use]
    pub fn complete(&self, hint: &str, subject: Subject<'_>) -> String {
        let texts: Vec<String> = hint
            .split('`')
            .enumerate()
            .map(|(index, text)| match index % 2 {
                1 => self.completed(text, subject),
                _ => text.to_owned(),
            })
            .collect();
        texts.join("`")
    }

    fn completed(&self, command: &str, subject: Subject<'_>) -> String {
        let words = shlex::split(command).unwrap_or_default();
        let [program, verb, rest @ ..] = words.as_slice() else {
            return command.to_owned();
        };
        if program != "upload" || verb == "serve" || verb.starts_with('-') {
            return command.to_owned();
        }
        let mut completed = vec![program.clone()];
        completed.extend_from_slice(&self.global);
        completed.push(verb.clone());
        completed.extend(rest.iter().map(|word| match word.as_str() {
            "FILE" => subject.file.unwrap_or(word).to_owned(),
            "ID" => subject.upload.unwrap_or(word).to_owned(),
            _ => word.clone(),
        }));
        let backend = subject.backend.filter(|_| verb == "put");
        completed.extend(option("--backend", backend));
        // In hints, the other verbs read the journal only.
        if ["put", "resume", "abort", "cat", "url"].contains(&verb.as_str()) {
            completed.extend_from_slice(&self.connection);
        }
        quoted(&completed)
    }
}

fn global_flags(global: &GlobalArgs) -> Vec<String> {
    let mut words = option("--journal", global.journal.as_ref());
    words.extend(option("--config", global.config.as_ref()));
    words.extend(option("--profile", global.profile.as_deref()));
    words
}

fn connection_flags(connection: &ConnectionArgs) -> Vec<String> {
    let ConnectionArgs {
        token_file,
        headers,
        store_hosts,
        network,
        allow_insecure_http,
        s3,
        ..
    } = connection;
    let mut words = option("--token-file", token_file.as_ref());
    for header in headers {
        words.extend(option("--header", Some(without_value(header))));
    }
    words.extend(option("--ca-cert", network.ca_cert.as_ref()));
    let proxy = network.proxy.as_deref();
    words.extend(option(
        "--proxy",
        proxy.filter(|proxy| !proxy.contains('@')),
    ));
    for host in store_hosts {
        words.extend(option("--store-host", Some(host.to_string())));
    }
    words.extend(allow_insecure_http.then(|| "--allow-insecure-http".to_owned()));
    words.extend(option("--s3-endpoint", s3.s3_endpoint.as_deref()));
    words.extend(option("--s3-region", s3.s3_region.as_deref()));
    words.extend(s3.s3_path_style.then(|| "--s3-path-style".to_owned()));
    words
}

fn option(name: &str, value: Option<impl AsRef<OsStr>>) -> Vec<String> {
    let Some(value) = value else {
        return Vec::new();
    };
    let value = value.as_ref().to_string_lossy().into_owned();
    vec![name.to_owned(), value]
}

/// A header without its value, which the user has to type again.
fn without_value(header: &str) -> String {
    match header.split_once(':') {
        Some((name, _)) if !header.starts_with('@') => format!("{name}: VALUE"),
        _ => header.to_owned(),
    }
}

/// The words as a command line, quoted for a POSIX shell.
pub fn quoted(words: &[String]) -> String {
    // Only a NUL byte cannot be quoted, and no argument contains one.
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(global: &GlobalArgs, connection: &ConnectionArgs) -> HintCommands {
        HintCommands::new(global, connection, WaitState::Auto)
    }

    #[test]
    fn resume_repeats_flags_without_secrets() {
        let (global, connection) = (GlobalArgs::default(), ConnectionArgs::default());
        assert_eq!(commands(&global, &connection).resume(), "upload resume");
        let with_headers = ConnectionArgs {
            headers: vec!["X-Key: canary".to_owned(), "@/tmp/head".to_owned()],
            ..ConnectionArgs::default()
        };
        assert_eq!(
            commands(&global, &with_headers).resume(),
            "upload resume --header 'X-Key: VALUE' --header @/tmp/head"
        );
    }

    #[test]
    fn shell_reads_resume_as_it_was_typed() {
        let journal = "/tmp/it's my journal.db";
        let global = GlobalArgs {
            journal: Some(journal.into()),
            ..GlobalArgs::default()
        };
        let connection = ConnectionArgs {
            allow_insecure_http: true,
            ..ConnectionArgs::default()
        };
        let line = HintCommands::new(&global, &connection, WaitState::Ready).resume();
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

    #[test]
    fn commands_of_hints_get_flags_and_subject() {
        let global = GlobalArgs {
            journal: Some("j.db".into()),
            ..GlobalArgs::default()
        };
        let connection = ConnectionArgs {
            token_file: Some("token".into()),
            ..ConnectionArgs::default()
        };
        let commands = commands(&global, &connection);
        let subject = Subject {
            backend: Some("https://up.example"),
            file: Some("/a b"),
            upload: Some("some-id"),
        };
        for (hint, completed) in [
            ("check the path", "check the path"),
            (
                "run `upload put FILE --force` again",
                "run `upload --journal j.db put '/a b' --force --backend https://up.example --token-file token` again",
            ),
            (
                "run `upload list --all`; or `upload status ID`",
                "run `upload --journal j.db list --all`; or `upload --journal j.db status some-id`",
            ),
            (
                "`upload serve token list` or `proof: none`",
                "`upload serve token list` or `proof: none`",
            ),
        ] {
            assert_eq!(commands.complete(hint, subject), completed);
        }
        let unknown = commands.complete("`upload cat ID`", Subject::default());
        assert_eq!(unknown, "`upload --journal j.db cat ID --token-file token`");
    }
}
