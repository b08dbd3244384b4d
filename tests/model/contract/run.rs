//! Runs the steps of a case and compares each call with the prediction.

use reqwest::Method;
use serde_json::json;
use upload_types::wire::UploadState;

use super::requests::Request;
use super::state::ContractModel;
use crate::bucket::{BodyDigest, Bucket};
use crate::expectations::{check_transition, matches_expected};
use crate::faults::{Call, Fault, FaultKind};
use crate::gateway::{LedgerRow, TestGateway, response_code};
use crate::operations::{CompleteForm, Epoch, Operation, SIZES, Step, steps};
use crate::upload_model::{UploadModel, is_over, variant_sha256};
use crate::{CheckResult, run_cases};

/// The body of a PUT to a signed URL.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PutBody {
    Signed,
    Other,
}

impl ContractModel {
    fn begin_case(&mut self, sizes: &[usize]) -> Vec<UploadModel> {
        self.cases += 1;
        self.bucket.clear_faults();
        *self.bucket.contents() = crate::bucket::Contents::default();
        let model = |(at, size): (usize, &usize)| {
            UploadModel::new(format!("case-{}-{at}", self.cases), SIZES[*size])
        };
        sizes.iter().enumerate().map(model).collect()
    }

    pub async fn run(&mut self, (sizes, steps): &(Vec<usize>, Vec<Step>)) -> CheckResult {
        let mut uploads = self.begin_case(sizes);
        for (number, (index, op)) in steps.iter().enumerate() {
            let result = self.step(&mut uploads[*index], op).await;
            result
                .and_then(|()| self.invariants(&uploads))
                .map_err(|reason| format!("step {number}, {op:?} of {index}: {reason}"))?;
        }
        self.bucket.clear_faults();
        for upload in &mut uploads {
            self.finish(upload)
                .await
                .map_err(|reason| format!("at the end: {reason}"))?;
        }
        self.invariants(&uploads)
    }

    async fn step(&mut self, upload: &mut UploadModel, op: &Operation) -> CheckResult {
        match op {
            Operation::InjectFault(call, kind) => {
                self.bucket.inject(Fault {
                    call: *call,
                    kind: *kind,
                    skip: 0,
                });
                Ok(())
            }
            Operation::ClearFaults => {
                self.bucket.clear_faults();
                Ok(())
            }
            Operation::KillGateway => {
                self.gateway.kill();
                self.adopt_row(upload, 2)
            }
            Operation::DropOpenUploads => {
                self.bucket.contents().open.clear();
                Ok(())
            }
            Operation::ExpireLease => {
                let sql = "UPDATE upload SET lease_until = 0 WHERE idempotency_key = ?1";
                self.gateway
                    .ledger()
                    .execute(sql, [upload.idempotency_key.as_bytes()])
                    .unwrap();
                upload.row = self.row(upload);
                Ok(())
            }
            Operation::Put {
                number,
                variant,
                wrong,
            } => {
                let body = if *wrong {
                    PutBody::Other
                } else {
                    PutBody::Signed
                };
                self.put(upload, *number, *variant, body)
            }
            Operation::UploadParts { variant } => self.send(upload, *variant).await,
            // A client without the id cannot make other calls.
            op if !upload.id_known
                && !matches!(op, Operation::Begin { .. } | Operation::Concurrent(..)) =>
            {
                Ok(())
            }
            Operation::OtherOwner(call) => self.call_as_other_owner(upload, *call).await,
            Operation::Concurrent(a, b) => {
                if !upload.id_known
                    && !matches!(
                        (&**a, &**b),
                        (Operation::Begin { .. }, Operation::Begin { .. })
                    )
                {
                    return Ok(());
                }
                let (a, b) = (self.request(upload, a), self.request(upload, b));
                let gateway = &self.gateway;
                let calls = async { tokio::join!(gateway.ask(&a), gateway.ask(&b)) };
                let killed = self.bucket.gateway_kill.notified();
                let responses =
                    tokio::select! { responses = calls => Some(responses), () = killed => None };
                let Some(responses) = responses else {
                    self.gateway.kill();
                    return self.adopt_row(upload, 2);
                };
                self.check_response(upload, &a, &responses.0)?;
                self.check_response(upload, &b, &responses.1)?;
                self.adopt_row(upload, 2)
            }
            op => self.call_and_compare(upload, op).await,
        }
    }

