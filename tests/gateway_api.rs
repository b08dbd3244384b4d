//! The gateway's HTTP API, version 1, over the embedded store: a real gateway in this process, asked by a plain HTTP client.
//!
//! Border: the wire contract; what the client makes of it is tested from the outside, by the command.
#![cfg(feature = "gateway")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use reqwest::{Method, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use upload::error::Kind;
use upload::gateway::ledger::Ledger;
use upload::gateway::store::embedded::{BUCKET, REGION};
use upload::gateway::store::{Settings, Store};
use upload::gateway::{self, Auth, Config, Probe, Running, StoreConfig};
use upload::names::{Checksum, ETag, Fingerprint, PartNumber};
use upload::wire::{
    BeginAnswer, BeginRequest, ClaimAnswer, ClaimRequest, CompletePart, CompleteRequest, Info, PROTOCOL_HEADER,
    PartList, PartSpec, Problem, Proof, ReadUrl, Receipt, SignAnswer, SignRequest, Signed, State, UploadList,
    UploadStatus,
};

const MIB: u64 = 1 << 20;

/// A gateway over an embedded store, in a directory of its own.
struct World {
    place: TempDir,
    running: Running,
    client: reqwest::Client,
    token: Option<String>,
}

fn config(place: &Path, auth: Auth) -> Config {
    Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        public_url: None,
        store: StoreConfig::Embedded { dir: place.join("store") },
        store_credentials: Some(place.join("credentials")),
        ledger: place.join("ledger.db"),
        auth,
        allow_types: vec!["*/*".to_owned()],
        max_size: None,
        url_ttl: Duration::from_mins(15),
        upload_ttl: Duration::from_hours(24),
        sse: None,
        required_headers: Vec::new(),
        probe: Probe::Off,
        checksum: Some(Proof::Sha256),
        lock_wait: Duration::from_secs(5),
    }
}

impl World {
    async fn new() -> Self {
        Self::with(|_| ()).await
    }

    async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let place = tempfile::tempdir().unwrap();
        let mut config = config(place.path(), Auth::None);
        change(&mut config);
        let running = gateway::start(config).await.unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { place, running, client, token: None }
    }

    /// The same gateway, stopped and started again: on another port.
    async fn restarted(self) -> Self {
        let Self { place, running, client, token } = self;
        running.stop().await;
        let running = gateway::start(config(place.path(), Auth::None)).await.unwrap();
        Self { place, running, client, token }
    }

    /// Puts the ledger into the state a crash would have left.
    fn ledger(&self, sql: &str) {
        let connection = rusqlite::Connection::open(self.place.path().join("ledger.db")).unwrap();
        connection.busy_timeout(Duration::from_secs(5)).unwrap();
        connection.execute(sql, []).unwrap();
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let base = self.running.url.as_str().trim_end_matches('/');
        let request = self.client.request(method, format!("{base}{path}"));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    async fn post(&self, path: &str, body: &impl Serialize) -> Response {
        self.request(Method::POST, path).json(body).send().await.unwrap()
    }

    async fn begin(&self, key: &str, request: &BeginRequest) -> Response {
        self.request(Method::POST, "/v1/uploads").header("idempotency-key", key).json(request).send().await.unwrap()
    }

    async fn begun(&self, request: &BeginRequest) -> BeginAnswer {
        let key = Fingerprint::of(format!("{request:?}").as_bytes()).to_string();
        good(self.begin(&key, request).await, 201).await
    }

    async fn sign(&self, upload: &BeginAnswer, parts: Vec<PartSpec>) -> Response {
        self.post(&format!("/v1/uploads/{}/sign", upload.id), &SignRequest { epoch: upload.epoch, parts }).await
    }

    async fn complete(&self, upload: &BeginAnswer, parts: &[CompletePart]) -> Response {
        let request = CompleteRequest { epoch: upload.epoch, parts: parts.to_vec(), checksum: checksum(upload, parts) };
        self.post(&format!("/v1/uploads/{}/complete", upload.id), &request).await
    }

    /// Signs and sends each part.
    async fn send(&self, upload: &BeginAnswer, bodies: &[Vec<u8>]) -> Vec<CompletePart> {
        let specs = (1..).zip(bodies).map(|(number, body)| spec(number, body)).collect();
        let signed: SignAnswer = good(self.sign(upload, specs).await, 200).await;
        let mut parts = Vec::new();
        for (signed, body) in signed.parts.iter().zip(bodies) {
            let etag = etag(&self.put(signed, body.clone()).await);
            parts.push(CompletePart { number: signed.number(), etag, sha256: Fingerprint::of(body) });
        }
        parts
    }

    async fn put(&self, signed: &Signed, body: Vec<u8>) -> Response {
        let Signed::Put(put) = signed else { panic!("not to be sent") };
        assert_eq!(put.method, "PUT");
        let mut request = self.client.put(put.url.expose()).body(body);
        for (name, value) in &put.headers {
            request = request.header(name, value);
        }
        request.send().await.unwrap()
    }

    /// The store, seen by another S3 client with the keys the gateway wrote down.
    fn store(&self) -> Store {
        let text = std::fs::read_to_string(self.place.path().join("credentials")).unwrap();
        let field = |name: &str| {
            text.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_prefix("= ").map(str::to_owned)).unwrap()
        };
        Store::new(Settings {
            bucket: BUCKET.to_owned(),
            prefix: String::new(),
            endpoint: Some(field("endpoint_url").parse().unwrap()),
            public_endpoint: None,
            region: Some(REGION.to_owned()),
            path_style: true,
            keys: Some((field("aws_access_key_id"), field("aws_secret_access_key"))),
            create_headers: BTreeMap::new(),
            embedded: true,
        })
        .unwrap()
    }
}

