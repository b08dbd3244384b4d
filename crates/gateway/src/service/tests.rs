//! Operations while the store misbehaves: a real store behind a door that drops, refuses or swallows answers.
//!
//! Border: what the API answers to a healthy store is `tests/gateway_api.rs`.

mod confirm;
mod hooks;
mod races;
mod sweep;
mod unplanned;

use std::collections::BTreeMap;
use std::sync::Mutex;
use upload_types::sync::lock;

use axum::Router;
use axum::extract::{Request, State as Extract};
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tempfile::TempDir;

use super::*;
use crate::{LedgerConfig, ledger};
use upload_embedded_store::{BUCKET, Embedded, REGION};
use upload_s3::Settings;
use upload_types::names::{Checksum, ETag, PartNumber, Sha256};
use upload_types::wire::{
    BeginRequest, BeginResponse, CompletePart, CompleteRequest, PartSpec, Receipt, SignRequest,
    SignedPart,
};

/// What the door does with one kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    /// Answers 503 in the store's place.
    Down,
    /// Lets the store act, then answers 503.
    Swallow,
    /// Answers 403.
    Denied,
    /// Lets the store act once this mood is over.
    Late,
    /// Answers so in the store's place.
    Says(u16, &'static str),
    /// Answers with more than anybody should read.
    Babbles,
}

/// Which requests are interfered with: a method, something in the query, how.
#[derive(Default)]
struct Door {
    moods: Mutex<Vec<(Method, &'static str, Mood)>>,
    /// Method, query and headers of every request that came by.
    seen: Mutex<Vec<(Method, String, axum::http::HeaderMap)>>,
}

/// Waits until something holds, for no longer than a minute.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let holding = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), holding)
        .await
        .unwrap_or_else(|_| panic!("not yet: {what}"));
}

