//! What a request may say: names, content types, metadata, keys of idempotency, and what a complete must add up to.
//!
//! Border: pure; no ledger, no store, no clock.

use std::collections::BTreeMap;

use crate::problem::Refusal;
use upload_types::names::{Checksum, Sha256};
use upload_types::plan::Plan;
use upload_types::wire::{BeginRequest, Code, CompleteRequest, MAX_SIGN_PARTS, PartSpec};

/// The longest name, in characters.
pub const NAME_MAX: usize = 200;
/// The metadata key by which a gateway knows its objects.
const RESERVED: &str = "upload-token";
/// The most bytes of metadata, keys and values together.
pub const METADATA_MAX: usize = 2 << 10;
/// The most bytes of an idempotency key, a holder, or a content type.
const WORD_MAX: usize = 128;

/// Checks everything in a begin but its size.
///
/// # Errors
/// `name_invalid`, `type_not_allowed`, or `invalid_request` saying what is wrong.
pub fn begin(request: &BeginRequest, allow_types: &[String]) -> Result<(), Refusal> {
    let length = request.name.chars().count();
    if length == 0 || length > NAME_MAX || request.name.chars().any(char::is_control) {
        return Err(Refusal::new(Code::NameInvalid));
    }
    let Some(essence) = essence(&request.content_type) else {
        return Err(Refusal::saying(
            Code::InvalidRequest,
            "content_type is not a media type (RFC 9110, 8.3.1)",
        ));
    };
    if !allow_types.iter().any(|glob| type_matches(glob, &essence)) {
        return Err(Refusal::saying(
            Code::TypeNotAllowed,
            format!("taken: {}", allow_types.join(", ")),
        ));
    }
    if let Some(holder) = &request.holder {
        word("holder", holder)?;
    }
    metadata(&request.metadata)
}

/// Checks an idempotency key or a holder: 1 to 128 visible ASCII characters.
///
/// # Errors
/// `invalid_request` naming `what`.
pub fn word(what: &str, text: &str) -> Result<(), Refusal> {
    if (1..=WORD_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err(Refusal::saying(
        Code::InvalidRequest,
        format!("{what} must be 1 to {WORD_MAX} visible ASCII characters"),
    ))
}

fn metadata(pairs: &BTreeMap<String, String>) -> Result<(), Refusal> {
    let key_fits = |key: &str| {
        (1..=64).contains(&key.len())
            && key
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    let total: usize = pairs
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    // Signatures fold spaces (SigV4, canonical headers), so that only words with one space between them arrive as they were.
    let value_fits = |value: &str| {
        value
            .split(' ')
            .all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_graphic()))
    };
    if !pairs.keys().all(|key| key_fits(key) && key != RESERVED) {
        let what = format!("metadata keys are 1 to 64 of a-z, 0-9 and -, and not {RESERVED}");
        return Err(Refusal::saying(Code::InvalidRequest, what));
    }
    if total > METADATA_MAX {
        return Err(Refusal::saying(
            Code::InvalidRequest,
            format!("metadata has at most {METADATA_MAX} bytes in all"),
        ));
    }
    if !pairs.values().all(|value| value_fits(value)) {
        let what =
            "metadata values are words of visible ASCII characters with one space between them";
        return Err(Refusal::saying(Code::InvalidRequest, what));
    }
    Ok(())
}

/// `type/subtype` in lower case, without parameters; nothing for what is no media type (RFC 9110, section 8.3.1).
fn essence(content_type: &str) -> Option<String> {
    let token = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
    };
    let printable = content_type
        .bytes()
        .all(|b| b.is_ascii_graphic() || b == b' ');
    let essence = content_type.split(';').next()?.trim();
    let (kind, subtype) = essence.split_once('/')?;
    let fits = printable && content_type.len() <= WORD_MAX && token(kind) && token(subtype);
    fits.then(|| essence.to_ascii_lowercase())
}