fn begin(size: u64) -> BeginRequest {
    BeginRequest {
        name: "Holiday.MOV".into(),
        size: Some(size),
        content_type: "video/quicktime".into(),
        part_size: Some(5 * MIB),
        metadata: BTreeMap::new(),
        holder: Some("holder-a".into()),
        parts: None,
    }
}

fn spec(number: u32, body: &[u8]) -> PartSpec {
    let size = u64::try_from(body.len()).unwrap();
    PartSpec { number: number.try_into().unwrap(), size, sha256: Fingerprint::of(body), md5: None }
}

fn checksum(upload: &BeginAnswer, parts: &[CompletePart]) -> Checksum {
    match parts {
        [part] if upload.part_count == 1 => Checksum::whole(&part.sha256),
        parts => Checksum::composite(parts.iter().map(|part| &part.sha256)),
    }
}

fn etag(response: &Response) -> ETag {
    assert_eq!(response.status(), 200, "the store took the part");
    ETag::from_header(response.headers()["etag"].to_str().unwrap()).unwrap()
}

/// Two parts that differ, the second short.
fn bodies() -> [Vec<u8>; 2] {
    [vec![1; 5 << 20], vec![2; 77]]
}

const TWO_PARTS: u64 = 5 * MIB + 77;

async fn good<T: DeserializeOwned>(response: Response, status: u16) -> T {
    let (is, protocol) = (response.status(), response.headers().get(PROTOCOL_HEADER).cloned());
    let text = response.text().await.unwrap();
    assert_eq!(is.as_u16(), status, "{text}");
    assert_eq!(protocol.unwrap(), "1");
    serde_json::from_str(&text).unwrap()
}

/// The code of a refusal, which must be a problem.
async fn code(response: Response) -> String {
    let status = response.status();
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    assert_eq!(response.headers()[PROTOCOL_HEADER], "1");
    let problem: Problem = response.json().await.unwrap();
    assert_eq!(problem.status, status.as_u16());
    problem.code
}

#[tokio::test]
async fn info_tells_limits_and_identity() {
    let world = World::new().await;
    let info: Info = good(world.get("/v1").await, 200).await;
    assert_eq!((info.protocol, info.proof), (1, Proof::Sha256));
    assert!(info.limits.min_part <= 5 * MIB && info.limits.max_parts >= 10_000);
    assert_eq!(info.instance_id.len(), 36);
    for path in ["/healthz", "/readyz"] {
        assert_eq!(world.get(path).await.status(), 200, "{path}");
    }
}

