//! Uploads without a plan: neither size nor fingerprints are known when they begin, as with browsers.
//!
//! Border: their rows, and the compare-and-sets they have of their own. Their parts have rows once they are completing, made of what
//! the store holds; what is asked of the store, and when, is `gateway/service`.

use jiff::Timestamp;

use super::db::{self, Db, Failed, Row, damaged, values};
use super::parts::{Signing, open};
use super::{Ledger, quota};
use crate::lease::Renewed;
use crate::limits::{Excess, Quota};
use upload_types::error::Result;
use upload_types::names::UploadId;
use upload_types::plan::Plan;
use upload_types::wire::{StoredPart, UploadState};

/// How the bytes of an upload come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// By a plan: every part's size and SHA-256 is known before it is sent.
    Planned,
    /// In parts of any size, of which the store alone knows.
    Parts,
    /// In one form that is posted to the store; nobody says when.
    Form,
}

impl Manner {
    const ALL: [(Self, &'static str); 3] = [
        (Self::Planned, "planned"),
        (Self::Parts, "parts"),
        (Self::Form, "form"),
    ];

    pub(super) fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find_map(|(manner, name)| (*manner == self).then_some(*name))
            .unwrap_or("planned")
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find_map(|(manner, is)| (*is == name).then_some(*manner))
    }
}

impl Ledger {
    /// Moves an upload that waits for parts to `uploading`, with `bytes` at least, and renews its lease; not where its owner would have
    /// more than the quota.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn foresee(
        &self,
        id: &UploadId,
        epoch: u64,
        bytes: u64,
        quota: Quota,
        renewed: Renewed,
    ) -> Result<std::result::Result<Signing, Excess>> {
        let id = id.clone();
        self.attempt(move |db| {
            let opened = open(
                db,
                &id,
                epoch,
                renewed,
                &[UploadState::Pending, UploadState::Uploading],
                UploadState::Uploading,
            )?;
            if opened != Signing::Done {
                return Ok((Ok(opened), false));
            }
            if let Some(excess) = excess(db, &id, bytes, quota)? {
                return Ok((Err(excess), false));
            }
            db.execute(
                "UPDATE upload SET size = ?2 WHERE id = ?1 AND size < ?2",
                values![id.as_str(), bytes],
            )?;
            Ok((Ok(Signing::Done), true))
        })
        .await
    }

    /// Hands what the store holds to a complete: moves the upload to `completing`, with the plan and the parts it turns out to have; not
    /// where its owner would have more than the quota. One that is completing already stays as it is.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn seal_listed(
        &self,
        id: &UploadId,
        epoch: u64,
        plan: Plan,
        parts: Vec<StoredPart>,
        quota: Quota,
        renewed: Renewed,
    ) -> Result<std::result::Result<Signing, Excess>> {
        let id = id.clone();
        self.attempt(move |db| {
            let opened = open(db, &id, epoch, renewed, &[UploadState::Pending, UploadState::Uploading], UploadState::Completing)?;
            if opened != Signing::Done {
                return Ok((Ok(opened), false));
            }
            if let Some(excess) = excess(db, &id, plan.size(), quota)? {
                return Ok((Err(excess), false));
            }
            let sql = "UPDATE upload SET size = ?2, part_size = ?3, part_count = ?4 WHERE id = ?1";
            let count = u64::try_from(parts.len()).unwrap_or(u64::MAX);
            db.execute(sql, values![id.as_str(), plan.size(), plan.part_size(), count])?;
            db.execute("DELETE FROM part WHERE upload = ?1", values![id.as_str()])?;
            let sql = "INSERT INTO part (upload, number, size, etag, state) VALUES (?1, ?2, ?3, ?4, 'stored')";
            let rows = parts.iter().map(|part| *values![id.as_str(), part.number.get(), part.size, part.etag.as_str()]);
            db.execute_each(sql, &rows.collect::<Vec<_>>())?;
            Ok((Ok(Signing::Done), true))
        })
        .await
    }

    /// Renews the lease of an upload that is completing, and goes on completing.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn seal_again(&self, id: &UploadId, epoch: u64, renewed: Renewed) -> Result<Signing> {
        let id = id.clone();
        self.write(move |db| {
            open(
                db,
                &id,
                epoch,
                renewed,
                &[UploadState::Completing],
                UploadState::Completing,
            )
        })
        .await
    }

    /// Has the next look at a form that was taken until `until` at another time.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn look_at_form(
        &self,
        id: &UploadId,
        until: Timestamp,
        next: Timestamp,
    ) -> Result<()> {
        let id = id.clone();
        self.write(move |db| {
            let sql = "UPDATE upload SET lease_until = ?3 WHERE id = ?1 AND lease_until = ?2 AND state = 'uploading'";
            db.execute(sql, values![id.as_str(), until, next]).map(drop)
        })
        .await
    }
}

/// What the owner of an upload would have too much of, had it `bytes`. How many are open was counted when it began.
fn excess(db: &Db<'_>, id: &UploadId, bytes: u64, quota: Quota) -> db::Result<Option<Excess>> {
    let quota = Quota {
        open: None,
        ..quota
    };
    if quota == Quota::default() {
        return Ok(None);
    }
    let row = |row: &Row<'_>| Ok((row.text(0)?, row.number(1)?));
    let found = db.find(
        "SELECT owner, size FROM upload WHERE id = ?1",
        values![id.as_str()],
        row,
    )?;
    let (owner, counted) = found.ok_or(Failed::Missing)?;
    let mut usage = quota::usage(db, &owner)?;
    usage.outstanding = usage.outstanding.saturating_sub(counted);
    Ok(quota.excess(usage, bytes.max(counted)))
}

pub(super) fn manner(text: &str) -> db::Result<Manner> {
    Manner::from_name(text).ok_or(damaged(20, "not a manner"))
}
