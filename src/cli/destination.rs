//! Detects a destination among the files of `upload put`: `upload put FILE s3://bucket/prefix`.
//!
//! Not here: parsing a backend (`backend_spec`).

use std::path::{Path, PathBuf};

use super::backend_spec::FORMS;
use super::hint_commands::{quoted, without_value};
use super::repeat::repeatable;
use upload_types::error::{Error, Kind, Result};

const SCHEMES: [&str; 5] = [
    "s3://",
    "https://",
    "http://",
    "companion+https://",
    "companion+http://",
];

/// Checks that no file of `upload put` looks like a destination. `arguments` are those of the
/// process, without its name.
///
/// # Errors
/// [`Kind::Usage`], with the same command and the destination as the backend in the hint.
pub fn check(paths: &[PathBuf], arguments: &[String]) -> Result<()> {
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
    Err(error.with_hint(format!("name it with --backend: {command}")))
}

fn is_destination(path: &Path) -> bool {
    let text = path.to_string_lossy().to_ascii_lowercase();
    SCHEMES.iter().any(|scheme| text.starts_with(scheme)) && !path.exists()
}

fn is_flag(word: &str, flag: &str) -> bool {
    let rest = word.strip_prefix(flag);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
}

/// The command with the destination as its backend, quoted for a POSIX shell, without other
/// destinations, without the values of headers, and without a proxy that has a user.
fn corrected(arguments: &[String], destination: &str, has_files: bool) -> String {
    let mut words = vec!["upload".to_owned()];
    let mut rest = arguments.iter();
    let mut is_first = true;
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
                words.extend(["--backend".to_owned(), destination.to_owned()]);
            }
            _ if is_destination(Path::new(word)) => {}
            _ => words.push(word.clone()),
        }
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

    fn hint(arguments: &[&str]) -> String {
        let words: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
        let paths: Vec<PathBuf> = arguments[1..]
            .iter()
            .filter(|word| !word.starts_with('-') && !word.starts_with("X-"))
            .map(PathBuf::from)
            .collect();
        let error = check(&paths, &words).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        error.hint().unwrap().to_owned()
    }

    #[test]
    fn hint_is_the_corrected_command() {
        for (arguments, command) in [
            (
                &["put", "a b.mov", "s3://media/in"][..],
                "upload put 'a b.mov' --backend s3://media/in",
            ),
            (
                &["put", "https://up.example"],
                "upload put FILE --backend https://up.example",
            ),
            (
                &["put", "a", "s3://media", "https://b.test"],
                "upload put a --backend s3://media",
            ),
            (
                &["put", "a", "s3://media", "--header", "X-Key: canary"],
                "upload put a --backend s3://media --header 'X-Key: VALUE'",
            ),
            (
                &["put", "a", "S3://media", "--header=X-Key: canary"],
                "upload put a --backend S3://media '--header=X-Key: VALUE'",
            ),
        ] {
            assert!(hint(arguments).ends_with(command), "{}", hint(arguments));
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
        assert!(check(&["film.mov".into(), dir.path().into()], &[]).is_ok());
        assert!(check(&["./s3://media".into(), "s3-backup".into()], &[]).is_ok());
    }
}
