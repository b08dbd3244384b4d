//! The services that give AWS credentials, as one fake server: STS, SSO, and the metadata of an
//! instance and of a container. Each gives the keys that the test names, and records its requests.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{self, Body};
use axum::extract::State;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use serde_json::json;
use tokio::runtime::{Builder, Runtime};
use url::form_urlencoded;

/// The access key and session token of the role `middle`. The embedded store has no session tokens,
/// so no other credential has one.
pub const MIDDLE_KEY: &str = "AKIAMIDDLEMIDDLE";
pub const MIDDLE_TOKEN: &str = "session-of-the-middle";
/// The access token of SSO that is valid.
pub const SSO_TOKEN: &str = "valid-access-token";
/// The refresh token of SSO that is valid.
pub const REFRESH_TOKEN: &str = "valid-refresh-token";
const EXPIRATION: &str = "2999-01-01T00:00:00Z";

pub struct AwsServices {
    addr: SocketAddr,
    shared: Arc<Shared>,
    /// Serves until it is dropped.
    _runtime: Runtime,
}

struct Shared {
    keys: (String, String),
    requests: Mutex<Vec<ServiceRequest>>,
    /// Status, code and message with which STS refuses.
    sts_error: Mutex<Option<(u16, &'static str, &'static str)>>,
}

#[derive(Debug, Clone)]
pub struct ServiceRequest {
    pub method: Method,
    pub path: String,
    /// The query and the form in the body.
    pub parameters: BTreeMap<String, String>,
    pub headers: HeaderMap,
}

impl ServiceRequest {
    pub fn parameter(&self, name: &str) -> &str {
        self.parameters.get(name).map_or("", String::as_str)
    }

    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }
}

impl AwsServices {
    /// Serves on a free port of loopback, and gives these keys.
    pub fn start(access_key: &str, secret_key: &str) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let addr = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            keys: (access_key.to_owned(), secret_key.to_owned()),
            requests: Mutex::default(),
            sts_error: Mutex::default(),
        });
        let app = Router::new()
            .fallback(on_request)
            .with_state(Arc::clone(&shared));
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self {
            addr,
            shared,
            _runtime: runtime,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<ServiceRequest> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// The actions that STS was asked for so far.
    pub fn sts_actions(&self) -> Vec<ServiceRequest> {
        let mut requests = self.requests();
        requests.retain(|request| !request.parameter("Action").is_empty());
        requests
    }

    pub fn refuse_roles(&self, status: u16, code: &'static str, message: &'static str) {
        *self.shared.sts_error.lock().unwrap() = Some((status, code, message));
    }
}

async fn on_request(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = body::to_bytes(body, 1 << 20).await.unwrap();
    let query = parts.uri.query().unwrap_or_default().as_bytes();
    let is_json = body.starts_with(b"{");
    let form = if is_json { &b""[..] } else { &body[..] };
    let request = ServiceRequest {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        parameters: [query, form]
            .into_iter()
            .flat_map(|pairs| form_urlencoded::parse(pairs).into_owned())
            .collect(),
        headers: parts.headers,
    };
    shared.requests.lock().unwrap().push(request.clone());
    let (access_key, secret_key) = &shared.keys;
    let (status, text) = match request.path.as_str() {
        "/" => sts(&shared, &request),
        "/federation/credentials" if request.header("x-amz-sso_bearer_token") == SSO_TOKEN => {
            let keys = json!({
                "accessKeyId": access_key, "secretAccessKey": secret_key,
                "sessionToken": "", "expiration": 32_000_000_000_000_u64,
            });
            (200, json!({ "roleCredentials": keys }).to_string())
        }
        "/federation/credentials" => (401, "{}".to_owned()),
        "/token"
            if body
                .windows(REFRESH_TOKEN.len())
                .any(|part| part == REFRESH_TOKEN.as_bytes()) =>
        {
            let token = json!({
                "accessToken": SSO_TOKEN, "expiresIn": 3600, "refreshToken": "next-refresh-token",
            });
            (200, token.to_string())
        }
        "/latest/api/token" if request.method == Method::PUT => (200, "imds-session".to_owned()),
        path if path.starts_with("/latest/")
            && request.header("x-aws-ec2-metadata-token") != "imds-session" =>
        {
            (401, String::new())
        }
        "/latest/meta-data/iam/security-credentials/" => (200, "the-role".to_owned()),
        "/latest/meta-data/iam/security-credentials/the-role" | "/container" => {
            let keys = json!({
                "Code": "Success", "AccessKeyId": access_key, "SecretAccessKey": secret_key,
                "Token": "", "Expiration": EXPIRATION,
            });
            (200, keys.to_string())
        }
        _ => (404, String::new()),
    };
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

fn sts(shared: &Shared, request: &ServiceRequest) -> (u16, String) {
    if let Some((status, code, message)) = *shared.sts_error.lock().unwrap() {
        let error = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
        return (status, format!("<ErrorResponse>{error}</ErrorResponse>"));
    }
    let (access_key, secret_key) = &shared.keys;
    let (access_key, token) = if request.parameter("RoleArn").ends_with("/middle") {
        (MIDDLE_KEY, MIDDLE_TOKEN)
    } else {
        (access_key.as_str(), "")
    };
    let action = request.parameter("Action");
    let keys = format!(
        "<AccessKeyId>{access_key}</AccessKeyId><SecretAccessKey>{secret_key}</SecretAccessKey>\
         <SessionToken>{token}</SessionToken><Expiration>{EXPIRATION}</Expiration>"
    );
    let result = format!("<{action}Result><Credentials>{keys}</Credentials></{action}Result>");
    (
        200,
        format!("<{action}Response>{result}</{action}Response>"),
    )
}
