//! Trials of whole objects: conditions, sizes, checksums, what is left when something is done twice.
//!
//! Border: one trial, one finding; proofs, lengths and smuggling, and who cleans up, is `probe`. What a finding means is `profile`.

use std::time::Duration;

use http::{Method, StatusCode};
use tracing::debug;

use super::client;
use super::profile::{Capability, Finding, Held, Profile};
use super::sign::body_headers;
use super::{Fault, Store, probe, xml};
use upload_net::Response;
use upload_types::names::{Checksum, ETag, Key, PartNumber, Sha256};
use upload_types::wire::CompletePart;

/// How far back a URL was signed that is past its end, and how long it lived.
const AGO: Duration = Duration::from_hours(1);
const PAST: Duration = Duration::from_mins(1);
/// Parts that are not of one size, as no store refuses them for being small.
const UNEQUAL: [usize; 3] = [5 << 20, 6 << 20, 1];
/// The bytes that are copied of them: one part's length, across the border of two.
const COPIED: (u64, u64) = (1 << 20, (6 << 20) - 1);

/// What an answer says, as far as a trial goes by it.
struct Said {
    taken: bool,
    /// It failed for now, which says nothing.
    failing: bool,
    precondition: bool,
    /// `400 BadDigest`
    did: String,
}

impl Said {
    fn of(answer: &Response) -> Self {
        // Some say 200 and tell an error then.
        let code = xml::read_error(&answer.body).code;
        let status = answer.status;
        let taken = status.is_success() && code.is_empty();
        let precondition =
            status == StatusCode::PRECONDITION_FAILED || code == "PreconditionFailed";
        let failing = status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED
            || matches!(
                code.as_str(),
                "SlowDown" | "RequestTimeout" | "OperationAborted" | "ConditionalRequestConflict"
            );
        Self {
            taken,
            failing,
            precondition,
            did: did(answer),
        }
    }

    /// Of an answer to what was wrong: a finding, or none where it says nothing.
    fn to_wrong(&self) -> Finding {
        let held = match self {
            Self { failing: true, .. } => Held::Untried,
            Self { taken: true, .. } => Held::No,
            _ => Held::Yes,
        };
        Finding::new(held, self.did.as_str())
    }
}

/// Everything that is tried beside the proofs, all of it at keys that begin with the probe's.
pub(super) struct Trials<'a> {
    /// Held to the proof that was found.
    pub(super) store: &'a Store,
    pub(super) key: &'a Key,
    /// Open at `key`.
    pub(super) upload: &'a str,
}

