//! One suite per port. Each case takes the port as a trait object and knows nothing of the adapter behind it, so that
//! the twin in this process and the adapters for managed services are held to the same promises.

mod blobs;
mod bus;
mod queue;
mod queue_model;
mod routes;

/// Runs every named case against what `$make` makes, on a paused clock: waiting costs nothing and is exact.
macro_rules! suite {
    ($adapter:ident = $make:path: $($case:ident)+) => {
        mod $adapter {
            $(
                #[tokio::test(start_paused = true)]
                async fn $case() {
                    super::$case($make()).await;
                }
            )+
        }
    };
}
use suite;
