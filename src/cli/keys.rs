//! The keys that `upload put` chooses: by `--key`, `--prefix`, `--key-style` or a destination.
//!
//! Pure. Not here: the form of a key (`upload_types::usable_key`), and keys that the backend
//! makes.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::args::{KeyStyle, PutArgs};
use super::backend_spec::BackendSpec;
use super::destination::Destination;
use crate::selection::{Selected, file_name, relative_to};
use crate::transfer::{NameOrigin, PutRequest};
use upload_types::Sha256;
use upload_types::error::{Error, Kind, Result};
use upload_types::{KeyForm, normalised_key, usable_key};

/// The longest part of a wrong key that an error shows.
const MAX_SHOWN_KEY_CHARS: usize = 80;

/// The longest name that a backend accepts, in characters.
pub const MAX_NAME_CHARS: usize = 200;

/// How the keys of a command are made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyRule {
    /// The backend makes them.
    Made,
    /// This key, for a single file.
    Key(String),
    /// The name of each file after this prefix, which is empty or ends with a slash.
    Named { prefix: String },
}

/// The sources of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sources {
    /// So many files.
    Files(usize),
    /// The files of directories, lists or a map.
    Set,
}

impl Sources {
    fn is_single(self) -> bool {
        self == Self::Files(1)
    }
}

impl KeyRule {
    /// The rule of a command for these sources. `style` is `--key-style`, also from the
    /// configuration file.
    ///
    /// # Errors
    /// [`Kind::Usage`] for flags that exclude each other, for `--key` with several files, and for a
    /// prefix that no key can have; [`Kind::Config`] for a Companion, which makes the keys itself.
    pub fn new(
        flags: &PutArgs,
        destination: Option<&Destination>,
        style: Option<KeyStyle>,
        sources: Sources,
        spec: &BackendSpec,
    ) -> Result<Self> {
        let usage = |what: &str| Error::new(Kind::Usage, what);
        check_companion(flags, spec)?;
        check_form(flags, spec)?;
        if flags.key.is_some() && !sources.is_single() {
            let hint = "to put several files, name the prefix of their keys: --prefix PREFIX";
            return Err(usage("--key is for a single file, but several are given").with_hint(hint));
        }
        if let Some(destination) = destination {
            if flags.key.is_some() || flags.prefix.is_some() {
                let what = "the destination names the key, and so does --key or --prefix";
                return Err(usage(what).with_hint("leave out one of them"));
            }
            if flags.key_style == Some(KeyStyle::Uuid) {
                let what =
                    "the destination names the key, which --key-style uuid leaves to the backend";
                let hint = format!(
                    "name the bucket and the prefix with --backend {}",
                    destination.backend
                );
                return Err(usage(what).with_hint(hint));
            }
            let key = &destination.key;
            return Ok(
                if !sources.is_single() || key.is_empty() || key.ends_with('/') {
                    Self::below(key, spec)?
                } else {
                    Self::Key(key.clone())
                },
            );
        }
        if flags.prefix.is_some() && flags.key_style == Some(KeyStyle::Uuid) {
            let what = "--prefix names the key, which --key-style uuid leaves to the backend";
            return Err(usage(what).with_hint("leave out one of them"));
        }
        Ok(match (&flags.key, &flags.prefix, style, spec) {
            (Some(key), ..) => Self::Key(key.clone()),
            (None, Some(prefix), ..) => Self::below(prefix, spec)?,
            (.., BackendSpec::Companion(_)) | (.., Some(KeyStyle::Uuid), _) => Self::Made,
            (.., Some(KeyStyle::Name), _) | (.., BackendSpec::S3 { .. }) => Self::below("", spec)?,
            (.., BackendSpec::Embedded | BackendSpec::Url(_)) => Self::Made,
        })
    }

    /// The flags of `put` that choose the same keys for several files.
    pub fn flags(&self, spec: &BackendSpec) -> Vec<String> {
        let is_bucket = matches!(spec, BackendSpec::S3 { .. });
        let words = match self {
            Self::Made if is_bucket => ["--key-style", "uuid"],
            Self::Named { prefix } if !prefix.is_empty() => ["--prefix", prefix],
            Self::Named { .. } if !is_bucket => ["--key-style", "name"],
            Self::Key(key) => ["--key", key],
            Self::Made | Self::Named { .. } => return Vec::new(),
        };
        words.map(str::to_owned).to_vec()
    }

