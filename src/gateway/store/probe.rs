//! Finds out what the store can be held to, by what it refuses: a wrong body, a wrong length, a header that was not signed.
//!
//! Border: reports; whether that is enough to serve is decided where the gateway starts. A capability is what a wrong body
//! was refused for, never what a version says.

use std::collections::BTreeMap;
use std::time::Duration;

use http::Method;
use jiff::Timestamp;
use md5::{Digest as _, Md5 as Md5Hash};
use tracing::{debug, warn};
use uuid::Uuid;

use super::sign::{Presigned, body_headers};
use super::{Fault, NewObject, Probed, Store, client};
use crate::names::{Fingerprint, Key, Md5, PartNumber};
use crate::wire::{PartSpec, Proof};

/// Where the probe tries. No owner's segment is so short.
const PLACE: &str = "uploads/probe/";
/// What a probe has not taken away after so long, nobody will.
const LEFT: Duration = Duration::from_mins(15);
/// What a probing URL lives.
const LIFE: Duration = Duration::from_mins(5);
/// Of one length, so that only their hashes tell them apart.
const RIGHT: &[u8] = b"the bytes that were signed";
const WRONG: &[u8] = b"the bytes that were forged";
const SECRET: &[u8] = b"an object that no presigned PUT may copy";

/// What the store did with one body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Taken,
    Refused,
}

/// Tries the proofs from the strongest down, then length and smuggling with what was found.
///
/// # Errors
/// [`Fault`] when the store takes no upload at all, or fails on and on.
pub(super) async fn run(store: &Store) -> Result<Probed, Fault> {
    let key = place(Uuid::new_v4())?;
    let trial = NewObject { content_type: "application/octet-stream", token: "probe", metadata: &BTreeMap::new() };
    let mut found = None;
    // SHA-256 is asked for when an upload is created, so the others are tried in an upload of their own.
    for proofs in [&[Proof::Sha256][..], &[Proof::Payload, Proof::Md5, Proof::None]] {
        let store = store.clone().with_proof(proofs[0]);
        let upload = match store.create(&key, &trial).await {
            Ok(upload) => upload,
            // Only for good: a store that is down for a moment must not end up with a weaker proof.
            Err(fault @ Fault::Refused(_)) if proofs[0] == Proof::Sha256 => {
                debug!(%fault, "the store creates no upload with SHA-256 checksums");
                continue;
            }
            Err(fault) => return Err(fault),
        };
        let tried = try_upload(&store, &key, &upload, proofs).await;
        let aborted = store.abort(&key, &upload).await;
        if let Some(probed) = tried? {
            aborted?;
            found = Some(probed);
            break;
        }
    }
    found.ok_or_else(|| Fault::Refused("the store takes no presigned part".into()))
}

/// Takes away what probes have left that died [`LEFT`] before `now` and earlier: at each of their keys a multipart upload, and perhaps
/// the object beside it. Gives how many there were. Nothing else is touched, whoever's it is.
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
        let id = upload.key.strip_prefix(&prefix).and_then(|id| Uuid::try_parse(id).ok());
        let (Ok(begun), Some(id)) = (begun, id) else { continue };
        if begun < before {
            let key = place(id)?;
            // The object first: the multipart upload is what it is found by.
            store.delete(&beside(&key)?).await?;
            store.abort(&key, &upload.id).await?;
            cleared += 1;
        }
    }
    Ok(cleared)
}

/// The key of one probe.
fn place(id: Uuid) -> Result<Key, Fault> {
    format!("{PLACE}{id}").parse().map_err(|_| Fault::Refused("the probe's key cannot be used".into()))
}

/// The key of the object that may not be copied.
fn beside(key: &Key) -> Result<Key, Fault> {
    format!("{key}-source").parse().map_err(|_| Fault::Refused("the probe's key cannot be used".into()))
}

/// None when none of the proofs holds.
async fn try_upload(store: &Store, key: &Key, upload: &str, proofs: &[Proof]) -> Result<Option<Probed>, Fault> {
    let bench = Bench { store, key, upload };
    // Each trial has a part of its own, so that none is taken for another's.
    for (&proof, number) in proofs.iter().zip(1..) {
        if bench.holds(proof, nth(number)).await? {
            let length_enforced = bench.refuses_length(proof).await?;
            let smuggling_refused = bench.refuses_smuggling(proof).await?;
            return Ok(Some(Probed { proof, length_enforced, smuggling_refused }));
        }
    }
    Ok(None)
}

/// The multipart upload that is tried on.
struct Bench<'a> {
    store: &'a Store,
    key: &'a Key,
    upload: &'a str,
}