#[tokio::test]
async fn the_store_passes_the_probe() {
    let world = World::with(|config| (config.probe, config.checksum) = (Probe::Require, None)).await;
    let info: Info = good(world.get("/v1").await, 200).await;
    assert_eq!(info.proof, Proof::Sha256);
}

#[tokio::test]
async fn begin_is_idempotent() {
    let world = World::new().await;
    let request = begin(TWO_PARTS);
    let first: BeginAnswer = good(world.begin("key-1", &request).await, 201).await;
    assert_eq!((first.part_size, first.part_count, first.state), (5 * MIB, 2, State::Pending));
    let key = first.key.as_str();
    let owner = key.strip_prefix("uploads/").and_then(|rest| rest.split('/').next()).unwrap();
    assert!(owner.len() == 26 && owner.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()), "{key}");
    assert_eq!(key, format!("uploads/{owner}/{}.mov", first.id));

    let again: BeginAnswer = good(world.begin("key-1", &request).await, 200).await;
    assert_eq!((&again.id, again.epoch), (&first.id, first.epoch));
    assert_eq!(world.store().find(&first.key).await.unwrap().len(), 1);
    let other: BeginAnswer = good(world.begin("key-2", &request).await, 201).await;
    assert_ne!(other.id, first.id);
    assert_eq!(code(world.begin("key-1", &begin(TWO_PARTS + 1)).await).await, "idempotency_mismatch");
    let renamed = BeginRequest { name: "b".into(), ..request.clone() };
    assert_eq!(code(world.begin("key-1", &renamed).await).await, "idempotency_mismatch");
    assert_eq!(code(world.post("/v1/uploads", &request).await).await, "invalid_request");
    let stranger = BeginRequest { holder: Some("holder-b".into()), ..request };
    assert_eq!(code(world.begin("key-1", &stranger).await).await, "lease_held");
}

#[tokio::test]
async fn begun_many_times_at_once_there_is_one_upload() {
    let world = World::new().await;
    let request = begin(TWO_PARTS);
    let answers = futures_util::future::join_all((0..10).map(|_| world.begin("key", &request))).await;
    let mut ids = Vec::new();
    for answer in answers {
        if answer.status() == StatusCode::CONFLICT {
            assert_eq!(answer.headers()["retry-after"], "1");
            assert_eq!(code(answer).await, "busy");
        } else {
            ids.push(answer.json::<BeginAnswer>().await.unwrap());
        }
    }
    assert!(ids.iter().all(|answer| answer.id == ids[0].id));
    assert_eq!(world.store().find(&ids[0].key).await.unwrap().len(), 1);
}

#[tokio::test]
async fn two_parts_become_one_object() {
    let world = World::new().await;
    let upload = world.begun(&begin(TWO_PARTS)).await;
    let parts = world.send(&upload, &bodies()).await;

    let path = format!("/v1/uploads/{}", upload.id);
    let listed: PartList = good(world.get(&format!("{path}/parts")).await, 200).await;
    let held: Vec<_> = listed.parts.iter().map(|part| (part.number, part.sha256.unwrap(), &part.etag)).collect();
    assert_eq!(held, parts.iter().map(|part| (part.number, part.sha256, &part.etag)).collect::<Vec<_>>());
    let behind: PartList = good(world.get(&format!("{path}/parts?after=1")).await, 200).await;
    assert_eq!(behind.parts, listed.parts[1..]);
    assert_eq!(code(world.get(&format!("{path}/url")).await).await, "busy");

    let receipt: Receipt = good(world.complete(&upload, &parts).await, 200).await;
    assert_eq!(receipt.checksum, Checksum::composite(parts.iter().map(|part| &part.sha256)));
    assert_eq!((receipt.size, receipt.parts, receipt.sha256), (TWO_PARTS, 2, None));
    assert_eq!((receipt.proof, &receipt.key), (Proof::Sha256, &upload.key));
    assert_eq!(receipt.location, format!("embedded:{}", upload.key));
    assert_eq!(receipt.backend, world.running.url.as_str().trim_end_matches('/'));
    let again: Receipt = good(world.complete(&upload, &parts).await, 200).await;
    assert_eq!(again, receipt);
    let status: UploadStatus = good(world.get(&path).await, 200).await;
    assert_eq!((status.state, status.receipt), (State::Ready, Some(receipt)));
    assert_eq!(code(world.request(Method::DELETE, &path).send().await.unwrap()).await, "not_abortable");

    let read: ReadUrl = good(world.get(&format!("{path}/url?expires=60")).await, 200).await;
    assert_eq!(read.expires_in, Some(60));
    let object = world.client.get(read.url.expose()).send().await.unwrap();
    assert!(object.headers()["content-disposition"].to_str().unwrap().starts_with("attachment"));
    assert_eq!(object.bytes().await.unwrap(), bodies().concat());
    assert_eq!(code(world.get(&format!("{path}/url?expires=604801")).await).await, "invalid_request");
}

