//! The location of the ledger of a gateway: `--ledger`, `UPLOAD_LEDGER`, or the state directory.
//! Opens nothing.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cli::permissions::warn_if_others_can_read;
use crate::cli::secret_file::read_text;
use crate::cli::settings::Settings;
use crate::report::safe;
use upload_gateway::{AddressOrigin, LedgerConfig, PostgresAddress};
use upload_types::error::{Error, Kind, Result};

/// Precedes the path of a file that has the location.
pub const FILE_PREFIX: char = '@';

/// # Errors
/// [`Kind::Usage`] for a text that cannot be understood, and for a password among the arguments,
/// where every user of this machine can read it.
pub fn resolve(settings: &Settings, flag: Option<&str>) -> Result<LedgerConfig> {
    // The value may come from the configuration file instead of an argument.
    let is_argument = |text: &str| env::args_os().any(|arg| arg.to_string_lossy().ends_with(text));
    resolve_with(settings, flag, is_argument)
}

/// Checks that the ledger exists, for verbs that read one: they must not create a ledger because of
/// a typing error.
///
/// # Errors
/// [`Kind::NotFound`] if there is no such file.
pub fn check_exists(location: &LedgerConfig) -> Result<()> {
    match location {
        LedgerConfig::Sqlite(path) if matches!(path.try_exists(), Ok(false)) => {
            let what = format!("there is no ledger {}", path.display());
            Err(Error::new(Kind::NotFound, what).with_hint(
                "name the ledger of the gateway with --ledger sqlite:FILE; `upload serve` creates it",
            ))
        }
        LedgerConfig::Sqlite(_) | LedgerConfig::Postgres(_) => Ok(()),
    }
}

/// The ledger for a message: its path, or only the kind of a database.
pub fn shown(location: &LedgerConfig) -> String {
    match location {
        LedgerConfig::Sqlite(path) => safe(&path.display().to_string()),
        LedgerConfig::Postgres(_) => "PostgreSQL".to_owned(),
    }
}

fn resolve_with(
    settings: &Settings,
    flag: Option<&str>,
    is_argument: impl Fn(&str) -> bool,
) -> Result<LedgerConfig> {
    let variable = settings.ledger_variable()?;
    let Some(text) = flag.or(variable.as_deref()) else {
        return settings.ledger().map(LedgerConfig::Sqlite);
    };
    let file = text.strip_prefix(FILE_PREFIX).map(PathBuf::from);
    let text_in_file;
    let text = match &file {
        Some(file) => {
            warn_if_others_can_read(file, "the location of the ledger");
            text_in_file = read_location(file)?;
            text_in_file.as_str()
        }
        None => text,
    };
    if is_postgres(text) {
        let is_shown = file.is_none() && flag.is_some_and(is_argument);
        if is_shown && PostgresAddress::contains_password(text) {
            return Err(Error::new(
                Kind::Usage,
                "every user of this machine can read the password in --ledger",
            )
            .with_hint(
                "remove the password and set PGPASSWORD, or set UPLOAD_LEDGER to the whole URL",
            ));
        }
        let password = settings.postgres_password()?;
        let mut address = PostgresAddress::parse(text, password.as_deref())?;
        if let Some(file) = file {
            address = address.with_origin(address_origin(file, password));
        }
        return Ok(LedgerConfig::Postgres(Box::new(address)));
    }
    match text.strip_prefix("sqlite") {
        Some("") => settings.ledger().map(LedgerConfig::Sqlite),
        Some(file) if file.len() > 1 && file.starts_with(':') => {
            Ok(LedgerConfig::Sqlite(file[1..].into()))
        }
        _ => Err(Error::new(Kind::Usage, "could not understand --ledger").with_hint(
            "write sqlite, sqlite:FILE, postgres://USER@HOST/DATABASE, or @FILE with one of these",
        )),
    }
}

fn is_postgres(text: &str) -> bool {
    text.starts_with("postgres://") || text.starts_with("postgresql://")
}

fn read_location(file: &Path) -> Result<String> {
    let text = read_text(file, "the location of the ledger")?;
    Ok(text.trim().to_owned())
}

/// Reads the URL of a PostgreSQL ledger again. `password` is for a URL without one.
fn address_origin(file: PathBuf, password: Option<String>) -> AddressOrigin {
    Arc::new(move || {
        let text = read_location(&file)?;
        if is_postgres(&text) {
            PostgresAddress::parse(&text, password.as_deref())
        } else {
            let what = format!("{} has no URL of PostgreSQL", file.display());
            Err(Error::new(Kind::Config, what))
        }
    })
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::cli::args::CommandLine;
    use crate::cli::settings::{Directories, Environment, Terminals};

    fn resolve(
        variable: fn(&str) -> Option<OsString>,
        flag: Option<&str>,
        is_argument: fn(&str) -> bool,
    ) -> Result<String> {
        let directories = Directories {
            config: Some("/nowhere/config".into()),
            state: Some("/nowhere/state".into()),
            data: Some("/nowhere".into()),
        };
        let terminals = Terminals {
            stdout: false,
            stderr: false,
        };
        let environment = Environment {
            variable,
            terminals,
            directories,
        };
        let settings = Settings::load(&CommandLine::of(&["serve"]).global, environment)?;
        resolve_with(&settings, flag, is_argument).map(|config| format!("{config:?}"))
    }

    #[test]
    fn flag_overrides_environment() {
        let resolve = |variable, flag| resolve(variable, flag, |_| true).unwrap();
        let unset = |_: &str| None;
        let default = r#"Sqlite("/nowhere/state/gateway.db")"#;
        assert_eq!(resolve(unset, None), default);
        assert_eq!(resolve(unset, Some("sqlite:a.db")), r#"Sqlite("a.db")"#);
        let variable =
            |name: &str| (name == "UPLOAD_LEDGER").then(|| "postgres://u:hush@localhost/l".into());
        assert_eq!(
            resolve(variable, None),
            "Postgres(PostgresAddress(postgres://…))"
        );
        assert_eq!(resolve(variable, Some("sqlite")), default);
    }

    #[test]
    fn location_may_be_in_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("location");
        let flag = format!("@{}", path.display());
        let resolve = || resolve(|_| None, Some(&flag), |_| true);
        assert_eq!(resolve().unwrap_err().kind(), Kind::Config);
        std::fs::write(&path, "postgres://u:hush@localhost/l\r\n").unwrap();
        assert_eq!(
            resolve().unwrap(),
            "Postgres(PostgresAddress(postgres://…))"
        );
        std::fs::write(&path, "sqlite:a.db\n").unwrap();
        assert_eq!(resolve().unwrap(), r#"Sqlite("a.db")"#);
        std::fs::write(&path, "hush").unwrap();
        assert!(!format!("{:?}", resolve().unwrap_err()).contains("hush"));
    }

    #[test]
    fn password_among_the_arguments_is_rejected() {
        let url = Some("postgres://u:hush@localhost/l");
        let error = resolve(|_| None, url, |_| true).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        assert!(error.hint().unwrap().contains("PGPASSWORD"));
        assert!(!format!("{error:?}").contains("hush"));
        let from_file = resolve(|_| None, url, |_| false);
        assert_eq!(
            from_file.unwrap(),
            "Postgres(PostgresAddress(postgres://…))"
        );
        let password = |name: &str| (name == "PGPASSWORD").then(|| "hush".into());
        resolve(password, Some("postgres://u@localhost/l"), |_| true).unwrap();
    }
}
