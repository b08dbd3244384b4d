//! A relay in front of the gateway that holds chosen requests or responses until the test releases
//! them.
//!
//! Not here: faults (`proxy`). The relay expects one request on each connection, as `proxy` sends
//! them, and selects by method and path, never by time.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use super::wait;
use super::world::World;

/// The message that is held: the method of the request, and the end of its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldPoint {
    /// The request, before the gateway receives it.
    Request(&'static str, &'static str),
    /// The response, before the client receives it.
    Response(&'static str, &'static str),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Message {
    Request,
    Response,
}

#[derive(Default)]
struct State {
    hold_point: Option<HoldPoint>,
    held: usize,
    closed: bool,
}

/// Dropping it releases all messages.
pub struct Interceptor {
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl Interceptor {
    /// Places a relay between the proxy and the gateway of `world`.
    pub fn of(world: &World) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let shared: Arc<(Mutex<State>, Condvar)> = Arc::default();
        let (accepting, gateway) = (Arc::clone(&shared), world.gateway.addr());
        world.proxy.forward_to(listener.local_addr().unwrap());
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if accepting.0.lock().unwrap().closed {
                    return;
                }
                let shared = Arc::clone(&accepting);
                // An error closes the connection, which the client reports.
                thread::spawn(move || drop(relay(&client, gateway, &shared)));
            }
        });
        Self { shared }
    }

    /// Holds every later message at this point.
    pub fn hold(&self, hold_point: HoldPoint) {
        let mut state = self.shared.0.lock().unwrap();
        (state.hold_point, state.held) = (Some(hold_point), 0);
    }

    /// Waits until `count` messages are held.
    #[track_caller]
    pub fn wait_until_held(&self, count: usize) {
        wait::until("a held message", || {
            (self.shared.0.lock().unwrap().held >= count).then_some(())
        });
    }

    /// Passes all messages on, those that are held and later ones.
    pub fn release(&self) {
        self.shared.0.lock().unwrap().hold_point = None;
        self.shared.1.notify_all();
    }
}

impl Drop for Interceptor {
    fn drop(&mut self) {
        self.shared.0.lock().unwrap().closed = true;
        self.release();
    }
}

fn relay(
    client: &TcpStream,
    gateway: SocketAddr,
    shared: &(Mutex<State>, Condvar),
) -> io::Result<()> {
    let mut request = BufReader::new(client.try_clone()?);
    let mut line = Vec::new();
    request.read_until(b'\n', &mut line)?;
    let text = String::from_utf8_lossy(&line).into_owned();
    let mut words = text.split(' ');
    let method = words.next().unwrap_or_default();
    let path = words
        .next()
        .unwrap_or_default()
        .split('?')
        .next()
        .unwrap_or_default();
    let matches = |message: Message, hold_point: Option<HoldPoint>| match hold_point {
        Some(HoldPoint::Request(held, suffix)) => {
            message == Message::Request && method == held && path.ends_with(suffix)
        }
        Some(HoldPoint::Response(held, suffix)) => {
            message == Message::Response && method == held && path.ends_with(suffix)
        }
        None => false,
    };
    let wait_while_held = |message: Message| {
        let (state, changed) = shared;
        let mut state = state.lock().unwrap();
        if matches(message, state.hold_point) {
            state.held += 1;
            drop(
                changed
                    .wait_while(state, |state| matches(message, state.hold_point))
                    .unwrap(),
            );
        }
    };
    wait_while_held(Message::Request);
    let server = TcpStream::connect(gateway)?;
    let (mut to_server, mut from_server) = (server.try_clone()?, server);
    to_server.write_all(&line)?;
    let sender = thread::spawn(move || {
        let copied = io::copy(&mut request, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
        copied
    });
    let mut first_byte = [0];
    from_server.read_exact(&mut first_byte)?;
    wait_while_held(Message::Response);
    let mut to_client = client;
    to_client.write_all(&first_byte)?;
    let copied = io::copy(&mut from_server, &mut to_client);
    let _ = client.shutdown(Shutdown::Both);
    let _ = sender.join();
    copied.map(drop)
}
