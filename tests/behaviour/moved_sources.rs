//! A source that is renamed or moved while its upload is unfinished: the upload follows the file.
//!
//! Not here: sources whose content changes (`source_changes`).

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::command::{Command, Output};
use crate::support::events::{Event, events};
use crate::support::proxy::Traffic;
use crate::support::world::World;
use crate::support::{PART, files};

const SIZE: u64 = 6 * PART;

/// An upload of `dir/film.bin` that was killed after some parts.
struct Killed {
    world: World,
    file: PathBuf,
    id: String,
    stored: u64,
    before: Traffic,
}

#[track_caller]
fn killed() -> Killed {
    let world = World::new();
    fs::create_dir(world.sandbox.path("dir")).unwrap();
    let file = world.sandbox.file("dir/film.bin", SIZE);
    let (id, stored) = world.put_and_kill_after_parts(&file, 2);
    let before = world.proxy.traffic();
    Killed {
        file: file.canonicalize().unwrap(),
        id,
        stored: stored.len() as u64,
        before,
        world,
    }
}

impl Killed {
    fn beside(&self, name: &str) -> PathBuf {
        self.file.with_file_name(name)
    }

    fn bytes_sent(&self) -> u64 {
        self.world.proxy.traffic().since(&self.before).bytes("PUT")
    }

    /// Runs a command that must continue the upload with the file at `moved`.
    #[track_caller]
    fn continues_with(&self, command: Command, moved: &Path) -> Output {
        let output = command.arg("--json").run().succeeds();
        let sent = self.bytes_sent();
        assert!(sent <= SIZE - self.stored * PART, "{sent} bytes: {output}");
        self.world.assert_holds_only(moved);
        let found = events(&output).into_iter().find_map(|event| match event {
            Event::Moved {
                upload,
                old_path,
                path,
                ..
            } => Some((upload, old_path, path)),
            _ => None,
        });
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let expected = (Some(self.id.clone()), text(&self.file), text(moved));
        assert_eq!(found, Some(expected), "{output}");
        let status = self.world.upload(&["status", "--json", &self.id]);
        let status = status.run().succeeds();
        let status: serde_json::Value = serde_json::from_str(status.line()).unwrap();
        assert_eq!(status["path"], text(moved), "the journal has the old path");
        assert_eq!(status["name"], "film.bin");
        output
    }
}

#[test]
fn resume_follows_a_renamed_file() {
    let killed = killed();
    let moved = killed.beside("other.bin");
    fs::rename(&killed.file, &moved).unwrap();
    killed.continues_with(killed.world.resume(), &moved);
}

#[test]
fn resume_follows_a_renamed_directory() {
    let killed = killed();
    let renamed = killed.world.sandbox.path("renamed").join("film.bin");
    let root = killed.file.parent().unwrap().parent().unwrap().to_owned();
    fs::rename(root.join("dir"), root.join("renamed")).unwrap();
    killed.continues_with(killed.world.resume(), &renamed.canonicalize().unwrap());
}

#[test]
fn resume_follows_a_file_that_was_moved_beside_its_replacement() {
    let killed = killed();
    let moved = killed.beside("film.bin.1");
    fs::rename(&killed.file, &moved).unwrap();
    files::random(&killed.file, SIZE, 77);
    killed.continues_with(killed.world.resume(), &moved);
}

#[test]
fn resume_finds_one_of_two_hard_links() {
    let killed = killed();
    let links = ["a.bin", "b.bin"].map(|name| killed.beside(name));
    fs::hard_link(&killed.file, &links[1]).unwrap();
    fs::rename(&killed.file, &links[0]).unwrap();
    killed.continues_with(killed.world.resume(), &links[0]);
}

#[test]
fn put_of_a_renamed_file_continues_its_upload() {
    let killed = killed();
    let moved = killed.beside("other.bin");
    fs::rename(&killed.file, &moved).unwrap();
    killed.continues_with(killed.world.put(&moved), &moved);
}

#[test]
fn put_of_a_file_that_was_moved_over_another_one_continues_its_upload() {
    let killed = killed();
    let moved = killed.world.sandbox.file("other.bin", SIZE);
    let block = killed
        .world
        .run_until_blocked(killed.world.put(&moved), PART);
    block.kill9();
    killed.world.proxy.unblock();
    fs::rename(&killed.file, &moved).unwrap();
    let put = killed.world.put(&moved).arg("--json").run().succeeds();
    let continued = events(&put)
        .into_iter()
        .any(|event| matches!(event, Event::Completed { upload, .. } if upload == killed.id));
    assert!(continued, "{put}");
    let objects = killed.world.store().objects();
    assert_eq!(objects.len(), 1);
}

#[test]
fn hard_link_and_other_name_get_uploads_of_their_own() {
    let killed = killed();
    let link = killed.beside("link.bin");
    fs::hard_link(&killed.file, &link).unwrap();
    killed.world.put(&link).run().succeeds();
    assert!(killed.bytes_sent() >= SIZE, "parts of the other upload");
    fs::remove_file(&killed.file).unwrap();
    let named = killed.world.put(&link).args(["--name", "x.bin"]);
    named.run().succeeds();
    assert!(killed.bytes_sent() >= 2 * SIZE, "another name");
    killed.world.resume().run().succeeds();
    assert_eq!(killed.world.store().objects().len(), 3);
}

/// Moves the file after each part of it was changed; its size and its modification time stay.
fn change_and_move(killed: &Killed) -> PathBuf {
    let moved = killed.beside("other.bin");
    let modified = fs::metadata(&killed.file).unwrap().modified().unwrap();
    for part in 0..SIZE / PART {
        files::flip_byte(&killed.file, part * PART);
    }
    let file = fs::File::options().write(true).open(&killed.file).unwrap();
    file.set_modified(modified).unwrap();
    fs::rename(&killed.file, &moved).unwrap();
    moved
}

