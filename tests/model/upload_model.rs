//! The expected state of one upload, and the bodies of its requests.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use upload_types::wire::{SignResponse, SignedPart, SignedPut, UploadState};
use upload_types::{Checksum, Sha256};

use crate::bucket::Bucket;
use crate::gateway::LedgerRow;
use crate::operations::{CompleteForm, Epoch};
use crate::support::PART;

/// The expected state of one upload.
pub struct UploadModel {
    pub idempotency_key: String,
    pub size: u64,
    pub part_sizes: Vec<u64>,
    /// The expected row; `None` before the first begin.
    pub row: Option<LedgerRow>,
    /// True after a response that contained the id.
    pub id_known: bool,
    pub urls: BTreeMap<(u32, u8), SignedPut>,
    /// A single PUT arrived after the upload ended, because its URL was still valid.
    pub put_after_end: bool,
}

pub fn variant_sha256(variant: u8, number: u32) -> [u8; 32] {
    *Sha256::of(&[variant, u8::try_from(number).unwrap()]).bytes()
}

const CONTENT_TYPE: &str = "video/mp4";
const OTHER_CONTENT_TYPE: &str = "text/plain";

pub fn content_type(other: bool) -> &'static str {
    if other {
        OTHER_CONTENT_TYPE
    } else {
        CONTENT_TYPE
    }
}

pub fn hex(sha256: [u8; 32]) -> String {
    Sha256::new(sha256).to_string()
}

pub fn is_over(state: UploadState) -> bool {
    matches!(
        state,
        UploadState::Rejected | UploadState::Aborting | UploadState::Aborted | UploadState::Expired
    )
}

/// Returns true if the ledger has deleted the rows of the parts of an upload in this state.
pub fn has_no_parts(state: UploadState) -> bool {
    matches!(
        state,
        UploadState::Verified | UploadState::Ready | UploadState::Rejected | UploadState::Aborted
    )
}

pub fn is_open(state: UploadState) -> bool {
    matches!(state, UploadState::Pending | UploadState::Uploading)
}

pub fn checksum(content: &[[u8; 32]]) -> String {
    let content: Vec<Sha256> = content.iter().map(|sha256| Sha256::new(*sha256)).collect();
    match content.as_slice() {
        [only] => Checksum::whole(only).to_string(),
        all => Checksum::composite(all).to_string(),
    }
}

impl UploadModel {
    pub fn new(idempotency_key: String, size: u64) -> Self {
        let count = size.div_ceil(PART).max(1);
        let part_sizes = (0..count).map(|at| PART.min(size - at * PART)).collect();
        let urls = BTreeMap::new();
        Self {
            idempotency_key,
            size,
            part_sizes,
            row: None,
            id_known: false,
            urls,
            put_after_end: false,
        }
    }

    pub fn is_single(&self) -> bool {
        self.part_sizes.len() == 1
    }

    /// Returns true if the request with the other content type began the upload.
    pub fn other(&self) -> bool {
        self.row
            .as_ref()
            .is_some_and(|row| row.content_type == OTHER_CONTENT_TYPE)
    }

    pub fn specs(&self, parts: &[(u32, u8)], wrong_size: bool) -> Vec<Value> {
        let len = |number: u32| {
            self.part_sizes
                .get(number as usize - 1)
                .copied()
                .unwrap_or(1)
                + u64::from(wrong_size)
        };
        let spec = |(number, variant): &(u32, u8)| {
            let sha256 = hex(variant_sha256(*variant, *number));
            json!({"number": number, "size": if *number == 0 { 0 } else { len(*number) }, "sha256": sha256})
        };
        parts.iter().map(spec).collect()
    }

    pub fn all(&self, variant: u8) -> Vec<(u32, u8)> {
        (1..)
            .zip(&self.part_sizes)
            .map(|(number, _)| (number, variant))
            .collect()
    }

    /// The pinned SHA-256 of each part; if it has none, the SHA-256 that a client would pin.
    pub fn content(&self) -> Vec<[u8; 32]> {
        let pinned = |at: usize| self.row.as_ref()?.parts.get(at)?.sha256;
        (0..self.part_sizes.len())
            .map(|at| pinned(at).unwrap_or(variant_sha256(0, u32::try_from(at).unwrap() + 1)))
            .collect()
    }

    pub fn begin(&self, other: bool, holder: Option<u8>, parts: Option<u8>) -> Value {
        let content_type = content_type(other);
        let parts = parts.map(|variant| self.specs(&self.all(variant), false));
        json!({"name": "film.mov", "size": self.size, "content_type": content_type, "part_size": PART,
            "holder": holder.map(|holder| format!("holder-{holder}")), "parts": parts})
    }

    pub fn epoch(&self, epoch: Epoch) -> u64 {
        let current = self.row.as_ref().map_or(1, |row| row.epoch);
        match epoch {
            Epoch::Current => current,
            Epoch::Older => current - 1,
            Epoch::Newer => current + 1,
        }
    }

    pub fn complete(&self, bucket: &Bucket, epoch: Epoch, form: CompleteForm) -> Value {
        let contents = bucket.contents();
        let row = self.row.as_ref().unwrap();
        let open_upload = row
            .store_upload
            .as_ref()
            .and_then(|id| contents.open.get(id));
        let mut content = self.content();
        if form == CompleteForm::OtherBytes {
            content[0] = variant_sha256(9, 1);
        }
        let etag = |number: u32| match (open_upload, contents.objects.get(&row.key)) {
            (Some(open), _) => open
                .parts
                .get(&number)
                .map_or("absent".into(), |part| part.etag.clone()),
            (None, Some(object)) if self.is_single() => object.etag.clone(),
            _ => "absent".into(),
        };
        let mut parts: Vec<Value> = (1_u32..)
            .zip(&content)
            .map(|(number, sha256)| json!({"number": number, "etag": etag(number), "sha256": hex(*sha256)}))
            .collect();
        let mut full = checksum(&content);
        match form {
            CompleteForm::PartMissing => drop(parts.pop()),
            CompleteForm::OtherEtag => parts[0]["etag"] = json!("another"),
            CompleteForm::OtherChecksum => full = checksum(&[variant_sha256(9, 9)]),
            CompleteForm::Swapped => parts.reverse(),
            CompleteForm::Valid | CompleteForm::OtherBytes => {}
        }
        json!({"epoch": self.epoch(epoch), "parts": parts, "checksum": full})
    }

    /// Records the signed URLs.
    pub fn record_urls(&mut self, body: &Value) {
        let Ok(response) = serde_json::from_value::<SignResponse>(body.clone()) else {
            return;
        };
        for signed in response.parts {
            let SignedPart::Put(put) = signed else {
                continue;
            };
            let checksum = put
                .headers
                .get("x-amz-checksum-sha256")
                .cloned()
                .unwrap_or_default();
            let is_signed_for = |variant: &u8| {
                Sha256::new(variant_sha256(*variant, put.number.get())).base64() == checksum
            };
            if let Some(variant) = (0..10).find(is_signed_for) {
                self.urls.insert((put.number.get(), variant), put);
            }
        }
    }
}
