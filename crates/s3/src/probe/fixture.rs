//! The keys, objects and bodies of a probe. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use md5::{Digest as _, Md5 as Md5Hasher};
use uuid::Uuid;

use upload_types::wire::{Attributes, PartSpec};
use upload_types::{Key, Md5, PartNumber, Sha256};

use crate::fault::Fault;
use crate::object_headers::NewObject;

/// The prefix of the keys of all probes. No owner's keys have it: the segment that names an owner
/// is longer than `probe`.
pub(super) const PROBE_PREFIX: &str = "uploads/probe/";
pub(super) const URL_TTL: Duration = Duration::from_mins(5);

pub(super) const SIGNED_BODY: &[u8] = b"the bytes that were signed";
/// As long as [`SIGNED_BODY`], so that only the hashes differ.
pub(super) const FORGED_BODY: &[u8] = b"the bytes that were forged";
/// The content of the object `source`; longer than [`SIGNED_BODY`].
pub(super) const SOURCE_BODY: &[u8] = b"an object that no presigned PUT may copy";

static NO_METADATA: BTreeMap<String, String> = BTreeMap::new();
pub(super) static PROBE_OBJECT: NewObject<'static> = NewObject {
    content_type: "application/octet-stream",
    name: "",
    token: "probe",
    metadata: &NO_METADATA,
    attributes: &Attributes::NONE,
};

/// The names of all objects that a probe may create, each at [`object_key`].
pub(super) const OBJECT_NAMES: [&str; 6] = ["source", "headers", "whole", "empty", "large", "copy"];

/// The key of a probe's multipart upload.
pub(super) fn probe_key(id: Uuid) -> Result<Key, Fault> {
    parse(&format!("{PROBE_PREFIX}{id}"))
}

/// The key of one of the objects of a probe.
pub(super) fn object_key(probe: &Key, name: &str) -> Result<Key, Fault> {
    parse(&format!("{probe}-{name}"))
}

fn parse(key: &str) -> Result<Key, Fault> {
    key.parse()
        .map_err(|_| Fault::Refused("could not use the probe's key".into()))
}

/// Parses the rest of a key after [`PROBE_PREFIX`]: the id of the probe and, in the key of an
/// object, the name of the object. Returns `None` for a key that no probe uses.
pub(super) fn parse_key(rest: &str) -> Option<(Uuid, Option<&'static str>)> {
    let (id, object) = rest.split_at_checked(36)?;
    let id = Uuid::try_parse(id).ok()?;
    if object.is_empty() {
        return Some((id, None));
    }
    let name = object.strip_prefix('-')?;
    let known = OBJECT_NAMES.into_iter().find(|known| *known == name)?;
    Some((id, Some(known)))
}

pub(super) fn part_number(number: u32) -> PartNumber {
    PartNumber::try_from(number).unwrap_or(PartNumber::FIRST)
}

pub(super) fn part_spec(number: PartNumber, body: &[u8]) -> PartSpec {
    PartSpec {
        number,
        size: body.len() as u64,
        sha256: Sha256::of(body),
        md5: Some(Md5::new(Md5Hasher::digest(body).into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_probes_are_recognized_and_no_others() {
        let id = Uuid::from_u128(7);
        assert_eq!(parse_key(&id.to_string()), Some((id, None)));
        for name in OBJECT_NAMES {
            let key = object_key(&probe_key(id).unwrap(), name).unwrap();
            let rest = key.as_str().strip_prefix(PROBE_PREFIX).unwrap();
            assert_eq!(parse_key(rest), Some((id, Some(name))));
        }
        for other in [
            "notes",
            "",
            "00000000-0000-0000-0000-000000000007x",
            "00000000-0000-0000-0000-000000000007-mine",
        ] {
            assert_eq!(parse_key(other), None, "{other}");
        }
    }

    #[test]
    fn bodies_differ_as_the_checks_assume() {
        assert_eq!(SIGNED_BODY.len(), FORGED_BODY.len());
        assert_ne!(SIGNED_BODY.len(), SOURCE_BODY.len());
    }
}
