//! Where a gateway's ledger is, as the command line or the environment says it.
//!
//! Border: words to a value; the ledger is opened by who asked.

use std::env;

use crate::cli::settings::Settings;
use upload_gateway::LedgerConfig;
use upload_gateway::PostgresAddress;
use upload_types::error::{Error, Kind, Result};

/// `sqlite[:FILE]` or a URL of PostgreSQL: what the flag says, else `UPLOAD_LEDGER`, else the file in the state directory.
///
/// # Errors
/// [`Kind::Usage`] for anything else, and for a password among the arguments, where everybody on this machine can read it.
pub fn ledger(settings: &Settings, flag: Option<&str>) -> Result<LedgerConfig> {
    // A flag may be the configuration file's, and that may keep it in a file of its own.
    let typed = |text: &str| env::args_os().any(|arg| arg.to_string_lossy().ends_with(text));
    told(settings, flag, typed)
}

fn told(
    settings: &Settings,
    flag: Option<&str>,
    typed: impl Fn(&str) -> bool,
) -> Result<LedgerConfig> {
    let variable = settings.ledger_variable()?;
    let Some(text) = flag.or(variable.as_deref()) else {
        return settings.ledger().map(LedgerConfig::Sqlite);
    };
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        if flag.is_some_and(typed) && PostgresAddress::contains_password(text) {
            return Err(Error::new(
                Kind::Usage,
                "the password of --ledger can be read by everybody on this machine",
            )
            .with_hint("leave it out and set PGPASSWORD, or say the whole URL in UPLOAD_LEDGER"));
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
            .with_hint("it is sqlite[:FILE] or postgres://USER@HOST/DATABASE")),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::cli::args::Args;
    use crate::cli::settings::{Directories, Machine, Terminals};

    fn found(env: fn(&str) -> Option<OsString>, flag: Option<&str>) -> Result<String> {
        resolved(env, flag, |_| true)
    }

    fn ledger_of(flag: &str, typed: fn(&str) -> bool) -> Result<String> {
        resolved(|_| None, Some(flag), typed)
    }

    fn resolved(
        env: fn(&str) -> Option<OsString>,
        flag: Option<&str>,
        typed: fn(&str) -> bool,
    ) -> Result<String> {
        let directories = Directories {
            config: "/nowhere/config".into(),
            state: "/nowhere/state".into(),
            data: "/nowhere".into(),
        };
        let terminals = Terminals {
            stdout: false,
            stderr: false,
        };
        let machine = Machine {
            env,
            terminals,
            directories: Some(directories),
        };
        let settings = Settings::load(&Args::of(&["serve"]).global, machine)?;
        told(&settings, flag, typed).map(|config| format!("{config:?}"))
    }

    #[test]
    fn the_flag_comes_before_the_environment() {
        let none = |_: &str| None;
        assert_eq!(
            found(none, None).unwrap(),
            r#"Sqlite("/nowhere/state/gateway.db")"#
        );
        assert_eq!(
            found(none, Some("sqlite:a.db")).unwrap(),
            r#"Sqlite("a.db")"#
        );
        let env =
            |name: &str| (name == "UPLOAD_LEDGER").then(|| "postgres://u:hush@localhost/l".into());
        assert_eq!(
            found(env, None).unwrap(),
            "Postgres(PostgresAddress(postgres://…))"
        );
        assert_eq!(
            found(env, Some("sqlite")).unwrap(),
            r#"Sqlite("/nowhere/state/gateway.db")"#
        );
    }

    #[test]
    fn a_password_among_the_arguments_is_refused() {
        let error = found(|_| None, Some("postgres://u:hush@localhost/l")).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        assert!(
            error.hint().unwrap().contains("PGPASSWORD") && !format!("{error:?}").contains("hush")
        );
        // Kept in a file of its own, it is among nobody's arguments; what these are is what was typed.
        let of_file = ledger_of("postgres://u:hush@localhost/l", |_| false);
        assert_eq!(of_file.unwrap(), "Postgres(PostgresAddress(postgres://…))");
        found(
            |name| (name == "PGPASSWORD").then(|| "hush".into()),
            Some("postgres://u@localhost/l"),
        )
        .unwrap();
    }
}
