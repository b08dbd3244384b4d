//! Answers of a hostile backend: no text of one reaches a terminal unescaped, and no id leads to
//! another path.
//!
//! Not here: hostile file names, errors of servers (`terminal_escaping`); presigned URLs
//! (`redirects`).

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

use crate::support::PART;
use crate::support::command::{Command, Output};
use crate::support::events::upload_id;
use crate::support::proxy::{Fault, Requests, Response};
use crate::support::sandbox::Sandbox;
use crate::support::world::World;
use crate::terminal_escaping::{assert_plain, is_plain};
use crate::test_backend::{Answer, Request, TestBackend};

/// A title (OSC), a bell, clearing (CSI), colours (C1), reversed text, an invisible character and a
/// line break.
const HOSTILE: &str = "\x1b]0;pwned\x07\x1b[2J\u{9b}31m\u{202e}\u{200b}gnp\nevil";

/// Gateways at the same time, each with a part of the strings.
const GROUPS: usize = 6;

/// A string in an answer: the route of the request, and a JSON pointer into the answer.
type Field = (String, String);

/// The route of a request: method and path, without ids and the query.
fn route(request: &Request) -> String {
    let path = request.path.split('?').next().unwrap_or_default();
    let segments = path.split('/').map(|segment| match segment.len() {
        ..30 => segment,
        _ => "ID",
    });
    format!(
        "{} {}",
        request.method,
        segments.collect::<Vec<_>>().join("/")
    )
}

/// The strings of an answer, as JSON pointers.
fn strings(json: &Value, pointer: &str, found: &mut Vec<String>) {
    match json {
        Value::String(_) => found.push(pointer.to_owned()),
        Value::Array(items) => {
            // How many parts are stored when a put is killed differs from run to run.
            let count = if pointer.ends_with("/parts") {
                1
            } else {
                items.len()
            };
            for (index, item) in items.iter().take(count).enumerate() {
                strings(item, &format!("{pointer}/{index}"), found);
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                strings(value, &format!("{pointer}/{name}"), found);
            }
        }
        _ => {}
    }
}

/// A world whose gateway has a finished and an unfinished upload.
struct Stage {
    world: World,
    /// The number of journals that were made so far.
    journals: AtomicU32,
    finished: String,
    unfinished: String,
}

impl Stage {
    fn new() -> Self {
        let world = World::new();
        world.sandbox.file("new.bin", 10);
        let file = world.sandbox.path("finished.bin");
        // `cat` prints it.
        fs::write(&file, "plain text").unwrap();
        let put = world.put(&file).arg("--json").run().succeeds();
        let finished = upload_id(put.stdout()).unwrap();
        let unfinished = world.sandbox.file("unfinished.bin", 3 * PART);
        let (unfinished, _) = world.put_and_kill_after_parts(&unfinished, 1);
        Self {
            world,
            journals: AtomicU32::new(0),
            finished,
            unfinished,
        }
    }

    /// Commands that together get every kind of answer.
    fn commands(&self, verbs: &[&str]) -> Vec<Command> {
        let upload = |args: &[&str]| self.world.upload(args);
        let command = |verb: &&str| match *verb {
            "put" => {
                let file = self.world.sandbox.path("new.bin");
                // Another journal, so that nothing is continued.
                let journal = self.journals.fetch_add(1, Ordering::Relaxed);
                let journal = self.world.sandbox.path(format!("{journal}.db"));
                let put = self.world.put(&file).args(["-vv", "--give-up-after", "1s"]);
                put.arg("--journal").arg(journal)
            }
            "again" => {
                let file = self.world.sandbox.path("finished.bin");
                self.world
                    .put(&file)
                    .args(["--json", "--give-up-after", "1s"])
            }
            "status" => upload(&["status", "--remote", &self.finished]),
            "parts" => upload(&["status", "--remote", &self.unfinished]),
            "json" => upload(&["status", "--remote", "--json", &self.finished]),
            "url" => upload(&["url", &self.finished]),
            "url json" => upload(&["url", "--json", &self.finished]),
            "cat" => upload(&["cat", &self.finished]),
            // Another journal, so that each upload of the gateway is an orphan.
            "list" => {
                let journal = self.world.sandbox.path("other.db");
                upload(&["list", "--orphans", "--journal"]).arg(journal)
            }
            verb => panic!("no command for {verb}"),
        };
        verbs.iter().map(command).collect()
    }
}

