//! The completions of bash, in a real bash.

use std::fs;

use crate::support::PART;
use crate::support::sandbox::Sandbox;
use crate::support::world::World;

/// Completes the last word of a line, as pressing TAB does. Returns the words, and `<files>` if the
/// shell would complete the names of files.
#[track_caller]
fn complete(sandbox: &Sandbox, line: &str) -> Vec<String> {
    let script = sandbox.path("upload.bash");
    if !script.exists() {
        let completions = sandbox.upload(["completions", "bash"]).run().succeeds();
        fs::write(&script, completions.stdout_bytes()).unwrap();
    }
    // `compopt` works during a completion only; here it records its arguments.
    let test = r#"
        source "$1"
        options=default
        compopt() { [[ $* == *"+o default"* ]] && options=; return 0; }
        COMP_LINE="$2" COMP_POINT=${#2}
        spaced="$2"
        [[ $spaced == *' ' ]] && spaced+="''"
        # The shell makes words of `=` and `:`.
        spaced="${spaced//=/ = }" spaced="${spaced//:/ : }"
        read -ra COMP_WORDS <<<"$spaced"
        [[ ${COMP_WORDS[-1]} == "''" ]] && COMP_WORDS[-1]=""
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        COMP_WORDS[0]="$3"
        _upload_complete "$3" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
        printf '%s\n' "${COMPREPLY[@]}"
        [[ -z ${COMPREPLY[*]} && -n $options ]] && echo '<files>'
        true
    "#;
    let output = sandbox
        .command("bash")
        .args(["--norc", "-c", test, "bash"])
        .arg(&script)
        .args([line, env!("CARGO_BIN_EXE_upload")])
        .run()
        .succeeds();
    assert_eq!(output.stderr(), "", "{line:?}");
    let words = output.lines().into_iter().filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}

const FILES: [&str; 1] = ["<files>"];

#[test]
fn bash_completes_verbs_before_flags() {
    let sandbox = Sandbox::new();
    let verbs = complete(&sandbox, "upload ");
    assert!(verbs.contains(&"put".to_owned()) && verbs.contains(&"serve".to_owned()));
    assert!(verbs.iter().all(|word| !word.starts_with('-')), "{verbs:?}");
    assert_eq!(complete(&sandbox, "upload pu"), ["put"]);
    assert_eq!(complete(&sandbox, "upload --json pr"), ["prune"]);
    let of_serve = [
        "token", "uploads", "usage", "owners", "sweep", "rm", "prune",
    ];
    assert_eq!(complete(&sandbox, "upload serve "), of_serve);
    assert_eq!(complete(&sandbox, "upload serve token re"), ["revoke"]);
    assert_eq!(complete(&sandbox, "upload man serve token a"), ["add"]);
    assert!(complete(&sandbox, "upload help ").contains(&"put".to_owned()));
    assert!(complete(&sandbox, "upload completions ").contains(&"zsh".to_owned()));
    let flags = complete(&sandbox, "upload list --");
    assert!(flags.contains(&"--all".to_owned()), "{flags:?}");
    assert!(!flags.contains(&"--ids".to_owned()), "{flags:?}");
    let flags = complete(&sandbox, "upload put --par");
    assert_eq!(flags, ["--part-size"]);
}

#[test]
fn bash_completes_files_backends_and_fixed_values() {
    let sandbox = Sandbox::new();
    for line in [
        "upload put ",
        "upload put --force a b",
        "upload put --journal ",
    ] {
        assert_eq!(complete(&sandbox, line), FILES, "{line}");
    }
    for line in ["upload put --name ", "upload put a --part-size 5"] {
        assert!(complete(&sandbox, line).is_empty(), "{line}");
    }
    let backends = ["embedded", "https://", "companion+https://", "s3://"];
    assert_eq!(complete(&sandbox, "upload put --backend "), backends);
    assert_eq!(complete(&sandbox, "upload put --backend="), backends);
    assert_eq!(
        complete(&sandbox, "upload put a --backend=em"),
        ["embedded"]
    );
    // The shell keeps the part up to the colon.
    assert_eq!(complete(&sandbox, "upload put --backend s3:"), ["//"]);
    assert!(complete(&sandbox, "upload put --backend s3://me").is_empty());
    assert_eq!(complete(&sandbox, "upload put --backend embedded "), FILES);
    assert_eq!(
        complete(&sandbox, "upload put --wait "),
        ["auto", "none", "ready"]
    );
}

#[test]
fn bash_completes_upload_ids() {
    let world = World::new();
    let sandbox = &world.sandbox;
    for verb in ["resume", "status", "abort", "cat", "url"] {
        assert_eq!(complete(sandbox, &format!("upload {verb} ")), FILES);
        let made = sandbox
            .files()
            .iter()
            .any(|path| path.ends_with("journal.db"));
        assert!(!made, "completing makes a journal");
    }
    let (done, open) = (
        sandbox.file("done.bin", 10),
        sandbox.file("open.bin", 4 * PART),
    );
    world.put(&done).run().succeeds();
    let (id, _) = world.put_and_kill_after_parts(&open, 1);
    for verb in ["resume", "abort"] {
        assert_eq!(complete(sandbox, &format!("upload {verb} ")), [id.as_str()]);
    }
    for verb in ["status", "cat", "url"] {
        assert_eq!(complete(sandbox, &format!("upload {verb} ")).len(), 2);
        let start = format!("upload {verb} {}", &id[..30]);
        assert_eq!(complete(sandbox, &start), [id.as_str()]);
    }
    assert_eq!(complete(sandbox, "upload status done.b"), FILES);
}
