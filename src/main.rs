//! The program: runs the command line and turns what it came to into an exit code.
//!
//! Border: nothing else happens here.

use std::process::ExitCode;

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: could not start: {error}");
            return ExitCode::from(74);
        }
    };
    let done = runtime.block_on(upload::cli::run());
    // A read that hangs (a network file system that is gone) must not keep us.
    runtime.shutdown_background();
    ExitCode::from(upload::cli::exit_code(done))
}
