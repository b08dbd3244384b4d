//! `upload put`: uploads files, and continues unfinished uploads of the same file versions.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::args::{IfChanged, PutArgs, SelectionArgs};
use super::backend_spec::BackendSpec;
use super::content_types::guessed_type;
use super::destination;
use super::directory_flag::located;
use super::hint_commands::HintCommands;
use super::hint_put_flags::PutFlags;
use super::keys::{self, KeyRule, MAX_NAME_CHARS, SetKeys, Sources, flag_of_form, key_flags};
use super::object_flags::{flags_of_options, rule_flags};
use super::parse;
use super::receipt_file::FileIdentity;
use super::selection::{OwnFiles, Selection, place, working_directory};
use super::session::Session;
use super::set_definition::SetDefinition;
use super::settings::{PutOptions, Settings, Target, Transfer};
use crate::backend::Backend;
use crate::journal::Journal;
use crate::selection::Selected;
use crate::transfer::{
    self, IfGone, Incoming, Item, Items, NameOrigin, OnChange, PutRequest, TypeOrigin,
};
use upload_types::error::{Error, Kind, Result};
use upload_types::metadata::{MAX_METADATA_BYTES, metadata_bytes};
use upload_types::wire::{Attributes, BackendInfo};

/// # Errors
/// Errors before the first upload. Those of single files are reported, and are in the exit code.
pub async fn run(settings: &Settings, flags: &PutArgs, commands: HintCommands) -> Result<u8> {
    let (files, destination) = destination::sources_of(flags)?;
    let connection = settings.connection(&flags.connection)?;
    let bucket = destination.as_ref().map(|found| found.backend.as_str());
    let target = settings.target(bucket.or(flags.backend.as_deref()), &connection)?;
    let directory = flags.selection.directory.as_deref();
    let options = settings.put(flags, located(files, directory)?)?;
    check_attributes(&target, &options)?;
    let transfer = settings.transfer(&flags.transfer)?;
    let selection = Selection::prepare(
        &options.paths,
        &flags.selection,
        directory,
        Timestamp::now(),
    )?;
    let sources = match selection {
        Some(_) => Sources::Set,
        None => Sources::Files(files.len()),
    };
    let style = options.key_style;
    let rule = KeyRule::new(flags, destination.as_ref(), style, sources, &target.spec)?;
    let mut puts = match sources {
        Sources::Set => Vec::new(),
        Sources::Files(_) => puts(&options),
    };
    keys::assign(&mut puts, directory, options.key_form, &rule, &target.spec)?;
    let mut session = Session::open(settings, settings.report(), &transfer, commands)?;
    let lists = read_files(&flags.selection);
    let sources = options.paths.iter().map(PathBuf::as_path).chain(lists);
    let sources = sources.filter_map(FileIdentity::of);
    let receipt = transfer.receipt.as_ref().filter(|_| !options.dry_run);
    session.write_receipts(receipt, sources)?;
    let is_dry_run = options.dry_run;
    let set_name = selection
        .as_ref()
        .map(|selection| selection.name().to_owned());
    let items = if let Some(selection) = selection {
        if !is_dry_run {
            let working = working_directory()?;
            let definition = SetDefinition::new(&working, &flags.selection, &rule, &options);
            if let Some(definition) = definition
                && let Err(error) = session.begin_set(&target, &definition)
            {
                session.announce_set();
                session.fail_set(selection.name(), &error);
                return Ok(session.close());
            }
        }
        session.announce_set();
        set_items(&mut session, &target, &transfer, selection, rule, options)
    } else {
        session.repeat_flags(PutFlags {
            key: match puts.as_slice() {
                [put] => key_flags(&target.name(), &put.path, put.key.as_deref()),
                _ => shared_key_flags(&rule, &options, &target),
            },
            object: flags_of_options(&options),
            rule: rule_flags(options.if_exists, options.force),
        });
        if directory.is_some() {
            let keys_by_path = session.keys_by_path();
            let keys = puts
                .iter()
                .filter_map(|put| Some((&put.path, put.key.as_ref()?)));
            keys.for_each(|(path, key)| keys_by_path.add(path, key));
        }
        session.announce(puts.iter().map(|put| {
            let size = put.path.metadata().map_or(0, |metadata| metadata.len());
            (put.path.as_path(), size)
        }));
        Items::Known(puts.into_iter().map(Item::Put).collect())
    };
    if is_dry_run {
        dry_run(&mut session, &target, items).await;
    } else {
        session.run(&target, items).await;
    }
    if let Some(name) = set_name
        && flags.selection.fail_if_empty
        && session.is_empty()
    {
        session.fail_set(&name, &no_file(&name));
    }
    Ok(session.close())
}