/// Whether a glob of the allow-list (`type/subtype`, `type/*` or `*/*`) can be one at all.
#[must_use]
pub fn is_type_glob(glob: &str) -> bool {
    essence(glob).is_some_and(|essence| {
        essence
            .split('/')
            .all(|half| half == "*" || !half.contains('*'))
            && (essence == "*/*" || !essence.starts_with('*'))
    })
}

fn type_matches(glob: &str, essence: &str) -> bool {
    let glob = glob.to_ascii_lowercase();
    match (glob.split_once('/'), essence.split_once('/')) {
        (Some((kind, subtype)), Some((is_kind, is_subtype))) => {
            (kind == "*" || kind == is_kind) && (subtype == "*" || subtype == is_subtype)
        }
        _ => false,
    }
}

/// The extension a key takes over from a name: 1 to 16 of `[a-z0-9]`, or none.
#[must_use]
pub fn extension(name: &str) -> Option<String> {
    let (stem, extension) = name.rsplit_once('.')?;
    let extension = extension.to_ascii_lowercase();
    let fits = (1..=16).contains(&extension.len())
        && extension
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    (fits && !stem.is_empty()).then_some(extension)
}

/// Checks the parts of a sign against the plan: 1 to [`MAX_SIGN_PARTS`] parts, each with the size the plan gives it.
///
/// # Errors
/// `invalid_request` naming the first part that is not the plan's.
pub fn sign(plan: &Plan, parts: &[PartSpec]) -> Result<(), Refusal> {
    if parts.is_empty() || parts.len() > MAX_SIGN_PARTS {
        return Err(Refusal::saying(
            Code::InvalidRequest,
            format!("sign takes 1 to {MAX_SIGN_PARTS} parts"),
        ));
    }
    for part in parts {
        match plan.range(part.number) {
            Some(range) if range.len == part.size => {}
            Some(range) => {
                let (number, size) = (part.number, range.len);
                let detail = format!("part {number} has {size} bytes in this upload's plan");
                return Err(Refusal::saying(Code::InvalidRequest, detail));
            }
            None => {
                let detail = format!("there are {} parts in this upload's plan", plan.count());
                return Err(Refusal::saying(Code::InvalidRequest, detail));
            }
        }
    }
    Ok(())
}

/// Reviews a complete: every part once, in order, with the SHA-256 it was signed for (`pinned`, by number from 1), and a
/// checksum that is theirs.
///
/// # Errors
/// `source_mismatch` saying what does not add up.
pub fn review(
    plan: &Plan,
    pinned: &[Option<Sha256>],
    request: &CompleteRequest,
) -> Result<(), Refusal> {
    let mismatch = |detail: String| Err(Refusal::saying(Code::SourceMismatch, detail));
    let count = usize::try_from(plan.count()).unwrap_or(usize::MAX);
    if request.parts.len() != count || pinned.len() != count {
        return mismatch(format!("there are {count} parts in this upload's plan"));
    }
    for (expected, (part, pin)) in (1_u32..).zip(request.parts.iter().zip(pinned)) {
        if part.number.get() != expected {
            return mismatch(format!("part {expected} is missing or out of order"));
        }
        if pin.is_some_and(|pin| pin != part.sha256) {
            return mismatch(format!("part {expected} was signed with another SHA-256"));
        }
    }
    if checksum(plan, request.parts.iter().map(|part| &part.sha256)).as_ref()
        == Some(&request.checksum)
    {
        return Ok(());
    }
    mismatch("the checksum is not that of these parts".to_owned())
}

