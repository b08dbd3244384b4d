//! The capabilities of a store, as a probe found them, and their meaning for uploads. Pure.
//!
//! Not here: the requests that find them out, in [`crate::probe`]; the decision to serve with them,
//! which the gateway makes when it starts.
//!
//! A capability is never inferred from the name or version of a store, only from the store's
//! response to a wrong request.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use upload_types::wire::Proof;

/// Must be incremented when the meaning of a check changes: saved profiles of another version are
/// not used.
pub(crate) const PROFILE_VERSION: u32 = 5;

/// A feature that a store may enforce or support, in the order in which tables show them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Capability {
    Sha256,
    Payload,
    Md5,
    Length,
    Smuggling,
    UnsignedHeaders,
    Expiry,
    Encryption,
    RequiredHeaders,
    Composite,
    PutOnce,
    CompleteOnce,
    CompleteMatch,
    ObjectSize,
    CompleteAgain,
    Listing,
    EmptyPart,
    UnequalParts,
    CopyRange,
    CopyChecksum,
    Deletion,
}

use Capability::{
    CompleteAgain, CompleteMatch, CompleteOnce, Composite, CopyChecksum, CopyRange, Deletion,
    EmptyPart, Encryption, Expiry, Length, Listing, Md5, ObjectSize, Payload, PutOnce,
    RequiredHeaders, Sha256, Smuggling, UnequalParts, UnsignedHeaders,
};

/// The support of a store for a capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Support {
    /// The store accepts correct requests and rejects wrong ones.
    Yes,
    /// The store accepts a wrong request, or ignores the feature.
    No,
    /// The store rejects correct requests, too.
    Refused,
    /// Not known.
    Untried,
}

impl Support {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Refused => "refused",
            Self::Untried => "untried",
        }
    }
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub support: Support,
    /// The store's response, such as `400 BadDigest`.
    pub observed: String,
}

impl Finding {
    #[must_use]
    pub fn new(support: Support, observed: impl Into<String>) -> Self {
        Self {
            support,
            observed: observed.into(),
        }
    }
}

impl Capability {
    pub const ALL: [Self; 21] = [
        Sha256,
        Payload,
        Md5,
        Length,
        Smuggling,
        UnsignedHeaders,
        Expiry,
        Encryption,
        RequiredHeaders,
        Composite,
        PutOnce,
        CompleteOnce,
        CompleteMatch,
        ObjectSize,
        CompleteAgain,
        Listing,
        EmptyPart,
        UnequalParts,
        CopyRange,
        CopyChecksum,
        Deletion,
    ];

    /// The capability that a proof needs; `None` for [`Proof::None`].
    #[must_use]
    pub fn of_proof(proof: Proof) -> Option<Self> {
        match proof {
            Proof::Sha256 => Some(Sha256),
            Proof::Payload => Some(Payload),
            Proof::Md5 => Some(Md5),
            Proof::None => None,
        }
    }

