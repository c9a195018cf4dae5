//! What a cloud does to a fleet: nothing is lost, nobody is pestered, and all is well again soon after it is.

use std::time::Duration;

use compilation_worker::ports::{BlobAddress, BlobStore as _};
use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::field::{Field, Outcome};
use super::ground::settled;
use crate::support::bed::{Call, Fault, Service};
use crate::support::course::Course;
use crate::support::daemon::compile;
use crate::support::fleet::RESULTS;
use crate::support::obedient::{self, ID};
use crate::support::proxy::Mood;

/// How long a fault lasts.
const TROUBLE: Duration = Duration::from_secs(4);
/// After a heal, how soon requests are answered again (reliability, goal G11).
const RECOVERY: Duration = Duration::from_secs(5);

/// What may be said of the requests that are made while there is trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Toll {
    /// All are answered with their results.
    Nothing,
    /// Some are refused, and told so.
    Refusals,
}

/// One kind of trouble.
struct Trouble {
    name: &'static str,
    begin: fn(&Field),
    toll: Toll,
    /// Whether the worker is refused when it asks for messages.
    refuses_polls: bool,
    /// What else the worker is told.
    flags: &'static [&'static str],
}

const fn trouble(name: &'static str, toll: Toll, begin: fn(&Field)) -> Trouble {
    Trouble { name, begin, toll, refuses_polls: false, flags: &[] }
}

impl Trouble {
    const fn refusing_polls(self) -> Self {
        Self { refuses_polls: true, ..self }
    }
}

/// The fault for every call to SQS with this verb; with `""`, for all.
pub(super) fn sqs(field: &Field, verb: &'static str, fault: Fault) {
    field.fleet.bed().faults(move |call: &Call| {
        let meant = call.service == Service::Sqs && (verb.is_empty() || call.verb == verb);
        if meant { fault.clone() } else { Fault::None }
    });
}

fn service(field: &Field, service: Service, fault: Fault) {
    field
        .fleet
        .bed()
        .faults(move |call: &Call| if call.service == service { fault.clone() } else { Fault::None });
}

