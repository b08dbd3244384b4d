//! Checks of the headers that a store keeps with an object: the requested ones, and those that no
//! signature covers.

use http::Method;

use upload_types::{Key, PartNumber};

use super::body_check::{self, Reaction};
use super::fixture::{PROBE_OBJECT, SIGNED_BODY, URL_TTL, object_key, part_spec};
use crate::attribute_headers::ENCRYPTION_HEADER;
use crate::fault::Fault;
use crate::profile::{Capability, Finding, Profile, Support};
use crate::signing::body_headers;
use crate::store::Store;

/// Harmless values of the headers that need no signature.
const UNSIGNED: [(&str, &str); 5] = [
    ("cache-control", "no-store"),
    ("content-disposition", "attachment"),
    ("content-encoding", "identity"),
    ("content-language", "en"),
    ("expires", "Thu, 01 Jan 1970 00:00:00 GMT"),
];

/// Records whether the object `source` has the requested headers, and whether a presigned PUT
/// accepts further ones. The object must exist.
pub(super) async fn check(store: &Store, probe: &Key, profile: &mut Profile) -> Result<(), Fault> {
    let Some(source) = store.head(&object_key(probe, "source")?).await? else {
        return Err(Fault::Unavailable("HeadObject: no object".into()));
    };
    let differences = store.header_differences(&source, &PROBE_OBJECT);
    let (encryption, required): (Vec<&str>, Vec<&str>) = store
        .create_headers()
        .keys()
        .map(String::as_str)
        .partition(|name| name.starts_with(ENCRYPTION_HEADER));
    for (capability, requested, missing) in [
        (Capability::Encryption, encryption, differences.encryption),
        (Capability::RequiredHeaders, required, differences.required),
    ] {
        if !requested.is_empty() {
            profile.record(capability, requested_finding(&missing));
        }
    }
    let unsigned = if differences.unsigned.is_empty() {
        check_unsigned(store, &object_key(probe, "headers")?).await?
    } else {
        let text = format!("the store adds {}", differences.unsigned.join(", "));
        Finding::new(Support::Refused, text)
    };
    profile.record(Capability::UnsignedHeaders, unsigned);
    Ok(())
}

fn requested_finding(missing: &[String]) -> Finding {
    if missing.is_empty() {
        Finding::new(Support::Yes, "found")
    } else {
        Finding::new(Support::No, format!("without {}", missing.join(", ")))
    }
}

/// Puts an object with headers that the signature does not cover.
async fn check_unsigned(store: &Store, key: &Key) -> Result<Finding, Fault> {
    let mut headers = body_headers(store.proof(), &part_spec(PartNumber::FIRST, SIGNED_BODY))?;
    headers.extend(PROBE_OBJECT.headers_with(store.create_headers()));
    let unsigned: Vec<(&str, &str)> = UNSIGNED
        .into_iter()
        .filter(|(name, _)| !headers.contains_key(*name))
        .collect();
    let url = store.object_url(key, &[])?;
    let presigned = store.presign(Method::PUT, &url, headers, URL_TTL).await?;
    let response = body_check::put(store, presigned, SIGNED_BODY, &unsigned).await?;
    let reaction = Reaction::of(&response);
    if !reaction.accepted {
        return Ok(reaction.to_wrong_request());
    }
    let observed = reaction.observed;
    Ok(match store.head(key).await? {
        Some(object) => {
            let kept = store.header_differences(&object, &PROBE_OBJECT).unsigned;
            if kept.is_empty() {
                Finding::new(Support::Yes, format!("{observed}, and ignored them"))
            } else {
                let text = format!("{observed}, and kept {}", kept.join(", "));
                Finding::new(Support::No, text)
            }
        }
        None => Finding::new(Support::Untried, observed),
    })
}
