//! A limited resource that several owners share, so that none of them can take all of it.
//!
//! An owner may have at most as much as is free: one owner gets up to a half, the next one up to a
//! half of the rest, and so on until only single places are left.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::sync::lock;

/// The resource: places, or bytes.
#[derive(Debug)]
pub struct FairShare {
    capacity: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    by_owner: HashMap<String, usize>,
}

/// The part that an owner has, until this is dropped.
#[derive(Debug)]
pub struct Share {
    resource: Arc<FairShare>,
    owner: String,
    amount: usize,
}

impl FairShare {
    #[must_use]
    pub fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            capacity,
            taken: Mutex::default(),
        })
    }

    /// Takes an amount. Returns `None` if the owner must not have more at this moment.
    #[must_use]
    pub fn try_take(self: &Arc<Self>, owner: &str, amount: usize) -> Option<Share> {
        let mut share = Share {
            resource: Arc::clone(self),
            owner: owner.to_owned(),
            amount: 0,
        };
        share.try_grow(amount).then_some(share)
    }
}

impl Share {
    /// Takes some more. Returns false, and takes nothing, if the owner must not have more at this
    /// moment.
    pub fn try_grow(&mut self, amount: usize) -> bool {
        let taken = &mut *lock(&self.resource.taken);
        let has = taken.by_owner.get(&self.owner).copied().unwrap_or(0);
        let free = self.resource.capacity.saturating_sub(taken.total);
        if has.saturating_add(amount) > free {
            return false;
        }
        taken.total += amount;
        *taken.by_owner.entry(self.owner.clone()).or_default() += amount;
        self.amount += amount;
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let taken = &mut *lock(&self.resource.taken);
        taken.total -= self.amount;
        if let Some(has) = taken.by_owner.get_mut(&self.owner) {
            *has -= self.amount;
            if *has == 0 {
                taken.by_owner.remove(&self.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take_all(resource: &Arc<FairShare>, owner: &str) -> Vec<Share> {
        std::iter::from_fn(|| resource.try_take(owner, 1)).collect()
    }

    #[test]
    fn each_further_owner_gets_some() {
        let places = FairShare::new(256);
        let mut shares: Vec<_> = (0..10)
            .map(|number| take_all(&places, &number.to_string()))
            .collect();
        let counts: Vec<_> = shares.iter().map(Vec::len).collect();
        assert_eq!(counts, [128, 64, 32, 16, 8, 4, 2, 1, 1, 0]);
        // Three owners keep 60, 60 and 32 places: a new one gets a half of the other 104.
        shares.truncate(3);
        for share in &mut shares {
            share.truncate(60);
        }
        assert_eq!(take_all(&places, "new").len(), 52);
        drop(shares);
        assert_eq!(take_all(&places, "new").len(), 128);
    }

    #[test]
    fn amounts_grow_within_the_share_of_an_owner() {
        let bytes = FairShare::new(100);
        let mut first = bytes.try_take("a", 30).unwrap();
        assert!(first.try_grow(20));
        assert!(!first.try_grow(1));
        assert!(bytes.try_take("a", 1).is_none());
        let other = bytes.try_take("b", 25).unwrap();
        assert!(bytes.try_take("b", 1).is_none());
        drop(first);
        assert!(bytes.try_take("b", 12).is_some());
        drop(other);
        assert!(lock(&bytes.taken).by_owner.is_empty());
    }
}
