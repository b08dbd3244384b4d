//! Bars on a terminal: one for each source that moves, one for all, and a line that stays for each that ended.
//!
//! Border: the one door to indicatif; words come from `item`.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::item::{Item, Items, failure, remark};
use super::text::{escape, fit};
use super::{Loudness, Said};
use crate::event::Event;

/// How often a second the screen is drawn at most.
const HERTZ: u8 = 10;
/// How often all sources are added up.
const ADD_UP: Duration = Duration::from_millis(100);
/// The most bars at once; other sources are in the total alone until one ends.
const BARS: usize = 6;
/// Columns a name takes.
const NAME: usize = 24;
/// Columns the name and what is there of it take, before the bar.
const HEAD: usize = 44;
/// Of these, what is there of it: `100% of 1023 MiB`, and a gap.
const SHARE: usize = 18;
/// Columns that the smallest bar takes with its gap and its ends.
const BESIDE: usize = 8;

/// The reporter for terminals.
#[derive(Debug)]
pub struct Bars {
    screen: MultiProgress,
    items: Items,
    loudness: Loudness,
    moving: BTreeMap<usize, ProgressBar>,
    total: Option<ProgressBar>,
    /// When the total was added up: with thousands of sources, not at each of their events.
    added_up: Instant,
}

impl Bars {
    pub fn new(loudness: Loudness, now: Instant) -> Self {
        Self::on_target(ProgressDrawTarget::stderr_with_hz(HERTZ), loudness, now)
    }

    /// A reporter without a screen.
    #[cfg(test)]
    pub(super) fn hidden(loudness: Loudness, now: Instant) -> Self {
        Self::on_target(ProgressDrawTarget::hidden(), loudness, now)
    }

    fn on_target(target: ProgressDrawTarget, loudness: Loudness, now: Instant) -> Self {
        let screen = MultiProgress::with_draw_target(target);
        Self {
            screen,
            items: Items::new(now),
            loudness,
            moving: BTreeMap::new(),
            total: None,
            added_up: now,
        }
    }

    /// The screen, for whoever else writes to the terminal.
    pub fn screen(&self) -> MultiProgress {
        self.screen.clone()
    }

    /// Moves the bars as an event says, and gives what is to be said beside them.
    pub fn on(&mut self, event: &Event, now: Instant) -> Said {
        let item = self.items.note(event);
        let mut said = Said::default();
        if let Event::Completed { receipt, .. } = event {
            said.data.push(escape(&receipt.location));
        }
        said.failure = failure(event);
        said.remarks
            .extend(remark(event, &self.items, self.loudness.verbose));
        match (event, item) {
            (Event::Plan { .. } | Event::Progress { .. } | Event::Waiting { .. }, Some(item)) => {
                self.draw(item);
            }
            (Event::Completed { .. } | Event::Failed { .. }, Some(item)) => {
                if let Some(bar) = self.moving.remove(&item) {
                    bar.finish_and_clear();
                    self.screen.remove(&bar);
                }
                // What failed before it was opened has its error only; a single success is told by the summary.
                let several = self.items.several();
                let told = |item: &&Item| if item.failed { item.size > 0 } else { several };
                said.remarks
                    .extend(self.items.get(item).filter(told).map(Item::ending));
            }
            (Event::Exit { .. }, _) => {
                self.clear();
                said.remarks.extend(self.items.summary(event, now));
            }
            _ => {}
        }
        self.draw_total(now);
        said
    }

    /// Writes what was said above the bars: `write` runs while they are off the screen.
    pub fn beside<T>(&self, write: impl FnOnce() -> T) -> T {
        self.screen.suspend(write)
    }

    /// Takes every bar off the screen.
    pub fn clear(&mut self) {
        for bar in std::mem::take(&mut self.moving)
            .into_values()
            .chain(self.total.take())
        {
            bar.finish_and_clear();
        }
    }

    fn draw(&mut self, index: usize) {
        let Some(item) = self.items.get(index).filter(|item| !item.ended) else {
            return;
        };
        if !self.moving.contains_key(&index) {
            if self.moving.len() >= BARS {
                return;
            }
            let bar = blank();
            show(&bar, item);
            let bar = match &self.total {
                Some(total) => self.screen.insert_before(total, bar),
                None => self.screen.add(bar),
            };
            self.moving.insert(index, bar);
        } else if let Some(bar) = self.moving.get(&index) {
            show(bar, item);
        }
    }

    fn draw_total(&mut self, now: Instant) {
        let fresh = now.saturating_duration_since(self.added_up) < ADD_UP;
        if !self.items.several() || self.moving.is_empty() || (fresh && self.total.is_some()) {
            return;
        }
        self.added_up = now;
        let screen = &self.screen;
        let total = self.total.get_or_insert_with(|| screen.add(blank()));
        show(total, &self.items.total());
    }
}

fn show(bar: &ProgressBar, item: &Item) {
    bar.set_length(item.size.max(1));
    let (name, head) =
        columns(rustix::termios::tcgetwinsize(io::stderr()).map_or(0, |size| size.ws_col));
    bar.set_prefix(fit(
        &format!("{}  {}", fit(&item.name, name), item.share()),
        head,
    ));
    bar.set_message(item.motion());
    // An empty source is whole from the start.
    bar.set_position(if item.size == 0 { 1 } else { item.confirmed });
}

/// Columns for the name, and for all before the bar, on a screen of so many; 0 is one that does not say.
fn columns(screen: u16) -> (usize, usize) {
    let head = match screen {
        0 => HEAD,
        screen => HEAD.min(usize::from(screen).saturating_sub(BESIDE)),
    };
    (NAME.min(head.saturating_sub(SHARE)), head)
}

/// A bar that is on no screen yet.
fn blank() -> ProgressBar {
    ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()).with_style(style())
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{prefix} [{wide_bar}]\n    {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

/// Standard error for logs: what is written goes above the bars.
#[derive(Debug, Clone, Default)]
pub struct Log(pub(super) Option<MultiProgress>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &self.0 {
            Some(screen) => screen.suspend(|| io::stderr().write(bytes)),
            None => io::stderr().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_screen_takes_from_the_name_first() {
        assert_eq!((columns(0), columns(80)), ((NAME, HEAD), (NAME, HEAD)));
        assert_eq!(columns(40), (14, 32));
        assert_eq!((columns(20), columns(1)), ((0, 12), (0, 0)));
    }
}
