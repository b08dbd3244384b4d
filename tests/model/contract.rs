//! The wire contract as plain data, and the true gateway held against it: each call is foretold, made, and compared, row by
//! row; what must always be true of ledger and bucket is looked at after every step.
//!
//! Border: what a gateway owes to whoever calls, in whatever order, however the store fails and whenever it dies; what our
//! own client makes of it is `client`.

use std::collections::BTreeMap;

use proptest::prelude::*;
use reqwest::Method;
use serde_json::{Value, json};
use upload::names::{Checksum, Fingerprint};
use upload::wire::{Receipt, SignAnswer, Signed, SignedPut, State};

use crate::bucket::{Body256, Bucket, Content};
use crate::faults::{Call, Fault, Mood};
use crate::gate::{Answer, Gate, PartRow, Row, code, row};
use crate::support::PART;
use crate::{Seen, explore};

/// An epoch, by what the ledger has.
#[derive(Debug, Clone, Copy)]
pub enum Epoch {
    Own,
    Older,
    Newer,
}

/// How a complete is wrong, if it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Form {
    Right,
    OnePartLess,
    OtherBytes,
    OtherEtag,
    OtherChecksum,
    Swapped,
}

#[derive(Debug, Clone)]
pub enum Op {
    /// `other` asks for another upload under the same key; `parts` are of that generation.
    Begin {
        other: bool,
        holder: Option<u8>,
        parts: Option<u8>,
    },
    Claim {
        holder: u8,
        epoch: Option<Epoch>,
    },
    Sign {
        epoch: Epoch,
        parts: Vec<(u32, u8)>,
        wrong_size: bool,
    },
    /// With a URL that was signed some time for these bytes.
    Put {
        number: u32,
        generation: u8,
        wrong: bool,
    },
    List,
    Complete {
        epoch: Epoch,
        form: Form,
    },
    Abort,
    Url,
    /// The whole of the good way, as far as it goes.
    Send {
        generation: u8,
    },
    /// Somebody else's token.
    Foreign(u8),
    /// The holder is silent for so long that its lease ages out.
    Silence,
    /// The store forgets the open multipart uploads, as a lifecycle rule does.
    Lifecycle,
    Kill,
    Fail(Call, Mood),
    Heal,
    /// At the same moment.
    Both(Box<Op>, Box<Op>),
}

/// An operation on one of the uploads of a case.
pub type Step = (usize, Op);

const SIZES: [u64; 4] = [3, PART + 77, 0, 2 * PART + 1];

fn call() -> impl Strategy<Value = Op> {
    let epoch = || prop_oneof![6 => Just(Epoch::Own), 1 => Just(Epoch::Older), 1 => Just(Epoch::Newer)];
    let form = prop_oneof![
        8 => Just(Form::Right),
        1 => Just(Form::OnePartLess),
        1 => Just(Form::OtherBytes),
        1 => Just(Form::OtherEtag),
        1 => Just(Form::OtherChecksum),
        1 => Just(Form::Swapped),
    ];
    let generation = || prop_oneof![4 => Just(0_u8), 1 => Just(1_u8)];
    let parts = prop::collection::vec((prop_oneof![8 => 1..=3_u32, 1 => 0..=4_u32], generation()), 1..4);
    prop_oneof![
        3 => (prop::bool::weighted(0.15), prop::option::of(0..2_u8), prop::option::of(generation()))
            .prop_map(|(other, holder, parts)| Op::Begin { other, holder, parts }),
        2 => (0..2_u8, prop::option::weighted(0.4, epoch())).prop_map(|(holder, epoch)| Op::Claim { holder, epoch }),
        3 => (epoch(), parts, prop::bool::weighted(0.05))
            .prop_map(|(epoch, parts, wrong_size)| Op::Sign { epoch, parts, wrong_size }),
        2 => Just(Op::List),
        4 => (epoch(), form).prop_map(|(epoch, form)| Op::Complete { epoch, form }),
        1 => Just(Op::Abort),
        1 => Just(Op::Url),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let store = prop_oneof![
        2 => Just(Call::Create),
        1 => Just(Call::Find),
        1 => Just(Call::List),
        4 => Just(Call::Complete),
        1 => Just(Call::Abort),
        3 => Just(Call::Head),
        1 => Just(Call::Delete),
    ];
    let mood = prop_oneof![
        3 => Just(Mood::Down),
        3 => Just(Mood::Swallow),
        1 => Just(Mood::Denied),
        1 => Just(Mood::ErrorBody),
        1 => Just(Mood::Cut),
        1 => Just(Mood::CutAfter),
        1 => Just(Mood::DieBefore),
        1 => Just(Mood::DieAfter),
    ];
    let generation = || prop_oneof![4 => Just(0_u8), 1 => Just(1_u8)];
    prop_oneof![
        30 => call(),
        10 => (0..2_u8).prop_map(|generation| Op::Send { generation }),
        10 => (1..=3_u32, generation(), prop::bool::weighted(0.1))
            .prop_map(|(number, generation, wrong)| Op::Put { number, generation, wrong }),
        3 => (0..7_u8).prop_map(Op::Foreign),
        2 => Just(Op::Silence),
        1 => Just(Op::Lifecycle),
        4 => (store, mood).prop_map(|(call, mood)| Op::Fail(call, mood)),
        3 => Just(Op::Heal),
        4 => (call(), call()).prop_map(|(a, b)| Op::Both(Box::new(a), Box::new(b))),
    ]
}

/// Few deaths: each costs a start.
pub fn steps() -> impl Strategy<Value = (Vec<usize>, Vec<Step>)> {
    let sizes = prop::collection::vec(prop_oneof![2 => Just(0_usize), 4 => Just(1), 1 => Just(2), 2 => Just(3)], 2);
    let op = prop_oneof![100 => op(), 1 => Just(Op::Kill)];
    (sizes, prop::collection::vec((0..2_usize, op), 8..60))
}

/// One upload: what the model holds true of it.
struct Known {
    idem: String,
    size: u64,
    lens: Vec<u64>,
    /// As the ledger must have it; none before it began.
    row: Option<Row>,
    /// Its id was in an answer.
    told: bool,
    urls: BTreeMap<(u32, u8), SignedPut>,
    /// A plain PUT came when the upload was over: its URL outlives it.
    late: bool,
}

/// What a call must come to: its code, and the row it leaves.
type Foretold = (String, Option<Row>);

pub struct World {
    gate: Gate,
    bucket: Bucket,
    cases: usize,
}

fn bytes(generation: u8, number: u32) -> [u8; 32] {
    *Fingerprint::of(&[generation, u8::try_from(number).unwrap()]).bytes()
}

fn kind(other: bool) -> &'static str {
    if other { "text/plain" } else { "video/mp4" }
}