    /// A backend with the prefix of the keys, for messages.
    #[must_use]
    pub fn destination(&self, backend: &str) -> String {
        match self {
            Self::Named { prefix } if !prefix.is_empty() => format!("{backend}/{prefix}"),
            _ => backend.to_owned(),
        }
    }

    /// # Errors
    /// [`Kind::Usage`] if no key can begin with this prefix.
    fn below(prefix: &str, spec: &BackendSpec) -> Result<Self> {
        let mut prefix = prefix.to_owned();
        if prefix.is_empty() {
            return Ok(Self::Named { prefix });
        }
        if !prefix.ends_with('/') {
            prefix.push('/');
        }
        let shortest_key = format!("{prefix}x");
        normalised_key(&shortest_key, prefix_bytes(spec)).map_err(|reason| {
            let shown = shortened(&prefix);
            let what = format!("could not use the prefix `{shown}`: {reason}");
            Error::new(Kind::Usage, what).with_hint("name another prefix, such as releases/1.2.3/")
        })?;
        Ok(Self::Named { prefix })
    }

    /// The name of a single source without a name: the end of its key.
    pub fn name(&self) -> Option<String> {
        let Self::Key(key) = self else { return None };
        let name = key.rsplit('/').next()?;
        (!name.is_empty()).then(|| name.chars().take(MAX_NAME_CHARS).collect())
    }

    /// The key of a file with this name. `None` if the backend makes it.
    pub fn key(&self, name: &str) -> Option<String> {
        match self {
            Self::Made => None,
            Self::Key(key) => Some(key.clone()),
            Self::Named { prefix } => Some(format!("{prefix}{name}")),
        }
    }
}

fn check_companion(flags: &PutArgs, spec: &BackendSpec) -> Result<()> {
    let chosen = [
        (flags.key.is_some(), "--key"),
        (flags.prefix.is_some(), "--prefix"),
        (flags.key_style == Some(KeyStyle::Name), "--key-style name"),
        (flags.if_exists.is_some(), "--if-exists"),
        (flags.no_normalize, "--no-normalize"),
    ];
    match (spec, chosen.into_iter().find(|(is_given, _)| *is_given)) {
        (BackendSpec::Companion(_), Some((_, flag))) => {
            let what = format!("could not use {flag}: a Companion makes the keys itself");
            let hint = format!(
                "leave out {flag}; the operator of the Companion chooses keys with its option `s3.getKey`"
            );
            Err(Error::new(Kind::Config, what).with_hint(hint))
        }
        _ => Ok(()),
    }
}

/// A gateway normalises keys, because it compares them with patterns.
fn check_form(flags: &PutArgs, spec: &BackendSpec) -> Result<()> {
    if !flags.no_normalize || !matches!(spec, BackendSpec::Url(_)) {
        return Ok(());
    }
    let what =
        "could not use --no-normalize: a gateway normalises the keys that its clients choose";
    Err(Error::new(Kind::Config, what)
        .with_hint("leave out --no-normalize, or upload to the bucket directly with s3://BUCKET"))
}

/// Sets the key of each file. If `directory` is given, paths begin with it, and keys have the rest.
///
/// # Errors
/// [`Kind::Usage`] for a key that no store accepts, and for two files with the same key.
pub fn assign(
    puts: &mut [PutRequest],
    directory: Option<&Path>,
    form: KeyForm,
    rule: &KeyRule,
    spec: &BackendSpec,
) -> Result<()> {
    let prefix_bytes = prefix_bytes(spec);
    let mut seen: HashMap<String, PathBuf> = HashMap::new();
    for put in puts {
        let Some(key) = rule.key(&relative_name(put, directory)) else {
            continue;
        };
        let path = put.path.display();
        let hint = "name another key with --key or --prefix";
        let key = checked(&key, form, prefix_bytes, &put.path, hint)?;
        if let Some(other) = seen.insert(key.clone(), put.path.clone()) {
            let what = format!("{} and {path} have the same key `{key}`", other.display());
            let hint = "put them in separate commands, with --key or with different --prefix";
            return Err(Error::new(Kind::Usage, what).with_hint(hint));
        }
        put.key = Some(key);
    }
    Ok(())
}