    /// The name in tables, in JSON and in receipts.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.name_and_request().0
    }

    /// The request that a probe sends to find it out.
    #[must_use]
    pub fn request(self) -> &'static str {
        self.name_and_request().1
    }

    fn name_and_request(self) -> (&'static str, &'static str) {
        match self {
            Sha256 => (
                "sha256",
                "a part whose body does not match its signed x-amz-checksum-sha256",
            ),
            Payload => (
                "payload",
                "a part whose body does not match its signed payload hash",
            ),
            Md5 => (
                "md5",
                "a part whose body does not match its signed Content-MD5",
            ),
            Length => ("length", "a part longer than its signed Content-Length"),
            Smuggling => (
                "smuggling",
                "an unsigned x-amz-copy-source on a presigned part",
            ),
            UnsignedHeaders => (
                "unsigned-headers",
                "a presigned PUT with unsigned Cache-Control, Content-Encoding and similar headers",
            ),
            Expiry => ("expiry", "an expired presigned URL"),
            Encryption => (
                "encryption",
                "HeadObject of an object that was created with the encryption of --sse",
            ),
            RequiredHeaders => (
                "required-headers",
                "HeadObject of an object that was created with the headers of --required-header",
            ),
            Composite => (
                "composite",
                "HeadObject of an object completed from parts, with its checksum",
            ),
            PutOnce => (
                "put-once",
                "a presigned PUT with If-None-Match: * to the key of an object",
            ),
            CompleteOnce => (
                "complete-once",
                "a complete with If-None-Match: * at the key of an object",
            ),
            CompleteMatch => (
                "complete-match",
                "a complete with the If-Match of another ETag at the key of an object",
            ),
            ObjectSize => (
                "object-size",
                "a complete whose x-amz-mp-object-size is not the size of its parts",
            ),
            CompleteAgain => ("complete-again", "the same complete a second time"),
            Listing => (
                "listing",
                "ListMultipartUploads by the prefix of one open upload",
            ),
            EmptyPart => ("empty-part", "a multipart upload of one empty part"),
            UnequalParts => (
                "unequal-parts",
                "a complete of parts of 5 MiB, 6 MiB and 1 byte",
            ),
            CopyRange => ("copy-range", "UploadPartCopy of a range, completed"),
            CopyChecksum => (
                "copy-checksum",
                "UploadPartCopy into an upload with SHA-256 checksums",
            ),
            Deletion => (
                "deletion",
                "HeadObject of an object, or of its version, after its deletion",
            ),
        }
    }

    /// The consequence for uploads, for operators.
    #[must_use]
    pub fn meaning(self, support: Support) -> &'static str {
        use Support::{No, Refused, Untried, Yes};
        match (self, support) {
            (UnequalParts | CopyRange | EmptyPart | Payload | Md5, Untried) => {
                "only `upload serve --probe` tries it"
            }
            (Encryption | RequiredHeaders, Untried) => "the gateway requests none",
            (_, Untried) => "not known",
            (Sha256, Yes) => {
                "each part is proved by its SHA-256, which the store verifies and keeps"
            }
            (Payload, Yes) => {
                "each part can be proved by its SHA-256, which the store verifies and does not keep"
            }
            (Md5, Yes) => "each part can be proved by its MD5",
            (Sha256 | Payload | Md5, _) => "cannot be used as the proof",
            (Length, Yes) => "no URL accepts more bytes than planned",
            (Length, _) => "the holder of a URL can store more bytes than planned",
            (Smuggling, Yes) => "the holder of a URL cannot copy other objects",
            (Smuggling, _) => {
                "the holder of a URL can copy every object that the gateway's credentials can read: give them no read access"
            }
            (UnsignedHeaders, Yes) => "the holder of a URL cannot add headers to an object",
            (UnsignedHeaders, No) => {
                "the holder of a small object's URL can add headers: HeadObject is compared, and an object with other headers than the requested ones is rejected"
            }
            (UnsignedHeaders, Refused) => {
                "the store adds such headers itself: those of the holder of a small object's URL are not noticed"
            }
            (Encryption, Yes) => "the store encrypts as requested",
            (Encryption, _) => "the store ignores --sse, or encrypts in another way",
            (RequiredHeaders, Yes) => "objects have the required headers",
            (RequiredHeaders, _) => "the store ignores a required header",
            (Expiry, Yes) => "URLs expire in time",
            (Expiry, _) => "URLs never expire",
            (Composite, Yes) => "the checksum of the object is compared with the store's",
            (Composite, _) => {
                "only the size of the object is compared; its parts are proved one by one"
            }
            (PutOnce, Yes) => "a small object is written once",
            (PutOnce, No) => "the holder of a small object's URL can write the same bytes again",
            (PutOnce, Refused) => "small objects are sent without the condition",
            (CompleteOnce, Yes) => "a complete replaces no object",
            (CompleteOnce, No) => {
                "only the unguessable key keeps a complete from replacing an object"
            }
            (CompleteOnce, Refused) => {
                "a complete is sent without the condition; only the unguessable key keeps it from replacing an object"
            }
            (CompleteMatch, Yes) => {
                "an overwrite replaces only the object that was there at the beginning"
            }
            (CompleteMatch, No) => {
                "the object is compared directly before an overwrite, which may replace one that comes in between"
            }
            (CompleteMatch, Refused) => {
                "an overwrite is sent without the condition; the object is compared directly before"
            }
            (ObjectSize, Yes) => "a complete with another size is refused",
            (ObjectSize, No) => "the size is compared only after the complete",
            (ObjectSize, Refused) => {
                "a complete is sent without the size, which is compared afterwards"
            }
            (CompleteAgain, Yes) => "after a lost response, a repeated complete shows the outcome",
            (CompleteAgain, _) => "after a lost response, HeadObject shows the outcome",
            (Listing, Yes) => "an upload is found again after a lost response to its creation",
            (Listing, _) => {
                "an upload remains after a lost response to its creation: add a lifecycle rule to the bucket that aborts old multipart uploads"
            }
            (EmptyPart, Yes) => "an empty object could be a multipart upload, too",
            (EmptyPart, _) => "an empty object must be a plain PUT, as it is here anyway",
            (UnequalParts, Yes) => "parts may have any size",
            (UnequalParts, _) => {
                "all parts except the last must have one size, as they have here anyway"
            }
            (CopyRange, Yes) => "objects over 5 GiB can be moved to quarantine",
            (CopyRange, _) => "objects over 5 GiB cannot be moved to quarantine",
            (CopyChecksum, Yes) => {
                "bytes that an owner has uploaded before are copied in the store, proved by the SHA-256 of each copied part"
            }
            (CopyChecksum, _) => {
                "the store reports no SHA-256 of a copied part: bytes that were uploaded before are sent again"
            }
            (Deletion, Yes) => "what the gateway deletes is gone, in a bucket with versions too",
            (Deletion, _) => {
                "what the gateway deletes stays as a version: permit s3:DeleteObjectVersion, and let the bucket expire noncurrent versions"
            }
        }
    }
}

