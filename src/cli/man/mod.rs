//! `upload man`: a man page for each verb, from the same definition as the help.

mod event_lines;
mod gateway_lines;
mod json_lines;
mod line_doc;
mod owner_lines;
mod pages;
mod roff;
mod run;
mod set_lines;
mod stream_lines;
#[cfg(test)]
mod tests;

pub use pages::{Page, pages};
pub use run::run;
