//! The state of an upload in the journal.
//!
//! | from | record | to |
//! |---|---|---|
//! | – | `Journal::intend` | creating |
//! | creating | `Begun` | uploading |
//! | uploading | `Completing`: every part is stored and the source is unchanged | completing |
//! | uploading, completing | `Completed`: the backend has verified the object | completed |
//! | completed | `Completed`: the receipt has got the SHA-256 of the whole file | completed |
//! | uploading, completing, completed, rejected | `Rejected`: a hook has rejected it | rejected |
//! | every state | `Abandoned`: aborted, expired, lost, or replaced, perhaps by two processes | abandoned |
//!
//! Not here: the state of an upload at the gateway, [`upload_types::wire::UploadState`]; the stage
//! of the engine, `transfer::Stage`.

/// The state of an upload in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The request to begin is about to be sent, or was sent without a response.
    Creating,
    /// The upload has begun; its id is known.
    Uploading,
    /// Every part is stored and the source is unchanged: the request to complete is about to be
    /// sent.
    Completing,
    /// The backend has verified the object; there is a receipt.
    Completed,
    /// A hook of the backend has rejected the object.
    Rejected,
    /// Aborted, expired, lost, or replaced by another upload.
    Abandoned,
}

impl State {
    pub const ALL: [Self; 6] = [
        Self::Creating,
        Self::Uploading,
        Self::Completing,
        Self::Completed,
        Self::Rejected,
        Self::Abandoned,
    ];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Uploading => "uploading",
            Self::Completing => "completing",
            Self::Completed => "completed",
            Self::Rejected => "rejected",
            Self::Abandoned => "abandoned",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Returns true if the whole object was once in the store.
    #[must_use]
    pub fn is_finished(self) -> bool {
        matches!(self, Self::Completed | Self::Rejected)
    }

    /// Returns true if `resume` can continue the upload.
    #[must_use]
    pub fn is_unfinished(self) -> bool {
        matches!(self, Self::Creating | Self::Uploading | Self::Completing)
    }

    /// Returns true if a record may change this state to `next`: the table above.
    #[must_use]
    pub fn can_become(self, next: Self) -> bool {
        match next {
            Self::Creating => false,
            Self::Uploading => self == Self::Creating,
            Self::Completing => self == Self::Uploading,
            Self::Completed => matches!(self, Self::Uploading | Self::Completing | Self::Completed),
            Self::Rejected => !matches!(self, Self::Creating | Self::Abandoned),
            // Two processes may find that the object of a finished upload is gone.
            Self::Abandoned => true,
        }
    }
}
