//! Filters, compared with a naive model.

use std::path::PathBuf;

use proptest::prelude::*;

use super::*;

fn rules(flag: &str, patterns: &[String]) -> Rules {
    let rules = patterns
        .iter()
        .map(|text| Rule::from_flag(flag, text, Case::Sensitive).unwrap());
    Rules::new(rules.collect()).unwrap()
}

/// Walks to the file as the walk does: directory by directory.
fn is_selected(filters: &mut Filters, path: &Path) -> bool {
    let mut above = Above::NotIncluded;
    let mut directories: Vec<&Path> = path.ancestors().skip(1).collect();
    directories.reverse();
    for directory in directories {
        if directory.as_os_str().is_empty() {
            continue;
        }
        match filters.directory(directory, above) {
            Ok(next) => above = next,
            Err(_) => return false,
        }
    }
    filters.file(path, above, 1, 0).is_ok()
}

/// One component of a path against one of a pattern, where `*` is any text and `?` any character.
fn component_matches(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.first(), name.first()) {
        (None, None) => true,
        (Some(b'*'), _) => {
            component_matches(&pattern[1..], name)
                || (!name.is_empty() && component_matches(pattern, &name[1..]))
        }
        (Some(b'?'), Some(_)) => component_matches(&pattern[1..], &name[1..]),
        (Some(a), Some(b)) if a == b => component_matches(&pattern[1..], &name[1..]),
        _ => false,
    }
}

fn components_match(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern.first(), path.first()) {
        (None, None) => true,
        // At the end it matches what is inside only.
        (Some(&"**"), _) if pattern.len() == 1 => !path.is_empty(),
        (Some(&"**"), _) => {
            components_match(&pattern[1..], path)
                || (!path.is_empty() && components_match(pattern, &path[1..]))
        }
        (Some(p), Some(c)) if component_matches(p.as_bytes(), c.as_bytes()) => {
            components_match(&pattern[1..], &path[1..])
        }
        _ => false,
    }
}

/// The model: whether a pattern names the file or a directory above it.
fn model_names(pattern: &str, path: &[&str]) -> bool {
    let (pattern, directories_only) = match pattern.strip_suffix('/') {
        Some(name) => (name, true),
        None => (pattern, false),
    };
    let is_anchored = pattern.contains('/');
    let names: Vec<&str> = pattern.trim_start_matches('/').split('/').collect();
    (1..=path.len()).any(|end| {
        let is_directory = end < path.len();
        if directories_only && !is_directory {
            return false;
        }
        let path = &path[..end];
        if is_anchored {
            components_match(&names, path)
        } else {
            component_matches(names[0].as_bytes(), path[end - 1].as_bytes())
        }
    })
}

fn pattern() -> impl Strategy<Value = String> {
    let name = "[ab*?]{1,3}".prop_filter("`**` is a name of its own", |name| !name.contains("**"));
    let component = prop_oneof![4 => name, 1 => Just("**".to_owned())];
    let components = proptest::collection::vec(component, 1..4);
    let shape = (any::<bool>(), any::<bool>());
    (components, shape).prop_map(|(names, (leading, trailing))| {
        let path = names.join("/");
        let leading = if leading { "/" } else { "" };
        let trailing = if trailing { "/" } else { "" };
        format!("{leading}{path}{trailing}")
    })
}

proptest! {
    #[test]
    fn file_is_selected_as_in_the_model(
        include in proptest::collection::vec(pattern(), 0..3),
        exclude in proptest::collection::vec(pattern(), 0..3),
        path in proptest::collection::vec("[ab]{1,3}", 1..5),
    ) {
        let mut filters = Filters::new(rules("--include", &include), rules("--exclude", &exclude));
        let names: Vec<&str> = path.iter().map(String::as_str).collect();
        let file: PathBuf = path.iter().collect();
        let is_included = include.is_empty()
            || include.iter().any(|pattern| model_names(pattern, &names));
        let is_excluded = exclude.iter().any(|pattern| model_names(pattern, &names));
        let found = is_selected(&mut filters, &file);
        prop_assert_eq!(found, is_included && !is_excluded);
    }

    #[test]
    fn order_of_patterns_does_not_matter(
        patterns in proptest::collection::vec(pattern(), 2..5),
        path in proptest::collection::vec("[ab]{1,2}", 1..4),
    ) {
        let file: PathBuf = path.iter().collect();
        let select = |include: &[String], exclude: &[String]| {
            let mut filters = Filters::new(rules("--include", include), rules("--exclude", exclude));
            is_selected(&mut filters, &file)
        };
        let reversed: Vec<String> = patterns.iter().rev().cloned().collect();
        prop_assert_eq!(select(&patterns, &[]), select(&reversed, &[]));
        prop_assert_eq!(select(&[], &patterns), select(&[], &reversed));
    }
}

#[test]
fn size_age_and_junk_leave_files_out() {
    let mut filters = Filters::default().without_junk().unwrap();
    (filters.min_size, filters.max_size) = (Some(10), Some(20));
    filters.ages = vec![Age::NewerThan(100), Age::OlderThan(200)];
    let mut left_out = |path: &str, size, mtime| {
        let found = filters.file(Path::new(path), Above::NotIncluded, size, mtime);
        found.err().map(|left_out| (left_out.reason, left_out.rule))
    };
    let rule = |reason, rule: &str| Some((reason, rule.to_owned()));
    assert_eq!(left_out("a", 10, 101), None);
    assert_eq!(left_out("a", 20, 199), None);
    assert_eq!(left_out("a", 9, 150), rule(Reason::Size, "--min-size"));
    assert_eq!(left_out("a", 21, 150), rule(Reason::Size, "--max-size"));
    assert_eq!(left_out("a", 15, 100), rule(Reason::Age, "--newer-than"));
    assert_eq!(left_out("a", 15, 200), rule(Reason::Age, "--older-than"));
    for junk in [".DS_Store", "a/._x.mov", "thumbs.db", "a/Desktop.ini"] {
        assert_eq!(
            left_out(junk, 15, 150),
            rule(Reason::Junk, "--exclude-junk"),
            "{junk}"
        );
    }
    assert!(
        filters
            .directory(Path::new("a/@eaDir"), Above::Included)
            .is_err()
    );
}

#[test]
fn patterns_that_matched_nothing_are_named() {
    let mut filters = Filters::new(
        rules("--include", &["*.mov".to_owned(), "*.mp4".to_owned()]),
        rules("--exclude", &["tmp/".to_owned(), "*.bak".to_owned()]),
    );
    is_selected(&mut filters, Path::new("tmp/a.mov"));
    is_selected(&mut filters, Path::new("a.mov"));
    assert_eq!(
        filters.unmatched(),
        ["--include '*.mp4'", "--exclude '*.bak'"]
    );
}

#[test]
fn pattern_file_names_the_line_of_an_error() {
    let read = |text: &str| Rule::from_file(Path::new("rules"), text, Case::Sensitive);
    let found = read("# comment\n\n*.tmp\nbuild/\n").unwrap();
    let shown: Vec<&str> = found.iter().map(|rule| rule.shown.as_str()).collect();
    assert_eq!(shown, ["rules:3: *.tmp", "rules:4: build/"]);
    for (text, place) in [("a\n!b\n", "rules:2"), ("[a\n", "rules:1")] {
        let error = read(text).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        assert!(error.to_string().contains(place), "{error}");
    }
}
