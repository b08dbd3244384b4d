//! `upload config`: prints the effective settings and where each comes from.
//!
//! Border: formatting only; what is effective is `settings`.

use std::io::{self, Write as _};

use serde::Serialize;

use super::args;
use super::settings::{Effective, Origin, Settings};
use crate::event;
use crate::report::escape;
use upload_types::error::{Error, Kind, Result};

/// One line of `--json`: `type` is `setting`.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    key: &'a str,
    value: Option<&'a str>,
    /// `flag`, `env`, `file` or `default`.
    origin: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    env: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<&'a str>,
}

/// Prints the settings, one a line.
///
/// # Errors
/// The same as when the settings were to be used; [`Kind::Io`] if standard output fails other than by being closed.
pub fn run(settings: &Settings, flags: &args::Config) -> Result<()> {
    let mut text = String::new();
    for setting in settings.effective(flags)? {
        text.push_str(&if settings.common.json {
            event::to_json_line(&json(&setting))
        } else {
            plain(&setting)
        });
        text.push('\n');
    }
    print(&text)
}

/// Writes text to standard output; one that is closed is no error.
///
/// # Errors
/// [`Kind::Io`] if it fails in any other way.
pub fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::new(Kind::Io, "could not write to standard output").with_source(error))
        }
        _ => Ok(()),
    }
}

fn plain(setting: &Effective) -> String {
    let value = setting.value.as_deref().unwrap_or("not set");
    // Both may come from a file or the environment.
    format!(
        "{} = {}  # {}",
        setting.key,
        escape(value),
        escape(&setting.origin.to_string())
    )
}

fn json(setting: &Effective) -> Line<'_> {
    let (origin, env, file, profile) = match &setting.origin {
        Origin::Flag => ("flag", None, None, None),
        Origin::Env(name) => ("env", Some(*name), None, None),
        Origin::File(path, profile) => (
            "file",
            None,
            Some(path.display().to_string()),
            profile.as_deref(),
        ),
        Origin::Default => ("default", None, None, None),
    };
    Line {
        kind: "setting",
        key: setting.key,
        value: setting.value.as_deref(),
        origin,
        env,
        file,
        profile,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_names_its_origin() {
        let setting = Effective {
            key: "jobs",
            value: Some("4".into()),
            origin: Origin::Env("UPLOAD_JOBS"),
        };
        assert_eq!(plain(&setting), "jobs = 4  # env UPLOAD_JOBS");
        let line = event::to_json_line(&json(&setting));
        assert_eq!(
            line,
            r#"{"v":1,"type":"setting","key":"jobs","value":"4","origin":"env","env":"UPLOAD_JOBS"}"#
        );
        let setting = Effective {
            key: "proxy",
            value: None,
            origin: Origin::Default,
        };
        assert_eq!(plain(&setting), "proxy = not set  # default");
    }
}
