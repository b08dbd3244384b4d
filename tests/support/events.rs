//! The lines of `--json`, read strictly: no field may be missing and none may be added.
//!
//! The types follow the documented contract. They are not the program's own types, so that a change
//! of the program's types fails here.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de};

use super::command::Output;

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one receipt for each upload of a test"
)]
pub enum Event {
    Selected {
        v: Version,
        files: u64,
        bytes: u64,
        #[serde(deserialize_with = "nullable")]
        set: Option<String>,
    },
    Skipped {
        v: Version,
        path: String,
        reason: String,
        /// Missing if there is none.
        #[serde(default)]
        rule: Option<String>,
        /// This and the following are missing unless an object is at the key of the source.
        #[serde(default)]
        source: Option<usize>,
        #[serde(default)]
        key: Option<String>,
        #[serde(default)]
        location: Option<String>,
        #[serde(default)]
        size: Option<u64>,
    },
    Unmatched {
        v: Version,
        rule: String,
    },
    Plan {
        v: Version,
        source: usize,
        #[serde(deserialize_with = "nullable")]
        upload: Option<String>,
        path: String,
        #[serde(default)]
        path_b64: Option<String>,
        size: u64,
        part_size: u64,
        parts: u32,
        resumed_bytes: u64,
        already_stored: bool,
        #[serde(default)]
        from_journal: bool,
        #[serde(deserialize_with = "nullable")]
        key: Option<String>,
        /// Missing if it is false.
        #[serde(default)]
        stream: bool,
    },
    Progress {
        v: Version,
        source: usize,
        #[serde(deserialize_with = "nullable")]
        upload: Option<String>,
        path: String,
        hashed: u64,
        sent: u64,
        confirmed: u64,
        size: u64,
        rate: u64,
        #[serde(default)]
        producer_waits_percent: Option<u8>,
        #[serde(default)]
        waits_for_producer_percent: Option<u8>,
    },
    Part {
        v: Version,
        source: usize,
        upload: String,
        path: String,
        number: u32,
        size: u64,
        sha256: String,
        etag: String,
        skipped: bool,
        #[serde(default)]
        copied: bool,
    },
    Retry {
        v: Version,
        #[serde(deserialize_with = "nullable")]
        source: Option<usize>,
        #[serde(deserialize_with = "nullable")]
        path: Option<String>,
        #[serde(deserialize_with = "nullable")]
        upload: Option<String>,
        #[serde(deserialize_with = "nullable")]
        number: Option<u32>,
        attempt: u32,
        kind: String,
        wait_ms: u64,
        message: String,
    },
    Changed {
        v: Version,
        source: usize,
        #[serde(deserialize_with = "nullable")]
        upload: Option<String>,
        path: String,
        message: String,
    },
    Comparing {
        v: Version,
        source: usize,
        upload: String,
        path: String,
        parts: u32,
    },
    Blocked {
        v: Version,
        source: usize,
        #[serde(deserialize_with = "nullable")]
        upload: Option<String>,
        path: String,
        message: String,
    },
    Restarted {
        v: Version,
        source: usize,
        #[serde(deserialize_with = "nullable")]
        upload: Option<String>,
        path: String,
        message: String,
    },
    Moved {
        v: Version,
        source: usize,
        #[serde(deserialize_with = "nullable")]
        upload: Option<String>,
        old_path: String,
        path: String,
    },
    Renamed {
        v: Version,
        source: usize,
        #[serde(deserialize_with = "nullable")]
        upload: Option<String>,
        old_path: String,
        old_name: String,
        path: String,
        name: String,
    },
    Waiting {
        v: Version,
        source: usize,
        upload: String,
        path: String,
    },
    Completed {
        v: Version,
        source: usize,
        /// Empty if it is null.
        #[serde(deserialize_with = "null_as_empty")]
        upload: String,
        path: String,
        already_stored: bool,
        #[serde(default)]
        from_journal: bool,
        receipt: Receipt,
    },
    Failed {
        v: Version,
        source: usize,
        #[serde(deserialize_with = "nullable")]
        upload: Option<String>,
        path: String,
        kind: String,
        message: String,
        #[serde(deserialize_with = "nullable")]
        hint: Option<String>,
    },
    Exit {
        v: Version,
        code: u8,
        uploads: u64,
        completed: u64,
        already_stored: u64,
        from_journal: u64,
        failed: u64,
        bytes_sent: u64,
        bytes_skipped: u64,
        bytes_copied: u64,
        skipped: BTreeMap<String, u64>,
        resumable: bool,
    },
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// Empty if it is null.
    #[serde(deserialize_with = "null_as_empty")]
    pub id: String,
    pub backend: String,
    pub instance_id: String,
    pub name: String,
    #[serde(deserialize_with = "nullable")]
    pub bucket: Option<String>,
    pub key: String,
    pub location: String,
    #[serde(deserialize_with = "nullable")]
    pub version_id: Option<String>,
    pub size: u64,
    pub parts: u32,
    pub part_size: u64,
    /// Only of a stream.
    #[serde(default)]
    pub double_after: Option<u32>,
    pub etag: String,
    pub checksum: String,
    pub proof: String,
    /// Missing if it is empty.
    #[serde(default)]
    pub unproven: Vec<String>,
    #[serde(deserialize_with = "nullable")]
    pub sha256: Option<String>,
    pub started: String,
    pub finished: String,
}

/// The `v` of each line: 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Version;

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match u32::deserialize(from)? {
            1 => Ok(Self),
            other => Err(de::Error::custom(format!("version {other}"))),
        }
    }
}

/// Accepts null, but not a missing field.
fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    Option::deserialize(from)
}

fn null_as_empty<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// The events of a `--json` run.
#[track_caller]
pub fn events(output: &Output) -> Vec<Event> {
    output.lines().into_iter().map(event).collect()
}

#[track_caller]
pub fn event(line: &str) -> Event {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

/// The receipts of a `--receipt` file, without the last line of a set. Each line also has the path
/// of the source.
#[track_caller]
pub fn receipts(path: &std::path::Path) -> Vec<Receipt> {
    let text = std::fs::read_to_string(path).unwrap();
    let receipt = |line| {
        let mut value: serde_json::Value = serde_json::from_str(line)?;
        let source = value
            .as_object_mut()
            .and_then(|fields| fields.remove("path"));
        assert!(source.is_some_and(|path| path.is_string()), "{line}");
        serde_json::from_value(value)
    };
    text.lines()
        .filter(|line| !line.starts_with(r#"{"type":"set","#))
        .map(|line| {
            let receipt: Result<Receipt, serde_json::Error> = receipt(line);
            receipt.unwrap_or_else(|error| panic!("{error}: {line}"))
        })
        .collect()
}

/// The `kind` of the failure of a `--json` run.
#[track_caller]
pub fn failure_kind(output: &Output) -> String {
    let kind = events(output).into_iter().find_map(|event| match event {
        Event::Failed { kind, .. } => Some(kind),
        _ => None,
    });
    kind.unwrap_or_else(|| panic!("no `failed` event: {output}"))
}

/// The first upload id in the lines of `--json`.
pub fn upload_id(stdout: &str) -> Option<String> {
    let mut lines = stdout
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    lines.find_map(|line| line["upload"].as_str().map(str::to_owned))
}

/// The number of `part` events on a process's standard output so far.
pub fn parts_so_far(stdout: &str) -> usize {
    stdout
        .lines()
        .filter(|line| line.contains(r#""type":"part""#))
        .count()
}
