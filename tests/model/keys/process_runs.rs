//! Puts by one process or two, with faults.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use super::actions::Put;
use super::state::{Case, KeysModel};
use crate::faults::{Call, Fault, FaultKind};
use crate::process::Outcome;

impl KeysModel {
    /// Runs the puts at the same time, and restarts the gateway whenever it is killed. If the only
    /// process waits for its key, the leases of others expire.
    pub(super) async fn run_puts(
        this: &RefCell<Self>,
        case: &RefCell<Case>,
        puts: &[Put],
    ) -> Vec<Outcome> {
        let (kill, key_in_use, process) = {
            let model = this.borrow();
            let kill = Arc::clone(&model.bucket.gateway_kill);
            (kill, Arc::clone(&model.proxy.key_in_use), model.process())
        };
        if puts.len() > 1 {
            // Otherwise both could wait for a killed process.
            this.borrow().expire_leases(&case.borrow().prefix);
        }
        let running = Cell::new(puts.len());
        let runs = puts.iter().map(|put| {
            let (journal, item) = {
                let case = case.borrow();
                (case.journal_path(put.machine), case.item(put))
            };
            let (running, process) = (&running, &process);
            async move {
                let outcome = Box::pin(process.run(&journal, |_| vec![item])).await;
                running.set(running.get() - 1);
                outcome
            }
        });
        let mut all = std::pin::pin!(futures_util::future::join_all(runs));
        loop {
            tokio::select! {
                outcomes = &mut all => return outcomes,
                () = kill.notified() => this.borrow_mut().restart_gateway(),
                () = key_in_use.notified() => {
                    if running.get() == 1 {
                        this.borrow().expire_leases(&case.borrow().prefix);
                    }
                }
            }
        }
    }

    pub(super) fn inject(&self, faults: &[Fault]) {
        for fault in faults {
            if fault.call.goes_to_store() {
                self.bucket.inject(*fault);
            } else {
                self.proxy.faults().pending.push_back(*fault);
            }
        }
    }

    /// Removes the faults that did not occur. Returns those that did.
    pub(super) fn take_injected(&self) -> Vec<(Call, FaultKind)> {
        self.bucket.clear_faults();
        let mut injected = std::mem::take(&mut self.bucket.contents().faults.injected);
        let mut of_proxy = self.proxy.faults();
        of_proxy.pending.clear();
        injected.append(&mut of_proxy.injected);
        injected
    }

    /// Waits until the requests of killed processes have ended.
    pub(super) async fn wait_until_idle(this: &RefCell<Self>) {
        let (bucket, proxy) = {
            let model = this.borrow();
            (model.bucket.clone(), model.proxy.clone())
        };
        while !bucket.is_idle() || !proxy.is_idle() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}
