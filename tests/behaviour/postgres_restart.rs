//! A PostgreSQL server that is stopped and restarted during a put, cleanly and as in a crash.
//!
//! Not here: a database that rejects connections for a while (`gateways`).

use crate::support::PART;
use crate::support::gateway::Gateway;
use crate::support::postgres::Server;
use crate::support::wait;
use crate::support::world::World;

/// Lists uploads; returns the status and whether the response has a Retry-After header.
fn list_uploads(url: &str) -> (u16, bool) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let response = client
            .get(format!("{url}/v1/uploads"))
            .send()
            .await
            .unwrap();
        (
            response.status().as_u16(),
            response.headers().contains_key("retry-after"),
        )
    })
}

#[test]
fn put_survives_a_restart_of_postgresql() {
    let (server, store) = (Server::start(), Gateway::start(&[], &[]));
    let bucket = store.store();
    let world = World::on_store_with(&bucket, &[], &[("UPLOAD_LEDGER", server.url())]);
    for mode in ["fast", "immediate"] {
        let file = world.sandbox.file(mode, 3 * PART);
        let running = world.run_until_blocked(world.put(&file), PART + 1000);
        server.stop(mode);
        assert_eq!(list_uploads(&world.gateway.url()), (503, true), "{mode}");
        let before = world.proxy.traffic().0.len();
        world.part_proxy().unblock();
        // Calls that need the ledger get 503 with Retry-After.
        wait::until("status 503 for a call of the put", || {
            world.proxy.traffic().0[before..]
                .iter()
                .any(|exchange| exchange.status == Some(503))
                .then_some(())
        });
        server.restart();
        let location = running.wait().succeeds().line().to_owned();
        let objects = bucket.objects();
        let key = objects
            .iter()
            .find(|key| location.ends_with(key.as_str()))
            .expect("the object");
        assert_eq!(
            bucket.sha256(key),
            crate::support::files::sha256(&file),
            "{mode}"
        );
        bucket.assert_no_open_uploads();
    }
    assert_eq!(bucket.objects().len(), 2);
    assert!(!world.gateway.stderr().contains("panicked"));
}
