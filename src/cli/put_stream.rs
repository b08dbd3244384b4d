//! `upload put -` and `upload put --from-command`: uploads a stream.
//!
//! Not here: files (`put`), and the upload itself (`transfer/stream`).

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::slice;

use super::args::PutArgs;
use super::backend_spec::BackendSpec;
use super::content_types::guessed_type;
use super::destination;
use super::hint_commands::HintCommands;
use super::hint_put_flags::PutFlags;
use super::keys::{self, KeyRule, Sources};
use super::object_flags::rule_flags;
use super::put::shared_key_flags;
use super::receipt_file::FileIdentity;
use super::session::Session;
use super::settings::{PutOptions, Settings};
use crate::event::STREAM_PATH;
use crate::source::{Spool, standard_input};
use crate::transfer::{
    self, IfGone, NameOrigin, OnChange, PutRequest, StreamInput, StreamPut, TypeOrigin,
};
use upload_types::error::{Error, Kind, Result};
use upload_types::wire::IfExists;

/// The memory for parts. With it, the process takes less than 96 MiB.
const DEFAULT_BUFFER_BYTES: u64 = 48 << 20;
const NAME_HINT: &str = "name the object, for example: \
     set -o pipefail; pg_dump db | zstd | upload put - --name db.sql.zst";
const COMMAND_NAME_HINT: &str = "add --name NAME, or --key KEY with --backend, before \
     --from-command, for example: upload put --name db.sql --from-command -- pg_dump db";

/// The stream that a command line names.
#[derive(Debug, PartialEq, Eq)]
enum StreamSource {
    StandardInput,
    /// A pipe, by a path such as `/dev/fd/63`.
    Pipe(PathBuf),
    Command(Vec<OsString>),
}

/// Uploads the stream that the command line names. Returns `None` if it names files.
///
/// # Errors
/// Errors before the upload. Its own is reported, and is in the exit code.
pub async fn run(
    settings: &Settings,
    flags: &PutArgs,
    commands: &HintCommands,
) -> Result<Option<u8>> {
    let (sources, destination) = destination::sources_of(flags)?;
    let Some(source) = source(flags, sources, is_pipe)? else {
        return Ok(None);
    };
    let connection = settings.connection(&flags.connection)?;
    let bucket = destination.as_ref().map(|found| found.backend.as_str());
    let target = settings.target(bucket.or(flags.backend.as_deref()), &connection)?;
    if let BackendSpec::Companion(_) = target.spec {
        return Err(transfer::stream_needs_a_gateway());
    }
    let options = settings.put(flags, sources.to_vec())?;
    let (style, count) = (options.key_style, Sources::Files(1));
    let rule = KeyRule::new(flags, destination.as_ref(), style, count, &target.spec)?;
    let run = settings.transfer(&flags.transfer)?;
    // `put - < file` must not overwrite that file.
    let input =
        FileIdentity::of(Path::new("/dev/stdin")).filter(|_| source == StreamSource::StandardInput);
    let mut stream = stream(source, flags, &options, &rule)?;
    let puts = slice::from_mut(&mut stream.put);
    keys::assign(puts, None, options.key_form, &rule, &target.spec)?;
    let mut session = Session::open(settings, settings.report(), &run, commands.clone())?;
    let receipt = run.receipt.as_ref().filter(|_| !options.dry_run);
    session.write_receipts(receipt, input)?;
    let size = stream.expected_size.unwrap_or(0);
    session.repeat_flags(PutFlags {
        key: shared_key_flags(&rule, &options, &target),
        object: Vec::new(),
        rule: rule_flags(options.if_exists, options.force),
    });
    session.announce([(Path::new(STREAM_PATH), size)]);
    if options.dry_run {
        session.preview_stream(&target, &stream).await;
    } else {
        session.run_stream(&target, stream).await;
    }
    Ok(Some(session.close()))
}

/// The stream of a command line; `None` if it names files.
fn source(
    flags: &PutArgs,
    sources: &[PathBuf],
    is_pipe: impl Fn(&Path) -> bool,
) -> Result<Option<StreamSource>> {
    let is_command = flags.stream.from_command;
    let found = if is_command {
        let words = sources.iter().map(|word| word.clone().into_os_string());
        Some(StreamSource::Command(words.collect()))
    } else {
        sources.iter().find_map(|path| stream_at(path, &is_pipe))
    };
    if found.is_none() {
        let Some(flag) = flags.stream.first_flag() else {
            return Ok(None);
        };
        let what = format!("{flag} is for a stream, but files are named");
        let hint = "leave it out, or read from standard input: upload put - --name NAME";
        return Err(Error::new(Kind::Usage, what).with_hint(hint));
    }
    if flags.selection.is_set() || (sources.len() > 1 && !is_command) {
        let what = "a stream is uploaded alone, but other files are named";
        let hint = "put the stream with a command of its own; to upload a file named '-', pass ./-";
        return Err(Error::new(Kind::Usage, what).with_hint(hint));
    }
    let of_files = [
        flags.selection.directory.is_some().then_some("-C"),
        flags.trust_journal.then_some("--trust-journal"),
        flags.selection.fail_if_empty.then_some("--fail-if-empty"),
        flags.selection.first_filter_of_files(),
    ];
    if let Some(flag) = of_files.into_iter().flatten().next() {
        let what = format!("{flag} is for files, not for a stream");
        return Err(Error::new(Kind::Usage, what).with_hint(format!("leave out {flag}")));
    }
    Ok(found)
}

