//! The headers that bind the body of a part or object into a presigned URL.

use std::collections::BTreeMap;

use upload_types::wire::{PartSpec, Proof};

use crate::fault::Fault;

/// The headers with the length of the body and the hash that the store verifies for this proof.
///
/// # Errors
/// [`Fault::Refused`] for [`Proof::Md5`] without an MD5.
pub(crate) fn body_headers(
    proof: Proof,
    part: &PartSpec,
) -> Result<BTreeMap<String, String>, Fault> {
    let mut headers = BTreeMap::from([("content-length".to_owned(), part.size.to_string())]);
    let (name, value) = match proof {
        Proof::None => return Ok(headers),
        Proof::Sha256 => ("x-amz-checksum-sha256", part.sha256.base64()),
        // The signature uses the value of this header as the hash of the payload.
        Proof::Payload => ("x-amz-content-sha256", part.sha256.to_string()),
        Proof::Md5 => {
            let md5 = part.md5.ok_or_else(|| {
                Fault::Refused("could not sign the part: its MD5 is missing".into())
            })?;
            ("content-md5", md5.base64())
        }
    };
    headers.insert(name.to_owned(), value);
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use upload_types::{PartNumber, Sha256};

    #[test]
    fn md5_is_required_only_by_its_proof() {
        let part = PartSpec {
            number: PartNumber::FIRST,
            size: 11,
            sha256: Sha256::of(b"hello world"),
            md5: None,
        };
        assert!(matches!(
            body_headers(Proof::Md5, &part),
            Err(Fault::Refused(_))
        ));
        assert!(body_headers(Proof::Sha256, &part).is_ok());
    }
}
