//! The outcome of a complete, decided from the response of the store and from the object in the
//! store. All functions are pure.
//!
//! Not here: requests to the store, and the reaction to the outcome (`complete`).

use crate::ledger::UploadKind;
use upload_s3::{Fault, Head};
use upload_types::Checksum;

/// The object that must be at the upload's key.
pub struct ExpectedObject<'a> {
    pub token: &'a str,
    pub size: u64,
    /// `None` if it is unknown.
    pub checksum: Option<&'a Checksum>,
    /// Headers of the object that its client has added: it must have none.
    pub unsigned_headers: &'a [String],
}

/// The comparison of the object in the store with the expected one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectCheck {
    /// There is no object.
    Absent,
    /// Token and size are as expected, and so is the checksum if the store reports one.
    Matches,
    /// The token is as expected, but size, checksum or headers are not.
    Damaged,
    /// The object has another token, or none.
    Foreign,
    /// The store did not respond.
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompletionOutcome {
    /// The object matches.
    Verified,
    /// The outcome is unknown; the complete must be repeated.
    Undecided,
    /// The store has other parts than the client declared.
    PartsMismatch,
    /// The store has neither the object nor the multipart upload; the client must begin again.
    Lost,
    /// The object does not match and must be deleted.
    Damaged,
    /// Another object is at the chosen key.
    Exists,
    /// The store refuses to complete, and would refuse a repetition.
    Refused,
    /// The store has no object, and rejects the credentials for this reason.
    Rejected(&'static str),
    /// The store rejects the credentials for this reason. The upload may be complete from an
    /// earlier request.
    RejectedUnknown(&'static str),
}

/// The decision about an object that carries the token of an expired upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpiredObject {
    /// The object matches: the upload is complete.
    Verified,
    /// The ledger lacks the checksums of the parts, or the object has headers that this gateway
    /// does not request. The object must be kept, since it may be a complete one.
    Unknown,
    /// The object does not match, or its bytes were never verified: it may be removed.
    Leftover,
}

/// Decides about an object that carries the token of an expired upload of `kind`. `checksum` is
/// `None` if the ledger lacks it. A gateway with another configuration may have requested
/// `unsigned_headers`.
#[must_use]
pub fn expired_object(
    object: &Head,
    kind: UploadKind,
    size: u64,
    checksum: Option<&Checksum>,
    unsigned_headers: &[String],
) -> ExpiredObject {
    match kind {
        // The sweep has polled for the object before the form expired.
        UploadKind::FormPost => ExpiredObject::Leftover,
        // Its existence proves a complete. Its size was not declared.
        UploadKind::Multipart => ExpiredObject::Unknown,
        // The ledger may be older than the end of the stream.
        UploadKind::Streamed if object.size != size => ExpiredObject::Unknown,
        UploadKind::Declared | UploadKind::Copied if object.size != size => ExpiredObject::Leftover,
        UploadKind::Declared | UploadKind::Copied | UploadKind::Streamed => {
            if checksum.is_none() {
                ExpiredObject::Unknown
            } else if differ(object.checksum.as_ref(), checksum) {
                ExpiredObject::Leftover
            } else if !unsigned_headers.is_empty() {
                ExpiredObject::Unknown
            } else {
                ExpiredObject::Verified
            }
        }
    }
}

/// Compares an object with the expected one.
#[must_use]
pub fn check_object(object: Option<&Head>, expected: &ExpectedObject<'_>) -> ObjectCheck {
    match object {
        None => ObjectCheck::Absent,
        Some(object) if object.token.as_deref() != Some(expected.token) => ObjectCheck::Foreign,
        Some(object) if object.size != expected.size => ObjectCheck::Damaged,
        Some(object) if differ(object.checksum.as_ref(), expected.checksum) => ObjectCheck::Damaged,
        Some(_) if !expected.unsigned_headers.is_empty() => ObjectCheck::Damaged,
        Some(_) => ObjectCheck::Matches,
    }
}

/// Returns true if both checksums are known and differ. Some stores omit the number of parts from a
/// composite checksum.
fn differ(reported: Option<&Checksum>, expected: Option<&Checksum>) -> bool {
    let (Some(reported), Some(expected)) = (reported, expected) else {
        return false;
    };
    let without_count = expected.as_str().split('-').next();
    reported != expected && without_count != Some(reported.as_str())
}

/// The outcome for a multipart upload. If the object matches, the response to
/// CompleteMultipartUpload does not matter.
#[must_use]
pub fn multipart_outcome(response: Result<(), &Fault>, object: ObjectCheck) -> CompletionOutcome {
    match (response, object) {
        (_, ObjectCheck::Matches) => CompletionOutcome::Verified,
        (_, ObjectCheck::Damaged) => CompletionOutcome::Damaged,
        (Err(Fault::InvalidPart(_)), ObjectCheck::Absent) => CompletionOutcome::PartsMismatch,
        (Err(Fault::Refused(_)), ObjectCheck::Absent) => CompletionOutcome::Refused,
        (Err(Fault::NoSuchUpload), ObjectCheck::Absent) | (_, ObjectCheck::Foreign) => {
            CompletionOutcome::Lost
        }
        (Err(Fault::Rejected(rejection)), ObjectCheck::Absent) => {
            CompletionOutcome::Rejected(rejection.summary)
        }
        (Err(Fault::Rejected(rejection)), ObjectCheck::Unknown) => {
            CompletionOutcome::RejectedUnknown(rejection.summary)
        }
        (_, ObjectCheck::Absent | ObjectCheck::Unknown) => CompletionOutcome::Undecided,
    }
}

/// An object at a chosen key that does not belong to the upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForeignObject {
    /// The one that the upload is to replace.
    Replaced,
    Other,
}

