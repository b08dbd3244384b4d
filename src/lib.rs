//! A resumable uploader that proves what it stored. This page is the map of the house.
//!
//! A file is cut into parts of 5 MiB or more. Each part is fingerprinted with SHA-256; the SHA-256 goes into the journal, into
//! the signed headers of the part's URL, and is checked by the store: **one datum, three witnesses**. The client holds
//! no storage credentials; a gateway signs, and believes nobody but the store.
//!
//! ```text
//!   main
//!   cli ─────────────── serve, local ───────────────▶ gateway (a wing of its own)
//!    │                                                  routes ▶ service ▶ ledger
//!   transfer   report                                               └────▶ store ▶ S3
//!    │                                                                      └ embedded
//!   source   journal   backend ─ ─ ─ HTTP ─ ─ ─ ─ ─ ▶
//!   plan   event   sqlite
//!   error   wire
//!   names    crash
//! ```
//!
//! Imports go to a lower line only; modules of one line do not see each other. The gateway sees `names`, `error`, `wire`,
//! `plan` and `sqlite`. `cli/serve` and `cli/local` are the one door between client and gateway. `tests/tidy.rs` holds this table as data.
//!
//! # Where things are
//!
//! | room | what it holds |
//! |---|---|
//! | `names` | the nouns, checked and redacted by type |
//! | `crash` | points where a test has the process killed; nothing in other builds |
//! | `error` | what can go wrong: retry, exit code, hint |
//! | `wire` | the JSON of the HTTP API, shared by both sides; the table of error codes |
//! | `plan` | from size to parts, pure |
//! | `sqlite` | a SQLite file of ours: made whole, known, brought up to date, durable |
//! | [`event`] | what happens, one stream, the lines of `--json` |
//! | [`source`] | files, read by position, told apart from later generations of themselves |
//! | [`journal`] | what was promised and what is known, in SQLite |
//! | [`backend`] | one HTTP call each, classified once; two dialects, a gateway's and a Companion's |
//! | [`transfer`] | the engine: the only loop; `step` and `parts` keep the order; `queue`, `outbox`, `resume`, `retry`, `budget`, `pace`, `jobs` are pure |
//! | [`report`] | bars, plain lines, JSON: consumers of the events |
//! | [`cli`] | what was typed → settings → one file for each verb |
//! | `gateway` | `upload serve`: `routes`, `auth`, `limits` and `openapi`; `service`, which decides; `ledger`; `store`, behind S3; `events`, `hooks`, `metrics`; `companion`, other routes to the same service |
//!
//! # A file on its way
//!
//! `cli/args` writes down what was typed, `cli/settings` makes values of it once. `source` opens the file and notes its identity
//! (dev, inode, size, mtime, ctime). `transfer/resume` chooses: is there an unfinished upload of it, a finished one, one of
//! another generation? The journal takes down the intent with an idempotency key before `begin` is asked for. Then, part by
//! part: read and SHA-256, sign, PUT, and the ETag goes into the journal before the bar moves. When nothing is outstanding, the
//! file is looked at again, the parts are reviewed, and `complete` is asked for; the gateway completes and then decides by
//! HeadObject. The receipt is checked against what was sent, written down, and the location printed. Where the gateway has hooks,
//! the upload is `verified` until each of them has accepted it (`gateway/hooks`, `service/hooks`), and `--wait ready` waits for that
//! (`transfer/waits`).
//!
//! # What holds
//!
//! - **Intents are durable before their effect; acknowledgements may be lost.** A crash costs a re-send, never a part.
//! - **A part is skipped only if journal and store agree** on number, size and SHA-256 (`transfer/resume::agreed`).
//! - **One loop owns the journal.** Units of work return values; the loop writes first and tells second. There is no lock
//!   around the journal's connection and no callback out of the engine.
//! - **An attempt is sign + PUT.** A URL is used soon and stored nowhere; an expired one is an ordinary next attempt.
//! - **What nobody holds is brought to its end.** The gateway's sweep takes a row by its lease, as a client would, and by
//!   compare-and-set: it decides completes that were left, aborts what expired, and touches nothing the ledger does not know.
//! - **Nothing is ready before every hook has accepted it**, and what one rejects is never readable again: a row is taken by its lease and
//!   decided by its fence, so that of many gateways one decides; the object's fate is in the row before it is carried out.
//! - **What is ambiguous is asked, never guessed.** A lost answer to `begin` is decided by its idempotency key, a lost answer to
//!   `complete` by HeadObject: token, size, checksum.
//! - **Decisions are pure**; clock and dice are arguments. What does I/O decides nothing.
//! - **No secret leaves its type.** A signed URL and a token show nothing to a formatter, and neither is ever written to disk
//!   by the client.
//! - **A backend leads nowhere it did not lead before.** Stores are learnt when the first part is there (`transfer/stores`), held to
//!   from then on, and never nearer than the backend itself (`backend/url_policy`, `backend/resolver`).
//! - **Two generations never mix.** Another generation is another upload with another key.
//!
//! What is promised, which faults are known, and the test that holds each: `tests/README.md`.
//!
//! # Decisions
//!
//! 1. *Parts are read twice*, once to SHA-256 and once to send. Because a part of 5 GiB must not
//!    be held in memory, and the second reading comes from the page cache. Instead of one pass over a buffered part. That what was
//!    sent is what was fingerprinted, the store enforces.
//! 2. *The embedded store is reached over loopback HTTP, through the same S3 client as any bucket.* Because then it is the
//!    test double of every store and nothing is mocked. Instead of a shortcut in the process.
//! 3. *Two durabilities in one journal.* Intents, and what the user is told, are committed with `synchronous = FULL`; what backend
//!    or store can be asked for again (an id, a SHA-256, an acknowledgement) with `NORMAL`: a process that dies loses
//!    neither, a power cut may lose the latest of the second kind. What happens within 20 ms is one commit, and a call about an
//!    upload waits for it.
//! 4. *A new journal, ledger or manifest is made under another name and linked into place.* Because SQLite takes an empty
//!    file for a new database, and an empty journal must be told from a lost one.
//! 5. *Begin may name its holder* (an addition to the API): begin then claims, which saves a call for each upload. *Claim may name
//!    the epoch it holds*: then it renews without fencing off the caller itself. *Abort may name it too*, as the engine always
//!    does: a process that slept ends nothing that another goes on with. Without it, abort is a person's word.
//! 6. *`event` is on the line of `plan`*, above `wire`, because a `completed` event carries the receipt.
//! 7. *MD5 goes with a part only where the backend's proof is `md5`*, and is not kept: such a part is read again after a crash.
//! 8. *A finished upload of a file that was touched since is hashed, not sent again.* A CI job checks out anew each time, and
//!    reading is cheaper than sending. Before a location is printed again, the backend is asked whether the upload is
//!    still there.
//! 9. *The gateway may sign as far ahead as there are parts on the wire*, so that no PUT waits for a call. At 80 % of its life
//!    a URL that was not used is asked for again.
//! 10. *Journal and engine know uploads by a row number of their own*; the backend's id comes with the answer to begin. The
//!     claim's holder and the idempotency key are drawn with the row.
//! 11. *Small files travel together.* A file of one part is fingerprinted before it begins, so that the answer to begin
//!     brings its signature; begins and completes of such files that come up while a call is under way go out in the next one
//!     (`POST /v1/batch`), as Nagle's algorithm does it. One file alone waits for nobody, and what takes the store longer (many
//!     parts) never holds up the others.
//! 12. *One locked file for each process, not for each upload*: rows name the process that drives them. Because a file made and
//!     removed for each upload costs more than the whole of a small one.
//! 13. *Every part goes through the HTTP library.* A client of our own that used `sendfile` for plain HTTP saved 0.09 of 1.0 CPU
//!     seconds for each GiB and nothing over TLS, for 800 lines of parser and connection pool at the border.
//! 14. *`--jobs auto` believes how long answered parts took*, not how many bytes the kernel took: a new connection's buffer takes
//!     several MiB at once, just when a level is tried.
//! 15. *A part's URL is signed by a few lines of ours (`store/template`), all else by the library.* Because what the parts of
//!     one lease share need be worked out only once. A property test holds both to the same URL, to the byte.
//! 16. *An upload expires by silence, not by age*: each call with its epoch moves the end on. Because a slow link is no reason
//!     to lose what was sent. What a signed URL can still bring after the end is looked for when none lives any more.
//! 17. *A journal that fails ends the run*, with code 74: what is on the wire is let go, since nothing of it could be written down,
//!     and nothing is told that was not. Nor is the file written again by this process, for a page that could not be synced
//!     counts as clean from then on; the next process opens it anew. Instead of going on in memory, which would make of "done"
//!     a word that the next command does not know. A damaged one is refused and left alone, for it may be
//!     another's file; one that is removed while it is used is put back.
//! 18. *On a network file system the journal has a rollback journal and one process at a time*, because a write-ahead log takes
//!     memory that all its users share.
//! 19. *Events come from SQS by three calls of its JSON protocol*, signed with the store's own credentials, instead of through
//!     AWS's SDK: that would bring a second HTTP client and a second chain of credentials for three messages. What is pushed is
//!     looked into after it was answered, for some stores hold up the very complete they tell of until then.
//! 20. *Quotas are counted in the ledger, within the transaction that begins an upload; rates in each gateway's memory.* Because a
//!     quota that two can pass at the same moment is none, while a rate guards a machine and is not worth a write for each URL.
//! 21. *Of an issuer that everybody shares, a claim must be named before anybody is let in*, and an unknown key is worth one question a
//!     minute. Because the audience of a token is whatever its holder asked for, and a name of a key costs nothing to make up.
//! 22. *The ledger's queries are written once, for SQLite and PostgreSQL* (`ledger/db`), and so are its tables: a step of the schema
//!     is put into PostgreSQL's words by a handful of replacements. Because two dialects of thirty queries drift apart, and
//!     the one that is tested less breaks. What an operation decides by a row it says in the `WHERE` of the statement that writes,
//!     since several gateways write at the same time. SQLite has one thread and shared commits; PostgreSQL a few connections and a
//!     transaction for each operation, done again until it is committed, but never when the answer to a commit was lost.
//! 23. *Hooks see the object through a URL, as anybody would*, and get none of the gateway's environment. Because a scanner is the one
//!     program here that reads what strangers send: what it does not hold it cannot lose. Instead of credentials, or a file.
//! 24. *An upload of one part is verified in one write*, without a state `completing` in between, once its object was seen. Because that
//!     state keeps what the store was asked to do, and of a single PUT there is nothing to ask. What is not there, or is
//!     not what it was to be, goes the long way.
//! 25. *A store is what it refused* (`store/probe`, `store/trials`): no capability is taken from a name or a version, only sizes, which
//!     nobody can try out, come from a table of hosts (`store/hosts`). What was found is good for a day, in the ledger: because a
//!     gateway that starts should not depend on thirty requests, and one that runs for months looks only once.
//! 26. *A Companion is a dialect of the backend, turned into the words of `wire`* (`backend/companion`). What it lacks is one
//!     value, `Ways`, that the engine looks at where it would ask what nobody remembers: an upload that is gone after its complete
//!     was asked for is *unconfirmed*, and is not sent twice. What a Companion would have to keep is a memo in the journal. Instead
//!     of a second engine.
//! 27. *What a browser sends has no plan* (`service/unplanned`): neither size nor fingerprints are known, so that what is completed is what
//!     the store lists, and the receipt says that nothing was proved. It is the same row in the same states all the same. Instead of a
//!     proxy that hashes on the way, through which every byte would have to pass.
//! 28. *The embedded store takes `crc-fast` as `s3s` brings it* (700 kB of checksum tables), since a patch of crates.io is ignored by
//!     `cargo install`.
//! 29. *Uploads and idempotency keys are named by the time they are drawn at, and 74 bits of chance* (`names::drawn`). Because names
//!     of chance alone lie all over every index of them: a commit of many small uploads wrote a page for each name in each, twice
//!     the bytes. The chance is drawn anew each time, not counted on from the name before, for names stand in object keys. What
//!     it costs is that a name tells when it was drawn.

pub mod backend;
pub mod cli;
pub mod event;
pub mod journal;
pub mod report;
pub mod source;
pub mod transfer;
