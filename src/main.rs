//! The program `upload`: runs the command line and exits with its code.

#![warn(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

use upload_types::error::Kind;

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            upload::cli::eprint_line(&format!("error: could not start: {error}"));
            return ExitCode::from(Kind::Io.exit_code());
        }
    };
    let result = runtime.block_on(upload::cli::run());
    // A read that hangs, such as on a lost network file system, must not keep the process alive.
    runtime.shutdown_background();
    ExitCode::from(upload::cli::exit_code(result))
}