/// The stream at a path of the command line; `None` if it is that of a file.
fn stream_at(path: &Path, is_pipe: impl Fn(&Path) -> bool) -> Option<StreamSource> {
    if path.as_os_str() == STREAM_PATH {
        return Some(StreamSource::StandardInput);
    }
    is_pipe(path).then(|| match path.to_str() {
        Some("/dev/stdin" | "/dev/fd/0" | "/proc/self/fd/0") => StreamSource::StandardInput,
        _ => StreamSource::Pipe(path.to_owned()),
    })
}

/// Whether a path names a pipe that this process has open.
fn is_pipe(path: &Path) -> bool {
    let is_descriptor = path == Path::new("/dev/stdin")
        || path.starts_with("/dev/fd")
        || path.starts_with("/proc/self/fd");
    is_descriptor && fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}

fn stream(
    source: StreamSource,
    flags: &PutArgs,
    options: &PutOptions,
    rule: &KeyRule,
) -> Result<StreamPut> {
    let name = options.name.clone().or_else(|| rule.name());
    let Some(name) = name else {
        let what = "a stream needs a name";
        let hint = if flags.stream.from_command {
            COMMAND_NAME_HINT
        } else {
            NAME_HINT
        };
        return Err(Error::new(Kind::Usage, what).with_hint(hint));
    };
    let put = PutRequest {
        path: STREAM_PATH.into(),
        content_type: options
            .content_type
            .clone()
            .unwrap_or_else(|| guessed_type(&name).to_owned()),
        type_origin: match options.content_type {
            Some(_) => TypeOrigin::Requested,
            None => TypeOrigin::Guessed,
        },
        name_origin: NameOrigin::Requested,
        name,
        metadata: options.metadata.clone(),
        attributes: options.attributes.clone(),
        part_size: options.part_size,
        // The bytes of a stream are unknown before it is read.
        force: true,
        trust_journal: false,
        key: None,
        // A stream cannot be compared before it is sent.
        if_exists: match options.if_exists {
            IfExists::Update => IfExists::Overwrite,
            rule => rule,
        },
        on_change: OnChange::Fail,
        if_gone: IfGone::Fail,
        file_set: None,
        begun_since: None,
    };
    let min_size = flags.selection.min_size;
    let flags = &flags.stream;
    Ok(StreamPut {
        put,
        input: open(source)?,
        expected_size: flags.expected_size,
        min_size: min_size.unwrap_or(u64::from(!flags.allow_empty)),
        buffer: flags.buffer.unwrap_or(DEFAULT_BUFFER_BYTES),
        spool: flags.spool.as_deref().map(Spool::create).transpose()?,
    })
}

fn open(source: StreamSource) -> Result<StreamInput> {
    match source {
        StreamSource::StandardInput => {
            let input = io::stdin();
            if input.is_terminal() {
                let what = "standard input is a terminal, not a pipe or a file";
                return Err(Error::new(Kind::Usage, what).with_hint(NAME_HINT));
            }
            standard_input(input.as_fd()).map(StreamInput::Pipe)
        }
        StreamSource::Pipe(path) => File::open(&path).map(StreamInput::Pipe).map_err(|error| {
            let what = format!("could not open {}", path.display());
            Error::new(Kind::NoSource, what).with_source(error)
        }),
        StreamSource::Command(command) => Ok(StreamInput::Command(command)),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::args::{CommandLine, Verb};

    fn source_of(words: &[&str]) -> Result<Option<StreamSource>> {
        let line = CommandLine::parse_from(["upload", "put"].iter().chain(words));
        let Verb::Put(flags) = line.verb else {
            panic!("put")
        };
        source(&flags, &flags.paths, |path| path.starts_with("/dev/fd"))
    }

    #[test]
    fn standard_input_pipes_and_commands_are_streams() {
        let command = ["sh", "-c", "false"].map(OsString::from);
        for (words, expected) in [
            (&["-"][..], Some(StreamSource::StandardInput)),
            (&["/dev/fd/0"], Some(StreamSource::StandardInput)),
            (
                &["/dev/fd/63"],
                Some(StreamSource::Pipe("/dev/fd/63".into())),
            ),
            (&["-", "--min-size", "1"], Some(StreamSource::StandardInput)),
            (&["./-"], None),
            (&["a", "b"], None),
            (
                &["--from-command", "--", "sh", "-c", "false"],
                Some(StreamSource::Command(command.to_vec())),
            ),
        ] {
            assert_eq!(source_of(words).unwrap(), expected, "{words:?}");
        }
        for words in [
            &["-", "a"][..],
            &["a", "/dev/fd/3"],
            &["a", "--allow-empty"],
            &["a", "--expected-size", "1G"],
            &["-", "--files-from", "list"],
            &["-", "--exclude", "x"],
            &["-", "-C", "card"],
            &["-", "--trust-journal"],
            &["-", "--min-size", "1", "--max-size", "2"],
            &["--from-command", "-r", "--", "true"],
        ] {
            assert_eq!(
                source_of(words).unwrap_err().kind(),
                Kind::Usage,
                "{words:?}"
            );
        }
    }
}