/// What the store is to say of an object of these parts; nothing where there is none of them.
#[must_use]
pub fn checksum<'a>(
    plan: &Plan,
    fingerprints: impl IntoIterator<Item = &'a Sha256>,
) -> Option<Checksum> {
    let mut fingerprints = fingerprints.into_iter().peekable();
    let first = *fingerprints.peek()?;
    Some(if plan.is_single() {
        Checksum::whole(first)
    } else {
        Checksum::composite(fingerprints)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use upload_types::names::PartNumber;
    use upload_types::wire::CompletePart;

    fn request() -> BeginRequest {
        BeginRequest {
            name: "a.bin".into(),
            size: Some(1),
            content_type: "video/mp4".into(),
            part_size: None,
            metadata: BTreeMap::new(),
            holder: None,
            parts: None,
        }
    }

    fn code(change: impl FnOnce(&mut BeginRequest)) -> Option<Code> {
        let mut request = request();
        change(&mut request);
        begin(&request, &["video/*".to_owned(), "text/plain".to_owned()])
            .err()
            .map(|refusal| refusal.code)
    }

    #[test]
    fn names_have_1_to_200_characters_and_no_control() {
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
    fn types_are_media_types_on_the_list() {
        for taken in ["video/mp4", "VIDEO/x", "text/plain; charset=utf-8"] {
            assert_eq!(code(|r| r.content_type = taken.into()), None, "{taken}");
        }
        assert_eq!(
            code(|r| r.content_type = "text/html".into()),
            Some(Code::TypeNotAllowed)
        );
        for nonsense in [
            "",
            "video",
            "video/",
            "video/mp4\r\nx: y",
            "vid eo/mp4",
            "video/mp4/x",
        ] {
            assert_eq!(
                code(|r| r.content_type = nonsense.into()),
                Some(Code::InvalidRequest),
                "{nonsense:?}"
            );
        }
        assert!(
            ["*/*", "video/*", "text/plain"]
                .iter()
                .all(|glob| is_type_glob(glob))
        );
        assert!(
            ["*", "vid*/x", "*/mp4", "video/m*", ""]
                .iter()
                .all(|glob| !is_type_glob(glob))
        );
    }

    #[test]
    fn metadata_is_small_and_plain() {
        let meta = |key: &str, value: String| BTreeMap::from([(key.to_owned(), value)]);
        assert_eq!(
            code(|r| r.metadata = meta("camera-1", "x".repeat(METADATA_MAX - 8))),
            None
        );
        for bad in [
            meta("camera-1", "x".repeat(METADATA_MAX)),
            meta("Camera", "x".into()),
            meta("", "x".into()),
        ] {
            assert_eq!(code(|r| r.metadata = bad), Some(Code::InvalidRequest));
        }
        assert_eq!(
            code(|r| r.metadata = meta("a", "b\r\n".into())),
            Some(Code::InvalidRequest)
        );
    }

    #[test]
    fn an_extension_is_plain_or_none() {
        assert_eq!(extension("holiday.MOV").as_deref(), Some("mov"));
        assert_eq!(extension("a.tar.gz").as_deref(), Some("gz"));
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
            assert_eq!(extension(name), None, "{name}");
        }
    }

    #[test]
    fn a_complete_must_add_up() {
        let plan = Plan::pinned(15, 10).unwrap();
        let sums = [Sha256::of(b"a"), Sha256::of(b"b")];
        let part = |number: u32, sha256| CompletePart {
            number: PartNumber::try_from(number).unwrap(),
            etag: "e".parse().unwrap(),
            sha256,
        };
        let good = CompleteRequest {
            epoch: 1,
            parts: vec![part(1, sums[0]), part(2, sums[1])],
            checksum: Checksum::composite(&sums),
        };
        let pinned = [Some(sums[0]), None];
        let refused = |request: &CompleteRequest, pinned: &[Option<Sha256>]| {
            review(&plan, pinned, request)
                .err()
                .map(|refusal| refusal.code)
        };
        assert_eq!(refused(&good, &pinned), None);
        let mismatch = Some(Code::SourceMismatch);
        assert_eq!(
            refused(
                &CompleteRequest {
                    parts: good.parts[..1].to_vec(),
                    ..good.clone()
                },
                &pinned
            ),
            mismatch
        );
        let swapped = vec![good.parts[1].clone(), good.parts[0].clone()];
        assert_eq!(
            refused(
                &CompleteRequest {
                    parts: swapped,
                    ..good.clone()
                },
                &pinned
            ),
            mismatch
        );
        assert_eq!(refused(&good, &[Some(sums[1]), None]), mismatch);
        let other = CompleteRequest {
            checksum: Checksum::whole(&sums[0]),
            ..good
        };
        assert_eq!(refused(&other, &pinned), mismatch);
    }
}
