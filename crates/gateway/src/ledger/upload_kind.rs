//! The kinds of uploads.

/// How the bytes of an upload arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadKind {
    /// By a plan: size and SHA-256 of every part are declared before the part is sent.
    Declared,
    /// As a multipart upload with parts of any size. Only the store knows them.
    Multipart,
    /// As one form that is posted to the store, at a time that the gateway does not learn.
    FormPost,
}

impl UploadKind {
    const ALL: [Self; 3] = [Self::Declared, Self::Multipart, Self::FormPost];

    /// The word for it in the ledger.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Declared => "declared",
            Self::Multipart => "multipart",
            Self::FormPost => "form_post",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}
