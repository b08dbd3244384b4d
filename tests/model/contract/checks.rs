//! The expected state of ledger and bucket after each response and each step.

use serde_json::{Value, json};
use upload_types::UploadId;
use upload_types::wire::{Receipt, UploadState};

use super::requests::Request;
use super::state::ContractModel;
use crate::CheckResult;
use crate::bucket::{Content, Part};
use crate::faults::{Call, FaultKind};
use crate::gateway::{LedgerRow, Reply};
use crate::operations::Operation;
use crate::upload_model::{UploadModel, has_no_parts, hex, is_open};

impl ContractModel {
    /// Checks the ledger and the bucket against a response.
    pub(super) fn check_response(
        &self,
        upload: &mut UploadModel,
        request: &Request,
        response: &Reply,
    ) -> CheckResult {
        let Some((status, body)) = response else {
            return Ok(());
        };
        let row = self.row(upload);
        match (&request.op, status) {
            (Operation::Begin { .. }, 200 | 201) => {
                upload.id_known = true;
                upload.record_urls(body);
                let row = row.ok_or("begun, but the ledger has no row")?;
                if body["id"] != json!(row.id) || body["key"] != json!(row.key) {
                    return Err(format!("the response {body} differs from the row {row:?}"));
                }
                if !upload.is_single() && row.store_upload.is_none() && is_open(row.state) {
                    return Err("begun, but the store has no multipart upload".into());
                }
            }
            (Operation::Sign { .. }, 200) => upload.record_urls(body),
            (Operation::Abort(_), 204) => {
                let contents = self.bucket.contents();
                let row = row.ok_or("aborted, but the ledger has no row")?;
                let left = contents.open.values().any(|open| open.key == row.key);
                let was_aborted =
                    !matches!(row.state, UploadState::Expired | UploadState::Rejected);
                if was_aborted
                    && (left || (contents.objects.contains_key(&row.key) && !upload.put_after_end))
                {
                    return Err("aborted, but the store still has data of the upload".into());
                }
            }
            (Operation::Complete { .. }, 200) => {
                let receipt: Receipt =
                    serde_json::from_value(body.clone()).map_err(|reason| reason.to_string())?;
                let kept = row
                    .and_then(|row| row.receipt)
                    .ok_or("completed, but the ledger has no receipt")?;
                if serde_json::from_str::<Receipt>(&kept).map_err(|reason| reason.to_string())?
                    != receipt
                {
                    return Err(format!(
                        "the receipt differs from the ledger's: {body} {kept}"
                    ));
                }
            }
            (Operation::List, 200) => return self.check_list(upload, body, row.as_ref()),
            _ => {}
        }
        Ok(())
    }

    /// A list shows the parts in the store; of a completed upload, the parts of the object.
    pub(super) fn check_list(
        &self,
        upload: &UploadModel,
        body: &Value,
        row: Option<&LedgerRow>,
    ) -> CheckResult {
        let (contents, row) = (
            self.bucket.contents(),
            row.ok_or("listed, but the ledger has no row")?,
        );
        let Some(open) = row
            .store_upload
            .as_ref()
            .and_then(|id| contents.open.get(id))
            .filter(|_| is_open(row.state))
        else {
            return Ok(());
        };
        let entry = |number: u32, part: &Part| json!({"number": number, "size": part.size, "etag": part.etag, "sha256": hex(part.sha256)});
        let stored: Vec<Value> = open
            .parts
            .iter()
            .map(|(number, part)| entry(*number, part))
            .collect();
        if body["parts"] != json!(stored) && contents.faults.injected.is_empty() {
            return Err(format!(
                "the list is {body}, but the stored parts are {stored:?} of {}",
                upload.idempotency_key
            ));
        }
        Ok(())
    }

    /// Conditions that hold after every step.
    pub(super) fn invariants(&self, uploads: &[UploadModel]) -> CheckResult {
        let contents = self.bucket.contents();
        let of_key = |key: &str| {
            uploads
                .iter()
                .filter_map(|upload| Some((upload, upload.row.as_ref()?)))
                .find(|(_, row)| row.key == key)
        };
        for (key, object) in &contents.objects {
            let Some((upload, row)) = of_key(key) else {
                return Err(format!("an object without an upload: {key}"));
            };
            let pins: Vec<_> = row.parts.iter().map(|part| part.sha256).collect();
            let content: Vec<_> = object
                .content
                .iter()
                .map(|(sha256, _)| Some(*sha256))
                .collect();
            if content != pins || object.token.as_ref() != Some(&row.token) {
                return Err(format!(
                    "an object differs from the pinned parts: {object:?} {row:?}"
                ));
            }
            if matches!(row.state, UploadState::Aborted | UploadState::Rejected)
                && !upload.put_after_end
            {
                return Err(format!(
                    "an upload that is {} has an object",
                    row.state.name()
                ));
            }
        }
        for (id, open) in &contents.open {
            let Some((_, row)) = of_key(&open.key) else {
                continue;
            };
            let is_superfluous = row.store_upload.as_ref().is_some_and(|known| known != id);
            let has_ended = matches!(row.state, UploadState::Ready | UploadState::Aborted);
            // A superfluous upload that could not be found or aborted is left to the cleanup.
            let prevents_abort = |(call, _): &(Call, FaultKind)| {
                matches!(call, Call::Abort | Call::List | Call::Find)
            };
            if (is_superfluous || has_ended) && !contents.faults.injected.iter().any(prevents_abort)
            {
                return Err(format!(
                    "{id} is open at the key of an upload that is {}: {row:?}",
                    row.state.name()
                ));
            }
        }
        for (upload, row) in uploads
            .iter()
            .filter_map(|upload| Some((upload, upload.row.as_ref()?)))
        {
            let created_objects = contents
                .created_objects
                .iter()
                .filter(|(key, _)| *key == row.key)
                .count();
            if created_objects > 1 && !upload.put_after_end {
                return Err(format!(
                    "{created_objects} objects were created for one upload: {row:?}"
                ));
            }
            check_part_rows(row)?;
            if (row.state == UploadState::Ready) != row.receipt.is_some() {
                return Err(format!("only ready uploads have a receipt: {row:?}"));
            }
            let Some(receipt) = &row.receipt else {
                continue;
            };
            let receipt: Receipt =
                serde_json::from_str(receipt).map_err(|reason| reason.to_string())?;
            let object = contents
                .objects
                .get(&row.key)
                .ok_or(format!("a receipt without an object: {row:?}"))?;
            let sizes: Content = upload
                .content()
                .into_iter()
                .zip(upload.part_sizes.iter().copied())
                .collect();
            let is_correct = object.content == sizes
                && receipt.size == upload.size
                && receipt.parts as usize == upload.part_sizes.len()
                && receipt
                    .checksum
                    .as_ref()
                    .is_some_and(|checksum| checksum.as_str() == object.checksum)
                && receipt.etag.as_str() == object.etag
                && receipt.key.as_str() == row.key
                && receipt.id.as_ref().map(UploadId::as_str) == Some(row.id.as_str());
            if !is_correct {
                return Err(format!(
                    "a receipt is wrong: {receipt:?} {object:?} {row:?}"
                ));
            }
        }
        Ok(())
    }
}

/// A part has a row in the ledger from its pin to the end of its upload.
fn check_part_rows(row: &LedgerRow) -> CheckResult {
    let pinned = row.parts.iter().filter(|part| part.sha256.is_some());
    let expected = if has_no_parts(row.state) {
        0
    } else {
        pinned.count()
    };
    if row.part_rows != expected {
        return Err(format!("another number of rows of parts: {row:?}"));
    }
    Ok(())
}
