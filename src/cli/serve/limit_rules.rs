//! The limits of some owners, from `--limits` and from the limits of a token.
//!
//! Pure.

use serde::Deserialize;

use super::access;
use crate::cli::parse;
use upload_gateway::{LimitRule, OwnerLimits, Quota, RateLimit};
use upload_types::error::{Error, Kind, Result};

/// The value of a rule that lifts a limit.
const NO_LIMIT: &str = "none";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleTable {
    owner: Option<String>,
    claim: Option<String>,
    quota: Option<String>,
    rate: Option<String>,
    allow_type: Option<Vec<String>>,
    keys: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    rule: RuleTable,
}

/// A rule from the text of a TOML table, with or without braces.
///
/// # Errors
/// [`Kind::Config`] for another text, an unknown key, a wrong value, and a rule without a
/// condition or without a limit.
pub fn rule(text: &str) -> Result<LimitRule> {
    let wrong = |reason: String| {
        Error::new(Kind::Config, "could not understand a table of --limits")
            .with_source(reason)
            .with_hint("write owner = \"token:ci-*\", quota = \"total=10GiB\"; `upload serve --help` lists the keys")
    };
    let text = text.trim();
    let document = if text.starts_with('{') {
        format!("rule = {text}")
    } else {
        format!("rule = {{ {text} }}")
    };
    let Document { rule } =
        toml::from_str(&document).map_err(|error| wrong(error.message().to_owned()))?;
    let claim = rule.claim.as_deref().map(parse::claim).transpose();
    let claim = claim.map_err(&wrong)?;
    if rule.owner.is_none() && claim.is_none() {
        return Err(wrong("it has neither owner nor claim".to_owned()));
    }
    // The hint for a value precedes that for the table.
    let wrong_value = |error: Error| {
        let wrong = wrong(error.to_string());
        match error.hint() {
            Some(hint) => wrong.with_hint(hint),
            None => wrong,
        }
    };
    let quota = rule.quota.as_deref().map(quota).transpose();
    let rate = rule.rate.as_deref().map(rate).transpose();
    let limits = OwnerLimits {
        quota: quota.map_err(wrong_value)?,
        allow_types: rule.allow_type,
        rate: rate.map_err(wrong_value)?,
        keys: rule.keys,
    };
    if limits.is_empty() {
        return Err(wrong(
            "it has neither quota nor rate nor allow_type nor keys".to_owned(),
        ));
    }
    Ok(LimitRule {
        owner: rule.owner,
        claim,
        limits,
    })
}

/// The limits of a token.
///
/// # Errors
/// As [`access::quota`].
pub fn of_token(
    quota_text: Option<&str>,
    allow_types: &[String],
    keys: &[String],
) -> Result<OwnerLimits> {
    Ok(OwnerLimits {
        quota: quota_text.map(quota).transpose()?,
        allow_types: (!allow_types.is_empty()).then(|| allow_types.to_vec()),
        rate: None,
        keys: (!keys.is_empty()).then(|| keys.to_vec()),
    })
}

/// A quota in the form that [`access::quota`] accepts.
pub fn quota_text(quota: Quota) -> String {
    let limits = [
        ("open", quota.open),
        ("outstanding", quota.outstanding),
        ("total", quota.total),
    ];
    let limits = limits
        .iter()
        .filter_map(|(name, limit)| Some(format!("{name}={}", (*limit)?)));
    let limits = limits.collect::<Vec<_>>().join(",");
    if limits.is_empty() {
        NO_LIMIT.to_owned()
    } else {
        limits
    }
}

fn quota(text: &str) -> Result<Quota> {
    match text {
        NO_LIMIT => Ok(Quota::default()),
        text => access::quota(text),
    }
}

fn rate(text: &str) -> Result<RateLimit> {
    match text {
        NO_LIMIT => Ok(RateLimit::Unlimited),
        text => access::rate(text).map(RateLimit::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_accepted_with_and_without_braces() {
        let text = "owner = \"token:ci-*\", quota = \"open=2,total=1GiB\", rate = \"none\", allow_type = [\"video/*\"]";
        let parsed = rule(text).unwrap();
        assert_eq!(rule(&format!(" {{ {text} }}")).unwrap(), parsed);
        assert_eq!(parsed.owner.as_deref(), Some("token:ci-*"));
        let quota = parsed.limits.quota.unwrap();
        assert_eq!((quota.open, quota.total), (Some(2), Some(1 << 30)));
        assert_eq!(quota_text(quota), "open=2,total=1073741824");
        assert_eq!(parsed.limits.rate, Some(RateLimit::Unlimited));
        let by_claim = rule("claim = \"plan=free\", quota = \"none\"").unwrap();
        assert_eq!(by_claim.claim, Some(("plan".into(), "free".into())));
        assert_eq!(by_claim.limits.quota, Some(Quota::default()));
        let keys = rule("owner = \"token:ci-*\", keys = [\"app/**\"]").unwrap();
        assert_eq!(keys.limits.keys, Some(vec!["app/**".to_owned()]));
    }

    #[test]
    fn wrong_tables_are_errors() {
        for wrong in [
            "",
            "owner",
            "owner = \"a\"",
            "quota = \"open=1\"",
            "owner = \"a\", quota = \"many\"",
            "owner = \"a\", rate = \"1/m\"",
            "owner = \"a\", colour = \"red\"",
            "claim = \"plan\", quota = \"open=1\"",
            "owner = \"a\", quota = \"open=1\" }\nx = { y = 1",
        ] {
            let error = rule(wrong).unwrap_err();
            assert!(error.to_string().contains("--limits"), "{wrong}: {error}");
        }
    }
}