#[tokio::test]
async fn a_signed_url_is_good_for_its_bytes_alone() {
    let world = World::new().await;
    let [first, second] = bodies();
    let upload = world.begun(&begin(TWO_PARTS)).await;
    let signed: SignAnswer = good(world.sign(&upload, vec![spec(2, &second)]).await, 200).await;
    assert!(world.put(&signed.parts[0], vec![3; 77]).await.status().is_client_error());
    let changed = PartSpec { sha256: Fingerprint::of(&first), ..spec(2, &second) };
    assert_eq!(code(world.sign(&upload, vec![spec(1, &first), changed]).await).await, "part_pinned");
    // A refused sign pins nothing: the first part is still free.
    let other = vec![9; 5 << 20];
    good::<SignAnswer>(world.sign(&upload, vec![spec(1, &other), spec(2, &second)]).await, 200).await;
    for wrong in [spec(1, &second), spec(3, &second)] {
        assert_eq!(code(world.sign(&upload, vec![wrong]).await).await, "invalid_request");
    }
    assert_eq!(code(world.sign(&upload, Vec::new()).await).await, "invalid_request");
    let many = (1..=1001).map(|_| spec(2, &second)).collect();
    assert_eq!(code(world.sign(&upload, many).await).await, "invalid_request");
}

#[tokio::test]
async fn a_small_file_costs_two_calls_and_one_put() {
    let world = World::new().await;
    let body = b"small".to_vec();
    let request = BeginRequest { parts: Some(vec![spec(1, &body)]), ..begin(5) };
    let upload = world.begun(&request).await;
    assert_eq!(upload.state, State::Uploading);
    let signed = &upload.parts.as_ref().unwrap()[0];
    let sha256 = Fingerprint::of(&body);
    let part = CompletePart { number: PartNumber::FIRST, etag: etag(&world.put(signed, body).await), sha256 };
    let listed: PartList = good(world.get(&format!("/v1/uploads/{}/parts", upload.id)).await, 200).await;
    assert_eq!((listed.parts.len(), listed.parts[0].sha256), (1, Some(sha256)));
    let receipt: Receipt = good(world.complete(&upload, &[part]).await, 200).await;
    assert_eq!((receipt.sha256, receipt.checksum), (Some(sha256), Checksum::whole(&sha256)));

    let misfit = BeginRequest { parts: Some(vec![spec(1, b"another length")]), ..begin(6) };
    assert!(world.begun(&misfit).await.parts.is_none());
}

#[tokio::test]
async fn nothing_is_a_file_too() {
    let world = World::new().await;
    let upload = world.begun(&begin(0)).await;
    assert_eq!(upload.part_count, 1);
    let parts = world.send(&upload, &[Vec::new()]).await;
    let receipt: Receipt = good(world.complete(&upload, &parts).await, 200).await;
    assert_eq!((receipt.size, receipt.parts), (0, 1));
}