fn hex(sha256: [u8; 32]) -> String {
    Fingerprint::new(sha256).to_string()
}

fn is_over(state: State) -> bool {
    matches!(state, State::Rejected | State::Aborting | State::Aborted | State::Expired)
}

fn is_open(state: State) -> bool {
    matches!(state, State::Pending | State::Uploading)
}

fn checksum(content: &[[u8; 32]]) -> String {
    let content: Vec<Fingerprint> = content.iter().map(|sha256| Fingerprint::new(*sha256)).collect();
    match content.as_slice() {
        [only] => Checksum::whole(only).to_string(),
        all => Checksum::composite(all).to_string(),
    }
}

impl Known {
    fn new(idem: String, size: u64) -> Self {
        let count = size.div_ceil(PART).max(1);
        let lens = (0..count).map(|at| PART.min(size - at * PART)).collect();
        let urls = BTreeMap::new();
        Self { idem, size, lens, row: None, told: false, urls, late: false }
    }

    fn is_single(&self) -> bool {
        self.lens.len() == 1
    }

    /// Which of the two requests began it.
    fn other(&self) -> bool {
        self.row.as_ref().is_some_and(|row| row.content_type == kind(true))
    }

    fn specs(&self, parts: &[(u32, u8)], wrong_size: bool) -> Vec<Value> {
        let len = |number: u32| self.lens.get(number as usize - 1).copied().unwrap_or(1) + u64::from(wrong_size);
        let spec = |(number, generation): &(u32, u8)| {
            let sha256 = hex(bytes(*generation, *number));
            json!({"number": number, "size": if *number == 0 { 0 } else { len(*number) }, "sha256": sha256})
        };
        parts.iter().map(spec).collect()
    }

    fn all(&self, generation: u8) -> Vec<(u32, u8)> {
        (1..).zip(&self.lens).map(|(number, _)| (number, generation)).collect()
    }

    /// What the parts are pinned to, or would be by an honest client.
    fn content(&self) -> Vec<[u8; 32]> {
        let pinned = |at: usize| self.row.as_ref()?.parts.get(at)?.sha256;
        (0..self.lens.len()).map(|at| pinned(at).unwrap_or(bytes(0, u32::try_from(at).unwrap() + 1))).collect()
    }

    fn begin(&self, other: bool, holder: Option<u8>, parts: Option<u8>) -> Value {
        let kind = kind(other);
        let parts = parts.map(|generation| self.specs(&self.all(generation), false));
        json!({"name": "film.mov", "size": self.size, "content_type": kind, "part_size": PART,
            "holder": holder.map(|holder| format!("holder-{holder}")), "parts": parts})
    }

