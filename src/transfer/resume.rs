//! Decisions about what is left to do: which upload a source continues, which parts the store has,
//! whether the parts make up the whole object, and whether the receipt is for that object. Pure.
//!
//! A dry run makes the same decisions (`preview`).

use std::borrow::Borrow;
use std::collections::BTreeMap;

use upload_types::error::{Error, Kind, Result};
use upload_types::plan::Plan;
use upload_types::wire::{
    CompletePart, IfExists, ObjectState, Receipt, StoredPart, UploadState, UploadStatus,
};
use upload_types::{Checksum, ETag, PartNumber, Sha256};

use super::ended_upload::{check_failed, terminal_error};
use super::options::{NameOrigin, PutRequest};
use crate::journal::{Part, State, Upload};
use crate::source::FileVersion;

/// The decision of a `put` of a source, given the uploads of that source in the journal. The number
/// is an index of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Begin a new upload.
    New,
    /// Begin a new upload instead of this one, of which the store has nothing.
    Discard(usize),
    /// Continue this unfinished upload.
    Continue(usize),
    /// Abort this unfinished upload of another file version, or with another content type,
    /// other metadata or attributes, and begin a new one.
    Replace(usize),
    /// This file version was uploaded before.
    Completed(usize),
    /// A version of the same size was uploaded before. Its digests show whether it is this one.
    PossiblyCompleted(usize),
}

/// Chooses among `candidates`, newest first.
#[must_use]
pub fn choose(
    candidates: &[impl Borrow<Upload>],
    version: &FileVersion,
    put: &PutRequest,
) -> Choice {
    let all = || candidates.iter().map(Borrow::borrow);
    let has_size = |upload: &Upload| upload.intent.version.size == version.size;
    let has_attributes = |upload: &Upload| put.accepts_attributes_of(&upload.intent);
    // An object of an earlier upload is at the key, too.
    let wants_new = put.force || (put.key.is_some() && put.if_exists == IfExists::Fail);
    let is_of_this_put = |upload: &Upload| {
        put.begun_since
            .is_some_and(|time| upload.created_at >= time)
    };
    let unfinished = |test: &dyn Fn(&Upload) -> bool| {
        all().position(|upload| upload.state.is_unfinished() && test(upload))
    };
    // A file that was moved here is preferred to the one that was here before.
    let of_this_file = unfinished(&|upload| upload.intent.version.is_same_file(version));
    if let Some(index) = of_this_file.or_else(|| unfinished(&|_| true)) {
        let upload: &Upload = candidates[index].borrow();
        return match upload.state {
            _ if !has_size(upload) => Choice::Replace(index),
            _ if has_attributes(upload) => Choice::Continue(index),
            State::Creating => Choice::Discard(index),
            _ => Choice::Replace(index),
        };
    }
    let completed = |test: &dyn Fn(&Upload) -> bool| {
        all().position(|upload| {
            let may_be_there = upload.state.is_finished() && has_attributes(upload);
            may_be_there && (!wants_new || is_of_this_put(upload)) && test(upload)
        })
    };
    if let Some(index) = completed(&|upload| upload.intent.version == *version) {
        return Choice::Completed(index);
    }
    completed(&has_size).map_or(Choice::New, Choice::PossiblyCompleted)
}

/// Whether a `put` may continue this upload, if it is one of the same file under another path.
/// With `holds_source`, that path still has the file, as one of several hard links: then it is a
/// source of its own.
#[must_use]
pub fn follows(upload: &Upload, put: &PutRequest, holds_source: bool) -> bool {
    let may_rename = put.name_origin == NameOrigin::Path || upload.intent.name == put.name;
    let has_name = upload.intent.name == put.name;
    (upload.state.is_finished() && has_name)
        || (upload.state.is_unfinished() && may_rename && !holds_source)
}

/// Whether the object of a completed upload is still there, by the status that the backend reports.
#[derive(Debug)]
pub enum Presence {
    There,
    Gone,
    /// A hook has rejected it.
    Rejected(Error),
}

#[must_use]
pub fn presence(status: &UploadStatus) -> Presence {
    match (status.state, status.object) {
        (UploadState::Verified | UploadState::Ready, None | Some(ObjectState::Present)) => {
            Presence::There
        }
        (UploadState::Verified | UploadState::Ready, Some(_)) => Presence::Gone,
        _ => match terminal_error(status) {
            error if error.kind() == Kind::CheckFailed => Presence::Rejected(error),
            _ => Presence::Gone,
        },
    }
}

