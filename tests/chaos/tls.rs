//! TLS that cannot be trusted is not spoken, and not tried again; TLS that breaks off is; and what goes wrong inside of it costs no
//! more than without.
//!
//! Border: certificates and handshakes, and the faults whose course depends on who speaks HTTP. The certificates beside this
//! file are made with openssl and of no use elsewhere.

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
use crate::support::PART;
use crate::support::proxy::{ConnectionEnd, Fault, Proxy, Requests, Response, WHOLE_BODY};
use crate::support::s3::S3;
use crate::support::world::World;
use crate::trial::{SIZES, Trial, each_of};

const GOOD: &str = include_str!("tls/good.pem");
const EXPIRED: &str = include_str!("tls/expired.pem");
const OTHER: &str = include_str!("tls/other.pem");

/// Speaks TLS in front of a proxy.
struct Front {
    addr: SocketAddr,
    _runtime: Runtime,
}

impl Front {
    /// `breaks`: connections that end before the handshake does, at the beginning.
    fn start(pem: &str, to: SocketAddr, breaks: u32) -> Self {
        Self::speaking(pem, to, breaks, None)
    }

    /// `http2`: who speaks that and is cut in on, in place of the proxy.
    fn speaking(pem: &str, to: SocketAddr, mut breaks: u32, http2: Option<Arc<Cut>>) -> Self {
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
                if breaks > 0 {
                    breaks -= 1;
                    continue;
                }
                let (acceptor, http2) = (acceptor.clone(), http2.clone());
                tokio::spawn(async move {
                    let mut client = acceptor.accept(client).await?;
                    let speaks_it = client.get_ref().1.alpn_protocol() == Some(b"h2");
                    if let Some(cut) = http2.filter(|_| speaks_it) {
                        let (from, mut to) = TcpStream::connect(cut.gateway()).await?.into_split();
                        let (mut asks, answers) = tokio::io::split(client);
                        tokio::spawn(async move { tokio::io::copy(&mut asks, &mut to).await });
                        return http2::pass(from, answers, cut).await;
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

fn authority() -> String {
    format!(
        "{}/tests/chaos/tls/ca.pem",
        std::env::var("CARGO_MANIFEST_DIR").expect("run by cargo")
    )
}

/// A gateway and its store behind TLS.
pub struct Bench {
    pub trial: Trial,
    front: Front,
}

impl Bench {
    fn new() -> Self {
        Self::with(GOOD, 0)
    }

    fn with(pem: &str, breaks: u32) -> Self {
        let proxy = Proxy::start();
        let front = Front::start(pem, proxy.addr(), breaks);
        let world = World::with_public_url(&front.url(), proxy, &[], &[], None);
        Self::of(world, front)
    }

    /// Calls to the gateway are HTTP/2.
    pub fn over_http2(cut: &Arc<Cut>) -> Self {
        let proxy = Proxy::start();
        let front = Front::speaking(GOOD, proxy.addr(), 0, Some(Arc::clone(cut)));
        let world = World::with_public_url(&front.url(), proxy, &[], &[], None);
        cut.leads_to(world.gateway.addr());
        Self::of(world, front)
    }

    fn of(world: World, front: Front) -> Self {
        let credentials =
            std::fs::read_to_string(world.gateway.sandbox().path("credentials")).unwrap();
        // The oracle looks at the store from behind.
        let store = S3::from_credentials(&credentials.replace(&front.url(), &world.gateway.url()));
        let trial = Trial::of(world, Some(store)).by(&[
            "--backend",
            &front.url(),
            "--ca-cert",
            &authority(),
        ]);
        Self { trial, front }
    }
}

#[test]
fn each_size_goes_through_tls() {
    each_of(Bench::new, SIZES, |bench, size| {
        let run = bench.trial.survives(size, |_| {});
        run.wastes(0).asks_little();
    });
}

#[test]
fn a_certificate_that_cannot_be_trusted_is_not_tried_again() {
    for (pem, trusted) in [(EXPIRED, true), (OTHER, true), (GOOD, false)] {
        let mut bench = Bench::with(pem, 0);
        let file = bench.trial.file(1);
        let mut put = bench
            .trial
            .world
            .put(&file)
            .env("UPLOAD_BACKEND", bench.front.url());
        if trusted {
            put = put.args(["--ca-cert", &authority()]);
        }
        put.run().exits(69).stderr_contains("--ca-cert");
        assert_eq!(
            bench.trial.proxy().traffic().requests(),
            0,
            "something was sent all the same"
        );
        assert!(Path::new(&authority()).exists());
    }
}

#[test]
fn a_handshake_that_breaks_off_is_tried_again() {
    let run = Bench::with(GOOD, 2).trial.survives(PART + 1, |_| {});
    assert_eq!(run.retries(), ["temporary"; 2], "{}", run.output);
}

#[test]
fn connections_that_break_inside_of_tls() {
    each_of(Bench::new, [1, PART, PART + 1], |bench, size| {
        for bytes in [0, size.min(PART) / 2, WHOLE_BODY] {
            for fault in [Fault::ResetAfter { bytes }, Fault::FinAfter { bytes }] {
                let run = bench
                    .trial
                    .survives(size, |proxy| proxy.inject(Requests::put().nth(1), fault));
                run.wastes_little().asks_little();
            }
        }
    });
}

#[test]
fn what_stands_still_inside_of_tls_is_given_up() {
    let mut bench = Bench::new();
    bench.trial = bench.trial.impatient();
    let hush = Fault::StallAfter { bytes: PART / 2 };
    let run = bench
        .trial
        .survives(PART, |proxy| proxy.inject(Requests::put().nth(1), hush));
    assert_eq!(run.retries()[0], "temporary");
}

#[test]
fn an_answer_before_the_end_is_heard_inside_of_tls() {
    // Without "close", a connection whose buffers took the rest looks as good as new.
    let answer = Response::s3_with_message(403, "AccessDenied", "Request has expired")
        .header("connection", "close");
    let early = Fault::EarlyResponse {
        bytes: 1000,
        response: answer,
        then: ConnectionEnd::StayOpen,
    };
    let run = Bench::new().trial.survives(PART + 1, |proxy| {
        proxy.inject(Requests::part(1).nth(1), early);
    });
    assert_eq!(run.retries()[0], "url_expired", "{}", run.output);
}

#[test]
fn answers_inside_of_tls() {
    let cases = [
        (Fault::slow_down(), "throttled"),
        (Fault::expired(), "url_expired"),
        (Fault::error_in_success(), "temporary"),
        (Fault::html_page(302), "unexpected_server"),
        (Fault::FlipBit { at: 0 }, "corrupt"),
    ];
    each_of(Bench::new, cases, |bench, (fault, kind)| {
        let run = bench.trial.survives(PART + 1, |proxy| {
            proxy.inject(Requests::part(1).nth(1), fault);
        });
        assert_eq!(run.retries(), [kind], "{}", run.output);
    });
}
