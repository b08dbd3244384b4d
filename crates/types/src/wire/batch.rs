//! Batch: calls of several uploads in one request.

use serde::{Deserialize, Serialize};

use super::complete::{CompleteRequest, CompleteResponse};
use super::problem::Problem;
use super::upload::{BeginRequest, BeginResponse, UploadStatus};
use crate::ids::UploadId;

/// Request `POST /v1/batch`: calls of several uploads in one request, at most 256 together. Each
/// call has the response that it would have alone. The calls run in any order and concurrently, so
/// an upload that is begun here must be completed by a later batch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct BatchRequest {
    #[serde(default)]
    pub begin: Vec<BatchBegin>,
    #[serde(default)]
    pub complete: Vec<BatchComplete>,
    /// Uploads of which the status is requested.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub status: Vec<UploadId>,
    /// Ready uploads whose objects are looked for in the listing of the store: at most 4000, beside
    /// the other calls. They cost a permit of the rate for each 256 of them. If a permit is
    /// missing, or the ledger fails, the whole batch is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub present: Vec<UploadId>,
}

/// Request `POST /v1/uploads` within a batch: the body, with the header `Idempotency-Key` as a
/// field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct BatchBegin {
    pub idempotency_key: String,
    #[serde(flatten)]
    pub request: BeginRequest,
}

/// Request `POST /v1/uploads/{id}/complete` within a batch: the body, with the id as a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct BatchComplete {
    pub id: UploadId,
    #[serde(flatten)]
    pub request: CompleteRequest,
}

/// Response to `POST /v1/batch`, 200 if the batch is accepted: one outcome for each call, in the
/// order of the request.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct BatchResponse {
    #[serde(default)]
    pub begin: Vec<BatchOutcome<BeginResponse>>,
    #[serde(default)]
    pub complete: Vec<BatchOutcome<CompleteResponse>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub status: Vec<BatchOutcome<UploadStatus>>,
    /// For each id of `present`: true if the upload is ready, and a page of the listing that was
    /// requested for this call has an object with the recorded size and `ETag` at its key. Another
    /// program may have put the same bytes there. False if that is not known: the caller has to ask
    /// for its status.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub present: Vec<bool>,
}

/// The outcome of one call of a batch: `{"status": 201, "response": {…}}` or `{"status": 422,
/// "problem": {…}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct BatchOutcome<T> {
    /// The HTTP status that the call would have alone.
    pub status: u16,
    /// The seconds of the header `Retry-After`, if the call would have one alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    #[serde(flatten)]
    pub body: BatchBody<T>,
}

/// The body that the call would have alone, as the field `response` or `problem`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum BatchBody<T> {
    Response(T),
    Problem(Problem),
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json, to_value};

    use super::*;

    #[test]
    fn batch_outcome_is_a_response_or_a_problem() {
        let problem = json!({"code": "not_found", "title": "no such upload", "status": 404});
        let pending = json!({"status": 202, "retry_after": 1, "response": {"state": "completing"}});
        for outcome in [pending, json!({"status": 404, "problem": problem})] {
            let parsed: BatchOutcome<CompleteResponse> = from_value(outcome.clone()).unwrap();
            assert_eq!(
                matches!(
                    parsed.body,
                    BatchBody::Response(CompleteResponse::Pending(_))
                ),
                parsed.status == 202
            );
            assert_eq!(to_value(parsed).unwrap(), outcome);
        }
        let neither = json!({"status": 200});
        let empty_receipt = json!({"status": 200, "response": {}});
        for wrong in [neither, empty_receipt] {
            assert!(from_value::<BatchOutcome<CompleteResponse>>(wrong).is_err());
        }
    }

    #[test]
    fn batch_call_is_the_body_of_the_single_call_and_one_field() {
        let request = json!({"epoch": 1, "parts": [], "checksum": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="});
        let alone: CompleteRequest = from_value(request.clone()).unwrap();
        let mut entry = request;
        entry["id"] = json!("0b8f7a52-4c62-4a5b-9d3e-0d7f3e2a1c00");
        let batch: BatchRequest = from_value(json!({"complete": [entry]})).unwrap();
        assert_eq!((&batch.complete[0].request, batch.begin.len()), (&alone, 0));
        assert_eq!(to_value(&batch).unwrap()["complete"][0], entry);
    }
}
