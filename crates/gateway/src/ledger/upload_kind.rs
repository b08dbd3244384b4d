//! The kinds of uploads.

/// The way in which the bytes of an upload arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadKind {
    /// By a plan: size and SHA-256 of every part are declared before the part is sent.
    Declared,
    /// As [`Self::Declared`], but as a multipart upload even of one part, since the store may copy
    /// parts of it.
    Copied,
    /// As a stream: size and SHA-256 of each part are declared before the part is sent, and the
    /// last part gives the size of the upload.
    Streamed,
    /// As a multipart upload with parts of any size, which only the store can list.
    Multipart,
    /// As one form that a browser posts to the store. The gateway is not notified.
    FormPost,
}

impl UploadKind {
    const ALL: [Self; 5] = [
        Self::Declared,
        Self::Copied,
        Self::Streamed,
        Self::Multipart,
        Self::FormPost,
    ];

    /// The name in the ledger.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Declared => "declared",
            Self::Copied => "copied",
            Self::Streamed => "streamed",
            Self::Multipart => "multipart",
            Self::FormPost => "form_post",
        }
    }

    /// Whether each part is declared, with its SHA-256, before it is sent.
    #[must_use]
    pub fn declares_parts(self) -> bool {
        self.has_plan() || self == Self::Streamed
    }

    /// Whether the size and the number of the parts are known from the begin.
    #[must_use]
    pub fn has_plan(self) -> bool {
        matches!(self, Self::Declared | Self::Copied)
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}