    fn epoch(&self, epoch: Epoch) -> u64 {
        let own = self.row.as_ref().map_or(1, |row| row.epoch);
        match epoch {
            Epoch::Own => own,
            Epoch::Older => own - 1,
            Epoch::Newer => own + 1,
        }
    }

    fn complete(&self, bucket: &Bucket, epoch: Epoch, form: Form) -> Value {
        let rows = bucket.rows();
        let row = self.row.as_ref().unwrap();
        let there = row.store_upload.as_ref().and_then(|id| rows.open.get(id));
        let mut content = self.content();
        if form == Form::OtherBytes {
            content[0] = bytes(9, 1);
        }
        let etag = |number: u32| match (there, rows.objects.get(&row.key)) {
            (Some(open), _) => open.parts.get(&number).map_or("absent".into(), |part| part.etag.clone()),
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
    fn foretell(&self, op: &Op, bucket: &Bucket) -> Foretold {
        let same = |code: &str| (code.to_owned(), self.row.clone());
        if let Op::Begin { other, holder, parts } = op {
            return self.foretell_begin(*other, *holder, *parts);
        }
        let Some(row) = &self.row else { return same("not_found") };
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
                            (row.epoch, row.holder, row.aged) = (row.epoch + step, Some(holder.clone()), false);
                        };
                        ("200".into(), with(&change))
                    }
                }
            }
            // No such number can be written down.
            Op::Sign { parts, .. } if parts.iter().any(|(number, _)| *number == 0) => same("invalid_request"),
            Op::Sign { epoch, parts, wrong_size } => {
                match row.state {
                    State::Completing => return same("busy"),
                    State::Ready | State::Verified => return same("invalid_request"),
                    state if is_over(state) => return same("gone"),
                    _ => {}
                }
                let last = u32::try_from(self.lens.len()).unwrap();
                if *wrong_size || parts.iter().any(|(number, _)| !(1..=last).contains(number)) {
                    return same("invalid_request");
                }
                if self.epoch(*epoch) != row.epoch {
                    return same("lease_lost");
                }
                Self::pinned(row.clone(), parts).unwrap_or_else(|| same("part_pinned"))
            }
            Op::List => match row.state {
                state if is_over(state) => same("gone"),
                state if is_open(state) && self.is_lost(bucket) => {
                    ("gone".into(), with(&|row| row.state = State::Expired))
                }
                _ => same("200"),
            },
            Op::Complete { epoch, form } => self.foretell_complete(row, *epoch, *form, bucket),
            Op::Abort => match row.state {
                State::Completing | State::Verified | State::Ready => same("not_abortable"),
                State::Aborted | State::Expired | State::Rejected => same("204"),
                _ => ("204".into(), with(&|row| row.state = State::Aborted)),
            },
            Op::Url => match row.state {
                State::Ready => same("200"),
                state if is_over(state) => same("gone"),
                _ => same("busy"),
            },
            _ => same("200"),
        }
    }

    fn foretell_begin(&self, other: bool, holder: Option<u8>, parts: Option<u8>) -> Foretold {
        let parts = parts.map(|generation| self.all(generation));
        let holder = holder.map(|holder| format!("holder-{holder}"));
        let Some(row) = &self.row else {
            let sha256 = |at: usize| parts.as_ref().map(|parts| bytes(parts[at].1, parts[at].0));
            let part = |at| PartRow { sha256: sha256(at), stored: false, etag: None };
            let state = if parts.is_some() { State::Uploading } else { State::Pending };
            let row = Row { state, epoch: 1, holder, parts: (0..self.lens.len()).map(part).collect(), ..Row::blank() };
            return ("201".into(), Some(row));
        };
        let mut row = row.clone();
        if other != self.other() {
            return ("idempotency_mismatch".into(), Some(row));
        }
        if let Some(holder) = holder.filter(|_| !is_over(row.state)) {
            let ours = row.holder.as_ref() == Some(&holder);
            if !ours && row.holder.is_some() && !row.aged {
                return ("lease_held".into(), Some(row));
            }
            (row.epoch, row.holder, row.aged) = (row.epoch + u64::from(!ours), Some(holder), false);
        }
        let Some(parts) = parts.filter(|_| is_open(row.state)) else { return ("200".into(), Some(row)) };
        Self::pinned(row.clone(), &parts).unwrap_or_else(|| ("part_pinned".into(), Some(row)))
    }

    /// The row with these parts pinned; nothing where one is pinned to other bytes.
    fn pinned(mut row: Row, parts: &[(u32, u8)]) -> Option<Foretold> {
        for (number, generation) in parts {
            let part = &mut row.parts[*number as usize - 1].sha256;
            let sha256 = bytes(*generation, *number);
            if part.is_some_and(|pinned| pinned != sha256) {
                return None;
            }
            *part = Some(sha256);
        }
        (row.state, row.aged) = (State::Uploading, false);
        Some(("200".into(), Some(row)))
    }

    /// The store has forgotten it, and there is no object either.
    fn is_lost(&self, bucket: &Bucket) -> bool {
        let (rows, Some(row)) = (bucket.rows(), &self.row) else { return false };
        let known = row.store_upload.as_ref();
        known.is_some_and(|id| !rows.open.contains_key(id)) && !rows.objects.contains_key(&row.key)
    }

    fn foretell_complete(&self, row: &Row, epoch: Epoch, form: Form, bucket: &Bucket) -> Foretold {
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
            Form::OtherBytes => row.parts[0].sha256.is_none(),
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
        let plain = |content: &Content| content.iter().map(|(sha256, _)| *sha256).collect::<Vec<_>>();
        let object = rows.objects.get(&row.key).map(|object| plain(&object.content));
        let open = row.store_upload.as_ref().and_then(|id| rows.open.get(id));
        let there = |number: u32| open.and_then(|open| open.parts.get(&number)).map(|part| part.sha256);
        let (state, code) = match (&object, open) {
            (Some(object), _) if *object == content => (State::Ready, "200"),
            (Some(_), None) => (State::Rejected, "gone"),
            (None, None) if self.is_single() => (State::Uploading, "parts_mismatch"),
            (None, None) => (State::Expired, "gone"),
            (_, Some(_)) => {
                let all = (1..).zip(&content).all(|(number, sha256)| there(number) == Some(*sha256));
                if all && form != Form::OtherEtag {
                    (State::Ready, "200")
                } else {
                    (State::Uploading, "parts_mismatch")
                }
            }
        };
        after.state = state;
        (code.into(), Some(after))
    }
}

