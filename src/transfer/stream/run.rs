//! One run that uploads a stream: its state, its end, and what is recorded and reported.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::watch;
use upload_types::error::{Error, Kind, Result};
use upload_types::schedule::Schedule;
use upload_types::stream_waits::StreamClock;
use upload_types::wire::{BackendInfo, ExistingObject, IfExists, Proof, Receipt, StoredPart};
use upload_types::{ETag, PartNumber, Sha256, UploadId};

use super::hints::{exists, failure_hint};
use super::request::{StreamInput, StreamPut};
use crate::backend::Backend;
use crate::event::{Event, EventSender, EventSource, STREAM_PATH};
use crate::journal::{Journal, Part, Record, Upload};
use crate::source::{PartMemory, Producer, StreamReading, WithMd5, start_reading};
use crate::transfer::committer::Committer;
use crate::transfer::comparison::check_key;
use crate::transfer::options::{Options, PutRequest, Summary};
use crate::transfer::rate::Rate;
use crate::transfer::store_pinning::StorePinning;
use crate::transfer::throttle::Throttle;

/// Uploads a stream. Reports each failure, and the end.
pub async fn run_stream(
    journal: &mut Journal,
    backend: Arc<Backend>,
    info: BackendInfo,
    events: &EventSender,
    options: Options,
    stream: StreamPut,
    stop: watch::Receiver<Option<u8>>,
) -> Summary {
    let committer = Committer::new(journal, events);
    let mut run = StreamRun::new(committer, backend, info, options, stop);
    let if_exists = stream.put.if_exists;
    let result = run.upload(stream).await;
    if let Some(producer) = &run.producer {
        producer.stop();
    }
    match result {
        Ok(receipt) => run.report_completed(receipt),
        Err(error) => match error.existing() {
            Some(existing) if if_exists == IfExists::Skip => run.report_kept(existing),
            Some(existing) => run.report_failure(&exists(existing, if_exists)),
            None => run.report_failure(&error),
        },
    }
    run.summary
}

pub(super) struct StreamRun<'a> {
    pub(super) committer: Committer<'a>,
    pub(super) backend: Arc<Backend>,
    pub(super) info: BackendInfo,
    pub(super) options: Options,
    pub(super) stop: watch::Receiver<Option<u8>>,
    pub(super) summary: Summary,
    pub(super) throttle: Throttle,
    pub(super) stores: StorePinning,
    /// When a byte was last confirmed, or the backend last responded.
    pub(super) last_success: Instant,
    /// When the lease was last renewed.
    pub(super) last_call: Instant,
    /// The command that runs. `None` if there is none, or once it has ended.
    pub(super) producer: Option<Producer>,
    /// The row in the journal, once there is one.
    pub(super) upload: Option<Upload>,
    /// The unfinished upload that the new one replaces.
    pub(super) replaced: Option<i64>,
    pub(super) epoch: u64,
    pub(super) expected_size: Option<u64>,
    /// The parts of an earlier run: those of the journal, and those in the store.
    pub(super) recorded: BTreeMap<PartNumber, Part>,
    pub(super) stored: BTreeMap<PartNumber, StoredPart>,
    /// Every part that the store has acknowledged: its SHA-256 and `ETag`.
    pub(super) done: BTreeMap<PartNumber, (Sha256, ETag)>,
    /// Bytes of the stream that were read.
    pub(super) read: Arc<AtomicU64>,
    /// The waits of its producer and of this program.
    pub(super) clock: Arc<Mutex<StreamClock>>,
    pub(super) confirmed: u64,
    pub(super) rate: Rate,
    /// The backend is completing the upload of an earlier run, with the parts that it has.
    pub(super) is_completing: bool,
    /// Whether the row in the journal has ended.
    pub(super) has_ended: bool,
}

/// The error of a stream to a backend that cannot take one.
pub fn stream_needs_a_gateway() -> Error {
    let what = "this backend needs the size of a source before it is sent";
    let hint = "use a gateway or s3://BUCKET as the backend, or write the stream to a file and put \
                that file";
    Error::new(Kind::Config, what).with_hint(hint)
}

impl<'a> StreamRun<'a> {
    fn new(
        committer: Committer<'a>,
        backend: Arc<Backend>,
        info: BackendInfo,
        options: Options,
        stop: watch::Receiver<Option<u8>>,
    ) -> Self {
        let now = Instant::now();
        Self {
            stores: StorePinning::default(),
            committer,
            backend,
            info,
            throttle: Throttle::new(options.jobs, options.max_open, now),
            options,
            stop,
            summary: Summary::default(),
            last_success: now,
            last_call: now,
            producer: None,
            upload: None,
            replaced: None,
            epoch: 0,
            expected_size: None,
            recorded: BTreeMap::new(),
            stored: BTreeMap::new(),
            done: BTreeMap::new(),
            read: Arc::default(),
            clock: Arc::new(Mutex::new(StreamClock::new(now))),
            confirmed: 0,
            rate: Rate::new(now, 0),
            is_completing: false,
            has_ended: false,
        }
    }

