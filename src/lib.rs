//! `upload`: sends files to S3-compatible stores in parts, resumes after any interruption, and
//! proves what is stored.
//!
//! This page is the architecture. The library is internal: it exists for the program and its tests,
//! and changes without notice. Terms are defined in `CONTRIBUTING.md`, decisions in
//! `docs/decisions.md`, promises and their tests in `tests/README.md`.
//!
//! A file is cut into parts of 5 MiB or more (the last part may be smaller). The client computes
//! the SHA-256 of each part, records it in the journal, and has it signed into the part's URL; the
//! store refuses other bytes. The client holds no storage credentials (except for `s3://` and
//! `embedded`, whose gateway runs in its process). A gateway signs, and trusts only what the store
//! reports.
//!
//! # Layers
//!
//! ```text
//!   main
//!   cli ──────────── serve, local ──────────▶ crates/gateway
//!    │                                          │        │
//!   transfer   report                           │   crates/embedded-store
//!    │                                          │        │
//!   backend   journal   ─ ─ HTTP API v1 ─ ─ ▶   │        │
//!    │         │                            crates/s3    │
//!   source   selection                          │        │
//!   event      │                                │        │
//!    │         │                                │        │
//!   crates/net crates/sqlite              crates/net  crates/sqlite
//!   └───────────────────── crates/types ─────────────────────┘
//! ```
//!
//! Imports go down only; modules of one line do not import each other. `tests/architecture.rs`
//! checks it, and Cargo rejects circles between crates.
//!
//! | module or crate | content |
//! |---|---|
//! | `crates/types` | ids, digests and secrets as types; errors and exit codes; the plan; the messages of the HTTP API |
//! | `crates/lease` | whether another process may write to a source |
//! | `crates/net` | address classes (this machine, private, public); the set-up of HTTP clients |
//! | `crates/sqlite` | SQLite files that are created whole, checked and migrated |
//! | `crates/s3` | a client of S3-compatible stores, and the probe of what a store enforces |
//! | `crates/embedded-store` | an S3 store in a directory |
//! | `crates/gateway` | `upload serve`: routes, authentication, the upload service, the ledger, events, hooks, metrics |
//! | [`event`] | the reports of the engine; the lines of `--json` |
//! | [`selection`] | the files of directories and lists, and filters |
//! | [`source`] | local files, read by position; streams, read once |
//! | [`journal`] | the uploads that were begun, their stored parts, and the sets of their files, in SQLite |
//! | [`backend`] | calls to a gateway or a Companion, PUTs to the store |
//! | [`transfer`] | the engine: one loop that starts tasks and records their results |
//! | [`report`] | progress bars, plain lines, JSON |
//! | [`cli`] | arguments, settings, one file for each command |
//!
//! # From file to object
//!
//! `cli` parses the arguments and determines each setting once. `source` opens the file and notes
//! its version. The engine asks the journal for uploads of that file, and decides
//! (`transfer::resume`): begin a new upload, continue one, replace one, or report that the object
//! already exists. It records the intent, with an idempotency key, before it asks the backend to
//! begin. Then each part is hashed, signed and sent, and its ETag recorded, before progress is
//! reported. When all parts are stored, the version of the file is compared again, and the backend
//! is asked to complete. The gateway completes, and decides by HeadObject. The receipt is compared
//! with what was sent and recorded, and the location is printed. If the gateway has hooks, the
//! upload is `verified` until each has accepted it, and the command waits for that.
//!
//! A stream (a pipe, or the output of a command) is read once by `transfer::stream`: its parts are
//! kept in memory, or in the spool, until the store has acknowledged them, and its size is known at
//! its end. The same pipeline continues it, by name.
//!
//! # Invariants
//!
//! - **Intents are on disk before their effect. Acknowledgements may be lost**: then a part is sent
//!   again.
//! - **A part is skipped only if journal and store agree** on its number, size and SHA-256.
//! - **During uploads only the loop writes the journal**, and it reports nothing that is not
//!   recorded (`transfer::committer`).
//! - **An attempt is sign and PUT.** A URL is used soon and is never stored.
//! - **Unknown outcomes are resolved by asking, never by guessing**: a lost response to begin by
//!   the idempotency key, a lost response to complete by HeadObject (token, size, checksum).
//! - **Two file versions never mix** in one object. Another version is another upload; its key is
//!   another one, unless the client has chosen it.
//! - **The sweep takes a row by its lease**, like a client, and changes it by compare-and-set. It
//!   touches no object that the ledger does not know.
//! - **Nothing is ready before every hook has accepted it.** The disposal of a rejected object is
//!   in its row before it is carried out.
//! - **Decisions are pure**: clock and randomness are arguments. Code that does I/O decides
//!   nothing.
//! - **Secrets are types** that show nothing when they are formatted. The client writes neither
//!   URLs nor tokens to disk.
//! - **Stores are pinned**: parts go only to stores that parts of this backend went to before, and
//!   never to an address that is less public than that of the backend, unless `--store-host`
//!   permits it.

#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod backend;
#[cfg_attr(
    not(feature = "gateway"),
    expect(dead_code, reason = "only builds with a gateway use every setting")
)]
pub mod cli;
pub mod event;
pub mod journal;
pub mod report;
pub mod selection;
pub mod source;
pub mod transfer;
