//! What it costs to hand a request on to another service, beside asking that service directly.

use std::time::{Duration, Instant};

use crate::bed::{Bed, TABLE};
use crate::common::daemon::{Daemon, request};
use crate::common::load::{self, Echo, Outcome};
use crate::common::numbers::{Millis, percentile, row};

/// Turns of the comparison of latencies.
const TURNS: usize = 2000;
/// Connections at once in that of rates.
const CONNECTIONS: usize = 64;
const ROUNDS: usize = 3;
/// Bytes of the service's reply: a small result.
const REPLY: usize = 2048;

/// The same request to a bare service, directly and through a router.
pub(crate) fn forward() {
    let service = Echo::start(REPLY);
    let bed = Bed::routing(&format!("http://{}/", service.address));
    let router = Daemon::start(&[
        "--catalogue-discover=false",
        "--routing-table",
        TABLE,
        // Where the queues are that rows may name; this one names a URL.
        "--queues-default=jobs.fifo",
        "--aws-endpoint",
        &bed.url,
    ]);
    let body = crate::body(0);
    latency(&service, &router, &body);
    throughput(&service, &router, &body);
}

fn latency(service: &Echo, router: &Daemon, body: &str) {
    let (mut direct, mut through) = (request::Connection::open(service.address), router.connect());
    let mut times = [Vec::new(), Vec::new()];
    for turn in 0..TURNS + TURNS / 10 {
        for (ways, (connection, path)) in
            times.iter_mut().zip([(&mut direct, "/"), (&mut through, crate::ELSEWHERE)])
        {
            let begun = Instant::now();
            let reply = connection.post(path, body);
            let took = begun.elapsed();
            assert_eq!((reply.status, reply.body.len()), (200, REPLY));
            if turn >= TURNS / 10 {
                ways.push(took);
            }
        }
    }
    let [direct, through]: [Duration; 2] = times.map(|mut times| percentile(&mut times, 50));
    row(
        "a request forwarded to a URL, p50",
        &Millis(through).to_string(),
        &Millis(direct).to_string(),
        &format!("{:+.2} ms", (through.as_secs_f64() - direct.as_secs_f64()) * 1e3),
        "<= +1 ms",
    );
}

fn throughput(service: &Echo, router: &Daemon, body: &str) {
    let (mut direct, mut through) = (Outcome::default(), Outcome::default());
    for _ in 0..ROUNDS {
        for (outcome, address, path) in
            [(&mut direct, service.address, "/"), (&mut through, router.http, crate::ELSEWHERE)]
        {
            let request = load::post(path, body);
            outcome.add(load::generate(address, CONNECTIONS, move || request.clone()));
        }
    }
    row(
        &format!("requests forwarded, {CONNECTIONS} connections"),
        &format!("{:.0}/s", through.rate()),
        &format!("{:.0}/s", direct.rate()),
        &format!("{:.0} %", through.rate() / direct.rate() * 100.0),
        ">= 25 %",
    );
    row(
        "  p99",
        &Millis(through.percentile(99)).to_string(),
        &Millis(direct.percentile(99)).to_string(),
        "",
        "",
    );
}