    /// Makes one call and compares the result with the prediction.
    async fn call_and_compare(&mut self, upload: &mut UploadModel, op: &Operation) -> CheckResult {
        let (mut expected_code, mut expected_row) = upload.expect(op, &self.bucket);
        let before = self.bucket.contents().faults.injected.len();
        let request = self.request(upload, op);
        let response = tokio::select! {
            response = self.gateway.ask(&request) => response,
            () = self.bucket.gateway_kill.notified() => None,
        };
        if response.is_none() {
            self.gateway.kill();
        }
        self.check_response(upload, &request, &response)?;
        let injected = self.bucket.contents().faults.injected.split_off(before);
        self.bucket.contents().faults.injected.extend(&injected);
        match injected.as_slice() {
            [] if response.is_some() => {}
            // The gateway requests the outcome from the store.
            [(Call::Complete, FaultKind::DoneButUnavailable | FaultKind::DoneButDisconnected)]
                if expected_code == "200" => {}
            // The complete had no effect and may be requested again.
            [
                (
                    Call::Complete,
                    FaultKind::Unavailable | FaultKind::Disconnected | FaultKind::ErrorBody,
                ),
            ] if expected_code == "200" => {
                "202".clone_into(&mut expected_code);
                expected_row = expected_row.map(|row| LedgerRow {
                    state: UploadState::Completing,
                    ..row
                });
            }
            _ => return self.adopt_row(upload, 1),
        }
        let actual_code = response_code(&response);
        if actual_code != expected_code {
            return Err(format!(
                "responded {actual_code}, not {expected_code}: {response:?}\nwith the row {:?}",
                upload.row
            ));
        }
        let after = self.row(upload);
        if let (Some(before), Some(after)) = (&upload.row, &after) {
            check_transition(before, after, 1)?;
        }
        if !matches_expected(expected_row.as_ref(), after.as_ref()) {
            return Err(format!(
                "the row differs from the expected one:\n{after:?}\n{expected_row:?}"
            ));
        }
        upload.row = after;
        Ok(())
    }

    /// Adopts the ledger's row after an unpredictable step, if the change is permitted.
    fn adopt_row(&self, upload: &mut UploadModel, calls: usize) -> CheckResult {
        let after = self.row(upload);
        match (&upload.row, &after) {
            (Some(before), Some(after)) => check_transition(before, after, calls)?,
            (Some(_), None) => return Err("a row has disappeared".into()),
            (None, _) => {}
        }
        upload.row = after;
        Ok(())
    }

    fn put(
        &self,
        upload: &mut UploadModel,
        number: u32,
        variant: u8,
        put_body: PutBody,
    ) -> CheckResult {
        let Some(signed) = upload.urls.get(&(number, variant)) else {
            return Ok(());
        };
        let sha256 = match put_body {
            PutBody::Other => variant_sha256(8, 8),
            PutBody::Signed => variant_sha256(variant, number),
        };
        let body = BodyDigest {
            sha256,
            size: upload.part_sizes[number as usize - 1],
        };
        let put = self.bucket.put(signed.url.expose(), &signed.headers, &body);
        if put_body == PutBody::Other && put.is_ok() {
            return Err("a URL accepted other bytes than it was signed for".into());
        }
        upload.put_after_end |=
            put.is_ok() && upload.row.as_ref().is_some_and(|row| is_over(row.state));
        Ok(())
    }

    /// Begins an upload, signs, puts and lists its parts, as the client does.
    async fn send(&mut self, upload: &mut UploadModel, variant: u8) -> CheckResult {
        let other = upload.other();
        self.call_and_compare(
            upload,
            &Operation::Begin {
                other,
                holder: Some(variant),
                parts: None,
            },
        )
        .await?;
        if !upload.id_known {
            return Ok(());
        }
        let parts = upload.all(variant);
        self.call_and_compare(
            upload,
            &Operation::Sign {
                epoch: Epoch::Current,
                parts,
                wrong_size: false,
            },
        )
        .await?;
        for (number, variant) in upload.all(variant) {
            self.put(upload, number, variant, PutBody::Signed)?;
        }
        self.call_and_compare(upload, &Operation::List).await
    }