/// The strings of the answers that the commands get.
fn fields(stage: &Stage, verbs: &[&str]) -> Vec<Field> {
    let fields: Arc<Mutex<BTreeSet<Field>>> = Arc::default();
    let recorded = Arc::clone(&fields);
    let _recorder = TestBackend::relay(&stage.world, move |request, answer| {
        let mut found = Vec::new();
        strings(answer?, "", &mut found);
        let route = route(request);
        let found = found.into_iter().map(|pointer| (route.clone(), pointer));
        recorded.lock().unwrap().extend(found);
        None
    });
    for command in stage.commands(verbs) {
        command.run();
    }
    let fields = fields.lock().unwrap();
    fields.iter().cloned().collect()
}

/// Runs the commands once for each of the fields, with [`HOSTILE`] in it, and asserts that no
/// output has a character that a terminal interprets.
fn assert_escaped(stage: &Stage, verbs: &[&str], fields: &[Field]) {
    let wanted: Arc<Mutex<Field>> = Arc::default();
    let hits: Arc<Mutex<BTreeSet<Field>>> = Arc::default();
    let (hostile, hit) = (Arc::clone(&wanted), Arc::clone(&hits));
    let _backend = TestBackend::relay(&stage.world, move |request, answer| {
        let field = hostile.lock().unwrap().clone();
        let mut changed = answer.filter(|_| route(request) == field.0)?.clone();
        let text = changed.pointer_mut(&field.1)?;
        *text = format!("{}{HOSTILE}", text.as_str()?).into();
        hit.lock().unwrap().insert(field);
        Some(Answer::json(&changed))
    });
    for field in fields {
        wanted.lock().unwrap().clone_from(field);
        let running = stage.commands(verbs).into_iter().map(Command::spawn);
        for running in running.collect::<Vec<_>>() {
            let output = running.wait();
            let shown = format!("{field:?}: {output}");
            assert!(is_plain(&output), "{}", shown.escape_debug());
        }
    }
    let hits = hits.lock().unwrap().len();
    assert_eq!(hits, fields.len(), "{fields:?}");
}

/// Asserts that the verbs escape each string of each answer, and that there are at least `least`
/// strings.
#[track_caller]
fn assert_every_string_is_escaped(verbs: &[&str], least: usize) {
    let stage = Stage::new();
    let fields = fields(&stage, verbs);
    assert!(fields.len() >= least, "{} {fields:?}", fields.len());
    let group = fields.len().div_ceil(GROUPS);
    thread::scope(|scope| {
        let stages = fields
            .chunks(group)
            .map(|fields| scope.spawn(|| assert_escaped(&Stage::new(), verbs, fields)));
        let stages: Vec<_> = stages.collect();
        assert!(stages.into_iter().all(|stage| stage.join().is_ok()));
    });
}

#[test]
fn hostile_strings_of_a_put_are_escaped() {
    assert_every_string_is_escaped(&["put"], 25);
}

#[test]
fn hostile_strings_of_a_repeated_put_and_of_lists_are_escaped() {
    assert_every_string_is_escaped(&["again", "list"], 25);
}

#[test]
fn hostile_strings_of_reading_verbs_are_escaped() {
    let verbs = ["status", "json", "parts", "url", "url json", "cat"];
    // Each field of one part counts: `etag` and `sha256`.
    assert_every_string_is_escaped(&verbs, 24);
}

/// `url` is for other programs, such as a browser.
#[test]
fn url_prints_only_http_urls_in_visible_ascii() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 10);
    world.put(&file).run().succeeds();
    let url = |url: &str, args: &[&str]| {
        world.proxy.clear_faults();
        let body = json!({"url": url, "expires_in": 60}).to_string();
        let respond = Fault::Respond(Response::json(200, &body));
        world.proxy.inject(Requests::get("/url"), respond);
        world.upload(&["url"]).arg(&file).args(args).run()
    };
    for refused in [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "data:text/html,hello",
        "file:///etc/passwd",
        "vbscript:x",
        "https://user:pw@store.example/k",
        "https://store.example/\u{1b}[2Jk",
        "https://store.example/\u{9b}31m",
        "java\nscript:alert(1)",
        "//store.example/k",
        "",
    ] {
        for args in [&[][..], &["--json"]] {
            let output = url(refused, args).exits(69);
            assert_eq!(output.stdout(), "", "{refused:?}");
            assert_plain(&output);
        }
    }
    let shown = url("https://store.example/\u{202e}gnp?X-Amz-Signature=1", &[]).succeeds();
    assert_eq!(
        shown.line(),
        "https://store.example/%E2%80%AEgnp?X-Amz-Signature=1"
    );
}

