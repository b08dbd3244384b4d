//! What a store can be held to: for each capability what it did to a request that was wrong, and what that means.
//!
//! Border: pure. What is tried, and in which order, is `probe` and `trials`; whether it is enough to serve is decided where the
//! gateway starts. A capability is what a wrong request was refused for, never what a version says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use upload_types::wire::Proof;

/// Counts up whenever trials change what they mean: a profile of another edition is not taken.
pub const EDITION: u32 = 1;

/// What may be known of a store, in the order of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Capability {
    Sha256,
    Payload,
    Md5,
    Length,
    Smuggling,
    Expiry,
    Composite,
    PutOnce,
    CompleteOnce,
    ObjectSize,
    CompleteAgain,
    Listing,
    EmptyPart,
    UnequalParts,
    CopyRange,
}

use Capability::{
    CompleteAgain, CompleteOnce, Composite, CopyRange, EmptyPart, Expiry, Length, Listing, Md5,
    ObjectSize, Payload, PutOnce, Sha256, Smuggling, UnequalParts,
};

/// How far the store can be held to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Held {
    /// It does what it should, and refuses what it should.
    Yes,
    /// It took what was wrong, or leaves out what is asked for.
    No,
    /// It refuses even what is right.
    Refused,
    /// Not known.
    Untried,
}

/// What one trial came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub held: Held,
    /// What the store did, such as `400 BadDigest`.
    pub did: String,
}

impl Finding {
    #[must_use]
    pub fn new(held: Held, did: impl Into<String>) -> Self {
        Self {
            held,
            did: did.into(),
        }
    }
}

/// All that was found out about a store.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Profile(BTreeMap<Capability, Finding>);

impl Capability {
    pub const ALL: [Self; 15] = [
        Sha256,
        Payload,
        Md5,
        Length,
        Smuggling,
        Expiry,
        Composite,
        PutOnce,
        CompleteOnce,
        ObjectSize,
        CompleteAgain,
        Listing,
        EmptyPart,
        UnequalParts,
        CopyRange,
    ];

    /// That a wrong body is refused for this proof; of none there is nothing to be had.
    #[must_use]
    pub fn of(proof: Proof) -> Option<Self> {
        match proof {
            Proof::Sha256 => Some(Sha256),
            Proof::Payload => Some(Payload),
            Proof::Md5 => Some(Md5),
            Proof::None => None,
        }
    }

    /// Its name in tables, in JSON and in receipts.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.words().0
    }

    /// What is tried, for people.
    #[must_use]
    pub fn tried(self) -> &'static str {
        self.words().1
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Sha256 => (
                "sha256",
                "a part with another body than its signed x-amz-checksum-sha256",
            ),
            Payload => (
                "payload",
                "a part with another body than its signed payload hash",
            ),
            Md5 => (
                "md5",
                "a part with another body than its signed Content-MD5",
            ),
            Length => ("length", "a part longer than its signed Content-Length"),
            Smuggling => (
                "smuggling",
                "an unsigned x-amz-copy-source on a presigned part",
            ),
            Expiry => ("expiry", "a presigned URL past its end"),
            Composite => (
                "composite",
                "HeadObject of an object completed of parts, with its checksum",
            ),
            PutOnce => (
                "put-once",
                "a presigned PUT with If-None-Match: * to a key that is taken",
            ),
            CompleteOnce => (
                "complete-once",
                "a complete with If-None-Match: * to a key that is taken",
            ),
            ObjectSize => (
                "object-size",
                "a complete with another x-amz-mp-object-size than its parts have",
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
        }
    }

    /// What it means that the store is held to it so.
    #[must_use]
    pub fn means(self, held: Held) -> &'static str {
        use Held::{No, Refused, Untried, Yes};
        match (self, held) {
            (UnequalParts | CopyRange | EmptyPart | Payload | Md5, Untried) => {
                "tried by `upload serve --probe` alone"
            }
            (_, Untried) => "not known",
            (Sha256, Yes) => "each part is proved by its SHA-256, which the store checks and keeps",
            (Payload, Yes) => {
                "each part can be proved by its SHA-256, which the store checks and does not keep"
            }
            (Md5, Yes) => "each part can be proved by its MD5",
            (Sha256 | Payload | Md5, _) => "proves nothing here",
            (Length, Yes) => "no URL takes more than was planned",
            (Length, _) => "who holds a URL can store more than was planned",
            (Smuggling, Yes) => "who holds a URL copies nothing of others",
            (Smuggling, _) => {
                "who holds a URL can copy what the gateway's credentials can read: give them no read access"
            }
            (Expiry, Yes) => "URLs end when they should",
            (Expiry, _) => "URLs work for ever",
            (Composite, Yes) => "the checksum of the whole is compared with the store's own",
            (Composite, _) => {
                "of the whole only the size is compared; its parts are proved one by one"
            }
            (PutOnce, Yes) => "a small object is written once",
            (PutOnce, No) => {
                "who holds the URL of a small object can write it again with the same bytes"
            }
            (PutOnce, Refused) => "small objects are sent without the condition",
            (CompleteOnce, Yes) => "a complete replaces nothing",
            (CompleteOnce, No) => {
                "that a complete replaces nothing, the unguessable key alone provides for"
            }
            (CompleteOnce, Refused) => {
                "complete is asked without the condition; the unguessable key alone protects it"
            }
            (ObjectSize, Yes) => "a complete of another size is refused",
            (ObjectSize, No) => "the size is compared afterwards alone",
            (ObjectSize, Refused) => {
                "complete is asked without the size; it is compared afterwards"
            }
            (CompleteAgain, Yes) => "a lost answer to complete is decided at once",
            (CompleteAgain, _) => "a lost answer to complete is decided by HeadObject",
            (Listing, Yes) => "an upload whose answer to create was lost is found again",
            (Listing, _) => {
                "an upload whose answer to create was lost stays behind: have the bucket abort old ones"
            }
            (EmptyPart, Yes) => "empty objects may be uploads too",
            (EmptyPart, _) => "empty objects are plain PUTs, as they are here anyway",
            (UnequalParts, Yes) => "parts may be of any size",
            (UnequalParts, _) => {
                "all parts but the last must be of one size, as they are here anyway"
            }
            (CopyRange, Yes) => "objects over 5 GiB can be moved to quarantine",
            (CopyRange, _) => "objects over 5 GiB cannot be moved to quarantine",
        }
    }
}

