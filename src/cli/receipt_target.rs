//! The value of `--receipt` and `--receipt-append`.
//!
//! Not here: writing the file (`receipt_file`).

use std::path::PathBuf;

/// The file, as the command line names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptTarget {
    pub path: PathBuf,
    pub mode: ReceiptMode,
}

/// The treatment of the content of an existing file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiptMode {
    /// The first receipt replaces it.
    Replace,
    Append,
}
