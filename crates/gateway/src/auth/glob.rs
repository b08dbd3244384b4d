//! Globs for the values of claims.
//!
//! No library is used, since the globs of libraries are for file paths. The values of claims have
//! two separators, `/` and `:`, and a request must not be able to cause exponential time.

/// Returns true if the glob matches the text: `*` is any run of characters without `/` and `:`,
/// `**` any run. Takes time proportional to the product of both lengths.
pub(super) fn glob_matches(glob: &str, text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    // `prefixes[n]`: the glob so far matches the first n characters of the text.
    let mut prefixes = vec![false; text.len() + 1];
    prefixes[0] = true;
    let mut glob = glob.chars().peekable();
    while let Some(c) = glob.next() {
        let mut next = vec![false; text.len() + 1];
        if c == '*' {
            let is_double = glob.next_if_eq(&'*').is_some();
            let mut star_matches = false;
            for (at, slot) in next.iter_mut().enumerate() {
                let previous = at.checked_sub(1).and_then(|previous| text.get(previous));
                star_matches &= is_double || !matches!(previous, Some('/' | ':'));
                star_matches |= prefixes.get(at).copied().unwrap_or(false);
                *slot = star_matches;
            }
        } else {
            for (at, matched) in prefixes.iter().enumerate() {
                if *matched
                    && text.get(at) == Some(&c)
                    && let Some(slot) = next.get_mut(at + 1)
                {
                    *slot = true;
                }
            }
        }
        prefixes = next;
    }
    prefixes.last().copied().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_star_stays_within_a_segment_and_two_do_not() {
        for (glob, text) in [
            ("acme/*", "acme/app"),
            (
                "repo:acme/*:ref:refs/heads/main",
                "repo:acme/app:ref:refs/heads/main",
            ),
            ("refs/heads/**", "refs/heads/fix/a:b"),
            ("**", ""),
            ("*", ""),
            ("a*c*e", "abcde"),
            ("**/main", "a/b/main"),
            ("é*", "éa"),
            ("", ""),
        ] {
            assert!(glob_matches(glob, text), "{glob} {text}");
        }
        for (glob, text) in [
            ("acme/*", "acme/app/x"),
            ("acme/*", "acmeX/app"),
            ("acme/*", "evil/acme/app"),
            (
                "repo:acme/*:ref:refs/heads/main",
                "repo:acme/app:environment:x:ref:refs/heads/main",
            ),
            (
                "repo:acme/*:ref:refs/heads/main",
                "repo:acme/app:ref:refs/heads/main2",
            ),
            ("*", "a:b"),
            ("acme", "acme2"),
            ("", "a"),
        ] {
            assert!(!glob_matches(glob, text), "{glob} {text}");
        }
        // Backtracking would take exponential time.
        assert!(!glob_matches(&"*a".repeat(200), &"ab".repeat(200)));
    }
}