/// All findings about one store.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Profile(BTreeMap<Capability, Finding>);

impl Profile {
    /// The profile of the embedded store, as a full probe finds it.
    #[must_use]
    pub fn embedded() -> Self {
        let mut profile = Self::default();
        for capability in Capability::ALL {
            let support = match capability {
                Payload => Support::Refused,
                // The embedded store has neither.
                Encryption | RequiredHeaders => continue,
                _ => Support::Yes,
            };
            profile.record(capability, Finding::new(support, "known"));
        }
        profile
    }

    pub fn record(&mut self, capability: Capability, finding: Finding) {
        self.0.insert(capability, finding);
    }

    #[must_use]
    pub fn support(&self, capability: Capability) -> Support {
        self.0
            .get(&capability)
            .map_or(Support::Untried, |finding| finding.support)
    }

    /// The store's response to the check; empty if there was no check.
    #[must_use]
    pub fn observed(&self, capability: Capability) -> &str {
        self.0
            .get(&capability)
            .map_or("", |finding| &finding.observed)
    }

    /// The strongest proof that the store enforces.
    #[must_use]
    pub fn proof(&self) -> Proof {
        let strongest_first = [Proof::Sha256, Proof::Payload, Proof::Md5];
        strongest_first
            .into_iter()
            .find(|proof| self.proves(*proof))
            .unwrap_or(Proof::None)
    }

    /// Returns true if the store enforces a proof; always for [`Proof::None`].
    #[must_use]
    pub fn proves(&self, proof: Proof) -> bool {
        Capability::of_proof(proof)
            .is_none_or(|capability| self.support(capability) == Support::Yes)
    }

