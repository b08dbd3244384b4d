//! The wire contract as plain data: one upload, and what each call about it must come to while nothing fails.
//!
//! Border: foretells; who asks and compares is `contract`.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use upload_types::names::{Checksum, Sha256};
use upload_types::wire::{SignResponse, SignedPart, SignedPut, UploadState};

use crate::bucket::{Bucket, Content};
use crate::gate::{PartRow, Row};
use crate::ops::{Epoch, Form, Op};
use crate::support::PART;

/// One upload: what the model holds true of it.
pub struct Known {
    pub idem: String,
    pub size: u64,
    pub lens: Vec<u64>,
    /// As the ledger must have it; none before it began.
    pub row: Option<Row>,
    /// Its id was in an answer.
    pub told: bool,
    pub urls: BTreeMap<(u32, u8), SignedPut>,
    /// A plain PUT came when the upload was over: its URL outlives it.
    pub late: bool,
}

/// What a call must come to: its code, and the row it leaves.
pub type Foretold = (String, Option<Row>);

pub fn bytes(generation: u8, number: u32) -> [u8; 32] {
    *Sha256::of(&[generation, u8::try_from(number).unwrap()]).bytes()
}

pub fn kind(other: bool) -> &'static str {
    if other { "text/plain" } else { "video/mp4" }
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

impl Known {
    pub fn new(idem: String, size: u64) -> Self {
        let count = size.div_ceil(PART).max(1);
        let lens = (0..count).map(|at| PART.min(size - at * PART)).collect();
        let urls = BTreeMap::new();
        Self {
            idem,
            size,
            lens,
            row: None,
            told: false,
            urls,
            late: false,
        }
    }

    pub fn is_single(&self) -> bool {
        self.lens.len() == 1
    }

    /// Which of the two requests began it.
    pub fn other(&self) -> bool {
        self.row
            .as_ref()
            .is_some_and(|row| row.content_type == kind(true))
    }

    pub fn specs(&self, parts: &[(u32, u8)], wrong_size: bool) -> Vec<Value> {
        let len = |number: u32| {
            self.lens.get(number as usize - 1).copied().unwrap_or(1) + u64::from(wrong_size)
        };
        let spec = |(number, generation): &(u32, u8)| {
            let sha256 = hex(bytes(*generation, *number));
            json!({"number": number, "size": if *number == 0 { 0 } else { len(*number) }, "sha256": sha256})
        };
        parts.iter().map(spec).collect()
    }

    pub fn all(&self, generation: u8) -> Vec<(u32, u8)> {
        (1..)
            .zip(&self.lens)
            .map(|(number, _)| (number, generation))
            .collect()
    }

    /// What the parts are pinned to, or would be by an honest client.
    pub fn content(&self) -> Vec<[u8; 32]> {
        let pinned = |at: usize| self.row.as_ref()?.parts.get(at)?.sha256;
        (0..self.lens.len())
            .map(|at| pinned(at).unwrap_or(bytes(0, u32::try_from(at).unwrap() + 1)))
            .collect()
    }

    pub fn begin(&self, other: bool, holder: Option<u8>, parts: Option<u8>) -> Value {
        let kind = kind(other);
        let parts = parts.map(|generation| self.specs(&self.all(generation), false));
        json!({"name": "film.mov", "size": self.size, "content_type": kind, "part_size": PART,
            "holder": holder.map(|holder| format!("holder-{holder}")), "parts": parts})
    }

    pub fn epoch(&self, epoch: Epoch) -> u64 {
        let own = self.row.as_ref().map_or(1, |row| row.epoch);
        match epoch {
            Epoch::Own => own,
            Epoch::Older => own - 1,
            Epoch::Newer => own + 1,
        }
    }

