//! The configuration of a hook.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

/// A program or webhook that accepts or rejects verified uploads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// 1 to 64 letters, digits and `-_.:`, unique among the hooks of a gateway. The ledger records
    /// the names of the hooks that have accepted an upload.
    pub name: String,
    pub kind: HookKind,
    /// How long the hook may take for one upload.
    pub time_limit: Duration,
}

#[derive(Clone, PartialEq, Eq)]
pub enum HookKind {
    /// A program, run without a shell.
    Command {
        /// An absolute path.
        program: PathBuf,
        args: Vec<String>,
    },
    /// An HTTP request.
    Webhook { url: Url },
}

/// Omits arguments, and path and query of a webhook, since they may contain secrets.
impl fmt::Debug for HookKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command { program, .. } => write!(f, "Command({})", program.display()),
            Self::Webhook { url } => write!(f, "Webhook({})", url.origin().ascii_serialization()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_hides_path_and_query_of_a_webhook() {
        let url = "https://hooks.example/services/T0/secret?token=x";
        let hook = Hook {
            name: "a".into(),
            kind: HookKind::Webhook {
                url: url.parse().unwrap(),
            },
            time_limit: Duration::from_secs(1),
        };
        let shown = format!("{hook:?}");
        assert!(
            shown.contains("https://hooks.example")
                && !shown.contains("secret")
                && !shown.contains("token"),
            "{shown}"
        );
    }
}
