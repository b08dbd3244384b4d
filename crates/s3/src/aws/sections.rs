//! Parses the format of `~/.aws/config` and `~/.aws/credentials`. Pure.
//!
//! Lines that are not understood are left out, as other AWS tools do.

use std::collections::BTreeMap;

/// The settings of a section. The name of a nested setting has its parent's name and a dot before
/// it: `s3.addressing_style`.
pub(super) type Section = BTreeMap<String, String>;

/// The sections of a file by their full names, such as `profile dev`. Sections with the same name
/// are merged.
pub(super) fn parse(text: &str) -> BTreeMap<String, Section> {
    let mut sections: BTreeMap<String, Section> = BTreeMap::new();
    let mut section = None;
    // The setting without a value whose nested settings follow.
    let mut parent = None;
    // Editors of Windows begin a file with a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for line in text.lines() {
        if line.trim().is_empty() || line.trim_start().starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = section_name(line) {
            section = Some(sections.entry(name).or_default());
            parent = None;
            continue;
        }
        let (Some(section), Some((name, value))) = (&mut section, line.split_once('=')) else {
            continue;
        };
        let (name, value) = (name.trim().to_ascii_lowercase(), without_comment(value));
        if !line.starts_with([' ', '\t']) {
            parent = value.is_empty().then(|| name.clone());
            section.insert(name, value.to_owned());
        } else if let Some(parent) = &parent {
            section.insert(format!("{parent}.{name}"), value.to_owned());
        }
    }
    sections
}

/// The name in `[kind name]`, with one space and without quotes.
fn section_name(line: &str) -> Option<String> {
    let (name, _) = line.trim_start().strip_prefix('[')?.split_once(']')?;
    let mut words = name.split_whitespace();
    let first = words.next()?;
    let rest = words.collect::<Vec<_>>().join(" ");
    let rest = rest.trim_matches(['"', '\'']);
    Some(format!("{first} {rest}").trim_end().to_owned())
}

/// The value before ` #` or ` ;`.
fn without_comment(value: &str) -> &str {
    let comments = [" #", " ;", "\t#", "\t;"];
    let end = comments.iter().filter_map(|mark| value.find(mark)).min();
    value[..end.unwrap_or(value.len())].trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_settings_and_nested_settings_are_read() {
        let sections = parse(
            "# comment\nignored = 1\n[default]\nregion=eu-west-1 # ours\n\n\
             [profile \"my dev\"]\nRole_Arn = arn:aws:iam::1:role/a;b\ns3 =\n  addressing_style = path\n\
             \tendpoint_url = http://a\nregion = x\n  orphan = 1\n[services local]\nnonsense\n",
        );
        assert_eq!(sections["default"]["region"], "eu-west-1");
        let dev = &sections["profile my dev"];
        assert_eq!(dev["role_arn"], "arn:aws:iam::1:role/a;b");
        assert_eq!(dev["s3.addressing_style"], "path");
        assert_eq!(dev["s3.endpoint_url"], "http://a");
        assert_eq!(dev["region"], "x");
        assert_eq!(dev.len(), 5);
        assert!(sections["services local"].is_empty());
        assert_eq!(sections.len(), 3);
    }

    #[test]
    fn section_after_a_byte_order_mark_is_read() {
        let sections = parse("\u{feff}[default]\r\naws_access_key_id = a\r\n");
        assert_eq!(sections["default"]["aws_access_key_id"], "a");
    }
}