/// The keys of the files of directories, lists or a map, which are found one after the other.
pub struct SetKeys {
    rule: KeyRule,
    form: KeyForm,
    /// The length of the prefix of the backend, with its slash, in bytes.
    prefix_bytes: usize,
    /// A Companion makes the keys.
    is_companion: bool,
    /// The beginnings of the SHA-256 of the keys: the keys of many files would take much memory.
    seen: HashSet<[u8; 16]>,
}

impl SetKeys {
    pub fn new(rule: KeyRule, form: KeyForm, spec: &BackendSpec) -> Self {
        Self {
            rule,
            form,
            prefix_bytes: prefix_bytes(spec),
            is_companion: matches!(spec, BackendSpec::Companion(_)),
            seen: HashSet::new(),
        }
    }

    /// # Errors
    /// [`Kind::Config`] for attributes of a file in a map with a Companion, which signs none.
    pub fn check_attributes(&self, path: &Path) -> Result<()> {
        if !self.is_companion {
            return Ok(());
        }
        let what = format!(
            "a Companion cannot set the attributes of {}",
            path.display()
        );
        Err(Error::new(Kind::Config, what)
            .with_hint("leave them out of the map, or use another backend"))
    }

    /// The key of a file. `None` if the backend makes it.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a key that no store accepts, and for one that another file has;
    /// [`Kind::Config`] if a map has a key and a Companion makes them.
    pub fn key(&mut self, file: &Selected) -> Result<Option<String>> {
        let mapped = file.attributes.as_ref().and_then(|of| of.key.clone());
        let hint = match &mapped {
            Some(_) => "name another key in the map",
            None => "put the file in a separate command: `upload put FILE --key KEY`",
        };
        let path = file.path.display();
        if mapped.is_some() && self.is_companion {
            let what =
                format!("could not use the key of {path}: a Companion makes the keys itself");
            return Err(Error::new(Kind::Config, what).with_hint("leave out the key in the map"));
        }
        let Some(key) = mapped.or_else(|| self.rule.key(&file.relative)) else {
            return Ok(None);
        };
        let key = checked(&key, self.form, self.prefix_bytes, &file.path, hint)?;
        let digest = Sha256::of(key.as_bytes());
        let mut start = [0; 16];
        start.copy_from_slice(&digest.bytes()[..16]);
        if !self.seen.insert(start) {
            let what = format!("{path} has the key `{key}` of another file of this command");
            return Err(Error::new(Kind::Usage, what).with_hint(hint));
        }
        Ok(Some(key))
    }
}

/// The bytes of a key in its bucket that are the prefix of the backend, and a slash.
fn prefix_bytes(spec: &BackendSpec) -> usize {
    match spec {
        BackendSpec::S3 { prefix, .. } if !prefix.is_empty() => prefix.len() + 1,
        _ => 0,
    }
}

fn checked(
    key: &str,
    form: KeyForm,
    prefix_bytes: usize,
    path: &Path,
    hint: &str,
) -> Result<String> {
    usable_key(key, prefix_bytes, form).map_err(|reason| {
        let (shown, path) = (shortened(key), path.display());
        let what = format!("could not use the key `{shown}` for {path}: {reason}");
        Error::new(Kind::Usage, what).with_hint(hint)
    })
}

/// A key as an error shows it.
fn shortened(key: &str) -> String {
    match key.char_indices().nth(MAX_SHOWN_KEY_CHARS) {
        Some((end, _)) => format!("{}…", &key[..end]),
        None => key.to_owned(),
    }
}

/// The path of a file in a key: its name, or its path below `directory`. A name that is asked for
/// replaces its last name.
fn relative_name(put: &PutRequest, directory: Option<&Path>) -> String {
    let below = directory.and_then(|directory| relative_to(directory, &put.path).ok());
    let path = below.unwrap_or_else(|| key_name(&put.path));
    match (put.name_origin, path.rsplit_once('/')) {
        (NameOrigin::Path, _) => path,
        (NameOrigin::Requested, Some((above, _))) => format!("{above}/{}", put.name),
        (NameOrigin::Requested, None) => put.name.clone(),
    }
}

/// The name of a file in a key, as in the keys of the files of a directory.
fn key_name(path: &Path) -> String {
    file_name(path.file_name().unwrap_or(path.as_os_str()))
}

