//! Runs the actions of a case and the final check.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::Runtime;
use upload::journal::{Journal, Record};
use upload::transfer::{self, Item};
use upload_types::error::Kind;

use super::actions::{Action, SIZES, actions};
use super::state::{Case, ClientModel};
use crate::bucket::{Bucket, Multipart};
use crate::faults::{Fault, FaultKind};
use crate::gateway::{TestGateway, scratch};
use crate::lossy_proxy::LossyProxy;
use crate::process::{Ended, Outcome, Process};
use crate::source::Source;
use crate::{CheckResult, run_cases};

/// The command that one process runs, or two processes at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    /// With `restart`, a source that changes is put again from the beginning.
    Put {
        restart: bool,
    },
    PutTwice,
    Resume,
}

impl ClientModel {
    pub async fn run(this: &RefCell<Self>, (size, actions): &(usize, Vec<Action>)) -> CheckResult {
        let dir = scratch();
        let source = Arc::new(Mutex::new(Source::new(
            dir.path().join("film.mov"),
            SIZES[*size],
        )));
        let case = RefCell::new(Case {
            dir,
            source: Arc::clone(&source),
            lost_uploads: BTreeSet::new(),
            lost_objects: BTreeSet::new(),
        });
        {
            let model = this.borrow();
            model.bucket.clear_faults();
            *model.bucket.contents() = crate::bucket::Contents::default();
            let hook = move |edit| source.lock().unwrap().edit(edit);
            *model.bucket.edit.lock().unwrap() = Some(Box::new(hook));
        }
        for (index, action) in actions.iter().enumerate() {
            let result =
                tokio::time::timeout(Duration::from_mins(1), Self::action(this, &case, action))
                    .await;
            let result = result.unwrap_or_else(|_| Err("the action hangs".into()));
            result.map_err(|reason| format!("action {index}, {action:?}: {reason}"))?;
        }
        Self::finish(this, &case)
            .await
            .map_err(|reason| format!("at the end: {reason}"))
    }

    /// Runs a future, and restarts the gateway whenever it is killed.
    async fn with_gateway_restarts<T>(this: &RefCell<Self>, run: impl Future<Output = T>) -> T {
        let gateway_kill = Arc::clone(&this.borrow().bucket.gateway_kill);
        let mut run = std::pin::pin!(run);
        loop {
            tokio::select! {
                value = &mut run => return value,
                () = gateway_kill.notified() => {
                    // Cannot panic: `run` holds no borrow while it waits.
                    let mut model = this.borrow_mut();
                    model.gateway.kill();
                    model.proxy.set_target(model.gateway.url());
                }
            }
        }
    }

    async fn action(this: &RefCell<Self>, case: &RefCell<Case>, action: &Action) -> CheckResult {
        match action {
            Action::Put { faults, restart } => {
                let command = Command::Put { restart: *restart };
                Self::run_checked(this, case, faults, command).await
            }
            Action::PutTwice { faults } => {
                Self::run_checked(this, case, faults, Command::PutTwice).await
            }
            Action::Resume { faults } => {
                Self::run_checked(this, case, faults, Command::Resume).await
            }
            Action::Edit(edit) => {
                case.borrow().source.lock().unwrap().edit(*edit);
                Ok(())
            }
            Action::KillGateway => {
                let mut model = this.borrow_mut();
                model.gateway.kill();
                model.proxy.set_target(model.gateway.url());
                Ok(())
            }
            Action::LoseLedger => {
                let (mut model, mut case) = (this.borrow_mut(), case.borrow_mut());
                model.gateway.lose_ledger();
                model.proxy.set_target(model.gateway.url());
                let (objects, open) = model.bucket.snapshot();
                case.lost_uploads.extend(open.into_keys());
                case.lost_objects.extend(objects.into_keys());
                Ok(())
            }
            Action::DropOpenUploads => {
                this.borrow().bucket.contents().open.clear();
                Ok(())
            }
            Action::Abort => Self::with_gateway_restarts(this, abort(this, case)).await,
        }
    }

    /// Calls to the gateway fail in the proxy, calls to the store in the bucket.
    fn inject_faults(this: &RefCell<Self>, faults: &[Fault]) {
        let model = this.borrow();
        for fault in faults {
            if fault.call.goes_to_store() {
                model.bucket.inject(*fault);
            } else {
                model.proxy.faults().pending.push_back(*fault);
            }
        }
    }

