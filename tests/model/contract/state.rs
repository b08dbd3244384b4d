//! The gateway and the bucket under test.

use crate::bucket::Bucket;
use crate::gateway::{LedgerRow, TestGateway, read_row};
use crate::upload_model::{UploadModel, has_no_parts};

pub struct ContractModel {
    pub(super) gateway: TestGateway,
    pub(super) bucket: Bucket,
    pub(super) cases: usize,
}

impl ContractModel {
    /// The row of an upload. The ledger keeps no parts of an upload that has ended: they are those
    /// of its object, otherwise those that were known before.
    pub(super) fn row(&self, upload: &UploadModel) -> Option<LedgerRow> {
        let mut row = read_row(&self.gateway.ledger(), &upload.idempotency_key)?;
        if has_no_parts(row.state) && row.part_rows == 0 {
            let contents = self.bucket.contents();
            let object = contents.objects.get(&row.key);
            let object = object.filter(|object| object.content.len() == row.parts.len());
            let before = upload.row.as_ref();
            if let Some(object) = object {
                for (part, (sha256, _)) in row.parts.iter_mut().zip(&object.content) {
                    part.sha256 = Some(*sha256);
                }
            } else if let Some(before) = before {
                row.parts.clone_from(&before.parts);
            }
        }
        Some(row)
    }
}