impl Trials<'_> {
    /// Those that cost a few small requests.
    pub(super) async fn small(&self, profile: &mut Profile) {
        let expiry = self.expiry().await;
        profile.found(Capability::Expiry, finding(expiry));
        let listing = self.listing().await;
        profile.found(Capability::Listing, finding(listing));
        if let Err(fault) = self.whole(profile).await {
            debug!(%fault, "the trial of a whole object did not come to its end");
        }
    }

    /// Those that send megabytes, or that only people ask about.
    pub(super) async fn large(&self, profile: &mut Profile) {
        let empty = self.empty().await;
        profile.found(Capability::EmptyPart, finding(empty));
        let unequal = self.unequal().await;
        let there = matches!(
            unequal,
            Ok(Finding {
                held: Held::Yes,
                ..
            })
        );
        profile.found(Capability::UnequalParts, finding(unequal));
        if there {
            let copied = self.copied().await;
            profile.found(Capability::CopyRange, finding(copied));
        }
    }

    /// A URL past its end, for a part that would be right.
    async fn expiry(&self) -> Result<Finding, Fault> {
        let Store {
            address,
            client,
            proof,
            ..
        } = self.store;
        let url = address.object(&self.store.whole(self.key), &[])?;
        let (template, _) = client.signer.template(&url, self.upload, AGO).await?;
        let number = probe::nth(13);
        let headers = body_headers(*proof, &probe::spec(number, probe::RIGHT))?;
        let url = template.sign(number, &headers, PAST);
        let signed = super::sign::Presigned {
            url,
            headers,
            expires_in: 0,
        };
        Ok(Said::of(&self.store.send(signed, probe::RIGHT, None).await?).to_wrong())
    }

    /// Whether the upload that is open is found by what its key begins with.
    async fn listing(&self) -> Result<Finding, Fault> {
        let (uploads, _) = self.store.page(&self.store.whole(self.key), None).await?;
        let found = uploads.iter().any(|upload| upload.id == self.upload);
        Ok(if found {
            Finding::new(Held::Yes, "found")
        } else {
            Finding::new(Held::No, "not found")
        })
    }

    /// A small object of one part: completed with a wrong size, then rightly, looked at, completed again, and replaced.
    async fn whole(&self, profile: &mut Profile) -> Result<(), Fault> {
        let (key, size) = (self.beside("whole")?, probe::RIGHT.len() as u64);
        let (upload, parts) = self.sent(&key, &[probe::RIGHT]).await?;
        let body = self.store.complete_body(&parts);
        let ask = |once, size| self.store.ask_complete(&key, &upload, &body, once, size);
        let wrong = Said::of(&ask(false, Some(size + 1)).await?);
        let mut sized = wrong.to_wrong();
        if !wrong.taken {
            let right = Said::of(&ask(false, Some(size)).await?);
            if !right.taken {
                sized = Finding::new(Held::Refused, right.did);
                client::check("CompleteMultipartUpload", ask(false, None).await?)?;
            }
        }
        profile.found(Capability::ObjectSize, sized);

        let expected = Checksum::composite([&Sha256::of(probe::RIGHT)]);
        let kept = self.store.head(&key).await?.and_then(|head| head.checksum);
        let composite = match kept {
            Some(kept) if kept == expected => Finding::new(Held::Yes, "told it"),
            Some(_) => Finding::new(Held::No, "told another"),
            None => Finding::new(Held::No, "told none"),
        };
        profile.found(Capability::Composite, composite);

        let again = ask(false, None).await?;
        let unknown = client::error_of(&again).code == "NoSuchUpload";
        let said = Said::of(&again);
        let held = if said.taken || unknown {
            Held::Yes
        } else {
            Held::No
        };
        profile.found(Capability::CompleteAgain, Finding::new(held, said.did));

        let (upload, parts) = self.sent(&key, &[probe::RIGHT]).await?;
        let once = Said::of(
            &self
                .store
                .ask_complete(&key, &upload, &self.store.complete_body(&parts), true, None)
                .await?,
        );
        profile.found(Capability::CompleteOnce, once.of_condition());
        if once.taken {
            Ok(())
        } else {
            self.store.abort(&key, &upload).await
        }
    }

    async fn empty(&self) -> Result<Finding, Fault> {
        let key = self.beside("empty")?;
        self.completed(&key, &[b""]).await
    }

    async fn unequal(&self) -> Result<Finding, Fault> {
        let bodies = UNEQUAL.map(|size| vec![b'u'; size]);
        let key = self.beside("large")?;
        self.completed(&key, &bodies.each_ref().map(Vec::as_slice))
            .await
    }

    /// Some bytes of the large object, as an object of their own.
    async fn copied(&self) -> Result<Finding, Fault> {
        let (from, to) = (self.beside("large")?, self.beside("copy")?);
        let store = self
            .store
            .clone()
            .with_proof(upload_types::wire::Proof::None);
        let upload = store.create_plain(&to, &probe::TRIAL).await?;
        let tried = async {
            let etag = store
                .copy_part(&from, &to, &upload, PartNumber::FIRST, Some(COPIED))
                .await?;
            let body = xml::complete_body([(PartNumber::FIRST, &etag, None)].into_iter());
            client::check(
                "CompleteMultipartUpload",
                store.ask_complete(&to, &upload, &body, false, None).await?,
            )?;
            let there = store.head(&to).await?.map(|head| head.size);
            Ok::<_, Fault>(there == Some(COPIED.1 - COPIED.0 + 1))
        }
        .await;
        if !matches!(tried, Ok(true)) {
            let _ = store.abort(&to, &upload).await;
        }
        let copied = if tried? {
            (Held::Yes, "copied")
        } else {
            (Held::No, "copied something else")
        };
        Ok(Finding::new(copied.0, copied.1))
    }

    /// Whether an object of such parts can be made.
    async fn completed(&self, key: &Key, bodies: &[&[u8]]) -> Result<Finding, Fault> {
        let (upload, parts) = self.sent(key, bodies).await?;
        let said = Said::of(
            &self
                .store
                .ask_complete(key, &upload, &self.store.complete_body(&parts), false, None)
                .await?,
        );
        if !said.taken {
            self.store.abort(key, &upload).await?;
        }
        let held = match said {
            Said { failing: true, .. } => Held::Untried,
            Said { taken: true, .. } => Held::Yes,
            _ => Held::No,
        };
        Ok(Finding::new(held, said.did))
    }

    /// An upload at `key` with these parts in it; without them it is aborted.
    async fn sent(
        &self,
        key: &Key,
        bodies: &[&[u8]],
    ) -> Result<(String, Vec<CompletePart>), Fault> {
        let upload = self.store.create(key, &probe::TRIAL).await?;
        let mut parts = Vec::new();
        for (body, number) in bodies.iter().zip(1..) {
            match self.part(key, &upload, probe::nth(number), body).await {
                Ok(part) => parts.push(part),
                Err(fault) => {
                    self.store.abort(key, &upload).await?;
                    return Err(fault);
                }
            }
        }
        Ok((upload, parts))
    }

    async fn part(
        &self,
        key: &Key,
        upload: &str,
        number: PartNumber,
        body: &[u8],
    ) -> Result<CompletePart, Fault> {
        let store = self.store;
        let spec = probe::spec(number, body);
        let headers = body_headers(store.proof, &spec)?;
        let signed = store
            .presign_part(&store.address, key, upload, number, headers, probe::LIFE)
            .await?;
        let answer = client::check("UploadPart", store.send(signed, body, None).await?)?;
        let etag = answer
            .header("etag")
            .and_then(|etag| ETag::from_header(etag).ok());
        let etag =
            etag.ok_or_else(|| Fault::Unavailable("UploadPart: an answer without an ETag".into()))?;
        Ok(CompletePart {
            number,
            etag,
            sha256: spec.sha256,
        })
    }

    fn beside(&self, what: &str) -> Result<Key, Fault> {
        probe::beside(self.key, what)
    }
}