impl Bench<'_> {
    /// Whether the right body is taken and another of its length is refused, and not kept. Without a proof, only the first.
    async fn holds(&self, proof: Proof, number: PartNumber) -> Result<bool, Fault> {
        let headers = body_headers(proof, &spec(number, RIGHT))?;
        if proof != Proof::None && self.put(number, headers.clone(), WRONG, None).await? == Verdict::Taken {
            return Ok(false);
        }
        if proof != Proof::None && self.size_of(number).await?.is_some() {
            warn!(?proof, "the store refuses a wrong body and keeps it all the same");
            return Ok(false);
        }
        if self.put(number, headers, RIGHT, None).await? == Verdict::Refused {
            return Ok(false);
        }
        if proof == Proof::Sha256 {
            let (parts, _) = self.store.list(self.key, self.upload, None).await?;
            if parts.iter().all(|part| part.sha256 != Some(Fingerprint::of(RIGHT))) {
                debug!("the store checks SHA-256 checksums, and does not list them");
            }
        }
        Ok(true)
    }

    /// Whether a body longer than was signed is refused for its length: its hash is the one signed.
    async fn refuses_length(&self, proof: Proof) -> Result<bool, Fault> {
        let number = nth(11);
        let longer = [RIGHT, b"!"].concat();
        let mut part = spec(number, &longer);
        part.size -= 1;
        let headers = body_headers(proof, &part)?;
        Ok(self.put(number, headers, &longer, None).await? == Verdict::Refused)
    }

    /// Whether a header that makes a copy of the request does nothing where it was not signed.
    async fn refuses_smuggling(&self, proof: Proof) -> Result<bool, Fault> {
        let source = beside(self.key)?;
        let put = self.store.sign_source(&source, proof).await?;
        let number = nth(12);
        let from = format!("/{}/{}", self.store.bucket, self.store.whole(&source));
        // However that ends, the object may be there.
        let tried = async {
            client::check("PutObject", self.store.send(put, SECRET, None).await?)?;
            let headers = body_headers(proof, &spec(number, RIGHT))?;
            if self.put(number, headers, RIGHT, Some(&from)).await? == Verdict::Refused {
                return Ok(true);
            }
            Ok(self.size_of(number).await? == Some(RIGHT.len() as u64))
        }
        .await;
        if let Err(fault) = self.store.delete(&source).await {
            warn!(%fault, key = %source, "an object of the probe could not be deleted");
        }
        tried
    }

    /// Sends one body under a URL signed for these headers.
    async fn put(
        &self,
        number: PartNumber,
        headers: BTreeMap<String, String>,
        body: &[u8],
        copy_source: Option<&str>,
    ) -> Result<Verdict, Fault> {
        let store = self.store;
        let mut last = Fault::Unavailable("UploadPart: not tried".into());
        for _ in 0..3 {
            let signed =
                store.presign_part(&store.address, self.key, self.upload, number, headers.clone(), LIFE).await?;
            let answer = store.send(signed, body, copy_source).await;
            match answer.and_then(|answer| client::check("UploadPart", answer)) {
                Ok(_) => return Ok(Verdict::Taken),
                Err(fault @ Fault::Unavailable(_)) => last = fault,
                Err(fault) => {
                    debug!(%fault, "refused");
                    return Ok(Verdict::Refused);
                }
            }
        }
        Err(last)
    }

    async fn size_of(&self, number: PartNumber) -> Result<Option<u64>, Fault> {
        let (parts, _) = self.store.list(self.key, self.upload, None).await?;
        Ok(parts.iter().find(|part| part.number == number).map(|part| part.size))
    }
}

impl Store {
    /// Presigns a plain PUT for the probe, at the address of control calls.
    async fn sign_source(&self, key: &Key, proof: Proof) -> Result<Presigned, Fault> {
        let mut headers = body_headers(proof, &spec(PartNumber::FIRST, SECRET))?;
        headers.extend(self.create_headers.clone());
        let url = self.address.object(&self.whole(key), &[])?;
        self.client.signer.presign(Method::PUT, &url, headers, LIFE).await
    }

    /// Sends a body as a client would, its true length for `content-length`, with or without a header nobody signed.
    async fn send(&self, signed: Presigned, body: &[u8], copy_source: Option<&str>) -> Result<client::Answer, Fault> {
        let mut request = http::Request::put(signed.url.expose());
        for (name, value) in signed.headers.iter().filter(|(name, _)| *name != "content-length") {
            request = request.header(name, value);
        }
        if let Some(source) = copy_source {
            request = request.header("x-amz-copy-source", source);
        }
        let request = request.body(body.to_vec()).map_err(|_| Fault::Refused("the probe cannot be sent".into()))?;
        self.client.http.send(request, client::PATIENCE).await
    }
}

fn nth(number: u32) -> PartNumber {
    PartNumber::try_from(number).unwrap_or(PartNumber::FIRST)
}

fn spec(number: PartNumber, body: &[u8]) -> PartSpec {
    let md5 = Some(Md5::new(Md5Hash::digest(body).into()));
    PartSpec { number, size: body.len() as u64, sha256: Fingerprint::of(body), md5 }
}
