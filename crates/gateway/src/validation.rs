//! Checks of requests: names, content types, metadata, idempotency keys, parts, and the checksum of
//! a complete.
//!
//! Not here: ledger, store and clock. All functions are pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::problem::Refusal;
use upload_types::attributes::Attribute;
use upload_types::metadata::{MAX_METADATA_BYTES, metadata_bytes};
use upload_types::plan::Plan;
use upload_types::saturating;
use upload_types::wire::{
    Attributes, BeginRequest, Code, CompleteRequest, MAX_SIGN_PARTS, PartSpec,
};
use upload_types::{Checksum, MediaType, PartNumber, Sha256};

pub const MAX_NAME_CHARS: usize = 200;
/// The metadata key of the token by which a gateway recognizes the object of an upload.
const RESERVED_METADATA_KEY: &str = "upload-token";
const MAX_METADATA_KEY_BYTES: usize = 64;
/// The maximum length of an idempotency key or a holder.
const MAX_WORD_BYTES: usize = 128;
/// The maximum length of a file extension that becomes part of a key.
const MAX_EXTENSION_BYTES: usize = 16;

/// Checks everything in a request to begin except the size.
///
/// # Errors
/// `name_invalid`, `type_not_allowed`, or `invalid_request` with a detail.
pub fn check_begin(request: &BeginRequest, allow_types: &[String]) -> Result<(), Refusal> {
    let length = request.name.chars().count();
    if length == 0 || length > MAX_NAME_CHARS || request.name.chars().any(char::is_control) {
        return Err(Refusal::new(Code::NameInvalid));
    }
    let media_type = media_type(&request.content_type)?;
    let essence = media_type.essence();
    if !allow_types.iter().any(|glob| type_matches(glob, essence)) {
        return Err(Refusal::with_detail(
            Code::TypeNotAllowed,
            format!("allowed: {}", allow_types.join(", ")),
        ));
    }
    if let Some(holder) = &request.holder {
        check_word("the holder", holder)?;
    }
    check_metadata(&request.metadata)
}

/// Checks an idempotency key or a holder: 1 to 128 visible ASCII characters.
///
/// # Errors
/// `invalid_request` with `subject`, for example "the holder".
pub fn check_word(subject: &str, text: &str) -> Result<(), Refusal> {
    if (1..=MAX_WORD_BYTES).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic())
    {
        return Ok(());
    }
    Err(Refusal::with_detail(
        Code::InvalidRequest,
        format!("{subject} must be 1 to {MAX_WORD_BYTES} visible ASCII characters"),
    ))
}

fn check_metadata(pairs: &BTreeMap<String, String>) -> Result<(), Refusal> {
    let key_fits = |key: &str| {
        (1..=MAX_METADATA_KEY_BYTES).contains(&key.len())
            && key
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
    };
    if !pairs
        .keys()
        .all(|key| key_fits(key) && key != RESERVED_METADATA_KEY)
    {
        let detail = format!(
            "metadata keys have 1 to {MAX_METADATA_KEY_BYTES} characters of a-z, 0-9, - and _, \
             and must not be {RESERVED_METADATA_KEY}"
        );
        return Err(Refusal::with_detail(Code::InvalidRequest, detail));
    }
    if metadata_bytes(pairs) > MAX_METADATA_BYTES {
        return Err(Refusal::with_detail(
            Code::InvalidRequest,
            format!(
                "metadata has at most {MAX_METADATA_BYTES} bytes in total, with values other than \
                 words of ASCII as encoded words (RFC 2047)"
            ),
        ));
    }
    if pairs
        .values()
        .any(|value| value.chars().any(char::is_control))
    {
        let detail = "metadata values have no control characters";
        return Err(Refusal::with_detail(Code::InvalidRequest, detail));
    }
    Ok(())
}

