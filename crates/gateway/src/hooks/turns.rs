//! Chooses the owner whose hooks run next, so that the many uploads of one owner do not delay those
//! of others. Pure.

use std::collections::HashMap;

use jiff::Timestamp;

/// More owners than this are forgotten, and begin as new ones.
const MAX_OWNERS: usize = 10_000;

/// The order in which owners had their turns in this process.
#[derive(Debug, Clone, Default)]
pub struct Turns {
    last_turn: HashMap<String, u64>,
    count: u64,
}

/// The uploads of an owner whose hooks run at this moment.
pub type RunningByOwner = HashMap<String, usize>;

impl Turns {
    /// The index of the owner whose hooks run next: the one with the fewest running, then the one
    /// whose last turn is longest ago, then the one that has waited longest. `due` has each owner
    /// once, with the time since which it waits.
    pub fn next(&self, running: &RunningByOwner, due: &[(String, Timestamp)]) -> Option<usize> {
        let rank = |(owner, since): &(String, Timestamp)| {
            let running = running.get(owner).copied().unwrap_or(0);
            let last_turn = self.last_turn.get(owner).copied();
            (running, last_turn, *since)
        };
        let owners = due.iter().enumerate();
        let next = owners.min_by_key(|(_, owner)| rank(owner));
        next.map(|(index, _)| index)
    }

    /// Records a turn of an owner.
    pub fn record(&mut self, owner: &str) {
        if self.last_turn.len() >= MAX_OWNERS {
            self.last_turn.clear();
        }
        self.last_turn.insert(owner.to_owned(), self.count);
        self.count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs up to `slots` hooks at a time; each ends after as many steps as there are slots.
    /// Returns the owners in their order.
    fn order(backlog: &[(&str, usize)], slots: usize) -> Vec<String> {
        let mut waiting: HashMap<String, usize> = backlog
            .iter()
            .map(|(owner, count)| ((*owner).to_owned(), *count))
            .collect();
        let since = |owner: &str| {
            let place = backlog.iter().position(|(other, _)| *other == owner);
            Timestamp::from_second(i64::try_from(place.unwrap()).unwrap()).unwrap()
        };
        let (mut turns, mut order) = (Turns::default(), Vec::<String>::new());
        loop {
            let mut running = RunningByOwner::new();
            for owner in order.iter().rev().take(slots - 1) {
                *running.entry(owner.clone()).or_default() += 1;
            }
            let mut due: Vec<_> = waiting
                .iter()
                .filter(|(_, count)| **count > 0)
                .map(|(owner, _)| (owner.clone(), since(owner)))
                .collect();
            due.sort_unstable();
            let Some(index) = turns.next(&running, &due) else {
                return order;
            };
            let owner = due[index].0.clone();
            turns.record(&owner);
            *waiting.get_mut(&owner).unwrap() -= 1;
            order.push(owner);
        }
    }

    #[test]
    fn owner_with_one_upload_does_not_wait_for_another_with_many() {
        for slots in [1, 4] {
            let order = order(&[("many", 120), ("one", 1)], slots);
            assert_eq!(order.len(), 121);
            assert!(order[..2].contains(&"one".to_owned()), "{slots}");
        }
    }

    #[test]
    fn owners_take_turns_even_if_there_are_more_of_them_than_slots() {
        let many = [
            ("a", 50),
            ("b", 50),
            ("c", 50),
            ("d", 50),
            ("e", 50),
            ("new", 2),
        ];
        for slots in [1, 4] {
            let order = order(&many, slots);
            let places: Vec<_> = (0..order.len()).filter(|i| order[*i] == "new").collect();
            assert!(places[0] < 6 && places[1] < 12, "{slots}: {places:?}");
        }
    }

    #[test]
    fn waiting_longest_counts_among_new_owners() {
        assert_eq!(
            order(&[("first", 1), ("second", 1)], 4),
            ["first", "second"]
        );
        assert_eq!(Turns::default().next(&RunningByOwner::new(), &[]), None);
    }
}
