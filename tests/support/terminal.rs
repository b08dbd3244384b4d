//! A pseudo-terminal that keeps the bytes that are written to it.

use std::fs::File;
use std::io::Read;
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Termios, Winsize, tcgetattr, tcsetwinsize};

pub struct Terminal {
    /// The end that programs use.
    tty: File,
    initial_modes: Termios,
    written: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    pub fn new(columns: u16) -> Self {
        let controller =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        let name = ptsname(&controller, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let tty = File::from(rustix::fs::open(name, flags, Mode::empty()).unwrap());
        let size = Winsize {
            ws_row: 24,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&tty, size).unwrap();
        let initial_modes = tcgetattr(&tty).unwrap();
        let written = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&written);
        let mut controller = File::from(controller);
        thread::spawn(move || {
            let mut block = [0; 4096];
            // Reading fails when the last writer has closed the terminal.
            while let Ok(len @ 1..) = controller.read(&mut block) {
                sink.lock().unwrap().extend_from_slice(&block[..len]);
            }
        });
        Self {
            tty,
            initial_modes,
            written,
        }
    }

    /// The terminal as a program opens it.
    pub fn tty(&self) -> File {
        self.tty.try_clone().unwrap()
    }

    /// Changes the size, as for a window that is resized. The caller sends SIGWINCH.
    pub fn resize(&self, columns: u16) {
        tcsetwinsize(
            &self.tty,
            Winsize {
                ws_row: 24,
                ws_col: columns,
                ws_xpixel: 0,
                ws_ypixel: 0,
            },
        )
        .unwrap();
    }

    /// Asserts that the program restored the terminal: its modes, the cursor, the colours and the
    /// main screen.
    #[track_caller]
    pub fn assert_restored(&self) {
        let (now, initial) = (tcgetattr(&self.tty).unwrap(), &self.initial_modes);
        assert_eq!(
            (now.local_modes, now.input_modes),
            (initial.local_modes, initial.input_modes)
        );
        assert!(
            now.local_modes
                .contains(LocalModes::ECHO | LocalModes::ICANON)
        );
        let text = self.text();
        let is_off =
            |on: &str, off: &str| text.rfind(on) <= text.rfind(off) || text.rfind(on).is_none();
        assert!(is_off("\x1b[?25l", "\x1b[?25h"), "the cursor is hidden");
        assert!(
            is_off("\x1b[?1049h", "\x1b[?1049l"),
            "the alternate screen is active"
        );
        assert!(is_off("\x1b[1;", "\x1b[0m"), "a colour is set");
    }

    /// The text that was written so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().unwrap()).into_owned()
    }
}
