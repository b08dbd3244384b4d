//! `upload completions`: the completion script of a shell, from the definition of the flags.

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
    generate(generator, &mut args::command(), "upload", &mut script);
    script
}

/// # Errors
/// [`Kind::Io`](upload_types::error::Kind::Io) if standard output fails.
pub fn run(flags: &CompletionsArgs) -> Result<()> {
    output::print(&String::from_utf8_lossy(&script(flags.shell)))
}
