//! An issuer of tokens on loopback: its discovery document, its keys, and tokens with the claims of
//! GitHub Actions, valid or forged.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
};
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use upload_gateway::{Algorithm, Issuer as IssuerConfig};

pub const AUDIENCE: &str = "https://upload.example";

/// A key pair.
pub enum Key {
    Rsa(KeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

/// Created once, because the creation of an RSA key takes a while.
pub fn rsa_key() -> &'static Key {
    static KEY: OnceLock<Key> = OnceLock::new();
    KEY.get_or_init(|| Key::Rsa(KeyPair::generate(KeySize::Rsa2048).unwrap()))
}

/// The key after a rotation.
pub fn other_rsa_key() -> &'static Key {
    static KEY: OnceLock<Key> = OnceLock::new();
    KEY.get_or_init(|| Key::Rsa(KeyPair::generate(KeySize::Rsa2048).unwrap()))
}

fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Key {
    pub fn jwk(&self, kid: &str) -> Value {
        match self {
            Self::Rsa(key) => {
                let key = key.public_key();
                let n = base64url(key.modulus().big_endian_without_leading_zero());
                let e = base64url(key.exponent().big_endian_without_leading_zero());
                json!({"kid": kid, "kty": "RSA", "use": "sig", "alg": "RS256", "n": n, "e": e})
            }
            Self::Ec(key) => {
                let (x, y) = key.public_key().as_ref()[1..].split_at(32);
                json!({"kid": kid, "kty": "EC", "crv": "P-256", "x": base64url(x), "y": base64url(y)})
            }
            Self::Ed(key) => {
                json!({"kid": kid, "kty": "OKP", "crv": "Ed25519", "x": base64url(key.public_key())})
            }
        }
    }

    /// The public key in DER.
    pub fn public_der(&self) -> Vec<u8> {
        let Self::Rsa(key) = self else {
            panic!("not an RSA key")
        };
        AsDer::<PublicKeyX509Der<'_>>::as_der(key.public_key())
            .unwrap()
            .as_ref()
            .to_vec()
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .unwrap();
                signature
            }
            Self::Ec(key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed(key) => key.sign(message).as_ref().to_vec(),
        }
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::Ec(_) => "ES256",
            Self::Ed(_) => "EdDSA",
        }
    }

    /// A token with these claims and this key id.
    pub fn token(&self, kid: &str, claims: &Value) -> String {
        self.token_with_header(
            &json!({"typ": "JWT", "alg": self.algorithm(), "kid": kid}),
            claims,
        )
    }

    pub fn token_with_header(&self, header: &Value, claims: &Value) -> String {
        signed_token(header, claims, |message| self.sign(message))
    }

    pub fn ec() -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING);
        Self::Ec(key.unwrap())
    }

    pub fn ed() -> Self {
        Self::Ed(Ed25519KeyPair::generate().unwrap())
    }
}

pub fn signed_token(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let message = format!(
        "{}.{}",
        base64url(header.to_string()),
        base64url(claims.to_string())
    );
    let signature = base64url(sign(message.as_bytes()));
    format!("{message}.{signature}")
}

/// The responses of an issuer, and the number of requests.
struct IssuerState {
    keys: Value,
    /// Replaces every response.
    response: Option<(u16, String)>,
    discovery: Value,
    key_request_count: usize,
}

/// A running issuer.
pub struct Issuer {
    pub url: String,
    state: Arc<Mutex<IssuerState>>,
}