    /// Fills untried capabilities from an earlier profile of the same store.
    #[must_use]
    pub fn or_earlier(mut self, earlier: Self) -> Self {
        for (capability, finding) in earlier.0 {
            if self.support(capability) == Support::Untried {
                self.record(capability, finding);
            }
        }
        self
    }

    /// The names of the capabilities that the store does not have and that matter for an object:
    /// for an object of a single PUT, or for one of several parts.
    #[must_use]
    pub fn unproven(&self, single_put: bool) -> Vec<String> {
        let relevant: &[Capability] = if single_put {
            &[Length, Smuggling, Expiry, PutOnce]
        } else {
            &[Length, Smuggling, Expiry, Composite, CompleteOnce]
        };
        let is_lacking = |capability: &Capability| self.support(*capability) != Support::Yes;
        // HeadObject is compared unless the store adds such headers itself.
        let unsigned_headers = [UnsignedHeaders]
            .into_iter()
            .filter(|capability| single_put && self.support(*capability) == Support::Refused);
        relevant
            .iter()
            .copied()
            .filter(is_lacking)
            .chain(unsigned_headers)
            .map(|capability| capability.name().to_owned())
            .collect()
    }

    /// All capabilities by name, with the name of their support.
    #[must_use]
    pub fn capabilities(&self) -> BTreeMap<String, String> {
        Capability::ALL
            .into_iter()
            .map(|capability| {
                let support = self.support(capability).name();
                (capability.name().to_owned(), support.to_owned())
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(findings: &[(Capability, Support)]) -> Profile {
        let mut profile = Profile::default();
        for (capability, support) in findings {
            profile.record(*capability, Finding::new(*support, ""));
        }
        profile
    }

    #[test]
    fn proof_is_the_strongest_that_is_enforced() {
        assert_eq!(profile(&[]).proof(), Proof::None);
        let md5_only = [(Sha256, Support::No), (Md5, Support::Yes)];
        assert_eq!(profile(&md5_only).proof(), Proof::Md5);
        let no_sha256 = [
            (Sha256, Support::Refused),
            (Payload, Support::Yes),
            (Md5, Support::Yes),
        ];
        assert_eq!(profile(&no_sha256).proof(), Proof::Payload);
        assert_eq!(Profile::embedded().proof(), Proof::Sha256);
    }

    #[test]
    fn later_findings_replace_earlier_ones() {
        let earlier = profile(&[(Length, Support::Yes), (UnequalParts, Support::No)]);
        let merged = profile(&[(Length, Support::No)]).or_earlier(earlier);
        assert_eq!(
            merged,
            profile(&[(Length, Support::No), (UnequalParts, Support::No)])
        );
    }

    #[test]
    fn untried_capabilities_are_unproven() {
        assert_eq!(Profile::embedded().unproven(true), [""; 0]);
        assert_eq!(Profile::embedded().unproven(false), [""; 0]);
        assert_eq!(
            profile(&[]).unproven(true),
            ["length", "smuggling", "expiry", "put-once"]
        );
        let most = profile(&[
            (Length, Support::Yes),
            (Smuggling, Support::Yes),
            (Expiry, Support::No),
            (CompleteOnce, Support::Refused),
        ]);
        assert_eq!(
            most.unproven(false),
            ["expiry", "composite", "complete-once"]
        );
    }

    #[test]
    fn json_uses_the_names_of_the_table() {
        for capability in Capability::ALL {
            let profile = profile(&[(capability, Support::No)]);
            let json = serde_json::to_string(&profile).unwrap();
            assert_eq!(
                json,
                format!(
                    r#"{{"{}":{{"support":"no","observed":""}}}}"#,
                    capability.name()
                )
            );
            assert_eq!(serde_json::from_str::<Profile>(&json).unwrap(), profile);
        }
        let mut sorted = Capability::ALL;
        sorted.sort();
        assert_eq!(sorted, Capability::ALL, "ALL has the order of the table");
    }
}
