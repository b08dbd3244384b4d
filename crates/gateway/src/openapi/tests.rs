//! Generates `openapi.json`, and compares it with the routes.
//!
//! The schemas of messages are derived from the types in `wire`, the errors from their table. The
//! table here lists the calls with their requests, responses and errors.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::{env, fs};

use serde::Serialize as _;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;

use upload_types::wire::{
    BackendInfo, BatchRequest, BatchResponse, BeginRequest, BeginResponse, ClaimRequest,
    ClaimResponse, Code, CompletePending, CompleteRequest, PROTOCOL_HEADER, PartList, Problem,
    ReadUrl, Receipt, SignRequest, SignResponse, UploadList, UploadStatus,
};

type NamedSchema = (String, RefOr<Schema>);

/// The schema of a message, and all schemas to which it refers.
fn schemas<T: ToSchema>() -> Vec<NamedSchema> {
    let mut schemas = vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut schemas);
    schemas
}

fn components() -> BTreeMap<String, Value> {
    let schemas = [
        schemas::<BackendInfo>(),
        schemas::<BeginRequest>(),
        schemas::<BeginResponse>(),
        schemas::<ClaimRequest>(),
        schemas::<ClaimResponse>(),
        schemas::<SignRequest>(),
        schemas::<SignResponse>(),
        schemas::<UploadStatus>(),
        schemas::<UploadList>(),
        schemas::<PartList>(),
        schemas::<CompleteRequest>(),
        schemas::<CompletePending>(),
        schemas::<Receipt>(),
        schemas::<ReadUrl>(),
        schemas::<BatchRequest>(),
        schemas::<BatchResponse>(),
        schemas::<Problem>(),
    ];
    let events = json!({
        "type": "object",
        "description": "Event records of Amazon S3, in the formats of the supported stores.",
    });
    schemas
        .into_iter()
        .flatten()
        .map(|(name, schema)| (name, serde_json::to_value(schema).unwrap()))
        .chain([("S3Events".to_owned(), events)])
        .collect()
}

