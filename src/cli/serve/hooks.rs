//! The hooks of `upload serve`: programs and webhooks that accept or reject uploads. Opens nothing
//! but the secret file.

use std::path::PathBuf;

use url::Url;

use crate::cli::args::serve::ServeOptions;
use crate::cli::secret_file::read_secret;
use upload_gateway::{Hook, HookKind, OnReject};
use upload_types::Token;
use upload_types::error::{Error, Kind, Result};

/// The hooks in their order, each with its arguments.
///
/// # Errors
/// [`Kind::Usage`] for a text that is not a hook, and for an argument without a program.
pub fn hooks(flags: &ServeOptions) -> Result<Vec<Hook>> {
    let mut hooks = Vec::new();
    for text in &flags.hooks {
        let (name, kind) = parse_hook(text)?;
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
            .ok_or_else(|| wrong("write NAME=ARG"))?;
        let hook = hooks.iter_mut().find(|hook| hook.name == name);
        match hook.map(|hook| &mut hook.kind) {
            Some(HookKind::Command { args, .. }) => args.push(arg.to_owned()),
            Some(HookKind::Webhook { .. }) => {
                return Err(wrong("remove this --hook-arg: a webhook has no arguments"));
            }
            None => return Err(wrong("write NAME=ARG with the name of a --hook")),
        }
    }
    Ok(hooks)
}

/// `[NAME=]exec:PROGRAM` or `[NAME=]URL`.
fn parse_hook(text: &str) -> Result<(String, HookKind)> {
    let wrong = || {
        Error::new(Kind::Usage, "could not understand --hook")
            .with_hint("write [NAME=]exec:PROGRAM, or an http(s) URL as [NAME=]URL")
    };
    let is_name =
        |name: &str| !name.is_empty() && !name.contains(['/', '?']) && !name.starts_with("exec:");
    let (name, text) = match text.split_once('=') {
        Some((name, rest)) if is_name(name) => (Some(name.to_owned()), rest),
        _ => (None, text),
    };
    if let Some(program) = text.strip_prefix("exec:") {
        let program = PathBuf::from(program);
        let default_name = program
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let name = name.or(default_name).ok_or_else(wrong)?;
        let args = Vec::new();
        return Ok((name, HookKind::Command { program, args }));
    }
    let url = Url::parse(text).map_err(|_| wrong())?;
    let host = url
        .host_str()
        .filter(|_| matches!(url.scheme(), "http" | "https"))
        .ok_or_else(wrong)?
        .trim_matches(['[', ']']);
    let default_name = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    Ok((name.unwrap_or(default_name), HookKind::Webhook { url }))
}

/// # Errors
/// [`Kind::Config`] for a file that cannot be read, or that other users can write.
pub fn secret(flags: &ServeOptions) -> Result<Option<Token>> {
    let file = flags.hook_secret_file.as_deref();
    file.map(|path| read_secret(path, "the secret for hooks"))
        .transpose()
}

/// `delete`, `keep` or `quarantine:PREFIX`.
///
/// # Errors
/// [`Kind::Usage`] for another text.
pub fn on_reject(text: &str) -> Result<OnReject> {
    match text.strip_prefix("quarantine:") {
        Some(prefix) if !prefix.trim_matches('/').is_empty() => Ok(OnReject::Quarantine(
            prefix.trim_end_matches('/').to_owned(),
        )),
        None if text == "delete" => Ok(OnReject::Delete),
        None if text == "keep" => Ok(OnReject::Keep),
        _ => Err(Error::new(Kind::Usage, "could not understand --on-reject")
            .with_hint("write delete, keep or quarantine:PREFIX")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hook_is_named_by_flag_program_or_host() {
        let name = |text: &str| parse_hook(text).unwrap().0;
        assert_eq!(name("exec:/usr/lib/upload/clamav"), "clamav");
        assert_eq!(name("scan=exec:/usr/lib/upload/a=b"), "scan");
        assert_eq!(name("exec:/a=b"), "a=b");
        assert_eq!(name("https://hooks.example/x?a=b"), "hooks.example");
        assert_eq!(name("http://[::1]:9000/"), "::1:9000");
        assert_eq!(name("chat=https://hooks.example/x?a=b"), "chat");
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
            assert_eq!(
                parse_hook(wrong).unwrap_err().kind(),
                Kind::Usage,
                "{wrong}"
            );
        }
    }

    #[test]
    fn on_reject_is_delete_keep_or_quarantine() {
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