#[tokio::test]
async fn one_holder_at_a_time() {
    let world = World::new().await;
    let mut upload = world.begun(&begin(TWO_PARTS)).await;
    let path = format!("/v1/uploads/{}/claim", upload.id);
    let claim = |holder: &str, epoch| {
        let request = ClaimRequest { holder: holder.to_owned(), epoch };
        let (world, path) = (&world, &path);
        async move { world.post(path, &request).await }
    };
    let held = claim("holder-b", None).await;
    assert!((1..=60).contains(&held.headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap()));
    assert_eq!(code(held).await, "lease_held");
    let renewed: ClaimAnswer = good(claim("holder-a", Some(upload.epoch)).await, 200).await;
    assert_eq!(renewed.epoch, upload.epoch);
    let resumed: ClaimAnswer = good(claim("holder-a", None).await, 200).await;
    assert_eq!(resumed.epoch, upload.epoch + 1);

    let [_, second] = bodies();
    assert_eq!(code(claim("holder-a", Some(upload.epoch)).await).await, "lease_lost");
    assert_eq!(code(world.sign(&upload, vec![spec(2, &second)]).await).await, "lease_lost");
    upload.epoch = resumed.epoch;
    let parts = world.send(&upload, &bodies()).await;
    upload.epoch -= 1;
    assert_eq!(code(world.complete(&upload, &parts).await).await, "lease_lost");
    upload.epoch += 1;
    good::<Receipt>(world.complete(&upload, &parts).await, 200).await;
}

#[tokio::test]
async fn complete_is_reviewed_and_the_store_has_the_last_word() {
    let world = World::new().await;
    let upload = world.begun(&begin(TWO_PARTS)).await;
    let bodies = bodies();
    let [first, second] = &bodies;
    let made_up = |number: u32, body: &[u8]| CompletePart {
        number: number.try_into().unwrap(),
        etag: "made-up".parse().unwrap(),
        sha256: Fingerprint::of(body),
    };
    let claimed = [made_up(1, first), made_up(2, second)];
    assert_eq!(code(world.complete(&upload, &claimed[..1]).await).await, "source_mismatch");
    assert_eq!(code(world.complete(&upload, &[claimed[1].clone(), claimed[0].clone()]).await).await, "source_mismatch");
    assert_eq!(code(world.complete(&upload, &claimed).await).await, "parts_mismatch");
    let status: UploadStatus = good(world.get(&format!("/v1/uploads/{}", upload.id)).await, 200).await;
    assert_eq!(status.state, State::Uploading);
    let parts = world.send(&upload, &bodies).await;
    let [one, two] = tokio::join!(world.complete(&upload, &parts), world.complete(&upload, &parts)).into();
    assert_eq!(good::<Receipt>(one, 200).await, good::<Receipt>(two, 200).await);
}

#[tokio::test]
async fn an_upload_goes_on_after_the_gateway_was_stopped() {
    let world = World::new().await;
    let upload = world.begun(&begin(TWO_PARTS)).await;
    let bodies = bodies();
    let signed: SignAnswer = good(world.sign(&upload, vec![spec(1, &bodies[0])]).await, 200).await;
    etag(&world.put(&signed.parts[0], bodies[0].clone()).await);
    let info: Info = good(world.get("/v1").await, 200).await;

    let world = world.restarted().await;
    let again: Info = good(world.get("/v1").await, 200).await;
    assert_eq!(again.instance_id, info.instance_id);
    let listed: PartList = good(world.get(&format!("/v1/uploads/{}/parts", upload.id)).await, 200).await;
    assert_eq!(listed.parts.len(), 1);
    let parts = world.send(&upload, &bodies).await;
    good::<Receipt>(world.complete(&upload, &parts).await, 200).await;
}