/// One call of the API.
struct Call {
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    parameters: Vec<Value>,
    /// The schema of the request body.
    request: Option<&'static str>,
    /// The successful responses: status, description and body.
    responses: Vec<(u16, &'static str, Option<Body>)>,
    /// The errors besides [`COMMON_ERRORS`], [`BODY_ERRORS`] and [`UPLOAD_ERRORS`].
    errors: &'static [Code],
}

#[derive(Clone, Copy)]
enum Body {
    Json(&'static str),
    Text(&'static str),
}

/// The errors of every call below `/v1`.
const COMMON_ERRORS: [Code; 4] = [
    Code::InvalidRequest,
    Code::Unauthenticated,
    Code::Forbidden,
    Code::Unavailable,
];
/// The errors of every call with a body.
const BODY_ERRORS: [Code; 1] = [Code::TooLarge];
/// The errors of every call about an upload.
const UPLOAD_ERRORS: [Code; 1] = [Code::NotFound];

fn id_parameter() -> Value {
    json!({"name": "id", "in": "path", "required": true, "schema": {"$ref": "#/components/schemas/UploadId"}})
}

fn query_parameter(name: &str, schema: &Value, description: &str) -> Value {
    json!({"name": name, "in": "query", "required": false, "schema": schema, "description": description})
}

fn calls() -> Vec<Call> {
    let groups = [
        gateway_calls(),
        begin_calls(),
        upload_calls(),
        object_calls(),
    ];
    groups.into_iter().flatten().collect()
}

/// A call without parameters, request body or special errors.
fn call(
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    responses: Vec<(u16, &'static str, Option<Body>)>,
) -> Call {
    Call {
        method,
        path,
        summary,
        parameters: Vec::new(),
        request: None,
        responses,
        errors: &[],
    }
}

/// The calls that are not about one upload.
fn gateway_calls() -> Vec<Call> {
    use Code::{NotFound, Unavailable};

    vec![
        call(
            "get",
            "/healthz",
            "Liveness",
            vec![(200, "the process runs", Some(Body::Text("text/plain")))],
        ),
        Call {
            errors: &[Unavailable],
            ..call(
                "get",
                "/readyz",
                "Readiness: the ledger accepts writes, the store responds, and the gateway is not stopping",
                vec![(200, "ready", Some(Body::Text("text/plain")))],
            )
        },
        call(
            "get",
            "/openapi.json",
            "This document",
            vec![(200, "OpenAPI 3.1", Some(Body::Text("application/json")))],
        ),
        call(
            "get",
            "/v1",
            "Limits and capabilities of the backend",
            vec![(
                200,
                "limits and capabilities",
                Some(Body::Json("BackendInfo")),
            )],
        ),
        Call {
            request: Some("BatchRequest"),
            ..call(
                "post",
                "/v1/batch",
                "Begins, completes or describes at most 256 uploads, each with its own outcome",
                vec![(
                    200,
                    "one outcome for each call",
                    Some(Body::Json("BatchResponse")),
                )],
            )
        },
        Call {
            request: Some("S3Events"),
            errors: &[NotFound],
            ..call(
                "post",
                EVENTS,
                "Accepts the events that a store pushes, if this is configured",
                vec![(200, "accepted", None)],
            )
        },
    ]
}

/// The calls about the uploads of an owner.
fn begin_calls() -> Vec<Call> {
    use Code::{
        AttributeNotAllowed, Busy, Exists, Gone, IdempotencyMismatch, KeyInUse, KeyInvalid,
        KeyNotAllowed, LeaseHeld, NameInvalid, NotFound, PartPinned, QuotaExceeded, RateLimited,
        StoreRejected, StoreUnavailable, TypeNotAllowed,
    };

    vec![
        Call {
            parameters: vec![
                query_parameter(
                    "state",
                    &json!({"$ref": "#/components/schemas/UploadState"}),
                    "only uploads in this state",
                ),
                query_parameter(
                    "after",
                    &json!({"$ref": "#/components/schemas/UploadId"}),
                    "the page that begins after this upload",
                ),
            ],
            errors: &[NotFound, RateLimited],
            ..call(
                "get",
                "/v1/uploads",
                "Lists the caller's uploads, newest first, 500 per page",
                vec![(200, "a page", Some(Body::Json("UploadList")))],
            )
        },
        Call {
            parameters: vec![json!({
                "name": "Idempotency-Key", "in": "header", "required": true,
                "schema": {"type": "string", "pattern": "^[!-~]{1,128}$"},
                "description": "A repetition of the request with the same key returns the same upload.",
            })],
            request: Some("BeginRequest"),
            errors: &[
                KeyNotAllowed,
                LeaseHeld,
                PartPinned,
                Busy,
                Exists,
                KeyInUse,
                Gone,
                TypeNotAllowed,
                AttributeNotAllowed,
                NameInvalid,
                KeyInvalid,
                IdempotencyMismatch,
                RateLimited,
                QuotaExceeded,
                StoreRejected,
                StoreUnavailable,
            ],
            ..call(
                "post",
                "/v1/uploads",
                "Begins an upload, or finds the one that was begun with this key",
                vec![
                    (201, "begun", Some(Body::Json("BeginResponse"))),
                    (
                        200,
                        "begun by an earlier request",
                        Some(Body::Json("BeginResponse")),
                    ),
                ],
            )
        },
    ]
}

/// The calls about an unfinished upload.
fn upload_calls() -> Vec<Call> {
    use Code::{
        AttributeNotAllowed, Busy, Gone, KeyInUse, LeaseHeld, LeaseLost, NotAbortable, PartPinned,
        QuotaExceeded, RateLimited, StoreRejected, StoreUnavailable,
    };

    vec![
        Call {
            parameters: vec![id_parameter()],
            errors: &[RateLimited, StoreRejected, StoreUnavailable],
            ..call(
                "get",
                "/v1/uploads/{id}",
                "Gets the status of an upload",
                vec![(200, "the upload", Some(Body::Json("UploadStatus")))],
            )
        },
        Call {
            parameters: vec![
                id_parameter(),
                query_parameter(
                    "epoch",
                    &json!({"type": "integer", "minimum": 0}),
                    "the epoch of the caller; without it, the upload is aborted regardless of its holder",
                ),
                query_parameter(
                    "unfinished",
                    &json!({"type": "boolean", "default": false}),
                    "true to leave a ready upload as it is, even if the gateway permits its removal",
                ),
            ],
            errors: &[
                LeaseLost,
                Busy,
                KeyInUse,
                NotAbortable,
                RateLimited,
                StoreRejected,
                StoreUnavailable,
            ],
            ..call(
                "delete",
                "/v1/uploads/{id}",
                "Aborts an upload; removes a ready one if the gateway permits it (--client-delete)",
                vec![(204, "the upload is removed from the store", None)],
            )
        },
        Call {
            parameters: vec![id_parameter()],
            request: Some("ClaimRequest"),
            errors: &[LeaseHeld, LeaseLost, Busy, Gone, RateLimited],
            ..call(
                "post",
                "/v1/uploads/{id}/claim",
                "Claims the lease of an upload, or renews it",
                vec![(200, "granted", Some(Body::Json("ClaimResponse")))],
            )
        },
        Call {
            parameters: vec![id_parameter()],
            request: Some("SignRequest"),
            errors: &[
                AttributeNotAllowed,
                LeaseLost,
                PartPinned,
                Busy,
                Gone,
                RateLimited,
                QuotaExceeded,
                StoreRejected,
                StoreUnavailable,
            ],
            ..call(
                "post",
                "/v1/uploads/{id}/sign",
                "Signs at most 1000 parts",
                vec![(
                    200,
                    "a presigned request for each part",
                    Some(Body::Json("SignResponse")),
                )],
            )
        },
        Call {
            parameters: vec![
                id_parameter(),
                query_parameter(
                    "after",
                    &json!({"type": "integer", "minimum": 0, "maximum": u32::MAX}),
                    "the page that begins after this part",
                ),
            ],
            errors: &[Busy, Gone, RateLimited, StoreRejected, StoreUnavailable],
            ..call(
                "get",
                "/v1/uploads/{id}/parts",
                "Lists the stored parts of an unfinished upload, 1000 per page",
                vec![(200, "a page", Some(Body::Json("PartList")))],
            )
        },
    ]
}

/// The calls that complete an upload and read its object.
fn object_calls() -> Vec<Call> {
    use Code::{
        Busy, Exists, Gone, LeaseLost, PartsMismatch, RateLimited, SourceMismatch, StoreRejected,
        StoreUnavailable,
    };

    vec![
        Call {
            parameters: vec![id_parameter()],
            request: Some("CompleteRequest"),
            errors: &[
                LeaseLost,
                Busy,
                Exists,
                Gone,
                PartsMismatch,
                SourceMismatch,
                RateLimited,
                StoreRejected,
                StoreUnavailable,
            ],
            ..call(
                "post",
                "/v1/uploads/{id}/complete",
                "Completes an upload, or returns the outcome of an earlier complete",
                vec![
                    (
                        200,
                        "the object matches the upload",
                        Some(Body::Json("Receipt")),
                    ),
                    (
                        202,
                        "the outcome is not known yet; repeat the request",
                        Some(Body::Json("CompletePending")),
                    ),
                ],
            )
        },
        Call {
            parameters: vec![
                id_parameter(),
                query_parameter(
                    "expires",
                    &json!({"type": "integer", "minimum": 1, "maximum": 604_800}),
                    "lifetime of the presigned URL in seconds; default one hour",
                ),
            ],
            errors: &[
                Code::NotReady,
                Gone,
                RateLimited,
                StoreRejected,
                StoreUnavailable,
            ],
            ..call(
                "get",
                "/v1/uploads/{id}/url",
                "Gets a URL to read the object",
                vec![(200, "a URL", Some(Body::Json("ReadUrl")))],
            )
        },
    ]
}

/// The call of the store, which authenticates with a secret of its own.
const EVENTS: &str = "/v1/events/s3";

impl Call {
    fn codes(&self) -> Vec<Code> {
        let mut codes = self.errors.to_vec();
        if self.path.starts_with("/v1") {
            codes.extend(COMMON_ERRORS);
        }
        if self.request.is_some() {
            codes.extend(BODY_ERRORS);
        }
        if self.path.contains("{id}") {
            codes.extend(UPLOAD_ERRORS);
        }
        // In the order of the table of errors.
        Code::ALL
            .iter()
            .copied()
            .filter(|code| codes.contains(code))
            .collect()
    }

    fn operation(&self) -> Value {
        let mut responses = Map::new();
        for (status, description, body) in &self.responses {
            let content = match body {
                None => json!({}),
                Some(Body::Json(name)) => json!({"application/json": {"schema": reference(name)}}),
                Some(Body::Text("application/json")) => {
                    json!({"application/json": {"schema": {"type": "object"}}})
                }
                Some(Body::Text(content_type)) => {
                    json!({*content_type: {"schema": {"type": "string"}}})
                }
            };
            let mut response = json!({"description": description, "headers": headers(*status)});
            if body.is_some() {
                response["content"] = content;
            }
            responses.insert(status.to_string(), response);
        }
        let mut errors: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
        for code in self.codes() {
            errors.entry(code.status()).or_default().push(code);
        }
        for (status, codes) in errors {
            let description = codes
                .iter()
                .map(|code| format!("`{code}`: {}", code.title()))
                .collect::<Vec<_>>()
                .join("; ");
            let response = json!({
                "description": description,
                "headers": headers(status),
                "content": {"application/problem+json": {"schema": {"allOf": [
                    reference("Problem"),
                    {"properties": {"code": {"enum": codes.iter().map(|code| code.name()).collect::<Vec<_>>()}}},
                ]}}},
            });
            responses.insert(status.to_string(), response);
        }
        let mut operation = json!({
            "operationId": format!("{}{}", self.method, self.path.replace(['/', '{', '}', '.'], "_")),
            "summary": self.summary,
            "responses": responses,
        });
        if !self.parameters.is_empty() {
            operation["parameters"] = json!(self.parameters);
        }
        if let Some(name) = self.request {
            operation["requestBody"] = json!({"required": true, "content": {"application/json": {"schema": reference(name)}}});
        }
        if self.path.starts_with("/v1") {
            operation["security"] = if self.path == EVENTS {
                json!([{"secret": []}])
            } else {
                json!([{"token": []}, {}])
            };
        }
        operation
    }
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn headers(status: u16) -> Value {
    let mut headers = json!({
        PROTOCOL_HEADER: {"description": "The version of the API", "schema": {"type": "string", "const": "1"}},
        "x-request-id": {
            "description": "The id of the request if it had one of 1 to 64 characters of A-Z a-z 0-9 _ -, otherwise a new id",
            "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
        },
    });
    if matches!(status, 202 | 409 | 429 | 502 | 503) {
        headers["retry-after"] = json!({"description": "Seconds", "schema": {"type": "integer"}});
    }
    headers
}

fn document() -> String {
    let mut paths = Map::new();
    for call in calls() {
        let path = paths.entry(call.path).or_insert_with(|| json!({}));
        path[call.method] = call.operation();
    }
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "upload",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "MIT OR Apache-2.0"},
            "description": include_str!("introduction.md").trim_end(),
        },
        "paths": paths,
        "components": {
            "schemas": components(),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "secret": {"type": "apiKey", "in": "header", "name": "Authorization"},
            },
        },
    });
    // One line per value makes changes readable. There is no indentation, since the file is a part
    // of the program.
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"");
    document
        .serialize(&mut serde_json::Serializer::with_formatter(
            &mut text, formatter,
        ))
        .unwrap();
    String::from_utf8(text).unwrap() + "\n"
}

