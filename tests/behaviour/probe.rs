//! The probe of a store by `upload serve`: its output, its effect on the start, and its reuse.
//!
//! Not here: the capabilities of each store (`s3_stores`, `gateway_api::probe`).

use serde_json::Value;

use crate::support::MIB;
use crate::support::events::receipts;
use crate::support::gateway::{Gateway, store_args};
use crate::support::s3::{S3, lacks};
use crate::support::sandbox::Sandbox;
use crate::support::world::World;

/// The value of a capability in the probe's JSON.
fn capability<'a>(probe: &'a Value, name: &str) -> &'a str {
    let rows = probe["capabilities"].as_array().unwrap();
    rows.iter()
        .find(|row| row["name"] == name)
        .unwrap_or_else(|| panic!("no capability {name}"))["held"]
        .as_str()
        .unwrap()
}

#[test]
fn probe_is_printed_as_a_table_and_as_json() {
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
    let probe: Value = serde_json::from_str(output.line()).unwrap();
    assert_eq!(
        (&probe["v"], &probe["type"], &probe["proof"]),
        (&1.into(), &"store".into(), &"sha256".into())
    );
    assert_eq!(probe["limits"]["max_parts"], 10_000);
    assert_eq!(probe["warnings"], Value::Array(Vec::new()));
    for name in [
        "length",
        "smuggling",
        "expiry",
        "composite",
        "put-once",
        "complete-once",
        "copy-range",
    ] {
        assert_eq!(capability(&probe, name), "yes", "{name}");
    }
}

#[test]
fn store_that_does_not_enforce_the_wanted_checksum_exits_with_78() {
    let store = S3::real(&format!("upload-probe-{}", std::process::id()));
    let sandbox = Sandbox::new();
    let (bucket, endpoint) = (
        format!("s3://{}", store.bucket()),
        format!("http://{}", store.addr()),
    );
    let probe = |args: &[&str]| {
        let command = sandbox
            .upload(["serve", "--probe", "--json"])
            .args(store_args(&bucket, &endpoint))
            .args(args);
        store
            .envs()
            .into_iter()
            .fold(command, |command, (name, value)| command.env(name, value))
            .run()
    };
    // Neither LocalStack nor Garage enforces the hash of a payload.
    let output = probe(&["--store-checksum", "payload"]).exits(78);
    let found: Value = serde_json::from_str(output.line()).unwrap();
    assert_ne!(capability(&found, "payload"), "yes");
    assert_eq!(capability(&found, "sha256"), "yes");
    // The operator can accept the risk.
    probe(&["--store-checksum", "payload", "--store-probe", "warn"]).succeeds();
    assert!(store.objects().is_empty() && store.open_uploads().is_empty());
}

#[test]
fn probe_result_is_reused_for_a_day() {
    let store = S3::real(&format!("upload-probed-{}", std::process::id()));
    let mut world = World::on_store(&store);
    let before = world.part_proxy().traffic();
    world.restart_gateway();
    let traffic = world.part_proxy().traffic().since(&before);
    assert_eq!(traffic.count("PUT"), 0, "{traffic:?}");
    set_probed_at(&world.gateway, "probed_at - 86400000");
    world.restart_gateway();
    assert_ne!(world.part_proxy().traffic().since(&before).count("PUT"), 0);
    // A result that is not sufficient is not reused.
    set_probed_at(&world.gateway, "probed_at");
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
fn receipt_lists_capabilities_that_were_not_proven() {
    let store = S3::real(&format!("upload-unproven-{}", std::process::id()));
    let probed = World::on_store(&store);
    let not_probed = World::on_store_with(
        &store,
        &["--store-probe", "off", "--store-checksum", "sha256"],
        &[],
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
        unproven(&not_probed, 1),
        ["length", "smuggling", "expiry", "put-once"]
    );
    assert_eq!(
        unproven(&not_probed, 6 * MIB),
        [
            "length",
            "smuggling",
            "expiry",
            "composite",
            "complete-once"
        ]
    );
    // Garage supports no conditional writes.
    assert_eq!(
        unproven(&probed, 1),
        if lacks("if-none-match") {
            &["put-once"][..]
        } else {
            &[]
        }
    );
}

fn ledger(gateway: &Gateway) -> rusqlite::Connection {
    rusqlite::Connection::open(gateway.sandbox().ledger()).unwrap()
}

/// Sets the time of the stored probe result to an SQL expression.
fn set_probed_at(gateway: &Gateway, probed_at: &str) {
    let sql = format!("UPDATE store_profile SET probed_at = {probed_at}");
    assert_eq!(ledger(gateway).execute(&sql, []).unwrap(), 1);
}
