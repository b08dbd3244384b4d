//! The variables `UPLOAD_SERVE_…`: a value for each key of the configuration file.
//!
//! Not here: checking a value (`args/from_file`).

use std::ffi::OsString;

use toml::{Table, Value};

use crate::cli::args::from_file::{self, FileFlag, Form, Key, LIMITS, VARIABLE_PREFIX};
use crate::cli::output;
use crate::report::safe;
use upload_types::error::{Error, Kind, Result};

/// The flags that the variables set. A variable without text, or with blanks only, counts as not
/// set. Warns of a variable with the prefix that names no setting: it may be misspelt, or of a
/// container system that sets variables for a service of that name.
///
/// # Errors
/// [`Kind::Config`] for a wrong value.
pub fn flags(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Vec<FileFlag>> {
    let keys = from_file::keys();
    let mut flags = Vec::new();
    for (name, value) in variables {
        let Some(name) = name
            .to_str()
            .filter(|name| name.starts_with(VARIABLE_PREFIX))
        else {
            continue;
        };
        if value.to_str().is_some_and(|text| text.trim().is_empty()) {
            continue;
        }
        match keys.iter().find(|key| key.variable() == name) {
            Some(key) => flags.push(flag(key, &value)?),
            None => output::eprint_line(&format!(
                "warning: {} names no setting of `upload serve`",
                safe(name)
            )),
        }
    }
    flags.sort_by(|one, other| one.key.name.cmp(&other.key.name));
    Ok(flags)
}

fn flag(key: &Key, value: &OsString) -> Result<FileFlag> {
    let variable = key.variable();
    let wrong = |reason: String| {
        Error::new(Kind::Config, format!("could not use {variable}")).with_source(reason)
    };
    let text = value
        .to_str()
        .ok_or_else(|| wrong("it is not UTF-8".to_owned()))?;
    let flag = FileFlag {
        key: key.clone(),
        values: values(key, text.trim()).map_err(wrong)?,
        // A value may contain a secret, such as the URL of a hook.
        is_secret: true,
        origin: variable.clone(),
        is_variable: true,
    };
    from_file::check(&flag).map_err(wrong)?;
    Ok(flag)
}

/// The values in the form that the flag accepts.
fn values(key: &Key, text: &str) -> Result<Vec<String>, String> {
    match key.form {
        Form::Switch => match text {
            "true" | "1" => Ok(vec!["true".to_owned()]),
            "false" | "0" => Ok(vec!["false".to_owned()]),
            _ => Err("it must be true or false".to_owned()),
        },
        Form::Count => match text {
            "0" | "1" | "2" | "3" => Ok(vec![text.to_owned()]),
            _ => Err("it must be a number from 0 to 3".to_owned()),
        },
        // A single table has commas of its own.
        Form::Texts if key.name == LIMITS && !text.starts_with('[') => Ok(vec![text.to_owned()]),
        Form::Texts => list(text),
        Form::Text | Form::Path => Ok(vec![text.to_owned()]),
    }
}

/// A list in TOML if the text begins with `[`; otherwise texts that are separated by commas.
fn list(text: &str) -> Result<Vec<String>, String> {
    if !text.starts_with('[') {
        let texts = text.split(',').map(str::trim);
        return Ok(texts.map(str::to_owned).collect());
    }
    let wrong =
        || "it must be texts separated by commas, or a list such as [\"a,b\", \"c\"]".to_owned();
    let mut table: Table = format!("list = {text}").parse().map_err(|_| wrong())?;
    let Some(Value::Array(values)) = table.remove("list") else {
        return Err(wrong());
    };
    let text = |value| match value {
        Value::String(text) => Ok(text),
        Value::Table(table) => Ok(Value::Table(table).to_string()),
        _ => Err(wrong()),
    };
    values.into_iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(name: &str, value: &str) -> Result<Vec<FileFlag>> {
        flags([(name.into(), value.into())])
    }

    #[test]
    fn lists_are_separated_by_commas_or_written_in_toml() {
        let values = |name: &str, value: &str| parsed(name, value).unwrap().remove(0).values;
        let name = "UPLOAD_SERVE_ALLOW_TYPE";
        assert_eq!(values(name, "video/*, image/*"), ["video/*", "image/*"]);
        assert_eq!(values(name, r#"["a/b", "c/d"]"#), ["a/b", "c/d"]);
        let hook = "UPLOAD_SERVE_HOOK_ARG";
        assert_eq!(values(hook, r#"["scan=-a,-b"]"#), ["scan=-a,-b"]);
        let limits = values(
            "UPLOAD_SERVE_LIMITS",
            r#"[{ owner = "a", quota = "open=1" }]"#,
        );
        assert_eq!(limits, [r#"{ owner = "a", quota = "open=1" }"#]);
        let table = r#"owner = "a", quota = "open=1,total=1GiB""#;
        assert_eq!(values("UPLOAD_SERVE_LIMITS", table), [table]);
    }

    #[test]
    fn wrong_value_names_the_variable_and_not_the_value() {
        for (name, value) in [
            ("UPLOAD_SERVE_LISTEN", "canary"),
            ("UPLOAD_SERVE_S3_PATH_STYLE", "canary"),
            ("UPLOAD_SERVE_VERBOSE", "canary"),
            ("UPLOAD_SERVE_MAX_SIZE", "canary"),
            ("UPLOAD_SERVE_ALLOW_TYPE", "[canary"),
        ] {
            let error = parsed(name, value).err().unwrap();
            assert_eq!(error.kind(), Kind::Config);
            let text = error.to_string();
            assert!(text.contains(name) && !text.contains("canary"), "{text}");
        }
        assert!(parsed("UPLOAD_SERVE_LISTEN", "").unwrap().is_empty());
        assert!(
            parsed("UPLOAD_SERVE_PORT", "tcp://10.0.0.1")
                .unwrap()
                .is_empty()
        );
        assert!(parsed("UPLOAD_LEDGER", "sqlite:x").unwrap().is_empty());
    }
}
