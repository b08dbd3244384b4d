//! Keys that clients choose at a gateway: only those that its operator permits to the token.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::command::Command;
use crate::support::events::{Event, events, failure_kind};
use crate::support::files;
use crate::support::sandbox::Sandbox;
use crate::support::world::World;

/// A machine with a token of the gateway.
struct Machine {
    sandbox: Sandbox,
    token: PathBuf,
}

impl Machine {
    fn new(token: &str) -> Self {
        let sandbox = Sandbox::new();
        let path = sandbox.path("token");
        fs::write(&path, token).unwrap();
        Self {
            sandbox,
            token: path,
        }
    }

    fn upload(&self, world: &World, args: &[&str]) -> Command {
        let command = self.sandbox.upload(args);
        let command = command.env("UPLOAD_BACKEND", world.proxy.url());
        command.env("UPLOAD_TOKEN_FILE", &self.token)
    }

    fn put(&self, world: &World, file: &Path, args: &[&str]) -> Command {
        self.upload(world, &["put", "--json"]).args(args).arg(file)
    }
}

fn token(world: &World, name: &str, keys: &[&str]) -> String {
    let keys = keys.iter().flat_map(|pattern| ["--keys", pattern]);
    let add = world
        .gateway
        .sandbox()
        .upload(["serve", "token", "add", name]);
    add.args(keys).run().succeeds().line().to_owned()
}

fn world() -> World {
    World::with_args(&["--auth", "tokens", "--client-keys"])
}

#[test]
fn token_permits_the_keys_of_its_patterns() {
    let world = world();
    let ci = Machine::new(&token(&world, "ci", &["app/**"]));
    let file = ci.sandbox.file("app.tar.gz", 3000);
    ci.put(&world, &file, &["--prefix", "app/1.2.3"])
        .run()
        .succeeds();
    assert_eq!(world.store().objects(), ["app/1.2.3/app.tar.gz"]);
    let refused = ci.put(&world, &file, &["--key", "other/app.tar.gz"]).run();
    let refused = refused.exits(77);
    assert_eq!(failure_kind(&refused), "not_acceptable");
    assert!(refused.stdout().contains("app/**"), "{refused}");
    // Without a flag, the gateway makes the key.
    ci.put(&world, &file, &["--force"]).run().succeeds();
    let keys = world.store().objects();
    assert!(
        keys.iter().any(|key| key.starts_with("uploads/")),
        "{keys:?}"
    );

    let guest = Machine::new(&token(&world, "guest", &[]));
    let file = guest.sandbox.file("app.tar.gz", 10);
    let refused = guest
        .put(&world, &file, &["--key", "app/x"])
        .run()
        .exits(77);
    assert_eq!(failure_kind(&refused), "not_acceptable");
    assert!(refused.stderr().contains("--client-keys"), "{refused}");
    let preview = guest
        .put(&world, &file, &["--key", "app/x", "--dry-run"])
        .run();
    preview.exits(77);
}

#[test]
fn gateway_without_client_keys_permits_no_key() {
    let world = World::new();
    let file = world.sandbox.file("app.tar.gz", 10);
    let put = world.put(&file).args(["--json", "--key", "app/x"]);
    let refused = put.run().exits(77);
    assert_eq!(failure_kind(&refused), "not_acceptable");
    assert_eq!(world.store().objects(), [""; 0]);
    let hint = refused.stderr().split('`').nth(1).unwrap_or_default();
    let hint = shlex::split(hint).unwrap();
    world.sandbox.upload(&hint[1..]).run().succeeds();
    world.assert_holds_only(&file);
}

/// The gateway knows the upload of the other machine, because both have the token of one owner.
#[test]
fn second_machine_of_an_owner_takes_over_the_finished_upload() {
    let world = World::with_args(&["--auth", "tokens", "--client-keys", "--client-delete"]);
    let token = token(&world, "ci", &["app/**"]);
    let (one, two) = (Machine::new(&token), Machine::new(&token));
    let file = one.sandbox.file("app.tar.gz", 12 << 20);
    let copy = two.sandbox.path("app.tar.gz");
    fs::copy(&file, &copy).unwrap();
    let args = ["--prefix", "app", "--part-size", "5MiB"];
    one.put(&world, &file, &args).run().succeeds();
    let sent = world.bytes_put();
    let again = two
        .put(&world, &copy, &["--prefix", "app"])
        .run()
        .succeeds();
    let found = events(&again).into_iter().find_map(|event| match event {
        Event::Completed {
            upload,
            already_stored,
            receipt,
            ..
        } => Some((upload, already_stored, receipt)),
        _ => None,
    });
    let (id, already_stored, receipt) = found.expect("a `completed` event");
    assert!(already_stored && !id.is_empty() && receipt.id == id);
    assert_eq!((receipt.parts, receipt.part_size), (3, 5 << 20));
    // Verbs find it by the file, and the next put asks for its status only.
    let cat = two.upload(&world, &["cat"]).arg(&copy).run().succeeds();
    assert_eq!(cat.stdout_bytes(), fs::read(&file).unwrap());
    two.upload(&world, &["url"]).arg(&copy).run().succeeds();
    let before = world.proxy.traffic();
    two.put(&world, &copy, &["--prefix", "app"])
        .run()
        .succeeds();
    let traffic = world.proxy.traffic().since(&before);
    assert_eq!(traffic.posts("/v1/uploads"), 0, "{traffic:?}");
    assert_eq!(world.bytes_put(), sent);
    two.upload(&world, &["rm"]).arg(&copy).run().succeeds();
    assert_eq!(world.store().objects(), [""; 0]);
}

#[test]
fn two_owners_with_one_pattern_share_its_keys_and_replace_nothing_by_chance() {
    let world = world();
    let one = Machine::new(&token(&world, "one", &["app/**"]));
    let two = Machine::new(&token(&world, "two", &["app/**"]));
    let file = one.sandbox.file("app.tar.gz", 3000);
    let other = two.sandbox.file("app.tar.gz", 4000);
    let args = ["--prefix", "app"];
    one.put(&world, &file, &args).run().succeeds();
    let refused = two.put(&world, &other, &args).run().exits(77);
    assert_eq!(failure_kind(&refused), "exists");
    world.assert_holds_only(&file);
    let overwrite = [&args[..], &["--if-exists", "overwrite"]].concat();
    two.put(&world, &other, &overwrite).run().succeeds();
    world.assert_holds_only(&other);
    // The first owner sees that the object was replaced, and replaces nothing.
    let status = one.upload(&world, &["status", "--remote"]).arg(&file).run();
    assert!(status.succeeds().stdout().contains("replaced"));
    let refused = one.put(&world, &file, &args).run().exits(77);
    assert_eq!(failure_kind(&refused), "exists");
    assert_eq!(
        world.store().sha256("app/app.tar.gz"),
        files::sha256(&other)
    );
}
