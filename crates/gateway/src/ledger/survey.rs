//! The walk over the objects of the store: its position, and the uploads of one page.
//!
//! Not here: the listing, and the comparison (`service/survey`).

use jiff::Timestamp;

use super::database::Ledger;
use super::error::LedgerResult;
use super::sql::{Row, values};
use super::uploads::{COLUMN_COUNT, COLUMNS, Upload, read_upload};
use upload_types::wire::UploadState;

/// The number of rows that [`Ledger::uploads_with_objects`] returns at most.
const MAX_ROWS: usize = 1000;

/// A page of the walk, taken by the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SurveyPage {
    /// The page begins after this key. Empty at the beginning.
    pub after_key: String,
    /// Until this time, no other gateway takes the page.
    pub until: Timestamp,
}

/// An upload that has an object, or that may have one although it has ended.
pub struct SurveyedUpload {
    pub upload: Upload,
    pub held_bytes: u64,
    /// True if a cleanup is scheduled.
    pub has_cleanup: bool,
    /// True if the upload has expired, and a cleanup has kept its object, which may be complete.
    pub is_object_kept: bool,
}

/// The keys that a walk covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SurveyedKeys {
    /// Those that the gateway has made.
    Made,
    /// Also those that clients have chosen.
    All,
}

impl Ledger {
    /// Takes the next page of the walk until `until`, if it is due at `now`.
    pub async fn take_survey_page(
        &self,
        now: Timestamp,
        until: Timestamp,
    ) -> LedgerResult<Option<SurveyPage>> {
        self.write(move |tx| {
            let sql = "UPDATE object_survey SET due_at = ?2 WHERE due_at <= ?1 RETURNING after_key";
            let key = tx.find(sql, values![now, until], |row: &Row<'_>| row.text(0))?;
            Ok(key.map(|after_key| SurveyPage { after_key, until }))
        })
        .await
    }

    /// Begins the walk again at the next call. A gateway that has taken a page does not continue
    /// it.
    pub async fn restart_survey(&self) -> LedgerResult<()> {
        self.write(|tx| {
            let sql = "UPDATE object_survey SET after_key = '', due_at = 0";
            tx.execute(sql, &[]).map(drop)
        })
        .await
    }

    /// Records that the next page begins after `after_key` and is due at `due`. Returns false if
    /// another gateway has taken the page in the meantime.
    pub async fn finish_survey_page(
        &self,
        page: &SurveyPage,
        after_key: &str,
        due: Timestamp,
    ) -> LedgerResult<bool> {
        let (until, after_key) = (page.until, after_key.to_owned());
        self.write(move |tx| {
            let sql = "UPDATE object_survey SET after_key = ?2, due_at = ?3 WHERE due_at = ?1";
            Ok(tx.execute(sql, values![until, &after_key, due])? == 1)
        })
        .await
    }

    /// The uploads with keys above `after`, up to `last` if it is given, in the order of their
    /// keys: those that are complete, and those that have ended. Also returns whether there are
    /// more. Of several uploads with the same chosen key, those whose object was replaced are left
    /// out, and so are ended ones if one is complete.
    pub async fn uploads_with_objects(
        &self,
        after: &str,
        last: Option<&str>,
        keys: SurveyedKeys,
    ) -> LedgerResult<(Vec<SurveyedUpload>, bool)> {
        let (after, last) = (after.to_owned(), last.map(str::to_owned));
        self.read(move |tx| {
            let sql = format!(
                "SELECT {COLUMNS}, held_bytes, cleanup_at, ended_at FROM upload \
                 WHERE key > ?1 AND (?2 IS NULL OR key <= ?2) \
                 AND state IN ('verified', 'ready', 'rejected', 'aborted', 'expired') AND is_replaced = 0 \
                 AND (chosen_key IS NULL OR (?3 = 1 AND (state IN ('verified', 'ready') OR NOT EXISTS \
                 (SELECT 1 FROM upload other WHERE other.key = upload.key AND other.is_replaced = 0 \
                 AND other.state IN ('verified', 'ready'))))) \
                 ORDER BY key LIMIT {MAX_ROWS}"
            );
            let read = |row: &Row<'_>| {
                let upload = read_upload(row)?;
                let has_end = row.optional_time(COLUMN_COUNT + 2)?.is_some();
                Ok(SurveyedUpload {
                    is_object_kept: upload.state == UploadState::Expired && !has_end,
                    upload,
                    held_bytes: row.number(COLUMN_COUNT)?,
                    has_cleanup: row.optional_time(COLUMN_COUNT + 1)?.is_some(),
                })
            };
            let with_chosen = u64::from(keys == SurveyedKeys::All);
            let mut rows = tx.query(&sql, values![&after, last.as_deref(), with_chosen], read)?;
            let is_full = rows.len() == MAX_ROWS;
            if is_full {
                drop_cut_key(&mut rows);
            }
            Ok((rows, is_full))
        })
        .await
    }
}

/// Leaves out the uploads at the last key, of which the page may lack some, unless all have it: the
/// next page begins after a key.
fn drop_cut_key(rows: &mut Vec<SurveyedUpload>) {
    let Some(last) = rows.last().map(|row| row.upload.key.clone()) else {
        return;
    };
    if let Some(before) = rows.iter().rposition(|row| row.upload.key != last) {
        rows.truncate(before + 1);
    }
}
