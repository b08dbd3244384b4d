//! TLS: untrusted certificates are not retried, broken handshakes are, and faults inside TLS cost
//! no more than without it.
//!
//! Only faults whose handling depends on the HTTP implementation are repeated here. The
//! certificates in `tls/` were made with openssl for these tests only.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::http2::{self, Cut};
use crate::http2_front;
use crate::setup::{SIZES, Setup, for_each_case_with};
use crate::support::PART;
use crate::support::command::Command;
use crate::support::proxy::{ConnectionEnd, Fault, Proxy, Requests, Response, WHOLE_BODY};
use crate::support::s3::S3;
use crate::support::world::World;

const GOOD: &str = include_str!("tls/good.pem");
const EXPIRED: &str = include_str!("tls/expired.pem");
const OTHER: &str = include_str!("tls/other.pem");

const HTTP2_BUFFER_BYTES: usize = 64 << 10;

/// A TLS server in front of a proxy.
struct Front {
    addr: SocketAddr,
    _runtime: Runtime,
}

impl Front {
    /// The first `broken_handshakes` connections are closed before the handshake ends.
    fn start(pem: &str, to: SocketAddr, broken_handshakes: u32) -> Self {
        Self::start_with_http2(pem, to, broken_handshakes, None)
    }

    /// With `http2`, the server offers HTTP/2 and cuts its frames accordingly; these bypass the
    /// proxy.
    fn start_with_http2(
        pem: &str,
        to: SocketAddr,
        mut broken_handshakes: u32,
        http2: Option<Arc<Cut>>,
    ) -> Self {
        let chain = CertificateDer::pem_slice_iter(pem.as_bytes())
            .collect::<Result<_, _>>()
            .unwrap();
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions();
        let mut config = config
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        if http2.is_some() {
            config.alpn_protocols = [&b"h2"[..], b"http/1.1"].map(<[u8]>::to_vec).to_vec();
        }
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let addr = listener.local_addr().unwrap();
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if broken_handshakes > 0 {
                    broken_handshakes -= 1;
                    continue;
                }
                let (acceptor, http2) = (acceptor.clone(), http2.clone());
                tokio::spawn(async move {
                    let mut client = acceptor.accept(client).await?;
                    let is_http2 = client.get_ref().1.alpn_protocol() == Some(b"h2");
                    if let Some(cut) = http2.filter(|_| is_http2) {
                        let (server, end) = tokio::io::duplex(HTTP2_BUFFER_BYTES);
                        tokio::spawn(http2_front::serve(end, cut.gateway()));
                        let (from, mut to) = tokio::io::split(server);
                        let (mut requests, responses) = tokio::io::split(client);
                        tokio::spawn(async move { tokio::io::copy(&mut requests, &mut to).await });
                        return http2::forward_frames(from, responses, cut).await;
                    }
                    let mut server = TcpStream::connect(to).await?;
                    tokio::io::copy_bidirectional(&mut client, &mut server)
                        .await
                        .map(|_| ())
                });
            }
        });
        Self {
            addr,
            _runtime: runtime,
        }
    }

    fn url(&self) -> String {
        format!("https://localhost:{}", self.addr.port())
    }
}

fn ca_path() -> String {
    format!(
        "{}/tests/chaos/tls/ca.pem",
        std::env::var("CARGO_MANIFEST_DIR").expect("run by cargo")
    )
}

/// A gateway and its embedded store behind TLS.
pub struct TlsSetup {
    pub setup: Setup,
    front: Front,
}

impl TlsSetup {
    fn new() -> Self {
        Self::with(GOOD, 0)
    }

    fn with(pem: &str, broken_handshakes: u32) -> Self {
        let proxy = Proxy::start();
        let front = Front::start(pem, proxy.addr(), broken_handshakes);
        let world = World::with_public_url(&front.url(), proxy, &[], &[], None);
        Self::of(world, front)
    }

    /// Gateway calls use HTTP/2.
    pub fn over_http2(cut: &Arc<Cut>) -> Self {
        let proxy = Proxy::start();
        let front = Front::start_with_http2(GOOD, proxy.addr(), 0, Some(Arc::clone(cut)));
        let world = World::with_public_url(&front.url(), proxy, &[], &[], None);
        cut.set_gateway(world.gateway.addr());
        Self::of(world, front)
    }

    fn of(world: World, front: Front) -> Self {
        let credentials =
            std::fs::read_to_string(world.gateway.sandbox().path("credentials")).unwrap();
        // Assertions read the store directly, without TLS.
        let store = S3::from_credentials(&credentials.replace(&front.url(), &world.gateway.url()));
        let setup = Setup::on_world(world, Some(store)).with_backend_args(&[
            "--backend",
            &front.url(),
            "--ca-cert",
            &ca_path(),
        ]);
        Self { setup, front }
    }
}

#[test]
fn every_size_arrives_over_tls() {
    for_each_case_with(TlsSetup::new, SIZES, |context, size| {
        let run = context.setup.succeeding_put(size, |_| {});
        run.resends_at_most(0).makes_few_requests();
    });
}

#[test]
fn untrusted_certificate_is_not_retried() {
    for (pem, trusted) in [(EXPIRED, true), (OTHER, true), (GOOD, false)] {
        let mut context = TlsSetup::with(pem, 0);
        let file = context.setup.file(1);
        let mut put = context
            .setup
            .world
            .put(&file)
            .env("UPLOAD_BACKEND", context.front.url());
        if trusted {
            put = put.args(["--ca-cert", &ca_path()]);
        }
        put.run().exits(69).stderr_contains("--ca-cert");
        assert_eq!(
            context.setup.proxy().traffic().requests(),
            0,
            "a request was sent"
        );
        assert!(Path::new(&ca_path()).exists());
    }
}