/// Rows Q05 and Q08-Q15 of the catalogue. The others need no fleet: a door and a queue show them (`queue::refuses`,
/// `queue::answers`).
static OF_SERVICES: [Trouble; 22] = [
    trouble("Q05 every message is delivered twice", Toll::Nothing, |field| {
        sqs(field, "ReceiveMessage", Fault::Again);
    }),
    trouble("messages come in the opposite order", Toll::Nothing, |field| {
        sqs(field, "ReceiveMessage", Fault::Backwards);
    }),
    trouble("every call to the queue takes half a second", Toll::Nothing, |field| {
        sqs(field, "", Fault::Late(Duration::from_millis(500)));
    }),
    trouble("Q08 keeping a message is refused", Toll::Nothing, |field| {
        sqs(field, "ChangeMessageVisibility", Fault::THROTTLED);
    }),
    trouble("Q09 deleting is refused", Toll::Nothing, |field| {
        sqs(field, "DeleteMessageBatch", Fault::THROTTLED);
    }),
    trouble("Q09 the answer to a deletion is lost", Toll::Nothing, |field| {
        sqs(field, "DeleteMessageBatch", Fault::Lost);
    }),
    trouble("Q10 the cloud's clock is ten minutes ahead", Toll::Nothing, |field| field.fleet.bed().skew(600)),
    trouble("Q10 the cloud's clock is ten minutes behind", Toll::Nothing, |field| {
        field.fleet.bed().skew(-600);
    }),
    trouble("Q11 everything is throttled", Toll::Refusals, |field| sqs(field, "", Fault::THROTTLED))
        .refusing_polls(),
    trouble("Q11 receiving is throttled", Toll::Nothing, |field| {
        sqs(field, "ReceiveMessage", Fault::THROTTLED);
    })
    .refusing_polls(),
    trouble("Q11 too many are in flight", Toll::Nothing, |field| {
        sqs(field, "ReceiveMessage", Fault::Refuse(403, "OverLimit", "too many in flight"));
    })
    .refusing_polls(),
    trouble("Q11 a storm of 500", Toll::Refusals, |field| {
        sqs(field, "", Fault::Refuse(500, "InternalError", "again"));
    })
    .refusing_polls(),
    trouble("Q11 a storm of 503 from a proxy", Toll::Refusals, |field| sqs(field, "", Fault::Garbage(503)))
        .refusing_polls(),
    trouble("Q12 the credentials are expired", Toll::Refusals, |field| sqs(field, "", Fault::EXPIRED))
        .refusing_polls(),
    trouble("Q13 the queue resets connections", Toll::Refusals, |field| sqs(field, "", Fault::Reset))
        .refusing_polls(),
    trouble("Q13 all services reset connections", Toll::Refusals, |field| field.services.set(Mood::Cut)),
    trouble("Q13 all services are a black hole", Toll::Refusals, |field| field.services.set(Mood::Hold)),
    trouble("Q13 buckets are down", Toll::Nothing, |field| service(field, Service::S3, Fault::Reset)),
    Trouble {
        flags: &["--events-largest-frame=256B"],
        ..trouble("Q13 buckets are down, and all results are large", Toll::Nothing, |field| {
            service(field, Service::S3, Fault::Reset);
        })
    },
    trouble("Q13 the table hangs", Toll::Nothing, |field| service(field, Service::DynamoDb, Fault::Hang)),
    // A call that is never answered is given up three seconds after its answer was due. Where there is work to do that is
    // four after it was made, so that it is over five after the heal, though no heal helps the call itself. Where there
    // was none for long it is thirteen.
    trouble("Q14 receives hang", Toll::Nothing, |field| sqs(field, "ReceiveMessage", Fault::Hang)),
    trouble("Q15 the table is throttled", Toll::Nothing, |field| {
        service(field, Service::DynamoDb, Fault::Refuse(400, "ProvisionedThroughputExceededException", "no"));
    }),
];

/// Rows of the hub, and processes that stand still for a while. The others need no fleet: two buses and a hub show them
/// (W01 and W02 `events::survives`, W03 and W04 `events::says`, W09 `events::garbage`).
static OF_THE_HUB: [Trouble; 5] = [
    trouble("W05, W07 the hub is away", Toll::Nothing, |field| field.events.set(Mood::Cut)),
    trouble("Q13 the hub is a black hole", Toll::Nothing, |field| field.events.set(Mood::Hold)),
    trouble("Q13 everything is a black hole", Toll::Refusals, |field| {
        field.services.set(Mood::Hold);
        field.events.set(Mood::Hold);
    }),
    trouble("W08 the router reads nothing", Toll::Nothing, |field| field.router.signal(Signal::STOP)),
    trouble("the worker stands still", Toll::Nothing, |field| field.worker.signal(Signal::STOP)),
];

/// Puts a fleet through a trouble, and checks what it promises.
#[expect(clippy::print_stdout, reason = "the figures of a run are worth having")]
async fn endure(trouble: &'static Trouble) {
    let field = Field::with(trouble.flags).await;
    let compiled = field.worker.compiles().await;
    (trouble.begin)(&field);
    let begun = Instant::now();
    let (outcome, (polls, recovery)) = tokio::join!(field.load(TROUBLE), async {
        sleep(TROUBLE).await;
        let polls = field.polls(begun);
        heal(&field);
        (polls, field.recovery().await)
    });
    let Outcome { done, refused } = &outcome;
    println!(
        "{}: {done} answered, {} refused, {polls} receives, well again after {recovery:?}",
        trouble.name,
        refused.len()
    );
    assert!(recovery <= RECOVERY, "well again only after {recovery:?}");
    assert!(trouble.toll == Toll::Refusals || refused.is_empty(), "{refused:?}");
    for (status, text) in refused {
        // The client is told that it may come again.
        assert!([502, 503].contains(status), "{status} {text}");
    }
    // One each second, and one at its beginning.
    assert!(!trouble.refuses_polls || (polls as u64) <= TROUBLE.as_secs() + 1, "{polls} receives");
    field.fleet.emptied(&field.queue).await;
    let compiled = field.worker.compiles().await - compiled;
    let sent = (done + refused.len()) as u64;
    // What was refused may have been sent all the same; what proves the recovery is compiled, too.
    let probes = recovery.as_secs() + 1;
    assert!((*done as u64..=sent + probes).contains(&compiled), "{compiled} compiles for {sent} requests");
}

