//! The number of checks that a probe makes.

/// Each depth includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProbeDepth {
    /// Capabilities without which a gateway cannot serve: the strongest proof, lengths, unsigned
    /// headers. About ten small requests.
    Proofs,
    /// Capabilities that change the gateway's requests. About twenty more.
    Start,
    /// Capabilities of interest to operators, with 11 MiB of parts.
    Full,
}

impl ProbeDepth {
    /// The names of the objects that a probe of this depth may create.
    pub(super) fn objects(self) -> &'static [&'static str] {
        match self {
            Self::Proofs => &["source"],
            Self::Start => &["source", "headers", "whole"],
            Self::Full => &super::fixture::OBJECT_NAMES,
        }
    }
}