/// The flags of `put` that choose this key for a file.
pub fn flags_of_key(key: &str) -> Vec<String> {
    let mut words = ["--key", key].map(str::to_owned).to_vec();
    if normalised_key(key, 0).as_deref() != Ok(key) {
        words.extend(flag_of_form(KeyForm::AsGiven));
    }
    words
}

/// The flag of `put` that keeps keys in this form.
pub fn flag_of_form(form: KeyForm) -> Option<String> {
    (form == KeyForm::AsGiven).then(|| "--no-normalize".to_owned())
}

/// The flags of `put` that choose this key of a file at this backend; none if `put` chooses it
/// without flags. `None` is a key that the backend makes.
pub fn key_flags(backend: &str, path: &Path, key: Option<&str>) -> Vec<String> {
    let is_bucket = backend.starts_with("s3://");
    let words = match key {
        Some(key) if is_bucket && normalised_key(&key_name(path), 0).as_deref() == Ok(key) => {
            return Vec::new();
        }
        Some(key) => return flags_of_key(key),
        None if is_bucket => ["--key-style", "uuid"],
        None => return Vec::new(),
    };
    words.map(str::to_owned).to_vec()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;
    use crate::cli::args::{CommandLine, Verb};
    use crate::cli::backend_spec::PlainHttp;

    const GATEWAY: &str = "https://up.example";
    const COMPANION: &str = "companion+https://up.example";

    fn rule_of(
        line: &[&str],
        destination: Option<(&str, &str)>,
        style: Option<KeyStyle>,
        backend: &str,
    ) -> Result<KeyRule> {
        let CommandLine {
            verb: Verb::Put(flags),
            ..
        } = CommandLine::of(&[&["put"], line].concat())
        else {
            panic!("put")
        };
        let spec = BackendSpec::parse(backend, PlainHttp::OnThisMachine, Kind::Usage).unwrap();
        let destination = destination.map(|(backend, key)| Destination {
            backend: backend.to_owned(),
            key: key.to_owned(),
        });
        let style = flags.key_style.or(style);
        KeyRule::new(
            &flags,
            destination.as_ref(),
            style,
            Sources::Files(flags.paths.len()),
            &spec,
        )
    }

    fn named(prefix: &str) -> KeyRule {
        KeyRule::Named {
            prefix: prefix.to_owned(),
        }
    }

    #[test]
    fn prefix_gets_a_slash_and_every_backend_has_a_default() {
        let rule = |line: &[&str], backend: &str| rule_of(line, None, None, backend).unwrap();
        assert_eq!(rule(&["f"], GATEWAY), KeyRule::Made);
        assert_eq!(rule(&["f"], COMPANION), KeyRule::Made);
        assert_eq!(rule(&["f", "--key-style", "name"], GATEWAY), named(""));
        let key = rule(&["f", "--key", "a/b"], GATEWAY);
        assert_eq!(key, KeyRule::Key("a/b".to_owned()));
        for prefix in ["a/b", "a/b/"] {
            let rule = rule(&["f", "g", "--prefix", prefix], GATEWAY);
            assert_eq!(rule.key("f").as_deref(), Some("a/b/f"));
        }
        assert_eq!(rule(&["f", "--prefix", ""], GATEWAY), named(""));
        let of_file = rule_of(&["f"], None, Some(KeyStyle::Name), GATEWAY).unwrap();
        assert_eq!(of_file, named(""));
        let with_prefix = rule_of(&["f", "--prefix", "a"], None, Some(KeyStyle::Uuid), GATEWAY);
        assert_eq!(
            with_prefix.unwrap(),
            named("a/"),
            "a flag overrides the file"
        );
        let companion = rule_of(&["f"], None, Some(KeyStyle::Name), COMPANION);
        assert_eq!(companion.unwrap(), KeyRule::Made);
    }

    #[cfg(feature = "gateway")]
    #[test]
    fn destination_is_a_key_for_one_file_and_otherwise_a_prefix() {
        let bucket = "s3://media";
        let rule =
            |line: &[&str], key: &str| rule_of(line, Some((bucket, key)), None, bucket).unwrap();
        assert_eq!(rule(&["f"], "a/b"), KeyRule::Key("a/b".to_owned()));
        assert_eq!(rule(&["f"], "a/b/"), named("a/b/"));
        assert_eq!(rule(&["f"], ""), named(""));
        assert_eq!(rule(&["f", "g"], "a/b"), named("a/b/"));
        assert_eq!(rule_of(&["f"], None, None, bucket).unwrap(), named(""));
        let uuid = rule_of(&["f", "--key-style", "uuid"], None, None, bucket);
        assert_eq!(uuid.unwrap(), KeyRule::Made);
        for flags in [
            &["--key", "k"][..],
            &["--prefix", "p"],
            &["--key-style", "uuid"],
        ] {
            let line = [&["f"], flags].concat();
            let error = rule_of(&line, Some((bucket, "a/b")), None, bucket).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage);
        }
    }

    #[test]
    fn flags_that_contradict_each_other_or_the_backend_are_rejected() {
        let kind = |line: &[&str], backend| {
            let error = rule_of(line, None, None, backend).unwrap_err();
            error.kind()
        };
        assert_eq!(kind(&["f", "g", "--key", "k"], GATEWAY), Kind::Usage);
        let both = ["f", "--prefix", "p", "--key-style", "uuid"];
        assert_eq!(kind(&both, GATEWAY), Kind::Usage);
        for flags in [
            ["--key", "k"],
            ["--prefix", "p"],
            ["--key-style", "name"],
            ["--if-exists", "fail"],
        ] {
            let line = [&["f"], &flags[..]].concat();
            assert_eq!(kind(&line, COMPANION), Kind::Config);
        }
    }

    #[test]
    fn prefix_that_no_key_can_have_is_rejected() {
        for prefix in ["/a", "/", "a//b", "../a", "a/./", "a\n"] {
            let error = rule_of(&["f", "--prefix", prefix], None, None, GATEWAY).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage, "{prefix}");
        }
        let longest = "a".repeat(1022);
        let rule = |prefix: &str| rule_of(&["f", "--prefix", prefix], None, None, GATEWAY);
        assert_eq!(rule(&longest).unwrap(), named(&(longest.clone() + "/")));
        assert!(rule(&"a".repeat(1023)).is_err());
    }

    #[test]
    fn name_in_a_key_is_text() {
        let name = |bytes: &[u8]| key_name(&Path::new("/a/b").join(OsStr::from_bytes(bytes)));
        assert_eq!(name("Müller 写真.jpg".as_bytes()), "Müller 写真.jpg");
        assert_eq!(
            name(b"two\nlines\xff.bin"),
            "two\u{fffd}0Alines\u{fffd}FF.bin"
        );
        assert_eq!(name(&[b'a'; 255]).len(), 255);
    }

    #[test]
    fn flags_of_a_rule_choose_the_same_keys_again() {
        let flags = |line: &[&str], backend: &str| {
            let spec = BackendSpec::parse(backend, PlainHttp::OnThisMachine, Kind::Usage).unwrap();
            let flags = rule_of(line, None, None, backend).unwrap().flags(&spec);
            flags.join(" ")
        };
        assert_eq!(flags(&["f", "g"], GATEWAY), "");
        assert_eq!(flags(&["f", "--prefix", "a"], GATEWAY), "--prefix a/");
        let named = ["f", "--key-style", "name"];
        assert_eq!(flags(&named, GATEWAY), "--key-style name");
        if cfg!(feature = "gateway") {
            assert_eq!(flags(&named, "s3://media"), "");
            let made = ["f", "--key-style", "uuid"];
            assert_eq!(flags(&made, "s3://media"), "--key-style uuid");
        }
    }

    #[test]
    fn flags_choose_the_same_key_again() {
        let flags = |backend, path, key| key_flags(backend, Path::new(path), key).join(" ");
        assert_eq!(flags("s3://media/in", "a/f.mov", Some("f.mov")), "");
        assert_eq!(
            flags("s3://media", "f.mov", Some("a/f.mov")),
            "--key a/f.mov"
        );
        assert_eq!(flags("s3://media", "f.mov", None), "--key-style uuid");
        assert_eq!(flags(GATEWAY, "f.mov", Some("f.mov")), "--key f.mov");
        assert_eq!(flags(GATEWAY, "f.mov", None), "");
    }
}