impl Issuer {
    /// Starts an issuer with [`rsa_key`] under the key id `key-1`.
    pub async fn start() -> Self {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
            .await
            .unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let discovery = json!({"issuer": url, "jwks_uri": format!("{url}/keys")});
        let keys = json!({"keys": [rsa_key().jwk("key-1")]});
        let state = Arc::new(Mutex::new(IssuerState {
            keys,
            response: None,
            discovery,
            key_request_count: 0,
        }));
        let router = axum::Router::new()
            .fallback(on_request)
            .with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, state }
    }

    pub fn set_keys(&self, keys: &[Value]) {
        self.state.lock().unwrap().keys = json!({"keys": keys});
    }

    /// Replaces every response; `None` restores the normal ones.
    pub fn set_response(&self, response: Option<(u16, &str)>) {
        self.state.lock().unwrap().response =
            response.map(|(status, body)| (status, body.to_owned()));
    }

    pub fn set_discovery(&self, discovery: Value) {
        self.state.lock().unwrap().discovery = discovery;
    }

    /// The number of requests for the keys.
    pub fn key_request_count(&self) -> usize {
        self.state.lock().unwrap().key_request_count
    }

    /// A configuration that admits jobs of one organisation.
    pub fn config(&self) -> IssuerConfig {
        IssuerConfig {
            issuer: self.url.clone(),
            audiences: vec![AUDIENCE.into()],
            jwks: None,
            algorithms: vec![Algorithm::Rs256],
            claims: vec![("repository".into(), "acme/*".into())],
            owner_claim: "repository_id".into(),
        }
    }

    /// The claims of a GitHub Actions job, as GitHub documents them, valid for five minutes.
    pub fn claims(&self) -> Value {
        let now = Timestamp::now().as_second();
        json!({
            "jti": "3b4d4c7e-0f5c-4a55-9f3b-8c5e0a1d2f60",
            "sub": "repo:acme/app:ref:refs/heads/main",
            "aud": AUDIENCE,
            "ref": "refs/heads/main",
            "sha": "5f4dcc3b5aa765d61d8327deb882cf995f4dcc3b",
            "repository": "acme/app",
            "repository_owner": "acme",
            "repository_owner_id": "65",
            "repository_visibility": "private",
            "repository_id": "74",
            "run_id": "7523",
            "run_number": "10",
            "run_attempt": "2",
            "actor": "octocat",
            "actor_id": "12",
            "workflow": "release",
            "head_ref": "",
            "base_ref": "",
            "event_name": "push",
            "ref_type": "branch",
            "ref_protected": "true",
            "environment": "production",
            "runner_environment": "github-hosted",
            "job_workflow_ref": "acme/app/.github/workflows/release.yml@refs/heads/main",
            "job_workflow_sha": "5f4dcc3b5aa765d61d8327deb882cf995f4dcc3b",
            "workflow_ref": "acme/app/.github/workflows/release.yml@refs/heads/main",
            "workflow_sha": "5f4dcc3b5aa765d61d8327deb882cf995f4dcc3b",
            "enterprise": "acme-enterprise",
            "enterprise_id": "3",
            "iss": self.url,
            "nbf": now - 5,
            "iat": now,
            "exp": now + 300,
        })
    }

    /// The same claims with one claim replaced; a null value removes it.
    pub fn claims_with(&self, name: &str, value: Value) -> Value {
        let Value::Object(mut claims) = self.claims() else {
            unreachable!()
        };
        if value.is_null() {
            claims.remove(name)
        } else {
            claims.insert(name.to_owned(), value)
        };
        claims.into()
    }

    /// A token of a job.
    pub fn token(&self) -> String {
        rsa_key().token("key-1", &self.claims())
    }
}

async fn on_request(State(state): State<Arc<Mutex<IssuerState>>>, uri: Uri) -> Response {
    let mut state = state.lock().unwrap();
    state.key_request_count += usize::from(uri.path() == "/keys");
    if let Some((status, body)) = &state.response {
        let location = [(header::LOCATION, "/elsewhere")];
        return (
            StatusCode::from_u16(*status).unwrap(),
            location,
            body.clone(),
        )
            .into_response();
    }
    match uri.path() {
        "/.well-known/openid-configuration" => state.discovery.to_string().into_response(),
        "/keys" | "/elsewhere" => state.keys.to_string().into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}
