//! A command, its running process, and its output. Every wait has a limit, and dropping a running
//! process kills it.
//!
//! Not here: the environment (`sandbox`).

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::process::{self, Child, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::wait;

/// A command to run.
#[must_use]
pub struct Command {
    inner: process::Command,
    stdout_taken: bool,
    stderr_taken: bool,
}

impl Command {
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let mut inner = process::Command::new(program);
        inner.stdin(Stdio::null());
        Self {
            inner,
            stdout_taken: false,
            stderr_taken: false,
        }
    }

    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.inner.arg(arg);
        self
    }

    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.inner.args(args);
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.inner.env(name, value);
        self
    }

    pub fn without_env(mut self) -> Self {
        self.inner.env_clear();
        self
    }

    pub fn current_dir(mut self, dir: &std::path::Path) -> Self {
        self.inner.current_dir(dir);
        self
    }

    pub fn stdin_from(mut self, file: File) -> Self {
        self.inner.stdin(file);
        self
    }

    pub fn stdout_to(mut self, file: File) -> Self {
        self.inner.stdout(file);
        self.stdout_taken = true;
        self
    }

    pub fn stderr_to(mut self, file: File) -> Self {
        self.inner.stderr(file);
        self.stderr_taken = true;
        self
    }

    /// Closes the reading end of standard output, so that writing fails with EPIPE, as with `| head
    /// -0`.
    pub fn stdout_closed(mut self) -> Self {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        self.inner.stdout(writer);
        self.stdout_taken = true;
        self
    }

    /// Runs it and waits for its end.
    #[track_caller]
    pub fn run(self) -> Output {
        self.spawn().wait()
    }

    #[track_caller]
    pub fn spawn(mut self) -> Running {
        if !self.stdout_taken {
            self.inner.stdout(Stdio::piped());
        }
        if !self.stderr_taken {
            self.inner.stderr(Stdio::piped());
        }
        let name = format!("{:?}", self.inner.get_args().collect::<Vec<_>>());
        let mut child = self
            .inner
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {name}: {error}"));
        let stdout = PipeReader::follow(child.stdout.take());
        let stderr = PipeReader::follow(child.stderr.take());
        Running {
            name,
            child,
            stdout,
            stderr,
        }
    }
}

/// A process that may still run. Dropping it kills the process.
pub struct Running {
    name: String,
    child: Child,
    stdout: PipeReader,
    stderr: PipeReader,
}

impl Running {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// Its standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Polls `found` until it returns a value. Panics with `what` if the process ends before that.
    #[track_caller]
    pub fn wait_for<T>(&mut self, what: &str, found: impl Fn(&Self) -> Option<T>) -> T {
        let value = wait::within(wait::WAIT_LIMIT, || match found(self) {
            Some(value) => Some(Some(value)),
            // The process may have printed the text just before it ended.
            None if self.child.try_wait().unwrap().is_some() => {
                self.stdout.finish();
                self.stderr.finish();
                Some(found(self))
            }
            None => None,
        });
        match value.flatten() {
            Some(value) => value,
            None => panic!(
                "{}: {what} not seen:\n{}\n{}",
                self.name,
                self.stdout(),
                self.stderr()
            ),
        }
    }

    #[track_caller]
    pub fn wait_for_stdout(&mut self, needle: &str) {
        self.wait_for(needle, |running| {
            running.stdout().contains(needle).then_some(())
        });
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap();
    }

    /// Kills it with SIGKILL and waits for its end.
    #[track_caller]
    pub fn kill9(mut self) -> Output {
        self.child.kill().unwrap();
        self.end()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(self) -> Output {
        self.wait_at_most(wait::WAIT_LIMIT)
    }

    /// Waits for its end. Panics after `limit`.
    #[track_caller]
    pub fn wait_at_most(mut self, limit: Duration) -> Output {
        if wait::within(limit, || self.child.try_wait().unwrap()).is_none() {
            let _ = self.child.kill();
            let output = self.end();
            panic!("still running after {limit:?}: {output}");
        }
        self.end()
    }

    /// Waits for its end. Returns `None` after `limit`.
    #[track_caller]
    pub fn wait_within(mut self, limit: Duration) -> Option<Output> {
        wait::within(limit, || self.child.try_wait().unwrap()).map(|_| self.end())
    }

    fn end(&mut self) -> Output {
        let status = self.child.wait().unwrap();
        self.stdout.finish();
        self.stderr.finish();
        Output {
            name: self.name.clone(),
            status,
            stdout: self.stdout.bytes(),
            stderr: self.stderr.bytes(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The output and the exit status of a process.
pub struct Output {
    name: String,
    status: ExitStatus,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Output {
    /// The exit code; `None` if a signal ended the process.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Returns true if a signal ended the process and the kernel wrote a core dump.
    pub fn core_dumped(&self) -> bool {
        std::os::unix::process::ExitStatusExt::core_dumped(&self.status)
    }

    pub fn stdout(&self) -> &str {
        str::from_utf8(&self.stdout).expect("standard output is UTF-8")
    }

    pub fn stderr(&self) -> &str {
        str::from_utf8(&self.stderr).expect("standard error is UTF-8")
    }

    pub fn stdout_bytes(&self) -> &[u8] {
        &self.stdout
    }

    pub fn lines(&self) -> Vec<&str> {
        self.stdout().lines().collect()
    }

    /// The only line of standard output.
    #[track_caller]
    pub fn line(&self) -> &str {
        match self.stdout().strip_suffix('\n') {
            Some(line) if !line.is_empty() && !line.contains('\n') => line,
            _ => panic!("standard output is not one line: {self}"),
        }
    }

    /// Asserts the exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code(), Some(code), "{self}");
        self
    }

    /// Asserts exit 0.
    #[track_caller]
    pub fn succeeds(self) -> Self {
        self.exits(0)
    }

    /// Asserts that standard error contains `text`.
    #[track_caller]
    pub fn stderr_contains(self, text: &str) -> Self {
        assert!(
            self.stderr().contains(text),
            "standard error lacks {text:?}: {self}"
        );
        self
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (stdout, stderr) = (
            String::from_utf8_lossy(&self.stdout),
            String::from_utf8_lossy(&self.stderr),
        );
        write!(
            f,
            "{} ({})\n--- stdout\n{stdout}--- stderr\n{stderr}---",
            self.name, self.status
        )
    }
}

/// Collects the bytes of a pipe in a thread.
struct PipeReader {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl PipeReader {
    fn follow(pipe: Option<impl Read + Send + 'static>) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&bytes);
        let reader = pipe.map(|mut pipe| {
            thread::spawn(move || {
                let mut block = vec![0; 64 << 10];
                while let Ok(len @ 1..) = pipe.read(&mut block) {
                    sink.lock().unwrap().extend_from_slice(&block[..len]);
                }
            })
        });
        Self { bytes, reader }
    }

    /// Waits for the end of the pipe.
    fn finish(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
    }

    fn bytes(&self) -> Vec<u8> {
        self.bytes.lock().unwrap().clone()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }
}