/// Where a state may lead by one call.
fn leads(from: State, to: State) -> bool {
    use State::{Aborted, Aborting, Completing, Expired, Pending, Ready, Rejected, Uploading};
    from == to
        || match from {
            Pending => matches!(to, Uploading | Completing | Ready | Rejected | Aborting | Aborted | Expired),
            Uploading => matches!(to, Completing | Ready | Rejected | Aborting | Aborted | Expired),
            Completing => matches!(to, Uploading | Ready | Rejected | Expired),
            Aborting => to == Aborted,
            _ => false,
        }
}

/// What must be true of a row whatever happened since it was last looked at.
fn may_follow(before: &Row, after: &Row, calls: usize) -> Result<(), String> {
    let all = [State::Pending, State::Uploading, State::Completing, State::Aborting];
    let between = calls > 1 && all.iter().any(|state| leads(before.state, *state) && leads(*state, after.state));
    let pins = before.parts.iter().zip(&after.parts);
    for (wrong, what) in [
        ((&before.id, &before.key, &before.token) != (&after.id, &after.key, &after.token), "is another upload"),
        (!leads(before.state, after.state) && !between, "moved to a state that does not follow"),
        (after.epoch < before.epoch, "went back to an older epoch"),
        (before.receipt.is_some() && before.receipt != after.receipt, "has another receipt"),
        (before.store_upload.is_some() && before.store_upload != after.store_upload, "has another multipart upload"),
        (pins.into_iter().any(|(b, a)| b.sha256.is_some() && b.sha256 != a.sha256), "is pinned to other bytes"),
    ] {
        if wrong {
            return Err(format!("an upload {what}:\n{before:?}\n{after:?}"));
        }
    }
    Ok(())
}

impl World {
    fn case(&mut self, sizes: &[usize]) -> Vec<Known> {
        self.cases += 1;
        self.bucket.heal();
        *self.bucket.rows() = crate::bucket::Rows::default();
        let known = |(at, size): (usize, &usize)| Known::new(format!("case-{}-{at}", self.cases), SIZES[*size]);
        sizes.iter().enumerate().map(known).collect()
    }

    pub async fn run(&mut self, (sizes, steps): &(Vec<usize>, Vec<Step>)) -> Seen {
        let mut uploads = self.case(sizes);
        for (at, (which, op)) in steps.iter().enumerate() {
            let seen = self.step(&mut uploads[*which], op).await;
            seen.and_then(|()| self.invariants(&uploads))
                .map_err(|why| format!("step {at}, {op:?} of {which}: {why}"))?;
        }
        self.bucket.heal();
        for upload in &mut uploads {
            self.end(upload).await.map_err(|why| format!("at the end: {why}"))?;
        }
        self.invariants(&uploads)
    }

