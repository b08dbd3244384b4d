//! The true gateway held against its contract: each call is foretold, made, and compared, row by row; what must always be true of
//! ledger and bucket is looked at after every step.
//!
//! Border: what a gateway owes to whoever calls, in whatever order, however the store fails and whenever it dies; what our
//! own client makes of it is `client`.

use reqwest::Method;
use serde_json::{Value, json};
use upload_types::wire::{Receipt, UploadState};

use crate::bucket::{Body256, Bucket, Content};
use crate::faults::{Call, Fault, Mood};
use crate::gate::{Answer, Gate, Row, code, row};
use crate::ops::{Epoch, Form, Op, SIZES, Step, steps};
use crate::reference::{Known, alike, bytes, hex, is_open, is_over, may_follow};
use crate::{Seen, explore};

pub struct World {
    gate: Gate,
    bucket: Bucket,
    cases: usize,
}

impl World {
    fn case(&mut self, sizes: &[usize]) -> Vec<Known> {
        self.cases += 1;
        self.bucket.heal();
        *self.bucket.rows() = crate::bucket::Rows::default();
        let known = |(at, size): (usize, &usize)| {
            Known::new(format!("case-{}-{at}", self.cases), SIZES[*size])
        };
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
            self.end(upload)
                .await
                .map_err(|why| format!("at the end: {why}"))?;
        }
        self.invariants(&uploads)
    }

    async fn step(&mut self, upload: &mut Known, op: &Op) -> Seen {
        match op {
            Op::Fail(call, mood) => {
                self.bucket.fail(Fault {
                    call: *call,
                    mood: *mood,
                    skip: 0,
                });
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
            Op::Put {
                number,
                generation,
                wrong,
            } => self.put(upload, *number, *generation, *wrong),
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
                let answers =
                    tokio::select! { answers = calls => Some(answers), () = died => None };
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
            [(Call::Complete, Mood::Down | Mood::Cut | Mood::ErrorBody)]
                if code_foretold == "200" =>
            {
                "202".clone_into(&mut code_foretold);
                row_foretold = row_foretold.map(|row| Row {
                    state: UploadState::Completing,
                    ..row
                });
            }
            _ => return self.follow(upload, 1),
        }
        let is = code(&answer);
        if is != code_foretold {
            return Err(format!(
                "answered {is}, not {code_foretold}: {answer:?}\nof {:?}",
                upload.row
            ));
        }
        let after = self.row(upload);
        if let (Some(before), Some(after)) = (&upload.row, &after) {
            may_follow(before, after, 1)?;
        }
        if !alike(row_foretold.as_ref(), after.as_ref()) {
            return Err(format!(
                "the row is not what was to be:\n{after:?}\n{row_foretold:?}"
            ));
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
        let Some(signed) = upload.urls.get(&(number, generation)) else {
            return Ok(());
        };
        let sha256 = if wrong {
            bytes(8, 8)
        } else {
            bytes(generation, number)
        };
        let body = Body256 {
            sha256,
            size: upload.lens[number as usize - 1],
        };
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
        self.one(
            upload,
            &Op::Begin {
                other,
                holder: Some(generation),
                parts: None,
            },
        )
        .await?;
        if !upload.told {
            return Ok(());
        }
        let parts = upload.all(generation);
        self.one(
            upload,
            &Op::Sign {
                epoch: Epoch::Own,
                parts,
                wrong_size: false,
            },
        )
        .await?;
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
            self.one(
                upload,
                &Op::Begin {
                    other,
                    holder: Some(0),
                    parts: None,
                },
            )
            .await?;
            let Some(row) = upload.row.clone() else {
                return Err("a begin left no row".into());
            };
            match row.state {
                UploadState::Pending | UploadState::Uploading => {
                    self.one(upload, &Op::List).await?;
                    if upload.row.as_ref().is_some_and(|row| is_over(row.state)) {
                        continue;
                    }
                    let content = upload.content();
                    let kept = |(at, number): (usize, u32)| {
                        let generation =
                            (0..10).find(|generation| bytes(*generation, number) == content[at]);
                        (number, generation.unwrap_or(9))
                    };
                    let parts: Vec<(u32, u8)> =
                        (0..).zip(1..).take(content.len()).map(kept).collect();
                    self.one(
                        upload,
                        &Op::Sign {
                            epoch: Epoch::Own,
                            parts: parts.clone(),
                            wrong_size: false,
                        },
                    )
                    .await?;
                    for (number, generation) in parts {
                        self.put(upload, number, generation, false)?;
                    }
                    self.one(
                        upload,
                        &Op::Complete {
                            epoch: Epoch::Own,
                            form: Form::Right,
                        },
                    )
                    .await?;
                }
                UploadState::Completing => {
                    self.one(
                        upload,
                        &Op::Complete {
                            epoch: Epoch::Own,
                            form: Form::Right,
                        },
                    )
                    .await?;
                }
                UploadState::Aborting => self.one(upload, &Op::Abort(None)).await?,
                _ => return Ok(()),
            }
        }
        match upload.row.as_ref().map(|row| row.state) {
            Some(
                UploadState::Ready
                | UploadState::Aborted
                | UploadState::Expired
                | UploadState::Rejected,
            ) => Ok(()),
            state => Err(format!(
                "an honest client does not come to an end: {state:?}"
            )),
        }
    }

    /// A foreign caller is told what it would be told of any id there is not, and changes nothing.
    async fn foreign(&self, upload: &mut Known, what: u8) -> Seen {
        let op = match what {
            0 => Op::Claim {
                holder: 0,
                epoch: None,
            },
            1 => Op::Sign {
                epoch: Epoch::Own,
                parts: upload.all(0),
                wrong_size: false,
            },
            2 => Op::List,
            3 => Op::Complete {
                epoch: Epoch::Own,
                form: Form::Right,
            },
            4 => Op::Abort(None),
            5 => Op::Url,
            _ => Op::Begin {
                other: false,
                holder: Some(1),
                parts: Some(0),
            },
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
            let seen = listed["uploads"]
                .as_array()
                .unwrap()
                .iter()
                .any(|one| one["id"] == json!(id));
            return if seen {
                Err("another owner sees the upload".into())
            } else {
                Ok(())
            };
        }
        let id = upload.row.as_ref().unwrap().id.clone();
        let unknown = Request {
            path: ours
                .path
                .replace(&id, "00000000-0000-4000-8000-000000000000"),
            ..ours.clone()
        };
        let (theirs, nobodys) = (self.gate.ask(&ours).await, self.gate.ask(&unknown).await);
        if theirs != nobodys || code(&theirs) != "not_found" {
            return Err(format!(
                "a foreign caller is told {theirs:?}, of an unknown id {nobodys:?}"
            ));
        }
        let after = (self.row(upload), self.bucket.holds());
        if before == after {
            Ok(())
        } else {
            Err(format!(
                "a foreign caller changed something: {before:?} {after:?}"
            ))
        }
    }

    /// What an answer says must be so.
    fn heard(&self, upload: &mut Known, request: &Request, answer: &Answer) -> Seen {
        let Some((status, body)) = answer else {
            return Ok(());
        };
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
            (Op::Abort(_), 204) => {
                let rows = self.bucket.rows();
                let row = row.ok_or("aborted without a row")?;
                let left = rows.open.values().any(|open| open.key == row.key);
                let ended = !matches!(row.state, UploadState::Expired | UploadState::Rejected);
                if ended && (left || (rows.objects.contains_key(&row.key) && !upload.late)) {
                    return Err("aborted, but the store has something of it".into());
                }
            }
            (Op::Complete { .. }, 200) => {
                let receipt: Receipt =
                    serde_json::from_value(body.clone()).map_err(|why| why.to_string())?;
                let kept = row
                    .and_then(|row| row.receipt)
                    .ok_or("a receipt that the ledger does not have")?;
                if serde_json::from_str::<Receipt>(&kept).map_err(|why| why.to_string())? != receipt
                {
                    return Err(format!("the receipt is not the ledger's: {body} {kept}"));
                }
            }
            (Op::List, 200) => return self.listed(upload, body, row.as_ref()),
            _ => {}
        }
        Ok(())
    }

    /// A list of parts says what the store holds; once complete, what the upload was completed with.
    fn listed(&self, upload: &Known, body: &Value, row: Option<&Row>) -> Seen {
        let (rows, row) = (self.bucket.rows(), row.ok_or("listed without a row")?);
        let Some(open) = row
            .store_upload
            .as_ref()
            .and_then(|id| rows.open.get(id))
            .filter(|_| is_open(row.state))
        else {
            return Ok(());
        };
        let shown = |number: u32, part: &crate::bucket::Part| json!({"number": number, "size": part.size, "etag": part.etag, "sha256": hex(part.sha256)});
        let there: Vec<Value> = open
            .parts
            .iter()
            .map(|(number, part)| shown(*number, part))
            .collect();
        if body["parts"] != json!(there) && rows.faults.failed.is_empty() {
            return Err(format!(
                "listed {body}, there are {there:?} of {}",
                upload.idem
            ));
        }
        Ok(())
    }

    fn request(&self, upload: &Known, op: &Op) -> Request {
        let id = upload
            .row
            .as_ref()
            .map_or("none".into(), |row| row.id.clone());
        let path = |what: &str| format!("uploads/{id}{what}");
        let (method, path, body) = match op {
            Op::Begin {
                other,
                holder,
                parts,
            } => (
                Method::POST,
                "uploads".into(),
                Some(upload.begin(*other, *holder, *parts)),
            ),
            Op::Claim { holder, epoch } => {
                let epoch = epoch.map(|epoch| upload.epoch(epoch));
                (
                    Method::POST,
                    path("/claim"),
                    Some(json!({"holder": format!("holder-{holder}"), "epoch": epoch})),
                )
            }
            Op::Sign {
                epoch,
                parts,
                wrong_size,
            } => {
                let parts = upload.specs(parts, *wrong_size);
                (
                    Method::POST,
                    path("/sign"),
                    Some(json!({"epoch": upload.epoch(*epoch), "parts": parts})),
                )
            }
            Op::Complete { epoch, form } => (
                Method::POST,
                path("/complete"),
                Some(upload.complete(&self.bucket, *epoch, *form)),
            ),
            Op::List => (Method::GET, path("/parts"), None),
            Op::Abort(epoch) => {
                let query = epoch.map_or(String::new(), |epoch| {
                    format!("?epoch={}", upload.epoch(epoch))
                });
                (Method::DELETE, path(&query), None)
            }
            Op::Url => (Method::GET, path("/url"), None),
            _ => (Method::GET, path(""), None),
        };
        Request {
            who: 0,
            method,
            path,
            idem: upload.idem.clone(),
            body,
            op: op.clone(),
        }
    }

    /// What must be true at any time.
    fn invariants(&self, uploads: &[Known]) -> Seen {
        let rows = self.bucket.rows();
        let of_key = |key: &str| {
            uploads
                .iter()
                .filter_map(|it| Some((it, it.row.as_ref()?)))
                .find(|(_, row)| row.key == key)
        };
        for (key, object) in &rows.objects {
            let Some((upload, row)) = of_key(key) else {
                return Err(format!("an object of nobody: {key}"));
            };
            let pins: Vec<_> = row.parts.iter().map(|part| part.sha256).collect();
            let content: Vec<_> = object
                .content
                .iter()
                .map(|(sha256, _)| Some(*sha256))
                .collect();
            if content != pins || object.token.as_ref() != Some(&row.token) {
                return Err(format!(
                    "an object is not what its upload is pinned to: {object:?} {row:?}"
                ));
            }
            if matches!(row.state, UploadState::Aborted | UploadState::Rejected) && !upload.late {
                return Err(format!(
                    "an upload that is {} has an object",
                    row.state.name()
                ));
            }
        }
        for (id, open) in &rows.open {
            let Some((_, row)) = of_key(&open.key) else {
                continue;
            };
            let spare = row.store_upload.as_ref().is_some_and(|own| own != id);
            let over = matches!(row.state, UploadState::Ready | UploadState::Aborted);
            // What could not be aborted when it was found to be spare is the reaper's.
            let unaborted =
                |(call, _): &(Call, Mood)| matches!(call, Call::Abort | Call::List | Call::Find);
            if (spare || over) && !rows.faults.failed.iter().any(unaborted) {
                return Err(format!(
                    "{id} is open at the key of an upload that is {}: {row:?}",
                    row.state.name()
                ));
            }
        }
        for (upload, row) in uploads.iter().filter_map(|it| Some((it, it.row.as_ref()?))) {
            let made = rows.made.iter().filter(|(key, _)| *key == row.key).count();
            if made > 1 && !upload.late {
                return Err(format!("{made} objects came to be for one upload: {row:?}"));
            }
            if (row.state == UploadState::Ready) != row.receipt.is_some() {
                return Err(format!(
                    "a receipt goes with ready, and ready with a receipt: {row:?}"
                ));
            }
            let Some(receipt) = &row.receipt else {
                continue;
            };
            let receipt: Receipt = serde_json::from_str(receipt).map_err(|why| why.to_string())?;
            let object = rows
                .objects
                .get(&row.key)
                .ok_or(format!("a receipt without an object: {row:?}"))?;
            let sizes: Content = upload
                .content()
                .into_iter()
                .zip(upload.lens.iter().copied())
                .collect();
            let true_of_it = object.content == sizes
                && receipt.size == upload.size
                && receipt.parts as usize == upload.lens.len()
                && receipt
                    .checksum
                    .as_ref()
                    .is_some_and(|checksum| checksum.as_str() == object.checksum)
                && receipt.etag.as_str() == object.etag
                && receipt.key.as_str() == row.key
                && receipt.id.as_str() == row.id;
            if !true_of_it || row.parts.iter().any(|part| !part.stored) {
                return Err(format!(
                    "a receipt is not true: {receipt:?} {object:?} {row:?}"
                ));
            }
        }
        Ok(())
    }
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
        let Request {
            who,
            method,
            path,
            idem,
            body,
            ..
        } = request;
        let mut answer = self
            .call(*who, method.clone(), path, idem, body.clone())
            .await;
        while let Some((200, page)) = &mut answer {
            let Some(after) = page["next"]
                .as_u64()
                .filter(|_| matches!(request.op, Op::List))
            else {
                break;
            };
            let (status, next) = self
                .call(
                    *who,
                    Method::GET,
                    &format!("{path}?after={after}"),
                    idem,
                    None,
                )
                .await?;
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
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let bucket = runtime.block_on(Bucket::start());
    let world = World {
        gate: Gate::start(&bucket, "tokens"),
        bucket,
        cases: 0,
    };
    let world = std::cell::RefCell::new(world);
    explore(256, &steps(), |case| {
        runtime.block_on(world.borrow_mut().run(case))
    });
    let said = world.borrow().gate.stderr();
    assert!(!said.contains("panicked"), "{said}");
}
