//! A PostgreSQL primary that dies during a put, and a standby that takes over.
//!
//! Not here: a longer run, and the way back (`scripts/walkthrough`).

use crate::support::PART;
use crate::support::gateway::Gateway;
use crate::support::postgres::Server;
use crate::support::wait;
use crate::support::world::World;

/// The status and the body of `/readyz`.
fn readiness(url: &str) -> (u16, String) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let response = client.get(format!("{url}/readyz")).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    })
}

#[test]
fn put_survives_a_failover_of_postgresql() {
    let (primary, store) = (Server::start(), Gateway::start(&[], &[]));
    let standby = primary.start_standby();
    let server = |url: &str| {
        let (_, rest) = url.split_once('@').unwrap();
        rest.split_once('/').unwrap().0.to_owned()
    };
    let both = format!("{},{}", server(primary.url()), server(standby.url()));
    let url = primary.url().replacen(&server(primary.url()), &both, 1);
    let bucket = store.store();
    let world = World::on_store_with(&bucket, &[], &[("UPLOAD_LEDGER", &url)]);
    let file = world.sandbox.file("film.bin", 3 * PART);
    let running = world.run_until_blocked(world.put(&file), PART + 1000);
    primary.stop("immediate");
    let gateway_url = world.gateway.url();
    // The standby is asked, and does not accept writes.
    wait::until("503 that names the reason", || {
        let (status, body) = readiness(&gateway_url);
        (status == 503 && body.contains("accepts writes")).then_some(())
    });
    world.part_proxy().unblock();
    standby.promote();
    wait::until("a gateway that is ready", || {
        (readiness(&gateway_url).0 == 200).then_some(())
    });
    running.wait().succeeds();
    bucket.assert_holds_only(&file);
    assert!(!world.gateway.stderr().contains("panicked"));
}
