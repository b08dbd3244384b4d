//! The gateway and the bucket under test.

use crate::bucket::Bucket;
use crate::gateway::{LedgerRow, TestGateway, read_row};
use crate::upload_model::UploadModel;

pub struct ContractModel {
    pub(super) gateway: TestGateway,
    pub(super) bucket: Bucket,
    pub(super) cases: usize,
}

impl ContractModel {
    pub(super) fn row(&self, upload: &UploadModel) -> Option<LedgerRow> {
        read_row(&self.gateway.ledger(), &upload.idempotency_key)
    }
}
