//! Finds out what the store can be held to, by what it refuses: a wrong body, a wrong length, a header that was not signed.
//!
//! Border: reports; whether that is enough to serve is decided where the gateway starts. A capability is what a wrong body
//! was refused for, never what a version says.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use md5::{Digest as _, Md5 as Md5Hash};
use tracing::{debug, warn};
use uuid::Uuid;

use super::profile::{Capability, Finding, Held, Profile};
use super::sign::{Presigned, body_headers};
use super::trials::{self, Trials};
use super::{Fault, NewObject, Store, client};
use upload_types::names::{Key, Md5, PartNumber, Sha256};
use upload_types::wire::{PartSpec, Proof};

/// Where the probe tries. No owner's segment is so short.
const PLACE: &str = "uploads/probe/";
/// What a probe has not taken away after so long, nobody will.
const LEFT: Duration = Duration::from_mins(15);
/// What a probing URL lives.
pub(super) const LIFE: Duration = Duration::from_mins(5);
/// Of one length, so that only their hashes tell them apart.
pub(super) const RIGHT: &[u8] = b"the bytes that were signed";
const WRONG: &[u8] = b"the bytes that were forged";
pub(super) const SECRET: &[u8] = b"an object that no presigned PUT may copy";
static NO_METADATA: BTreeMap<String, String> = BTreeMap::new();
/// What every object of a probe is given.
pub(super) static TRIAL: NewObject<'static> = NewObject {
    content_type: "application/octet-stream",
    token: "probe",
    metadata: &NO_METADATA,
};
/// What objects of a probe are called behind its own key.
const OBJECTS: [&str; 5] = ["source", "whole", "empty", "large", "copy"];

/// How much is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// What a gateway cannot serve without: the strongest proof, lengths, smuggling. Some ten small requests.
    Proofs,
    /// And what it goes by, some twenty more.
    Start,
    /// And what people ask about, with 11 MiB of parts.
    Full,
}

/// What the store did with one body.
struct Answered {
    taken: bool,
    did: String,
}

/// Tries the proofs from the strongest down, then the rest with what was found; with `all`, the proofs that are weaker too.
///
/// # Errors
/// [`Fault`] when the store takes no upload at all, or fails on and on.
pub(super) async fn run(store: &Store, depth: Depth, all: bool) -> Result<Profile, Fault> {
    let key = place(Uuid::new_v4())?;
    let mut profile = Profile::default();
    let mut found = false;
    // SHA-256 is asked for when an upload is created, so the others are tried in an upload of their own.
    for proofs in [
        &[Proof::Sha256][..],
        &[Proof::Payload, Proof::Md5, Proof::None],
    ] {
        if found && !all {
            break;
        }
        let store = store.clone().with_proof(proofs[0]);
        let upload = match store.create(&key, &TRIAL).await {
            Ok(upload) => upload,
            // Only for good: a store that is down for a moment must not end up with a weaker proof.
            Err(fault @ Fault::Refused(_)) if proofs[0] == Proof::Sha256 => {
                debug!(%fault, "the store creates no upload with SHA-256 checksums");
                profile.found(
                    Capability::Sha256,
                    Finding::new(Held::Refused, fault.to_string()),
                );
                continue;
            }
            Err(fault) => return Err(fault),
        };
        let bench = Bench {
            store: &store,
            key: &key,
            upload: &upload,
        };
        let tried = bench.all(proofs, (depth, all), found, &mut profile).await;
        let aborted = store.abort(&key, &upload).await;
        found |= tried?;
        aborted?;
    }
    if !found {
        return Err(Fault::Refused("the store takes no presigned part".into()));
    }
    if depth == Depth::Full {
        verify(store, &key).await?;
    }
    Ok(profile)
}

/// Looks whether anything of a probe is still there, and says so.
async fn verify(store: &Store, key: &Key) -> Result<(), Fault> {
    let (uploads, _) = store.page(&store.whole(key), None).await?;
    for upload in uploads {
        warn!(key = %upload.key, "a multipart upload of the probe is still there");
    }
    for object in OBJECTS {
        let object = beside(key, object)?;
        if store.head(&object).await?.is_some() {
            warn!(key = %object, "an object of the probe is still there: DeleteObject is needed to take it away");
        }
    }
    Ok(())
}

/// Takes away what probes have left that died [`LEFT`] before `now` and earlier: at each of their keys a multipart upload, and perhaps
/// others and objects beside it. Gives how many uploads there were. Nothing else is touched, whoever's it is.
///
/// # Errors
/// [`Fault`] when the store does not list, delete or abort.
pub(super) async fn clear(store: &Store, now: Timestamp) -> Result<usize, Fault> {
    let before = now.checked_sub(LEFT).unwrap_or(Timestamp::MIN);
    let prefix = store.within(PLACE);
    // What is behind the first thousand, the next start takes away.
    let (uploads, _) = store.page(&prefix, None).await?;
    let mut cleared = 0;
    for upload in uploads {
        let begun = upload.initiated.parse::<Timestamp>();
        let of_probe = upload.key.strip_prefix(&prefix).and_then(whose);
        let (Ok(begun), Some((id, object))) = (begun, of_probe) else {
            continue;
        };
        if begun < before {
            let mut key = place(id)?;
            match object {
                // The objects first: this multipart upload is what they are found by.
                None => delete(store, &key, &OBJECTS).await?,
                Some(object) => key = beside(&key, object)?,
            }
            store.abort(&key, &upload.id).await?;
            cleared += 1;
        }
    }
    Ok(cleared)
}