    async fn step(&mut self, upload: &mut Known, op: &Op) -> Seen {
        match op {
            Op::Fail(call, mood) => {
                self.bucket.fail(Fault { call: *call, mood: *mood, skip: 0 });
                Ok(())
            }
            Op::Heal => {
                self.bucket.heal();
                Ok(())
            }
            Op::Kill => {
                self.gate.kill();
                self.follow(upload, 2)
            }
            Op::Lifecycle => {
                self.bucket.rows().open.clear();
                Ok(())
            }
            Op::Silence => {
                let sql = "UPDATE upload SET lease_until = 0 WHERE idempotency_key = ?1";
                self.gate.ledger().execute(sql, [&upload.idem]).unwrap();
                upload.row = self.row(upload);
                Ok(())
            }
            Op::Put { number, generation, wrong } => self.put(upload, *number, *generation, *wrong),
            Op::Send { generation } => self.send(upload, *generation).await,
            // Who was not told of it cannot ask.
            op if !upload.told && !matches!(op, Op::Begin { .. } | Op::Both(..)) => Ok(()),
            Op::Foreign(what) => self.foreign(upload, *what).await,
            Op::Both(a, b) => {
                if !upload.told && !matches!((&**a, &**b), (Op::Begin { .. }, Op::Begin { .. })) {
                    return Ok(());
                }
                let (a, b) = (self.request(upload, a), self.request(upload, b));
                let gate = &self.gate;
                let calls = async { tokio::join!(gate.ask(&a), gate.ask(&b)) };
                let died = self.bucket.death.notified();
                let answers = tokio::select! { answers = calls => Some(answers), () = died => None };
                let Some(answers) = answers else {
                    self.gate.kill();
                    return self.follow(upload, 2);
                };
                self.heard(upload, &a, &answers.0)?;
                self.heard(upload, &b, &answers.1)?;
                self.follow(upload, 2)
            }
            op => self.one(upload, op).await,
        }
    }

    /// One call, foretold and compared.
    async fn one(&mut self, upload: &mut Known, op: &Op) -> Seen {
        let (mut code_foretold, mut row_foretold) = upload.foretell(op, &self.bucket);
        let before = self.bucket.rows().faults.failed.len();
        let request = self.request(upload, op);
        let answer = tokio::select! {
            answer = self.gate.ask(&request) => answer,
            () = self.bucket.death.notified() => None,
        };
        if answer.is_none() {
            self.gate.kill();
        }
        self.heard(upload, &request, &answer)?;
        let failed = self.bucket.rows().faults.failed.split_off(before);
        self.bucket.rows().faults.failed.extend(&failed);
        match failed.as_slice() {
            [] if answer.is_some() => {}
            // What the store did and did not say is found out by looking.
            [(Call::Complete, Mood::Swallow | Mood::CutAfter)] if code_foretold == "200" => {}
            // What it did not do is open, and may be asked for again.
            [(Call::Complete, Mood::Down | Mood::Cut | Mood::ErrorBody)] if code_foretold == "200" => {
                "202".clone_into(&mut code_foretold);
                row_foretold = row_foretold.map(|row| Row { state: State::Completing, ..row });
            }
            _ => return self.follow(upload, 1),
        }
        let is = code(&answer);
        if is != code_foretold {
            return Err(format!("answered {is}, not {code_foretold}: {answer:?}\nof {:?}", upload.row));
        }
        let after = self.row(upload);
        if let (Some(before), Some(after)) = (&upload.row, &after) {
            may_follow(before, after, 1)?;
        }
        if !alike(row_foretold.as_ref(), after.as_ref()) {
            return Err(format!("the row is not what was to be:\n{after:?}\n{row_foretold:?}"));
        }
        upload.row = after;
        Ok(())
    }

    /// Takes over what the ledger says after something that could not be foretold.
    fn follow(&self, upload: &mut Known, calls: usize) -> Seen {
        let after = self.row(upload);
        match (&upload.row, &after) {
            (Some(before), Some(after)) => may_follow(before, after, calls)?,
            (Some(_), None) => return Err("an upload is forgotten".into()),
            (None, _) => {}
        }
        upload.row = after;
        Ok(())
    }

    fn row(&self, upload: &Known) -> Option<Row> {
        row(&self.gate.ledger(), &upload.idem)
    }