    /// Uploads the stream. Returns its receipt.
    async fn upload(&mut self, stream: StreamPut) -> Result<Box<Receipt>> {
        if !self.backend.capabilities().durable {
            return Err(stream_needs_a_gateway());
        }
        check_key(&stream.put, &self.info)?;
        let known = self.committer.stores(&self.info.instance_id)?;
        self.stores = StorePinning::new(known, &self.backend);
        self.expected_size = stream.expected_size;
        let planned = stream.schedule(&self.info.limits)?;
        let schedule = self.choose(&stream).await?.unwrap_or(planned);
        self.report_plan(&stream.put, schedule)?;
        let (put, min_size) = (stream.put, stream.min_size);
        if put.key.is_some() {
            // An object at the key is found before the command runs.
            self.begin(&put, schedule).await?;
        }
        let memory = PartMemory::new(stream.buffer);
        let reading = StreamReading {
            schedule,
            limits: self.info.limits,
            memory: memory.clone(),
            spool: stream.spool,
            md5: self.with_md5(),
            read: Arc::clone(&self.read),
            clock: Arc::clone(&self.clock),
        };
        let items = match stream.input {
            StreamInput::Pipe(file) => start_reading(file, reading),
            StreamInput::Command(command) => {
                let (producer, output) = match Producer::start(&command) {
                    Ok(started) => started,
                    Err(error) => return Err(self.end_without_object(error).await),
                };
                self.producer = Some(producer);
                start_reading(output, reading)
            }
        };
        let end = self.read_and_send(items, &put, schedule).await;
        // A thread that waits for memory must end.
        memory.close();
        let end = end?;
        self.await_producer().await?;
        self.complete(&end, &put, schedule, min_size).await
    }

    /// Whether the backend needs the MD5 of each part.
    pub(super) fn with_md5(&self) -> WithMd5 {
        if self.info.proof == Proof::Md5 {
            WithMd5::Yes
        } else {
            WithMd5::No
        }
    }

    /// Writes and reports what has happened.
    ///
    /// # Errors
    /// [`Kind::Io`] if the journal cannot be written.
    pub(super) fn commit_now(&mut self) -> Result<()> {
        self.committer.commit_soon();
        self.commit()
    }

    /// Writes and reports what has happened, if it is time.
    pub(super) fn commit(&mut self) -> Result<()> {
        match self.committer.commit() {
            Ok(true) => {
                // No task waits for a commit here.
                drop(self.committer.report());
                Ok(())
            }
            Ok(false) => Ok(()),
            Err(error) => {
                self.committer.undo();
                Err(error)
            }
        }
    }

    pub(super) fn id(&self) -> Option<UploadId> {
        self.upload.as_ref().and_then(|upload| upload.id.clone())
    }

    pub(super) fn row(&self) -> Option<i64> {
        self.upload.as_ref().map(|upload| upload.row)
    }

    pub(super) fn event_source(&self) -> EventSource {
        EventSource {
            item: self.options.first_item,
            path: Some(STREAM_PATH.to_owned()),
            upload: self.id(),
        }
    }

    fn report_plan(&mut self, put: &PutRequest, schedule: Schedule) -> Result<()> {
        let (item, id) = (self.options.first_item, self.id());
        let plan = Event::stream_plan(item, id, self.expected_size, schedule.part_size());
        self.committer.emit(plan.with_key(put.key.clone()));
        if schedule.double_after().is_none() {
            let capacity = schedule.capacity(&self.info.limits);
            tracing::warn!(
                "the store demands parts of equal size: this stream may have at most {capacity} \
                 bytes; give --expected-size for more"
            );
        }
        self.commit_now()
    }

    fn report_completed(&mut self, receipt: Box<Receipt>) {
        self.summary.completed += 1;
        self.committer.emit(Event::Completed {
            item: self.options.first_item,
            upload: receipt.id.clone(),
            path: STREAM_PATH.to_owned(),
            already_stored: false,
            from_journal: false,
            receipt,
        });
        if let Err(error) = self.commit_now() {
            self.summary.completed -= 1;
            self.report_failure(&error);
        }
    }

    /// Reports that the stream was left out, because an object is at its key.
    fn report_kept(&mut self, existing: &ExistingObject) {
        if let Some(row) = self.row().filter(|_| !self.has_ended) {
            self.committer.record(Record::Abandoned { row });
        }
        self.committer.emit(Event::kept(
            self.options.first_item,
            STREAM_PATH.to_owned(),
            existing,
        ));
        self.commit_or_drop();
    }

    fn report_failure(&mut self, error: &Error) {
        if let Some(row) = self.row().filter(|_| !self.has_ended) {
            // Another process may continue it.
            self.committer.record(Record::Released { row });
        }
        self.summary.failures.push(error.kind().exit_code());
        self.committer.emit(Event::Failed {
            item: self.options.first_item,
            upload: self.id(),
            path: STREAM_PATH.to_owned(),
            kind: error.kind().name(),
            message: error.to_string(),
            hint: failure_hint(error),
        });
        self.commit_or_drop();
    }

    fn commit_or_drop(&mut self) {
        if self.commit_now().is_err() {
            self.committer.drop_records();
            drop(self.committer.report());
        }
    }
}
