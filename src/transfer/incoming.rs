//! The items that are still being found: when they are taken, and their numbers.
//!
//! Not here: what follows from each (`set_items`).

use std::collections::VecDeque;

use super::items::{Incoming, ItemSet, Items, Selected};
use super::options::Item;

/// The most items that are taken before one of them starts.
pub const MAX_PENDING: usize = 256;

pub struct IncomingItems {
    set: Option<ItemSet>,
    /// The number of the next item.
    next_item: usize,
    /// The last report about the search.
    reported: Option<Selected>,
}

impl IncomingItems {
    /// The items that are known, with their numbers, and those that will be found. `first_item` is
    /// the number of the first.
    #[must_use]
    pub fn split(items: Items, first_item: usize) -> (VecDeque<(usize, Item)>, Self) {
        let (known, set) = match items {
            Items::Known(items) => (items, None),
            Items::Set(set) => (Vec::new(), Some(set)),
        };
        let next_item = first_item + known.len();
        let numbered = known.into_iter().enumerate();
        let numbered = numbered.map(|(index, item)| (first_item + index, item));
        let incoming = Self {
            set,
            next_item,
            reported: None,
        };
        (numbered.collect(), incoming)
    }

    /// Whether more may come.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.set.is_some()
    }

    /// Waits for the next one. Returns `None` at the end.
    pub async fn next(&mut self) -> Option<Incoming> {
        match &mut self.set {
            Some(set) => set.incoming.recv().await,
            None => None,
        }
    }

    /// The next one, if it is there already.
    pub fn try_next(&mut self) -> Option<Incoming> {
        self.set.as_mut()?.incoming.try_recv().ok()
    }

    /// The number of the next item.
    pub fn number(&mut self) -> usize {
        let number = self.next_item;
        self.next_item += 1;
        number
    }

    /// Ends the search. Returns what was to be found, if something is left.
    pub fn close(&mut self) -> Option<String> {
        let set = self.set.take()?;
        let has_ended = set.incoming.is_closed() && set.incoming.is_empty();
        (!has_ended).then_some(set.name)
    }

    /// How much was found, if it is more than at the last call.
    pub fn progress(&mut self) -> Option<Selected> {
        let so_far = self.set.as_ref()?.count.so_far();
        if self.reported == Some(so_far) {
            return None;
        }
        self.reported = Some(so_far);
        Some(so_far)
    }
}