    fn put(&self, upload: &mut Known, number: u32, generation: u8, wrong: bool) -> Seen {
        let Some(signed) = upload.urls.get(&(number, generation)) else { return Ok(()) };
        let sha256 = if wrong { bytes(8, 8) } else { bytes(generation, number) };
        let body = Body256 { sha256, size: upload.lens[number as usize - 1] };
        let put = self.bucket.put(signed.url.expose(), &signed.headers, &body);
        if wrong && put.is_ok() {
            return Err("a URL took other bytes than it was signed for".into());
        }
        upload.late |= put.is_ok() && upload.row.as_ref().is_some_and(|row| is_over(row.state));
        Ok(())
    }

    /// Begin, sign, put, complete, as the client does it.
    async fn send(&mut self, upload: &mut Known, generation: u8) -> Seen {
        let other = upload.other();
        self.one(upload, &Op::Begin { other, holder: Some(generation), parts: None }).await?;
        if !upload.told {
            return Ok(());
        }
        let parts = upload.all(generation);
        self.one(upload, &Op::Sign { epoch: Epoch::Own, parts, wrong_size: false }).await?;
        for (number, generation) in upload.all(generation) {
            self.put(upload, number, generation, false)?;
        }
        self.one(upload, &Op::List).await
    }

    /// An honest client goes on with whatever is left, and nothing fails: it must come to its end.
    async fn end(&mut self, upload: &mut Known) -> Seen {
        for _ in 0..4 {
            let other = upload.other();
            self.step(upload, &Op::Silence).await?;
            self.one(upload, &Op::Begin { other, holder: Some(0), parts: None }).await?;
            let Some(row) = upload.row.clone() else { return Err("a begin left no row".into()) };
            match row.state {
                State::Pending | State::Uploading => {
                    self.one(upload, &Op::List).await?;
                    if upload.row.as_ref().is_some_and(|row| is_over(row.state)) {
                        continue;
                    }
                    let content = upload.content();
                    let kept = |(at, number): (usize, u32)| {
                        let generation = (0..10).find(|generation| bytes(*generation, number) == content[at]);
                        (number, generation.unwrap_or(9))
                    };
                    let parts: Vec<(u32, u8)> = (0..).zip(1..).take(content.len()).map(kept).collect();
                    self.one(upload, &Op::Sign { epoch: Epoch::Own, parts: parts.clone(), wrong_size: false }).await?;
                    for (number, generation) in parts {
                        self.put(upload, number, generation, false)?;
                    }
                    self.one(upload, &Op::Complete { epoch: Epoch::Own, form: Form::Right }).await?;
                }
                State::Completing => self.one(upload, &Op::Complete { epoch: Epoch::Own, form: Form::Right }).await?,
                State::Aborting => self.one(upload, &Op::Abort).await?,
                _ => return Ok(()),
            }
        }
        match upload.row.as_ref().map(|row| row.state) {
            Some(State::Ready | State::Aborted | State::Expired | State::Rejected) => Ok(()),
            state => Err(format!("an honest client does not come to an end: {state:?}")),
        }
    }

    /// A foreign caller is told what it would be told of any id there is not, and changes nothing.
    async fn foreign(&self, upload: &mut Known, what: u8) -> Seen {
        let op = match what {
            0 => Op::Claim { holder: 0, epoch: None },
            1 => Op::Sign { epoch: Epoch::Own, parts: upload.all(0), wrong_size: false },
            2 => Op::List,
            3 => Op::Complete { epoch: Epoch::Own, form: Form::Right },
            4 => Op::Abort,
            5 => Op::Url,
            _ => Op::Begin { other: false, holder: Some(1), parts: Some(0) },
        };
        let before = (self.row(upload), self.bucket.holds());
        let mut ours = self.request(upload, &op);
        ours.who = 1;
        if what > 5 {
            // The key of idempotency is each owner's own; under theirs, nothing of ours is found.
            ours.method = Method::GET;
            ours.path = "uploads".into();
            ours.body = None;
            let listed = self.gate.ask(&ours).await.ok_or("no answer")?.1;
            let id = &upload.row.as_ref().unwrap().id;
            let seen = listed["uploads"].as_array().unwrap().iter().any(|one| one["id"] == json!(id));
            return if seen { Err("another owner sees the upload".into()) } else { Ok(()) };
        }
        let id = upload.row.as_ref().unwrap().id.clone();
        let unknown = Request { path: ours.path.replace(&id, "00000000-0000-4000-8000-000000000000"), ..ours.clone() };
        let (theirs, nobodys) = (self.gate.ask(&ours).await, self.gate.ask(&unknown).await);
        if theirs != nobodys || code(&theirs) != "not_found" {
            return Err(format!("a foreign caller is told {theirs:?}, of an unknown id {nobodys:?}"));
        }
        let after = (self.row(upload), self.bucket.holds());
        if before == after { Ok(()) } else { Err(format!("a foreign caller changed something: {before:?} {after:?}")) }
    }

