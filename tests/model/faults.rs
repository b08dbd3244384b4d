//! Faults: the call that fails, the kind of failure, and the number of such calls that succeed
//! first.

use std::collections::VecDeque;

/// A call to the store or to the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Create,
    Find,
    List,
    Complete,
    Abort,
    Head,
    Delete,
    /// The sizes of the parts of an object.
    Attributes,
    /// The copy of a part from an object.
    Copy,
    Put,
    /// The calls from here on are those of the client to the gateway.
    Info,
    Begin,
    Claim,
    Sign,
    Status,
    Parts,
    CompleteRequest,
    AbortRequest,
}

impl Call {
    /// Returns false for the calls of the client to the gateway.
    pub fn goes_to_store(self) -> bool {
        matches!(
            self,
            Self::Create
                | Self::Find
                | Self::List
                | Self::Complete
                | Self::Abort
                | Self::Head
                | Self::Delete
                | Self::Attributes
                | Self::Copy
                | Self::Put
        )
    }
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// 503, without effect.
    Unavailable,
    /// 503, although the call took effect.
    DoneButUnavailable,
    /// 403, without effect.
    Denied,
    /// 200 with an error in the body, without effect.
    ErrorBody,
    /// The connection ends without a response; the call has no effect.
    Disconnected,
    /// The connection ends without a response, although the call took effect.
    DoneButDisconnected,
    /// The call is delivered twice.
    Twice,
    /// The store has lost all open multipart uploads when the call arrives.
    OpenUploadsLost,
    /// A list lacks the last part.
    StaleList,
    /// The caller is killed before the call takes effect.
    KillBefore,
    /// The caller is killed after the call took effect.
    KillAfter,
    /// The call succeeds, and the source is changed meanwhile.
    EditSource(Edit),
    /// The call succeeds, and another program changes the object at a key before.
    OtherProgram(OtherWrite),
}

/// An action of another program at a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherWrite {
    /// Puts an object of another size.
    Put,
    /// Puts an object with other content, of the size of the source.
    PutOfSameSize,
    /// Puts the content of the source, as a whole.
    PutSame,
    /// Uploads the content of the source, in parts.
    UploadSame,
    /// Puts the content of the source, and the store has no checksum of it.
    PutSameWithoutChecksum,
    Delete,
}

/// A change of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit {
    /// Another modification time, the same bytes.
    Touch,
    /// Other bytes in every part, the same size.
    Overwrite,
    /// Other bytes in the first and the last part only.
    FirstAndLast,
    /// Other bytes in the first part only.
    First,
    Append,
    Truncate,
}

#[derive(Debug, Clone, Copy)]
pub struct Fault {
    pub call: Call,
    pub kind: FaultKind,
    /// The number of such calls that succeed first.
    pub skip: u8,
}

#[derive(Debug, Default)]
pub struct Faults {
    pub pending: VecDeque<Fault>,
    /// The faults that occurred.
    pub injected: Vec<(Call, FaultKind)>,
}

impl Faults {
    /// The fault of a call that arrives now.
    pub fn next(&mut self, call: Call) -> Option<FaultKind> {
        let at = self.pending.iter().position(|fault| fault.call == call)?;
        let fault = &mut self.pending[at];
        if fault.skip > 0 {
            fault.skip -= 1;
            return None;
        }
        let kind = self.pending.remove(at)?.kind;
        self.injected.push((call, kind));
        Some(kind)
    }
}
