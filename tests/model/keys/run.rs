//! Runs the actions of a case and the final check.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use upload_types::wire::IfExists;

use super::actions::{Action, KEYS, MACHINES, Put, Run, SIZES, runs};
use super::checks::{Before, Circumstances};
use super::source::{KeySource, Version};
use super::state::{Case, KeysModel};
use crate::bucket::{Bucket, composite};
use crate::faults::{Call, Fault, FaultKind, OtherWrite};
use crate::gateway::{TestGateway, scratch};
use crate::lossy_proxy::LossyProxy;
use crate::process::Outcome;
use crate::{CheckResult, run_cases};

impl KeysModel {
    async fn run(this: &RefCell<Self>, (sizes, actions): &Run) -> CheckResult {
        let case = RefCell::new(Self::begin_case(&mut this.borrow_mut(), *sizes));
        let limit = Duration::from_mins(1);
        for (index, action) in actions.iter().enumerate() {
            let result = tokio::time::timeout(limit, Self::action(this, &case, action)).await;
            let result = result.unwrap_or_else(|_| Err("the action hangs".into()));
            result.map_err(|reason| format!("action {index}, {action:?}: {reason}"))?;
        }
        let result = tokio::time::timeout(limit, Self::finish(this, &case)).await;
        let result = result.unwrap_or_else(|_| Err("a put hangs".into()));
        result.map_err(|reason| format!("at the end: {reason}"))
    }

    fn begin_case(&mut self, sizes: [usize; 2]) -> Case {
        self.cases += 1;
        self.take_injected();
        self.proxy.forget_begins();
        *self.bucket.contents() = crate::bucket::Contents::default();
        let dir = scratch();
        let source = |number: usize| {
            let path = dir.path().join(format!("film-{number}.mov"));
            KeySource::new(path, number, SIZES[sizes[number]])
        };
        Case {
            sources: Arc::new(Mutex::new([source(0), source(1)])),
            dir,
            prefix: format!("case-{}/", self.cases),
            lost_journals: [0; MACHINES],
            objects: BTreeMap::new(),
            may_lose_uploads: false,
        }
    }

    async fn action(this: &RefCell<Self>, case: &RefCell<Case>, action: &Action) -> CheckResult {
        match action {
            Action::Put { put, faults } => {
                return Self::put(this, case, std::slice::from_ref(put), faults).await;
            }
            Action::PutTwice { puts, faults } => {
                return Self::put(this, case, puts, faults).await;
            }
            Action::Edit { source, edit } => {
                case.borrow().sources.lock().unwrap()[*source].edit(*edit);
            }
            Action::Rename { source } => {
                case.borrow().sources.lock().unwrap()[*source].rename();
            }
            Action::CopyContent { to } => {
                let case = case.borrow();
                let mut sources = case.sources.lock().unwrap();
                let pieces = sources[1 - to].pieces();
                sources[*to].copy_from(pieces);
            }
            Action::OtherProgram { key, source, write } => {
                let (model, mut case) = (this.borrow(), case.borrow_mut());
                let (key, version) = (case.key(*key), case.version(*source));
                write_as_other_program(&model.bucket, &key, &version, *write);
                case.objects = model.bucket.contents().objects.clone();
            }
            Action::LoseJournal { machine } => case.borrow_mut().lost_journals[*machine] += 1,
            Action::ExpireLeases => this.borrow().expire_leases(&case.borrow().prefix),
            Action::KillGateway => this.borrow_mut().restart_gateway(),
        }
        this.borrow().check_objects(&case.borrow())
    }

    /// Puts by one process or by two at the same time, and checks the ends.
    async fn put(
        this: &RefCell<Self>,
        case: &RefCell<Case>,
        puts: &[Put],
        faults: &[Fault],
    ) -> CheckResult {
        let bucket = this.borrow().bucket.clone();
        bucket.restart_byte_count().await;
        let (prediction, objects, counts) = {
            let (model, case) = (this.borrow(), case.borrow());
            model.check_objects(&case)?;
            Self::set_hooks(&bucket, &case, &puts[0]);
            let prediction = match puts {
                [put] if model.is_determined(&case, put) => Some(model.predict(&case, put)),
                _ => None,
            };
            model.inject(faults);
            let sources = case.sources.lock().unwrap();
            let counts = [0, 1].map(|source: usize| sources[source].versions.len());
            (prediction, case.objects.clone(), counts)
        };
        let outcomes = Self::run_puts(this, case, puts).await;
        let injected = this.borrow().take_injected();
        let is_killed = |outcome: &Outcome| matches!(outcome, Outcome::Killed);
        if puts.len() == 2 && outcomes.iter().any(is_killed) {
            // A kill ends both processes. Without its client, a completion continues in the
            // gateway.
            this.borrow_mut().restart_gateway();
        }
        Self::wait_until_idle(this).await;
        let circumstances = Circumstances {
            is_twice: puts.len() == 2,
            faults: &injected,
        };
        let is_kill =
            |kind: &FaultKind| matches!(kind, FaultKind::KillBefore | FaultKind::KillAfter);
        let may_lose = |(call, kind): &(Call, FaultKind)| *call == Call::Create || is_kill(kind);
        {
            let mut case = case.borrow_mut();
            case.may_lose_uploads |= injected.iter().any(may_lose);
            case.objects = bucket.contents().objects.clone();
        }
        let (model, case) = (this.borrow(), case.borrow());
        model.invariants(&case)?;
        for (put, outcome) in puts.iter().zip(&outcomes) {
            let Outcome::Done(ends) = outcome else {
                continue;
            };
            let [end] = ends.as_slice() else {
                return Err(format!("one put ended as {ends:?}"));
            };
            let before = Before {
                object: objects.get(&case.key(put.key)).cloned(),
                versions: case.sources.lock().unwrap()[put.source].versions
                    [counts[put.source] - 1..]
                    .to_vec(),
            };
            let ended = (end, circumstances);
            model
                .check_end(&case, put, &before, ended)
                .map_err(|reason| format!("{reason}; faults {injected:?}"))?;
            let is_predicted = !circumstances.is_edited() && !circumstances.has_other_program();
            if let Some(prediction) = prediction.filter(|_| is_predicted) {
                model
                    .check_prediction(&case, put, &before, (&prediction, end, circumstances))
                    .map_err(|reason| format!("{reason}; faults {injected:?}"))?;
            }
        }
        Ok(())
    }

