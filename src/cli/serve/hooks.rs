//! What was typed of hooks: which there are, what signs them, what becomes of what they reject.
//!
//! Border: text to values; whether a program can be run is found out when the gateway starts.

use std::path::PathBuf;

use url::Url;

use crate::cli::args::serve::ServeOptions;
use crate::cli::settings;
use upload_gateway::{Hook, HookKind, OnReject};
use upload_types::error::{Error, Kind, Result};
use upload_types::names::Token;

/// The hooks in the order they were typed, each with its arguments.
///
/// # Errors
/// [`Kind::Usage`] for a text that is no hook, or an argument for none.
pub fn list(flags: &ServeOptions) -> Result<Vec<Hook>> {
    let mut hooks = Vec::new();
    for text in &flags.hooks {
        let (name, kind) = hook(text)?;
        hooks.push(Hook {
            name,
            kind,
            time_limit: flags.hook_timeout,
        });
    }
    for text in &flags.hook_args {
        let wrong =
            |hint| Error::new(Kind::Usage, "could not understand --hook-arg").with_hint(hint);
        let (name, arg) = text
            .split_once('=')
            .ok_or_else(|| wrong("it is NAME=ARG"))?;
        let kind = hooks
            .iter_mut()
            .find(|hook| hook.name == name)
            .map(|hook| &mut hook.kind);
        match kind {
            Some(HookKind::Command { args, .. }) => args.push(arg.to_owned()),
            Some(HookKind::Webhook { .. }) => return Err(wrong("a webhook takes no arguments")),
            None => return Err(wrong("no --hook has that name")),
        }
    }
    Ok(hooks)
}

/// `[NAME=]exec:PROGRAM` or `[NAME=]URL`.
fn hook(text: &str) -> Result<(String, HookKind)> {
    let wrong = || {
        Error::new(Kind::Usage, "could not understand --hook")
            .with_hint("it is exec:PROGRAM or an http(s) URL, or one of these behind NAME=")
    };
    let is_name =
        |name: &str| !name.is_empty() && !name.contains(['/', '?']) && !name.starts_with("exec:");
    let (name, what) = match text.split_once('=') {
        Some((name, what)) if is_name(name) => (Some(name.to_owned()), what),
        _ => (None, text),
    };
    if let Some(program) = what.strip_prefix("exec:") {
        let program = PathBuf::from(program);
        let own = program
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let name = name.or(own).ok_or_else(wrong)?;
        return Ok((
            name,
            HookKind::Command {
                program,
                args: Vec::new(),
            },
        ));
    }
    let url = Url::parse(what).map_err(|_| wrong())?;
    let host = url
        .host_str()
        .filter(|_| matches!(url.scheme(), "http" | "https"))
        .ok_or_else(wrong)?;
    let host = host.trim_matches(['[', ']']);
    let own = url
        .port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    Ok((name.unwrap_or(own), HookKind::Webhook { url }))
}

/// # Errors
/// [`Kind::Config`] for a file that cannot be read, or that others can write.
pub fn secret(flags: &ServeOptions) -> Result<Option<Token>> {
    flags
        .hook_secret_file
        .as_deref()
        .map(|path| settings::secret(path, "the secret"))
        .transpose()
}

/// # Errors
/// [`Kind::Usage`] for a text that is none of the three.
pub fn on_reject(text: &str) -> Result<OnReject> {
    match text.strip_prefix("quarantine:") {
        Some(prefix) if !prefix.trim_matches('/').is_empty() => Ok(OnReject::Quarantine(
            prefix.trim_end_matches('/').to_owned(),
        )),
        None if text == "delete" => Ok(OnReject::Delete),
        None if text == "keep" => Ok(OnReject::Keep),
        _ => Err(Error::new(Kind::Usage, "could not understand --on-reject")
            .with_hint("it is delete, keep or quarantine:PREFIX")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_has_a_name_of_its_own_or_its_programs_or_hosts() {
        let named = |text: &str| hook(text).unwrap().0;
        assert_eq!(named("exec:/usr/lib/upload/clamav"), "clamav");
        assert_eq!(named("scan=exec:/usr/lib/upload/a=b"), "scan");
        assert_eq!(named("exec:/a=b"), "a=b");
        assert_eq!(named("https://hooks.example/x?a=b"), "hooks.example");
        assert_eq!(named("http://[::1]:9000/"), "::1:9000");
        assert_eq!(named("chat=https://hooks.example/x?a=b"), "chat");
        for wrong in [
            "",
            "clamav",
            "/usr/bin/clamscan",
            "x=",
            "exec:",
            "ftp://host",
            "exec:/",
            "x=clamav",
        ] {
            assert_eq!(hook(wrong).unwrap_err().kind(), Kind::Usage, "{wrong}");
        }
    }

    #[test]
    fn what_is_rejected_goes_stays_or_moves() {
        assert_eq!(on_reject("delete").unwrap(), OnReject::Delete);
        assert_eq!(on_reject("keep").unwrap(), OnReject::Keep);
        assert_eq!(
            on_reject("quarantine:bad/files/").unwrap(),
            OnReject::Quarantine("bad/files".into())
        );
        for wrong in ["", "quarantine", "quarantine:", "quarantine:/", "Delete"] {
            assert_eq!(on_reject(wrong).unwrap_err().kind(), Kind::Usage, "{wrong}");
        }
    }
}
