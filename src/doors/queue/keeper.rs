//! Keeps a message ours while it is being handled.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::domain::limits::Deadline;
use crate::ports::{QueueError, QueueSource, Received};

/// How long after the job's deadline a message is still kept: for the delivery of what came in the last moment.
const GRACE: Duration = Duration::from_secs(5);

/// Tells the queue, three times in every `visibility`, that `message` is being handled. Returns when it is no longer
/// ours, with the error if the queue could not be told: another receive may have it by then, and what we make of it is
/// for nobody. After `over` it returns too, but never between a question and its answer: that would hide again what is
/// given back meanwhile.
pub(super) async fn keep(
    source: &dyn QueueSource,
    message: &Received,
    visibility: Duration,
    deadline: Deadline,
    over: &CancellationToken,
) -> Result<(), QueueError> {
    // The queue counted from before we knew of it.
    let mut ours_until = Instant::now() + visibility;
    let end = deadline.instant() + GRACE;
    while Instant::now() < end {
        let pause = (visibility / 3).mul_f64(0.9 + 0.2 * fastrand::f64());
        if over.run_until_cancelled(sleep(pause)).await.is_none() {
            return Ok(());
        }
        let asked = Instant::now();
        match source.hide(message.receipt.clone(), visibility).await {
            Ok(()) => ours_until = asked + visibility,
            Err(QueueError::Void { .. }) => return Ok(()),
            Err(error) if asked >= ours_until => return Err(error),
            // There are two more tries before the message is anybody's.
            Err(_) => {}
        }
    }
    // Its time is over, and whoever handles it knows: it ends with the handling.
    over.cancelled().await;
    Ok(())
}
