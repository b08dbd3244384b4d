//! A hook that is a program: run without a shell, in a process group of its own, told of the upload on its standard input.
//!
//! Border: from a program to a verdict. Exit code 0 accepts, 10 rejects; anything else is asked again. It is given PATH, LANG and
//! TMPDIR of our environment and nothing else of it: what the gateway may do in the store is not for its hooks.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::{Reason, SAID_MAX, Verdict, words};

/// What rejects.
const REJECTS: i32 = 10;
const ENVIRONMENT: [&str; 3] = ["PATH", "LANG", "TMPDIR"];
/// The most bytes of standard error that are logged.
const LOGGED: usize = 8 << 10;
/// Who is left behind by a program that has ended may hold its streams open this long.
const LINGER: Duration = Duration::from_millis(500);

/// What a program may print.
#[derive(Default, Deserialize)]
struct Said {
    reason: Option<String>,
}

/// Checks that there is such a program, and that not everybody can put another in its place.
///
/// # Errors
/// What is wrong with it.
pub fn check(program: &Path) -> Result<(), String> {
    if !program.is_absolute() {
        return Err("its program is not named by an absolute path".to_owned());
    }
    let found = fs::metadata(program).map_err(|error| format!("{}: {error}", program.display()))?;
    let mode = found.permissions().mode();
    match () {
        () if !found.is_file() || mode & 0o111 == 0 => {
            Err(format!("{} is no program", program.display()))
        }
        () if mode & 0o002 != 0 => Err(format!("everybody may write to {}", program.display())),
        () => Ok(()),
    }
}

/// Runs it to its end. Dropped, it is killed, and with it all of its group.
pub async fn run(name: &str, program: &Path, args: &[String], input: &[u8]) -> Verdict {
    let kept = ENVIRONMENT
        .iter()
        .filter_map(|name| Some((*name, std::env::var_os(name)?)));
    let mut child = match spawn(program, args, kept) {
        Ok(child) => child,
        Err(error) => return Verdict::Later(format!("it could not be started: {error}")),
    };
    let mut group = Group(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
    let (mut stdin, stdout, stderr) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (mut said, mut log) = (Vec::new(), Vec::new());
    let ended = {
        let tell = async {
            if let Some(mut stdin) = stdin.take() {
                // Who does not want to know closes it.
                let _ = stdin.write_all(input).await;
            }
        };
        let streams = async {
            tokio::join!(
                tell,
                read(stdout, SAID_MAX, &mut said),
                read(stderr, LOGGED, &mut log)
            )
        };
        tokio::pin!(streams);
        tokio::select! {
            ended = child.wait() => {
                // What it printed is in the pipes by now.
                let _ = timeout(LINGER, &mut streams).await;
                ended
            }
            _ = &mut streams => child.wait().await,
        }
    };
    group.0 = None;
    for line in String::from_utf8_lossy(&log)
        .lines()
        .map(|line| words(line, 1000))
        .filter(|line| !line.is_empty())
    {
        tracing::info!(hook = name, "{line}");
    }
    match ended.map(|status| status.code()) {
        Ok(Some(0)) => Verdict::Accept,
        Ok(Some(REJECTS)) => Verdict::Reject(Reason::of(reason(&said).as_deref())),
        Ok(Some(code)) => Verdict::Later(format!("it ended with exit code {code}")),
        Ok(None) => Verdict::Later("a signal ended it".to_owned()),
        Err(error) => Verdict::Later(format!("its end is not known: {error}")),
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

/// Reads to the end and keeps the first `most` bytes: who prints more is not kept waiting.
async fn read(stream: Option<impl AsyncRead + Unpin>, most: usize, kept: &mut Vec<u8>) {
    let Some(mut stream) = stream else { return };
    let mut block = vec![0; 8 << 10];
    while let Ok(read @ 1..) = stream.read(&mut block).await {
        kept.extend_from_slice(&block[..read.min(most - kept.len())]);
    }
}

fn reason(said: &[u8]) -> Option<String> {
    serde_json::from_slice::<Said>(said)
        .unwrap_or_default()
        .reason
}

/// A group of processes that ends with this value, unless its first has been waited for.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // One that has just ended is no failure.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn sh(script: &str) -> Verdict {
        run(
            "test",
            Path::new("/bin/sh"),
            &["-c".to_owned(), script.to_owned()],
            b"{\"v\":1}",
        )
        .await
    }

    fn rejected(reason: &str) -> Verdict {
        Verdict::Reject(Reason::of(Some(reason)))
    }

    #[tokio::test]
    async fn the_exit_code_decides() {
        assert_eq!(sh("exit 0").await, Verdict::Accept);
        assert_eq!(sh("exit 10").await, rejected("rejected"));
        for other in ["exit 1", "exit 77", "kill -9 $$", "exec /nowhere"] {
            assert!(matches!(sh(other).await, Verdict::Later(_)), "{other}");
        }
        assert!(matches!(
            run("test", Path::new("/nowhere"), &[], b"").await,
            Verdict::Later(_)
        ));
    }

    #[tokio::test]
    async fn it_is_told_of_the_upload_and_may_give_a_reason() {
        assert_eq!(sh(r#"test "$(cat)" = '{"v":1}'"#).await, Verdict::Accept);
        assert_eq!(
            sh(r#"printf %s '{"reason":"Eicar \u001b[31m\n found"}'; exit 10"#).await,
            rejected("Eicar [31m found")
        );
        for nonsense in [
            "echo found; exit 10",
            "echo '{\"reason\":7}'; exit 10",
            "printf '\\377\\000'; exit 10",
        ] {
            assert_eq!(sh(nonsense).await, rejected("rejected"), "{nonsense}");
        }
    }

    #[tokio::test]
    async fn what_it_prints_without_end_is_not_kept_and_does_not_stop_it() {
        let much = "head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2; exit 10";
        assert_eq!(sh(much).await, rejected("rejected"));
    }

    #[tokio::test]
    async fn who_it_leaves_behind_is_not_waited_for() {
        let began = std::time::Instant::now();
        assert_eq!(sh("sleep 60 & echo $! >&2").await, Verdict::Accept);
        assert!(began.elapsed() < Duration::from_secs(30));
    }

    #[tokio::test]
    async fn it_gets_no_secret_by_its_environment() {
        // Cargo gives its tests a lot; of that, nothing.
        assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
        let others = "env | grep -vE '^(PATH|LANG|TMPDIR|PWD|OLDPWD|SHLVL|_)='";
        assert_eq!(
            sh(&format!("if {others} >&2; then exit 10; fi")).await,
            Verdict::Accept
        );
    }
}