/// How an upload that has begun continues, by the status that the backend reports.
#[derive(Debug)]
pub enum Continuation {
    /// It accepts parts, or is completing those that it has.
    Parts,
    Verified(Box<Receipt>),
    Ended(Error),
}

#[must_use]
pub fn continuation(status: UploadStatus) -> Continuation {
    match status.state {
        // If completing was requested before, the backend lists the parts of that request.
        UploadState::Pending | UploadState::Uploading | UploadState::Completing => {
            Continuation::Parts
        }
        // It was verified without this client, and its object has disappeared since.
        UploadState::Verified | UploadState::Ready
            if matches!(
                status.object,
                Some(ObjectState::Missing | ObjectState::Replaced)
            ) =>
        {
            Continuation::Ended(terminal_error(&status))
        }
        UploadState::Verified | UploadState::Ready => {
            let what = "the backend has verified the upload but has no receipt yet";
            let pending = || Continuation::Ended(Error::new(Kind::Temporary, what));
            let verified = |receipt| Continuation::Verified(Box::new(receipt));
            status.receipt.map_or_else(pending, verified)
        }
        UploadState::Rejected
        | UploadState::Aborting
        | UploadState::Aborted
        | UploadState::Expired => Continuation::Ended(terminal_error(&status)),
    }
}

/// The error for an upload of the journal that cannot be continued. Returns `None` if it can.
#[must_use]
pub fn not_resumable(state: State) -> Option<Error> {
    match state {
        State::Creating | State::Uploading | State::Completing => None,
        State::Rejected => Some(check_failed("the backend's checks rejected the object")),
        State::Completed | State::Abandoned => {
            let hint = "run `upload put FILE` to begin a new upload";
            Some(Error::new(Kind::Gone, "the upload has ended").with_hint(hint))
        }
    }
}

/// The parts that need not be sent: journal and store agree on number, size and SHA-256. If the
/// store keeps no SHA-256, its `ETag` must be the one that it returned for these bytes. Returns
/// the store's `ETag`: it may have changed if the same bytes arrived twice.
#[must_use]
pub fn agreed_parts<'a>(
    plan: &Plan,
    journal: impl IntoIterator<Item = &'a Part>,
    store: &[StoredPart],
) -> Vec<(PartNumber, Sha256, ETag)> {
    let store: BTreeMap<PartNumber, &StoredPart> =
        store.iter().map(|part| (part.number, part)).collect();
    let agreed = journal.into_iter().filter_map(|part| {
        let stored = store.get(&part.number)?;
        let same_bytes = match &stored.sha256 {
            Some(sha256) => *sha256 == part.sha256,
            None => part.etag.as_ref() == Some(&stored.etag),
        };
        let same_size = plan.range(part.number)?.len == stored.size;
        (same_bytes && same_size).then(|| (part.number, part.sha256, stored.etag.clone()))
    });
    agreed.collect()
}

/// The parts of the request to complete, in order, and the checksum that the object must have.
///
/// # Errors
/// [`Kind::Other`] if a part of the plan is not stored, or a stored part is not in the plan.
pub fn complete_parts(
    plan: &Plan,
    parts: &BTreeMap<PartNumber, Part>,
) -> Result<(Vec<CompletePart>, Checksum)> {
    let complete: Option<Vec<CompletePart>> = plan
        .parts()
        .map(|(number, _)| {
            let part = parts.get(&number)?;
            Some(CompletePart {
                number,
                etag: part.etag.clone()?,
                sha256: part.sha256,
            })
        })
        .collect();
    let complete = complete.filter(|complete| complete.len() == parts.len());
    let complete =
        complete.ok_or_else(|| Error::new(Kind::Other, "not every part of the plan is stored"))?;
    Ok((complete, object_checksum(plan, parts)?))
}

/// The checksum of the object that consists of these parts.
///
/// # Errors
/// [`Kind::Other`] if the SHA-256 of a part is not known.
pub fn object_checksum(plan: &Plan, parts: &BTreeMap<PartNumber, Part>) -> Result<Checksum> {
    let digests: Option<Vec<&Sha256>> = plan
        .parts()
        .map(|(number, _)| Some(&parts.get(&number)?.sha256))
        .collect();
    match digests.as_deref() {
        Some([only]) => Ok(Checksum::whole(only)),
        Some(digests) => Ok(Checksum::composite(digests.iter().copied())),
        None => {
            let what = "not every part of the plan has a SHA-256";
            Err(Error::new(Kind::Other, what))
        }
    }
}

