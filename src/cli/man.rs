//! `upload man`: one man page with every verb, made from the same definition as the help.
//!
//! Border: puts the page together; what no flag tells (events, files, environment, examples) is written in `man/tail.roff`.

use std::fmt::Write as _;
use std::io;

use clap::Command;
use clap_mangen::Man;

use super::args::{self, EXIT_CODES};
use super::config::print;
use crate::error::{Error, Kind, Result};

/// Sections behind the verbs, in roff.
const TAIL: &str = include_str!("man/tail.roff");

/// The page `upload(1)`.
///
/// # Errors
/// [`Kind::Other`] if the page cannot be rendered.
pub fn page() -> Result<String> {
    render().map_err(|error| Error::new(Kind::Other, "could not render the man page").because(error))
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
    let head = Man::new(root).title("UPLOAD").section("1").date("").manual("User Commands");
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
    let codes = EXIT_CODES.split_once('\n').map_or(EXIT_CODES, |(_, rows)| rows);
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
    below.into_iter().try_for_each(|verb| describe(verb, &name, page))
}

fn section(render: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> io::Result<String> {
    let mut text = Vec::new();
    render(&mut text)?;
    String::from_utf8(text).map_err(io::Error::other)
}

/// A section without the two lines of preamble that each rendering begins with.
fn body(section: &str) -> &str {
    section.find(".SH ").and_then(|start| section.get(start..)).unwrap_or_default()
}