/// `SSL_CERT_FILE` replaces the authorities of the system; `--ca-cert` adds to those.
#[test]
fn authorities_of_ssl_cert_file_are_trusted_together_with_those_of_the_flag() {
    let certificates = |pem: &str| {
        let end = "-----END CERTIFICATE-----\n";
        let (certificate, _) = pem.split_once(end).unwrap();
        format!("{certificate}{end}")
    };
    let context = TlsSetup::new();
    let sandbox = &context.setup.world.sandbox;
    let (file, other) = (sandbox.file("film.bin", 10), sandbox.path("other.pem"));
    std::fs::write(&other, certificates(OTHER)).unwrap();
    let put = |envs: &[(&str, &str)]| {
        let mut put = context.setup.world.put(&file);
        for (name, value) in envs {
            put = put.env(name, value);
        }
        put.env("UPLOAD_BACKEND", context.front.url())
            .arg("--force")
            .run()
    };
    let (ca, other) = (ca_path(), other.display().to_string());
    put(&[("SSL_CERT_FILE", &other)]).exits(69);
    put(&[("SSL_CERT_FILE", &ca)]).succeeds();
    put(&[("SSL_CERT_FILE", &other), ("AWS_CA_BUNDLE", &ca)]).succeeds();
    put(&[("SSL_CERT_FILE", &ca), ("AWS_CA_BUNDLE", &other)]).succeeds();
}

#[test]
fn broken_handshake_is_retried() {
    let run = TlsSetup::with(GOOD, 2)
        .setup
        .succeeding_put(PART + 1, |_| {});
    assert_eq!(run.retry_kinds(), ["temporary"; 2], "{}", run.output);
}

#[test]
fn broken_connections_cost_one_attempt() {
    for_each_case_with(TlsSetup::new, [1, PART, PART + 1], |context, size| {
        for bytes in [0, size.min(PART) / 2, WHOLE_BODY] {
            for fault in [Fault::ResetAfter { bytes }, Fault::FinAfter { bytes }] {
                let run = context
                    .setup
                    .succeeding_put(size, |proxy| proxy.inject(Requests::put().nth(1), fault));
                run.resends_little().makes_few_requests();
            }
        }
    });
}

#[test]
fn stalled_part_is_retried() {
    let mut context = TlsSetup::new();
    context.setup = context.setup.with_short_stall_limit();
    let stall = Fault::StallAfter { bytes: PART / 2 };
    let run = context
        .setup
        .succeeding_put(PART, |proxy| proxy.inject(Requests::put().nth(1), stall));
    assert_eq!(run.retry_kinds()[0], "temporary");
}

#[test]
fn early_error_response_is_read() {
    // Without "close", a connection with the rest of the body in its buffers looks reusable.
    let response = Response::s3_with_message(403, "AccessDenied", "Request has expired")
        .header("connection", "close");
    let early = Fault::EarlyResponse {
        bytes: 1000,
        response,
        then: ConnectionEnd::StayOpen,
    };
    let run = TlsSetup::new().setup.succeeding_put(PART + 1, |proxy| {
        proxy.inject(Requests::part(1).nth(1), early);
    });
    assert_eq!(run.retry_kinds()[0], "url_expired", "{}", run.output);
}

#[test]
fn error_responses_are_classified() {
    let cases = [
        (Fault::slow_down(), "throttled"),
        (Fault::expired(), "url_expired"),
        (Fault::error_in_success(), "temporary"),
        (Fault::html_page(302), "unexpected_server"),
        (Fault::FlipBit { at: 0 }, "corrupt"),
    ];
    for_each_case_with(TlsSetup::new, cases, |context, (fault, kind)| {
        let run = context.setup.succeeding_put(PART + 1, |proxy| {
            proxy.inject(Requests::part(1).nth(1), fault);
        });
        assert_eq!(run.retry_kinds(), [kind], "{}", run.output);
    });
}

/// `put` directly to a bucket; the store has a certificate of a private authority.
fn put_to_private_store(world: &World, front: &Front) -> Command {
    let store = world.store();
    let file = world.sandbox.file("film.bin", 2 * PART);
    let put = world
        .sandbox
        .upload(["put", "--s3-path-style", "--give-up-after", "20s"])
        .args(["--backend", &format!("s3://{}", store.bucket())])
        .args(["--s3-endpoint", &front.url()])
        // Each upload makes an object.
        .args(["--key-style", "uuid"])
        .arg(&file);
    let envs = store.envs();
    envs.into_iter()
        .fold(put, |put, (name, value)| put.env(name, value))
}

#[test]
fn private_authority_is_trusted_for_the_store_of_a_bucket() {
    let world = World::new();
    let front = Front::start(GOOD, world.store().addr(), 0);
    let ca_path = ca_path();
    put_to_private_store(&world, &front)
        .run()
        .exits(69)
        .stderr_contains("--ca-cert");
    assert!(world.store().objects().is_empty());
    put_to_private_store(&world, &front)
        .args(["--ca-cert", &ca_path])
        .run()
        .succeeds();
    let objects = world.store().objects().len();
    put_to_private_store(&world, &front)
        .arg("--force")
        .env("AWS_CA_BUNDLE", &ca_path)
        .run()
        .succeeds();
    assert_eq!((objects, world.store().objects().len()), (1, 2));
}
