//! The location of the ledger of a gateway: `--ledger`, `UPLOAD_LEDGER`, or the state directory.
//! Opens nothing.

use std::env;

use crate::cli::settings::Settings;
use crate::report::safe;
use upload_gateway::LedgerConfig;
use upload_gateway::PostgresAddress;
use upload_types::error::{Error, Kind, Result};

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
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        if flag.is_some_and(is_argument) && PostgresAddress::contains_password(text) {
            return Err(Error::new(
                Kind::Usage,
                "every user of this machine can read the password in --ledger",
            )
            .with_hint(
                "remove the password and set PGPASSWORD, or set UPLOAD_LEDGER to the whole URL",
            ));
        }
        let password = settings.postgres_password()?;
        return PostgresAddress::parse(text, password.as_deref())
            .map(|address| LedgerConfig::Postgres(Box::new(address)));
    }
    match text.strip_prefix("sqlite") {
        Some("") => settings.ledger().map(LedgerConfig::Sqlite),
        Some(file) if file.len() > 1 && file.starts_with(':') => {
            Ok(LedgerConfig::Sqlite(file[1..].into()))
        }
        _ => Err(Error::new(Kind::Usage, "could not understand --ledger")
            .with_hint("write sqlite, sqlite:FILE or postgres://USER@HOST/DATABASE")),
    }
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