async fn pass(Extract(door): Extract<Arc<Door>>, request: Request, next: Next) -> Response {
    let (method, query) = (
        request.method().clone(),
        request.uri().query().unwrap_or_default().to_owned(),
    );
    lock(&door.seen).push((method.clone(), query.clone(), request.headers().clone()));
    let mood = || {
        let moods = lock(&door.moods);
        let found = moods
            .iter()
            .find(|(verb, part, _)| *verb == method && query.contains(part));
        found.map(|(_, _, mood)| *mood)
    };
    while mood() == Some(Mood::Late) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    match mood() {
        None | Some(Mood::Late) => next.run(request).await,
        Some(Mood::Says(status, body)) => {
            (StatusCode::from_u16(status).unwrap(), body).into_response()
        }
        Some(Mood::Babbles) => vec![b' '; 3 << 20].into_response(),
        Some(Mood::Down) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Some(Mood::Denied) => (
            StatusCode::FORBIDDEN,
            "<Error><Code>AccessDenied</Code><Message>no</Message></Error>",
        )
            .into_response(),
        Some(Mood::Swallow) => {
            next.run(request).await;
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

struct World {
    place: TempDir,
    config: LedgerConfig,
    door: Arc<Door>,
    service: Arc<Service>,
    owner: Owner,
}

const PART: usize = 5 << 20;

impl World {
    async fn new() -> Self {
        Self::with(|_| ()).await
    }

    async fn with(change: impl FnOnce(&mut Rules)) -> Self {
        let place = tempfile::tempdir().unwrap();
        let ledger = LedgerConfig::Sqlite(place.path().join("ledger.db"));
        Self::on(ledger, place, change).await
    }

    /// With a ledger in PostgreSQL.
    async fn on_postgres() -> Self {
        Self::on(
            ledger::tests::postgres_config().await,
            tempfile::tempdir().unwrap(),
            |_| (),
        )
        .await
    }

    async fn on(config: LedgerConfig, place: TempDir, change: impl FnOnce(&mut Rules)) -> Self {
        let embedded = Embedded::open(&place.path().join("store"), Duration::from_secs(5))
            .await
            .unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint: url::Url = format!("http://{}", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let door = Arc::<Door>::default();
        let router = Router::new()
            .fallback_service(embedded.service().for_browsers(&endpoint))
            .layer(from_fn_with_state(Arc::clone(&door), pass));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let store = Store::new(Settings {
            bucket: BUCKET.to_owned(),
            prefix: String::new(),
            endpoint: Some(endpoint),
            public_endpoint: None,
            region: Some(REGION.to_owned()),
            path_style: true,
            keys: Some(embedded.keys()),
            create_headers: BTreeMap::new(),
            embedded: true,
            cdn: None,
            observer: upload_s3::unobserved,
        });
        let store = store.unwrap();
        let ledger = Ledger::open(&config).await.unwrap();
        let owner = Owner(ledger.owner_segment("local", "o".repeat(26)).await.unwrap());
        let mut rules = Rules {
            limits: store.limits(),
            allow_types: vec!["*/*".to_owned()],
            rate: None,
            quota: crate::Quota::default(),
            url_ttl: Duration::from_mins(15),
            terms: Terms {
                lease: Duration::from_mins(1),
                upload: Duration::from_hours(1),
            },
            patience: Duration::from_secs(10),
            backend: "http://gateway".to_owned(),
            hooks: Hooks::default(),
        };
        change(&mut rules);
        Self {
            place,
            config,
            door,
            service: Service::new(ledger, store, rules),
            owner,
        }
    }

    /// Interferes from now on with requests of this method whose query contains `part`.
    fn set(&self, method: Method, part: &'static str, mood: Mood) {
        *lock(&self.door.moods) = vec![(method, part, mood)];
    }

    fn heal(&self) {
        lock(&self.door.moods).clear();
    }

    /// Requests of this method whose query contains `part`.
    fn asked(&self, method: &Method, part: &str) -> Vec<axum::http::HeaderMap> {
        let seen = lock(&self.door.seen);
        let asked = seen
            .iter()
            .filter(|(verb, query, _)| verb == method && query.contains(part));
        asked.map(|(_, _, headers)| headers.clone()).collect()
    }

    /// Another gateway on the same ledger and store, as if in another process.
    async fn twin(&self) -> Arc<Service> {
        let ledger = Ledger::open(&self.config).await.unwrap();
        Service::new(
            ledger,
            self.service.store.clone(),
            self.service.rules.clone(),
        )
    }

    /// Puts the ledger into a state that time would have brought.
    fn ledger(&self, sql: &str) {
        ledger::tests::execute_sql(&self.config, sql);
    }

    async fn begin(&self, size: usize) -> Result<(BeginResponse, bool), Refusal> {
        self.begin_as("key", size).await
    }

    async fn begin_as(&self, key: &str, size: usize) -> Result<(BeginResponse, bool), Refusal> {
        self.service
            .begin(&self.owner, key, Self::asked_for(size))
            .await
    }

    fn asked_for(size: usize) -> BeginRequest {
        BeginRequest {
            name: "a.bin".into(),
            size: Some(u64::try_from(size).unwrap()),
            content_type: "application/octet-stream".into(),
            part_size: Some(u64::try_from(PART).unwrap()),
            metadata: BTreeMap::new(),
            holder: None,
            parts: None,
        }
    }

    /// An upload with all its parts in the store, ready to be completed.
    async fn sent(&self, size: usize) -> (BeginResponse, CompleteRequest) {
        self.sent_as("key", size).await
    }

    async fn sent_as(&self, key: &str, size: usize) -> (BeginResponse, CompleteRequest) {
        let (upload, _) = self.begin_as(key, size).await.unwrap();
        let body = vec![7; size];
        let chunks: Vec<&[u8]> = if size == 0 {
            vec![&[]]
        } else {
            body.chunks(PART).collect()
        };
        let parts = (1..).zip(&chunks).map(|(number, body)| PartSpec {
            number: PartNumber::try_from(number).unwrap(),
            size: u64::try_from(body.len()).unwrap(),
            sha256: Sha256::of(body),
            md5: None,
        });
        let sign = SignRequest {
            epoch: upload.epoch,
            parts: parts.collect(),
        };
        let signed = self
            .service
            .sign(&self.owner, upload.id.as_str(), sign)
            .await
            .unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut parts = Vec::new();
        for (signed, body) in signed.parts.iter().zip(chunks) {
            let SignedPart::Put(put) = signed else {
                panic!("not to be sent")
            };
            let mut request = client.put(put.url.expose()).body(body.to_vec());
            for (name, value) in &put.headers {
                request = request.header(name, value);
            }
            let answer = request.send().await.unwrap();
            let etag = ETag::from_header(answer.headers()["etag"].to_str().unwrap()).unwrap();
            parts.push(CompletePart {
                number: put.number,
                etag,
                sha256: Sha256::of(body),
            });
        }
        let checksum = match parts.as_slice() {
            [part] => Checksum::whole(&part.sha256),
            parts => Checksum::composite(parts.iter().map(|part| &part.sha256)),
        };
        let epoch = upload.epoch;
        (
            upload,
            CompleteRequest {
                epoch,
                parts,
                checksum,
            },
        )
    }

    async fn complete(
        &self,
        upload: &BeginResponse,
        request: &CompleteRequest,
    ) -> Result<Completion, Refusal> {
        self.service
            .complete(&self.owner, upload.id.as_str(), request.clone())
            .await
    }

    async fn state(&self, upload: &BeginResponse) -> UploadState {
        self.service
            .status(&self.owner, upload.id.as_str())
            .await
            .unwrap()
            .state
    }
}

fn receipt(completion: Result<Completion, Refusal>) -> Receipt {
    match completion {
        Ok(Completion::Receipt(receipt)) => *receipt,
        other => panic!("{other:?}"),
    }
}

fn undecided(completion: &Result<Completion, Refusal>) -> bool {
    matches!(
        completion,
        Ok(Completion::Deciding(UploadState::Completing))
    )
}

/// The query of CompleteMultipartUpload.
const COMPLETE: &str = "uploadId=";

#[tokio::test]
async fn a_store_that_is_down_leaves_the_complete_open() {
    let world = World::new().await;
    let (upload, request) = world.sent(PART + 1).await;
    world.set(Method::POST, COMPLETE, Mood::Down);
    for _ in 0..2 {
        assert!(undecided(&world.complete(&upload, &request).await));
        assert_eq!(world.state(&upload).await, UploadState::Completing);
    }
    let refused = world
        .service
        .abort(&world.owner, upload.id.as_str(), None)
        .await
        .unwrap_err();
    assert_eq!(refused.code, Code::NotAbortable);
    world.heal();
    assert_eq!(receipt(world.complete(&upload, &request).await).parts, 2);
    // The receipt is everybody's who may see the upload: no epoch is asked for any more.
    let late = CompleteRequest {
        epoch: 99,
        ..request
    };
    assert_eq!(receipt(world.complete(&upload, &late).await).parts, 2);
}

#[tokio::test]
async fn a_lost_answer_to_complete_is_decided_by_the_object() {
    let world = World::new().await;
    let (upload, request) = world.sent(PART + 1).await;
    world.set(Method::POST, COMPLETE, Mood::Swallow);
    assert_eq!(receipt(world.complete(&upload, &request).await).parts, 2);
    assert_eq!(world.state(&upload).await, UploadState::Ready);
}

#[tokio::test]
async fn without_a_look_at_the_object_nothing_is_decided() {
    let world = World::new().await;
    let (upload, request) = world.sent(PART + 1).await;
    world.set(Method::HEAD, "", Mood::Down);
    assert!(undecided(&world.complete(&upload, &request).await));
    assert!(undecided(&world.complete(&upload, &request).await));
    world.heal();
    assert_eq!(receipt(world.complete(&upload, &request).await).parts, 2);
}

/// What the client said is in the ledger then, and is no word of the store.
#[tokio::test]
async fn while_it_is_decided_the_store_is_asked_for_its_parts() {
    let world = World::new().await;
    let (upload, mut request) = world.sent(2 * PART).await;
    let absent: ETag = "absent".parse().unwrap();
    request.parts[1].etag = absent.clone();
    world.set(Method::POST, "uploadId", Mood::Down);
    assert!(matches!(
        world.complete(&upload, &request).await,
        Ok(Completion::Deciding(UploadState::Completing))
    ));
    let listed = world
        .service
        .parts(&world.owner, upload.id.as_str(), 0)
        .await
        .unwrap()
        .parts;
    assert_eq!(listed.len(), 2);
    assert!(listed.iter().all(|part| part.etag != absent), "{listed:?}");
}

#[tokio::test]
async fn a_complete_the_store_refuses_for_good_may_be_tried_again_or_aborted() {
    let world = World::new().await;
    let (upload, request) = world.sent(PART + 1).await;
    world.set(Method::POST, COMPLETE, Mood::Denied);
    assert_eq!(
        world.complete(&upload, &request).await.unwrap_err().code,
        Code::StoreUnavailable
    );
    assert_eq!(world.state(&upload).await, UploadState::Uploading);
    world.heal();
    assert_eq!(receipt(world.complete(&upload, &request).await).parts, 2);
}

#[tokio::test]
async fn a_plain_put_waits_for_the_stores_word_too() {
    let world = World::new().await;
    let (upload, request) = world.sent(3).await;
    world.set(Method::HEAD, "", Mood::Down);
    assert!(undecided(&world.complete(&upload, &request).await));
    world.heal();
    assert_eq!(receipt(world.complete(&upload, &request).await).parts, 1);
}

#[tokio::test]
async fn a_begin_whose_create_was_lost_finds_it_again() {
    let world = World::new().await;
    for mood in [Mood::Down, Mood::Swallow] {
        world.set(Method::POST, "uploads", mood);
        assert_eq!(
            world.begin(PART + 1).await.unwrap_err().code,
            Code::StoreUnavailable
        );
    }
    world.heal();
    let (upload, new) = world.begin(PART + 1).await.unwrap();
    assert!(!new);
    assert_eq!(
        world.service.store.find(&upload.key).await.unwrap().len(),
        1
    );
}

#[tokio::test]
async fn an_abort_the_store_misses_is_repeated() {
    let world = World::new().await;
    let (upload, _) = world.sent(PART + 1).await;
    world.set(Method::DELETE, "", Mood::Down);
    let abort = async || {
        world
            .service
            .abort(&world.owner, upload.id.as_str(), None)
            .await
    };
    assert_eq!(abort().await.unwrap_err().code, Code::StoreUnavailable);
    assert_eq!(world.state(&upload).await, UploadState::Aborting);
    world.heal();
    abort().await.unwrap();
    assert_eq!(world.state(&upload).await, UploadState::Aborted);
    assert!(
        world
            .service
            .store
            .find(&upload.key)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn an_abort_takes_everything_of_ours_at_the_key() {
    let world = World::new().await;
    let (upload, request) = world.sent(PART + 1).await;
    let store = &world.service.store;
    let row = world
        .service
        .find(&world.owner, upload.id.as_str())
        .await
        .unwrap();
    // A complete that the ledger does not know of, and a second multipart upload of a create whose answer was lost.
    let multipart = row.store_upload.clone().unwrap();
    store
        .complete(&upload.key, &multipart, &request.parts, row.plan.size())
        .await
        .unwrap();
    store
        .create(&upload.key, &super::object(&row))
        .await
        .unwrap();
    assert!(store.head(&upload.key).await.unwrap().is_some());
    world
        .service
        .abort(&world.owner, upload.id.as_str(), None)
        .await
        .unwrap();
    assert!(store.find(&upload.key).await.unwrap().is_empty());
    assert!(store.head(&upload.key).await.unwrap().is_none());
}

/// What does not carry the upload's token was put there by somebody else.
#[tokio::test]
async fn an_abort_leaves_an_object_that_is_not_ours() {
    let world = World::new().await;
    let (upload, _) = world.sent(3).await;
    world.ledger("UPDATE upload SET token = 'another'");
    world
        .service
        .abort(&world.owner, upload.id.as_str(), None)
        .await
        .unwrap();
    assert_eq!(world.state(&upload).await, UploadState::Aborted);
    assert!(
        world
            .service
            .store
            .head(&upload.key)
            .await
            .unwrap()
            .is_some()
    );
}

/// The client hears soon that it is being decided, and of the receipt when it asks again; the store is asked once.
#[tokio::test]
async fn a_complete_that_takes_long_is_told_of_later() {
    let world = World::with(|rules| rules.patience = Duration::from_millis(20)).await;
    let (upload, request) = world.sent(PART + 1).await;
    world.set(Method::POST, COMPLETE, Mood::Late);
    for _ in 0..3 {
        let soon =
            tokio::time::timeout(Duration::from_secs(20), world.complete(&upload, &request)).await;
        assert!(undecided(&soon.expect("it is waited for to the end")));
    }
    world.heal();
    let receipt = loop {
        match world.complete(&upload, &request).await {
            Ok(Completion::Receipt(receipt)) => break receipt,
            other => assert!(undecided(&other), "{other:?}"),
        }
    };
    assert_eq!(
        (receipt.parts, world.asked(&Method::POST, COMPLETE).len()),
        (2, 1)
    );
}

#[tokio::test]
async fn what_the_store_says_of_a_complete_is_not_believed_without_the_object() {
    let error = |code: &str| format!("\n \n<Error><Code>{code}</Code></Error>").leak();
    let done = "<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>";
    let world = World::new().await;
    let (upload, request) = world.sent(PART + 1).await;
    let says = async |mood| {
        world.set(Method::POST, COMPLETE, mood);
        world.complete(&upload, &request).await
    };
    for passing in ["InternalError", "SlowDown"] {
        assert!(
            undecided(&says(Mood::Says(200, error(passing))).await),
            "{passing}"
        );
    }
    // Nothing, half an answer, somebody else's, too much of it, and a success without an object.
    for body in [
        "",
        "<CompleteMultipartUploadResult><ETag>",
        "<html></html>",
        done,
    ] {
        assert!(undecided(&says(Mood::Says(200, body)).await), "{body}");
    }
    for (status, body) in [
        (504, ""),
        (307, ""),
        (409, &*error("ConditionalRequestConflict")),
    ] {
        assert!(
            undecided(&says(Mood::Says(status, body)).await),
            "{status} {body}"
        );
    }
    assert!(undecided(&says(Mood::Babbles).await));
    assert_eq!(
        says(Mood::Says(200, error("AccessDenied")))
            .await
            .unwrap_err()
            .code,
        Code::StoreUnavailable
    );
    for wrong in ["InvalidPart", "InvalidPartOrder", "EntityTooSmall"] {
        assert_eq!(
            says(Mood::Says(400, error(wrong))).await.unwrap_err().code,
            Code::PartsMismatch,
            "{wrong}"
        );
        assert_eq!(world.state(&upload).await, UploadState::Uploading);
    }
    world.heal();
    assert_eq!(receipt(world.complete(&upload, &request).await).parts, 2);
}

/// A retried complete that finds its own object in its way.
#[tokio::test]
async fn a_condition_that_fails_on_our_own_object_is_success() {
    let world = World::new().await;
    let (upload, request) = world.sent(PART + 1).await;
    let row = world
        .service
        .find(&world.owner, upload.id.as_str())
        .await
        .unwrap();
    let multipart = row.store_upload.clone().unwrap();
    world
        .service
        .store
        .complete(&upload.key, &multipart, &request.parts, row.plan.size())
        .await
        .unwrap();
    world.set(
        Method::POST,
        COMPLETE,
        Mood::Says(412, "<Error><Code>PreconditionFailed</Code></Error>"),
    );
    assert_eq!(receipt(world.complete(&upload, &request).await).parts, 2);
}

/// Ceph says 500 of an upload that was taken from it; a proxy may say 504 while the store is at it.
#[tokio::test]
async fn an_upload_that_the_store_has_lost_is_gone_whatever_it_says_to_complete() {
    let world = World::new().await;
    let (upload, request) = world.sent(PART + 1).await;
    let multipart = world
        .service
        .find(&world.owner, upload.id.as_str())
        .await
        .unwrap()
        .store_upload
        .unwrap();
    let complete = async |status| {
        world.set(
            Method::POST,
            COMPLETE,
            Mood::Says(status, "<Error><Code>InternalError</Code></Error>"),
        );
        world.complete(&upload, &request).await
    };
    assert!(undecided(&complete(500).await), "its parts are there");
    world
        .service
        .store
        .abort(&upload.key, &multipart)
        .await
        .unwrap();
    assert!(undecided(&complete(504).await));
    assert_eq!(complete(500).await.unwrap_err().code, Code::Gone);
    assert_eq!(world.state(&upload).await, UploadState::Expired);
}

#[tokio::test]
async fn a_complete_is_conditional_and_tells_the_size() {
    let world = World::new().await;
    let (upload, request) = world.sent(PART + 1).await;
    receipt(world.complete(&upload, &request).await);
    let asked = world.asked(&Method::POST, COMPLETE);
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0]["if-none-match"], "*");
    assert_eq!(asked[0]["x-amz-mp-object-size"], (PART + 1).to_string());
}

#[tokio::test]
async fn a_page_of_parts_that_leads_nowhere_is_no_list() {
    let world = World::new().await;
    let (upload, _) = world.sent(PART + 1).await;
    let part = "<Part><PartNumber>1</PartNumber><ETag>e</ETag><Size>1</Size></Part>";
    let page = |marker: &str| {
        format!("<ListPartsResult><IsTruncated>true</IsTruncated><NextPartNumberMarker>{marker}</NextPartNumberMarker>{part}</ListPartsResult>").leak()
    };
    for (after, page) in [
        (
            0,
            "<ListPartsResult><IsTruncated>true</IsTruncated></ListPartsResult>",
        ),
        (1, page("1")),
        (0, page("0")),
    ] {
        world.set(Method::GET, "uploadId=", Mood::Says(200, page));
        let listed = world
            .service
            .parts(&world.owner, upload.id.as_str(), after)
            .await;
        // A marker of nothing is read as the last number there is.
        match (after, listed) {
            (_, Err(refusal)) => assert_eq!(refusal.code, Code::StoreUnavailable),
            (0, Ok(list)) => assert_eq!(list.next, Some(PartNumber::FIRST)),
            (_, Ok(list)) => panic!("{list:?}"),
        }
    }
}
