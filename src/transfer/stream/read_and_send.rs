//! The loop: takes parts from the thread that reads the stream, compares them with those of an
//! earlier run, and sends the others.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use upload_types::crash;
use upload_types::error::{Error, Kind, Result};
use upload_types::schedule::Schedule;
use upload_types::sync::lock;
use upload_types::wire::{ClaimRequest, PartSpec};
use upload_types::{ETag, PartNumber};

use super::calls::gave_up;
use super::hints::interrupted;
use super::run::StreamRun;
use super::send_part::{Notice, PartToSend, SentPart};
use crate::event::{Event, Phase, STREAM_PATH};
use crate::journal::Record;
use crate::source::{StreamEnd, StreamItem, StreamPart};
use crate::transfer::committer::wait_until;
use crate::transfer::deadline::WaitingFor;
use crate::transfer::engine::{LEASE_RENEW_INTERVAL, STOP_GRACE, TICK_INTERVAL};
use crate::transfer::options::PutRequest;
use crate::transfer::part_states::LastPiece;
use crate::transfer::part_transitions::PartOrigin;
use crate::transfer::signal::stop_signal;
use crate::transfer::suspend;

/// The parts of the run that are not stored yet.
struct InFlight {
    /// Read, and not being sent.
    queue: VecDeque<StreamPart>,
    tasks: JoinSet<Result<SentPart>>,
    /// For each part that is being sent, the bytes that the network has accepted.
    sending: BTreeMap<PartNumber, Arc<AtomicU64>>,
    notices: mpsc::UnboundedSender<Notice>,
    renewal: JoinSet<Result<u64>>,
    last_error: Option<Error>,
    last_tick: Instant,
}