#[test]
fn committed_document_is_up_to_date() {
    let manifest_dir = env::var_os("CARGO_MANIFEST_DIR").unwrap();
    let path = Path::new(&manifest_dir).join("../../openapi.json");
    let generated = document();
    if env::var_os("UPLOAD_REGENERATE").is_some() {
        fs::write(&path, generated).unwrap();
        return;
    }
    let committed = fs::read_to_string(&path).unwrap();
    assert!(
        committed == generated,
        "openapi.json is outdated; run UPLOAD_REGENERATE=1 cargo test -p upload-gateway openapi"
    );
}

#[test]
fn all_routes_and_errors_are_documented() {
    let routes = include_str!("../routes/router.rs");
    let (_, table) = routes.split_once("pub fn api_router(").unwrap();
    let (table, _) = table.split_once("\n}\n").unwrap();
    let below_v1 = |path: &str| {
        if path == "/" {
            "/v1".to_owned()
        } else {
            format!("/v1{path}")
        }
    };
    let (v1, top) = table.split_once("method_not_allowed_fallback").unwrap();
    let paths = |text: &str| {
        let paths = text
            .split(".route(")
            .skip(1)
            .filter_map(|rest| rest.trim_start().strip_prefix('"')?.split_once('"'))
            .map(|(path, _)| path.to_owned());
        paths.collect::<BTreeSet<_>>()
    };
    let mut served: BTreeSet<String> = paths(v1).iter().map(|path| below_v1(path)).collect();
    served.extend(paths(top));
    let documented: BTreeSet<String> = calls().iter().map(|call| call.path.to_owned()).collect();
    assert_eq!(served, documented);
    let documented: BTreeSet<&str> = calls()
        .iter()
        .flat_map(Call::codes)
        .map(Code::name)
        .collect();
    let all: BTreeSet<&str> = Code::ALL.iter().map(|code| code.name()).collect();
    assert_eq!(documented, all);
}

#[test]
fn all_referenced_schemas_exist() {
    let document: Value = serde_json::from_str(&document()).unwrap();
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(
            document["components"]["schemas"].get(name).is_some(),
            "{name}"
        );
    }
}
