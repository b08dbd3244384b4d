//! The kinds of uploads.

/// The way in which the bytes of an upload arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadKind {
    /// By a plan: size and SHA-256 of every part are declared before the part is sent.
    Declared,
    /// As a multipart upload with parts of any size, which only the store can list.
    Multipart,
    /// As one form that a browser posts to the store. The gateway is not notified.
    FormPost,
}

impl UploadKind {
    const ALL: [Self; 3] = [Self::Declared, Self::Multipart, Self::FormPost];

    /// The name in the ledger.
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
