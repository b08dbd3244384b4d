//! A task in the background that ends with its owner.

use tokio::task::JoinHandle;

/// A spawned task that is aborted on drop. It may be aborted at any point: the next gateway
/// continues its work as after a crash.
#[derive(Debug)]
pub struct BackgroundTask(JoinHandle<()>);

impl BackgroundTask {
    pub fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(task))
    }
}

impl Drop for BackgroundTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}
