//! A begin at a key that the client has chosen: whether the owner may choose it, whether another
//! upload is unfinished there, and whether there is an object.
//!
//! The order matters. First the ledger is searched for an unfinished upload: its object may be in
//! the store before it is verified. Then the store is asked for an object. Then the row is
//! inserted, which fails if another upload has begun at the key in the meantime.
//!
//! Not here: the form of keys and patterns (`key_patterns`), and the complete (`chosen_complete`).

use std::sync::Arc;

use globset::GlobSet;
use tokio::time::timeout;

use super::existing::Leftover;
use super::new_upload::Arrival;
use super::shared_state::Service;
use crate::auth::Owner;
use crate::hooks::OnReject;
use crate::key_patterns::{self, ClientKeys, KeyError, MADE_KEYS_FOLDER};
use crate::ledger::{BeginRefusal, ChosenKey, NewUpload, Upload};
use crate::problem::{Refusal, ledger_failed, store_failed, store_rejected};
use upload_s3::{Fault, Head, NewObject};
use upload_types::sync::lock;
use upload_types::wire::{BeginRequest, Code, IfExists, UploadState};
use upload_types::{ETag, Key};

/// How often a begin checks the key, each time after another upload there has ended.
const MAX_KEY_CHECKS: usize = 4;
/// The maximum of `Retry-After` before the end of a lease: its holder may end earlier.
const MAX_RETRY_SECONDS: u64 = 10;
/// Compiled patterns are kept for at most this many different sets.
const MAX_CACHED_PATTERNS: usize = 1000;

/// A key that the owner may choose.
pub struct RequestedKey {
    /// Without the prefix of the gateway, in its normal form.
    pub key: Key,
    pub if_exists: IfExists,
}

/// The result of the check of the key of a begin.
enum KeyCheck {
    /// The upload may begin.
    Free(ChosenKey),
    /// The object of an ended upload was there. It was removed, or that upload is complete now: the
    /// begin must check the key again.
    Changed,
}

impl Service {
    /// The globs of the keys that the owner may choose. Empty if it may choose none.
    pub(super) fn key_patterns(&self, owner: &Owner) -> Vec<String> {
        match self.config().client_keys {
            ClientKeys::None => Vec::new(),
            ClientKeys::ByPattern => owner.limits().keys.clone().unwrap_or_default(),
            ClientKeys::All => vec!["**".to_owned()],
        }
    }

    /// The key for which a begin asks. Returns `None` if the gateway is to make one.
    ///
    /// # Errors
    /// `key_invalid`; `key_not_allowed`; `invalid_request` for `if_exists` without a key.
    pub(super) fn requested_key(
        &self,
        owner: &Owner,
        request: &BeginRequest,
    ) -> Result<Option<RequestedKey>, Refusal> {
        let Some(key) = &request.key else {
            if request.if_exists.is_some() {
                let detail = "if_exists is only allowed with a key";
                return Err(Refusal::with_detail(Code::InvalidRequest, detail));
            }
            return Ok(None);
        };
        let not_allowed = |detail: &str| Refusal::with_detail(Code::KeyNotAllowed, detail);
        let patterns = self.key_patterns(owner);
        let config = self.config();
        if patterns.is_empty() {
            return Err(not_allowed(match config.client_keys {
                ClientKeys::None => "this gateway makes all keys: it lets no client choose one",
                _ => "this owner may choose no keys",
            }));
        }
        let prefix_bytes = self.store.prefix_bytes();
        let quarantine = match config.hooks.on_reject() {
            OnReject::Quarantine(prefix) => Some(prefix.as_str()),
            OnReject::Delete | OnReject::Keep => None,
        };
        let own_folders = [
            format!("{MADE_KEYS_FOLDER}/{}", owner.0),
            format!("{MADE_KEYS_FOLDER}/probe"),
        ];
        let mut reserved: Vec<&str> = quarantine.into_iter().collect();
        match config.client_keys {
            // The caller may have objects of other programs in that folder.
            ClientKeys::All => reserved.extend(own_folders.iter().map(String::as_str)),
            ClientKeys::None | ClientKeys::ByPattern => reserved.push(MADE_KEYS_FOLDER),
        }
        let form = config.client_keys.form();
        let key = key_patterns::usable_key(key, prefix_bytes, form, &reserved);
        let key = key.map_err(|error| match error {
            KeyError::Invalid(reason) => Refusal::with_detail(Code::KeyInvalid, reason),
            KeyError::Reserved => not_allowed(&format!(
                "keys below these folders are reserved for the gateway: {}",
                reserved.join(", ")
            )),
        })?;
        let is_allowed = config.client_keys == ClientKeys::All
            || self.compiled(&patterns).is_match(key.as_str());
        if !is_allowed {
            return Err(not_allowed(&format!("allowed: {}", patterns.join(", "))));
        }
        Ok(Some(RequestedKey {
            key,
            if_exists: request.if_exists.unwrap_or_default(),
        }))
    }

