//! `upload man`: one man page with every verb, made from the same definition as the help.
//!
//! Border: puts the page together; what no flag tells (events, files, environment, examples) is written in `man/tail.roff`.

use std::fmt::Write as _;
use std::io;

use clap_mangen::Man;

use super::args::{self, Command, EXIT_CODES};
use super::config::print;
use upload_types::error::{Error, Kind, Result};

/// Sections behind the verbs, in roff.
const TAIL: &str = include_str!("tail.roff");

/// The page `upload(1)`.
///
/// # Errors
/// [`Kind::Other`] if the page cannot be rendered.
pub fn page() -> Result<String> {
    render().map_err(|error| {
        Error::new(Kind::Other, "could not render the man page").with_source(error)
    })
}

/// Prints the page.
///
/// # Errors
/// As [`page`]; [`Kind::Io`] if standard output fails other than by being closed.
pub fn run() -> Result<()> {
    print(&page()?)
}

fn render() -> io::Result<String> {
    let root = args::command();
    let verbs: Vec<Command> = root.get_subcommands().cloned().collect();
    // No date: the page is the same whenever it is made.
    let head = Man::new(root)
        .title("UPLOAD")
        .section("1")
        .date("")
        .manual("User Commands");
    let mut page = section(|out| head.render_title(out))?;
    for part in [
        section(|out| head.render_name_section(out))?,
        section(|out| head.render_synopsis_section(out))?,
        section(|out| head.render_description_section(out))?,
        section(|out| head.render_options_section(out))?,
    ] {
        page.push_str(body(&part));
    }
    page.push_str(".SH COMMANDS\n");
    for verb in verbs {
        describe(verb, "upload", &mut page)?;
    }
    let codes = EXIT_CODES
        .split_once('\n')
        .map_or(EXIT_CODES, |(_, rows)| rows);
    let _ = write!(page, ".SH EXIT STATUS\n.nf\n{codes}\n.fi\n{TAIL}");
    Ok(page)
}

/// A verb and those below it, each under a heading of its own.
fn describe(verb: Command, parent: &str, page: &mut String) -> io::Result<()> {
    let name = format!("{parent} {}", verb.get_name());
    let below: Vec<Command> = verb.get_subcommands().cloned().collect();
    let man = Man::new(verb.bin_name(name.clone()).disable_help_flag(true));
    let _ = writeln!(page, ".SS {name}");
    for part in [
        section(|out| man.render_synopsis_section(out))?,
        section(|out| man.render_description_section(out))?,
        section(|out| man.render_options_section(out))?,
    ] {
        let part = body(&part);
        if !part.is_empty() {
            page.push_str(".PP\n");
            // Below a verb's heading there are no further ones.
            let lines = part.lines().filter(|line| !line.starts_with(".SH "));
            lines.for_each(|line| page.extend([line, "\n"]));
        }
    }
    below
        .into_iter()
        .try_for_each(|verb| describe(verb, &name, page))
}

fn section(render: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> io::Result<String> {
    let mut text = Vec::new();
    render(&mut text)?;
    String::from_utf8(text).map_err(io::Error::other)
}

/// A section without the two lines of preamble that each rendering begins with.
fn body(section: &str) -> &str {
    section
        .find(".SH ")
        .and_then(|start| section.get(start..))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde::Serialize;
    use serde_json::Value;

    use super::*;
    use crate::event::{Event, line};
    use upload_types::names::{Checksum, PartNumber, Sha256};
    use upload_types::wire::{Proof, Receipt};

    /// The paragraph about one type of event, or a section.
    fn paragraph<'a>(head: &str, end: &str) -> &'a str {
        let (_, rest) = TAIL
            .split_once(head)
            .unwrap_or_else(|| panic!("{head} is not in the man page"));
        rest.split(end).next().unwrap()
    }

    fn fields(value: &impl Serialize) -> Vec<String> {
        let Value::Object(fields) = serde_json::from_str(&line(value)).unwrap() else {
            panic!("no object")
        };
        fields
            .into_iter()
            .map(|(name, _)| name)
            .filter(|name| name != "v" && name != "type")
            .collect()
    }

    #[test]
    fn every_field_of_every_event_is_documented() {
        let sha256 = Sha256::of(b"");
        let receipt = Receipt {
            id: "u".parse().unwrap(),
            backend: "embedded".into(),
            instance_id: "i".into(),
            key: "k".parse().unwrap(),
            location: "embedded:k".into(),
            size: 0,
            parts: 1,
            part_size: 1,
            etag: "e".parse().unwrap(),
            checksum: Some(Checksum::whole(&sha256)),
            proof: Proof::Sha256,
            unproven: vec!["composite".into()],
            sha256: None,
            started: jiff::Timestamp::UNIX_EPOCH,
            finished: jiff::Timestamp::UNIX_EPOCH,
        };
        let about = paragraph(".SS Receipt", ".SH ");
        for field in fields(&receipt) {
            assert!(
                about.contains(&format!("\\fB{field}\\fR")),
                "{field} of the receipt"
            );
        }
        let id = || receipt.id.clone();
        let (item, path, message, upload) = (0, String::new(), String::new(), None);
        let events = [
            Event::Plan {
                item,
                upload: upload.clone(),
                path: path.clone(),
                path_b64: Some(String::new()),
                size: 0,
                part_size: 0,
                parts: 0,
                resumed_bytes: 0,
            },
            Event::Progress {
                item,
                upload: upload.clone(),
                hashed: 0,
                sent: 0,
                confirmed: 0,
                size: 0,
                rate: 0,
            },
            Event::Part {
                item,
                upload: id(),
                number: PartNumber::FIRST,
                size: 0,
                sha256,
                etag: receipt.etag.clone(),
                skipped: false,
            },
            Event::Retry {
                item,
                upload: upload.clone(),
                number: None,
                attempt: 1,
                kind: "",
                wait_ms: 0,
                message: message.clone(),
            },
            Event::Changed {
                item,
                upload: upload.clone(),
                path: path.clone(),
                message: message.clone(),
            },
            Event::Waiting { item, upload: id() },
            Event::Completed {
                item,
                upload: id(),
                receipt: receipt.clone(),
                already: false,
            },
            Event::Failed {
                item,
                upload,
                path,
                kind: "",
                message,
                hint: None,
            },
            Event::Exit {
                code: 0,
                uploads: 0,
                completed: 0,
                failed: 0,
                bytes_sent: 0,
                bytes_skipped: 0,
                resumable: false,
            },
        ];
        for event in events {
            let Value::Object(line) = serde_json::from_str(&line(&event)).unwrap() else {
                panic!("no object")
            };
            let name = line.get("type").and_then(Value::as_str).unwrap();
            let about = paragraph(&format!(".TP\n\\fB{name}\\fR\n"), "\n.");
            for field in fields(&event) {
                assert!(
                    about.contains(&format!("\\fB{field}\\fR: ")),
                    "{field} of {name}"
                );
            }
        }
    }

    #[test]
    fn the_page_has_every_verb_and_the_exit_codes() {
        let page = page().unwrap();
        for verb in args::command().get_subcommands() {
            assert!(
                page.contains(&format!("\n.SS upload {}\n", verb.get_name())),
                "{}",
                verb.get_name()
            );
        }
        assert!(page.contains("   75  failed for now"));
    }
}