impl Held {
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

impl Profile {
    /// What is known of the embedded store, which is ours: a full probe finds the same.
    #[must_use]
    pub fn embedded() -> Self {
        let mut profile = Self::default();
        for capability in Capability::ALL {
            let held = if capability == Payload {
                Held::Refused
            } else {
                Held::Yes
            };
            profile.found(capability, Finding::new(held, "known"));
        }
        profile
    }

    pub fn found(&mut self, capability: Capability, finding: Finding) {
        self.0.insert(capability, finding);
    }

    #[must_use]
    pub fn held(&self, capability: Capability) -> Held {
        self.0
            .get(&capability)
            .map_or(Held::Untried, |finding| finding.held)
    }

    /// What the store did; nothing where it was not tried.
    #[must_use]
    pub fn did(&self, capability: Capability) -> &str {
        self.0.get(&capability).map_or("", |finding| &finding.did)
    }

    /// The strongest thing a wrong body was refused for.
    #[must_use]
    pub fn proof(&self) -> Proof {
        let by = [Proof::Sha256, Proof::Payload, Proof::Md5];
        by.into_iter()
            .find(|proof| self.proves(*proof))
            .unwrap_or(Proof::None)
    }

    /// Whether the store was seen to enforce a proof; nothing is enforced anywhere.
    #[must_use]
    pub fn proves(&self, proof: Proof) -> bool {
        Capability::of(proof).is_none_or(|capability| self.held(capability) == Held::Yes)
    }

    /// With what an earlier profile of the same store says of what this one has not tried.
    #[must_use]
    pub fn or(mut self, earlier: Self) -> Self {
        for (capability, finding) in earlier.0 {
            if self.held(capability) == Held::Untried {
                self.found(capability, finding);
            }
        }
        self
    }

    /// What an object of one part, or of many, cannot be proved to be, in the order of the table.
    #[must_use]
    pub fn unproven(&self, single: bool) -> Vec<String> {
        let bears: &[Capability] = if single {
            &[Length, Smuggling, Expiry, PutOnce]
        } else {
            &[Length, Smuggling, Expiry, Composite, CompleteOnce]
        };
        let unproven = bears
            .iter()
            .filter(|capability| self.held(**capability) != Held::Yes);
        unproven
            .map(|capability| capability.name().to_owned())
            .collect()
    }

    /// Each capability with how far the store is held to it.
    #[must_use]
    pub fn capabilities(&self) -> BTreeMap<String, String> {
        let all = Capability::ALL.into_iter();
        all.map(|capability| {
            (
                capability.name().to_owned(),
                self.held(capability).name().to_owned(),
            )
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(findings: &[(Capability, Held)]) -> Profile {
        let mut profile = Profile::default();
        for (capability, held) in findings {
            profile.found(*capability, Finding::new(*held, ""));
        }
        profile
    }

    #[test]
    fn the_strongest_proof_that_holds_is_the_proof() {
        assert_eq!(of(&[]).proof(), Proof::None);
        assert_eq!(
            of(&[(Sha256, Held::No), (Md5, Held::Yes)]).proof(),
            Proof::Md5
        );
        assert_eq!(
            of(&[
                (Sha256, Held::Refused),
                (Payload, Held::Yes),
                (Md5, Held::Yes)
            ])
            .proof(),
            Proof::Payload
        );
        assert_eq!(Profile::embedded().proof(), Proof::Sha256);
    }

    #[test]
    fn what_was_tried_now_goes_over_what_was_tried_before() {
        let before = of(&[(Length, Held::Yes), (UnequalParts, Held::No)]);
        let both = of(&[(Length, Held::No)]).or(before);
        assert_eq!(both, of(&[(Length, Held::No), (UnequalParts, Held::No)]));
    }

    #[test]
    fn what_nobody_has_shown_is_not_proved() {
        assert!(
            Profile::embedded().unproven(true).is_empty()
                && Profile::embedded().unproven(false).is_empty()
        );
        assert_eq!(
            of(&[]).unproven(true),
            ["length", "smuggling", "expiry", "put-once"]
        );
        let most = of(&[
            (Length, Held::Yes),
            (Smuggling, Held::Yes),
            (Expiry, Held::No),
            (CompleteOnce, Held::Refused),
        ]);
        assert_eq!(
            most.unproven(false),
            ["expiry", "composite", "complete-once"]
        );
    }

    #[test]
    fn a_profile_is_kept_by_the_names_of_its_table() {
        for capability in Capability::ALL {
            let profile = of(&[(capability, Held::No)]);
            let kept = serde_json::to_string(&profile).unwrap();
            assert_eq!(
                kept,
                format!(
                    "{{\"{}\":{{\"held\":\"no\",\"did\":\"\"}}}}",
                    capability.name()
                )
            );
            assert_eq!(serde_json::from_str::<Profile>(&kept).unwrap(), profile);
        }
        let mut sorted = Capability::ALL;
        sorted.sort();
        assert_eq!(sorted, Capability::ALL, "in the order of the table");
    }
}