/// Which probe a key behind [`PLACE`] is of, and which of its objects.
fn whose(rest: &str) -> Option<(Uuid, Option<&'static str>)> {
    let (id, object) = rest.split_at_checked(36)?;
    let id = Uuid::try_parse(id).ok()?;
    if object.is_empty() {
        return Some((id, None));
    }
    let object = object.strip_prefix('-')?;
    Some((
        id,
        Some(OBJECTS.into_iter().find(|known| *known == object)?),
    ))
}

/// Those of its objects that a probe may have made.
fn objects(depth: Depth) -> &'static [&'static str] {
    match depth {
        Depth::Proofs => &["source"],
        Depth::Start => &["source", "whole"],
        Depth::Full => &OBJECTS,
    }
}

/// Takes objects of one probe away.
async fn delete(store: &Store, key: &Key, objects: &[&str]) -> Result<(), Fault> {
    for object in objects {
        store.delete(&beside(key, object)?).await?;
    }
    Ok(())
}

/// The key of one probe.
fn place(id: Uuid) -> Result<Key, Fault> {
    format!("{PLACE}{id}")
        .parse()
        .map_err(|_| Fault::Refused("the probe's key cannot be used".into()))
}

/// The key of one of its objects.
pub(super) fn beside(key: &Key, object: &str) -> Result<Key, Fault> {
    format!("{key}-{object}")
        .parse()
        .map_err(|_| Fault::Refused("the probe's key cannot be used".into()))
}

/// The multipart upload that is tried on.
struct Bench<'a> {
    store: &'a Store,
    key: &'a Key,
    upload: &'a str,
}