impl StreamRun<'_> {
    /// Reads the stream to its end. On return, the store has every part of it.
    pub(super) async fn read_and_send(
        &mut self,
        mut items: mpsc::UnboundedReceiver<Result<StreamItem>>,
        put: &PutRequest,
        schedule: Schedule,
    ) -> Result<StreamEnd> {
        let (notices, mut failures) = mpsc::unbounded_channel();
        let mut flight = InFlight {
            queue: VecDeque::new(),
            tasks: JoinSet::new(),
            sending: BTreeMap::new(),
            notices,
            renewal: JoinSet::new(),
            last_error: None,
            last_tick: Instant::now(),
        };
        let mut end = None;
        let mut tick = tokio::time::interval(TICK_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.start_sending(&mut flight);
            self.commit()?;
            if let Some(end) = end
                && flight.queue.is_empty()
                && flight.tasks.is_empty()
            {
                self.commit_now()?;
                return Ok(end);
            }
            tokio::select! {
                item = items.recv(), if end.is_none() => match item {
                    Some(Ok(StreamItem::Part(part))) => {
                        self.on_read(&mut flight, part, put, schedule).await?;
                    }
                    Some(Ok(StreamItem::End(ended))) => end = Some(ended),
                    Some(Err(error)) => return Err(error),
                    None => return Err(Error::new(Kind::Other, "the stream is no longer read")),
                },
                Some(sent) = flight.tasks.join_next() => {
                    let sent = sent.map_err(Error::task_ended)??;
                    self.on_sent(&mut flight, sent);
                }
                Some(notice) = failures.recv() => self.on_notice(&mut flight, notice),
                Some(renewed) = flight.renewal.join_next() => {
                    on_lease_renewed(renewed.map_err(Error::task_ended)?)?;
                }
                _ = tick.tick() => self.on_tick(&mut flight)?,
                () = wait_until(self.committer.due()) => {}
                signal = stop_signal(&mut self.stop) => {
                    self.finish_sending(&mut flight).await?;
                    return Err(interrupted(signal));
                }
            }
        }
    }

    /// Takes a part that was read. A part that the store has from an earlier run is not sent.
    async fn on_read(
        &mut self,
        flight: &mut InFlight,
        part: StreamPart,
        put: &PutRequest,
        schedule: Schedule,
    ) -> Result<()> {
        self.begin(put, schedule).await?;
        let Some(row) = self.row() else {
            return Ok(());
        };
        let (number, sha256) = (part.number, part.digests.sha256);
        let size = part.bytes.len();
        if let Some(etag) = self.stored_etag(&part) {
            let spec = spec(&part);
            self.summary.bytes_skipped += size;
            self.on_acknowledged(spec, etag, PartOrigin::Stored);
            return Ok(());
        }
        if self.is_completing {
            // The backend takes no part before it has decided.
            let what = "the backend is completing an earlier run of this pipeline, and the stream \
                        has other bytes now";
            let hint = "wait two minutes; then run the whole pipeline again";
            return Err(Error::new(Kind::Temporary, what).with_hint(hint));
        }
        if self.stored.remove(&number).is_some() {
            tracing::info!(part = %number, "the stream has other bytes than in the earlier run");
        }
        // On disk before the part is signed.
        self.committer.record(Record::PartHashed {
            row,
            number,
            sha256,
        });
        self.commit_now()?;
        crash::point("stream.part_hashed");
        flight.queue.push_back(part);
        Ok(())
    }

    /// The `ETag` of a part that the store has, if journal, store and stream agree on it.
    fn stored_etag(&self, part: &StreamPart) -> Option<ETag> {
        let stored = self.stored.get(&part.number)?;
        let recorded = self.recorded.get(&part.number)?;
        let sha256 = part.digests.sha256;
        let is_same = match stored.sha256 {
            Some(stored) => stored == sha256,
            None => recorded.etag.as_ref() == Some(&stored.etag),
        };
        let is_same = is_same && recorded.sha256 == sha256;
        (is_same && stored.size == part.bytes.len()).then(|| stored.etag.clone())
    }

    fn start_sending(&mut self, flight: &mut InFlight) {
        let most = self.throttle.max_sending(Instant::now());
        let Some(id) = self.id() else {
            return;
        };
        while flight.tasks.len() < most
            && let Some(part) = flight.queue.pop_front()
        {
            let sent = Arc::new(AtomicU64::new(0));
            flight.sending.insert(part.number, Arc::clone(&sent));
            let task = PartToSend {
                backend: Arc::clone(&self.backend),
                id: id.clone(),
                epoch: self.epoch,
                spec: spec(&part),
                bytes: part.bytes,
                max_parts: self.info.limits.max_parts,
                sent,
                notices: flight.notices.clone(),
            };
            self.last_call = Instant::now();
            flight.tasks.spawn(task.send());
        }
    }

    fn on_sent(&mut self, flight: &mut InFlight, sent: SentPart) {
        crash::point("stream.stored");
        let now = Instant::now();
        let SentPart { spec, etag, since } = sent;
        flight.sending.remove(&spec.number);
        flight.last_error = None;
        self.throttle
            .on_stored(now, LastPiece { since, start: 0 }, spec.size);
        self.summary.bytes_sent += spec.size;
        let new_stores = self.stores.on_stored(&self.backend, &self.info.instance_id);
        for record in new_stores {
            self.committer.record(record);
        }
        self.on_acknowledged(spec, etag, PartOrigin::Sent);
    }

    fn on_acknowledged(&mut self, spec: PartSpec, etag: ETag, origin: PartOrigin) {
        let (Some(row), Some(id)) = (self.row(), self.id()) else {
            return;
        };
        let PartSpec {
            number,
            size,
            sha256,
            ..
        } = spec;
        self.last_success = Instant::now();
        self.confirmed += size;
        self.done.insert(number, (sha256, etag.clone()));
        self.committer.record(Record::PartStored {
            row,
            number,
            etag: etag.clone(),
        });
        self.committer.emit(Event::Part {
            item: self.options.first_item,
            upload: id,
            path: STREAM_PATH.to_owned(),
            number,
            size,
            sha256,
            etag,
            skipped: origin != PartOrigin::Sent,
            copied: origin == PartOrigin::Copied,
        });
    }

    fn on_notice(&mut self, flight: &mut InFlight, notice: Notice) {
        let now = Instant::now();
        match (notice.error.kind(), notice.sending_since) {
            (Kind::Throttled(_), since) => {
                self.throttle.on_throttled(now, since.unwrap_or(now));
            }
            (Kind::UrlExpired | Kind::CredentialsRejected, _) | (_, None) => {}
            (_, Some(_)) => self.throttle.on_failed(now, fastrand::f64()),
        }
        let (number, attempts, wait) = (Some(notice.number), notice.attempts, notice.wait);
        let source = self.event_source();
        let event = Event::retry(source, number, attempts, &notice.error, wait);
        self.committer.emit(event);
        flight.last_error = Some(notice.error);
    }

    fn on_tick(&mut self, flight: &mut InFlight) -> Result<()> {
        let now = Instant::now();
        // The time in which this process was stopped does not count.
        if let Some(pause) = suspend::pause(now.saturating_duration_since(flight.last_tick)) {
            self.last_success = (self.last_success + pause).min(now);
        }
        flight.last_tick = now;
        let sending = flight.sending.values();
        let sending: u64 = sending.map(|sent| sent.load(Ordering::Relaxed)).sum();
        self.report_progress(sending, Phase::Sending);
        let is_limited = flight.tasks.len() >= self.throttle.jobs();
        self.throttle.on_tick(now, is_limited);
        if let Some(cause) = self.options.disk_failure.get() {
            let what = format!("could not write to the disk of this machine: {cause}");
            let hint = "free disk space; then run the whole pipeline again";
            return Err(Error::new(Kind::Io, what).with_hint(hint));
        }
        if flight.tasks.is_empty() {
            // A producer that writes nothing is no failure to make progress.
            self.last_success = now;
        }
        let give_up = self.options.give_up;
        if give_up.is_due(now, self.last_success, WaitingFor::Progress) {
            return Err(gave_up(flight.last_error.as_ref()));
        }
        let is_quiet = now.saturating_duration_since(self.last_call) >= LEASE_RENEW_INTERVAL;
        if let Some((id, claim)) = self.renewal().filter(|_| is_quiet) {
            self.last_call = now;
            let backend = Arc::clone(&self.backend);
            flight
                .renewal
                .spawn(async move { backend.claim(&id, &claim).await });
        }
        Ok(())
    }

    /// The request that renews the lease, once the upload has begun.
    pub(super) fn renewal(&self) -> Option<(upload_types::UploadId, ClaimRequest)> {
        let upload = self.upload.as_ref()?;
        let claim = ClaimRequest {
            holder: upload.holder.clone(),
            epoch: Some(self.epoch),
        };
        Some((upload.id.clone()?, claim))
    }

    /// Reports how far the stream is. `sending` are the bytes of parts that are being sent.
    pub(super) fn report_progress(&mut self, sending: u64, phase: Phase) {
        let read = self.read.load(Ordering::Relaxed).max(self.confirmed);
        let sent = (self.confirmed + sending).min(read);
        let now = Instant::now();
        self.committer.emit(Event::Progress {
            item: self.options.first_item,
            upload: self.id(),
            path: STREAM_PATH.to_owned(),
            hashed: read,
            sent,
            confirmed: self.confirmed,
            size: self.expected_size.unwrap_or(0).max(read),
            rate: self.rate.update(now, sent),
            waits: lock(&self.clock).waits(now),
            phase,
        });
    }

    /// After a signal: waits for the parts that are being sent, and records them.
    async fn finish_sending(&mut self, flight: &mut InFlight) -> Result<()> {
        let deadline = Instant::now() + STOP_GRACE;
        while !flight.tasks.is_empty() {
            tokio::select! {
                Some(sent) = flight.tasks.join_next() => {
                    if let Ok(Ok(sent)) = sent {
                        self.on_sent(flight, sent);
                    }
                }
                () = tokio::time::sleep_until(deadline.into()) => break,
            }
        }
        flight.tasks.abort_all();
        self.commit_now()
    }
}

fn spec(part: &StreamPart) -> PartSpec {
    PartSpec {
        number: part.number,
        size: part.bytes.len(),
        sha256: part.digests.sha256,
        md5: part.digests.md5,
    }
}

/// A lease that could not be renewed is renewed by the next call. If another process has it, this
/// one must end.
fn on_lease_renewed(renewed: Result<u64>) -> Result<()> {
    match renewed {
        Err(error) if matches!(error.kind(), Kind::LeaseLost | Kind::Busy) => Err(error),
        _ => Ok(()),
    }
}
