//! The destination among the arguments of `upload put`, the last one if it begins with `s3://`: a
//! backend, and a key or a prefix (`upload put FILE s3://bucket/prefix/`).
//!
//! Not here: parsing a backend (`backend_spec`), and the keys that follow from it (`keys`).

use std::path::{Path, PathBuf};

use super::args::PutArgs;
use super::backend_spec::FORMS;
use super::hint_commands::{quoted, without_value};
use super::secret_redaction::repeatable;
use upload_types::error::{Error, Kind, Result};

const SCHEMES: [&str; 5] = [
    S3_SCHEME,
    "https://",
    "http://",
    "companion+https://",
    "companion+http://",
];
const S3_SCHEME: &str = "s3://";

/// The last argument of `put`: a bucket, and a key or the prefix of keys in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The backend: `s3://BUCKET`.
    pub backend: String,
    /// As it was typed, without a slash at its start. Empty without a key.
    pub key: String,
}

impl Destination {
    /// Parses `s3://BUCKET[/KEY]`. The name of the bucket is not checked.
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_at_checked(S3_SCHEME.len())?;
        if !scheme.eq_ignore_ascii_case(S3_SCHEME) {
            return None;
        }
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        Some(Self {
            backend: format!("{S3_SCHEME}{bucket}"),
            key: key.to_owned(),
        })
    }
}

/// Splits the arguments of this process's `upload put` into the sources and the destination. The
/// words of a command have no destination.
///
/// # Errors
/// Those of [`split`].
pub fn sources_of(flags: &PutArgs) -> Result<(&[PathBuf], Option<Destination>)> {
    if flags.stream.from_command {
        return Ok((&flags.paths, None));
    }
    let arguments: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let selection = &flags.selection;
    let has_list = selection.files_from.is_some() || selection.map.is_some();
    split(&flags.paths, has_list, &arguments)
}

/// Splits the arguments of `upload put` into the files and the destination, if the last one is
/// `s3://…`. `has_list`: a list or a map names files. `arguments` are those of the process, without
/// its name.
///
/// # Errors
/// [`Kind::Usage`] for a destination in another place or of another form, with the corrected
/// command in the hint; for a destination without files, or beside `--backend`.
fn split<'a>(
    paths: &'a [PathBuf],
    has_list: bool,
    arguments: &[String],
) -> Result<(&'a [PathBuf], Option<Destination>)> {
    let Some((last, files)) = paths.split_last().filter(|(last, _)| is_destination(last)) else {
        check(paths, arguments)?;
        return Ok((paths, None));
    };
    let Some(text) = last.to_str() else {
        let what = "the destination is not UTF-8, and keys must be";
        return Err(Error::new(Kind::Usage, what).with_hint("name another destination"));
    };
    let Some(destination) = Destination::parse(text) else {
        check(paths, arguments)?;
        return Ok((paths, None));
    };
    let has_backend = arguments.iter().any(|word| is_flag(word, "--backend"));
    if (files.is_empty() && !has_list) || has_backend {
        check(paths, arguments)?;
    }
    check(files, arguments)?;
    Ok((files, Some(destination)))
}

/// Checks that no file of `upload put` looks like a destination.
///
/// # Errors
/// [`Kind::Usage`], with the corrected command in the hint.
fn check(paths: &[PathBuf], arguments: &[String]) -> Result<()> {
    let Some(path) = paths.iter().find(|path| is_destination(path)) else {
        return Ok(());
    };
    let text = path.to_string_lossy();
    // A URL with a query may be presigned.
    let Some(destination) = repeatable(&text) else {
        return Err(Error::new(
            Kind::Usage,
            "an argument looks like a destination, not a file",
        )
        .with_hint(format!("name the destination with --backend:{FORMS}")));
    };
    let error = Error::new(
        Kind::Usage,
        format!("`{destination}` looks like a destination, not a file"),
    );
    if arguments.iter().any(|word| is_flag(word, "--backend")) {
        return Err(error.with_hint(format!(
            "leave out `{destination}`: --backend names the destination already"
        )));
    }
    let has_files = paths.iter().any(|path| !is_destination(path));
    let command = corrected(arguments, destination, has_files);
    let place = match Destination::parse(destination) {
        Some(_) if has_files => "name one destination, as the last argument",
        Some(_) => "name a file before the destination",
        None => "name it with --backend",
    };
    Err(error.with_hint(format!("{place}: {command}")))
}

fn is_destination(path: &Path) -> bool {
    let text = path.to_string_lossy().to_ascii_lowercase();
    SCHEMES.iter().any(|scheme| text.starts_with(scheme)) && !path.exists()
}

fn is_flag(word: &str, flag: &str) -> bool {
    let rest = word.strip_prefix(flag);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
}

