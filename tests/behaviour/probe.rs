//! What a store can be held to: tried, told, and remembered for the next start.
//!
//! Border: what is found on which store is `s3_stores` and `gateway_api::probe`; here, the true `upload serve`.

use serde_json::Value;

use crate::support::MIB;
use crate::support::events::receipts;
use crate::support::gateway::Gateway;
use crate::support::s3::{S3, lacks};
use crate::support::sandbox::Sandbox;
use crate::support::world::World;

/// How far the store is held to it, by its name.
fn held<'a>(told: &'a Value, name: &str) -> &'a str {
    let rows = told["capabilities"].as_array().unwrap();
    rows.iter()
        .find(|row| row["name"] == name)
        .unwrap_or_else(|| panic!("{name} is told"))["held"]
        .as_str()
        .unwrap()
}

#[test]
fn the_probe_is_told_as_a_table_and_as_json() {
    let sandbox = Sandbox::new();
    let table = sandbox.upload(["serve", "--probe"]).run().succeeds();
    let text = table.stdout();
    assert!(
        text.starts_with(
            "store   embedded\nproof   sha256\nlimits  objects up to 48.8 TiB; parts of 5.0 MiB"
        ),
        "{text}"
    );
    assert!(
        text.contains("length          yes      a part longer than its signed Content-Length: 4"),
        "{text}"
    );
    let output = sandbox
        .upload(["serve", "--probe", "--json"])
        .run()
        .succeeds();
    let told: Value = serde_json::from_str(output.line()).unwrap();
    assert_eq!(
        (&told["v"], &told["type"], &told["proof"]),
        (&1.into(), &"store".into(), &"sha256".into())
    );
    assert_eq!(told["limits"]["max_parts"], 10_000);
    assert_eq!(told["warnings"], Value::Array(Vec::new()));
    for name in [
        "length",
        "smuggling",
        "expiry",
        "composite",
        "put-once",
        "complete-once",
        "copy-range",
    ] {
        assert_eq!(held(&told, name), "yes", "{name}");
    }
}

#[test]
fn a_store_that_does_not_do_what_is_wanted_is_told_with_78() {
    let store = S3::real(&format!("upload-probe-{}", std::process::id()));
    let sandbox = Sandbox::new();
    let (bucket, endpoint) = (
        format!("s3://{}", store.bucket()),
        format!("http://{}", store.addr()),
    );
    let place = [
        "serve",
        "--probe",
        "--json",
        "--store",
        &bucket,
        "--s3-endpoint",
        &endpoint,
        "--s3-path-style",
    ];
    let probe = |more: &[&str]| {
        let command = sandbox.upload([&place, more].concat());
        store
            .envs()
            .into_iter()
            .fold(command, |command, (name, value)| command.env(name, value))
            .run()
    };
    // Not that store, nor the other one that tests may run on, looks at a payload's hash as it should.
    let refused = probe(&["--store-checksum", "payload"])
        .exits(78)
        .stderr_contains("does not enforce payload, only sha256");
    let told: Value = serde_json::from_str(refused.line()).unwrap();
    assert_ne!(held(&told, "payload"), "yes");
    assert_eq!(held(&told, "sha256"), "yes");
    // Who knows better may go on.
    probe(&["--store-checksum", "payload", "--store-probe", "warn"]).succeeds();
    assert!(store.objects().is_empty() && store.open_uploads().is_empty());
}

#[test]
fn a_gateway_goes_by_what_the_one_before_it_found_for_a_day() {
    let store = S3::real(&format!("upload-probed-{}", std::process::id()));
    let mut world = World::on_store(&store);
    let before = world.part_proxy().traffic();
    world.restart_gateway();
    let traffic = world.part_proxy().traffic().since(&before);
    assert_eq!(traffic.count("PUT"), 0, "{traffic:?}");
    aged(&world.gateway, "probed_at - 86400000");
    world.restart_gateway();
    assert_ne!(world.part_proxy().traffic().since(&before).count("PUT"), 0);
    // And what is good enough no more is looked at again.
    aged(&world.gateway, "probed_at");
    let before = world.part_proxy().traffic();
    world.gateway.kill9();
    let ledger = ledger(&world.gateway);
    ledger
        .execute(
            "UPDATE store_profile SET profile = replace(profile, 'yes', 'no')",
            [],
        )
        .unwrap();
    drop(ledger);
    world.gateway.restart();
    assert_ne!(world.part_proxy().traffic().since(&before).count("PUT"), 0);
    assert!(store.objects().is_empty() && store.open_uploads().is_empty());
}

#[test]
fn what_the_store_was_not_found_to_prove_stands_in_the_receipt() {
    let store = S3::real(&format!("upload-unproven-{}", std::process::id()));
    let tried = World::on_store(&store);
    let not = World::on_store_with_args(
        &store,
        &["--store-probe", "off", "--store-checksum", "sha256"],
    );
    let unproven = |world: &World, size: u64| {
        let (file, receipt) = (
            world.sandbox.file(&format!("{size}.bin"), size),
            world.sandbox.path("receipt"),
        );
        world
            .put(&file)
            .arg("--receipt")
            .arg(&receipt)
            .run()
            .succeeds();
        receipts(&receipt).pop().unwrap().unproven
    };
    assert_eq!(
        unproven(&not, 1),
        ["length", "smuggling", "expiry", "put-once"]
    );
    assert_eq!(
        unproven(&not, 6 * MIB),
        [
            "length",
            "smuggling",
            "expiry",
            "composite",
            "complete-once"
        ]
    );
    // Garage, the other store that tests may run on, knows no conditions.
    assert_eq!(
        unproven(&tried, 1),
        if lacks("if-none-match") {
            &["put-once"][..]
        } else {
            &[]
        }
    );
}

fn ledger(gateway: &Gateway) -> rusqlite::Connection {
    let path = gateway
        .sandbox()
        .files()
        .into_iter()
        .find(|path| path.ends_with("gateway.db"))
        .unwrap();
    rusqlite::Connection::open(path).unwrap()
}

fn aged(gateway: &Gateway, probed_at: &str) {
    let sql = format!("UPDATE store_profile SET probed_at = {probed_at}");
    assert_eq!(ledger(gateway).execute(&sql, []).unwrap(), 1);
}
