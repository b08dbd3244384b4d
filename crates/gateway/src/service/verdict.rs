//! What became of a complete: decided from what the store said and from what it then holds.
//!
//! Border: pure; asking the store and acting on the verdict is `complete`.

use upload_s3::{Fault, Head};
use upload_types::names::Checksum;

/// What is to be at the upload's key.
pub struct Expected<'a> {
    pub token: &'a str,
    pub size: u64,
    /// Where it is known.
    pub checksum: Option<&'a Checksum>,
}

/// What is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    Absent,
    /// Our token, our size, and our checksum if the store keeps any.
    Ours,
    /// Our token, but not what was to be.
    Damaged,
    /// Something that does not carry our token.
    Foreign,
    /// The store does not tell for now.
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Verified,
    /// Ask again.
    Undecided,
    /// The store holds other parts than the client says.
    PartsMismatch,
    /// Neither object nor multipart upload: begin anew.
    Lost,
    /// The object is there and is wrong: it must go.
    Damaged,
    /// The store refuses, for good, to complete.
    Refused,
}

/// Compares an object with what is to be at its key.
#[must_use]
pub fn seen(head: Option<&Head>, expected: &Expected<'_>) -> Seen {
    match head {
        None => Seen::Absent,
        Some(head) if head.token.as_deref() != Some(expected.token) => Seen::Foreign,
        Some(head) if head.size != expected.size => Seen::Damaged,
        Some(head) if differ(head.checksum.as_ref(), expected.checksum) => Seen::Damaged,
        Some(_) => Seen::Ours,
    }
}

/// Whether both are known, and are not the same.
fn differ(kept: Option<&Checksum>, expected: Option<&Checksum>) -> bool {
    kept.zip(expected)
        .is_some_and(|(kept, expected)| !same(kept, expected))
}

/// Whether the store keeps the checksum that is expected. Some leave the number of parts behind it out.
fn same(kept: &Checksum, expected: &Checksum) -> bool {
    let digest = expected.as_str().split('-').next();
    kept == expected || digest == Some(kept.as_str())
}

/// Decides a multipart upload: an object that is ours settles it whatever the store said to CompleteMultipartUpload.
#[must_use]
pub fn multipart(said: Result<(), &Fault>, seen: Seen) -> Verdict {
    match (said, seen) {
        (_, Seen::Ours) => Verdict::Verified,
        (_, Seen::Damaged) => Verdict::Damaged,
        (Err(Fault::InvalidPart(_)), Seen::Absent) => Verdict::PartsMismatch,
        (Err(Fault::Refused(_)), Seen::Absent) => Verdict::Refused,
        (Err(Fault::NoSuchUpload), Seen::Absent) | (_, Seen::Foreign) => Verdict::Lost,
        (_, Seen::Absent | Seen::Unknown) => Verdict::Undecided,
    }
}

/// Decides an upload of one plain PUT, which has no other ending than the object itself.
#[must_use]
pub fn single(seen: Seen) -> Verdict {
    match seen {
        Seen::Ours => Verdict::Verified,
        Seen::Damaged => Verdict::Damaged,
        Seen::Absent => Verdict::PartsMismatch,
        Seen::Foreign => Verdict::Lost,
        Seen::Unknown => Verdict::Undecided,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use upload_types::names::Sha256;

    #[test]
    fn an_object_is_ours_by_token_size_and_checksum() {
        let checksum = Checksum::whole(&Sha256::of(b"a"));
        let expected = Expected {
            token: "t",
            size: 1,
            checksum: Some(&checksum),
        };
        let head = Head {
            size: 1,
            etag: "e".parse().unwrap(),
            checksum: Some(checksum.clone()),
            token: Some("t".into()),
            content_type: None,
            modified: None,
        };
        let look = |change: fn(&mut Head)| {
            let mut head = head.clone();
            change(&mut head);
            seen(Some(&head), &expected)
        };
        assert_eq!(seen(None, &expected), Seen::Absent);
        assert_eq!(look(|_| ()), Seen::Ours);
        assert_eq!(look(|head| head.checksum = None), Seen::Ours);
        assert_eq!(look(|head| head.size = 2), Seen::Damaged);
        assert_eq!(
            look(|head| head.checksum = Some(Checksum::whole(&Sha256::of(b"b")))),
            Seen::Damaged
        );
        assert_eq!(look(|head| head.token = None), Seen::Foreign);
        let parts = [Sha256::of(b"a"), Sha256::of(b"b")];
        let composite = Checksum::composite(&parts);
        let kept = |text: &str| {
            let head = Head {
                checksum: text.parse().ok(),
                ..head.clone()
            };
            seen(
                Some(&head),
                &Expected {
                    checksum: Some(&composite),
                    ..expected
                },
            )
        };
        let (digest, _) = composite.as_str().split_once('-').unwrap();
        assert_eq!(
            (kept(composite.as_str()), kept(digest)),
            (Seen::Ours, Seen::Ours)
        );
        assert_eq!(kept(&format!("{digest}-3")), Seen::Damaged);
        assert_eq!(look(|head| head.token = Some("u".into())), Seen::Foreign);
    }

    #[test]
    fn an_ambiguous_complete_is_decided_by_what_is_there() {
        let unavailable = Fault::Unavailable(String::new());
        let invalid = Fault::InvalidPart(String::new());
        let refused = Fault::Refused(String::new());
        let said = [
            Ok(()),
            Err(&Fault::NoSuchUpload),
            Err(&Fault::PreconditionFailed),
            Err(&unavailable),
            Err(&invalid),
            Err(&refused),
        ];
        for said in said {
            assert_eq!(multipart(said, Seen::Ours), Verdict::Verified);
            assert_eq!(multipart(said, Seen::Damaged), Verdict::Damaged);
            assert_eq!(multipart(said, Seen::Unknown), Verdict::Undecided);
            assert_eq!(multipart(said, Seen::Foreign), Verdict::Lost);
        }
        assert_eq!(
            multipart(Err(&Fault::NoSuchUpload), Seen::Absent),
            Verdict::Lost
        );
        assert_eq!(
            multipart(Err(&unavailable), Seen::Absent),
            Verdict::Undecided
        );
        assert_eq!(multipart(Ok(()), Seen::Absent), Verdict::Undecided);
        assert_eq!(
            multipart(Err(&invalid), Seen::Absent),
            Verdict::PartsMismatch
        );
        assert_eq!(multipart(Err(&refused), Seen::Absent), Verdict::Refused);
    }
}