/// A gateway killed between the store's Create and its own commit.
#[tokio::test]
async fn begin_repeated_after_a_crash_adopts_what_the_store_has() {
    let world = World::new().await;
    let request = begin(TWO_PARTS);
    let upload: BeginAnswer = good(world.begin("key", &request).await, 201).await;
    world.send(&upload, &bodies()).await;
    let spare = world.store().create(&upload.key, "video/quicktime", "token").await.unwrap();
    world.ledger("UPDATE upload SET store_upload = NULL, state = 'pending'");

    let again: BeginAnswer = good(world.begin("key", &request).await, 200).await;
    assert_eq!(again.id, upload.id);
    let open = world.store().find(&upload.key).await.unwrap();
    assert_eq!(open.len(), 1);
    assert_ne!(open[0], spare);
    let listed: PartList = good(world.get(&format!("/v1/uploads/{}/parts", upload.id)).await, 200).await;
    assert_eq!(listed.parts.len(), 2);

    world.store().abort(&upload.key, &open[0]).await.unwrap();
    world.ledger("UPDATE upload SET store_upload = NULL, state = 'pending'");
    good::<BeginAnswer>(world.begin("key", &request).await, 200).await;
    let parts = world.send(&upload, &bodies()).await;
    good::<Receipt>(world.complete(&upload, &parts).await, 200).await;
}

/// A gateway killed while the store completed: the object decides.
#[tokio::test]
async fn a_complete_whose_answer_was_lost_is_found_done() {
    let world = World::new().await;
    for state in ["completing", "uploading"] {
        let request = BeginRequest { name: state.into(), ..begin(TWO_PARTS) };
        let upload = world.begun(&request).await;
        let parts = world.send(&upload, &bodies()).await;
        let open = world.store().find(&upload.key).await.unwrap();
        world.store().complete(&upload.key, &open[0], &parts, TWO_PARTS).await.unwrap();
        world.ledger(&format!("UPDATE upload SET state = '{state}' WHERE name = '{state}'"));

        let path = format!("/v1/uploads/{}", upload.id);
        let listed: PartList = good(world.get(&format!("{path}/parts")).await, 200).await;
        assert!(listed.parts.len() <= 2);
        let receipt: Receipt = good(world.complete(&upload, &parts).await, 200).await;
        assert_eq!(receipt.parts, 2);
    }
}

#[tokio::test]
async fn an_upload_the_store_has_lost_is_gone() {
    let world = World::new().await;
    for listed in [true, false] {
        let request = BeginRequest { name: listed.to_string(), ..begin(TWO_PARTS) };
        let upload = world.begun(&request).await;
        let parts = world.send(&upload, &bodies()).await;
        let open = world.store().find(&upload.key).await.unwrap();
        world.store().abort(&upload.key, &open[0]).await.unwrap();
        let path = format!("/v1/uploads/{}", upload.id);
        if listed {
            assert_eq!(code(world.get(&format!("{path}/parts")).await).await, "gone");
        }
        assert_eq!(code(world.complete(&upload, &parts).await).await, "gone");
        let status: UploadStatus = good(world.get(&path).await, 200).await;
        assert_eq!(status.state, State::Expired);
    }
}

/// Somebody with the store's keys put other bytes at the key: never called ours.
#[tokio::test]
async fn an_object_that_is_not_ours_makes_no_receipt() {
    let world = World::new().await;
    let upload = world.begun(&begin(3)).await;
    let part = spec(1, b"abc");
    let foreign = world.store().sign_put(&upload.key, "text/plain", "another", &part, Duration::from_mins(1)).await;
    etag(&world.put(&Signed::Put(foreign.unwrap()), b"abc".to_vec()).await);
    let claimed = CompletePart { number: PartNumber::FIRST, etag: "e".parse().unwrap(), sha256: part.sha256 };
    let listed: PartList = good(world.get(&format!("/v1/uploads/{}/parts", upload.id)).await, 200).await;
    assert!(listed.parts.is_empty());
    assert_eq!(code(world.complete(&upload, &[claimed]).await).await, "gone");
    assert!(world.store().head(&upload.key).await.unwrap().is_some(), "what is not ours is not removed");
}

