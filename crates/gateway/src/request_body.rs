//! Receives the body of a request into memory, within the limit of its route, within the memory
//! that its owner may use for bodies, and above a minimum rate.
//!
//! Not here: the meaning of the body (`json_body`), and the bytes of files, which go to the store.

use std::time::Duration;

use axum::body::{Body, Bytes};
use futures_util::StreamExt as _;
use http_body::Body as _;
use tokio::time::{Instant, timeout};

use crate::problem::Refusal;
use crate::transfer_progress::TransferProgress;
use upload_types::fair_share::Share;
use upload_types::wire::Code;

/// How far a body may be behind the minimum rate.
const MAX_LAG: Duration = Duration::from_secs(30);
const BUSY_RETRY_SECONDS: u64 = 1;

/// Receives a body of at most `max_bytes` bytes. `share` grows with the bytes that have arrived, so
/// that a body that does not arrive takes nothing from others.
///
/// # Errors
/// `too_large`; `invalid_request` for a body that ends early or takes too long; `unavailable` if
/// the owner has too many bytes in memory.
pub async fn receive(body: Body, max_bytes: usize, share: &mut Share) -> Result<Bytes, Refusal> {
    let too_large = || Refusal::with_detail(Code::TooLarge, "the body is too large");
    let invalid = |text: &str| Refusal::with_detail(Code::InvalidRequest, text);
    if body.size_hint().lower() > max_bytes as u64 {
        return Err(too_large());
    }
    let mut received = Vec::new();
    let mut frames = body.into_data_stream();
    let progress = TransferProgress::default();
    loop {
        let now = Instant::now();
        progress.begin_wait(now);
        let frame = timeout(MAX_LAG.saturating_sub(progress.lag(now)), frames.next()).await;
        let frame = match frame {
            Ok(Some(Ok(frame))) => frame,
            Ok(None) => return Ok(received.into()),
            Ok(Some(Err(_))) => return Err(invalid("the body is incomplete")),
            Err(_) => return Err(invalid("the body took too long to arrive")),
        };
        progress.advance(Instant::now(), frame.len());
        if received.len() + frame.len() > max_bytes {
            return Err(too_large());
        }
        if !share.try_grow(frame.len()) {
            return Err(Refusal::retry_after(Code::Unavailable, BUSY_RETRY_SECONDS));
        }
        received.extend_from_slice(&frame);
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;
    use upload_types::fair_share::FairShare;

    use super::*;

    async fn receive_within(body: Body, max_bytes: usize, budget: usize) -> Result<usize, Code> {
        let mut share = FairShare::new(budget).try_take("owner", 0).unwrap();
        let received = receive(body, max_bytes, &mut share).await;
        received
            .map(|body| body.len())
            .map_err(|refusal| refusal.code)
    }

    fn chunks(count: usize, pause: Duration) -> Body {
        let chunks = stream::iter(0..count).then(move |_| async move {
            tokio::time::sleep(pause).await;
            Ok::<_, Infallible>(Bytes::from_static(&[0; 100]))
        });
        Body::from_stream(Box::pin(chunks))
    }

    #[tokio::test(start_paused = true)]
    async fn body_that_does_not_arrive_times_out() {
        let began = Instant::now();
        let stalled = Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
        assert_eq!(
            receive_within(stalled, 1, 8).await,
            Err(Code::InvalidRequest)
        );
        assert_eq!(began.elapsed().as_secs(), MAX_LAG.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn slow_body_is_received_above_the_minimum_rate() {
        let slow = chunks(10_000, Duration::from_millis(90));
        assert_eq!(receive_within(slow, 1 << 20, 4 << 20).await, Ok(1_000_000));
        let too_slow = chunks(10_000, Duration::from_millis(200));
        let result = receive_within(too_slow, 1 << 20, 4 << 20).await;
        assert_eq!(result, Err(Code::InvalidRequest));
    }

    #[tokio::test(start_paused = true)]
    async fn body_is_limited_by_its_route_and_by_the_memory_of_its_owner() {
        let body = || chunks(10, Duration::ZERO);
        assert_eq!(receive_within(body(), 1000, 2000).await, Ok(1000));
        assert_eq!(receive_within(body(), 999, 2000).await, Err(Code::TooLarge));
        assert_eq!(
            receive_within(body(), 1000, 1800).await,
            Err(Code::Unavailable)
        );
        let announced = Body::from(vec![0; 1001]);
        assert_eq!(
            receive_within(announced, 1000, 0).await,
            Err(Code::TooLarge)
        );
    }
}