    /// Lets faults change the source of a put, and the object at its key.
    fn set_hooks(bucket: &Bucket, case: &Case, put: &Put) {
        let (sources, source) = (Arc::clone(&case.sources), put.source);
        let edit = move |edit| sources.lock().unwrap()[source].edit(edit);
        *bucket.edit.lock().unwrap() = Some(Box::new(edit));
        let (sources, key) = (Arc::clone(&case.sources), case.key(put.key));
        let write = move |bucket: &Bucket, write| {
            let version = sources.lock().unwrap()[source].current();
            write_as_other_program(bucket, &key, &version, write);
        };
        *bucket.other_program.lock().unwrap() = Some(Box::new(write));
    }

    /// Without faults, a put replaces the object at each key, and the last one of three sends
    /// nothing. Then no upload is open.
    async fn finish(this: &RefCell<Self>, case: &RefCell<Case>) -> CheckResult {
        this.borrow().expire_leases(&case.borrow().prefix);
        for key in 0..KEYS {
            let put = Put {
                machine: 0,
                source: 0,
                key,
                if_exists: IfExists::Overwrite,
                force: false,
                restart: false,
            };
            // The first one may continue an upload that began before the object at the key was put.
            for _ in 0..3 {
                Self::put(this, case, std::slice::from_ref(&put), &[]).await?;
            }
            let (model, case) = (this.borrow(), case.borrow());
            let contents = model.bucket.contents();
            if contents.bytes != 0 {
                return Err("a completed upload was sent again".into());
            }
            let object = contents.objects.get(&case.key(key));
            if !object.is_some_and(|object| case.version(0).is_that_of(object)) {
                return Err(format!("the object is {object:?}"));
            }
        }
        let (model, case) = (this.borrow(), case.borrow());
        let contents = model.bucket.contents();
        for (id, open) in &contents.open {
            let is_known = model.names_multipart(&case.prefix, id);
            if is_known || !case.may_lose_uploads || !open.parts.is_empty() {
                return Err(format!("a multipart upload is left open: {id} {open:?}"));
            }
        }
        Ok(())
    }
}

fn write_as_other_program(bucket: &Bucket, key: &str, version: &Version, write: OtherWrite) {
    let mut contents = bucket.contents();
    let serial = contents.created_objects.len();
    let other: [u8; 32] = Sha256::digest(format!("other program {serial}")).into();
    let other = |size| {
        let version = Version {
            parts: vec![(other, size)],
            whole: other,
        };
        (version.as_whole(), version.whole_checksum())
    };
    let (content, checksum) = match write {
        OtherWrite::Put => other(version.size() + 3),
        OtherWrite::PutOfSameSize => other(version.size()),
        OtherWrite::PutSame => (version.as_whole(), version.whole_checksum()),
        OtherWrite::UploadSame => (version.parts.clone(), composite(&version.parts)),
        OtherWrite::PutSameWithoutChecksum => (version.as_whole(), String::new()),
        OtherWrite::Delete => {
            contents.objects.remove(key);
            return;
        }
    };
    contents.put_as_other_program(key, content, checksum);
}

#[test]
fn puts_at_chosen_keys_follow_their_rule() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let model = runtime.block_on(async {
        let bucket = Bucket::start().await;
        let proxy = LossyProxy::start(&bucket).await;
        let gateway = TestGateway::start_with_chosen_keys(&bucket).await;
        proxy.set_target(gateway.url());
        RefCell::new(KeysModel {
            gateway,
            bucket,
            proxy,
            cases: 0,
        })
    });
    run_cases(64, &runs(), |case| {
        runtime.block_on(KeysModel::run(&model, case))
    });
    let stderr = model.borrow().gateway.stderr();
    assert!(!stderr.contains("panicked"), "{stderr}");
}