/// The error of `--fail-if-empty`.
fn no_file(set_name: &str) -> Error {
    let what = format!("there is no file to upload in {set_name}");
    Error::new(Kind::NoSource, what).with_hint(
        "check the paths and the filters: with --dry-run -v, the command names the rule that \
         leaves out each file",
    )
}

/// Starts to find the files of a set, which the session has begun.
pub(super) fn set_items(
    session: &mut Session,
    target: &Target,
    transfer: &Transfer,
    selection: Selection,
    rule: KeyRule,
    options: PutOptions,
) -> Items {
    let own = own_files(session.journal(), target, transfer);
    let selection = selection.without(&own);
    session.repeat_flags(PutFlags {
        key: shared_key_flags(&rule, &options, target),
        object: flags_of_options(&options),
        rule: rule_flags(options.if_exists, options.force),
    });
    session.set_destination(rule.destination(&target.name()));
    let mut keys = SetKeys::new(rule, options.key_form, &target.spec);
    let keys_by_path = session.keys_by_path();
    let (mut recorded, mut file_set, mut begun_since) = (None, None, None);
    if let Some(set) = session.current_set() {
        recorded = Some((set.row, set.progress));
        (file_set, begun_since) = (Some(set.row), Some(set.created_at));
    }
    selection.start(recorded, move |file, if_gone| {
        let mut put = selected(file, if_gone, &options, &mut keys)?;
        (put.file_set, put.begun_since) = (file_set, begun_since);
        if let Some(key) = &put.key {
            keys_by_path.add(&put.path, key);
        }
        Ok(put)
    })
}

/// The flags of `put` that choose the keys of several files in the same way.
pub(super) fn shared_key_flags(
    rule: &KeyRule,
    options: &PutOptions,
    target: &Target,
) -> Vec<String> {
    let mut flags = rule.flags(&target.spec);
    flags.extend(flag_of_form(options.key_form));
    flags
}

/// A Companion signs no attributes. The gateway of another backend checks them when an upload
/// begins.
///
/// # Errors
/// [`Kind::Config`] for attributes with a Companion.
pub(super) fn check_attributes(target: &Target, options: &PutOptions) -> Result<()> {
    let given: Vec<String> = options
        .attributes
        .given()
        .map(|attribute| format!("--{attribute}"))
        .collect();
    if given.is_empty() || !matches!(target.spec, BackendSpec::Companion(_)) {
        return Ok(());
    }
    let what = format!("a Companion cannot set {}", given.join(", "));
    Err(Error::new(Kind::Config, what).with_hint(
        "leave that out, or use a gateway (`upload serve`) or `s3://BUCKET` as the backend",
    ))
}

/// The lists, maps and pattern files of a command, which receipts must not replace.
pub(super) fn read_files(flags: &SelectionArgs) -> impl Iterator<Item = &Path> {
    let lists = flags.files_from.iter().chain(&flags.map);
    let lists = lists.map(|list| {
        if list.as_os_str() == "-" {
            Path::new("/dev/stdin")
        } else {
            list.as_path()
        }
    });
    lists.chain(flags.exclude_from.iter().map(PathBuf::as_path))
}

/// The files and directories that this command writes, and does not upload.
fn own_files(journal: &Journal, target: &Target, transfer: &Transfer) -> OwnFiles {
    let mut own = OwnFiles::default();
    own.files.push(journal.path().to_owned());
    own.directories.push(journal.lock_directory());
    let receipt = transfer.receipt.as_ref();
    own.files
        .extend(receipt.map(|receipt| receipt.path.clone()));
    if let Some(local) = &target.local {
        let ledger = match target.s3_service() {
            Some(service) => Some(local.s3_ledger(&target.spec, &service)),
            None => local.embedded_ledger(),
        };
        own.files.extend(ledger);
        own.directories.extend(local.store_dir.clone());
    }
    own
}

