//! A gateway that speaks HTTP/2, as most load balancers do: connections and streams end early, and
//! each call is repeated.
//!
//! The TLS server (`tls`) cuts the frames between an HTTP/2 server (`http2_front`) and the client.
//! Parts use HTTP/1.1 and pass the proxy.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::setup::for_each_case_with;
use crate::support::PART;
use crate::tls::TlsSetup;

/// Ways to end a response early.
#[derive(Debug, Clone, Copy)]
pub enum End {
    /// GOAWAY with last stream 0 ("no request was processed") instead of a response, as from a load
    /// balancer that is being replaced. The request was processed.
    GoAway,
    /// GOAWAY with an error code after the response's headers.
    GoAwayWithError,
    /// `RST_STREAM` after the response's headers; the connection stays open.
    ResetStream,
}

/// Ends one response early: `countdown` is its number, and decreases with each response.
#[derive(Debug)]
pub struct Cut {
    end: End,
    countdown: AtomicU32,
    gateway: OnceLock<SocketAddr>,
}

impl Cut {
    pub fn set_gateway(&self, gateway: SocketAddr) {
        self.gateway.set(gateway).unwrap();
    }

    pub fn gateway(&self) -> SocketAddr {
        *self.gateway.get().expect("a gateway")
    }
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
const FRAME_HEADER_BYTES: usize = 9;

fn frame(kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, 0], &stream.to_be_bytes(), payload].concat()
}

/// Forwards frames to the client until the response that `cut` ends early.
pub async fn forward_frames(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    cut: Arc<Cut>,
) -> io::Result<()> {
    let mut ended_stream = 0;
    loop {
        let mut frame_bytes = vec![0; FRAME_HEADER_BYTES];
        from.read_exact(&mut frame_bytes).await?;
        let length = u32::from_be_bytes([0, frame_bytes[0], frame_bytes[1], frame_bytes[2]]);
        let kind = frame_bytes[3];
        let stream = u32::from_be_bytes(frame_bytes[5..].try_into().unwrap()) & (u32::MAX >> 1);
        frame_bytes.resize(FRAME_HEADER_BYTES + length as usize, 0);
        from.read_exact(&mut frame_bytes[FRAME_HEADER_BYTES..])
            .await?;
        if stream != 0 && stream == ended_stream {
            continue;
        }
        let is_target = kind == HEADERS && cut.countdown.fetch_sub(1, Ordering::SeqCst) == 1;
        let code = |code: u32| code.to_be_bytes();
        match cut.end {
            _ if !is_target => to.write_all(&frame_bytes).await?,
            End::GoAway => {
                to.write_all(&frame(GOAWAY, 0, &[code(0), code(0)].concat()))
                    .await?;
                return to.shutdown().await;
            }
            End::GoAwayWithError => {
                to.write_all(&frame_bytes).await?;
                to.write_all(&frame(GOAWAY, 0, &[code(stream), code(2)].concat()))
                    .await?;
                return to.shutdown().await;
            }
            End::ResetStream => {
                ended_stream = stream;
                to.write_all(&frame_bytes).await?;
                to.write_all(&frame(RST_STREAM, stream, &code(2))).await?;
            }
        }
        to.flush().await?;
    }
}

#[test]
fn ended_connections_and_streams_are_retried() {
    // Info, begin, sign, complete and the calls between them.
    let cases = [End::GoAway, End::GoAwayWithError, End::ResetStream]
        .into_iter()
        .flat_map(|end| (1..=4).map(move |nth| (end, nth)));
    for_each_case_with(
        || (),
        cases,
        |(), (end, nth)| {
            let cut = Arc::new(Cut {
                end,
                countdown: AtomicU32::new(nth),
                gateway: OnceLock::new(),
            });
            let mut context = TlsSetup::over_http2(&cut);
            let run = context.setup.succeeding_put(PART + 1, |_| {});
            // The counter wraps below 0, so a larger value means that the response was cut.
            assert!(
                cut.countdown.load(Ordering::SeqCst) > nth,
                "{end:?}: the response to cut did not arrive over HTTP/2"
            );
            assert!(
                run.retry_kinds().iter().all(|kind| kind == "temporary"),
                "{end:?} {nth}: {}",
                run.output
            );
            // The end of a connection also ends its other streams.
            let most = if let End::ResetStream = end { 1 } else { 2 };
            assert!(
                run.retry_kinds().len() <= most,
                "{end:?} {nth}: {}",
                run.output
            );
            assert_eq!(run.traffic.count("PUT"), 2, "parts were sent again");
        },
    );
}
