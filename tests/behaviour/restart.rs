//! A PostgreSQL that is stopped amid a put, and started again.
//!
//! Border: a database that lets nobody in for a while is `gateways`; here its whole server ends, once in order and once at a blow.

use crate::interrupt::held;
use crate::support::PART;
use crate::support::gateway::Gateway;
use crate::support::postgres::Server;
use crate::support::proxy::Proxy;
use crate::support::wait;
use crate::support::world::World;

/// What is asked while the database is away: its status, and whether it says when to come again.
fn asked(url: &str) -> (u16, bool) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client
            .get(format!("{url}/v1/uploads"))
            .send()
            .await
            .unwrap();
        (
            answer.status().as_u16(),
            answer.headers().contains_key("retry-after"),
        )
    })
}

#[test]
fn a_postgresql_that_is_started_again_amid_a_put_costs_nothing() {
    let (server, store) = (Server::start(), Gateway::start(&[], &[]));
    let bucket = store.store();
    let (address, way) = (Proxy::start(), Proxy::start());
    way.forward_to(bucket.addr());
    let (url, place, endpoint) = (
        address.url(),
        format!("s3://{}", bucket.bucket()),
        way.url(),
    );
    let args = [
        "--store",
        &place,
        "--s3-endpoint",
        &endpoint,
        "--s3-path-style",
    ];
    let mut envs = bucket.envs().to_vec();
    envs.push(("UPLOAD_LEDGER", server.url()));
    let world = World::with_public_url(&url, address, &args, &envs, Some(way));
    for mode in ["fast", "immediate"] {
        let file = world.sandbox.file(mode, 3 * PART);
        let running = held(&world, world.put(&file), PART + 1000);
        server.stop(mode);
        assert_eq!(asked(&world.gateway.url()), (503, true), "{mode}");
        let before = world.proxy.traffic().0.len();
        world.part_proxy().unblock();
        // Whoever needs the ledger now is told to come again.
        wait::until("a call of the put to be put off", || {
            world.proxy.traffic().0[before..]
                .iter()
                .any(|call| call.status == Some(503))
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
