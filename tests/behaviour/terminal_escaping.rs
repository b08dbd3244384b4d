//! File names and texts of servers are escaped, so that a terminal interprets nothing in them.
//!
//! Not here: the escaping itself (unit tests of `report/text` and `event`).

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use crate::support::command::Output;
use crate::support::proxy::{Fault, Requests, Response};
use crate::support::world::World;
use crate::support::{PART, files};

/// File names with titles, links and the clipboard (OSC 0, 8, 52), colours and clearing (CSI), C1
/// characters, device control, text direction, zero-width characters, and backspaces.
const HOSTILE: [&str; 12] = [
    "\x1b]0;title\x07.bin",
    "\x1b]8;;http:evil\x1b\\click\x1b]8;;\x1b\\.bin",
    "\x1b]52;c;ZXZpbA==\x07.bin",
    "\x1b[2J\x1b[1;31mred.bin",
    "\x1bP+q544e\x1b\\.bin",
    "\u{9b}31m\u{9d}0;title\u{9c}.bin",
    "invoice\u{202e}nib.exe",
    "\u{2066}a\u{2069}\u{200f}\u{61c}.bin",
    "a\u{200b}b\u{feff}c\u{2028}d.bin",
    "safe\r\x08\x08\x08\x08evil.bin",
    "two\nlines\ttab\x7f.bin",
    "-rf\x1b[A.bin",
];

/// A character that a terminal interprets or hides.
fn is_unsafe_for_terminals(c: char) -> bool {
    (c.is_control() && c != '\n')
        || ('\u{200b}'..='\u{200f}').contains(&c)
        || ('\u{2028}'..='\u{202e}').contains(&c)
        || ('\u{2060}'..='\u{206f}').contains(&c)
        || "\u{61c}\u{feff}".contains(c)
}

/// Whether the output holds no character that a terminal interprets or hides.
pub fn is_plain(output: &Output) -> bool {
    ![output.stdout(), output.stderr()]
        .into_iter()
        .any(|text| text.contains(is_unsafe_for_terminals))
}

/// Asserts [`is_plain`].
#[track_caller]
pub fn assert_plain(output: &Output) {
    for (name, text) in [("stdout", output.stdout()), ("stderr", output.stderr())] {
        let found = text.chars().find(|c| is_unsafe_for_terminals(*c));
        assert_eq!(found, None, "on {name} of {output}");
    }
}

#[test]
fn hostile_file_names_are_escaped() {
    let world = World::new();
    let dir = world.sandbox.path("names");
    std::fs::create_dir(&dir).unwrap();
    let paths: Vec<_> = HOSTILE.iter().map(|name| dir.join(name)).collect();
    for (seed, path) in paths.iter().enumerate() {
        files::random(path, 100, seed as u64);
    }
    for args in [
        &["put", "-vvv"][..],
        &["put", "--json"],
        &["put", "--dry-run"],
        &["put", "--force", "--quiet"],
    ] {
        let output = world.upload(args).arg("--").args(&paths).run().succeeds();
        assert_plain(&output);
    }
    for args in [&["list", "--all"][..], &["list", "--all", "--json"]] {
        let output = world.upload(args).run().succeeds();
        assert_plain(&output);
        assert!(output.lines().len() >= HOSTILE.len(), "{output}");
    }
    for path in &paths {
        assert_plain(&world.upload(&["status", "--"]).arg(path).run().succeeds());
        let absent = path.with_extension("gone");
        assert_plain(&world.upload(&["put", "--"]).arg(&absent).run().exits(66));
        assert_plain(
            &world
                .upload(&["put", "--json", "--"])
                .arg(&absent)
                .run()
                .exits(66),
        );
        assert_plain(&world.upload(&["resume", "--"]).arg(&absent).run());
        assert_plain(
            &world
                .upload(&["--journal"])
                .arg(absent.join("j"))
                .args(["put", "x"])
                .run(),
        );
        assert_plain(
            &world
                .upload(&["put", "--ca-cert"])
                .arg(&absent)
                .arg(path.as_os_str())
                .run(),
        );
        assert_plain(&world.upload(&["put", "--config"]).arg(&absent).run());
        let mut flag = OsString::from("--");
        flag.push(path.file_name().unwrap());
        assert_plain(&world.upload(&["put"]).arg(flag).run().exits(2));
    }
}

#[test]
fn hostile_texts_of_servers_are_escaped() {
    let world = World::new();
    let mut count = 0;
    for hostile in HOSTILE {
        let json = serde_json::to_string(hostile).unwrap();
        let problem =
            format!("{{\"code\":{json},\"title\":{json},\"status\":400,\"detail\":{json}}}");
        let xml = format!(
            "<Error><Code>A{}</Code><Message>{}</Message></Error>",
            xml_references(hostile),
            xml_references(hostile)
        );
        for (requests, body) in [
            (Requests::get("/v1"), problem.clone()),
            (Requests::begin(), problem),
            (Requests::put(), xml),
            (Requests::get("/v1"), hostile.to_owned()),
        ] {
            world
                .proxy
                .inject(requests, Fault::Respond(Response::json(400, &body)));
            for args in [&["-vvv"][..], &["--json"]] {
                count += 1;
                let file = world.sandbox.file(&format!("{count}.bin"), 10);
                let output = world.put(&file).args(args).run();
                assert_ne!(output.code(), Some(0));
                assert_plain(&output);
            }
            world.proxy.clear_faults();
        }
    }
}

/// The text as XML character references.
fn xml_references(text: &str) -> String {
    text.chars().fold(String::new(), |xml, c| {
        xml + &format!("&#{};", u32::from(c))
    })
}

/// A file with any name can be uploaded and resumed; events hold the bytes of its path.
#[test]
fn file_with_any_name_is_uploaded_and_resumed() {
    let world = World::new();
    let (longest, long) = ("\u{1f980}".repeat(63), "a".repeat(251) + ".bin");
    let names: [&[u8]; 8] = [
        long.as_bytes(),
        b"two\nlines.bin",
        "\u{5d0}\u{5d1}\u{5d2} \u{202e}x.bin".as_bytes(),
        "\u{1f980}\u{200d}\u{1f525}.bin".as_bytes(),
        longest.as_bytes(),
        b"latin-\xe9\xff.bin",
        b" ",
        b"\\..\\..\\x?&#%00.bin",
    ];
    for (seed, name) in names.into_iter().enumerate() {
        let file = world.sandbox.path(OsStr::from_bytes(name));
        files::random(&file, PART + 10, seed as u64);
        let output = world
            .run_until_blocked(world.put(&file).arg("--json"), PART)
            .kill9();
        world.proxy.unblock();
        let plan = output
            .lines()
            .into_iter()
            .find(|line| line.contains(r#""type":"plan""#))
            .expect("a `plan` event")
            .to_owned();
        let plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
        assert_eq!(
            plan.get("path_b64").is_some(),
            str::from_utf8(name).is_err(),
            "{plan}"
        );
        let output = world.resume().run().succeeds();
        assert_plain(&output);
        let key = output.line().trim_start_matches("embedded:");
        assert_eq!(world.store().sha256(key), files::sha256(&file));
        assert_plain(&world.put(&file).run().succeeds());
    }
    assert_eq!(world.store().objects().len(), names.len());
}