    pub fn complete(&self, bucket: &Bucket, epoch: Epoch, form: Form) -> Value {
        let rows = bucket.rows();
        let row = self.row.as_ref().unwrap();
        let there = row.store_upload.as_ref().and_then(|id| rows.open.get(id));
        let mut content = self.content();
        if form == Form::OtherBytes {
            content[0] = bytes(9, 1);
        }
        let etag = |number: u32| match (there, rows.objects.get(&row.key)) {
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
        let mut whole = checksum(&content);
        match form {
            Form::OnePartLess => drop(parts.pop()),
            Form::OtherEtag => parts[0]["etag"] = json!("another"),
            Form::OtherChecksum => whole = checksum(&[bytes(9, 9)]),
            Form::Swapped => parts.reverse(),
            Form::Right | Form::OtherBytes => {}
        }
        json!({"epoch": self.epoch(epoch), "parts": parts, "checksum": whole})
    }
}

/// The reference: what each call comes to while nothing fails.
impl Known {
    pub fn foretell(&self, op: &Op, bucket: &Bucket) -> Foretold {
        let same = |code: &str| (code.to_owned(), self.row.clone());
        if let Op::Begin {
            other,
            holder,
            parts,
        } = op
        {
            return self.foretell_begin(*other, *holder, *parts);
        }
        let Some(row) = &self.row else {
            return same("not_found");
        };
        let with = |change: &dyn Fn(&mut Row)| {
            let mut row = row.clone();
            change(&mut row);
            Some(row)
        };
        match op {
            Op::Claim { .. } if is_over(row.state) => same("gone"),
            Op::Claim { holder, epoch } => {
                let holder = format!("holder-{holder}");
                let ours = row.holder.as_ref().is_none_or(|it| *it == holder);
                match epoch.map(|epoch| self.epoch(epoch)) {
                    Some(epoch) if !ours || epoch != row.epoch => same("lease_lost"),
                    None if !ours && !row.aged => same("lease_held"),
                    named => {
                        let step = u64::from(named.is_none());
                        let change = |row: &mut Row| {
                            (row.epoch, row.holder, row.aged) =
                                (row.epoch + step, Some(holder.clone()), false);
                        };
                        ("200".into(), with(&change))
                    }
                }
            }
            // No such number can be written down.
            Op::Sign { parts, .. } if parts.iter().any(|(number, _)| *number == 0) => {
                same("invalid_request")
            }
            Op::Sign { epoch, .. } if self.epoch(*epoch) != row.epoch && !is_over(row.state) => {
                same("lease_lost")
            }
            Op::Sign {
                parts, wrong_size, ..
            } => {
                match row.state {
                    UploadState::Completing => return same("busy"),
                    UploadState::Ready | UploadState::Verified => return same("invalid_request"),
                    state if is_over(state) => return same("gone"),
                    _ => {}
                }
                let last = u32::try_from(self.lens.len()).unwrap();
                if *wrong_size || parts.iter().any(|(number, _)| !(1..=last).contains(number)) {
                    return same("invalid_request");
                }
                Self::pinned(row.clone(), parts).unwrap_or_else(|| same("part_pinned"))
            }
            Op::List => match row.state {
                state if is_over(state) => same("gone"),
                state
                    if (is_open(state) || state == UploadState::Completing)
                        && self.is_lost(bucket) =>
                {
                    ("gone".into(), with(&|row| row.state = UploadState::Expired))
                }
                _ => same("200"),
            },
            Op::Complete { epoch, form } => self.foretell_complete(row, *epoch, *form, bucket),
            Op::Abort(Some(epoch)) if self.epoch(*epoch) != row.epoch && !is_over(row.state) => {
                same("lease_lost")
            }
            Op::Abort(_) => match row.state {
                UploadState::Completing | UploadState::Verified | UploadState::Ready => {
                    same("not_abortable")
                }
                UploadState::Aborted | UploadState::Expired | UploadState::Rejected => same("204"),
                _ => ("204".into(), with(&|row| row.state = UploadState::Aborted)),
            },
            Op::Url => match row.state {
                UploadState::Ready => same("200"),
                state if is_over(state) => same("gone"),
                _ => same("busy"),
            },
            _ => same("200"),
        }
    }