    /// What an answer says must be so.
    fn heard(&self, upload: &mut Known, request: &Request, answer: &Answer) -> Seen {
        let Some((status, body)) = answer else { return Ok(()) };
        let row = self.row(upload);
        match (&request.op, status) {
            (Op::Begin { .. }, 200 | 201) => {
                upload.told = true;
                upload.learn(body);
                let row = row.ok_or("begun without a row")?;
                if body["id"] != json!(row.id) || body["key"] != json!(row.key) {
                    return Err(format!("begun as {body}, which the ledger has as {row:?}"));
                }
                if !upload.is_single() && row.store_upload.is_none() && is_open(row.state) {
                    return Err("begun, but the store does not know".into());
                }
            }
            (Op::Sign { .. }, 200) => upload.learn(body),
            (Op::Abort, 204) => {
                let rows = self.bucket.rows();
                let row = row.ok_or("aborted without a row")?;
                let left = rows.open.values().any(|open| open.key == row.key);
                let ended = !matches!(row.state, State::Expired | State::Rejected);
                if ended && (left || (rows.objects.contains_key(&row.key) && !upload.late)) {
                    return Err("aborted, but the store has something of it".into());
                }
            }
            (Op::Complete { .. }, 200) => {
                let receipt: Receipt = serde_json::from_value(body.clone()).map_err(|why| why.to_string())?;
                let kept = row.and_then(|row| row.receipt).ok_or("a receipt that the ledger does not have")?;
                if serde_json::from_str::<Receipt>(&kept).map_err(|why| why.to_string())? != receipt {
                    return Err(format!("the receipt is not the ledger's: {body} {kept}"));
                }
            }
            (Op::List, 200) => return self.listed(upload, body, row.as_ref()),
            _ => {}
        }
        Ok(())
    }

    /// A list of parts says what the store holds; once completing, what the ledger was told.
    fn listed(&self, upload: &Known, body: &Value, row: Option<&Row>) -> Seen {
        let (rows, row) = (self.bucket.rows(), row.ok_or("listed without a row")?);
        let Some(open) = row.store_upload.as_ref().and_then(|id| rows.open.get(id)).filter(|_| is_open(row.state))
        else {
            return Ok(());
        };
        let shown = |number: u32, part: &crate::bucket::Part| json!({"number": number, "size": part.size, "etag": part.etag, "sha256": hex(part.sha256)});
        let there: Vec<Value> = open.parts.iter().map(|(number, part)| shown(*number, part)).collect();
        if body["parts"] != json!(there) && rows.faults.failed.is_empty() {
            return Err(format!("listed {body}, there are {there:?} of {}", upload.idem));
        }
        Ok(())
    }

    fn request(&self, upload: &Known, op: &Op) -> Request {
        let id = upload.row.as_ref().map_or("none".into(), |row| row.id.clone());
        let path = |what: &str| format!("uploads/{id}{what}");
        let (method, path, body) = match op {
            Op::Begin { other, holder, parts } => {
                (Method::POST, "uploads".into(), Some(upload.begin(*other, *holder, *parts)))
            }
            Op::Claim { holder, epoch } => {
                let epoch = epoch.map(|epoch| upload.epoch(epoch));
                (Method::POST, path("/claim"), Some(json!({"holder": format!("holder-{holder}"), "epoch": epoch})))
            }
            Op::Sign { epoch, parts, wrong_size } => {
                let parts = upload.specs(parts, *wrong_size);
                (Method::POST, path("/sign"), Some(json!({"epoch": upload.epoch(*epoch), "parts": parts})))
            }
            Op::Complete { epoch, form } => {
                (Method::POST, path("/complete"), Some(upload.complete(&self.bucket, *epoch, *form)))
            }
            Op::List => (Method::GET, path("/parts"), None),
            Op::Abort => (Method::DELETE, path(""), None),
            Op::Url => (Method::GET, path("/url"), None),
            _ => (Method::GET, path(""), None),
        };
        Request { who: 0, method, path, idem: upload.idem.clone(), body, op: op.clone() }
    }

