//! A gate on the way to the gateway, where requests or their answers are held until the test has done what it wanted at just
//! that moment.
//!
//! Border: one request on each connection, as `proxy` makes them; what is held is told by method and path, never by time.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use super::wait;
use super::world::World;

/// What is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldPoint {
    /// Before the gateway hears of it: method, and how the path ends.
    Request(&'static str, &'static str),
    /// Before the client hears the answer.
    Response(&'static str, &'static str),
}

#[derive(Default)]
struct State {
    moment: Option<HoldPoint>,
    held: usize,
    closed: bool,
}

/// Dropped, it lets everything pass.
pub struct Interceptor {
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl Interceptor {
    /// Stands between the proxy and the gateway from now on.
    pub fn of(world: &World) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let shared: Arc<(Mutex<State>, Condvar)> = Arc::default();
        let (for_all, gateway) = (Arc::clone(&shared), world.gateway.addr());
        world.proxy.forward_to(listener.local_addr().unwrap());
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if for_all.0.lock().unwrap().closed {
                    return;
                }
                let shared = Arc::clone(&for_all);
                // What went wrong is for the client to find out.
                thread::spawn(move || drop(pass(&client, gateway, &shared)));
            }
        });
        Self { shared }
    }

    /// Holds what is meant, from now on.
    pub fn hold(&self, moment: HoldPoint) {
        let mut state = self.shared.0.lock().unwrap();
        (state.moment, state.held) = (Some(moment), 0);
    }

    /// Waits until so many are held.
    #[track_caller]
    pub fn wait_until_held(&self, count: usize) {
        wait::until("requests that are held", || {
            (self.shared.0.lock().unwrap().held >= count).then_some(())
        });
    }

    /// Lets everything pass.
    pub fn release(&self) {
        self.shared.0.lock().unwrap().moment = None;
        self.shared.1.notify_all();
    }
}

impl Drop for Interceptor {
    fn drop(&mut self) {
        self.shared.0.lock().unwrap().closed = true;
        self.release();
    }
}

fn pass(
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
    let meant = |method_: &str, suffix: &str| method == method_ && path.ends_with(suffix);
    let wait = |before: bool| {
        let (state, changed) = shared;
        let mut state = state.lock().unwrap();
        let is_meant = |moment: Option<HoldPoint>| match moment {
            Some(HoldPoint::Request(method, suffix)) => before && meant(method, suffix),
            Some(HoldPoint::Response(method, suffix)) => !before && meant(method, suffix),
            None => false,
        };
        if is_meant(state.moment) {
            state.held += 1;
            drop(
                changed
                    .wait_while(state, |state| is_meant(state.moment))
                    .unwrap(),
            );
        }
    };
    wait(true);
    let server = TcpStream::connect(gateway)?;
    let (mut to_server, mut from_server) = (server.try_clone()?, server);
    to_server.write_all(&line)?;
    let forth = thread::spawn(move || {
        let copied = io::copy(&mut request, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
        copied
    });
    let mut first = [0];
    from_server.read_exact(&mut first)?;
    wait(false);
    let mut back = client;
    back.write_all(&first)?;
    let copied = io::copy(&mut from_server, &mut back);
    let _ = client.shutdown(Shutdown::Both);
    let _ = forth.join();
    copied.map(drop)
}
