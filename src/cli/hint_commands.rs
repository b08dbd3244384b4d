//! The commands that hints name, with the flags of the command that failed, so that a user can copy
//! them. They contain no secrets: the values of headers are left out, and so is a proxy whose
//! URL contains a user.
//!
//! Not here: the hints (each is attached where its error is made).

use std::ffi::OsStr;

use super::args::{ConnectionArgs, GlobalArgs, WaitState};
use crate::journal::S3Service;

/// The subject of a failed command, as far as it is known.
#[derive(Debug, Clone, Copy, Default)]
pub struct Subject<'a> {
    /// The flags that [`backend_flags`] returns.
    pub backend: &'a [String],
    /// The flags that choose the key of a put, unless `put` chooses it without flags.
    pub key: &'a [String],
    /// The flags of a put for the properties of its object.
    pub object: &'a [String],
    /// The flags of a put about an object that is at its key already.
    pub rule: &'a [String],
    pub file: Option<&'a str>,
    pub upload: Option<&'a str>,
}

/// The flags that the commands of hints repeat.
#[derive(Debug, Clone, Default)]
pub struct HintCommands {
    global: Vec<String>,
    connection: Vec<String>,
    /// The S3 service. The journal has it for uploads that have begun.
    s3: Vec<String>,
    wait: WaitState,
}

impl HintCommands {
    #[must_use]
    pub fn new(global: &GlobalArgs, connection: &ConnectionArgs, wait: WaitState) -> Self {
        Self {
            global: global_flags(global),
            connection: connection_flags(connection),
            s3: s3_flags(&S3Service {
                endpoint: connection.s3.s3_endpoint.clone(),
                region: connection.s3.s3_region.clone(),
                path_style: connection.s3.s3_path_style,
            }),
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

    /// The command that aborts an upload which the journal does not know.
    #[must_use]
    pub fn abort_orphan(&self, backend: &[String]) -> String {
        let mut words = vec!["upload".to_owned()];
        words.extend_from_slice(&self.global);
        words.extend(["abort", "ID"].map(str::to_owned));
        words.extend_from_slice(backend);
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
        if verb == "put" && !words.iter().any(|word| word == "--backend") {
            let is_known = !subject.backend.is_empty();
            completed.extend_from_slice(if is_known { subject.backend } else { &self.s3 });
        }
        let names_key =
            |word: &String| ["--key", "--prefix", "--key-style"].contains(&word.as_str());
        if verb == "put" && !words.iter().any(names_key) {
            completed.extend_from_slice(subject.key);
        }
        let names_rule = |word: &String| ["--force", "--if-exists"].contains(&word.as_str());
        if verb == "put" && !words.iter().any(names_rule) {
            completed.extend_from_slice(subject.rule);
        }
        if verb == "put" {
            completed.extend_from_slice(subject.object);
        }
        // In hints, the other verbs read the journal only.
        if ["put", "resume", "abort", "rm", "cat", "url"].contains(&verb.as_str()) {
            completed.extend_from_slice(&self.connection);
        }
        quoted(&completed)
    }
}

/// The flags that select a backend: its name and, for a bucket, its S3 service.
pub fn backend_flags(name: &str, service: Option<&S3Service>) -> Vec<String> {
    let mut words = option("--backend", Some(name));
    words.extend(service.map(s3_flags).unwrap_or_default());
    words
}

fn s3_flags(service: &S3Service) -> Vec<String> {
    let mut words = option("--s3-endpoint", service.endpoint.as_ref());
    words.extend(option("--s3-region", service.region.as_ref()));
    words.extend(service.path_style.then(|| "--s3-path-style".to_owned()));
    words
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
pub fn without_value(header: &str) -> String {
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
    use crate::cli::args::{CommandLine, Verb};

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

    /// The journal has the S3 service, but neither certificates nor proxy.
    #[test]
    fn resume_repeats_the_network_and_put_also_the_s3_service() {
        let args = ["--ca-cert", "ca.pem", "--proxy", "http://proxy:3128"];
        let service = ["--s3-endpoint", "https://s3.lan", "--s3-path-style"];
        let put = [
            &["put", "f", "--backend", "s3://bucket"],
            &args[..],
            &service,
        ]
        .concat();
        let CommandLine {
            global,
            verb: Verb::Put(flags),
        } = CommandLine::of(&put)
        else {
            panic!("put")
        };
        let commands = commands(&global, &flags.connection);
        let network = args.join(" ");
        assert_eq!(commands.resume(), format!("upload resume {network}"));
        let service = S3Service {
            endpoint: Some("https://s3.lan".into()),
            region: Some("eu".into()),
            path_style: true,
        };
        let backend = backend_flags("s3://bucket", Some(&service));
        let subject = Subject {
            backend: &backend,
            ..Subject::default()
        };
        assert_eq!(
            commands.complete("`upload put f`", subject),
            format!(
                "`upload put f --backend s3://bucket --s3-endpoint https://s3.lan \
                 --s3-region eu --s3-path-style {network}`"
            )
        );
        let complete = "`upload put f --backend s3://bucket --s3-endpoint https://s3.lan`";
        assert_eq!(
            commands.complete(complete, subject),
            complete.replace("lan`", &format!("lan {network}`"))
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
            backend: &["--backend".to_owned(), "https://up.example".to_owned()],
            key: &["--key".to_owned(), "in/a b".to_owned()],
            object: &[],
            rule: &["--if-exists".to_owned(), "update".to_owned()],
            file: Some("/a b"),
            upload: Some("some-id"),
        };
        for (hint, completed) in [
            ("check the path", "check the path"),
            (
                "run `upload put FILE --force` again",
                "run `upload --journal j.db put '/a b' --force --backend https://up.example --key 'in/a b' --token-file token` again",
            ),
            (
                "`upload put FILE --key KEY`",
                "`upload --journal j.db put '/a b' --key KEY --backend https://up.example --if-exists update --token-file token`",
            ),
            (
                "`upload put FILE --if-exists overwrite`",
                "`upload --journal j.db put '/a b' --if-exists overwrite --backend https://up.example --key 'in/a b' --token-file token`",
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
