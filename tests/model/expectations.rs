//! The contract as plain data: the expected result of each call without faults.

use upload_types::wire::UploadState;

use crate::bucket::{Bucket, Content};
use crate::gateway::{LedgerRow, Part};
use crate::operations::{CompleteForm, Epoch, Operation};
use crate::upload_model::{UploadModel, is_open, is_over, variant_sha256};

/// The expected code and row after a call.
pub type Expected = (String, Option<LedgerRow>);

/// Expected results of calls without faults.
impl UploadModel {
    pub fn expect(&self, op: &Operation, bucket: &Bucket) -> Expected {
        let same = |code: &str| (code.to_owned(), self.row.clone());
        if let Operation::Begin {
            other,
            holder,
            parts,
        } = op
        {
            return self.expect_begin(*other, *holder, *parts);
        }
        let Some(row) = &self.row else {
            return same("not_found");
        };
        let with = |change: &dyn Fn(&mut LedgerRow)| {
            let mut row = row.clone();
            change(&mut row);
            Some(row)
        };
        match op {
            Operation::Claim { .. } if is_over(row.state) => same("gone"),
            Operation::Claim { holder, epoch } => {
                let holder = format!("holder-{holder}");
                let is_holder = row.holder.as_ref().is_none_or(|current| *current == holder);
                match epoch.map(|epoch| self.epoch(epoch)) {
                    Some(epoch) if !is_holder || epoch != row.epoch => same("lease_lost"),
                    None if !is_holder && !row.lease_expired => same("lease_held"),
                    named => {
                        let step = u64::from(named.is_none());
                        let change = |row: &mut LedgerRow| {
                            (row.epoch, row.holder, row.lease_expired) =
                                (row.epoch + step, Some(holder.clone()), false);
                        };
                        ("200".into(), with(&change))
                    }
                }
            }
            // Part number 0 cannot be parsed.
            Operation::Sign { parts, .. } if parts.iter().any(|(number, _)| *number == 0) => {
                same("invalid_request")
            }
            Operation::Sign { epoch, .. }
                if self.epoch(*epoch) != row.epoch && !is_over(row.state) =>
            {
                same("lease_lost")
            }
            Operation::Sign {
                parts, wrong_size, ..
            } => {
                match row.state {
                    UploadState::Completing => return same("busy"),
                    UploadState::Ready | UploadState::Verified => return same("invalid_request"),
                    state if is_over(state) => return same("gone"),
                    _ => {}
                }
                let last = u32::try_from(self.part_sizes.len()).unwrap();
                if *wrong_size || parts.iter().any(|(number, _)| !(1..=last).contains(number)) {
                    return same("invalid_request");
                }
                Self::pinned(row.clone(), parts).unwrap_or_else(|| same("part_pinned"))
            }
            Operation::List => match row.state {
                state if is_over(state) => same("gone"),
                UploadState::Verified | UploadState::Ready if !self.is_single() => {
                    same("invalid_request")
                }
                state
                    if (is_open(state) || state == UploadState::Completing)
                        && self.is_lost(bucket) =>
                {
                    ("gone".into(), with(&|row| row.state = UploadState::Expired))
                }
                _ => same("200"),
            },
            Operation::Complete { epoch, form } => self.expect_complete(row, *epoch, *form, bucket),
            Operation::Abort(Some(epoch))
                if self.epoch(*epoch) != row.epoch && !is_over(row.state) =>
            {
                same("lease_lost")
            }
            Operation::Abort(_) => match row.state {
                UploadState::Completing | UploadState::Verified | UploadState::Ready => {
                    same("not_abortable")
                }
                UploadState::Aborted | UploadState::Expired | UploadState::Rejected => same("204"),
                _ => ("204".into(), with(&|row| row.state = UploadState::Aborted)),
            },
            Operation::Url => match row.state {
                UploadState::Ready => same("200"),
                state if is_over(state) => same("gone"),
                _ => same("not_ready"),
            },
            _ => same("200"),
        }
    }