/// Clocks stay as they are: nobody heals them.
fn heal(field: &Field) {
    field.fleet.bed().heal();
    field.services.set(Mood::Honest);
    field.events.set(Mood::Honest);
    field.router.signal(Signal::CONT);
    field.worker.signal(Signal::CONT);
}

/// Connections that come to nothing cost the services no more than calls that are refused: who has nothing else to do
/// makes at most one a second.
async fn pester(begin: fn(&Field)) {
    let field = Field::open().await;
    // A deletion whose answer is lost is tried more than once.
    field.worker.metric_until("queue_messages_total{outcome=\"done\"}", 1).await;
    begin(&field);
    let before = field.services.dials();
    sleep(2 * TROUBLE).await;
    let dials = field.services.dials() - before;
    // The first may be at the beginning.
    assert!((1..=2 * TROUBLE.as_secs() + 1).contains(&dials), "{dials} connections");
}

/// W06: what nobody takes is kept under its name, and keeps nobody waiting.
async fn outlive_the_router() {
    const JOBS: usize = 4;
    let brief = ["--engine-request-budget=8s", "--engine-queue-wait=2s", "--limits-wall=3s"];
    let mut field = Field::with(&brief).await;
    let mut clients = Vec::new();
    for number in 0..JOBS {
        let mut client = field.router.client().await;
        client.send(compile(ID, &obedient::sleep("1", number))).await;
        clients.push(client);
    }
    field
        .fleet
        .until(&field.queue, |depth| depth.in_flight > 0 && depth.waiting + depth.in_flight == JOBS)
        .await;
    field.router.signal(Signal::KILL);
    field.replace_router().await;
    let recovery = field.recovery().await;
    assert!(recovery <= RECOVERY, "well again only after {recovery:?}");
    field.fleet.emptied(&field.queue).await;
    let settled = settled(&field.worker).await;
    let unclaimed: Vec<_> = settled.iter().filter(|one| one.outcome == "unclaimed").collect();
    assert_eq!(unclaimed.len(), JOBS, "{settled:?}");
    for one in unclaimed {
        let at = BlobAddress { bucket: RESULTS.to_owned(), key: format!("cache/temp/{}", one.id) };
        let kept = field.fleet.bed().blobs().get(&at, 1 << 20).await.unwrap().expect("it is not kept");
        assert!(String::from_utf8_lossy(&kept.bytes).contains("answer:"), "{kept:?}");
    }
}

impl Field {
    /// Receives asked for since.
    fn polls(&self, since: Instant) -> usize {
        let calls = self.fleet.bed().calls();
        calls.iter().filter(|call| call.verb == "ReceiveMessage" && call.at >= since).count()
    }
}

/// Fleets at a time: they wait more than they work.
const AT_A_TIME: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn no_trouble_costs_a_result() {
    let mut course = Course::new(AT_A_TIME, Vec::new());
    for trouble in OF_SERVICES.iter().chain(&OF_THE_HUB) {
        course.run(trouble.name, endure(trouble));
    }
    course.run("W06 the router is gone", outlive_the_router());
    course.run("connections are cut", pester(|field| field.services.set(Mood::Cut)));
    course.run("connections are reset", pester(|field| sqs(field, "", Fault::Reset)));
    course.run_out().await;
}