    /// What must be true at any time.
    fn invariants(&self, uploads: &[Known]) -> Seen {
        let rows = self.bucket.rows();
        let of_key =
            |key: &str| uploads.iter().filter_map(|it| Some((it, it.row.as_ref()?))).find(|(_, row)| row.key == key);
        for (key, object) in &rows.objects {
            let Some((upload, row)) = of_key(key) else { return Err(format!("an object of nobody: {key}")) };
            let pins: Vec<_> = row.parts.iter().map(|part| part.sha256).collect();
            let content: Vec<_> = object.content.iter().map(|(sha256, _)| Some(*sha256)).collect();
            if content != pins || object.token.as_ref() != Some(&row.token) {
                return Err(format!("an object is not what its upload is pinned to: {object:?} {row:?}"));
            }
            if matches!(row.state, State::Aborted | State::Rejected) && !upload.late {
                return Err(format!("an upload that is {} has an object", row.state.name()));
            }
        }
        for (id, open) in &rows.open {
            let Some((_, row)) = of_key(&open.key) else { continue };
            let spare = row.store_upload.as_ref().is_some_and(|own| own != id);
            let over = matches!(row.state, State::Ready | State::Aborted);
            if (spare || over) && rows.faults.failed.is_empty() {
                return Err(format!("{id} is open at the key of an upload that is {}: {row:?}", row.state.name()));
            }
        }
        for (upload, row) in uploads.iter().filter_map(|it| Some((it, it.row.as_ref()?))) {
            let made = rows.made.iter().filter(|(key, _)| *key == row.key).count();
            if made > 1 && !upload.late {
                return Err(format!("{made} objects came to be for one upload: {row:?}"));
            }
            if (row.state == State::Ready) != row.receipt.is_some() {
                return Err(format!("a receipt goes with ready, and ready with a receipt: {row:?}"));
            }
            let Some(receipt) = &row.receipt else { continue };
            let receipt: Receipt = serde_json::from_str(receipt).map_err(|why| why.to_string())?;
            let object = rows.objects.get(&row.key).ok_or(format!("a receipt without an object: {row:?}"))?;
            let sizes: Content = upload.content().into_iter().zip(upload.lens.iter().copied()).collect();
            let true_of_it = object.content == sizes
                && receipt.size == upload.size
                && receipt.parts as usize == upload.lens.len()
                && receipt.checksum.as_str() == object.checksum
                && receipt.etag.as_str() == object.etag
                && receipt.key.as_str() == row.key
                && receipt.id.as_str() == row.id;
            if !true_of_it || row.parts.iter().any(|part| !part.stored) {
                return Err(format!("a receipt is not true: {receipt:?} {object:?} {row:?}"));
            }
        }
        Ok(())
    }
}

impl Known {
    /// Keeps what was signed.
    fn learn(&mut self, body: &Value) {
        let Ok(answer) = serde_json::from_value::<SignAnswer>(body.clone()) else { return };
        for signed in answer.parts {
            let Signed::Put(put) = signed else { continue };
            let said = put.headers.get("x-amz-checksum-sha256").cloned().unwrap_or_default();
            let of = |generation: &u8| Fingerprint::new(bytes(*generation, put.number.get())).base64() == said;
            if let Some(generation) = (0..10).find(of) {
                self.urls.insert((put.number.get(), generation), put);
            }
        }
    }
}

/// Whether a row is as it was foretold; what only the store and chance decide is left out.
fn alike(foretold: Option<&Row>, is: Option<&Row>) -> bool {
    let pins = |row: &Row| row.parts.iter().map(|part| part.sha256).collect::<Vec<_>>();
    let plain = |row: &Row| (row.state, row.epoch, row.holder.clone(), row.aged, pins(row));
    foretold.map(plain) == is.map(plain)
}

#[derive(Debug, Clone)]
struct Request {
    who: usize,
    method: Method,
    path: String,
    idem: String,
    body: Option<Value>,
    op: Op,
}

impl Gate {
    /// A list is asked for page by page.
    async fn ask(&self, request: &Request) -> Answer {
        let Request { who, method, path, idem, body, .. } = request;
        let mut answer = self.call(*who, method.clone(), path, idem, body.clone()).await;
        while let Some((200, page)) = &mut answer {
            let Some(after) = page["next"].as_u64().filter(|_| matches!(request.op, Op::List)) else { break };
            let (status, next) = self.call(*who, Method::GET, &format!("{path}?after={after}"), idem, None).await?;
            if status != 200 {
                return Some((status, next));
            }
            let mut parts = page["parts"].as_array().cloned().unwrap_or_default();
            parts.extend(next["parts"].as_array().cloned().unwrap_or_default());
            (page["parts"], page["next"]) = (json!(parts), next["next"].clone());
        }
        answer
    }
}

#[test]
fn the_gateway_keeps_its_contract() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let bucket = runtime.block_on(Bucket::start());
    let world = World { gate: Gate::start(&bucket, "tokens"), bucket, cases: 0 };
    let world = std::cell::RefCell::new(world);
    explore(256, &steps(), |case| runtime.block_on(world.borrow_mut().run(case)));
    let said = world.borrow().gate.stderr();
    assert!(!said.contains("panicked"), "{said}");
}
