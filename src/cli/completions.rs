//! `upload completions`: the completion script of a shell, from the definition of the flags.

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Arg, Command};
use clap_complete::{Shell as Generator, generate};

use super::args::{self, CompletionsArgs, Shell};
use super::output;
use upload_types::error::Result;

/// The completion script of one shell.
#[must_use]
pub fn script(shell: Shell) -> Vec<u8> {
    let generator = match shell {
        Shell::Bash => Generator::Bash,
        Shell::Zsh => Generator::Zsh,
        Shell::Fish => Generator::Fish,
        Shell::Powershell => Generator::PowerShell,
        Shell::Elvish => Generator::Elvish,
    };
    let mut script = Vec::new();
    generate(generator, &mut command(), "upload", &mut script);
    script
}

/// The command line, with a flat verb `help`: that of clap repeats every verb below itself.
fn command() -> Command {
    let command = args::command().disable_help_subcommand(true);
    let verbs: Vec<PossibleValue> = command
        .get_subcommands()
        .map(|verb| PossibleValue::new(verb.get_name().to_owned()))
        .collect();
    let help = Command::new("help")
        .about("Print the help of a verb")
        .arg(Arg::new("verb").value_parser(PossibleValuesParser::new(verbs)));
    command
        .mut_subcommands(|verb| verb.disable_help_subcommand(true))
        .subcommand(help)
}

/// # Errors
/// [`Kind::Io`](upload_types::error::Kind::Io) if standard output fails.
pub fn run(flags: &CompletionsArgs) -> Result<()> {
    output::print(&String::from_utf8_lossy(&script(flags.shell)))
}
