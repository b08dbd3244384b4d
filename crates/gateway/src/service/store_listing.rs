//! The objects of many uploads in the store's listing. A page has up to 1000 objects, so that a
//! tree of files costs a few requests to the store instead of one for each file.
//!
//! Not here: what follows for an upload (`known_objects`, `statuses`).

use std::time::Duration;

use tokio::time::Instant;

use super::shared_state::Service;
use crate::ledger::RecordedObject;

/// A page of the listing must confirm this many objects, otherwise some of the next ones are left
/// out: fewer objects are cheaper to check one by one.
const MIN_LISTED: usize = 4;
/// How long the pages of one call may take. A client waits a minute for the response.
const LISTING_TIME_LIMIT: Duration = Duration::from_secs(20);

impl Service {
    /// For each object, whether the store's listing has it with the recorded size and `ETag`. False
    /// if that is not known: some stores list new objects late, objects that are far apart in the
    /// listing are left out, and the time is limited. Another program may have put an object with
    /// the same bytes.
    pub(super) async fn find_in_listing(&self, objects: &[&RecordedObject]) -> Vec<bool> {
        let mut is_listed = vec![false; objects.len()];
        let mut order: Vec<usize> = (0..objects.len()).collect();
        order.sort_by_key(|index| &objects[*index].key);
        let folder = match (order.first(), order.last()) {
            (Some(first), Some(last)) => {
                common_folder(objects[*first].key.as_str(), objects[*last].key.as_str())
            }
            _ => return is_listed,
        };
        let mut rest = order.as_slice();
        let mut left_out = 0;
        let deadline = Instant::now() + LISTING_TIME_LIMIT;
        while rest.len() >= MIN_LISTED && Instant::now() < deadline {
            let _permit = self.store_calls.acquire().await;
            let page = self.store.list_objects(folder, &objects[rest[0]].key);
            let page = match page.await {
                Ok(page) => page,
                Err(fault) => {
                    tracing::debug!(?fault, "could not list objects");
                    break;
                }
            };
            let last = page.objects.last_key_value().map(|(key, _)| key);
            let is_on_page = |index: &usize| {
                !page.is_truncated || last.is_some_and(|last| objects[*index].key <= *last)
            };
            let (on_page, others) = rest.split_at(rest.partition_point(is_on_page));
            let mut confirmed = 0;
            for index in on_page {
                let recorded = objects[*index];
                let listed = page.objects.get(&recorded.key);
                is_listed[*index] = listed
                    .is_some_and(|one| one.size == recorded.size && one.etag == recorded.etag);
                confirmed += usize::from(is_listed[*index]);
            }
            left_out = next_left_out(left_out, confirmed);
            rest = others.get(left_out..).unwrap_or_default();
        }
        is_listed
    }
}

/// How many objects after a page are left out, given the number after the previous page and the
/// objects that this page has confirmed. It doubles with each page that confirms few.
fn next_left_out(left_out: usize, confirmed: usize) -> usize {
    if confirmed >= MIN_LISTED {
        return 0;
    }
    left_out.saturating_mul(2).max(MIN_LISTED)
}

/// The deepest folder of two keys, such as `uploads/owner/`; empty if they have none in common.
fn common_folder<'a>(first: &'a str, last: &str) -> &'a str {
    let same = first.bytes().zip(last.bytes()).take_while(|(a, b)| a == b);
    let shared = &first.as_bytes()[..same.count()];
    let end = shared.iter().rposition(|byte| *byte == b'/');
    end.map_or("", |end| &first[..=end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_folder_ends_with_a_slash() {
        for (first, last, folder) in [
            ("uploads/o/a.bin", "uploads/o/b.bin", "uploads/o/"),
            ("a/b/c", "a/bb/c", "a/"),
            ("a/ä", "a/å", "a/"),
            ("a/b", "a/b", "a/"),
            ("a", "b", ""),
        ] {
            assert_eq!(common_folder(first, last), folder, "{first} {last}");
        }
    }

    #[test]
    fn sparse_objects_need_few_pages() {
        let (mut pages, mut left_out, mut rest) = (0, 0, 4000_usize);
        while rest >= MIN_LISTED {
            pages += 1;
            left_out = next_left_out(left_out, 1);
            rest = rest.saturating_sub(1 + left_out);
        }
        assert!(pages < 12, "{pages}");
        assert_eq!(next_left_out(64, MIN_LISTED), 0);
    }
}
