//! A terminal that nobody looks at: what is written to it is kept.
//!
//! Border: a pseudo-terminal of a given size; it keeps bytes and draws nothing.

use std::fs::File;
use std::io::Read;
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Termios, Winsize, tcgetattr, tcsetwinsize};

pub struct Terminal {
    line: File,
    modes: Termios,
    written: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    pub fn new(columns: u16) -> Self {
        let screen =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&screen).unwrap();
        unlockpt(&screen).unwrap();
        let name = ptsname(&screen, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let line = File::from(rustix::fs::open(name, flags, Mode::empty()).unwrap());
        let size = Winsize {
            ws_row: 24,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&line, size).unwrap();
        let modes = tcgetattr(&line).unwrap();
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
        Self {
            line,
            modes,
            written,
        }
    }

    /// The end a program writes to.
    pub fn line(&self) -> File {
        self.line.try_clone().unwrap()
    }

    /// Gives it another size, as a window that is dragged; the program is told by a signal of its own.
    pub fn resize(&self, columns: u16) {
        tcsetwinsize(
            &self.line,
            Winsize {
                ws_row: 24,
                ws_col: columns,
                ws_xpixel: 0,
                ws_ypixel: 0,
            },
        )
        .unwrap();
    }

    /// Asserts that a shell finds it as it was: its modes untouched, its cursor in sight, no colour left on, and no other screen
    /// in front.
    #[track_caller]
    pub fn assert_restored(&self) {
        let (now, then) = (tcgetattr(&self.line).unwrap(), &self.modes);
        assert_eq!(
            (now.local_modes, now.input_modes),
            (then.local_modes, then.input_modes)
        );
        assert!(
            now.local_modes
                .contains(LocalModes::ECHO | LocalModes::ICANON)
        );
        let text = self.text();
        let last =
            |on: &str, off: &str| text.rfind(on) <= text.rfind(off) || text.rfind(on).is_none();
        assert!(last("\x1b[?25l", "\x1b[?25h"), "the cursor is hidden");
        assert!(
            last("\x1b[?1049h", "\x1b[?1049l"),
            "another screen is in front"
        );
        assert!(last("\x1b[1;", "\x1b[0m"), "a colour is left on");
    }

    /// What has been written so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().unwrap()).into_owned()
    }
}