    pub fn expect_begin(&self, other: bool, holder: Option<u8>, parts: Option<u8>) -> Expected {
        let parts = parts.map(|variant| self.all(variant));
        let holder = holder.map(|holder| format!("holder-{holder}"));
        let Some(row) = &self.row else {
            let sha256 = |at: usize| {
                parts
                    .as_ref()
                    .map(|parts| variant_sha256(parts[at].1, parts[at].0))
            };
            let part = |at| Part {
                sha256: sha256(at),
                etag: None,
            };
            let state = if parts.is_some() {
                UploadState::Uploading
            } else {
                UploadState::Pending
            };
            let row = LedgerRow {
                state,
                epoch: 1,
                holder,
                parts: (0..self.part_sizes.len()).map(part).collect(),
                ..LedgerRow::blank()
            };
            return ("201".into(), Some(row));
        };
        let mut row = row.clone();
        if other != self.other() {
            return ("idempotency_mismatch".into(), Some(row));
        }
        if holder.is_none() && row.holder.is_some() && !is_over(row.state) {
            return ("lease_held".into(), Some(row));
        }
        if let Some(holder) = holder.filter(|_| !is_over(row.state)) {
            let is_holder = row.holder.as_ref() == Some(&holder);
            if !is_holder && row.holder.is_some() && !row.lease_expired {
                return ("lease_held".into(), Some(row));
            }
            (row.epoch, row.holder, row.lease_expired) =
                (row.epoch + u64::from(!is_holder), Some(holder), false);
        }
        let Some(parts) = parts.filter(|_| is_open(row.state)) else {
            return ("200".into(), Some(row));
        };
        Self::pinned(row.clone(), &parts).unwrap_or_else(|| ("part_pinned".into(), Some(row)))
    }

    /// The row with these parts pinned; `None` if one is pinned to other bytes.
    pub fn pinned(mut row: LedgerRow, parts: &[(u32, u8)]) -> Option<Expected> {
        for (number, variant) in parts {
            let part = &mut row.parts[*number as usize - 1].sha256;
            let sha256 = variant_sha256(*variant, *number);
            if part.is_some_and(|pinned| pinned != sha256) {
                return None;
            }
            *part = Some(sha256);
        }
        (row.state, row.lease_expired) = (UploadState::Uploading, false);
        Some(("200".into(), Some(row)))
    }

    /// Returns true if the store has neither the multipart upload nor an object.
    pub fn is_lost(&self, bucket: &Bucket) -> bool {
        let (contents, Some(row)) = (bucket.contents(), &self.row) else {
            return false;
        };
        let known = row.store_upload.as_ref();
        known.is_some_and(|id| !contents.open.contains_key(id))
            && !contents.objects.contains_key(&row.key)
    }

    pub fn expect_complete(
        &self,
        row: &LedgerRow,
        epoch: Epoch,
        form: CompleteForm,
        bucket: &Bucket,
    ) -> Expected {
        let same = |code: &str| (code.to_owned(), Some(row.clone()));
        if is_over(row.state) {
            return same("gone");
        }
        if row.receipt.is_some() {
            return same("200");
        }
        if self.epoch(epoch) != row.epoch {
            return same("lease_lost");
        }
        let matches_source = match form {
            CompleteForm::Valid | CompleteForm::OtherEtag => true,
            // An earlier complete may have pinned these bytes.
            CompleteForm::OtherBytes => row.parts[0]
                .sha256
                .is_none_or(|pinned| pinned == variant_sha256(9, 1)),
            CompleteForm::Swapped => self.is_single(),
            CompleteForm::PartMissing | CompleteForm::OtherChecksum => false,
        };
        if !matches_source {
            return same("source_mismatch");
        }
        let mut content = self.content();
        if form == CompleteForm::OtherBytes {
            content[0] = variant_sha256(9, 1);
        }
        let mut after = row.clone();
        after.lease_expired = false;
        for (part, sha256) in after.parts.iter_mut().zip(&content) {
            part.sha256 = Some(*sha256);
        }
        let contents = bucket.contents();
        let digests = |content: &Content| {
            content
                .iter()
                .map(|(sha256, _)| *sha256)
                .collect::<Vec<_>>()
        };
        let object = contents
            .objects
            .get(&row.key)
            .map(|object| digests(&object.content));
        let open = row
            .store_upload
            .as_ref()
            .and_then(|id| contents.open.get(id));
        let stored = |number: u32| {
            open.and_then(|open| open.parts.get(&number))
                .map(|part| part.sha256)
        };
        let (state, code) = match (&object, open) {
            (Some(object), _) if *object == content => (UploadState::Ready, "200"),
            (Some(_), None) => (UploadState::Rejected, "gone"),
            (None, None) if self.is_single() => (UploadState::Uploading, "parts_mismatch"),
            (None, None) => (UploadState::Expired, "gone"),
            (_, Some(_)) => {
                let all = (1..)
                    .zip(&content)
                    .all(|(number, sha256)| stored(number) == Some(*sha256));
                if all && form != CompleteForm::OtherEtag {
                    (UploadState::Ready, "200")
                } else {
                    (UploadState::Uploading, "parts_mismatch")
                }
            }
        };
        after.state = state;
        (code.into(), Some(after))
    }
}

