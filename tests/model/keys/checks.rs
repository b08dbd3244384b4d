//! The expected state of the bucket after each action.

use upload_types::wire::{IfExists, Receipt};

use super::actions::Put;
use super::prediction::{After, Prediction, PutResult};
use super::source::Version;
use super::state::{Case, KeysModel};
use crate::CheckResult;
use crate::bucket::Object;
use crate::faults::{Call, FaultKind};
use crate::process::Ended;

/// The circumstances that may change the result of a put.
#[derive(Debug, Clone, Copy)]
pub(super) struct Circumstances<'a> {
    /// Two processes run.
    pub(super) is_twice: bool,
    /// The faults that occurred.
    pub(super) faults: &'a [(Call, FaultKind)],
}

impl Circumstances<'_> {
    /// The source was edited meanwhile.
    pub(super) fn is_edited(self) -> bool {
        let is_edit = |(_, kind): &(Call, FaultKind)| matches!(kind, FaultKind::EditSource(_));
        self.faults.iter().any(is_edit)
    }

    /// Another program wrote to the key meanwhile.
    pub(super) fn has_other_program(self) -> bool {
        let is_write = |(_, kind): &(Call, FaultKind)| matches!(kind, FaultKind::OtherProgram(_));
        self.faults.iter().any(is_write)
    }
}

/// The state before a put.
pub(super) struct Before {
    pub(super) object: Option<Object>,
    /// The versions that the source has had since.
    pub(super) versions: Vec<Version>,
}

impl KeysModel {
    /// Conditions that hold after every action.
    pub(super) fn invariants(&self, case: &Case) -> CheckResult {
        let contents = self.bucket.contents();
        let sources = case.sources.lock().unwrap();
        let versions = sources.iter().flat_map(|source| &source.versions);
        for (key, object) in &contents.created_objects {
            let is_ours = object.token.is_some();
            if is_ours && !versions.clone().any(|version| version.is_that_of(object)) {
                return Err(format!(
                    "an object differs from every version of the sources: {key} {object:?}"
                ));
            }
        }
        for removed in &contents.removed_objects {
            let creator_of = |object: &Object| {
                let token = object.token.as_ref()?;
                self.creator(token)
            };
            let Some(successor) = &removed.successor else {
                let creator = creator_of(&removed.object);
                if creator.is_none_or(|creator| creator.state == "ready") {
                    return Err(format!("an object was deleted: {removed:?}"));
                }
                continue;
            };
            let begin = creator_of(successor)
                .and_then(|creator| self.proxy.begin(&creator.idempotency_key))
                .ok_or_else(|| format!("an object was replaced without a begin: {removed:?}"))?;
            if begin.if_exists != "overwrite" {
                return Err(format!(
                    "an object was replaced, although the rule is {}: {removed:?}",
                    begin.if_exists
                ));
            }
            if !begin.seen.contains(&removed.object.etag) {
                return Err(format!(
                    "an object was replaced that was not there at the begin: {removed:?} {begin:?}"
                ));
            }
        }
        Ok(())
    }

    /// Only a put or another program changes the objects of a case.
    pub(super) fn check_objects(&self, case: &Case) -> CheckResult {
        let objects = &self.bucket.contents().objects;
        if *objects == case.objects {
            return Ok(());
        }
        Err(format!(
            "the objects are {objects:?}, expected {:?}",
            case.objects
        ))
    }

    /// Checks the end of a put.
    pub(super) fn check_end(
        &self,
        case: &Case,
        put: &Put,
        before: &Before,
        (end, circumstances): (&Ended, Circumstances<'_>),
    ) -> CheckResult {
        let rule = put.if_exists;
        let key = case.key(put.key);
        let after = self.bucket.contents().objects.get(&key).cloned();
        let was_there = before.object.is_some() || after.is_some();
        let may_meet_others = circumstances.has_other_program() || circumstances.is_twice;
        match end {
            Ended::Completed(receipt) => {
                self.check_receipt(&key, receipt, before)?;
                let has_receipts_object = after
                    .as_ref()
                    .is_some_and(|after| after.etag == receipt.etag.as_str());
                if !has_receipts_object && !may_meet_others {
                    return Err(format!(
                        "completed with {receipt:?}, but the object is {after:?}"
                    ));
                }
                Ok(())
            }
            Ended::Kept if rule == IfExists::Skip && (was_there || may_meet_others) => Ok(()),
            Ended::Failed("exists") => {
                // Another program's object took the place of the one that was there at the begin.
                let is_met = circumstances.has_other_program() || !circumstances.is_twice;
                let is_named = match rule {
                    IfExists::Same | IfExists::Fail => true,
                    IfExists::Update | IfExists::Overwrite => is_met,
                    IfExists::Skip => false,
                };
                if is_named && (was_there || may_meet_others) {
                    Ok(())
                } else {
                    Err(format!(
                        "failed as exists by {rule:?}, the object is {after:?}"
                    ))
                }
            }
            Ended::Failed("source_changed") if circumstances.is_edited() => Ok(()),
            Ended::Failed("busy") if circumstances.is_twice => Ok(()),
            other => Err(format!("ended as {other:?} by {rule:?}")),
        }
    }

    /// The receipt is for an object that was at the key and has the content of the source.
    fn check_receipt(&self, key: &str, receipt: &Receipt, before: &Before) -> CheckResult {
        let contents = self.bucket.contents();
        let objects = contents.created_objects.iter();
        let mut objects = objects.filter(|(created, _)| created == key);
        let object = objects.find(|(_, object)| object.etag == receipt.etag.as_str());
        let (_, object) =
            object.ok_or_else(|| format!("no object has this receipt: {receipt:?}"))?;
        let checksum = receipt.checksum.as_ref();
        let is_for_object = receipt.key.as_str() == key
            && receipt.size == object.size()
            && checksum.is_some_and(|checksum| checksum.as_str() == object.checksum);
        if !is_for_object {
            return Err(format!("a receipt is wrong: {receipt:?} {object:?}"));
        }
        let mut versions = before.versions.iter();
        if versions.any(|version| version.is_that_of(object)) {
            return Ok(());
        }
        Err(format!(
            "a receipt is for other content than that of the source: {receipt:?} {object:?} {:?}",
            before.versions
        ))
    }

    /// Compares the result of a put with the predicted one.
    pub(super) fn check_prediction(
        &self,
        case: &Case,
        put: &Put,
        before: &Before,
        (prediction, end, circumstances): (&Prediction, &Ended, Circumstances<'_>),
    ) -> CheckResult {
        let result = match end {
            Ended::Completed(_) => PutResult::Stored,
            Ended::Kept => PutResult::Kept,
            Ended::Failed("exists") => PutResult::Exists,
            Ended::Failed(kind) => return Err(format!("failed as {kind}, not {prediction:?}")),
        };
        let key = case.key(put.key);
        let contents = self.bucket.contents();
        let after = contents.objects.get(&key);
        let is_as_predicted = match prediction.after {
            After::Unchanged => after == before.object.as_ref(),
            After::New => after.is_some_and(|after| {
                let is_new = Some(&after.etag) != before.object.as_ref().map(|it| &it.etag);
                is_new && after.token.is_some() && case.version(put.source).is_that_of(after)
            }),
        };
        let sent = contents.bytes;
        let has_sent = !circumstances.faults.is_empty() || sent == prediction.sent;
        if result == prediction.result && is_as_predicted && has_sent {
            return Ok(());
        }
        Err(format!(
            "predicted {prediction:?}; ended as {end:?} after {sent} bytes; the object was {:?} and is {after:?}; {:?}",
            before.object, contents.put_log
        ))
    }
}
