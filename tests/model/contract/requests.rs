//! The HTTP request of each operation.

use reqwest::Method;
use serde_json::{Value, json};

use super::state::ContractModel;
use crate::gateway::{Reply, TestGateway};
use crate::operations::Operation;
use crate::upload_model::UploadModel;

#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) owner: usize,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) idempotency_key: String,
    pub(super) body: Option<Value>,
    pub(super) op: Operation,
}

impl ContractModel {
    pub(super) fn request(&self, upload: &UploadModel, op: &Operation) -> Request {
        let id = upload
            .row
            .as_ref()
            .map_or("none".into(), |row| row.id.clone());
        let path = |suffix: &str| format!("uploads/{id}{suffix}");
        let (method, path, body) = match op {
            Operation::Begin {
                other,
                holder,
                parts,
            } => (
                Method::POST,
                "uploads".into(),
                Some(upload.begin(*other, *holder, *parts)),
            ),
            Operation::Claim { holder, epoch } => {
                let epoch = epoch.map(|epoch| upload.epoch(epoch));
                (
                    Method::POST,
                    path("/claim"),
                    Some(json!({"holder": format!("holder-{holder}"), "epoch": epoch})),
                )
            }
            Operation::Sign {
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
            Operation::Complete { epoch, form } => (
                Method::POST,
                path("/complete"),
                Some(upload.complete(&self.bucket, *epoch, *form)),
            ),
            Operation::List => (Method::GET, path("/parts"), None),
            Operation::Abort(epoch) => {
                let query = epoch.map_or(String::new(), |epoch| {
                    format!("?epoch={}", upload.epoch(epoch))
                });
                (Method::DELETE, path(&query), None)
            }
            Operation::Url => (Method::GET, path("/url"), None),
            _ => (Method::GET, path(""), None),
        };
        Request {
            owner: 0,
            method,
            path,
            idempotency_key: upload.idempotency_key.clone(),
            body,
            op: op.clone(),
        }
    }
}

impl TestGateway {
    /// Sends a request; a list is requested page by page.
    pub(super) async fn ask(&self, request: &Request) -> Reply {
        let Request {
            owner,
            method,
            path,
            idempotency_key,
            body,
            ..
        } = request;
        let mut response = self
            .call(*owner, method.clone(), path, idempotency_key, body.clone())
            .await;
        while let Some((200, page)) = &mut response {
            let Some(after) = page["next"]
                .as_u64()
                .filter(|_| matches!(request.op, Operation::List))
            else {
                break;
            };
            let (status, next) = self
                .call(
                    *owner,
                    Method::GET,
                    &format!("{path}?after={after}"),
                    idempotency_key,
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
        response
    }
}