#[tokio::test]
async fn abort_leaves_nothing_in_the_store() {
    let world = World::new().await;
    let abort = async |upload: &BeginAnswer| {
        world.request(Method::DELETE, &format!("/v1/uploads/{}", upload.id)).send().await.unwrap()
    };
    let upload = world.begun(&begin(TWO_PARTS)).await;
    let parts = world.send(&upload, &bodies()).await;
    assert_eq!(world.store().find(&upload.key).await.unwrap().len(), 1);
    for _ in 0..2 {
        assert_eq!(abort(&upload).await.status(), 204);
    }
    assert!(world.store().find(&upload.key).await.unwrap().is_empty());
    assert_eq!(code(world.complete(&upload, &parts).await).await, "gone");
    assert_eq!(code(world.sign(&upload, vec![spec(2, &bodies()[1])]).await).await, "gone");
    assert_eq!(code(world.get(&format!("/v1/uploads/{}/parts", upload.id)).await).await, "gone");

    let single = world.begun(&begin(3)).await;
    world.send(&single, &[b"abc".to_vec()]).await;
    assert!(world.store().head(&single.key).await.unwrap().is_some());
    assert_eq!(abort(&single).await.status(), 204);
    assert!(world.store().head(&single.key).await.unwrap().is_none());

    let aborted: UploadList = good(world.get("/v1/uploads?state=aborted").await, 200).await;
    assert_eq!(aborted.uploads.len(), 2);
    let pending: UploadList = good(world.get("/v1/uploads?state=pending").await, 200).await;
    assert!(pending.uploads.is_empty());
    assert_eq!(code(world.get("/v1/uploads?state=nonsense").await).await, "invalid_request");
}

#[tokio::test]
async fn another_owners_upload_is_as_unknown_as_any() {
    let mut world = World::with(|config| config.auth = Auth::Tokens).await;
    assert_eq!(code(world.get("/v1").await).await, "unauthenticated");
    let ledger = Ledger::open(&world.place.path().join("ledger.db")).await.unwrap();
    let alice = ledger.add_token("alice").await.unwrap();
    let bob = ledger.add_token("bob").await.unwrap();
    world.token = Some(alice.expose().to_owned());
    let upload = world.begun(&begin(TWO_PARTS)).await;
    let mine: BeginAnswer = good(world.begin("shared-key", &begin(1)).await, 201).await;

    world.token = Some(bob.expose().to_owned());
    let theirs: BeginAnswer = good(world.begin("shared-key", &begin(2)).await, 201).await;
    assert_ne!(theirs.id, mine.id);
    let part = spec(2, &bodies()[1]);
    let calls = [
        (Method::GET, "", serde_json::Value::Null),
        (Method::DELETE, "", serde_json::Value::Null),
        (Method::GET, "/parts", serde_json::Value::Null),
        (Method::GET, "/url", serde_json::Value::Null),
        (Method::POST, "/claim", serde_json::to_value(ClaimRequest { holder: "h".into(), epoch: None }).unwrap()),
        (Method::POST, "/sign", serde_json::to_value(SignRequest { epoch: 1, parts: vec![part] }).unwrap()),
        (
            Method::POST,
            "/complete",
            serde_json::to_value(CompleteRequest {
                epoch: 1,
                parts: Vec::new(),
                checksum: Checksum::whole(&part.sha256),
            })
            .unwrap(),
        ),
    ];
    for (method, path, body) in calls {
        let mut answers = Vec::new();
        for id in [upload.id.as_str(), "00000000-0000-4000-8000-000000000000", "no%20id", "%ff"] {
            let request = world.request(method.clone(), &format!("/v1/uploads/{id}{path}"));
            let request = if body.is_null() { request } else { request.json(&body) };
            let answer = request.send().await.unwrap();
            let mut headers = answer.headers().clone();
            headers.remove("date");
            answers.push((answer.status(), headers, answer.bytes().await.unwrap()));
        }
        assert_eq!(answers[0].0, 404, "{method} {path}");
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{method} {path}: {answers:?}");
    }
    let listed: UploadList = good(world.get("/v1/uploads").await, 200).await;
    assert_eq!(listed.uploads.len(), 1);
}