/// The request for a file that was found in a directory, a list or a map.
///
/// # Errors
/// [`Kind::Usage`] for a key that no store accepts, or that another file of the command has, and
/// for wrong attributes in a map; [`Kind::Config`] if a map has a key and a Companion makes them.
fn selected(
    file: Selected,
    if_gone: IfGone,
    options: &PutOptions,
    keys: &mut SetKeys,
) -> Result<PutRequest> {
    let mut put = put(&file.path, options);
    put.if_gone = if_gone;
    put.key = keys.key(&file)?;
    let Some(attributes) = file.attributes else {
        return Ok(put);
    };
    let wrong = |reason: String| {
        let what = format!("could not use the attributes of {}", file.path.display());
        Error::new(Kind::Usage, what)
            .with_source(reason)
            .with_hint("correct the attributes of this file in the map")
    };
    if let Some(content_type) = attributes.content_type {
        put.content_type = parse::content_type(&content_type).map_err(wrong)?;
        put.type_origin = TypeOrigin::Requested;
    }
    for (key, value) in &attributes.metadata {
        let (key, value) = parse::metadata_entry(key, value).map_err(wrong)?;
        put.metadata.insert(key, value);
    }
    if metadata_bytes(&put.metadata) > MAX_METADATA_BYTES {
        let reason = format!("meta and --meta have more than {MAX_METADATA_BYTES} bytes in total");
        return Err(wrong(reason));
    }
    if !attributes.of_object.is_empty() {
        keys.check_attributes(&file.path)?;
        let merged = merged(&put.attributes, attributes.of_object);
        let checked = merged.checked().map_err(|error| wrong(error.to_string()))?;
        put.attributes = Box::new(checked);
    }
    Ok(put)
}

/// The attributes of the command, and those of a file in a map, which precede them.
fn merged(of_command: &Attributes, of_file: Attributes) -> Attributes {
    let given = of_command.clone();
    let mut tags = given.tags;
    tags.extend(of_file.tags);
    Attributes {
        acl: of_file.acl.or(given.acl),
        cache_control: of_file.cache_control.or(given.cache_control),
        content_disposition: of_file.content_disposition.or(given.content_disposition),
        content_encoding: of_file.content_encoding.or(given.content_encoding),
        content_language: of_file.content_language.or(given.content_language),
        expires: of_file.expires.or(given.expires),
        sse: of_file.sse.or(given.sse),
        storage_class: of_file.storage_class.or(given.storage_class),
        tags,
    }
}

/// The files to upload, each once even if it is named twice. A link to a file has a name, and
/// perhaps a key, of its own.
fn puts(options: &PutOptions) -> Vec<PutRequest> {
    let mut seen = HashSet::new();
    let is_first = |path: &&PathBuf| seen.insert(place(path));
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
        key: None,
        if_exists: options.if_exists,
        metadata: options.metadata.clone(),
        attributes: options.attributes.clone(),
        part_size: options.part_size,
        force: options.force,
        trust_journal: options.trust_journal,
        on_change: match options.if_changed {
            IfChanged::Fail => OnChange::Fail,
            IfChanged::Restart => OnChange::Restart,
        },
        if_gone: IfGone::Fail,
        file_set: None,
        begun_since: None,
    }
}

/// The name of a file for the backend: `\u{fffd}` replaces control characters and bytes that are
/// not UTF-8, and a longer name than backends accept is cut before its extension.
fn wire_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    let replaced = |c: char| match c {
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    let name: Vec<char> = name.to_string_lossy().chars().map(replaced).collect();
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
async fn dry_run(session: &mut Session, target: &Target, items: Items) {
    session.start_dry_run();
    let Some((handle, info)) = session.connect(target, &items).await else {
        return;
    };
    let first_item = session.first_item();
    match items {
        Items::Known(items) => {
            for (index, item) in items.iter().enumerate() {
                preview(session, handle.backend(), &info, first_item + index, item).await;
            }
        }
        Items::Set(mut set) => {
            let mut item = first_item;
            let mut reported = None;
            loop {
                let incoming = tokio::select! {
                    incoming = set.incoming.recv() => incoming,
                    error = session.wait_for_signal() => {
                        session.count_found(1);
                        session.fail(item, None, Path::new(&set.name), &error);
                        break;
                    }
                };
                let Some(incoming) = incoming else { break };
                let so_far = set.count.so_far();
                if reported.replace(so_far) != Some(so_far) {
                    session.emit(so_far.into());
                }
                match incoming {
                    Incoming::Item(found) => {
                        preview(session, handle.backend(), &info, item, &found).await;
                    }
                    Incoming::Failed { path, error } => {
                        session.fail(item, None, Path::new(&path), &error);
                    }
                    Incoming::Event(event) => {
                        session.emit(event);
                        continue;
                    }
                }
                item += 1;
                session.count_found(1);
            }
            let all = set.count.so_far();
            if reported != Some(all) {
                session.emit(all.into());
            }
        }
    }
    handle.close().await;
}

async fn preview(
    session: &mut Session,
    backend: &Backend,
    info: &BackendInfo,
    item: usize,
    request: &Item,
) {
    let Item::Put(put) = request else { return };
    let (journal, options) = (session.journal(), session.preview_options());
    match transfer::preview(journal, backend, info, options, item, put).await {
        Ok(event) => session.emit(event),
        Err(error) => session.fail(item, None, &put.path, &error),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

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
