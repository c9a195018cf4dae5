//! One suite per port. Each case takes the port as a trait object and knows nothing of the adapter behind it, so that
//! the twin in this process and the adapters for managed services are held to the same promises.

mod blobs;
mod bus;
mod queue;
mod queue_model;
mod real_time;
mod routes;

use compilation_worker::ports::Pending;

/// A case, by its name: for adapters whose time is real, and which need a bed of their own.
type Case<Port> = (&'static str, fn(Port) -> Pending<'static, ()>);

/// Runs every named case against what `$make` makes, on a paused clock: waiting costs nothing and is exact. With the
/// port's type in front, the cases are listed, too, for whoever runs them elsewhere.
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
    ($port:ty; $adapter:ident = $make:path: $($case:ident)+) => {
        suite! { $adapter = $make: $($case)+ }

        pub(super) fn cases() -> Vec<super::Case<$port>> {
            vec![$((stringify!($case), |port| Box::pin($case(port)))),+]
        }
    };
}
use suite;
