//! `upload put -C DIR`: paths below a directory, which keys keep as they are written.
//!
//! Not here: directories and lists without it (`folders`, `path_lists`, `keys_of_sets`).

use std::fs;

use crate::support::bucket::Bucket;
use crate::support::command::Output;
use crate::support::events::{Event, events};
use crate::support::sandbox::Sandbox;

const FILES: [&str; 3] = ["DCIM/100/1.jpg", "DCIM/2.jpg", "a.txt"];

fn card(sandbox: &Sandbox) {
    for path in FILES {
        let file = sandbox.path("card").join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, format!("content of {path}")).unwrap();
    }
}

/// The keys in the bucket, in order. Asserts that each ends with the path of a file below `card`
/// and has its content.
#[track_caller]
fn stored(bucket: &Bucket) -> Vec<String> {
    let mut keys = bucket.store.objects();
    keys.sort();
    for key in &keys {
        let path = FILES.iter().find(|path| key.ends_with(*path));
        let path = path.unwrap_or_else(|| panic!("{key} is no path below the directory"));
        let content = format!("content of {path}").into_bytes();
        assert!(bucket.store.get(key) == content, "{key}");
    }
    keys
}

fn completed(output: &Output) -> Vec<String> {
    let completed = events(output).into_iter().filter_map(|event| match event {
        Event::Completed { path, .. } => Some(path),
        _ => None,
    });
    let mut paths: Vec<String> = completed.collect();
    paths.sort();
    paths
}

