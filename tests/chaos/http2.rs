//! A gateway that speaks HTTP/2, as behind most load balancers: connections and streams of it go away, and each call is made again.
//!
//! Border: frames between client and gateway, cut in on where TLS ends; parts speak HTTP/1.1 and pass the proxy.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::support::PART;
use crate::tls::Bench;
use crate::trial::each_of;

/// How it ends.
#[derive(Debug, Clone, Copy)]
pub enum End {
    /// GOAWAY in place of an answer, as from a balancer that is being replaced: "nothing of yours was looked at". It was.
    GoAway,
    /// GOAWAY amid an answer, for an error.
    Fails,
    /// `RST_STREAM` amid an answer; the connection stays.
    Reset,
}

/// The answer that ends so: how many there are before it.
#[derive(Debug)]
pub struct Cut {
    end: End,
    before: AtomicU32,
    gateway: OnceLock<SocketAddr>,
}

impl Cut {
    pub fn leads_to(&self, gateway: SocketAddr) {
        self.gateway.set(gateway).unwrap();
    }

    pub fn gateway(&self) -> SocketAddr {
        *self.gateway.get().expect("a gateway")
    }
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
const HEAD: usize = 9;

fn frame(kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, 0], &stream.to_be_bytes(), payload].concat()
}

/// Passes frames on to the client, up to the answer that is to end otherwise.
pub async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    cut: Arc<Cut>,
) -> io::Result<()> {
    let mut ended = 0;
    loop {
        let mut whole = vec![0; HEAD];
        from.read_exact(&mut whole).await?;
        let length = u32::from_be_bytes([0, whole[0], whole[1], whole[2]]);
        let kind = whole[3];
        let stream = u32::from_be_bytes(whole[5..].try_into().unwrap()) & (u32::MAX >> 1);
        whole.resize(HEAD + length as usize, 0);
        from.read_exact(&mut whole[HEAD..]).await?;
        if stream != 0 && stream == ended {
            continue;
        }
        let meant = kind == HEADERS && cut.before.fetch_sub(1, Ordering::SeqCst) == 1;
        let code = |code: u32| code.to_be_bytes();
        match cut.end {
            _ if !meant => to.write_all(&whole).await?,
            End::GoAway => {
                to.write_all(&frame(GOAWAY, 0, &[code(0), code(0)].concat()))
                    .await?;
                return to.shutdown().await;
            }
            End::Fails => {
                to.write_all(&whole).await?;
                to.write_all(&frame(GOAWAY, 0, &[code(stream), code(2)].concat()))
                    .await?;
                return to.shutdown().await;
            }
            End::Reset => {
                ended = stream;
                to.write_all(&whole).await?;
                to.write_all(&frame(RST_STREAM, stream, &code(2))).await?;
            }
        }
        to.flush().await?;
    }
}

#[test]
fn what_goes_away_is_asked_again() {
    // Info, begin, sign, complete and whatever comes between them.
    let cases = [End::GoAway, End::Fails, End::Reset]
        .into_iter()
        .flat_map(|end| (1..=4).map(move |nth| (end, nth)));
    each_of(
        || (),
        cases,
        |(), (end, nth)| {
            let cut = Arc::new(Cut {
                end,
                before: AtomicU32::new(nth),
                gateway: OnceLock::new(),
            });
            let mut bench = Bench::over_http2(&cut);
            let run = bench.trial.survives(PART + 1, |_| {});
            // It wraps at 0: there was this answer.
            assert!(
                cut.before.load(Ordering::SeqCst) > nth,
                "{end:?}: no HTTP/2 was spoken"
            );
            assert!(
                run.retries().iter().all(|kind| kind == "temporary"),
                "{end:?} {nth}: {}",
                run.output
            );
            // What goes away takes with it whatever else is under way.
            let most = if let End::Reset = end { 1 } else { 2 };
            assert!(run.retries().len() <= most, "{end:?} {nth}: {}", run.output);
            assert_eq!(run.traffic.count("PUT"), 2, "parts were sent again");
        },
    );
}
