//! `upload completions`: the completion script of a shell, from the definition of the flags. The
//! scripts of bash, zsh and fish also complete files, upload ids (by `upload list --ids`) and the
//! forms of backends.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Arg, ArgAction, Command, ValueHint};
use clap_complete::{Shell as Generator, generate};

use super::args::{self, CompletionsArgs, Shell};
use super::output;
use upload_types::error::Result;

/// Comes after the generated script of bash, in place of its end.
const BASH_FUNCTIONS: &str = include_str!("completions/upload.bash");
/// The end of the generated script of bash, which registers its function.
const BASH_END: &str = "\nif [[ \"${BASH_VERSINFO[0]}\"";
/// Comes before the end of the generated script of zsh.
const ZSH_FUNCTIONS: &str = include_str!("completions/_upload");
/// The end of the generated script of zsh.
const ZSH_END: &str = "\nif [ \"$funcstack[1]\" = \"_upload\" ]; then";
/// Comes after the generated script of fish.
const FISH_LINES: &str = include_str!("completions/upload.fish");

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
    let script = without_hidden_flag(&String::from_utf8_lossy(&script), shell);
    let script = match shell {
        Shell::Bash => bash(&script),
        Shell::Zsh => zsh(&script),
        Shell::Fish => script + FISH_LINES,
        Shell::Powershell | Shell::Elvish => script,
    };
    script.into_bytes()
}

/// The generated script without the flag `--ids`, which clap does not leave out although it is
/// hidden. It is a word of a line in the script of bash, and a line of its own in the others.
fn without_hidden_flag(generated: &str, shell: Shell) -> String {
    if shell == Shell::Bash {
        return generated.replace(" --ids ", " ");
    }
    let is_its_line = |line: &&str| line.contains("--ids") || line.contains(" -l ids ");
    let lines = generated.lines().filter(|line| !is_its_line(line));
    lines.flat_map(|line| [line, "\n"]).collect()
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

/// The generated script, which completes flags, and functions for everything else. The generated
/// function alone offers flags before verbs and files.
fn bash(generated: &str) -> String {
    let (functions, _) = generated.rsplit_once(BASH_END).unwrap_or((generated, ""));
    let command = command();
    let mut script = format!("{functions}\n{}", flag_lists(&command));
    script.push_str(
        "\n# The verbs or fixed values after the verbs \"$1\".\n_upload_words() {\n    case \"$1\" in\n",
    );
    add_words(&command, "", &mut script);
    script.push_str("    esac\n}\n");
    script + BASH_FUNCTIONS
}

/// The long flags with a value, by what completes it.
fn flag_lists(command: &Command) -> String {
    let (mut free, mut paths, mut choices) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut commands = vec![command];
    while let Some(command) = commands.pop() {
        commands.extend(command.get_subcommands());
        let takes_value =
            |arg: &&Arg| matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
        for arg in command.get_arguments().filter(takes_value) {
            let Some(long) = arg.get_long() else { continue };
            let is_path = matches!(
                arg.get_value_hint(),
                ValueHint::FilePath | ValueHint::DirPath
            );
            let list = if is_path {
                &mut paths
            } else if arg.get_possible_values().is_empty() {
                &mut free
            } else {
                &mut choices
            };
            list.insert(format!("--{long}"));
        }
    }
    let list = |name: &str, flags: BTreeSet<String>| {
        let flags: Vec<String> = flags.into_iter().collect();
        format!("_upload_{name}_flags=\"{}\"\n", flags.join(" "))
    };
    list("free", free) + &list("path", paths) + &list("choice", choices)
}

/// The cases of `_upload_words` for a command and those below it.
fn add_words(command: &Command, path: &str, script: &mut String) {
    let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    let mut words: Vec<String> = verbs.map(|verb| verb.get_name().to_owned()).collect();
    for arg in command.get_positionals() {
        let values = arg.get_possible_values();
        words.extend(values.iter().map(|value| value.get_name().to_owned()));
    }
    if !words.is_empty() {
        // Writing to a string cannot fail.
        let _ = writeln!(
            script,
            "        \"{path}\") echo \"{}\" ;;",
            words.join(" ")
        );
    }
    for verb in command.get_subcommands() {
        add_words(verb, &format!("{path} {}", verb.get_name()), script);
    }
}

/// The generated script with functions for upload ids and backends in place of files and URLs.
fn zsh(generated: &str) -> String {
    let mut verb = "";
    let mut script = String::new();
    for line in generated.lines() {
        let case = line.trim().strip_prefix('(');
        verb = case.and_then(|case| case.strip_suffix(')')).unwrap_or(verb);
        let ids = match verb {
            "status" | "cat" | "url" | "rm" => "_upload_ids --all",
            _ => "_upload_ids",
        };
        let is_upload = line.starts_with("':upload -- ") || line.starts_with("'*::uploads -- ");
        let line = if is_upload {
            // The space prevents options of `_arguments` from being passed to the function.
            line.replacen(":_files'", &format!(": {ids}'"), 1)
        } else if line.starts_with("'--backend=") {
            line.replacen(":_urls'", ":_upload_backends'", 1)
        } else {
            line.to_owned()
        };
        script.push_str(&line);
        script.push('\n');
    }
    match script.rsplit_once(ZSH_END) {
        Some((functions, end)) => format!("{functions}\n{ZSH_FUNCTIONS}{ZSH_END}{end}"),
        None => script,
    }
}

/// # Errors
/// [`Kind::Io`](upload_types::error::Kind::Io) if standard output fails.
pub fn run(flags: &CompletionsArgs) -> Result<()> {
    output::print(&String::from_utf8_lossy(&script(flags.shell)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts that the generated scripts are cut at and changed in exist.
    #[test]
    fn generated_scripts_have_the_expected_form() {
        let text = |shell| String::from_utf8(script(shell)).unwrap();
        let bash = text(Shell::Bash);
        assert_eq!(bash.matches("\n    complete -F ").count(), 2, "{bash}");
        assert!(!bash.contains("complete -F _upload -o"));
        let zsh = text(Shell::Zsh);
        assert_eq!(zsh.matches(": _upload_ids --all'").count(), 4);
        assert_eq!(zsh.matches(": _upload_ids'").count(), 2);
        assert!(zsh.matches(":_upload_backends'").count() > 5);
        assert_eq!(zsh.matches("\n_upload_ids() {").count(), 1);
        for shell in [Shell::Fish, Shell::Powershell, Shell::Elvish] {
            let script = text(shell).replace("upload list --ids", "");
            assert!(!script.contains("--ids") && !script.contains(" -l ids "));
            // The description of the flag is not left either.
            assert!(!script.contains("for completions"));
        }
    }
}
