//! A terminal that nobody looks at: what is written to it is kept.
//!
//! Border: a pseudo-terminal of a given size; it keeps bytes and draws nothing.

use std::fs::File;
use std::io::Read;
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

pub struct Terminal {
    line: File,
    written: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    pub fn new(columns: u16) -> Self {
        let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&screen).unwrap();
        unlockpt(&screen).unwrap();
        let name = ptsname(&screen, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let line = File::from(rustix::fs::open(name, flags, Mode::empty()).unwrap());
        let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&line, size).unwrap();
        let written = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&written);
        let mut screen = File::from(screen);
        thread::spawn(move || {
            let mut block = [0; 4096];
            // It ends with an error when the last writer has gone.
            while let Ok(len @ 1..) = screen.read(&mut block) {
                sink.lock().unwrap().extend_from_slice(&block[..len]);
            }
        });
        Self { line, written }
    }

    /// The end a program writes to.
    pub fn line(&self) -> File {
        self.line.try_clone().unwrap()
    }

    /// What has been written so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().unwrap()).into_owned()
    }
}