#[test]
fn resume_of_a_moved_file_with_other_content_ends_with_65() {
    let killed = killed();
    change_and_move(&killed);
    killed.world.resume().run().exits(65);
    assert_eq!(killed.bytes_sent(), 0);
}

#[test]
fn put_of_a_moved_file_with_other_content_begins_again() {
    let killed = killed();
    let moved = change_and_move(&killed);
    killed.world.put(&moved).run().succeeds();
    assert_eq!(killed.bytes_sent(), SIZE);
    killed.world.assert_holds_only(&moved);
}

/// A file system may give the inode of a deleted file to the next new file.
#[test]
fn new_file_is_not_taken_for_the_removed_one() {
    let killed = killed();
    fs::remove_file(&killed.file).unwrap();
    files::random(&killed.beside("new.bin"), SIZE, 5);
    killed.world.resume().run().exits(66);
    assert_eq!(killed.bytes_sent(), 0);
}

/// Runs the command of the hint that has this verb, with `path` as the placeholder.
#[track_caller]
fn follow_hint(killed: &Killed, output: &Output, verb: &str, path: &Path) -> Output {
    let commands = output.stderr().split('`').skip(1).step_by(2);
    let mut commands = commands.map(|command| shlex::split(command).unwrap());
    let command = commands
        .find(|words| words.get(1).is_some_and(|word| word == verb))
        .unwrap_or_else(|| panic!("no {verb} in the hint: {output}"));
    let path = path.to_str().unwrap().to_owned();
    let words = command.into_iter().skip(1);
    let words = words.map(|word| if word == "PATH" { path.clone() } else { word });
    killed.world.sandbox.upload(words).run()
}

#[test]
fn file_that_is_not_found_ends_with_66_and_hints_that_work() {
    let killed = killed();
    fs::remove_file(&killed.file).unwrap();
    let output = killed.world.resume().run().exits(66);
    follow_hint(&killed, &output, "abort", &killed.file).succeeds();
    killed.world.store().assert_no_open_uploads();
}

#[test]
fn hint_to_name_the_new_path_continues_the_upload() {
    let killed = killed();
    let moved = killed.beside("other.bin");
    fs::rename(&killed.file, &moved).unwrap();
    // The search does not leave the file system of a path, and /proc is another one.
    let journal = rusqlite::Connection::open(killed.world.sandbox.journal()).unwrap();
    let far: &[u8] = b"/proc/film.bin";
    let updated = journal.execute("UPDATE upload SET path = ?1", [far]);
    assert_eq!(updated.unwrap(), 1);
    let output = killed.world.resume().run().exits(66);
    follow_hint(&killed, &output, "resume", &moved).succeeds();
    assert!(killed.bytes_sent() <= SIZE - killed.stored * PART);
    killed.world.assert_holds_only(&moved);
}

/// The search reads 40,000 entries. The other upload must not wait for it: its first request is
/// sent before those of the upload that is searched for. The order of their responses depends on
/// the load of the machine.
#[test]
fn search_for_a_moved_file_does_not_hold_up_other_uploads() {
    let world = World::new();
    fs::create_dir(world.sandbox.path("many")).unwrap();
    for number in 0..40_000 {
        fs::File::create(world.sandbox.path(format!("many/{number}"))).unwrap();
    }
    let moved = world.sandbox.file("many/moved.bin", 3 * PART);
    let (moved_id, _) = world.put_and_kill_after_parts(&moved, 1);
    let stays = world.sandbox.file("stays.bin", 3 * PART);
    let (other_id, _) = world.put_and_kill_after_parts(&stays, 1);
    fs::rename(&moved, world.sandbox.path("other.bin")).unwrap();
    let before = world.proxy.traffic();
    let output = world.resume().arg("--json").run().succeeds();
    let is_moved = |event: &Event| matches!(event, Event::Moved { .. });
    assert!(events(&output).iter().any(is_moved), "{output}");
    let traffic = world.proxy.traffic().since(&before);
    let first = traffic.by_method("GET").find_map(|exchange| {
        let mut ids = [&moved_id, &other_id].into_iter();
        ids.find(|id| exchange.path.contains(id.as_str()))
    });
    assert_eq!(first, Some(&other_id), "{traffic:?}");
    assert_eq!(world.store().objects().len(), 2);
}

#[test]
fn put_of_a_renamed_file_that_was_uploaded_tells_its_earlier_name() {
    let world = World::new();
    let file = world.sandbox.file("old.bin", 100);
    world.put(&file).run().succeeds();
    let moved = world.sandbox.path("new.bin");
    fs::rename(&file, &moved).unwrap();
    let told = |command: Command| {
        let events = events(&command.arg("--json").run().succeeds());
        let told = events.into_iter().find_map(|event| match event {
            Event::Renamed { old_name, name, .. } => Some((old_name, name)),
            _ => None,
        });
        told.map(|(old, new)| [old, new])
    };
    let names = Some(["old.bin", "new.bin"].map(str::to_owned));
    assert_eq!(told(world.put(&moved)), names);
    assert_eq!(
        told(world.put(&moved)),
        None,
        "it is stored under that name"
    );
    assert_eq!(world.store().objects().len(), 2);
    // A second name of a file is no new name.
    let link = world.sandbox.path("link.bin");
    fs::hard_link(&moved, &link).unwrap();
    assert_eq!(told(world.put(&link)), None);
}
