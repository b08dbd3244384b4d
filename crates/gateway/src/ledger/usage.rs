//! The usage of all owners, for the operator.

use std::collections::HashMap;

use jiff::Timestamp;

use super::database::Ledger;
use super::error::LedgerResult;
use super::sql::{self, Row, damaged, values};
use upload_types::wire::UploadState;

/// A number of uploads, and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    pub uploads: u64,
    pub bytes: u64,
}

impl Amount {
    fn add(&mut self, uploads: u64, bytes: u64) {
        self.uploads = self.uploads.saturating_add(uploads);
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// An owner, and its uploads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerUsage {
    pub segment: String,
    pub subject: String,
    pub created_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
    /// The bytes that its quota counts as stored.
    pub counted_bytes: u64,
    /// Unfinished uploads.
    pub open: Amount,
    /// Verified and ready uploads.
    pub stored: Amount,
    /// Rejected, aborted and expired uploads.
    pub ended: Amount,
}

impl Ledger {
    /// A page of at most `limit` owners in the order of their subjects, after `after`.
    pub async fn owner_usage(&self, after: &str, limit: u32) -> LedgerResult<Vec<OwnerUsage>> {
        let after = after.to_owned();
        self.read(move |tx| {
            let sql = "SELECT segment, subject, created_at, last_used_at, stored_bytes FROM owner \
                       WHERE subject > ?1 ORDER BY subject LIMIT ?2";
            let mut owners = tx.query(sql, values![&after, limit], read)?;
            let Some(last) = owners.last().map(|owner| owner.subject.clone()) else {
                return Ok(owners);
            };
            let sql = "SELECT segment, state, count(*), CAST(coalesce(sum(size), 0) AS BIGINT) \
                       FROM upload JOIN owner ON owner.number = upload.owner \
                       WHERE subject > ?1 AND subject <= ?2 GROUP BY segment, state";
            let sums = tx.query(sql, values![&after, &last], |row| {
                let state = UploadState::from_name(&row.text(1)?);
                let state = state.ok_or(damaged(1, "not a state"))?;
                Ok((row.text(0)?, state, row.number(2)?, row.number(3)?))
            })?;
            let mut by_segment: HashMap<String, &mut OwnerUsage> = owners
                .iter_mut()
                .map(|owner| (owner.segment.clone(), owner))
                .collect();
            for (segment, state, uploads, bytes) in sums {
                if let Some(owner) = by_segment.get_mut(&segment) {
                    owner.amount(state).add(uploads, bytes);
                }
            }
            Ok(owners)
        })
        .await
    }
}

impl OwnerUsage {
    /// The amount that counts uploads in this state.
    fn amount(&mut self, state: UploadState) -> &mut Amount {
        match state {
            UploadState::Pending
            | UploadState::Uploading
            | UploadState::Completing
            | UploadState::Aborting => &mut self.open,
            UploadState::Verified | UploadState::Ready => &mut self.stored,
            UploadState::Rejected | UploadState::Aborted | UploadState::Expired => &mut self.ended,
        }
    }
}

fn read(row: &Row<'_>) -> sql::Result<OwnerUsage> {
    Ok(OwnerUsage {
        segment: row.text(0)?,
        subject: row.text(1)?,
        created_at: row.time(2)?,
        last_used_at: row.optional_time(3)?,
        counted_bytes: row.number(4)?,
        open: Amount::default(),
        stored: Amount::default(),
        ended: Amount::default(),
    })
}