impl Said {
    /// Of an answer to a condition that does not hold.
    fn of_condition(&self) -> Finding {
        let held = match self {
            Self { failing: true, .. } => Held::Untried,
            Self { taken: true, .. } => Held::No,
            Self {
                precondition: true, ..
            } => Held::Yes,
            _ => Held::Refused,
        };
        Finding::new(held, self.did.as_str())
    }
}

/// What a store did, such as `400 BadDigest`.
pub(super) fn did(answer: &Response) -> String {
    let did = format!(
        "{} {}",
        answer.status.as_u16(),
        client::clean(&xml::read_error(&answer.body).code)
    );
    did.trim_end().to_owned()
}

/// Puts the object that nobody may copy, twice, both times on the condition that it is not there yet.
pub(super) async fn put_once(store: &Store, key: &Key) -> Result<Finding, Fault> {
    let first = Said::of(&put(store, key, true).await?);
    if !first.taken {
        client::check("PutObject", put(store, key, false).await?)?;
        let held = if first.failing {
            Held::Untried
        } else {
            Held::Refused
        };
        return Ok(Finding::new(held, first.did));
    }
    Ok(Said::of(&put(store, key, true).await?).of_condition())
}

async fn put(store: &Store, key: &Key, once: bool) -> Result<Response, Fault> {
    let mut headers = body_headers(store.proof, &probe::spec(PartNumber::FIRST, probe::SECRET))?;
    headers.extend(store.create_headers.clone());
    if once {
        headers.insert("if-none-match".into(), "*".into());
    }
    let url = store.address.object(&store.whole(key), &[])?;
    let signed = store
        .client
        .signer
        .presign(Method::PUT, &url, headers, probe::LIFE)
        .await?;
    store.send(signed, probe::SECRET, None).await
}

/// What a trial came to; one that failed says why, and nothing else.
fn finding(tried: Result<Finding, Fault>) -> Finding {
    tried.unwrap_or_else(|fault| match fault {
        Fault::Unavailable(why) => Finding::new(Held::Untried, why),
        fault => Finding::new(Held::No, fault.to_string()),
    })
}
