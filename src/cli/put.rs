//! `upload put`: files to the backend, going on with what was begun.
//!
//! Border: from paths to the engine's items; with `--dry-run`, what the engine would do.

use std::collections::HashSet;
use std::path::Path;

use super::args;
use super::backend_spec::BackendSpec;
use super::session::Session;
use super::settings::{Connection, PutOptions, Settings};
use crate::backend::Backend;
use crate::event::Event;
use crate::source::File;
use crate::transfer::{self, Choice, Item, OnChange, Put};
use upload_types::error::{Error, Kind, Result};
use upload_types::plan::Plan;
use upload_types::wire::BackendInfo;

/// The longest name a backend takes, in characters.
const NAME_MAX: usize = 200;

/// # Errors
/// What keeps the command from beginning; what befalls single files is in the exit code.
pub async fn run(settings: &Settings, flags: &args::Put, resume: String) -> Result<u8> {
    let connection = settings.connection(&flags.connection)?;
    let spec = settings.backend(flags.backend.as_deref(), &connection)?;
    let options = settings.put(flags)?;
    let transfer = settings.transfer(&flags.transfer)?;
    let receipt = transfer
        .receipt
        .as_ref()
        .and_then(|path| path.canonicalize().ok());
    if receipt.is_some_and(|it| {
        options
            .paths
            .iter()
            .any(|path| path.canonicalize().is_ok_and(|path| path == it))
    }) {
        return Err(Error::new(
            Kind::Usage,
            "--receipt names a file that is to be uploaded",
        ));
    }
    let mut report = settings.report();
    if options.dry_run {
        // What would be sent is what was asked for.
        report.verbose = report.verbose.max(1);
    }
    let mut session = Session::open(settings, report, &transfer, resume)?;
    let puts = puts(&options);
    session.announce(
        puts.iter()
            .map(|put| put.path.metadata().map_or(0, |found| found.len())),
    );
    let items = puts.into_iter().map(Item::Put).collect();
    if options.dry_run {
        dry_run(&mut session, settings, &spec, &connection, items).await;
    } else {
        session.run(settings, &spec, &connection, items).await;
    }
    Ok(session.close())
}

/// What is to be put; a file that is named twice is put once.
fn puts(options: &PutOptions) -> Vec<Put> {
    let mut seen = HashSet::new();
    let first = |path: &&std::path::PathBuf| {
        seen.insert(path.canonicalize().unwrap_or_else(|_| (*path).clone()))
    };
    options
        .paths
        .iter()
        .filter(first)
        .map(|path| one(path, options))
        .collect()
}

fn one(path: &Path, options: &PutOptions) -> Put {
    let name = options.name.clone().unwrap_or_else(|| wire_name(path));
    let guess = || {
        mime_guess::from_path(&name)
            .first_raw()
            .unwrap_or("application/octet-stream")
            .to_owned()
    };
    Put {
        path: path.to_path_buf(),
        content_type: options.content_type.clone().unwrap_or_else(guess),
        name,
        metadata: options.metadata.clone(),
        part_size: options.part_size,
        force: options.force,
        on_change: match options.if_changed {
            args::IfChanged::Fail => OnChange::Fail,
            args::IfChanged::Restart => OnChange::Restart,
        },
    }
}

/// What the backend is told a file is called: its own name, in which whatever is no text (bytes that are not UTF-8, control
/// characters) is `\u{fffd}`, and which is cut where it is longer than backends take.
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
    let Some(over) = name.len().checked_sub(NAME_MAX).filter(|over| *over > 0) else {
        return name.into_iter().collect();
    };
    // Of one that is too long, the extension stays.
    let extension = name
        .iter()
        .rposition(|c| *c == '.')
        .filter(|dot| *dot > over)
        .unwrap_or(name.len());
    name[..extension - over]
        .iter()
        .chain(&name[extension..])
        .collect()
}

/// Tells the plan of each file and what of it the store has, and begins nothing.
async fn dry_run(
    session: &mut Session,
    settings: &Settings,
    spec: &BackendSpec,
    connection: &Connection,
    items: Vec<Item>,
) {
    let Some((connected, info)) = session.reach(settings, spec, connection, &items).await else {
        return;
    };
    for (item, ask) in items.iter().enumerate() {
        let Item::Put(put) = ask else { continue };
        let item = session.first + item;
        match preview(session, &connected.backend, &info, item, put).await {
            Ok(event) => session.sink.tell(event),
            Err(error) => session.failed(item, None, &put.path, &error),
        }
    }
    connected.close().await;
}

async fn preview(
    session: &Session,
    backend: &Backend,
    info: &BackendInfo,
    item: usize,
    put: &Put,
) -> Result<Event> {
    let source = File::open(&put.path)?;
    let identity = source.identity();
    let wanted = [(put.name.as_str(), source.path(), identity)];
    let candidates = session
        .journal
        .candidates(&info.instance_id, &wanted)?
        .concat();
    let fresh =
        || Plan::new(identity.size, put.part_size, &info.limits).map_err(transfer::plan_error);
    let (plan, upload, resumed_bytes) = match transfer::choose(&candidates, &identity, put.force) {
        Choice::Fresh | Choice::Replace(_) | Choice::MaybeFinished(_) => (fresh()?, None, 0),
        Choice::Finished(index) => {
            let upload = &candidates[index];
            (
                Plan::pinned(identity.size, upload.intent.part_size)
                    .map_err(transfer::plan_error)?,
                upload.id.clone(),
                identity.size,
            )
        }
        Choice::Continue(index) => {
            let upload = &candidates[index];
            transfer::recall(backend, upload);
            let plan = Plan::pinned(identity.size, upload.intent.part_size)
                .map_err(transfer::plan_error)?;
            let stored = match &upload.id {
                Some(id) => backend.parts(id).await?,
                None => Vec::new(),
            };
            let agreed = transfer::agreed(&plan, &session.journal.parts(upload.row)?, &stored);
            let bytes = agreed
                .iter()
                .filter_map(|(number, ..)| plan.range(*number))
                .map(|range| range.len)
                .sum();
            (plan, upload.id.clone(), bytes)
        }
    };
    Ok(Event::Plan {
        item,
        upload,
        path: put.path.display().to_string(),
        path_b64: None,
        size: plan.size(),
        part_size: plan.part_size(),
        parts: plan.count(),
        resumed_bytes,
    })
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

    #[test]
    fn a_name_on_the_wire_is_text_and_not_too_long() {
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