    /// Checks that an upload may replace the object with this `ETag`, if any.
    ///
    /// # Errors
    /// `key_not_allowed` if hooks check each object: a rejected one would have replaced an accepted
    /// one.
    pub(super) fn check_may_replace(&self, replaces: Option<&ETag>) -> Result<(), Refusal> {
        if replaces.is_none() || !self.has_hooks() {
            return Ok(());
        }
        let detail = "there is an object at this key, and this gateway replaces none: its hooks \
                      check an object only after it has taken its key";
        Err(Refusal::with_detail(Code::KeyNotAllowed, detail))
    }

    /// The patterns as one matcher, which matches nothing if one of them is not a glob.
    fn compiled(&self, patterns: &[String]) -> Arc<GlobSet> {
        let cached = lock(&self.compiled_patterns).get(patterns).cloned();
        if let Some(compiled) = cached {
            return compiled;
        }
        let compiled = key_patterns::compile(patterns).unwrap_or_else(|pattern| {
            tracing::error!(pattern, "a pattern of keys is not a glob");
            GlobSet::empty()
        });
        let compiled = Arc::new(compiled);
        let mut all = lock(&self.compiled_patterns);
        if all.len() >= MAX_CACHED_PATTERNS {
            all.clear();
        }
        all.insert(patterns.to_vec(), Arc::clone(&compiled));
        compiled
    }

    /// Inserts the row of an upload at a chosen key, or finds the row of an earlier request with
    /// the same idempotency key. Also returns true if the row is new.
    ///
    /// # Errors
    /// `exists`, `key_in_use`, `key_not_allowed`; those of [`Service::insert`];
    /// `store_unavailable`, `store_rejected`.
    pub(super) async fn insert_at_key(
        self: &Arc<Self>,
        owner: &Owner,
        idempotency_key: &str,
        requested: &RequestedKey,
        (request, arrival): (BeginRequest, Arrival),
    ) -> Result<(Upload, bool), Refusal> {
        for _ in 0..MAX_KEY_CHECKS {
            let key = &requested.key;
            let usage = self.ledger.key_usage(&owner.0, idempotency_key, key).await;
            let usage = usage.map_err(ledger_failed)?;
            let chosen = match (usage.repeated, usage.open) {
                // The object at the key may be its own.
                (Some(repeated), _) => repeated.spec.chosen,
                (None, Some(open)) => {
                    self.free_key(open).await?;
                    continue;
                }
                (None, None) => match self.check_key_for_begin(owner, requested, &request).await? {
                    KeyCheck::Free(chosen) => Some(chosen),
                    KeyCheck::Changed => continue,
                },
            };
            let arrival = Arrival {
                chosen: chosen.map(|chosen| (key.clone(), chosen)),
                ..arrival.clone()
            };
            let times = (self.now(), self.renewed());
            let new =
                NewUpload::from_request(owner, idempotency_key, request.clone(), arrival, times)?;
            match self.try_insert(owner, new).await? {
                Ok(begun) => return Ok(begun),
                Err(BeginRefusal::Excess(excess)) => return Err(excess.into()),
                Err(BeginRefusal::KeyInUse(_)) => {}
            }
        }
        Err(Refusal::retry_after(Code::KeyInUse, 1))
    }

