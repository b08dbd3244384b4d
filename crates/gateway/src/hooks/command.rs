//! A hook that is a program: run without a shell, in its own process group, with the document on
//! its standard input.
//!
//! Exit code 0 accepts, 10 rejects; after any other end the hook runs again. The program gets only
//! PATH, LANG and TMPDIR from the gateway's environment: it must not get the gateway's credentials
//! for the store.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, geteuid, kill_process_group};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::verdict::{Reason, Verdict, single_line};

const STICKY: u32 = 0o1000;
/// Permission of others to write.
const OTHERS_WRITE: u32 = 0o002;
const REJECT_EXIT_CODE: i32 = 10;
/// The variables that the program gets.
const ENVIRONMENT: [&str; 3] = ["PATH", "LANG", "TMPDIR"];
const MAX_STDOUT_BYTES: usize = 64 << 10;
/// Standard error goes to the log.
const MAX_STDERR_BYTES: usize = 8 << 10;
const MAX_LOG_LINE_CHARS: usize = 1000;
const READ_BUFFER_BYTES: usize = 8 << 10;
/// How long the pipes are read after the program has ended. Its children may keep them open.
const PIPE_DRAIN_TIMEOUT: Duration = Duration::from_millis(500);

/// The JSON that a program may print on standard output.
#[derive(Default, Deserialize)]
struct Output {
    reason: Option<String>,
}