/// Takes the location from a status: a backend with hooks names it only after they have accepted
/// the object. Returns true if the receipt had none before.
pub fn take_location(receipt: &mut Receipt, status: &UploadStatus) -> bool {
    let known = status.receipt.as_ref();
    let location = known.and_then(|known| known.location.clone());
    let is_new = receipt.location.is_none() && location.is_some();
    if is_new {
        receipt.location = location;
    }
    is_new
}

/// Checks that a receipt is for an object with this size, number of parts and checksum.
///
/// # Errors
/// [`Kind::Corrupt`] if it is not.
pub fn check_receipt(receipt: &Receipt, plan: &Plan, checksum: &Checksum) -> Result<()> {
    let is_same = receipt.size == plan.size()
        && receipt.parts == plan.count()
        && receipt
            .checksum
            .as_ref()
            .is_some_and(|sent| sent.has_content_of(checksum));
    if is_same {
        return Ok(());
    }
    let what = format!(
        "the receipt is for another object, of {} bytes in {} parts with checksum {}; this \
         upload has {} bytes in {} parts with checksum {checksum}",
        receipt.size,
        receipt.parts,
        receipt.checksum.as_ref().map_or("-", Checksum::as_str),
        plan.size(),
        plan.count()
    );
    let hint = "do not use the object; upload the file again with `upload put FILE --force`";
    Err(Error::new(Kind::Corrupt, what).with_hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Intent;
    use crate::transfer::options::{IfGone, OnChange, TypeOrigin};

    fn number(n: u32) -> PartNumber {
        n.try_into().unwrap()
    }

    fn etag(text: &str) -> ETag {
        text.parse().unwrap()
    }

    fn part(n: u32, bytes: &[u8], acknowledged: Option<&str>) -> Part {
        Part {
            number: number(n),
            sha256: Sha256::of(bytes),
            etag: acknowledged.map(etag),
        }
    }

    fn stored(n: u32, size: u64, bytes: Option<&[u8]>, tag: &str) -> StoredPart {
        StoredPart {
            number: number(n),
            size,
            etag: etag(tag),
            sha256: bytes.map(Sha256::of),
        }
    }

    const VERSION: FileVersion = FileVersion {
        dev: 1,
        ino: 2,
        size: 3,
        mtime_ns: 4,
        ctime_ns: 5,
    };

    fn upload(state: State, version: FileVersion) -> Upload {
        let intent = Intent {
            backend: String::new(),
            s3_service: None,
            instance_id: String::new(),
            path: "/f".into(),
            name: "f".into(),
            content_type: "a/b".into(),
            metadata: BTreeMap::new(),
            attributes: Box::default(),
            key: None,
            if_exists: None,
            version,
            part_size: 10,
            stream: None,
            file_set: None,
        };
        Upload {
            row: 1,
            idempotency_key: String::new(),
            holder: String::new(),
            id: None,
            backend_state: None,
            intent,
            state,
            receipt: None,
            may_be_mapped: false,
            created_at: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    fn put() -> PutRequest {
        PutRequest {
            path: "/f".into(),
            name: "f".into(),
            name_origin: NameOrigin::Path,
            content_type: "a/b".into(),
            type_origin: TypeOrigin::Requested,
            metadata: BTreeMap::new(),
            attributes: Box::default(),
            key: None,
            if_exists: IfExists::Same,
            part_size: None,
            force: false,
            trust_journal: false,
            on_change: OnChange::Fail,
            if_gone: IfGone::Fail,
            file_set: None,
            begun_since: None,
        }
    }

    #[test]
    fn unfinished_upload_is_chosen_before_a_completed_one() {
        let touched = FileVersion {
            mtime_ns: 9,
            ..VERSION
        };
        let grown = FileVersion { size: 9, ..VERSION };
        let both = [
            upload(State::Completed, VERSION),
            upload(State::Uploading, touched),
        ];
        let forced = PutRequest {
            force: true,
            trust_journal: false,
            ..put()
        };
        let choose_of = |uploads: &[Upload], version| choose(uploads, version, &put());
        assert_eq!(choose_of(&both, &VERSION), Choice::Continue(1));
        assert_eq!(choose_of(&both[..1], &VERSION), Choice::Completed(0));
        let touched = choose_of(&both[..1], &touched);
        assert_eq!(touched, Choice::PossiblyCompleted(0));
        assert_eq!(choose(&both[..1], &VERSION, &forced), Choice::New);
        // `resume` of a set does not send again what its put has sent.
        let put_at = |seconds| PutRequest {
            begun_since: jiff::Timestamp::from_second(seconds).ok(),
            ..forced.clone()
        };
        assert_eq!(choose(&both[..1], &VERSION, &put_at(1)), Choice::New);
        assert_eq!(
            choose(&both[..1], &VERSION, &put_at(0)),
            Choice::Completed(0)
        );
        let replaced = choose_of(&[upload(State::Uploading, grown)], &VERSION);
        assert_eq!(replaced, Choice::Replace(0));
        let other = choose_of(&[upload(State::Completed, grown)], &VERSION);
        assert_eq!(other, Choice::New);
        assert_eq!(choose_of(&[], &VERSION), Choice::New);
    }

    #[test]
    fn upload_of_the_same_file_is_chosen_before_one_of_the_same_path() {
        let other = FileVersion { ino: 9, ..VERSION };
        let both = [
            upload(State::Uploading, other),
            upload(State::Uploading, VERSION),
        ];
        assert_eq!(choose(&both, &VERSION, &put()), Choice::Continue(1));
        assert_eq!(choose(&both, &other, &put()), Choice::Continue(0));
    }

    #[test]
    fn only_unfinished_uploads_of_a_moved_file_are_followed() {
        let unfinished = upload(State::Uploading, VERSION);
        assert!(follows(&unfinished, &put(), false));
        assert!(!follows(&unfinished, &put(), true), "a hard link");
        let renamed = PutRequest {
            name: "g".into(),
            ..put()
        };
        assert!(follows(&unfinished, &renamed, false));
        let named = PutRequest {
            name_origin: NameOrigin::Requested,
            ..renamed
        };
        assert!(!follows(&unfinished, &named, false), "another name");
        let completed = upload(State::Completed, VERSION);
        assert!(follows(&completed, &put(), true));
    }

    #[test]
    fn begun_upload_that_may_replace_an_object_is_continued_only_by_one_that_may() {
        let begun = |if_exists| {
            let mut upload = upload(State::Uploading, VERSION);
            upload.intent.key = Some("k".into());
            upload.intent.if_exists = Some(if_exists);
            upload
        };
        let put = |if_exists| PutRequest {
            key: Some("k".into()),
            if_exists,
            ..put()
        };
        let choose = |earlier, now| choose(&[begun(earlier)], &VERSION, &put(now));
        for rule in IfExists::ALL {
            let expected = match rule {
                IfExists::Overwrite | IfExists::Update => Choice::Continue(0),
                _ => Choice::Replace(0),
            };
            assert_eq!(choose(IfExists::Overwrite, rule), expected, "{rule:?}");
            assert_eq!(choose(IfExists::Same, rule), Choice::Continue(0));
        }
    }

    #[test]
    fn completed_upload_does_not_count_if_no_object_may_be_at_the_key() {
        let mut completed = upload(State::Completed, VERSION);
        completed.intent.key = Some("k".into());
        for rule in IfExists::ALL {
            let put = PutRequest {
                key: Some("k".into()),
                if_exists: rule,
                ..put()
            };
            let expected = match rule {
                IfExists::Fail => Choice::New,
                _ => Choice::Completed(0),
            };
            let chosen = choose(std::slice::from_ref(&completed), &VERSION, &put);
            assert_eq!(chosen, expected, "{rule:?}");
        }
    }

    #[test]
    fn upload_with_other_attributes_is_not_continued() {
        let other = PutRequest {
            content_type: "c/d".into(),
            ..put()
        };
        let chosen = |state| choose(&[upload(state, VERSION)], &VERSION, &other);
        assert_eq!(chosen(State::Creating), Choice::Discard(0));
        assert_eq!(chosen(State::Uploading), Choice::Replace(0));
        assert_eq!(chosen(State::Completing), Choice::Replace(0));
        assert_eq!(chosen(State::Completed), Choice::New);
        let guessed = PutRequest {
            type_origin: TypeOrigin::Guessed,
            ..other.clone()
        };
        let chosen = |state| choose(&[upload(state, VERSION)], &VERSION, &guessed);
        assert_eq!(chosen(State::Creating), Choice::Continue(0));
        assert_eq!(chosen(State::Uploading), Choice::Continue(0));
        assert_eq!(chosen(State::Completed), Choice::Completed(0));
    }

    /// A program can set the modification time back, but not the change time.
    #[test]
    fn restored_modification_time_does_not_prove_the_same_version() {
        let edited = FileVersion {
            ctime_ns: 9,
            ..VERSION
        };
        let chosen = choose(&[upload(State::Completed, VERSION)], &edited, &put());
        assert_eq!(chosen, Choice::PossiblyCompleted(0));
    }

    #[test]
    fn part_is_skipped_only_if_journal_and_store_agree() {
        let plan = Plan::pinned(25, 10).unwrap();
        let journal = [
            part(1, b"one", Some("e1")),
            part(2, b"two", None),
            part(3, b"three", Some("e3")),
        ];
        let agreed = |store: &[StoredPart]| {
            agreed_parts(&plan, &journal, store)
                .into_iter()
                .map(|(number, ..)| number.get())
                .collect::<Vec<_>>()
        };
        // The journal's record of the ETag was lost.
        assert_eq!(agreed(&[stored(2, 10, Some(b"two"), "e2")]), [2]);
        // Other bytes, another size, the right size of the last part, no part.
        assert_eq!(agreed(&[stored(1, 10, Some(b"other"), "e1")]), [0; 0]);
        assert_eq!(agreed(&[stored(3, 10, Some(b"three"), "e3")]), [0; 0]);
        assert_eq!(agreed(&[stored(3, 5, Some(b"three"), "e3")]), [3]);
        assert_eq!(agreed(&[]), [0; 0]);
        // A store without SHA-256: only acknowledged parts, by their ETag.
        let without = [stored(1, 10, None, "e1"), stored(2, 10, None, "e2")];
        assert_eq!(agreed(&without), [1]);
        assert_eq!(agreed(&[stored(1, 10, None, "other")]), [0; 0]);
    }

    #[test]
    fn complete_needs_exactly_the_parts_of_the_plan() {
        let plan = Plan::pinned(25, 10).unwrap();
        let complete = |numbers: &[(u32, Option<&str>)]| {
            let parts: BTreeMap<_, _> = numbers
                .iter()
                .map(|(n, tag)| (number(*n), part(*n, b"bytes", *tag)))
                .collect();
            complete_parts(&plan, &parts)
        };
        let (a, b, c, d) = (
            (1, Some("a")),
            (2, Some("b")),
            (3, Some("c")),
            (4, Some("d")),
        );
        let (parts, checksum) = complete(&[a, b, c]).unwrap();
        assert_eq!(parts.len(), 3);
        assert!(checksum.as_str().ends_with("-3"));
        assert!(complete(&[a, c]).is_err());
        assert!(complete(&[a, (2, None), c]).is_err());
        assert!(complete(&[a, b, c, d]).is_err());
    }

    #[test]
    fn receipt_must_have_size_parts_and_checksum_of_the_upload() {
        let plan = Plan::pinned(25, 10).unwrap();
        let of = |bytes: [&[u8]; 3]| Checksum::composite(&bytes.map(Sha256::of));
        let (ours, other) = (of([b"a", b"b", b"c"]), of([b"a", b"b", b"d"]));
        let receipt = |size: u64, parts: u32, checksum: &Checksum| -> Receipt {
            let time = "2026-01-01T00:00:00Z";
            serde_json::from_value(serde_json::json!({
                "id": "0198c0de-0000-7000-8000-000000000000", "backend": "b",
                "instance_id": "i", "key": "k", "location": "l", "size": size, "parts": parts,
                "part_size": 10, "etag": "e", "checksum": checksum, "proof": "sha256",
                "sha256": null, "started": time, "finished": time,
            }))
            .unwrap()
        };
        let check = |receipt: &Receipt| check_receipt(receipt, &plan, &ours);
        assert!(check(&receipt(25, 3, &ours)).is_ok());
        let without = Receipt {
            checksum: None,
            ..receipt(25, 3, &ours)
        };
        for wrong in [
            receipt(24, 3, &ours),
            receipt(25, 2, &ours),
            receipt(25, 3, &other),
            without,
        ] {
            assert_eq!(check(&wrong).unwrap_err().kind(), Kind::Corrupt);
        }
    }
}
