//! The man pages: one for each verb, from the same definition as the help, with sections that no
//! flag describes.

use std::io;

use clap::{Arg, ArgAction, Command};
use clap_mangen::Man;

use super::event_lines::EVENTS;
use super::gateway_lines::gateway_lines_of;
use super::json_lines::{RECEIPT, lines_of};
use super::owner_lines::owner_lines_of;
use super::roff;
use super::set_lines::SET_RECEIPT;
use crate::cli::args::{
    self, AFTER_TEMPORARY_FAILURE, EXIT_CODES, SEVERAL_SOURCES, is_shared_heading,
};
use upload_types::error::{Error, Kind, Result};

const SHARED_SECTION: &str = ".SH SHARED OPTIONS\n\
    See \\fBupload\\fR(1) for global options, connection options and S3 options, and for exit codes, environment and files.\n";
const UPLOAD_SECTIONS: &str = include_str!("sections/upload.roff");
const SERVE_SECTIONS: &str = include_str!("sections/serve.roff");
const STREAMS_SECTION: &str = include_str!("sections/streams.roff");
const SIGNALS_SECTION: &str = include_str!("sections/signals.roff");

pub struct Page {
    /// `upload`, `upload-put`, `upload-serve-token-add`.
    pub name: String,
    /// The words after `upload`: `serve`, `token`, `add`.
    pub verb: Vec<String>,
    pub text: String,
}

/// Every page, `upload(1)` first.
///
/// # Errors
/// [`Kind::Other`] if a page cannot be rendered.
pub fn pages() -> Result<Vec<Page>> {
    let mut pages = Vec::new();
    let root = args::command().disable_help_subcommand(true);
    add_pages(&with_shared_options(root), &[], &mut pages).map_err(|error| {
        Error::new(Kind::Other, "could not render the man pages").with_source(error)
    })?;
    Ok(pages)
}

/// Adds the page of a command, and those of the verbs below it.
fn add_pages(command: &Command, verb: &[&str], pages: &mut Vec<Page>) -> io::Result<()> {
    let name = [&["upload"], verb].concat().join("-");
    pages.push(Page {
        text: render(command, &name, verb)?,
        verb: verb.iter().map(|word| (*word).to_owned()).collect(),
        name,
    });
    command.get_subcommands().try_for_each(|below| {
        let verb = [verb, &[below.get_name()]].concat();
        add_pages(below, &verb, pages)
    })
}

fn render(command: &Command, name: &str, verb: &[&str]) -> io::Result<String> {
    let is_root = verb.is_empty();
    let has_verbs = command.has_subcommands();
    let mut command = command
        .clone()
        .display_name(name.to_owned())
        .bin_name([&["upload"], verb].concat().join(" "))
        .disable_help_subcommand(true)
        .subcommand_help_heading("COMMANDS")
        .mut_args(note_default);
    if !is_root {
        command = command.disable_help_flag(true).mut_args(|arg| {
            let is_shared = arg.get_help_heading().is_some_and(is_shared_heading);
            if is_shared { arg.hide(true) } else { arg }
        });
    }
    let usage = synopsis(&command);
    let examples = command
        .get_after_help()
        .map(ToString::to_string)
        .filter(|help| help.starts_with("Examples:"));
    let man = Man::new(command.override_usage(usage));
    let mut page = roff::title(name);
    let mut add = |section: io::Result<String>| -> io::Result<()> {
        page.push_str(without_preamble(&section?));
        Ok(())
    };
    add(rendered(|out| man.render_name_section(out)))?;
    add(rendered(|out| man.render_synopsis_section(out)))?;
    add(rendered(|out| man.render_description_section(out)))?;
    if has_verbs {
        add(rendered(|out| man.render_subcommands_section(out)))?;
    }
    add(rendered(|out| man.render_options_section(out)))?;
    page.push_str(&extra_sections(name, is_root));
    if let Some(examples) = examples {
        page.push_str(&roff::examples(&examples));
    }
    page.push_str(&see_also(name));
    Ok(page)
}

/// The sections that no flag describes.
fn extra_sections(name: &str, is_root: bool) -> String {
    let mut text = String::new();
    if is_root {
        text.push_str(&exit_status());
        text.push_str(&events());
        text.push_str(UPLOAD_SECTIONS);
        return text;
    }
    text.push_str(SHARED_SECTION);
    let lines = [lines_of(name), gateway_lines_of(name), owner_lines_of(name)].concat();
    if !lines.is_empty() {
        text.push_str(".SH JSON OUTPUT\nWith \\fB\\-\\-json\\fR, standard output has one JSON object per line. Each has \\fBv\\fR (1) and \\fBtype\\fR, the heading of a table below.\n");
        text.extend(lines.iter().map(roff::line_doc));
    }
    match name {
        "upload-put" | "upload-resume" => {
            if name == "upload-put" {
                text.push_str(STREAMS_SECTION);
            }
            text.push_str(".SH JSON OUTPUT\nSee EVENTS in \\fBupload\\fR(1).\n");
            text.push_str(SIGNALS_SECTION);
        }
        "upload-serve" => text.push_str(SERVE_SECTIONS),
        _ => {}
    }
    text
}

