//! What is to fail: which call, how, and the how-manieth of them.
//!
//! Border: plain data; who serves the calls makes them fail.

use std::collections::VecDeque;

/// A call that can be made to fail: to the store, or to the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Create,
    Find,
    List,
    Complete,
    Abort,
    Head,
    Delete,
    Put,
    /// To the gateway, from here on.
    Info,
    Begin,
    Claim,
    Sign,
    Status,
    Parts,
    CompleteResponse,
    GiveUp,
}

/// How it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// 503, and nothing is done.
    Down,
    /// It is done, and the answer is a 503.
    Swallow,
    /// 403, and nothing is done.
    Denied,
    /// 200 with an error in it, and nothing is done.
    ErrorBody,
    /// The connection ends without an answer; nothing is done.
    Cut,
    /// It is done, and the connection ends without an answer.
    CutAfter,
    /// It arrives twice.
    Twice,
    /// The store has forgotten all open multipart uploads when it comes.
    Forgotten,
    /// Of a list: its last part is not there yet.
    Stale,
    /// Who asked is to die before anything is done.
    DieBefore,
    /// Who asked is to die when it is done.
    DieAfter,
    /// All goes well, and meanwhile the source is changed, so.
    Meanwhile(Edit),
}

/// What happens to a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit {
    /// Another time, the same bytes.
    Touch,
    /// Other bytes in every part, the same size.
    Overwrite,
    /// Other bytes in the first and the last part alone: the parts between do not tell.
    Ends,
    Append,
    Truncate,
}

#[derive(Debug, Clone, Copy)]
pub struct Fault {
    pub call: Call,
    pub mood: Mood,
    /// So many such calls pass before.
    pub skip: u8,
}

#[derive(Debug, Default)]
pub struct Faults {
    pub waiting: VecDeque<Fault>,
    /// What has failed on purpose.
    pub failed: Vec<(Call, Mood)>,
}

impl Faults {
    /// How a call that comes now is to fail.
    pub fn mood(&mut self, call: Call) -> Option<Mood> {
        let at = self.waiting.iter().position(|fault| fault.call == call)?;
        let fault = &mut self.waiting[at];
        if fault.skip > 0 {
            fault.skip -= 1;
            return None;
        }
        let mood = self.waiting.remove(at)?.mood;
        self.failed.push((call, mood));
        Some(mood)
    }
}