/// The outcome for a multipart upload at a chosen key. `foreign` matters only if the object is
/// foreign.
#[must_use]
pub fn outcome_at_chosen_key(
    response: Result<(), &Fault>,
    object: ObjectCheck,
    foreign: ForeignObject,
) -> CompletionOutcome {
    if object != ObjectCheck::Foreign {
        return multipart_outcome(response, object);
    }
    match (response, foreign) {
        (Err(Fault::PreconditionFailed), _)
        // The object of an earlier complete may have been replaced.
        | (Ok(()) | Err(Fault::NoSuchUpload), ForeignObject::Other) => CompletionOutcome::Exists,
        // The response does not name another object as the reason.
        (response, _) => multipart_outcome(response, ObjectCheck::Absent),
    }
}

/// The outcome for an upload of a single PUT. Only the object matters.
#[must_use]
pub fn single_outcome(object: ObjectCheck) -> CompletionOutcome {
    match object {
        ObjectCheck::Matches => CompletionOutcome::Verified,
        ObjectCheck::Damaged => CompletionOutcome::Damaged,
        ObjectCheck::Absent => CompletionOutcome::PartsMismatch,
        ObjectCheck::Foreign => CompletionOutcome::Lost,
        ObjectCheck::Unknown => CompletionOutcome::Undecided,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use upload_types::Sha256;

    #[test]
    fn object_matches_by_token_size_and_checksum() {
        let checksum = Checksum::whole(&Sha256::of(b"a"));
        let expected = ExpectedObject {
            token: "t",
            size: 1,
            checksum: Some(&checksum),
            unsigned_headers: &[],
        };
        let object = Head {
            size: 1,
            etag: "e".parse().unwrap(),
            checksum: Some(checksum.clone()),
            token: Some("t".into()),
            content_type: None,
            modified: None,
            version_id: None,
            headers: [].into(),
        };
        let check = |change: fn(&mut Head)| {
            let mut object = object.clone();
            change(&mut object);
            check_object(Some(&object), &expected)
        };
        assert_eq!(check_object(None, &expected), ObjectCheck::Absent);
        assert_eq!(check(|_| ()), ObjectCheck::Matches);
        assert_eq!(check(|object| object.checksum = None), ObjectCheck::Matches);
        assert_eq!(check(|object| object.size = 2), ObjectCheck::Damaged);
        assert_eq!(
            check(|object| object.checksum = Some(Checksum::whole(&Sha256::of(b"b")))),
            ObjectCheck::Damaged
        );
        let with_headers = ExpectedObject {
            unsigned_headers: &["content-encoding".to_owned()],
            ..expected
        };
        assert_eq!(
            check_object(Some(&object), &with_headers),
            ObjectCheck::Damaged
        );
        for token in [None, Some("u".to_owned())] {
            let object = Head {
                token,
                ..object.clone()
            };
            assert_eq!(check_object(Some(&object), &expected), ObjectCheck::Foreign);
        }
    }

    #[test]
    fn composite_checksum_may_lack_the_number_of_parts() {
        let composite = Checksum::composite(&[Sha256::of(b"a"), Sha256::of(b"b")]);
        let check = |reported: &str| {
            let object = Head {
                size: 1,
                etag: "e".parse().unwrap(),
                checksum: reported.parse().ok(),
                token: Some("t".into()),
                content_type: None,
                modified: None,
                version_id: None,
                headers: [].into(),
            };
            let expected = ExpectedObject {
                token: "t",
                size: 1,
                checksum: Some(&composite),
                unsigned_headers: &[],
            };
            check_object(Some(&object), &expected)
        };
        let (without_count, _) = composite.as_str().split_once('-').unwrap();
        assert_eq!(check(composite.as_str()), ObjectCheck::Matches);
        assert_eq!(check(without_count), ObjectCheck::Matches);
        assert_eq!(check(&format!("{without_count}-3")), ObjectCheck::Damaged);
    }

    #[test]
    fn other_object_at_a_chosen_key_ends_the_upload_only_if_the_store_says_so() {
        use ForeignObject::{Other, Replaced};
        let unavailable = Fault::Unavailable(String::new());
        let invalid = Fault::InvalidPart(String::new());
        let foreign =
            |response, foreign| outcome_at_chosen_key(response, ObjectCheck::Foreign, foreign);
        for (response, other, replaced) in [
            (
                Err(&Fault::PreconditionFailed),
                CompletionOutcome::Exists,
                CompletionOutcome::Exists,
            ),
            (
                Err(&Fault::NoSuchUpload),
                CompletionOutcome::Exists,
                CompletionOutcome::Lost,
            ),
            (
                Ok(()),
                CompletionOutcome::Exists,
                CompletionOutcome::Undecided,
            ),
            (
                Err(&unavailable),
                CompletionOutcome::Undecided,
                CompletionOutcome::Undecided,
            ),
            (
                Err(&invalid),
                CompletionOutcome::PartsMismatch,
                CompletionOutcome::PartsMismatch,
            ),
        ] {
            assert_eq!(foreign(response, Other), other, "{response:?}");
            assert_eq!(foreign(response, Replaced), replaced, "{response:?}");
            for object in [
                ObjectCheck::Matches,
                ObjectCheck::Damaged,
                ObjectCheck::Unknown,
                ObjectCheck::Absent,
            ] {
                assert_eq!(
                    outcome_at_chosen_key(response, object, Other),
                    multipart_outcome(response, object)
                );
            }
        }
    }

    #[test]
    fn object_decides_an_ambiguous_complete() {
        let unavailable = Fault::Unavailable(String::new());
        let invalid = Fault::InvalidPart(String::new());
        let refused = Fault::Refused(String::new());
        for response in [
            Ok(()),
            Err(&Fault::NoSuchUpload),
            Err(&Fault::PreconditionFailed),
            Err(&unavailable),
            Err(&invalid),
            Err(&refused),
        ] {
            for (object, outcome) in [
                (ObjectCheck::Matches, CompletionOutcome::Verified),
                (ObjectCheck::Damaged, CompletionOutcome::Damaged),
                (ObjectCheck::Unknown, CompletionOutcome::Undecided),
                (ObjectCheck::Foreign, CompletionOutcome::Lost),
            ] {
                assert_eq!(multipart_outcome(response, object), outcome);
            }
        }
        for (response, outcome) in [
            (Err(&Fault::NoSuchUpload), CompletionOutcome::Lost),
            (Err(&unavailable), CompletionOutcome::Undecided),
            (Ok(()), CompletionOutcome::Undecided),
            (Err(&invalid), CompletionOutcome::PartsMismatch),
            (Err(&refused), CompletionOutcome::Refused),
        ] {
            assert_eq!(multipart_outcome(response, ObjectCheck::Absent), outcome);
        }
    }
}
