//! Makes `openapi.json`, and holds it to the program.
//!
//! Border: what a message looks like is derived from `wire`, what an error is comes from its table; the table here says which
//! call takes and gives which of them.

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

/// A name and the schema under it.
type Named = (String, RefOr<Schema>);

/// A message with all it refers to.
fn schemas<T: ToSchema>() -> Vec<Named> {
    let mut all = vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut all);
    all
}

fn components() -> BTreeMap<String, Value> {
    let all = [
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
    let told = json!({"type": "object", "description": "Event records of Amazon S3, as the stores word them."});
    let all = all
        .into_iter()
        .flatten()
        .map(|(name, schema)| (name, serde_json::to_value(schema).unwrap()));
    all.chain([("S3Events".to_owned(), told)]).collect()
}

/// One call: method, path, what it does, parameters, the message it takes, what it answers when it is granted, and why it
/// may not be. Every call under `/v1` may be refused for [`EVERY`] reason too.
struct Call {
    method: &'static str,
    path: &'static str,
    does: &'static str,
    parameters: Vec<Value>,
    takes: Option<&'static str>,
    answers: Vec<(u16, &'static str, Option<Body>)>,
    refuses: &'static [Code],
}

#[derive(Clone, Copy)]
enum Body {
    Json(&'static str),
    Text(&'static str),
}

/// What any call under `/v1` may be refused for.
const EVERY: [Code; 4] = [
    Code::InvalidRequest,
    Code::Unauthenticated,
    Code::Forbidden,
    Code::Unavailable,
];
/// What any call with a body may be refused for.
const BODIES: [Code; 1] = [Code::TooLarge];
/// What any call about an upload may be refused for.
const UPLOADS: [Code; 1] = [Code::NotFound];

fn id() -> Value {
    json!({"name": "id", "in": "path", "required": true, "schema": {"$ref": "#/components/schemas/UploadId"}})
}

fn query(name: &str, schema: &Value, about: &str) -> Value {
    json!({"name": name, "in": "query", "required": false, "schema": schema, "description": about})
}

#[expect(clippy::too_many_lines, reason = "one table")]
fn calls() -> Vec<Call> {
    use Code::{
        Busy, Gone, IdempotencyMismatch, LeaseHeld, LeaseLost, NameInvalid, NotAbortable, NotFound,
        PartPinned, PartsMismatch, QuotaExceeded, RateLimited, SourceMismatch, StoreUnavailable,
        TypeNotAllowed, Unavailable,
    };
    let call = |method, path, does, answers| Call {
        method,
        path,
        does,
        parameters: Vec::new(),
        takes: None,
        answers,
        refuses: &[],
    };
    let json = |name| Some(Body::Json(name));
    vec![
        call(
            "get",
            "/healthz",
            "Whether the process lives",
            vec![(200, "it does", Some(Body::Text("text/plain")))],
        ),
        Call {
            refuses: &[Unavailable],
            ..call(
                "get",
                "/readyz",
                "Whether ledger and store answer, and the gateway is not stopping",
                vec![(200, "they do", Some(Body::Text("text/plain")))],
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
            "What a client has to know before it begins",
            vec![(200, "limits", json("BackendInfo"))],
        ),
        Call {
            parameters: vec![
                query(
                    "state",
                    &json!({"$ref": "#/components/schemas/UploadState"}),
                    "only those in this state",
                ),
                query(
                    "after",
                    &json!({"$ref": "#/components/schemas/UploadId"}),
                    "the page behind this upload",
                ),
            ],
            refuses: &[NotFound],
            ..call(
                "get",
                "/v1/uploads",
                "The caller's uploads, newest first, 500 in a page",
                vec![(200, "a page", json("UploadList"))],
            )
        },
        Call {
            parameters: vec![json!({
                "name": "Idempotency-Key", "in": "header", "required": true,
                "schema": {"type": "string", "pattern": "^[!-~]{1,128}$"},
                "description": "The same key with the same request gives the same upload.",
            })],
            takes: Some("BeginRequest"),
            refuses: &[
                LeaseHeld,
                PartPinned,
                Busy,
                Gone,
                TypeNotAllowed,
                NameInvalid,
                IdempotencyMismatch,
                RateLimited,
                QuotaExceeded,
                StoreUnavailable,
            ],
            ..call(
                "post",
                "/v1/uploads",
                "Begins an upload, or finds the one this key began",
                vec![
                    (201, "begun", json("BeginResponse")),
                    (200, "begun before", json("BeginResponse")),
                ],
            )
        },
        Call {
            parameters: vec![id()],
            ..call(
                "get",
                "/v1/uploads/{id}",
                "One upload",
                vec![(200, "the upload", json("UploadStatus"))],
            )
        },
        Call {
            parameters: vec![
                id(),
                query(
                    "epoch",
                    &json!({"type": "integer", "minimum": 0}),
                    "the epoch the caller holds; without it the upload is given up for whoever drives it",
                ),
            ],
            refuses: &[LeaseLost, Busy, NotAbortable, StoreUnavailable],
            ..call(
                "delete",
                "/v1/uploads/{id}",
                "Gives an upload up",
                vec![(204, "the store has none of it", None)],
            )
        },
        Call {
            parameters: vec![id()],
            takes: Some("ClaimRequest"),
            refuses: &[LeaseHeld, LeaseLost, Busy, Gone],
            ..call(
                "post",
                "/v1/uploads/{id}/claim",
                "Claims the right to drive an upload, or renews it",
                vec![(200, "granted", json("ClaimResponse"))],
            )
        },
        Call {
            parameters: vec![id()],
            takes: Some("SignRequest"),
            refuses: &[
                LeaseLost,
                PartPinned,
                Busy,
                Gone,
                RateLimited,
                StoreUnavailable,
            ],
            ..call(
                "post",
                "/v1/uploads/{id}/sign",
                "Signs parts, 1000 at most",
                vec![(200, "how to send each", json("SignResponse"))],
            )
        },
        Call {
            parameters: vec![
                id(),
                query(
                    "after",
                    &json!({"type": "integer", "minimum": 0, "maximum": u32::MAX}),
                    "the page behind this",
                ),
            ],
            refuses: &[Busy, Gone, StoreUnavailable],
            ..call(
                "get",
                "/v1/uploads/{id}/parts",
                "What the store holds, 1000 parts in a page",
                vec![(200, "a page", json("PartList"))],
            )
        },
        Call {
            parameters: vec![id()],
            takes: Some("CompleteRequest"),
            refuses: &[
                LeaseLost,
                Busy,
                Gone,
                PartsMismatch,
                SourceMismatch,
                StoreUnavailable,
            ],
            ..call(
                "post",
                "/v1/uploads/{id}/complete",
                "Completes an upload; asked again, tells how it ended",
                vec![
                    (
                        200,
                        "the object is there and is what was sent",
                        json("Receipt"),
                    ),
                    (202, "not decided yet: ask again", json("CompletePending")),
                ],
            )
        },
        Call {
            parameters: vec![
                id(),
                query(
                    "expires",
                    &json!({"type": "integer", "minimum": 1, "maximum": 604_800}),
                    "how many seconds a presigned URL lives; an hour by default",
                ),
            ],
            refuses: &[Busy, Gone, RateLimited, StoreUnavailable],
            ..call(
                "get",
                "/v1/uploads/{id}/url",
                "A URL to read the object with",
                vec![(200, "a URL", json("ReadUrl"))],
            )
        },
        Call {
            takes: Some("BatchRequest"),
            ..call(
                "post",
                "/v1/batch",
                "Begins and completes of many uploads, 256 at most, each answered by itself",
                vec![(200, "one outcome for each", json("BatchResponse"))],
            )
        },
        Call {
            takes: Some("S3Events"),
            refuses: &[NotFound],
            ..call(
                "post",
                EVENTS,
                "Takes what a store pushes, where that is configured",
                vec![(200, "taken", None)],
            )
        },
    ]
}

/// Where it is the store that calls, with a secret of its own.
const EVENTS: &str = "/v1/events/s3";

impl Call {
    fn codes(&self) -> Vec<Code> {
        let mut codes = self.refuses.to_vec();
        if self.path.starts_with("/v1") {
            codes.extend(EVERY);
        }
        if self.takes.is_some() {
            codes.extend(BODIES);
        }
        if self.path.contains("{id}") {
            codes.extend(UPLOADS);
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
        for (status, about, body) in &self.answers {
            let content = match body {
                None => json!({}),
                Some(Body::Json(name)) => json!({"application/json": {"schema": reference(name)}}),
                Some(Body::Text("application/json")) => {
                    json!({"application/json": {"schema": {"type": "object"}}})
                }
                Some(Body::Text(form)) => json!({*form: {"schema": {"type": "string"}}}),
            };
            let mut response = json!({"description": about, "headers": headers(*status)});
            if body.is_some() {
                response["content"] = content;
            }
            responses.insert(status.to_string(), response);
        }
        let mut refused: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
        for code in self.codes() {
            refused.entry(code.status()).or_default().push(code);
        }
        for (status, codes) in refused {
            let about = codes
                .iter()
                .map(|code| format!("`{code}`: {}", code.title()))
                .collect::<Vec<_>>()
                .join("; ");
            let response = json!({
                "description": about,
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
            "summary": self.does,
            "responses": responses,
        });
        if !self.parameters.is_empty() {
            operation["parameters"] = json!(self.parameters);
        }
        if let Some(name) = self.takes {
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
            "description": "The request's own, if it is 1 to 64 of A-Z a-z 0-9 _ -, else a new one",
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
            "description": "Signs uploads in parts for clients that hold no storage credentials. Bodies of JSON have at most \
                            1 MiB (4 MiB for complete and batch) and 32 levels; 256 calls are served at a time. Without \
                            authentication the gateway is on loopback only and asks for a loopback Host.",
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
    // A line for each thing, so that changes can be read, and no blanks, for it is part of the program.
    let mut text = Vec::new();
    let form = serde_json::ser::PrettyFormatter::with_indent(b"");
    document
        .serialize(&mut serde_json::Serializer::with_formatter(&mut text, form))
        .unwrap();
    String::from_utf8(text).unwrap() + "\n"
}

#[test]
fn the_document_is_the_one_the_program_serves() {
    let (path, made) = (
        Path::new(&env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("../../openapi.json"),
        document(),
    );
    if env::var_os("UPLOAD_REGENERATE").is_some() {
        fs::write(&path, made).unwrap();
        return;
    }
    let kept = fs::read_to_string(&path).unwrap();
    assert!(
        kept == made,
        "openapi.json is not of this program: UPLOAD_REGENERATE=1 cargo test -p upload-gateway openapi"
    );
}

#[test]
fn every_route_is_documented_and_every_error_stands_somewhere() {
    let routes = include_str!("../routes.rs");
    let (_, table) = routes.split_once("pub fn router(").unwrap();
    let (table, _) = table.split_once("\n}\n").unwrap();
    let of_v1 = |path: &str| {
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
    let mut served: BTreeSet<String> = paths(v1).iter().map(|path| of_v1(path)).collect();
    served.extend(paths(top));
    let documented: BTreeSet<String> = calls().iter().map(|call| call.path.to_owned()).collect();
    assert_eq!(served, documented);
    let told: BTreeSet<&str> = calls()
        .iter()
        .flat_map(Call::codes)
        .map(Code::name)
        .collect();
    let all: BTreeSet<&str> = Code::ALL.iter().map(|code| code.name()).collect();
    assert_eq!(told, all);
}

#[test]
fn whatever_is_referred_to_is_there() {
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
