//! The command whose standard output is a stream (`--from-command`).
//!
//! Not here: reading its output (`stream`).

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use upload_types::error::{Error, Kind, Result};

/// A command that runs. Standard input and standard error are those of this process.
#[derive(Debug)]
pub struct Producer {
    child: Child,
    name: String,
}

impl Producer {
    /// Starts a command: its program and its arguments. Returns its standard output.
    ///
    /// # Errors
    /// [`Kind::NoSource`] if it cannot be started.
    pub fn start(command: &[OsString]) -> Result<(Self, ChildStdout)> {
        let (program, arguments) = command
            .split_first()
            .ok_or_else(|| Error::new(Kind::Usage, "--from-command needs a command"))?;
        let name = program.to_string_lossy().into_owned();
        let not_started = |error: io::Error| {
            let what = format!("could not start the command {name}");
            Error::new(Kind::NoSource, what)
                .with_source(error)
                .with_hint("check the name of the program, and that it is in the PATH")
        };
        let mut child = Command::new(program)
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(not_started)?;
        let output = child.stdout.take();
        let output = output.ok_or_else(|| not_started(io::ErrorKind::BrokenPipe.into()))?;
        let producer = Self { child, name };
        Ok((producer, output))
    }

    /// The end of the command: an error of kind [`Kind::CommandFailed`] unless its exit code is 0.
    /// Returns `None` while it runs.
    pub fn poll_end(&mut self) -> Option<Result<()>> {
        let status = match self.child.try_wait() {
            Ok(status) => status?,
            Err(error) => {
                let what = format!("could not wait for the command {}", self.name);
                return Some(Err(Error::new(Kind::Io, what).with_source(error)));
            }
        };
        if status.success() {
            return Some(Ok(()));
        }
        let what = format!("the command {} {}", self.name, end(status));
        Some(Err(Error::new(Kind::CommandFailed, what)))
    }

    /// Asks the command to end. It is not waited for.
    pub fn stop(&self) {
        // The command may have ended already.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
    }
}

fn end(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "has not ended as expected".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn run(script: &str) -> (String, Result<()>) {
        let command = ["sh", "-c", script].map(OsString::from);
        let (mut producer, mut output) = Producer::start(&command).unwrap();
        let mut text = String::new();
        output.read_to_string(&mut text).unwrap();
        loop {
            if let Some(ended) = producer.poll_end() {
                return (text, ended);
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn command_succeeds_only_with_exit_code_0() {
        let (text, ended) = run("echo a");
        assert_eq!((text.as_str(), ended.is_ok()), ("a\n", true));
        for (script, expected) in [
            ("echo a; exit 3", "the command sh ended with exit code 3"),
            ("kill -9 $$", "the command sh was ended by signal 9"),
        ] {
            let error = run(script).1.unwrap_err();
            assert_eq!(error.kind(), Kind::CommandFailed);
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn missing_program_is_named() {
        let missing = [OsString::from("/no/such/program")];
        let error = Producer::start(&missing).unwrap_err();
        assert_eq!(error.kind(), Kind::NoSource);
        assert!(error.to_string().contains("/no/such/program"), "{error}");
    }
}
