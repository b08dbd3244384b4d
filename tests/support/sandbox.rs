//! A temporary directory as the home of the real binary, with an environment that names no other
//! directory.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::command::Command;
use super::files;

pub struct Sandbox {
    dir: TempDir,
}

impl Sandbox {
    pub fn new() -> Self {
        let sandbox = Self {
            dir: tempfile::Builder::new()
                .prefix("upload-test-")
                .tempdir()
                .unwrap(),
        };
        fs::create_dir_all(sandbox.path("home")).unwrap();
        fs::create_dir_all(sandbox.path("tmp")).unwrap();
        sandbox
    }

    /// A path in the sandbox; it need not exist.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Makes a file of `size` pseudo-random bytes that depend on name and size.
    pub fn file(&self, name: &str, size: u64) -> PathBuf {
        let path = self.path(name);
        let seed = name.bytes().fold(size, |seed, byte| {
            seed.wrapping_mul(31).wrapping_add(u64::from(byte))
        });
        files::random(&path, size, seed);
        path
    }

    /// `upload ARGS…` as built for this test. It inherits only `PATH` from the environment.
    pub fn upload<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        self.command(env!("CARGO_BIN_EXE_upload")).args(args)
    }

    /// Any program in the same environment.
    pub fn command(&self, program: &str) -> Command {
        let home = self.path("home");
        Command::new(program)
            .without_env()
            .current_dir(self.dir.path())
            .env("PATH", env::var_os("PATH").unwrap_or_default())
            .env("HOME", &home)
            .env("TMPDIR", self.path("tmp"))
            .env("XDG_CONFIG_HOME", home.join("config"))
            .env("XDG_DATA_HOME", home.join("data"))
            .env("XDG_STATE_HOME", home.join("state"))
            .env("XDG_CACHE_HOME", home.join("cache"))
    }

    /// Another machine with a copy of this one's state.
    pub fn copy_machine(&self) -> Self {
        fn copy(from: &Path, to: &Path) {
            fs::create_dir_all(to).unwrap();
            for entry in fs::read_dir(from).unwrap() {
                let entry = entry.unwrap();
                let to = to.join(entry.file_name());
                if entry.file_type().unwrap().is_dir() {
                    copy(&entry.path(), &to);
                } else {
                    fs::copy(entry.path(), to).map(drop).unwrap();
                }
            }
        }
        let machine = Self::new();
        copy(&self.path("home/state"), &machine.path("home/state"));
        machine
    }

    /// The path of the client's journal.
    #[track_caller]
    pub fn journal(&self) -> PathBuf {
        self.find_file("journal.db")
    }

    /// The path of the gateway's SQLite ledger.
    #[track_caller]
    pub fn ledger(&self) -> PathBuf {
        self.find_file("gateway.db")
    }

    #[track_caller]
    fn find_file(&self, name: &str) -> PathBuf {
        let mut files = self.files().into_iter();
        files
            .find(|path| path.ends_with(name))
            .unwrap_or_else(|| panic!("the sandbox holds no {name}"))
    }

    /// Every regular file, including journal, ledger and store.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut dirs = vec![self.dir.path().to_owned()];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(dir).unwrap() {
                let entry = entry.unwrap();
                match entry.file_type().unwrap() {
                    kind if kind.is_dir() => dirs.push(entry.path()),
                    kind if kind.is_file() => found.push(entry.path()),
                    _ => {}
                }
            }
        }
        found
    }
}
