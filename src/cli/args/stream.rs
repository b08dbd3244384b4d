//! The flags of `put` for streams: standard input, or the output of a command.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::cli::parse;

#[derive(Clone, Args)]
pub struct StreamArgs {
    /// Upload the standard output of a command; its words follow `--`
    ///
    /// The object is completed only if the command ends with exit code 0. Otherwise the upload is
    /// aborted, and the exit code is 65. The command gets standard input and standard error of
    /// this process.
    #[arg(long)]
    pub from_command: bool,
    /// The size that a stream will perhaps have; only a hint
    ///
    /// It gives progress in percent and, for a large stream, larger parts from the start. A stream
    /// of three times this size still fits, unless the store demands parts of equal size.
    #[arg(long, value_name = "SIZE", value_parser = parse::size)]
    pub expected_size: Option<u64>,
    /// Complete a stream even if it has no bytes; otherwise its exit code is 65
    #[arg(long, conflicts_with = "min_size")]
    pub allow_empty: bool,
    /// The memory for parts of a stream that are not stored yet [default: 48MiB]
    ///
    /// While it is full, the producer of the stream waits. It holds two parts in any case: parts
    /// have 8MiB at first, 64MiB after 55GiB, and 512MiB after 492GiB.
    #[arg(long, value_name = "SIZE", value_parser = parse::size)]
    pub buffer: Option<u64>,
    /// Keep parts for which there is no memory in a file in this directory
    ///
    /// The producer of the stream then never waits for the network, also during an outage (see
    /// --give-up-after). The file takes the space of the parts that are not stored yet, and has no
    /// name: nothing of it stays after the end of the program. While the disk is full, the producer
    /// waits until parts in the file are stored; if there are none, the exit code is 74. Not every
    /// file system frees the space of single parts: the others free all of it when no part is left.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub spool: Option<PathBuf>,
}

impl StreamArgs {
    /// The first flag that only a stream may have.
    #[must_use]
    pub fn first_flag(&self) -> Option<&'static str> {
        [
            (self.from_command, "--from-command"),
            (self.expected_size.is_some(), "--expected-size"),
            (self.allow_empty, "--allow-empty"),
            (self.buffer.is_some(), "--buffer"),
            (self.spool.is_some(), "--spool"),
        ]
        .into_iter()
        .find_map(|(is_given, flag)| is_given.then_some(flag))
    }
}
