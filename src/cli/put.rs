//! `upload put`: uploads files, and continues unfinished uploads of the same file versions.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::args::{IfChanged, PutArgs};
use super::destination;
use super::hint_commands::HintCommands;
use super::receipt_file::FileIdentity;
use super::session::Session;
use super::settings::{PutOptions, Settings, Target};
use crate::transfer::{self, Item, NameOrigin, OnChange, PutRequest, TypeOrigin};
use upload_types::error::Result;

/// The longest name that a backend accepts, in characters.
const MAX_NAME_CHARS: usize = 200;

/// Extensions that `mime_guess` does not know, or has an outdated type for.
const OWN_TYPES: [(&str, &str); 6] = [
    ("deb", "application/vnd.debian.binary-package"),
    ("parquet", "application/vnd.apache.parquet"),
    ("rpm", "application/x-rpm"),
    ("tgz", "application/gzip"),
    ("whl", "application/zip"),
    ("zst", "application/zstd"),
];

/// # Errors
/// Errors before the first upload. Those of single files are reported, and are in the exit code.
pub async fn run(settings: &Settings, flags: &PutArgs, commands: HintCommands) -> Result<u8> {
    let arguments: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    destination::check(&flags.paths, &arguments)?;
    let connection = settings.connection(&flags.connection)?;
    let target = settings.target(flags.backend.as_deref(), &connection)?;
    let options = settings.put(flags)?;
    let transfer = settings.transfer(&flags.transfer)?;
    let mut session = Session::open(settings, settings.report(), &transfer, commands)?;
    let sources = options
        .paths
        .iter()
        .filter_map(|path| FileIdentity::of(path));
    let receipt = transfer.receipt.as_ref().filter(|_| !options.dry_run);
    session.write_receipts(receipt, sources)?;
    let puts = puts(&options);
    session.announce(puts.iter().map(|put| {
        let size = put.path.metadata().map_or(0, |metadata| metadata.len());
        (put.path.as_path(), size)
    }));
    let items = puts.into_iter().map(Item::Put).collect();
    if options.dry_run {
        dry_run(&mut session, &target, items).await;
    } else {
        session.run(&target, items).await;
    }
    Ok(session.close())
}

/// The files to upload, each once even if it is named twice.
fn puts(options: &PutOptions) -> Vec<PutRequest> {
    let mut seen = HashSet::new();
    let is_first =
        |path: &&PathBuf| seen.insert(path.canonicalize().unwrap_or_else(|_| (*path).clone()));
    options
        .paths
        .iter()
        .filter(is_first)
        .map(|path| put(path, options))
        .collect()
}

fn put(path: &Path, options: &PutOptions) -> PutRequest {
    let name = options.name.clone().unwrap_or_else(|| wire_name(path));
    let guessed_type = || guessed_type(&name).to_owned();
    PutRequest {
        path: path.to_path_buf(),
        content_type: options.content_type.clone().unwrap_or_else(guessed_type),
        type_origin: match options.content_type {
            Some(_) => TypeOrigin::Requested,
            None => TypeOrigin::Guessed,
        },
        name_origin: match options.name {
            Some(_) => NameOrigin::Requested,
            None => NameOrigin::Path,
        },
        name,
        metadata: options.metadata.clone(),
        part_size: options.part_size,
        force: options.force,
        on_change: match options.if_changed {
            IfChanged::Fail => OnChange::Fail,
            IfChanged::Restart => OnChange::Restart,
        },
    }
}

/// The content type for a file name, by its extension.
pub(super) fn guessed_type(name: &str) -> &'static str {
    let (_, extension) = name.rsplit_once('.').unwrap_or_default();
    let extension = extension.to_ascii_lowercase();
    let own = OWN_TYPES.iter().find(|(own, _)| *own == extension);
    own.map(|(_, content_type)| *content_type)
        .or_else(|| mime_guess::from_path(name).first_raw())
        .unwrap_or("application/octet-stream")
}

/// The name of a file for the backend: `\u{fffd}` replaces control characters and bytes that are
/// not UTF-8; a longer name than backends accept is cut before its extension.
fn wire_name(path: &Path) -> String {
    let name = path
        .file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy();
    let name: Vec<char> = name
        .chars()
        .map(|c| {
            if c.is_control() {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        })
        .collect();
    let excess = name.len().saturating_sub(MAX_NAME_CHARS);
    if excess == 0 {
        return name.into_iter().collect();
    }
    let extension = name
        .iter()
        .rposition(|c| *c == '.')
        .filter(|dot| *dot > excess)
        .unwrap_or(name.len());
    name[..extension - excess]
        .iter()
        .chain(&name[extension..])
        .collect()
}

/// Reports the plan of each file, and how much of it the store has. Begins no upload.
async fn dry_run(session: &mut Session, target: &Target, items: Vec<Item>) {
    session.start_dry_run();
    let Some((handle, info)) = session.connect(target, &items).await else {
        return;
    };
    for (index, item) in items.iter().enumerate() {
        let Item::Put(put) = item else { continue };
        let item = session.first_item() + index;
        let (journal, give_up) = (session.journal(), session.give_up());
        match transfer::preview(journal, handle.backend(), &info, give_up, item, put).await {
            Ok(event) => session.emit(event),
            Err(error) => session.fail(item, None, &put.path, &error),
        }
    }
    handle.close().await;
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

    #[test]
    fn type_is_guessed_from_the_extension() {
        for (name, content_type) in [
            ("a.tar.zst", "application/zstd"),
            ("a.TGZ", "application/gzip"),
            ("a.tar.gz", "application/gzip"),
            ("a.mov", "video/quicktime"),
            ("zst", "application/octet-stream"),
            ("a.unknown", "application/octet-stream"),
        ] {
            assert_eq!(guessed_type(name), content_type, "{name}");
        }
    }

    #[test]
    fn wire_name_is_text_of_limited_length() {
        let name = |bytes: &[u8]| wire_name(&Path::new("/a/b").join(OsStr::from_bytes(bytes)));
        assert_eq!(
            name("Müller \u{202e} 写真.jpg".as_bytes()),
            "Müller \u{202e} 写真.jpg"
        );
        assert_eq!(name(b"two\nlines\xff.bin"), "two\u{fffd}lines\u{fffd}.bin");
        assert_eq!(
            name(&[&[b'a'; 251], &b".bin"[..]].concat()),
            "a".repeat(196) + ".bin"
        );
        assert_eq!(name(&[b'a'; 255]), "a".repeat(200));
        assert_eq!(
            name(&[&b".".repeat(3)[..], &[b'a'; 252]].concat()).len(),
            200
        );
        assert_eq!(name(&[b'a'; 200]), "a".repeat(200));
    }
}
