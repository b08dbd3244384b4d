//! The result of a put without faults at a key at which no upload is unfinished.

use upload::journal::{Journal, State, Upload};
use upload::source::FileVersion;
use upload_types::wire::IfExists;

use super::actions::Put;
use super::source::Version;
use super::state::{Case, KeysModel};
use crate::bucket::Object;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PutResult {
    /// With a receipt.
    Stored,
    /// Left out.
    Kept,
    /// The failure `exists`.
    Exists,
}

/// The object at the key afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    Unchanged,
    /// Another object, with the content of the source.
    New,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Prediction {
    pub(super) result: PutResult,
    pub(super) after: After,
    /// Bytes in the bodies of PUTs.
    pub(super) sent: u64,
}

impl Prediction {
    fn unchanged(result: PutResult) -> Self {
        Self {
            result,
            after: After::Unchanged,
            sent: 0,
        }
    }
}

impl KeysModel {
    /// Whether the result of a put is determined: no upload is unfinished at its key, and the
    /// object there is that of a finished upload or of another program.
    pub(super) fn is_determined(&self, case: &Case, put: &Put) -> bool {
        let key = case.key(put.key);
        let object = self.bucket.contents().objects.get(&key).cloned();
        let token = object.and_then(|object| object.token);
        let creator = token.map(|token| self.creator(&token));
        let is_finished =
            creator.is_none_or(|creator| creator.is_some_and(|it| it.state == "ready"));
        let unfinished = case.journal(put.machine).all().unwrap().into_iter();
        let mut unfinished = unfinished.filter(|upload| upload.state.is_unfinished());
        let is_continued = unfinished.any(|upload| upload.intent.key.as_ref() == Some(&key));
        is_finished && !is_continued && !self.is_in_use(&key)
    }

    pub(super) fn predict(&self, case: &Case, put: &Put) -> Prediction {
        let key = case.key(put.key);
        let version = case.version(put.source);
        let object = self.bucket.contents().objects.get(&key).cloned();
        let journal = case.journal(put.machine);
        let own = own_upload(case, put, &journal);
        let is_own = |own: &Upload| {
            let receipt = own.receipt.as_ref();
            let etag = receipt.map(|receipt| receipt.etag.as_str());
            object.as_ref().map(|object| object.etag.as_str()) == etag
                && object
                    .as_ref()
                    .is_some_and(|object| version.is_that_of(object))
        };
        if own.as_ref().is_some_and(is_own) {
            return Prediction::unchanged(PutResult::Stored);
        }
        let is_same = |object: &Object| !object.checksum.is_empty() && version.is_that_of(object);
        match (object, put.if_exists) {
            (Some(_), IfExists::Skip) => return Prediction::unchanged(PutResult::Kept),
            (Some(object), IfExists::Same | IfExists::Update) if is_same(&object) => {
                return Prediction::unchanged(PutResult::Stored);
            }
            (Some(_), IfExists::Same | IfExists::Fail) => {
                return Prediction::unchanged(PutResult::Exists);
            }
            (Some(_), IfExists::Update | IfExists::Overwrite) | (None, _) => {}
        }
        // The parts of an unchanged file are not looked for elsewhere.
        let file = FileVersion::of(&case.path(put.source)).unwrap();
        let is_unchanged = own.is_some_and(|own| own.intent.version == file);
        let copied = if put.force || is_unchanged {
            0
        } else {
            self.copied_bytes(case, put, &version)
        };
        Prediction {
            result: PutResult::Stored,
            after: After::New,
            sent: version.size() - copied,
        }
    }

    /// The bytes of the source that the latest finished upload of the same file, or else of the
    /// same path, has in its object, if that is still there.
    fn copied_bytes(&self, case: &Case, put: &Put, version: &Version) -> u64 {
        let path = case.path(put.source);
        let file = FileVersion::of(&path).unwrap();
        let is_same = |upload: &Upload| upload.intent.version.is_same_file(&file);
        let is_moved = |upload: &Upload| {
            let before = &upload.intent.version;
            is_same(upload) && (before.size, before.mtime_ns) == (file.size, file.mtime_ns)
        };
        let journal = case.journal(put.machine);
        let finished: Vec<Upload> = finished(&journal)
            .into_iter()
            .filter(|upload| upload.intent.path == path || is_moved(upload))
            .collect();
        let of_file = finished.iter().find(|upload| is_same(upload));
        let Some(base) = of_file.or(finished.first()) else {
            return 0;
        };
        let receipt = base.receipt.as_ref().unwrap();
        let contents = self.bucket.contents();
        let object = contents.objects.get(receipt.key.as_str());
        let object = object.filter(|object| object.etag == receipt.etag.as_str());
        let Some(object) = object else {
            return 0;
        };
        let parts = version.parts.iter();
        let known = parts.filter(|part| object.content.contains(part));
        known.map(|(_, size)| size).sum()
    }
}

/// The finished uploads of a journal, newest first.
fn finished(journal: &Journal) -> Vec<Upload> {
    let mut uploads = journal.all().unwrap();
    uploads.retain(|upload| upload.state == State::Completed);
    uploads.sort_by_key(|upload| -upload.row);
    uploads
}

/// The finished upload for which the client asks before it begins another one: of the same version
/// of the file at the key, otherwise of the same size.
fn own_upload(case: &Case, put: &Put, journal: &Journal) -> Option<Upload> {
    if put.force || put.if_exists == IfExists::Fail {
        return None;
    }
    let (key, path) = (case.key(put.key), case.path(put.source));
    let file = FileVersion::of(&path).unwrap();
    let may_replace = matches!(put.if_exists, IfExists::Update | IfExists::Overwrite);
    let mut usable = finished(journal);
    usable.retain(|upload| {
        let intent = &upload.intent;
        let has_rule = may_replace || intent.if_exists != Some(IfExists::Overwrite);
        intent.key.as_ref() == Some(&key) && intent.path == path && has_rule
    });
    let unchanged = usable.iter().find(|upload| upload.intent.version == file);
    let of_size = |upload: &&Upload| upload.intent.version.size == file.size;
    unchanged.or(usable.iter().find(of_size)).cloned()
}