/// The location of an object goes to standard output, where another program may open it.
#[test]
fn location_that_is_a_script_is_refused() {
    for location in [
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
    ] {
        let world = World::new();
        let file = world.sandbox.file("film.bin", 10);
        let _backend = TestBackend::relay(&world, move |_, answer| {
            let mut changed = answer?.clone();
            *changed.pointer_mut("/location")? = location.into();
            Some(Answer::json(&changed))
        });
        let output = world.put(&file).run().exits(69);
        assert_eq!(output.stdout(), "", "{location}");
    }
}

/// Sets each `location` below a value.
fn set_locations(value: &mut Value, location: &Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                if name == "location" {
                    field.clone_from(location);
                } else {
                    set_locations(field, location);
                }
            }
        }
        Value::Array(elements) => {
            for element in elements {
                set_locations(element, location);
            }
        }
        _ => {}
    }
}

/// A backend with hooks may name the location later, in the status of several uploads at once.
#[test]
fn location_in_the_status_of_several_uploads_is_checked_too() {
    let world = World::new();
    let files = ["a", "b", "c"].map(|name| world.sandbox.file(name, 10));
    let location = Arc::new(Mutex::new(Value::Null));
    let shared = Arc::clone(&location);
    let backend = TestBackend::relay(&world, move |_, answer| {
        let mut changed = answer?.clone();
        set_locations(&mut changed, &shared.lock().unwrap());
        Some(Answer::json(&changed))
    });
    let put = || world.upload(&["put", "--json"]).args(&files).run();
    put().succeeds();
    let before = backend.requests("/v1/batch");
    *location.lock().unwrap() = "javascript:alert(1)".into();
    let output = put().exits(69);
    assert!(backend.requests("/v1/batch") > before, "{output}");
    assert!(!output.stdout().contains("javascript"), "{output}");
}

/// Asserts that a put ends with 69 if the backend gives its upload this id, and that the id is in
/// no later request.
fn assert_id_is_refused(id: &str) {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 3 * PART);
    let wanted = id.to_owned();
    let backend = TestBackend::relay(&world, move |request, answer| {
        let mut changed = answer?.clone();
        (request.path == "/v1/uploads").then_some(())?;
        changed["id"] = wanted.as_str().into();
        Some(Answer::json(&changed))
    });
    let output = world.put(&file).run();
    assert_eq!(output.code(), Some(69), "{id:?}: {output}");
    let requests = backend.all_requests();
    let expected = ["/v1", "/v1/uploads"];
    let other = requests
        .iter()
        .find(|request| !expected.contains(&request.path.as_str()));
    assert_eq!(other, None, "{id:?}");
}

#[test]
fn id_of_dots_from_a_backend_is_refused() {
    let long = "x".repeat(10 << 10);
    let ids = [".", "..", "...", "%2e%2e", "", "a/b", "..\\", "a?b", &long];
    thread::scope(|scope| {
        let refusals = ids.map(|id| scope.spawn(move || assert_id_is_refused(id)));
        assert!(refusals.into_iter().all(|refusal| refusal.join().is_ok()));
    });
}

/// An argument that is no id never becomes a part of a path.
#[test]
fn argument_of_dots_is_not_found_and_not_sent() {
    let world = World::new();
    let other = Sandbox::new();
    let run = |args: &[&str]| -> Output {
        other
            .upload(args)
            .env("UPLOAD_BACKEND", world.proxy.url())
            .run()
    };
    for id in [".", "..", "%2e%2e", "a/../b", "..%2f..", ""] {
        for verb in ["abort", "status", "cat", "url"] {
            let output = run(&[verb, id]);
            let code = output.code().unwrap();
            assert!(matches!(code, 1 | 2), "{verb} {id:?}: {output}");
        }
    }
    let requests = world.proxy.traffic();
    assert_eq!((requests.count("DELETE"), requests.count("GET")), (0, 0));
}