#[tokio::test]
async fn what_is_not_taken_is_said_by_its_code() {
    let world = World::with(|config| {
        config.allow_types = vec!["video/*".to_owned()];
        config.max_size = Some(100 * MIB);
    })
    .await;
    let refused = async |change: fn(&mut BeginRequest)| {
        let mut request = begin(1);
        change(&mut request);
        let answer = world.begin("key", &request).await;
        (answer.status().as_u16(), code(answer).await)
    };
    assert_eq!(refused(|r| r.name = "a\u{7}".into()).await, (422, "name_invalid".into()));
    assert_eq!(refused(|r| r.content_type = "text/html".into()).await, (415, "type_not_allowed".into()));
    assert_eq!(refused(|r| r.size = Some(100 * MIB + 1)).await, (413, "too_large".into()));
    assert_eq!(refused(|r| r.size = Some(u64::MAX)).await, (413, "too_large".into()));
    assert_eq!(refused(|r| r.part_size = Some(1)).await, (400, "invalid_request".into()));
    assert_eq!(refused(|r| r.size = None).await, (400, "invalid_request".into()));
    assert_eq!(refused(|r| drop(r.metadata.insert("A".into(), "b".into()))).await, (400, "invalid_request".into()));
}

#[tokio::test]
async fn every_error_is_a_problem() {
    let world = World::new().await;
    let send = |request: reqwest::RequestBuilder| async { request.send().await.unwrap() };
    let json = |body: &'static str| {
        world.request(Method::POST, "/v1/uploads").header("content-type", "application/json").body(body)
    };
    for body in ["", "{", "[]", "{\"name\":1}", "\u{0}"] {
        assert_eq!(code(send(json(body)).await).await, "invalid_request", "{body}");
    }
    let unknown = world.get("/v1/nothing").await;
    assert_eq!((unknown.status().as_u16(), code(unknown).await.as_str()), (404, "not_found"));
    let wrong = send(world.request(Method::PATCH, "/v1/uploads")).await;
    assert_eq!((wrong.status().as_u16(), code(wrong).await.as_str()), (405, "invalid_request"));
    let large = send(json("").body(vec![b' '; (1 << 20) + 1])).await;
    assert_eq!((large.status().as_u16(), code(large).await.as_str()), (413, "too_large"));
    for query in ["parts?after=-1", "url?expires=soon"] {
        let upload = "00000000-0000-4000-8000-000000000000";
        assert_eq!(code(world.get(&format!("/v1/uploads/{upload}/{query}")).await).await, "invalid_request");
    }
}

#[tokio::test]
async fn pages_of_other_sites_cannot_reach_an_open_gateway() {
    let world = World::new().await;
    for host in ["evil.example", "127.0.0.1.evil.example", ""] {
        let answer = world.request(Method::GET, "/v1").header("host", host).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), code(answer).await.as_str()), (403, "forbidden"), "{host}");
    }
    let body = serde_json::to_vec(&begin(1)).unwrap();
    let form = world.request(Method::POST, "/v1/uploads").header("content-type", "text/plain").body(body);
    let form = form.header("idempotency-key", "key").send().await.unwrap();
    assert_eq!(code(form).await, "invalid_request");
}

#[tokio::test]
async fn settings_that_cannot_be_are_refused() {
    let refused = async |change: fn(&mut Config)| {
        let place = tempfile::tempdir().unwrap();
        let mut config = config(place.path(), Auth::None);
        change(&mut config);
        let kind = gateway::start(config).await.unwrap_err().kind();
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0, "nothing was made");
        kind
    };
    assert_eq!(refused(|config| config.listen = "0.0.0.0:0".parse().unwrap()).await, Kind::Config);
    assert_eq!(refused(|config| config.allow_types = vec!["video".into()]).await, Kind::Config);
    assert_eq!(refused(|config| config.sse = Some("rot13".into())).await, Kind::Config);
    assert_eq!(refused(|config| config.public_url = Some("ftp://x/".parse().unwrap())).await, Kind::Config);
}

#[tokio::test]
async fn a_private_gateway_serves_its_token_alone() {
    let token = upload::names::Token::new("canary".into());
    let mut world = World::with(|config| config.auth = Auth::Private(token)).await;
    for wrong in [None, Some("canary2"), Some("")] {
        world.token = wrong.map(str::to_owned);
        assert_eq!(code(world.get("/v1").await).await, "unauthenticated");
    }
    world.token = Some("canary".to_owned());
    good::<Info>(world.get("/v1").await, 200).await;
}