    pub fn foretell_begin(&self, other: bool, holder: Option<u8>, parts: Option<u8>) -> Foretold {
        let parts = parts.map(|generation| self.all(generation));
        let holder = holder.map(|holder| format!("holder-{holder}"));
        let Some(row) = &self.row else {
            let sha256 = |at: usize| parts.as_ref().map(|parts| bytes(parts[at].1, parts[at].0));
            let part = |at| PartRow {
                sha256: sha256(at),
                stored: false,
                etag: None,
            };
            let state = if parts.is_some() {
                UploadState::Uploading
            } else {
                UploadState::Pending
            };
            let row = Row {
                state,
                epoch: 1,
                holder,
                parts: (0..self.lens.len()).map(part).collect(),
                ..Row::blank()
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
            let ours = row.holder.as_ref() == Some(&holder);
            if !ours && row.holder.is_some() && !row.aged {
                return ("lease_held".into(), Some(row));
            }
            (row.epoch, row.holder, row.aged) = (row.epoch + u64::from(!ours), Some(holder), false);
        }
        let Some(parts) = parts.filter(|_| is_open(row.state)) else {
            return ("200".into(), Some(row));
        };
        Self::pinned(row.clone(), &parts).unwrap_or_else(|| ("part_pinned".into(), Some(row)))
    }

    /// The row with these parts pinned; nothing where one is pinned to other bytes.
    pub fn pinned(mut row: Row, parts: &[(u32, u8)]) -> Option<Foretold> {
        for (number, generation) in parts {
            let part = &mut row.parts[*number as usize - 1].sha256;
            let sha256 = bytes(*generation, *number);
            if part.is_some_and(|pinned| pinned != sha256) {
                return None;
            }
            *part = Some(sha256);
        }
        (row.state, row.aged) = (UploadState::Uploading, false);
        Some(("200".into(), Some(row)))
    }

    /// The store has forgotten it, and there is no object either.
    pub fn is_lost(&self, bucket: &Bucket) -> bool {
        let (rows, Some(row)) = (bucket.rows(), &self.row) else {
            return false;
        };
        let known = row.store_upload.as_ref();
        known.is_some_and(|id| !rows.open.contains_key(id)) && !rows.objects.contains_key(&row.key)
    }

    pub fn foretell_complete(
        &self,
        row: &Row,
        epoch: Epoch,
        form: Form,
        bucket: &Bucket,
    ) -> Foretold {
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
        let adds_up = match form {
            Form::Right | Form::OtherEtag => true,
            // An earlier complete may have pinned just these.
            Form::OtherBytes => row.parts[0]
                .sha256
                .is_none_or(|pinned| pinned == bytes(9, 1)),
            Form::Swapped => self.is_single(),
            Form::OnePartLess | Form::OtherChecksum => false,
        };
        if !adds_up {
            return same("source_mismatch");
        }
        let mut content = self.content();
        if form == Form::OtherBytes {
            content[0] = bytes(9, 1);
        }
        let mut after = row.clone();
        after.aged = false;
        for (part, sha256) in after.parts.iter_mut().zip(&content) {
            part.sha256 = Some(*sha256);
        }
        let rows = bucket.rows();
        let plain = |content: &Content| {
            content
                .iter()
                .map(|(sha256, _)| *sha256)
                .collect::<Vec<_>>()
        };
        let object = rows
            .objects
            .get(&row.key)
            .map(|object| plain(&object.content));
        let open = row.store_upload.as_ref().and_then(|id| rows.open.get(id));
        let there = |number: u32| {
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
                    .all(|(number, sha256)| there(number) == Some(*sha256));
                if all && form != Form::OtherEtag {
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

/// Where a state may lead by one call.
pub fn leads(from: UploadState, to: UploadState) -> bool {
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

/// What must be true of a row whatever happened since it was last looked at.
pub fn may_follow(before: &Row, after: &Row, calls: usize) -> Result<(), String> {
    let all = [
        UploadState::Pending,
        UploadState::Uploading,
        UploadState::Completing,
        UploadState::Aborting,
    ];
    let between = calls > 1
        && all
            .iter()
            .any(|state| leads(before.state, *state) && leads(*state, after.state));
    let pins = before.parts.iter().zip(&after.parts);
    for (wrong, what) in [
        (
            (&before.id, &before.key, &before.token) != (&after.id, &after.key, &after.token),
            "is another upload",
        ),
        (
            !leads(before.state, after.state) && !between,
            "moved to a state that does not follow",
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
        if wrong {
            return Err(format!("an upload {what}:\n{before:?}\n{after:?}"));
        }
    }
    Ok(())
}

impl Known {
    /// Keeps what was signed.
    pub fn learn(&mut self, body: &Value) {
        let Ok(answer) = serde_json::from_value::<SignResponse>(body.clone()) else {
            return;
        };
        for signed in answer.parts {
            let SignedPart::Put(put) = signed else {
                continue;
            };
            let said = put
                .headers
                .get("x-amz-checksum-sha256")
                .cloned()
                .unwrap_or_default();
            let of = |generation: &u8| {
                Sha256::new(bytes(*generation, put.number.get())).base64() == said
            };
            if let Some(generation) = (0..10).find(of) {
                self.urls.insert((put.number.get(), generation), put);
            }
        }
    }
}

/// Whether a row is as it was foretold; what only the store and chance decide is left out.
pub fn alike(foretold: Option<&Row>, is: Option<&Row>) -> bool {
    let pins = |row: &Row| row.parts.iter().map(|part| part.sha256).collect::<Vec<_>>();
    // Of an upload that is over, the lease is the sweep's; of one that is ready, nobody's.
    let aged = |row: &Row| row.aged && !is_over(row.state) && row.state != UploadState::Ready;
    let plain = |row: &Row| {
        (
            row.state,
            row.epoch,
            row.holder.clone(),
            aged(row),
            pins(row),
        )
    };
    foretold.map(plain) == is.map(plain)
}
