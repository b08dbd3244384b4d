//! `upload config`: prints the effective settings and their origins.

use serde::Serialize;

use super::args::ConfigArgs;
use super::output;
use super::settings::{EffectiveSetting, Origin, Settings};
use crate::event;
use crate::report::escape;
use upload_types::error::Result;

/// A line of `--json`.
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

/// # Errors
/// As for the verbs that use the settings; [`Kind::Io`](upload_types::error::Kind::Io) if standard
/// output fails.
pub fn run(settings: &Settings, flags: &ConfigArgs) -> Result<()> {
    let mut lines = file_line(settings);
    for setting in settings.effective(flags)? {
        lines.push_str(&if settings.json() {
            event::to_json_line(&json_line(&setting))
        } else {
            text_line(&setting)
        });
        lines.push('\n');
    }
    output::print(&lines)
}

/// The line about the configuration file.
fn file_line(settings: &Settings) -> String {
    let path = settings.file_path();
    let exists = path.exists();
    let path = path.display().to_string();
    if settings.json() {
        let line = serde_json::json!({ "type": "config_file", "path": path, "exists": exists });
        return event::to_json_line(&line) + "\n";
    }
    let state = if exists { "" } else { " (does not exist)" };
    format!("# configuration file: {}{state}\n", escape(&path))
}

fn text_line(setting: &EffectiveSetting) -> String {
    let value = setting.value.as_deref().unwrap_or("not set");
    format!(
        "{} = {}  # {}",
        setting.key,
        escape(value),
        escape(&setting.origin.to_string())
    )
}

fn json_line(setting: &EffectiveSetting) -> Line<'_> {
    let (origin, env, file, profile) = match &setting.origin {
        Origin::Flag => ("flag", None, None, None),
        Origin::Env(name) => ("env", Some(*name), None, None),
        Origin::File(path, profile) => (
            "file",
            None,
            Some(path.display().to_string()),
            profile.as_deref(),
        ),
        Origin::AwsProfile(path, profile) => (
            "aws_profile",
            None,
            Some(path.display().to_string()),
            Some(profile.as_str()),
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
    fn lines_name_the_origin() {
        let setting = EffectiveSetting {
            key: "jobs",
            value: Some("4".into()),
            origin: Origin::Env("UPLOAD_JOBS"),
        };
        assert_eq!(text_line(&setting), "jobs = 4  # env UPLOAD_JOBS");
        assert_eq!(
            event::to_json_line(&json_line(&setting)),
            r#"{"v":1,"type":"setting","key":"jobs","value":"4","origin":"env","env":"UPLOAD_JOBS"}"#
        );
        let setting = EffectiveSetting {
            key: "proxy",
            value: None,
            origin: Origin::Default,
        };
        assert_eq!(text_line(&setting), "proxy = not set  # default");
    }
}
