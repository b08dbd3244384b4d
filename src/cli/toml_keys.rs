//! Keys of a configuration file: their lines, and known keys that are similar to unknown ones.
//!
//! Pure. Not here: the keys themselves (`config_file`, `args/from_file`).

use std::path::Path;

use toml::de::{DeTable, DeValue};

use upload_types::error::{Error, Kind};

/// The Jaro-Winkler similarity from which a hint suggests a known key for an unknown one.
const MIN_SIMILARITY: f64 = 0.75;

/// A table of a configuration file: the top level, or a profile.
#[derive(Clone, Copy)]
pub struct TableOf<'a> {
    pub path: &'a Path,
    /// The text of the whole file.
    pub text: &'a str,
    pub profile: Option<&'a str>,
}

impl<'a> TableOf<'a> {
    /// The table of a profile in the same file.
    pub fn profile<'b>(self, name: &'b str) -> TableOf<'b>
    where
        'a: 'b,
    {
        TableOf {
            profile: Some(name),
            ..self
        }
    }

    /// The file and the line of a key in it, such as `/etc/upload/serve.toml, line 3`.
    pub fn place(&self, key: &str) -> String {
        let path = self.path.display();
        match self.line(key) {
            Some(line) => format!("{path}, line {line}"),
            None => path.to_string(),
        }
    }

    /// The line of a key, from 1.
    fn line(&self, key: &str) -> Option<usize> {
        let parsed = DeTable::parse(self.text).ok()?;
        let mut table = parsed.get_ref();
        for name in self.profile.iter().flat_map(|name| ["profile", *name]) {
            let (_, value) = table.iter().find(|(own, _)| own.get_ref() == name)?;
            let DeValue::Table(below) = value.get_ref() else {
                return None;
            };
            table = below;
        }
        let (own, _) = table.iter().find(|(own, _)| own.get_ref() == key)?;
        let before = self.text.get(..own.span().start)?;
        Some(before.matches('\n').count() + 1)
    }

    /// The error for a key that the file does not have. Its hint names the most similar key, and
    /// ends with `otherwise`.
    pub fn unknown_key(&self, key: &str, known: &[&str], otherwise: &str) -> Error {
        let what = format!("unknown key `{key}` in {}", self.place(key));
        let similar = known
            .iter()
            .map(|known| (strsim::jaro_winkler(key, known), known))
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .filter(|(similarity, _)| *similarity >= MIN_SIMILARITY);
        let hint = match similar {
            Some((_, similar)) => format!("write `{similar}` if you mean that key; {otherwise}"),
            None => otherwise.to_owned(),
        };
        Error::new(Kind::Config, what).with_hint(hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_has_the_line_of_the_key() {
        let text = "a = 1\n\n# b = 2\nb = \"\"\"\nc = 1\n\"\"\"\n[profile.ci]\nb = 3\n[profile.'x y']\nd = { e = 1 }\n";
        let line = |profile, key| {
            let path = Path::new("f");
            TableOf {
                path,
                text,
                profile,
            }
            .place(key)
        };
        assert_eq!(line(None, "a"), "f, line 1");
        assert_eq!(line(None, "b"), "f, line 4");
        assert_eq!(line(Some("ci"), "b"), "f, line 8");
        assert_eq!(line(Some("x y"), "d"), "f, line 10");
        assert_eq!(line(None, "c"), "f");
        assert_eq!(line(Some("no"), "c"), "f");
    }
}