    /// Continues the upload as a client without faults; it must reach a final state.
    async fn finish(&mut self, upload: &mut UploadModel) -> CheckResult {
        for _ in 0..4 {
            let other = upload.other();
            self.step(upload, &Operation::ExpireLease).await?;
            self.call_and_compare(
                upload,
                &Operation::Begin {
                    other,
                    holder: Some(0),
                    parts: None,
                },
            )
            .await?;
            let Some(row) = upload.row.clone() else {
                return Err("a begin created no row".into());
            };
            match row.state {
                UploadState::Pending | UploadState::Uploading => {
                    self.call_and_compare(upload, &Operation::List).await?;
                    if upload.row.as_ref().is_some_and(|row| is_over(row.state)) {
                        continue;
                    }
                    let content = upload.content();
                    let kept = |(at, number): (usize, u32)| {
                        let variant =
                            (0..10).find(|variant| variant_sha256(*variant, number) == content[at]);
                        (number, variant.unwrap_or(9))
                    };
                    let parts: Vec<(u32, u8)> =
                        (0..).zip(1..).take(content.len()).map(kept).collect();
                    self.call_and_compare(
                        upload,
                        &Operation::Sign {
                            epoch: Epoch::Current,
                            parts: parts.clone(),
                            wrong_size: false,
                        },
                    )
                    .await?;
                    for (number, variant) in parts {
                        self.put(upload, number, variant, PutBody::Signed)?;
                    }
                    self.call_and_compare(
                        upload,
                        &Operation::Complete {
                            epoch: Epoch::Current,
                            form: CompleteForm::Valid,
                        },
                    )
                    .await?;
                }
                UploadState::Completing => {
                    self.call_and_compare(
                        upload,
                        &Operation::Complete {
                            epoch: Epoch::Current,
                            form: CompleteForm::Valid,
                        },
                    )
                    .await?;
                }
                UploadState::Aborting => {
                    self.call_and_compare(upload, &Operation::Abort(None))
                        .await?;
                }
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
                "the upload does not reach a final state: {state:?}"
            )),
        }
    }

    /// Another owner gets the same response as for an unknown id, and changes nothing.
    async fn call_as_other_owner(&self, upload: &mut UploadModel, call: u8) -> CheckResult {
        let op = match call {
            0 => Operation::Claim {
                holder: 0,
                epoch: None,
            },
            1 => Operation::Sign {
                epoch: Epoch::Current,
                parts: upload.all(0),
                wrong_size: false,
            },
            2 => Operation::List,
            3 => Operation::Complete {
                epoch: Epoch::Current,
                form: CompleteForm::Valid,
            },
            4 => Operation::Abort(None),
            5 => Operation::Url,
            _ => Operation::Begin {
                other: false,
                holder: Some(1),
                parts: Some(0),
            },
        };
        let before = (self.row(upload), self.bucket.snapshot());
        let mut request = self.request(upload, &op);
        request.owner = 1;
        if call > 5 {
            // An idempotency key belongs to its owner; the list of the other owner lacks the
            // upload.
            request.method = Method::GET;
            request.path = "uploads".into();
            request.body = None;
            let listed = self.gateway.ask(&request).await.ok_or("no response")?.1;
            let id = &upload.row.as_ref().unwrap().id;
            let is_listed = listed["uploads"]
                .as_array()
                .unwrap()
                .iter()
                .any(|upload| upload["id"] == json!(id));
            return if is_listed {
                Err("another owner sees the upload".into())
            } else {
                Ok(())
            };
        }
        let id = upload.row.as_ref().unwrap().id.clone();
        let unknown = Request {
            path: request
                .path
                .replace(&id, "00000000-0000-4000-8000-000000000000"),
            ..request.clone()
        };
        let (response, unknown_response) = (
            self.gateway.ask(&request).await,
            self.gateway.ask(&unknown).await,
        );
        if response != unknown_response || response_code(&response) != "not_found" {
            return Err(format!(
                "another owner gets {response:?}, for an unknown id {unknown_response:?}"
            ));
        }
        let after = (self.row(upload), self.bucket.snapshot());
        if before == after {
            Ok(())
        } else {
            Err(format!(
                "another owner changed something: {before:?} {after:?}"
            ))
        }
    }
}

#[test]
fn gateway_matches_the_contract() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let bucket = runtime.block_on(Bucket::start());
    let model = ContractModel {
        gateway: TestGateway::start(&bucket, "tokens"),
        bucket,
        cases: 0,
    };
    let model = std::cell::RefCell::new(model);
    run_cases(256, &steps(), |case| {
        runtime.block_on(model.borrow_mut().run(case))
    });
    let stderr = model.borrow().gateway.stderr();
    assert!(!stderr.contains("panicked"), "{stderr}");
}