/// Returns true if one call may change the state from `from` to `to`.
pub fn may_lead(from: UploadState, to: UploadState) -> bool {
    use UploadState::{
        Aborted, Aborting, Completing, Expired, Pending, Ready, Rejected, Uploading,
    };
    from == to
        || match from {
            Pending => matches!(
                to,
                Uploading | Completing | Ready | Rejected | Aborting | Aborted | Expired
            ),
            Uploading => matches!(
                to,
                Completing | Ready | Rejected | Aborting | Aborted | Expired
            ),
            Completing => matches!(to, Uploading | Ready | Rejected | Expired),
            Aborting => to == Aborted,
            _ => false,
        }
}

/// Checks that at most `calls` calls may have changed the row `before` to `after`.
pub fn check_transition(before: &LedgerRow, after: &LedgerRow, calls: usize) -> Result<(), String> {
    let states = [
        UploadState::Pending,
        UploadState::Uploading,
        UploadState::Completing,
        UploadState::Aborting,
    ];
    let between = calls > 1
        && states
            .iter()
            .any(|state| may_lead(before.state, *state) && may_lead(*state, after.state));
    let pins = before.parts.iter().zip(&after.parts);
    for (is_wrong, change) in [
        (
            (&before.id, &before.key, &before.token) != (&after.id, &after.key, &after.token),
            "has another id, key or token",
        ),
        (
            !may_lead(before.state, after.state) && !between,
            "changed to a state that cannot follow",
        ),
        (after.epoch < before.epoch, "went back to an older epoch"),
        (
            before.receipt.is_some() && before.receipt != after.receipt,
            "has another receipt",
        ),
        (
            before.store_upload.is_some() && before.store_upload != after.store_upload,
            "has another multipart upload",
        ),
        (
            pins.into_iter()
                .any(|(b, a)| b.sha256.is_some() && b.sha256 != a.sha256),
            "is pinned to other bytes",
        ),
    ] {
        if is_wrong {
            return Err(format!("an upload {change}:\n{before:?}\n{after:?}"));
        }
    }
    Ok(())
}

/// Compares a row with the expected one, without the values that are random or chosen by the store.
pub fn matches_expected(expected: Option<&LedgerRow>, actual: Option<&LedgerRow>) -> bool {
    // The pins of a rejected upload are gone, and so is its object.
    let pins = |row: &LedgerRow| {
        let pins = row.parts.iter().map(|part| part.sha256);
        (row.state != UploadState::Rejected).then(|| pins.collect::<Vec<_>>())
    };
    // The sweep uses the lease of an ended upload; the lease of a ready upload has no meaning.
    let lease_expired = |row: &LedgerRow| {
        row.lease_expired && !is_over(row.state) && row.state != UploadState::Ready
    };
    let plain = |row: &LedgerRow| {
        (
            row.state,
            row.epoch,
            row.holder.clone(),
            lease_expired(row),
            pins(row),
        )
    };
    expected.map(plain) == actual.map(plain)
}
