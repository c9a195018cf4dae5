//! Amazon's services as a process of its own: the tests' fault bed, without faults.

use std::io::Read as _;
use std::process::{Child, Command};

use aws_credential_types::Credentials;
use compilation_worker::aws::{Clients, Endpoints, Settings};

use crate::common::daemon::announced;
use crate::services;

/// What the routing table is called.
pub(crate) const TABLE: &str = "routes";
/// The queue for jobs, and one for messages that are none.
const QUEUES: [&str; 2] = ["jobs.fifo", "bare.fifo"];
/// The flag that makes this program the services.
pub(crate) const FLAG: &str = "--bed";

/// The running services; dropping them stops them.
pub(crate) struct Bed {
    child: Child,
    /// Where they are.
    pub(crate) url: String,
    /// The URL of the queue for jobs.
    pub(crate) jobs: String,
    /// The URL of the queue for messages that are none.
    pub(crate) bare: String,
}

impl Bed {
    /// Starts them with an empty table.
    pub(crate) fn start() -> Self {
        Self::routing("")
    }

    /// Starts them with a table that sends one compiler to `service`.
    pub(crate) fn routing(service: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let (child, line) = announced(command.args([FLAG, service]));
        let [url, jobs, bare] =
            line.split_whitespace().map(str::to_owned).collect::<Vec<_>>().try_into().unwrap();
        Self { child, url, jobs, bare }
    }

    /// Clients that find every service here, with credentials that nobody checks.
    pub(crate) fn clients(&self) -> Clients {
        let endpoints = Endpoints { every: Some(self.url.clone()), ..Endpoints::default() };
        let settings = Settings { region: "us-east-1".to_owned(), endpoints };
        Clients::new(settings, Credentials::new("AKIDTEST", "secret", None, None, "bench"))
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// The services' own life, which ends with their standard input.
pub(crate) fn serve() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let bed = runtime.block_on(services::Bed::start());
    let service = std::env::args().nth(2).unwrap();
    if !service.is_empty() {
        bed.route(TABLE, crate::COMPILER, services::url_row(&service));
    }
    let [jobs, bare] = QUEUES.map(|queue| bed.queue(queue));
    println!("{} {jobs} {bare}", bed.url());
    let mut end = Vec::new();
    std::io::stdin().read_to_end(&mut end).unwrap();
}