    /// Runs one process or two with these faults, and checks the outcome.
    async fn run_checked(
        this: &RefCell<Self>,
        case: &RefCell<Case>,
        faults: &[Fault],
        command: Command,
    ) -> CheckResult {
        let (is_put, is_twice) = (command != Command::Resume, command == Command::PutTwice);
        let before = case.borrow().source.lock().unwrap().versions.len();
        Self::inject_faults(this, faults);
        let (known, bucket) = (Self::agreed_bytes(this, case), this.borrow().bucket.clone());
        bucket.restart_byte_count().await;
        let restart = command == (Command::Put { restart: true });
        let item = is_put.then(|| case.borrow().put(restart));
        let config = Self::process_config(this);
        let journal = case.borrow().dir.path().join("journal.db");
        let process = || {
            let items = |journal: &Journal| {
                if let Some(item) = &item {
                    return vec![item.clone()];
                }
                let all = journal.all().unwrap().into_iter();
                let unfinished = all.filter(|upload| upload.state.is_unfinished());
                unfinished
                    .map(|upload| Item::Resume(Box::new(upload)))
                    .collect()
            };
            Box::pin(config.run(&journal, items))
        };
        let outcomes = if is_twice {
            let (a, b) =
                Self::with_gateway_restarts(this, async { tokio::join!(process(), process()) })
                    .await;
            vec![a, b]
        } else {
            vec![Self::with_gateway_restarts(this, process()).await]
        };
        {
            let model = this.borrow();
            model.bucket.clear_faults();
            model.proxy.faults().pending.clear();
        }
        let edited = case.borrow().source.lock().unwrap().versions.len() != before
            || faults
                .iter()
                .any(|fault| matches!(fault.kind, FaultKind::EditSource(_)));
        Self::invariants(this, case)?;
        let sent = bucket.contents().bytes;
        let size: u64 = case
            .borrow()
            .source
            .lock()
            .unwrap()
            .current()
            .iter()
            .map(|(_, size)| size)
            .sum();
        if faults.is_empty() && is_put && !is_twice && sent > size - known {
            let put_log = bucket.contents().put_log.clone();
            return Err(format!(
                "{sent} bytes of {size} were sent, although {known} were stored and in the journal: {put_log:#?}"
            ));
        }
        let mut done = 0;
        for outcome in &outcomes {
            let Outcome::Done(outcomes) = outcome else {
                continue;
            };
            for item in outcomes {
                match item {
                    Ended::Completed(receipt) => {
                        done += 1;
                        Self::receipt(this, case, receipt, edited)?;
                    }
                    Ended::Failed("source_changed") if edited || !is_put => {}
                    Ended::Failed("busy") if is_twice => {}
                    // A resume does not continue an upload that was aborted or replaced.
                    Ended::Failed("gone" | "not_found") if !is_put => {}
                    Ended::Kept => return Err("left out, although its key is new".into()),
                    Ended::Failed(kind) => {
                        return Err(format!("failed as {kind}, although no fault is permanent"));
                    }
                }
            }
        }
        let killed = outcomes
            .iter()
            .any(|outcome| matches!(outcome, Outcome::Killed));
        if is_put && !killed && !edited && done == 0 {
            return Err(format!("no upload was completed: {outcomes:?}"));
        }
        Ok(())
    }

    fn process_config(this: &RefCell<Self>) -> Process {
        let model = this.borrow();
        Process {
            bucket: model.bucket.clone(),
            proxy: model.proxy.addr,
            token: model.gateway.tokens[0].clone(),
        }
    }

    /// Without faults, a put completes the upload, and a second put sends nothing.
    async fn finish(this: &RefCell<Self>, case: &RefCell<Case>) -> CheckResult {
        let command = Command::Put { restart: false };
        Self::run_checked(this, case, &[], command).await?;
        Self::run_checked(this, case, &[], command).await?;
        let (model, case) = (this.borrow(), case.borrow());
        let contents = model.bucket.contents();
        if contents.bytes != 0 {
            return Err("a completed upload was sent again".into());
        }
        // An upload that the gateway is completing stays open until the gateway decides, although
        // the source has changed.
        let ledger = model.gateway.ledger();
        let completing = |key: &str| {
            let sql = "SELECT count(*) FROM upload WHERE key = ?1 AND state = 'completing'";
            ledger
                .query_row(sql, [key], |row| row.get::<_, i64>(0))
                .unwrap()
                == 1
        };
        let is_unexpected = |(id, open): &(&String, &Multipart)| {
            !case.lost_uploads.contains(*id) && !completing(&open.key)
        };
        let left: Vec<_> = contents.open.iter().filter(is_unexpected).collect();
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("multipart uploads are left open: {left:?}"))
        }
    }
}

/// Aborts all unfinished uploads, as `upload abort` does.
async fn abort(this: &RefCell<ClientModel>, case: &RefCell<Case>) -> CheckResult {
    let config = ClientModel::process_config(this);
    let mut journal = case.borrow().journal();
    for upload in journal
        .all()
        .unwrap()
        .into_iter()
        .filter(|upload| upload.state.is_unfinished())
    {
        let upload = journal.take(&upload).map_err(|error| error.to_string())?;
        let backend = config.backend();
        let begun = match &upload.id {
            Some(id) => Ok(id.clone()),
            None => backend
                .begin(&transfer::begin_request(&upload, None))
                .await
                .map(|response| response.id),
        };
        let aborted = match begun {
            Ok(id) => backend.abort(&id, None).await,
            Err(error) => Err(error),
        };
        match aborted {
            Err(error)
                if matches!(
                    error.kind(),
                    Kind::NotFound | Kind::Gone | Kind::NotAcceptable
                ) => {}
            // A completing upload cannot be aborted.
            Err(error) if error.kind() == Kind::NotAbortable => continue,
            aborted => aborted.map_err(|error| format!("could not abort: {error}"))?,
        }
        journal
            .record(&[Record::Abandoned { row: upload.row }])
            .unwrap();
    }
    Ok(())
}

#[test]
fn client_completes_each_upload_once_and_correctly() {
    let runtime: Runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let model = runtime.block_on(async {
        let bucket = Bucket::start().await;
        let proxy = LossyProxy::start(&bucket).await;
        let gateway = TestGateway::start(&bucket, "tokens");
        proxy.set_target(gateway.url());
        RefCell::new(ClientModel {
            gateway,
            bucket,
            proxy,
        })
    });
    run_cases(64, &actions(), |case| {
        runtime.block_on(ClientModel::run(&model, case))
    });
    let stderr = model.borrow().gateway.stderr();
    assert!(!stderr.contains("panicked"), "{stderr}");
}
