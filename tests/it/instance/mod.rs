//! What others intend with the machine, and what the program does about it: against a metadata service and a control
//! plane that say what the test wants.

mod imds;
mod metadata;
mod notices;
mod pauses;
mod protects;
mod troubles;

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::aws::server::{Act, Server};
use crate::support::daemon::{Daemon, program};
use crate::support::obedient::Obedient;

/// How long anything may take before a test gives up: two looks, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The control plane, which hears everything.
struct Group(Server);

impl Group {
    async fn start() -> Self {
        let headers = "content-type: text/xml\r\n".to_owned();
        Self(Server::doing([Act::Answer(200, headers, b"<Response/>".to_vec())]).await)
    }

    /// What was said so far: the verb, and its own parameter.
    fn heard(&self) -> Vec<String> {
        let line = |body: &[u8]| {
            let pairs: Vec<(String, String)> = form_urlencoded::parse(body).into_owned().collect();
            let value = |name: &str| {
                pairs
                    .iter()
                    .find(|(known, _)| known == name)
                    .map(|(_, value)| value.clone())
                    .unwrap_or_default()
            };
            assert_eq!(value("AutoScalingGroupName"), "compilation-asg");
            let instance = value("InstanceId") + &value("InstanceIds.member.1");
            assert_eq!(instance, imds::INSTANCE);
            let rest = ["LifecycleHookName", "LifecycleActionResult", "ProtectedFromScaleIn"].map(value);
            format!("{} {}", value("Action"), rest.concat())
        };
        self.0.seen().iter().map(|request| line(&request.body)).collect()
    }

    /// The flag by which the program finds it.
    fn flag(&self) -> String {
        format!("--aws-endpoint-autoscaling=http://{}", self.0.host())
    }
}

/// A daemon that has the obedient compiler, and credentials.
async fn serve(obedient: &Obedient, flags: &[&str]) -> Daemon {
    let mut command = program();
    command.env("AWS_ACCESS_KEY_ID", "AKIDTEST").env("AWS_SECRET_ACCESS_KEY", "secret");
    command.env("AWS_EC2_METADATA_DISABLED", "true");
    let own = obedient.flags();
    let all: Vec<&str> = own.iter().map(String::as_str).chain(flags.iter().copied()).collect();
    let daemon = Daemon::start_as(command, &all).await;
    daemon.task_over("warm-up").await;
    daemon
}

/// Looks until it is so.
async fn until(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "it never happened: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// How often the log says something.
fn said(daemon: &Daemon, what: &str) -> usize {
    daemon.log().lines().filter(|line| line.contains(what)).count()
}