    /// Ends an unfinished upload at a chosen key if its lease has ended. The caller then checks
    /// the key again: the upload may also have become complete.
    ///
    /// # Errors
    /// `key_in_use` until its lease has ended, or while another call works on it.
    async fn free_key(self: &Arc<Self>, open: Upload) -> Result<(), Refusal> {
        let now = self.now();
        if open.lease.until > now {
            let seconds = open.lease.until.duration_since(now).as_secs();
            let seconds = u64::try_from(seconds).unwrap_or(0);
            let seconds = seconds.clamp(1, MAX_RETRY_SECONDS);
            return Err(Refusal::retry_after(Code::KeyInUse, seconds));
        }
        let Ok(_guard) = self.lock_key(&open.owner, &open.idempotency_key) else {
            return Err(Refusal::retry_after(Code::KeyInUse, 1));
        };
        if open.state == UploadState::Completing {
            let id = open.id.clone();
            let time_limit = self.config().complete_timeout;
            // A task continues the complete after the time limit.
            let _ = timeout(time_limit, self.decide_abandoned_complete(open)).await;
            let row = self.ledger.upload_by_id(&id).await.map_err(ledger_failed)?;
            if row.is_some_and(|row| row.state == UploadState::Completing) {
                return Err(Refusal::retry_after(Code::KeyInUse, 1));
            }
            return Ok(());
        }
        let until = self.renewed().lease_until;
        let taken = self
            .ledger
            .take_over_key(&open.id, open.lease.epoch, now, until)
            .await;
        if !taken.map_err(ledger_failed)? {
            return Ok(());
        }
        tracing::info!(
            id = %open.id, key = %open.key,
            "lease of an unfinished upload has ended, and another upload begins at its key"
        );
        // Its multipart upload may have been created since the row was read.
        let row = self.ledger.upload_by_id(&open.id).await;
        let row = row.map_err(ledger_failed)?.unwrap_or(open);
        self.finish_abort(&row, row.state_after_abort()).await
    }

    /// Looks for an object at the key, and decides whether the upload may begin.
    async fn check_key_for_begin(
        &self,
        owner: &Owner,
        requested: &RequestedKey,
        request: &BeginRequest,
    ) -> Result<KeyCheck, Refusal> {
        let Some(object) = self.object_at(&requested.key).await? else {
            return Ok(KeyCheck::Free(ChosenKey {
                single_put: self.store.puts_once(),
                replaces: None,
            }));
        };
        let creator = match &object.token {
            Some(token) => {
                let creator = self.ledger.upload_of_object(&requested.key, token).await;
                creator.map_err(ledger_failed)?
            }
            None => None,
        };
        if let Some(creator) = &creator {
            match self.remove_leftover_object(creator).await? {
                Leftover::Removed => return Ok(KeyCheck::Changed),
                Leftover::Undecided => return Err(Refusal::retry_after(Code::KeyInUse, 1)),
                Leftover::Kept => {
                    let detail = "a hook has rejected the object at this key, and it is kept";
                    return Err(Refusal::with_detail(Code::KeyNotAllowed, detail));
                }
                Leftover::None => {}
            }
        }
        if requested.if_exists != IfExists::Overwrite {
            let existing = self
                .describe_existing(
                    owner,
                    &requested.key,
                    &object,
                    (&wanted_object(request), creator.as_ref()),
                )
                .await?;
            return Err(Refusal::exists(existing));
        }
        self.check_may_replace(Some(&object.etag))?;
        Ok(KeyCheck::Free(ChosenKey {
            // A PUT whose URL is used a second time would replace a later object.
            single_put: false,
            replaces: Some(object.etag),
        }))
    }

    async fn object_at(&self, key: &Key) -> Result<Option<Head>, Refusal> {
        let _permit = self.store_calls.acquire().await;
        self.store.head(key).await.map_err(|fault| {
            let refusal = store_failed("look for an object", &fault);
            // Without s3:ListBucket, S3 hides whether there is an object.
            match fault {
                Fault::Refused(_) => store_rejected(
                    "the store hides from the gateway whether there is an object at a key",
                ),
                _ => refusal,
            }
        })
    }
}

/// The properties that a request wants its object to have.
fn wanted_object(request: &BeginRequest) -> NewObject<'_> {
    NewObject {
        content_type: &request.content_type,
        // Objects of other programs have no names.
        name: "",
        token: "",
        metadata: &request.metadata,
        attributes: &request.attributes,
    }
}