/// Checks the attributes of a request, and brings them into one form. `conflict` returns an
/// attribute that the store or the operator does not permit with this value, and the reason.
///
/// # Errors
/// `invalid_request` for a value without its form; `attribute_not_allowed`.
pub fn check_attributes(
    attributes: Attributes,
    allowed: &BTreeSet<Attribute>,
    conflict: impl FnOnce(&Attributes) -> Option<(Attribute, &'static str)>,
) -> Result<Attributes, Refusal> {
    let attributes = attributes
        .checked()
        .map_err(|error| Refusal::with_detail(Code::InvalidRequest, error.to_string()))?;
    if let Some(attribute) = attributes.given().find(|one| !allowed.contains(one)) {
        let names: Vec<&str> = allowed.iter().map(|attribute| attribute.name()).collect();
        let detail = if names.is_empty() {
            format!("{attribute}; the operator allows none")
        } else {
            format!("{attribute}; allowed: {}", names.join(", "))
        };
        return Err(Refusal::with_detail(Code::AttributeNotAllowed, detail));
    }
    match conflict(&attributes) {
        Some((attribute, reason)) => Err(Refusal::with_detail(
            Code::AttributeNotAllowed,
            format!("{attribute}: {reason}"),
        )),
        None => Ok(attributes),
    }
}

/// The media type of a request to begin.
///
/// # Errors
/// `invalid_request` for a text that is not a media type.
pub fn media_type(content_type: &str) -> Result<MediaType, Refusal> {
    content_type.parse().map_err(|_| {
        let detail = "content_type is not a media type of at most 128 characters (RFC 9110, 8.3.1)";
        Refusal::with_detail(Code::InvalidRequest, detail)
    })
}

/// Returns true for a valid glob of the allow-list: `type/subtype`, `type/*` or `*/*`.
#[must_use]
pub fn is_type_glob(glob: &str) -> bool {
    let Ok(parsed) = glob.parse::<MediaType>() else {
        return false;
    };
    let is_name_or_star = |half: &str| half == "*" || !half.contains('*');
    let essence = parsed.essence();
    essence.eq_ignore_ascii_case(glob)
        && essence.split('/').all(is_name_or_star)
        && (essence == "*/*" || !essence.starts_with('*'))
}

fn type_matches(glob: &str, essence: &str) -> bool {
    let glob = glob.to_ascii_lowercase();
    let matches = |pattern: &str, value: &str| pattern == "*" || pattern == value;
    match (glob.split_once('/'), essence.split_once('/')) {
        (Some((kind_glob, subtype_glob)), Some((kind, subtype))) => {
            matches(kind_glob, kind) && matches(subtype_glob, subtype)
        }
        _ => false,
    }
}

/// The extension of a name that becomes part of the key: 1 to 16 characters of `[a-z0-9]`,
/// otherwise `None`.
#[must_use]
pub fn key_extension(name: &str) -> Option<String> {
    let (stem, extension) = name.rsplit_once('.')?;
    let extension = extension.to_ascii_lowercase();
    let fits = (1..=MAX_EXTENSION_BYTES).contains(&extension.len())
        && extension
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    (fits && !stem.is_empty()).then_some(extension)
}

/// Checks the parts of a request to sign against the plan: 1 to [`MAX_SIGN_PARTS`] parts, each with
/// its size in the plan.
///
/// # Errors
/// `invalid_request` that names the first part that does not match the plan.
pub fn check_parts(plan: &Plan, parts: &[PartSpec]) -> Result<(), Refusal> {
    if parts.is_empty() || parts.len() > MAX_SIGN_PARTS {
        return Err(Refusal::with_detail(
            Code::InvalidRequest,
            format!("a request signs 1 to {MAX_SIGN_PARTS} parts"),
        ));
    }
    for part in parts {
        match plan.range(part.number) {
            Some(range) if range.len == part.size => {}
            Some(range) => {
                let (number, size) = (part.number, range.len);
                let detail = format!("part {number} has {size} bytes in this upload's plan");
                return Err(Refusal::with_detail(Code::InvalidRequest, detail));
            }
            None => {
                let detail = format!("this upload's plan has {} parts", plan.count());
                return Err(Refusal::with_detail(Code::InvalidRequest, detail));
            }
        }
    }
    Ok(())
}

/// Checks a request to complete: it must have every part once and in order, with the SHA-256 to
/// which it is pinned (`pinned`), and the checksum of these parts. `is_single`: for its client, its
/// only part is the object of a single PUT.
///
/// # Errors
/// `source_mismatch` with a detail.
pub fn check_complete(
    plan: &Plan,
    is_single: bool,
    pinned: &BTreeMap<PartNumber, Sha256>,
    request: &CompleteRequest,
) -> Result<(), Refusal> {
    let mismatch = |detail: String| Err(Refusal::with_detail(Code::SourceMismatch, detail));
    let count = saturating::to_usize(plan.count());
    if request.parts.len() != count {
        return mismatch(format!("this upload's plan has {count} parts"));
    }
    for (expected, part) in (1_u32..).zip(&request.parts) {
        if part.number.get() != expected {
            return mismatch(format!("part {expected} is missing or out of order"));
        }
        if pinned
            .get(&part.number)
            .is_some_and(|sha256| *sha256 != part.sha256)
        {
            return mismatch(format!("part {expected} was signed with another SHA-256"));
        }
    }
    let expected = object_checksum(is_single, request.parts.iter().map(|part| &part.sha256));
    if expected.as_ref() == Some(&request.checksum) {
        return Ok(());
    }
    mismatch("the checksum is not that of these parts".to_owned())
}

/// The checksum that the store reports for an object of these parts, or of the only part if it
/// `is_single`: sent by one PUT. Returns `None` without parts.
#[must_use]
pub fn object_checksum<'a>(
    is_single: bool,
    part_sha256: impl IntoIterator<Item = &'a Sha256>,
) -> Option<Checksum> {
    let mut part_sha256 = part_sha256.into_iter().peekable();
    let first = *part_sha256.peek()?;
    Some(if is_single {
        Checksum::whole(first)
    } else {
        Checksum::composite(part_sha256)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use upload_types::wire::CompletePart;

    fn request() -> BeginRequest {
        BeginRequest {
            name: "a.bin".into(),
            size: Some(1),
            content_type: "video/mp4".into(),
            part_size: None,
            metadata: BTreeMap::new(),
            attributes: Box::default(),
            expected_size: None,
            modified: None,
            key: None,
            if_exists: None,
            holder: None,
            parts: None,
            copies: Vec::new(),
        }
    }

    fn code(change: impl FnOnce(&mut BeginRequest)) -> Option<Code> {
        let mut request = request();
        change(&mut request);
        check_begin(&request, &["video/*".to_owned(), "text/plain".to_owned()])
            .err()
            .map(|refusal| refusal.code)
    }

    #[test]
    fn names_have_1_to_200_characters_and_no_control_characters() {
        assert_eq!(code(|r| r.name = "é".repeat(200)), None);
        for name in [
            String::new(),
            "é".repeat(201),
            "a\nb".into(),
            "a\u{9b}b".into(),
            "a\u{7f}".into(),
        ] {
            assert_eq!(code(|r| r.name = name), Some(Code::NameInvalid));
        }
    }

    #[test]
    fn content_types_are_media_types_of_the_allow_list() {
        for allowed in ["video/mp4", "VIDEO/x", "text/plain; charset=utf-8"] {
            assert_eq!(code(|r| r.content_type = allowed.into()), None, "{allowed}");
        }
        assert_eq!(
            code(|r| r.content_type = "text/html".into()),
            Some(Code::TypeNotAllowed)
        );
        for invalid in [
            "",
            "video",
            "video/",
            "video/mp4\r\nx: y",
            "vid eo/mp4",
            "video/mp4/x",
            "video/mp4;, text/html",
        ] {
            assert_eq!(
                code(|r| r.content_type = invalid.into()),
                Some(Code::InvalidRequest),
                "{invalid:?}"
            );
        }
        assert!(
            ["*/*", "video/*", "text/plain"]
                .iter()
                .all(|glob| is_type_glob(glob))
        );
        assert!(
            ["*", "vid*/x", "*/mp4", "video/m*", "", "video/*; a=b"]
                .iter()
                .all(|glob| !is_type_glob(glob))
        );
    }

    #[test]
    fn metadata_is_limited_in_size_and_characters() {
        let metadata = |key: &str, value: String| BTreeMap::from([(key.to_owned(), value)]);
        assert_eq!(
            code(|r| r.metadata = metadata("camera-1", "x".repeat(MAX_METADATA_BYTES - 8))),
            None
        );
        for bad in [
            metadata("camera-1", "x".repeat(MAX_METADATA_BYTES)),
            metadata("Camera", "x".into()),
            metadata("", "x".into()),
        ] {
            assert_eq!(code(|r| r.metadata = bad), Some(Code::InvalidRequest));
        }
        for value in ["b\r\n", "b\tc", "\0", "\u{85}"] {
            assert_eq!(
                code(|r| r.metadata = metadata("a", value.into())),
                Some(Code::InvalidRequest),
                "{value:?}"
            );
        }
        for value in ["", " a  b ", "=?UTF-8?B?w6k=?=", "Größe 写真"] {
            assert_eq!(
                code(|r| r.metadata = metadata("a_b", value.into())),
                None,
                "{value:?}"
            );
        }
        // Encoded, 1200 bytes become more than 2 KiB.
        assert_eq!(code(|r| r.metadata = metadata("a", "é".repeat(600))), None);
        assert_eq!(
            code(|r| r.metadata = metadata("a", "é".repeat(800))),
            Some(Code::InvalidRequest)
        );
    }

    #[test]
    fn attributes_need_a_permission_and_no_conflict() {
        let check = |allowed: &[Attribute], conflict: Option<(Attribute, &'static str)>| {
            let attributes = Attributes {
                cache_control: Some("no-store,  public".into()),
                storage_class: Some("COLD".into()),
                ..Attributes::NONE
            };
            let allowed = allowed.iter().copied().collect();
            check_attributes(attributes, &allowed, |_| conflict)
                .map(|attributes| attributes.cache_control.unwrap())
                .map_err(|refusal| (refusal.code, refusal.detail.unwrap()))
        };
        let both = [Attribute::CacheControl, Attribute::StorageClass];
        assert_eq!(check(&both, None), Ok("no-store, public".to_owned()));
        let refused = |detail: &str| Err((Code::AttributeNotAllowed, detail.to_owned()));
        assert_eq!(
            check(&[], None),
            refused("cache-control; the operator allows none")
        );
        assert_eq!(
            check(&[Attribute::Tag, Attribute::CacheControl], None),
            refused("storage-class; allowed: cache-control, tag")
        );
        assert_eq!(
            check(&both, Some((Attribute::CacheControl, "reason"))),
            refused("cache-control: reason")
        );
        let wrong = Attributes {
            sse: Some("none".into()),
            ..Attributes::NONE
        };
        let refusal = check_attributes(wrong, &Attribute::ALL.into(), |_| None).unwrap_err();
        assert_eq!(refusal.code, Code::InvalidRequest);
    }

    #[test]
    fn key_extension_is_plain_or_none() {
        assert_eq!(key_extension("holiday.MOV").as_deref(), Some("mov"));
        assert_eq!(key_extension("a.tar.gz").as_deref(), Some("gz"));
        for name in [
            "a",
            ".bashrc",
            "a.",
            "a.b/c",
            "a.é",
            "a.12345678901234567",
            "..",
            "a/../b",
        ] {
            assert_eq!(key_extension(name), None, "{name}");
        }
    }

    #[test]
    fn complete_must_match_plan_signatures_and_checksum() {
        let plan = Plan::pinned(15, 10).unwrap();
        let sums = [Sha256::of(b"a"), Sha256::of(b"b")];
        let part = |number: u32, sha256| CompletePart {
            number: PartNumber::try_from(number).unwrap(),
            etag: "e".parse().unwrap(),
            sha256,
        };
        let valid = CompleteRequest {
            epoch: 1,
            parts: vec![part(1, sums[0]), part(2, sums[1])],
            checksum: Checksum::composite(&sums),
        };
        let pinned = |sha256| BTreeMap::from([(PartNumber::FIRST, sha256)]);
        let signed = pinned(sums[0]);
        let code = |request: &CompleteRequest, signed: &BTreeMap<PartNumber, Sha256>| {
            check_complete(&plan, false, signed, request)
                .err()
                .map(|refusal| refusal.code)
        };
        assert_eq!(code(&valid, &signed), None);
        let mismatch = Some(Code::SourceMismatch);
        assert_eq!(
            code(
                &CompleteRequest {
                    parts: valid.parts[..1].to_vec(),
                    ..valid.clone()
                },
                &signed
            ),
            mismatch
        );
        let swapped = vec![valid.parts[1].clone(), valid.parts[0].clone()];
        assert_eq!(
            code(
                &CompleteRequest {
                    parts: swapped,
                    ..valid.clone()
                },
                &signed
            ),
            mismatch
        );
        assert_eq!(code(&valid, &pinned(sums[1])), mismatch);
        let other = CompleteRequest {
            checksum: Checksum::whole(&sums[0]),
            ..valid
        };
        assert_eq!(code(&other, &signed), mismatch);
    }
}