/// The command with the destination as its last argument (`s3://…`) or as its backend, quoted for a
/// POSIX shell, without other destinations, without the values of headers, and without a proxy that
/// has a user.
fn corrected(arguments: &[String], destination: &str, has_files: bool) -> String {
    let mut words = vec!["upload".to_owned()];
    let mut rest = arguments.iter();
    let mut is_first = true;
    let is_last_argument = Destination::parse(destination).is_some();
    while let Some(word) = rest.next() {
        match word.split_once('=') {
            _ if word == "--header" => {
                words.push(word.clone());
                words.extend(rest.next().map(|value| without_value(value)));
            }
            Some(("--header", value)) => words.push(format!("--header={}", without_value(value))),
            _ if word == "--proxy" => {
                let value = rest.next().filter(|value| !value.contains('@'));
                words.extend(value.map(|value| format!("--proxy={value}")));
            }
            Some(("--proxy", value)) if value.contains('@') => {}
            _ if is_first && word == destination => {
                is_first = false;
                if !has_files {
                    words.push("FILE".to_owned());
                }
                if !is_last_argument {
                    words.extend(["--backend".to_owned(), destination.to_owned()]);
                }
            }
            _ if is_destination(Path::new(word)) => {}
            _ => words.push(word.clone()),
        }
    }
    if is_last_argument {
        words.push(destination.to_owned());
        return quoted(&words);
    }
    // Every word after `--` is a file, also if it looks like a flag.
    if let Some(end_of_flags) = words.iter().position(|word| word == "--")
        && let Some(flag) = words.iter().rposition(|word| word == "--backend")
        && flag > end_of_flags
    {
        let backend: Vec<String> = words.drain(flag..flag + 2).collect();
        words.splice(end_of_flags..end_of_flags, backend);
    }
    quoted(&words)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The files, and backend and key of the destination.
    type Split = (Vec<String>, Option<(String, String)>);

    fn split_of(arguments: &[&str]) -> Result<Split> {
        let words: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
        let paths: Vec<PathBuf> = arguments[1..]
            .iter()
            .filter(|word| !word.starts_with('-') && !word.starts_with("X-"))
            .map(PathBuf::from)
            .collect();
        let (files, destination) = split(&paths, false, &words)?;
        let files = files.iter().map(|path| path.display().to_string());
        let destination = destination.map(|found| (found.backend, found.key));
        Ok((files.collect(), destination))
    }

    fn hint(arguments: &[&str]) -> String {
        let error = split_of(arguments).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        error.hint().unwrap().to_owned()
    }

    #[test]
    fn last_argument_is_bucket_and_key() {
        for (arguments, backend, key) in [
            (&["put", "a", "s3://media"][..], "s3://media", ""),
            (&["put", "a", "s3://media/"], "s3://media", ""),
            (&["put", "a", "s3://media/in/"], "s3://media", "in/"),
            (
                &["put", "a", "S3://media/in/b c+d%20?#é.mov"],
                "s3://media",
                "in/b c+d%20?#é.mov",
            ),
            (&["put", "a", "s3://media//in"], "s3://media", "/in"),
            (&["put", "a", "--json", "s3://media/x"], "s3://media", "x"),
        ] {
            let (files, found) = split_of(arguments).unwrap();
            assert_eq!(files, ["a"]);
            assert_eq!(found, Some((backend.to_owned(), key.to_owned())));
        }
    }

    #[test]
    fn hint_is_the_corrected_command() {
        for (arguments, command) in [
            (
                &["put", "s3://media/in", "a b.mov"][..],
                "upload put 'a b.mov' s3://media/in",
            ),
            (&["put", "s3://media/in"], "upload put FILE s3://media/in"),
            (
                &["put", "https://up.example"],
                "upload put FILE --backend https://up.example",
            ),
            (
                &["put", "a", "https://b.test"],
                "upload put a --backend https://b.test",
            ),
            (
                &["put", "a", "s3://media", "https://b.test"],
                "upload put a s3://media",
            ),
            (
                &["put", "a", "s3://media/x", "s3://media/y"],
                "upload put a s3://media/x",
            ),
            (
                &["put", "a", "https://b.test", "--header", "X-Key: canary"],
                "upload put a --backend https://b.test --header 'X-Key: VALUE'",
            ),
            (
                &["put", "S3://media", "a", "--header=X-Key: canary"],
                "upload put a '--header=X-Key: VALUE' S3://media",
            ),
        ] {
            assert!(hint(arguments).ends_with(command), "{}", hint(arguments));
        }
    }

    #[test]
    fn destination_beside_a_backend_is_rejected() {
        for backend in [&["--backend", "embedded"][..], &["--backend=embedded"]] {
            let arguments = [&["put", "a", "s3://media/x"], backend].concat();
            let words: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
            let error = split(&["a".into(), "s3://media/x".into()], false, &words).unwrap_err();
            assert!(error.hint().unwrap().contains("leave out"), "{error}");
        }
    }

    #[test]
    fn presigned_url_is_not_repeated() {
        let hint = hint(&["put", "a", "https://b.test/k?X-Amz-Signature=canary"]);
        assert!(!hint.contains("canary"), "{hint}");
    }

    #[test]
    fn files_and_existing_paths_are_no_destinations() {
        let dir = tempfile::tempdir().unwrap();
        let files = [
            &["film.mov".into(), dir.path().to_owned()][..],
            &["./s3://media".into(), "s3-backup".into()],
            &["s3:".into()],
        ];
        for paths in files {
            assert_eq!(split(paths, false, &[]).unwrap(), (paths, None));
        }
    }
}
