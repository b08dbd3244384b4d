//! An issuer of tokens on loopback: its discovery document, its keys, and tokens as GitHub Actions has them, honest or forged.
//!
//! Border: signs and serves; whether a gateway takes the token is the tests'.

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
use upload_gateway::{Algorithm, Issuer as Known};

pub const AUDIENCE: &str = "https://upload.example";

/// A key pair under a name.
pub enum Key {
    Rsa(KeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

/// Made once: an RSA key takes a while.
pub fn rsa() -> &'static Key {
    static KEY: OnceLock<Key> = OnceLock::new();
    KEY.get_or_init(|| Key::Rsa(KeyPair::generate(KeySize::Rsa2048).unwrap()))
}

/// The key the issuer has next.
pub fn next() -> &'static Key {
    static KEY: OnceLock<Key> = OnceLock::new();
    KEY.get_or_init(|| Key::Rsa(KeyPair::generate(KeySize::Rsa2048).unwrap()))
}

fn text(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Key {
    pub fn jwk(&self, kid: &str) -> Value {
        match self {
            Self::Rsa(key) => {
                let key = key.public_key();
                let n = text(key.modulus().big_endian_without_leading_zero());
                let e = text(key.exponent().big_endian_without_leading_zero());
                json!({"kid": kid, "kty": "RSA", "use": "sig", "alg": "RS256", "n": n, "e": e})
            }
            Self::Ec(key) => {
                let (x, y) = key.public_key().as_ref()[1..].split_at(32);
                json!({"kid": kid, "kty": "EC", "crv": "P-256", "x": text(x), "y": text(y)})
            }
            Self::Ed(key) => {
                json!({"kid": kid, "kty": "OKP", "crv": "Ed25519", "x": text(key.public_key())})
            }
        }
    }

    /// The public key as files hold it.
    pub fn public_der(&self) -> Vec<u8> {
        let Self::Rsa(key) = self else {
            panic!("an RSA key")
        };
        AsDer::<PublicKeyX509Der<'_>>::as_der(key.public_key())
            .unwrap()
            .as_ref()
            .to_vec()
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let dice = SystemRandom::new();
        match self {
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &dice, message, &mut signature)
                    .unwrap();
                signature
            }
            Self::Ec(key) => key.sign(&dice, message).unwrap().as_ref().to_vec(),
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

    /// A token with these claims, by this key's name.
    pub fn token(&self, kid: &str, claims: &Value) -> String {
        self.token_of(
            &json!({"typ": "JWT", "alg": self.algorithm(), "kid": kid}),
            claims,
        )
    }

    pub fn token_of(&self, header: &Value, claims: &Value) -> String {
        sealed(header, claims, |message| self.sign(message))
    }

    pub fn ec() -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING);
        Self::Ec(key.unwrap())
    }

    pub fn ed() -> Self {
        Self::Ed(Ed25519KeyPair::generate().unwrap())
    }
}

pub fn sealed(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let message = format!("{}.{}", text(header.to_string()), text(claims.to_string()));
    let signature = text(sign(message.as_bytes()));
    format!("{message}.{signature}")
}

/// What an issuer answers, and how often it was asked.
struct Desk {
    keys: Value,
    /// In place of everything.
    answer: Option<(u16, String)>,
    discovery: Value,
    asked: usize,
}

/// A running issuer.
pub struct Issuer {
    pub url: String,
    desk: Arc<Mutex<Desk>>,
}

impl Issuer {
    /// With the first key, named `key-1`.
    pub async fn start() -> Self {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
            .await
            .unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let discovery = json!({"issuer": url, "jwks_uri": format!("{url}/keys")});
        let keys = json!({"keys": [rsa().jwk("key-1")]});
        let desk = Arc::new(Mutex::new(Desk {
            keys,
            answer: None,
            discovery,
            asked: 0,
        }));
        let router = axum::Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&desk));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, desk }
    }

    pub fn set_keys(&self, keys: &[Value]) {
        self.desk.lock().unwrap().keys = json!({"keys": keys});
    }

    /// From now on, this in place of everything; None is the truth again.
    pub fn set_answer(&self, answer: Option<(u16, &str)>) {
        self.desk.lock().unwrap().answer = answer.map(|(status, body)| (status, body.to_owned()));
    }

    pub fn set_discovery(&self, discovery: Value) {
        self.desk.lock().unwrap().discovery = discovery;
    }

    /// How often its keys were asked for.
    pub fn asked(&self) -> usize {
        self.desk.lock().unwrap().asked
    }

    /// How a gateway is told of it: jobs of one organisation may upload.
    pub fn known(&self) -> Known {
        Known {
            issuer: self.url.clone(),
            audience: AUDIENCE.into(),
            jwks: None,
            algorithm: Algorithm::Rs256,
            claims: vec![("repository".into(), "acme/*".into())],
            owner_claim: "repository_id".into(),
        }
    }

    /// What GitHub says of a job (its documentation names each claim), good for five minutes.
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

    /// The same but for one claim; null leaves it out.
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

    /// A token such as a job gets.
    pub fn token(&self) -> String {
        rsa().token("key-1", &self.claims())
    }
}

async fn answer(State(desk): State<Arc<Mutex<Desk>>>, uri: Uri) -> Response {
    let mut desk = desk.lock().unwrap();
    desk.asked += usize::from(uri.path() == "/keys");
    if let Some((status, body)) = &desk.answer {
        let location = [(header::LOCATION, "/elsewhere")];
        return (
            StatusCode::from_u16(*status).unwrap(),
            location,
            body.clone(),
        )
            .into_response();
    }
    match uri.path() {
        "/.well-known/openid-configuration" => desk.discovery.to_string().into_response(),
        "/keys" | "/elsewhere" => desk.keys.to_string().into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}
