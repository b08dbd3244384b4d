//! The arguments of the upload of a stream.

use std::ffi::OsString;
use std::fs::File;

use upload_types::error::Result;
use upload_types::schedule::Schedule;
use upload_types::wire::Limits;

use crate::source::Spool;
use crate::transfer::options::PutRequest;
use crate::transfer::plan_error::plan_error;

/// A stream to upload.
#[derive(Debug)]
pub struct StreamPut {
    /// Its path is [`crate::event::STREAM_PATH`]. A new object is made in any case (`force`).
    pub put: PutRequest,
    pub input: StreamInput,
    /// In bytes. Only a hint.
    pub expected_size: Option<u64>,
    /// Nothing is completed if the stream has fewer bytes.
    pub min_size: u64,
    /// The memory for parts that are not stored yet, in bytes.
    pub buffer: u64,
    /// Takes the parts for which there is no memory.
    pub spool: Option<Spool>,
}

#[derive(Debug)]
pub enum StreamInput {
    Pipe(File),
    /// The standard output of a command: its program and its arguments.
    Command(Vec<OsString>),
}

impl StreamPut {
    /// The parts of a new upload.
    ///
    /// # Errors
    /// As [`plan_error`].
    pub fn schedule(&self, limits: &Limits) -> Result<Schedule> {
        Schedule::new(self.expected_size, self.put.part_size, limits).map_err(plan_error)
    }
}
