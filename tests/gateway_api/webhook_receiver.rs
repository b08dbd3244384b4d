//! A receiver of webhooks on loopback, which records the requests.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::routing::{any, post};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256 as Sha256Hasher;

use crate::gateway::*;

/// A request that a receiver recorded.
#[derive(Clone)]
pub struct Delivery {
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Delivery {
    pub fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    /// The signature of this request with a secret.
    pub fn signature(&self, secret: &str) -> String {
        let mut mac = Hmac::<Sha256Hasher>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(self.header("upload-hook-timestamp").as_bytes());
        mac.update(b".");
        mac.update(&self.body);
        // `Sha256` formats the bytes in hexadecimal.
        format!("v1={}", Sha256::new(mac.finalize().into_bytes().into()))
    }
}

/// A receiver that sends these responses in turn and then repeats the last one. It also records
/// requests to other paths.
pub async fn receiver(responses: Vec<(u16, String)>) -> (HookKind, Arc<Mutex<Vec<Delivery>>>) {
    let deliveries: Arc<Mutex<Vec<Delivery>>> = Arc::default();
    let (hook_deliveries, other_deliveries) = (Arc::clone(&deliveries), Arc::clone(&deliveries));
    let hook = move |headers: HeaderMap, body: Bytes| {
        let mut deliveries = hook_deliveries.lock().unwrap();
        let (status, text) = responses[deliveries.len().min(responses.len() - 1)].clone();
        deliveries.push(Delivery { headers, body });
        async move {
            (
                StatusCode::from_u16(status).unwrap(),
                [("location", "/elsewhere")],
                text,
            )
                .into_response()
        }
    };
    let fallback = move |headers: HeaderMap, body: Bytes| {
        other_deliveries
            .lock()
            .unwrap()
            .push(Delivery { headers, body });
        async { "followed" }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook?key=value", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    let router = Router::new()
        .route("/hook", post(hook))
        .fallback(any(fallback));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (HookKind::Webhook { url }, deliveries)
}
