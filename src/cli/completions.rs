//! `upload completions`: the completion script of each shell, made from the same definition as the help.
//!
//! Border: text only; the scripts checked in under `completions/` are compared with it by a test.

use clap_complete::{Shell as Generator, generate};

use super::args::{self, Completions, Shell};
use super::config::print;
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

/// Prints the script of the shell that was named.
///
/// # Errors
/// [`Kind::Io`](upload_types::error::Kind::Io) if standard output fails other than by being closed.
pub fn run(flags: &Completions) -> Result<()> {
    print(&String::from_utf8_lossy(&script(flags.shell)))
}