fn exit_status() -> String {
    let rows: Vec<Vec<&str>> = EXIT_CODES
        .iter()
        .map(|(code, meaning)| vec![*code, *meaning])
        .collect();
    format!(
        "{}{}{}\n.PP\n{}\n",
        roff::section("EXIT STATUS"),
        roff::table(&["code", "meaning"], &rows),
        roff::escape(AFTER_TEMPORARY_FAILURE),
        roff::escape(SEVERAL_SOURCES)
    )
}

fn events() -> String {
    let mut text = roff::section("EVENTS");
    text.push_str(
        "With \\fB\\-\\-json\\fR, \\fBupload put\\fR and \\fBupload resume\\fR print one JSON object per line on standard output, and nothing else.\n\
         Each line is flushed at once. It has \\fBv\\fR, the version of the format (1), and \\fBtype\\fR, the heading of a table below.\n\
         Within a version, fields are not removed and do not change their type; new fields and types may appear.\n\
         Sizes are in bytes, SHA\\-256 values in lower\\-case hexadecimal, times in RFC 3339.\n\
         The lines of other verbs are described in their pages.\n",
    );
    text.extend(EVENTS.iter().map(roff::line_doc));
    text.push_str(".SS Receipt\nThe receipt in \\fBcompleted\\fR, and each line of the file of \\fB\\-\\-receipt\\fR, which also has the \\fBpath\\fR of the source.\n");
    text.push_str(&roff::field_table(RECEIPT));
    text.push_str(".SS Set\nThe last line of the file of \\fB\\-\\-receipt\\fR, if the sources are those of directories or lists, all of them were found, none failed, and the run wrote a receipt.\n");
    text.push_str(&roff::field_table(SET_RECEIPT));
    text
}

fn see_also(name: &str) -> String {
    let pages: &[&str] = match name {
        "upload" => &["upload-put", "upload-resume", "upload-serve"],
        "upload-put" => &["upload", "upload-resume", "upload-serve"],
        "upload-resume" => &["upload", "upload-put", "upload-list"],
        name if name.starts_with("upload-serve-") => &["upload", "upload-serve"],
        _ => &["upload"],
    };
    let pages: Vec<String> = pages
        .iter()
        .map(|page| format!("\\fB{}\\fR(1)", roff::escape(page)))
        .collect();
    format!(".SH SEE ALSO\n{}\n", pages.join(", "))
}

/// The usage line: the options of the verb with their values, the groups of shared options by name,
/// and the arguments.
fn synopsis(command: &Command) -> String {
    let name = command.get_bin_name().unwrap_or_default();
    let mut words = vec![name.to_owned()];
    let has_values = |arg: &&Arg| arg.get_action().takes_values();
    let shown = || command.get_arguments().filter(|arg| !arg.is_hide_set());
    for arg in shown().filter(|arg| !arg.is_positional() && arg.get_help_heading().is_none()) {
        let Some(long) = arg.get_long() else { continue };
        words.push(if has_values(&arg) {
            format!("[--{long} {}]", value_name(arg))
        } else {
            format!("[--{long}]")
        });
    }
    let mut headings: Vec<&str> = Vec::new();
    for heading in command.get_arguments().filter_map(Arg::get_help_heading) {
        let heading = heading.split(" (").next().unwrap_or(heading);
        if !headings.contains(&heading) {
            headings.push(heading);
        }
    }
    if !headings.contains(&"Global options") {
        headings.push("Global options");
    }
    words.extend(
        headings
            .iter()
            .map(|heading| format!("[{}]", roff::lower_first(heading))),
    );
    for arg in shown().filter(|arg| arg.is_positional()) {
        let many = if matches!(arg.get_action(), ArgAction::Append) {
            "..."
        } else {
            ""
        };
        let name = value_name(arg);
        words.push(if arg.is_required_set() {
            format!("{name}{many}")
        } else {
            format!("[{name}{many}]")
        });
    }
    if command.has_subcommands() {
        let is_required = command.is_subcommand_required_set();
        words.push(if is_required { "COMMAND" } else { "[COMMAND]" }.to_owned());
    }
    words.join(" ")
}

fn value_name(arg: &Arg) -> String {
    match arg.get_value_names() {
        Some(names) => names.join(" "),
        None => arg.get_id().as_str().to_uppercase(),
    }
}

/// Moves clap's default to the end of the help text, where the defaults of settings are too.
fn note_default(arg: Arg) -> Arg {
    let default = arg.get_default_values().first();
    let Some(default) = default.filter(|_| arg.get_action().takes_values()) else {
        return arg;
    };
    let help = arg.get_long_help().or_else(|| arg.get_help());
    let help = help.map(ToString::to_string).unwrap_or_default();
    let note = format!("[default: {}]", default.to_string_lossy());
    arg.hide_default_value(true)
        .long_help(format!("{help}\n\n{note}"))
}

/// The root command with the options that many verbs share, to describe them once.
fn with_shared_options(root: Command) -> Command {
    let shared: Vec<Arg> = root
        .find_subcommand("put")
        .into_iter()
        .flat_map(Command::get_arguments)
        .filter(|arg| arg.get_help_heading().is_some_and(is_shared_heading))
        .cloned()
        .collect();
    root.args(shared)
}

fn rendered(render: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> io::Result<String> {
    let mut text = Vec::new();
    render(&mut text)?;
    String::from_utf8(text).map_err(io::Error::other)
}

/// A section without the lines of roff that each rendering begins with.
fn without_preamble(section: &str) -> &str {
    section
        .find(".SH ")
        .and_then(|start| section.get(start..))
        .unwrap_or_default()
}