impl Bench<'_> {
    /// Tries the proofs, and whatever else with the first that holds, unless one was `found` before; whether one is now.
    async fn all(
        &self,
        proofs: &[Proof],
        (depth, all): (Depth, bool),
        found: bool,
        profile: &mut Profile,
    ) -> Result<bool, Fault> {
        let mut proven = None;
        // Each trial has a part of its own, so that none is taken for another's.
        for (&proof, number) in proofs.iter().zip(1..) {
            let known = found || proven.is_some();
            if known && (!all || proof == Proof::None) {
                break;
            }
            let finding = self.holds(proof, nth(number)).await?;
            if finding.held == Held::Yes && !known {
                proven = Some(proof);
            }
            if let Some(capability) = Capability::of(proof) {
                profile.found(capability, finding);
            }
        }
        let Some(proof) = proven else {
            return Ok(false);
        };
        let tried = self.rest(proof, depth, profile).await;
        // However that ends, its objects may be there.
        if let Err(fault) = delete(self.store, self.key, objects(depth)).await {
            warn!(%fault, key = %self.key, "objects of the probe could not be deleted");
        }
        tried.map(|()| true)
    }

    async fn rest(&self, proof: Proof, depth: Depth, profile: &mut Profile) -> Result<(), Fault> {
        let length = self.refuses_length(proof).await?;
        profile.found(Capability::Length, length);
        let store = self.store.clone().with_proof(proof);
        let put_once = trials::put_once(&store, &beside(self.key, "source")?).await?;
        profile.found(Capability::PutOnce, put_once);
        let smuggling = self.refuses_smuggling(proof).await?;
        profile.found(Capability::Smuggling, smuggling);
        let trials = Trials {
            store: &store,
            key: self.key,
            upload: self.upload,
        };
        if depth >= Depth::Start {
            trials.small(profile).await;
        }
        if depth >= Depth::Full {
            trials.large(profile).await;
        }
        Ok(())
    }

    /// Whether the right body is taken and another of its length is refused, and not kept. Without a proof, only the first.
    async fn holds(&self, proof: Proof, number: PartNumber) -> Result<Finding, Fault> {
        let headers = body_headers(proof, &spec(number, RIGHT))?;
        let mut did = String::new();
        if proof != Proof::None {
            let wrong = self.put(number, headers.clone(), WRONG, None).await?;
            if wrong.taken {
                return Ok(Finding::new(Held::No, wrong.did));
            }
            if self.size_of(number).await?.is_some() {
                warn!(
                    ?proof,
                    "the store refuses a wrong body and keeps it all the same"
                );
                return Ok(Finding::new(
                    Held::No,
                    format!("{}, and kept it", wrong.did),
                ));
            }
            did = wrong.did;
        }
        let right = self.put(number, headers, RIGHT, None).await?;
        if !right.taken {
            return Ok(Finding::new(Held::Refused, right.did));
        }
        if proof == Proof::Sha256 {
            let (parts, _) = self.store.list(self.key, self.upload, None).await?;
            if parts
                .iter()
                .all(|part| part.sha256 != Some(Sha256::of(RIGHT)))
            {
                debug!("the store checks SHA-256 checksums, and does not list them");
            }
        }
        Ok(Finding::new(Held::Yes, did))
    }

    /// Whether a body longer than was signed is refused for its length: its hash is the one signed.
    async fn refuses_length(&self, proof: Proof) -> Result<Finding, Fault> {
        let number = nth(11);
        let longer = [RIGHT, b"!"].concat();
        let mut part = spec(number, &longer);
        part.size -= 1;
        let headers = body_headers(proof, &part)?;
        let wrong = self.put(number, headers, &longer, None).await?;
        Ok(Finding::new(
            if wrong.taken { Held::No } else { Held::Yes },
            wrong.did,
        ))
    }

    /// Whether a header that makes a copy of the request does nothing where it was not signed.
    async fn refuses_smuggling(&self, proof: Proof) -> Result<Finding, Fault> {
        let source = beside(self.key, "source")?;
        let number = nth(12);
        let from = format!("/{}/{}", self.store.bucket, self.store.whole(&source));
        let headers = body_headers(proof, &spec(number, RIGHT))?;
        let wrong = self.put(number, headers, RIGHT, Some(&from)).await?;
        // Whatever it said: Ceph 16 says 400 `RequestTimeout`.
        let there = self.size_of(number).await?;
        Ok(match there {
            None => Finding::new(Held::Yes, wrong.did),
            Some(size) if size == RIGHT.len() as u64 => {
                Finding::new(Held::Yes, format!("{}, and did not copy", wrong.did))
            }
            Some(_) => Finding::new(Held::No, format!("{}, and copied", wrong.did)),
        })
    }

    /// Sends one body under a URL signed for these headers.
    async fn put(
        &self,
        number: PartNumber,
        headers: BTreeMap<String, String>,
        body: &[u8],
        copy_source: Option<&str>,
    ) -> Result<Answered, Fault> {
        let store = self.store;
        let mut last = Fault::Unavailable("UploadPart: not tried".into());
        for _ in 0..3 {
            let signed = store
                .presign_part(
                    &store.address,
                    self.key,
                    self.upload,
                    number,
                    headers.clone(),
                    LIFE,
                )
                .await?;
            let answer = store.send(signed, body, copy_source).await;
            let did = answer.as_ref().map(trials::did).unwrap_or_default();
            // What is smuggled is nothing that passes, whatever the code says.
            let for_good =
                copy_source.is_some() && answer.as_ref().is_ok_and(|a| a.status.is_client_error());
            match answer.and_then(|answer| client::check("UploadPart", answer)) {
                Ok(_) => return Ok(Answered { taken: true, did }),
                Err(fault @ Fault::Unavailable(_)) if !for_good => last = fault,
                Err(fault) => {
                    debug!(%fault, "refused");
                    return Ok(Answered { taken: false, did });
                }
            }
        }
        Err(last)
    }

    async fn size_of(&self, number: PartNumber) -> Result<Option<u64>, Fault> {
        let (parts, _) = self.store.list(self.key, self.upload, None).await?;
        Ok(parts
            .iter()
            .find(|part| part.number == number)
            .map(|part| part.size))
    }
}

impl Store {
    /// Sends a body as a client would, its true length for `content-length`, with or without a header nobody signed.
    pub(super) async fn send(
        &self,
        signed: Presigned,
        body: &[u8],
        copy_source: Option<&str>,
    ) -> Result<upload_net::Response, Fault> {
        let mut request = http::Request::put(signed.url.expose());
        for (name, value) in signed
            .headers
            .iter()
            .filter(|(name, _)| *name != "content-length")
        {
            request = request.header(name, value);
        }
        if let Some(source) = copy_source {
            request = request.header("x-amz-copy-source", source);
        }
        let request = request
            .body(body.to_vec())
            .map_err(|_| Fault::Refused("the probe cannot be sent".into()))?;
        client::send(&self.client.http, request, client::PATIENCE).await
    }
}

pub(super) fn nth(number: u32) -> PartNumber {
    PartNumber::try_from(number).unwrap_or(PartNumber::FIRST)
}

pub(super) fn spec(number: PartNumber, body: &[u8]) -> PartSpec {
    let md5 = Some(Md5::new(Md5Hash::digest(body).into()));
    PartSpec {
        number,
        size: body.len() as u64,
        sha256: Sha256::of(body),
        md5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probes_keys_are_known_and_no_others() {
        let id = Uuid::from_u128(7);
        assert_eq!(whose(&id.to_string()), Some((id, None)));
        for object in OBJECTS {
            let key = beside(&place(id).unwrap(), object).unwrap().to_string();
            assert_eq!(
                whose(key.strip_prefix(PLACE).unwrap()),
                Some((id, Some(object)))
            );
        }
        for other in [
            "notes",
            "",
            "00000000-0000-0000-0000-000000000007x",
            "00000000-0000-0000-0000-000000000007-mine",
        ] {
            assert_eq!(whose(other), None, "{other}");
        }
    }
}
