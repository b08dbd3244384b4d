//! Patterns, compared with what git does (`git check-ignore`, version 2.47).

use super::*;

/// Whether a rule with this pattern names the path, or a directory above it.
fn names(pattern: &str, path: &str, kind: PathKind, case: Case) -> bool {
    let pattern = Pattern::from_line(pattern, case).unwrap().unwrap();
    let set = PatternSet::new(vec![pattern]).unwrap();
    let path = Path::new(path);
    let above = path.ancestors().skip(1);
    let above = above.filter(|above| !above.as_os_str().is_empty());
    set.last_match(path, kind).is_some()
        || above
            .into_iter()
            .any(|above| set.last_match(above, PathKind::Directory).is_some())
}

#[test]
fn pattern_matches_as_in_git() {
    for (pattern, matching, others) in [
        (
            "*.tmp",
            &["a.tmp", "x/y/b.tmp", ".tmp"][..],
            &["a.tmp2", "atmp"][..],
        ),
        ("a?c", &["abc", "x/abc"], &["ac", "a/c"]),
        ("[a-c]x", &["ax", "d/cx"], &["dx"]),
        ("[!a]x", &["bx"], &["ax", "/x"]),
        ("a[!b]c", &["adc"], &["abc", "a/c"]),
        ("[]x]", &["]", "x"], &["y"]),
        ("[!-a]x", &["1x", "Ax"], &["-x", "ax", "/x"]),
        ("[!]x]", &["y"], &["]", "x"]),
        (r"[\]x]", &["]", "x"], &["y", r"\"]),
        (r"[\^a]", &["^", "a"], &["b"]),
        (r"[a\-c]", &["a", "-", "c"], &["b"]),
        ("[--9]", &["-", ".", "5"], &["a"]),
        ("[Z-^]", &["Z", "]", "^"], &["-", "a"]),
        ("[b-a]x", &["bx"], &["ax"]),
        ("a[+-9]b", &["a.b", "a-b"], &["a/b"]),
        ("[[:digit:]_]x", &["1x", "_x"], &["ax", ":x"]),
        ("[![:upper:]]x", &["ax"], &["Ax"]),
        ("[[:x]y", &["[y", ":y", "xy"], &["y"]),
        ("/a", &["a", "a/b"], &["x/a"]),
        ("a/b", &["a/b", "a/b/c"], &["x/a/b", "a/x/b"]),
        ("a/*", &["a/b", "a/b/c"], &["a", "x/a/b"]),
        ("a/*.c", &["a/x.c"], &["a/b/x.c"]),
        ("**/b", &["b", "a/b", "a/x/b"], &["ab"]),
        ("a/**", &["a/b", "a/b/c"], &["a", "b/a/c"]),
        ("a/**/b", &["a/b", "a/x/b", "a/x/y/b"], &["ab", "x/a/b"]),
        ("a**b", &["ab", "axxb", "x/ab"], &["a/b"]),
        ("**", &["a", "a/b"], &[]),
        ("*", &["a", "a/b", ".a"], &[]),
        ("{a,b}", &["{a,b}"], &["a", "b"]),
        (r"\!a", &["!a"], &["a"]),
        (r"\#a", &["#a"], &["a"]),
        (r"a\*", &["a*"], &["ab"]),
        ("a b", &["a b"], &["a"]),
        ("a  ", &["a"], &["a  "]),
        (r"a\ ", &["a "], &["a"]),
        ("Ä*", &["Äb"], &["äb"]),
    ] {
        for (paths, expected) in [(matching, true), (others, false)] {
            for path in paths {
                let found = names(pattern, path, PathKind::File, Case::Sensitive);
                assert_eq!(found, expected, "{pattern} and {path}");
            }
        }
    }
}

#[test]
fn trailing_slash_matches_directories_only() {
    let matches = |pattern, path, kind| names(pattern, path, kind, Case::Sensitive);
    assert!(matches("a/", "a", PathKind::Directory));
    assert!(!matches("a/", "a", PathKind::File));
    assert!(matches("a/", "x/a/b", PathKind::File));
    assert!(matches("/a/", "a/b", PathKind::File));
    assert!(!matches("/a/", "x/a/b", PathKind::File));
}

#[test]
fn case_can_be_ignored() {
    let matches = |case| names("*.JPG", "a.jpg", PathKind::File, case);
    assert!(!matches(Case::Sensitive));
    assert!(matches(Case::Insensitive));
}

#[test]
fn lines_may_be_comments_and_negations_and_flags_may_not() {
    let line = |text| Pattern::from_line(text, Case::Sensitive).unwrap();
    assert!(line("# x").is_none() && line("").is_none() && line("  ").is_none());
    assert!(line("\r").is_none());
    assert!(line("!a").unwrap().is_negated());
    let flag = |text| Pattern::from_flag(text, Case::Sensitive);
    assert_eq!(flag("#a").unwrap().text(), "#a");
    for wrong in ["", "!a", "/", "[a", "[[:x:]]", r"[a\"] {
        assert!(flag(wrong).is_err(), "{wrong}");
    }
}