#[test]
fn keys_are_the_paths_as_written_and_events_have_the_real_paths() {
    for (words, expected) in [
        (&["-r", "."][..], &FILES[..]),
        (&["-r", "./"], &FILES),
        (&["-r", "DCIM"], &FILES[..2]),
        (&["-r", "DCIM/100", "a.txt"], &[FILES[0], FILES[2]]),
        (&["-r", "DCIM/100/."], &FILES[..1]),
        (&["DCIM/100/1.jpg", "./a.txt"], &[FILES[0], FILES[2]]),
        (&["DCIM//2.jpg"], &FILES[1..2]),
        (&["--files-from", "list"], &FILES[1..]),
        (&["--map", "map"], &FILES[1..2]),
    ] {
        let (bucket, sandbox) = (Bucket::new(), Sandbox::new());
        card(&sandbox);
        fs::write(sandbox.path("list"), "DCIM/2.jpg\na.txt\n").unwrap();
        fs::write(sandbox.path("map"), r#"{"path":"DCIM/2.jpg"}"#).unwrap();
        let put = bucket.put(&sandbox, &["--json", "-C", "card"]).args(words);
        let output = put.arg(bucket.url("p/")).run().succeeds();
        let keys: Vec<String> = expected.iter().map(|path| format!("p/{path}")).collect();
        assert_eq!(stored(&bucket), keys, "{words:?}");
        // A path that was written with dots or double slashes is shown as it was written.
        let paths = completed(&output);
        assert_eq!(paths.len(), expected.len(), "{words:?}");
        for path in paths {
            assert!(path.starts_with("card/"), "{path}");
            assert!(sandbox.path(&path).is_file(), "{path}");
        }
    }
}

#[test]
fn key_and_name_of_a_single_file_precede_its_path() {
    for (flags, destination, key) in [
        (&[][..], "p/other.jpg", "p/other.jpg"),
        (&["--name", "new.jpg"], "p/", "p/DCIM/new.jpg"),
        (&["--name", "new.jpg"], "", "DCIM/new.jpg"),
    ] {
        let (bucket, sandbox) = (Bucket::new(), Sandbox::new());
        card(&sandbox);
        let put = bucket.put(&sandbox, &["-C", "card"]).args(flags);
        let put = put.arg("DCIM/2.jpg").arg(bucket.url(destination));
        put.run().succeeds();
        assert_eq!(bucket.store.objects(), [key]);
    }
}

#[test]
fn unusable_directories_and_paths_are_refused() {
    let (bucket, sandbox) = (Bucket::new(), Sandbox::new());
    card(&sandbox);
    let absolute = sandbox.path("card/a.txt");
    let absolute = absolute.to_str().unwrap();
    for (words, code, text) in [
        (
            &["-C", "missing", "a.txt"][..],
            66,
            "missing as the directory of -C",
        ),
        (
            &["-C", "card/a.txt", "a.txt"],
            66,
            "card/a.txt as the directory of -C",
        ),
        (
            &["-r", "-C", "missing", "."],
            66,
            "missing as the directory of -C",
        ),
        (&["-C", "card", absolute], 2, "is absolute or contains `..`"),
        (
            &["-r", "-C", "card", "../card"],
            2,
            "is absolute or contains `..`",
        ),
        (&["-C", "card", "-"], 2, "-C is for files"),
        (
            &["-C", "card", "--base", "x", "--files-from", "x"],
            2,
            "cannot be used with",
        ),
    ] {
        let put = bucket.put(&sandbox, words).arg(bucket.url("p/"));
        let output = put.run().exits(code);
        assert!(output.stderr().contains(text), "{words:?}: {output}");
    }
    // In a list, the other files are sent.
    fs::write(sandbox.path("list"), format!("{absolute}\nDCIM/2.jpg\n")).unwrap();
    let put = bucket.put(&sandbox, &["-C", "card", "--files-from", "list"]);
    let output = put.arg(bucket.url("p/")).run().exits(2);
    assert!(output.stderr().contains("line 1 of the list"), "{output}");
    assert!(output.stderr().contains("leave out -C"), "{output}");
    assert_eq!(stored(&bucket), ["p/DCIM/2.jpg"]);
}

#[test]
fn hint_of_a_failed_file_names_its_key() {
    let (bucket, sandbox) = (Bucket::new(), Sandbox::new());
    card(&sandbox);
    let put = || {
        let put = bucket.put(&sandbox, &["-C", "card", "DCIM/2.jpg", "a.txt"]);
        put.arg(bucket.url("p/"))
    };
    put().run().succeeds();
    fs::write(sandbox.path("card/DCIM/2.jpg"), "other").unwrap();
    let output = put().run().exits(77);
    let commands = output.stderr().split('`').skip(1).step_by(2);
    let mut commands = commands.filter(|text| text.starts_with("upload put"));
    let words = shlex::split(commands.next().expect("a command")).unwrap();
    bucket
        .with_keys(sandbox.upload(&words[1..]))
        .run()
        .succeeds();
    let mut keys = bucket.store.objects();
    keys.sort();
    assert_eq!(keys, ["p/DCIM/2.jpg", "p/a.txt"]);
    assert_eq!(bucket.store.get("p/DCIM/2.jpg"), b"other");
}

#[test]
fn resume_from_another_directory_continues_a_killed_put() {
    const SIZE: u64 = 100_000;
    let lists: [&[&str]; 2] = [&["-r", "."], &["--files-from", "list"]];
    for words in lists {
        let (bucket, sandbox) = (Bucket::new(), Sandbox::new());
        fs::create_dir_all(sandbox.path("card/d")).unwrap();
        let names: Vec<String> = (0..40).map(|number| format!("d/{number:02}")).collect();
        for name in &names {
            sandbox.file(&format!("card/{name}"), SIZE);
        }
        fs::write(sandbox.path("list"), names.join("\n")).unwrap();
        let put = bucket.put(&sandbox, &["--json", "-C", "card"]).args(words);
        bucket.proxy.block_after(10 * SIZE);
        let mut running = put.arg(bucket.url("in/")).spawn();
        running.wait_for_stdout(r#""type":"completed""#);
        running.kill9();
        bucket.proxy.unblock();
        assert!(bucket.store.objects().len() < names.len());
        let resume = bucket.upload(&sandbox, &["resume"]);
        let elsewhere = sandbox.path("home");
        resume.current_dir(&elsewhere).run().succeeds();
        let mut keys = bucket.store.objects();
        keys.sort();
        let expected: Vec<String> = names.iter().map(|name| format!("in/{name}")).collect();
        assert_eq!(keys, expected, "{words:?}");
        bucket.store.assert_no_open_uploads();
        // The same command of another directory is the same set, unless it has a list.
        let put = bucket.put(&sandbox, &["--json", "-r", "-C"]);
        let put = put.arg(sandbox.path("card")).arg(".");
        put.arg(bucket.url("in/"))
            .current_dir(&elsewhere)
            .run()
            .succeeds();
        let list = bucket.upload(&sandbox, &["list", "--all", "--json"]);
        let output = list.run().succeeds();
        let lines = output.lines();
        let sets = lines.iter().filter(|line| line.contains(r#""type":"set""#));
        assert_eq!(sets.count(), if words[0] == "-r" { 1 } else { 2 });
    }
}

#[test]
fn resume_without_the_directory_can_be_repeated_when_it_is_back() {
    const FILES: u64 = 20;
    const SIZE: u64 = 100_000;
    let (bucket, sandbox) = (Bucket::new(), Sandbox::new());
    fs::create_dir(sandbox.path("card")).unwrap();
    for number in 0..FILES {
        sandbox.file(&format!("card/{number}"), SIZE);
    }
    bucket.proxy.block_after(FILES / 2 * SIZE);
    let put = bucket.put(&sandbox, &["--json", "-r", "-C", "card", "."]);
    let mut running = put.arg(bucket.url("in/")).spawn();
    running.wait_for_stdout(r#""type":"completed""#);
    running.kill9();
    bucket.proxy.unblock();
    let away = sandbox.path("away");
    fs::rename(sandbox.path("card"), &away).unwrap();
    let resume = || bucket.upload(&sandbox, &["resume", "--json"]);
    let output = resume().run().exits(66);
    let failed = events(&output).into_iter().find_map(|event| match event {
        Event::Failed { hint, .. } => hint,
        _ => None,
    });
    assert!(!failed.unwrap().contains("-C"), "resume has no flag -C");
    assert!(matches!(
        events(&output).last(),
        Some(Event::Exit {
            resumable: true,
            ..
        })
    ));
    fs::rename(away, sandbox.path("card")).unwrap();
    resume().run().succeeds();
    assert_eq!(bucket.store.objects().len() as u64, FILES);
    bucket.store.assert_no_open_uploads();
}
