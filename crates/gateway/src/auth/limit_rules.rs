//! Rules that give limits to some owners: by a glob for the subject, or by a claim of the token.
//!
//! All functions are pure.

use std::cmp::Reverse;

use serde_json::{Map, Value};

use super::claims;
use super::glob::glob_matches;
use super::key_templates;
use crate::limits::OwnerLimits;

/// Limits for the requests that meet every condition of the rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitRule {
    /// A glob for the subject, as in [`Issuer::claims`](super::Issuer::claims).
    pub owner: Option<String>,
    /// The name of a claim, as in [`Issuer::claims`](super::Issuer::claims), and a glob for its
    /// value. API tokens have no claims.
    pub claim: Option<(String, String)>,
    pub limits: OwnerLimits,
}

impl LimitRule {
    fn matches(&self, subject: &str, claims: Option<&Map<String, Value>>) -> bool {
        let matches_owner = |glob: &String| glob_matches(glob, subject);
        let matches_claim = |(name, glob): &(String, String)| {
            claims.is_some_and(|claims| claims::matches(claims, name, glob))
        };
        self.owner.as_ref().is_none_or(matches_owner)
            && self.claim.as_ref().is_none_or(matches_claim)
    }

    /// The number of conditions, then the number of characters other than `*` in their globs.
    fn specificity(&self) -> (usize, usize) {
        let globs = [
            self.owner.as_deref(),
            self.claim.as_ref().map(|(_, glob)| glob.as_str()),
        ];
        let globs = globs.into_iter().flatten();
        let literals = globs
            .clone()
            .flat_map(str::chars)
            .filter(|c| *c != '*')
            .count();
        (globs.count(), literals)
    }
}

/// The limits for a request with this subject and these claims. Each limit is that of the most
/// specific rule that matches and has it; of equally specific rules, that of the first. The
/// patterns of keys have the values of the claims.
#[must_use]
pub fn limits_for(
    rules: &[LimitRule],
    subject: &str,
    claims: Option<&Map<String, Value>>,
) -> OwnerLimits {
    let matching = rules.iter().filter(|rule| rule.matches(subject, claims));
    let mut matching: Vec<&LimitRule> = matching.collect();
    // The sort is stable.
    matching.sort_by_key(|rule| Reverse(rule.specificity()));
    let limits = matching.into_iter().map(|rule| rule.limits.clone());
    let mut limits = limits.fold(OwnerLimits::default(), OwnerLimits::or);
    if let Some(patterns) = &mut limits.keys {
        let with_claims = |pattern: &String| key_templates::with_claims(pattern, claims);
        *patterns = patterns.iter().filter_map(with_claims).collect();
    }
    limits
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::limits::Quota;

    fn rule(owner: Option<&str>, claim: Option<(&str, &str)>, open: u64) -> LimitRule {
        LimitRule {
            owner: owner.map(str::to_owned),
            claim: claim.map(|(name, glob)| (name.to_owned(), glob.to_owned())),
            limits: OwnerLimits {
                quota: Some(Quota {
                    open: Some(open),
                    ..Quota::default()
                }),
                ..OwnerLimits::default()
            },
        }
    }

    fn open(rules: &[LimitRule], subject: &str, claims: &Value) -> Option<u64> {
        limits_for(rules, subject, claims.as_object()).quota?.open
    }

    #[test]
    fn most_specific_rule_counts() {
        let rules = [
            rule(None, None, 1),
            rule(Some("token:*"), None, 2),
            rule(Some("token:ci-*"), None, 3),
            rule(Some("token:ci-*"), None, 4),
            rule(Some("token:ci-main"), None, 5),
            rule(None, Some(("plan", "free")), 6),
            rule(Some("jwt:**"), Some(("plan", "*")), 7),
        ];
        let none = Value::Null;
        assert_eq!(open(&rules, "local", &none), Some(1));
        assert_eq!(open(&rules, "token:alice", &none), Some(2));
        assert_eq!(open(&rules, "token:ci-x", &none), Some(3));
        assert_eq!(open(&rules, "token:ci-main", &none), Some(5));
        assert_eq!(open(&rules, "other", &json!({"plan": "free"})), Some(6));
        let claims = json!({"plan": "free"});
        assert_eq!(open(&rules, "jwt:https://a.test 7", &claims), Some(7));
        assert_eq!(open(&rules[5..], "token:alice", &none), None);
    }

    #[test]
    fn keys_of_a_rule_have_the_claims_of_the_token() {
        let mut by_claim = rule(None, Some(("repository", "acme/*")), 1);
        by_claim.limits.keys = Some(vec!["app/{repository}/**".into(), "{absent}/**".into()]);
        let mut general = rule(None, None, 2);
        general.limits.keys = Some(vec!["all/**".into()]);
        let rules = [by_claim, general];
        let keys = |claims: &Value| limits_for(&rules, "x", claims.as_object()).keys.unwrap();
        assert_eq!(
            keys(&json!({"repository": "acme/app"})),
            ["app/acme/app/**"]
        );
        assert_eq!(keys(&json!({"repository": "other/app"})), ["all/**"]);
        // A rule without a usable claim permits nothing, not the keys of a less specific one.
        assert_eq!(keys(&json!({"repository": "acme/.."})), [""; 0]);
    }

    #[test]
    fn each_limit_comes_from_the_most_specific_rule_that_has_it() {
        let mut general = rule(None, None, 1);
        general.limits.allow_types = Some(vec!["video/*".into()]);
        let rules = [general, rule(Some("token:a"), None, 2)];
        let limits = limits_for(&rules, "token:a", None);
        assert_eq!(limits.quota.unwrap().open, Some(2));
        assert_eq!(limits.allow_types.unwrap(), ["video/*"]);
    }
}
