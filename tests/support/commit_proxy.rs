//! A proxy in front of PostgreSQL that ends a connection at a COMMIT, if the transaction writes:
//! before the server receives it, or before the client receives the response.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// The message that is lost at a COMMIT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The COMMIT: PostgreSQL rolls the transaction back.
    Commit,
    /// Its response: the transaction is committed.
    Response,
}

#[derive(Default)]
struct State {
    /// How many COMMITs are still to come, including the one at which the message is lost. 0 if no
    /// message will be lost.
    commits_left: AtomicU64,
    loss: Mutex<Option<Loss>>,
}

impl State {
    /// Counts a COMMIT. Returns the message that is lost at it.
    fn count_commit(&self) -> Option<Loss> {
        let count = |left: u64| left.checked_sub(1);
        let left = self
            .commits_left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, count);
        (left == Ok(1)).then(|| self.loss.lock().unwrap().unwrap())
    }
}

pub struct CommitProxy {
    addr: SocketAddr,
    state: Arc<State>,
}

impl CommitProxy {
    /// Forwards to the server of this URL, from a free port of loopback.
    pub fn start(url: &str) -> Self {
        let server = host_of(url).to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        // The thread ends with the test's process.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if let Ok(server) = TcpStream::connect(&server) {
                    relay(client, server, &shared);
                }
            }
        });
        Self { addr, state }
    }

    /// The URL of a database of the server, through this proxy.
    pub fn url(&self, url: &str) -> String {
        url.replacen(host_of(url), &self.addr.to_string(), 1)
    }

    /// Ends the connection at the `nth` COMMIT, counted from now.
    pub fn lose(&self, nth: u64, loss: Loss) {
        *self.state.loss.lock().unwrap() = Some(loss);
        self.state.commits_left.store(nth, Ordering::SeqCst);
    }

    /// Returns true once the COMMIT that [`CommitProxy::lose`] chose has come.
    pub fn has_lost(&self) -> bool {
        self.state.commits_left.load(Ordering::SeqCst) == 0
    }
}

fn host_of(url: &str) -> &str {
    let (_, rest) = url.split_once('@').unwrap();
    rest.split_once('/').unwrap().0
}

fn relay(client: TcpStream, server: TcpStream, state: &Arc<State>) {
    let response_is_lost = Arc::new(AtomicBool::new(false));
    let forwards = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let (shared, flag) = (Arc::clone(state), Arc::clone(&response_is_lost));
    thread::spawn(move || {
        let mut writes = false;
        copy(&forwards.0, &forwards.1, |chunk| {
            let has = |text: &[u8]| chunk.windows(text.len()).any(|bytes| bytes == text);
            if writes && has(b"COMMIT\0") {
                writes = false;
                match shared.count_commit() {
                    Some(Loss::Commit) => return false,
                    Some(Loss::Response) => flag.store(true, Ordering::SeqCst),
                    None => {}
                }
            }
            writes |= has(b"READ WRITE");
            true
        });
    });
    thread::spawn(move || {
        copy(&server, &client, |_| {
            !response_is_lost.load(Ordering::SeqCst)
        });
    });
}

/// Forwards what `is_forwarded` accepts, and then ends both connections.
fn copy(mut from: &TcpStream, mut to: &TcpStream, mut is_forwarded: impl FnMut(&[u8]) -> bool) {
    let mut buffer = [0; 16 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let chunk = &buffer[..length];
        if !is_forwarded(chunk) || to.write_all(chunk).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