/// Checks that the program exists, and that no other user can replace it.
///
/// # Errors
/// The reason that it cannot be used.
pub fn check(program: &Path) -> Result<(), String> {
    let path = program.display();
    if !program.is_absolute() {
        return Err("the path of its program is not absolute".to_owned());
    }
    let metadata = fs::metadata(program).map_err(|error| format!("{path}: {error}"))?;
    let mode = metadata.permissions().mode();
    if !metadata.is_file() || mode & 0o111 == 0 {
        return Err(format!("{path} is not an executable file"));
    }
    check_owner_and_mode(program, &metadata)?;
    // A link and its target can be replaced by the users who control their directories.
    let target = fs::canonicalize(program).map_err(|error| format!("{path}: {error}"))?;
    for directory in [program.parent(), target.parent()].into_iter().flatten() {
        let metadata =
            fs::metadata(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        // In a sticky directory, only the owner of a file can replace it.
        if metadata.permissions().mode() & STICKY == 0 {
            check_owner_and_mode(directory, &metadata)?;
        }
    }
    Ok(())
}

/// Checks that a file or directory belongs to the user of the gateway or to root, and that not
/// every user may write to it.
fn check_owner_and_mode(path: &Path, metadata: &Metadata) -> Result<(), String> {
    let path = path.display();
    if metadata.permissions().mode() & OTHERS_WRITE != 0 {
        return Err(format!("every user may write to {path}"));
    }
    if ![0, geteuid().as_raw()].contains(&metadata.uid()) {
        return Err(format!("{path} belongs to another user"));
    }
    Ok(())
}

/// Runs the program until it ends. If the future is dropped, the process group is killed.
pub async fn run(name: &str, program: &Path, args: &[String], input: &[u8]) -> Verdict {
    let environment = ENVIRONMENT
        .iter()
        .filter_map(|name| Some((*name, std::env::var_os(name)?)));
    let mut child = match spawn(program, args, environment) {
        Ok(child) => child,
        Err(error) => return Verdict::Retry(format!("it could not be started: {error}")),
    };
    let mut group = ProcessGroup(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let status = communicate(&mut child, input, &mut stdout, &mut stderr).await;
    group.0 = None;
    for line in String::from_utf8_lossy(&stderr).lines() {
        let line = single_line(line, MAX_LOG_LINE_CHARS);
        if !line.is_empty() {
            tracing::info!(hook = name, "{line}");
        }
    }
    match status.map(|status| status.code()) {
        Ok(Some(0)) => Verdict::Accept,
        Ok(Some(REJECT_EXIT_CODE)) => Verdict::Reject(Reason::new(reason(&stdout).as_deref())),
        Ok(Some(code)) => Verdict::Retry(format!("it ended with exit code {code}")),
        Ok(None) => Verdict::Retry("it was killed by a signal".to_owned()),
        Err(error) => Verdict::Retry(format!("its exit status is unknown: {error}")),
    }
}

fn spawn(
    program: &Path,
    args: &[String],
    environment: impl Iterator<Item = (&'static str, OsString)>,
) -> io::Result<Child> {
    Command::new(program)
        .args(args)
        .env_clear()
        .envs(environment)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

/// Writes `input` to standard input, collects the beginning of both outputs, and waits for the end
/// of the program.
async fn communicate(
    child: &mut Child,
    input: &[u8],
    stdout: &mut Vec<u8>,
    stderr: &mut Vec<u8>,
) -> io::Result<ExitStatus> {
    let (child_stdin, child_stdout, child_stderr) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async {
        if let Some(mut child_stdin) = child_stdin {
            // EPIPE is fine: the program may close standard input without reading it.
            let _ = child_stdin.write_all(input).await;
        }
    };
    let streams = async {
        tokio::join!(
            write,
            read_up_to(child_stdout, MAX_STDOUT_BYTES, stdout),
            read_up_to(child_stderr, MAX_STDERR_BYTES, stderr)
        )
    };
    tokio::pin!(streams);
    tokio::select! {
        status = child.wait() => {
            // The output of the program itself is in the pipes by now.
            let _ = timeout(PIPE_DRAIN_TIMEOUT, &mut streams).await;
            status
        }
        _ = &mut streams => child.wait().await,
    }
}

/// Reads to the end, so that the program never blocks on a full pipe, and keeps the first `max`
/// bytes.
async fn read_up_to(stream: Option<impl AsyncRead + Unpin>, max: usize, kept: &mut Vec<u8>) {
    let Some(mut stream) = stream else { return };
    let mut buffer = vec![0; READ_BUFFER_BYTES];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        kept.extend_from_slice(&buffer[..count.min(max - kept.len())]);
    }
}

fn reason(stdout: &[u8]) -> Option<String> {
    let output: Output = serde_json::from_slice(stdout).unwrap_or_default();
    output.reason
}

/// A process group that is killed on drop, unless its leader has been waited for.
struct ProcessGroup(Option<Pid>);

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // The group may just have ended.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn sh(script: &str) -> Verdict {
        let args = ["-c".to_owned(), script.to_owned()];
        run("test", Path::new("/bin/sh"), &args, b"{\"v\":1}").await
    }

    fn rejected(reason: &str) -> Verdict {
        Verdict::Reject(Reason::new(Some(reason)))
    }

    #[tokio::test]
    async fn exit_code_is_the_verdict() {
        assert_eq!(sh("exit 0").await, Verdict::Accept);
        assert_eq!(sh("exit 10").await, rejected("rejected"));
        for other in ["exit 1", "exit 77", "kill -9 $$", "exec /nowhere"] {
            assert!(matches!(sh(other).await, Verdict::Retry(_)), "{other}");
        }
        assert!(matches!(
            run("test", Path::new("/nowhere"), &[], b"").await,
            Verdict::Retry(_)
        ));
    }

    #[tokio::test]
    async fn document_is_on_stdin_and_reason_on_stdout() {
        assert_eq!(sh(r#"test "$(cat)" = '{"v":1}'"#).await, Verdict::Accept);
        assert_eq!(
            sh(r#"printf %s '{"reason":"Eicar \u001b[31m\n found"}'; exit 10"#).await,
            rejected("Eicar [31m found")
        );
        for invalid in [
            "echo found; exit 10",
            "echo '{\"reason\":7}'; exit 10",
            "printf '\\377\\000'; exit 10",
        ] {
            assert_eq!(sh(invalid).await, rejected("rejected"), "{invalid}");
        }
    }

    #[tokio::test]
    async fn unlimited_output_is_read_but_not_kept() {
        let script = "head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2; exit 10";
        assert_eq!(sh(script).await, rejected("rejected"));
    }

    #[tokio::test]
    async fn children_that_outlive_the_program_are_not_waited_for() {
        let began = std::time::Instant::now();
        assert_eq!(sh("sleep 60 & echo $! >&2").await, Verdict::Accept);
        assert!(began.elapsed() < Duration::from_secs(30));
    }

    #[tokio::test]
    async fn environment_has_only_the_allowed_variables() {
        // Cargo sets many variables for a test.
        assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
        let others = "env | grep -vE '^(PATH|LANG|TMPDIR|PWD|OLDPWD|SHLVL|_)='";
        assert_eq!(
            sh(&format!("if {others} >&2; then exit 10; fi")).await,
            Verdict::Accept
        );
    }
}
