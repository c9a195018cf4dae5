//! Every configuration key, declared once. The structs, the flags, the environment names, the file's keys, `check` and
//! the reference all derive from this table. The comment above a key is its help.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::aws;
use crate::config::layers::Reader;
use crate::config::value::{ByteSize, Shape, Share, Value};
use crate::domain::limits;
use crate::doors::http::Network;
use crate::ports::QueueAddress;
use crate::publish::Outlet;
use crate::sandbox::Mode;
use crate::telemetry::log;

/// One key, as the outside sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// The section.
    pub section: &'static str,
    /// The name within.
    pub name: &'static str,
    /// What a value looks like.
    pub looks: &'static str,
    /// What stands for a value in usage lines.
    pub noun: &'static str,
    /// How it is given on the command line.
    pub shape: Shape,
    /// The default, as one would write it.
    pub default: &'static str,
    /// What it is for.
    pub help: &'static str,
    /// A shorter flag than the rule gives.
    pub short_flag: Option<&'static str>,
}

/// What a key holds until it is derived from the machine and from other keys.
pub const AUTO: &str = "auto";

macro_rules! settings {
    ($(
        #[doc = $about:literal]
        $section:ident: $kind:ident {
            $( #[doc = $help:literal] $name:ident: $value:ty = $default:literal $(as $flag:literal)?, )+
        }
    )+) => {
        $(
            #[doc = $about]
            #[derive(Debug, Clone, PartialEq, Eq)]
            pub struct $kind {
                $( #[doc = $help] pub $name: $value, )+
            }

            impl $kind {
                fn read(reader: &mut Reader<'_>) -> Option<Self> {
                    // Every key is read before any is missed, so that all mistakes come to light at once.
                    $( let $name = reader.take::<$value>(stringify!($section), stringify!($name)); )+
                    Some(Self { $( $name: $name?, )+ })
                }
            }
        )+

        /// The whole checked configuration.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Config {
            $( #[doc = $about] pub $section: $kind, )+
        }

        impl Config {
            pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
                $( let $section = $kind::read(reader); )+
                Some(Self { $( $section: $section?, )+ })
            }
        }

        /// Every section with what it is about, in order.
        pub const SECTIONS: &[(&str, &str)] = &[$( (stringify!($section), $about.trim_ascii()), )+];

        /// Every key, in order.
        pub const KEYS: &[Key] = &[$( $( Key {
            section: stringify!($section),
            name: stringify!($name),
            looks: <$value as Value>::LOOKS,
            noun: <$value as Value>::NOUN,
            shape: <$value as Value>::SHAPE,
            default: $default,
            help: $help.trim_ascii(),
            short_flag: settings!(@flag $($flag)?),
        }, )+ )+];
    };
    (@flag) => { None };
    (@flag $flag:literal) => { Some($flag) };
}

settings! {
    /// The compile API.
    http: Http {
        /// Address the compile API listens on; port 0 picks a free one.
        listen: SocketAddr = "127.0.0.1:10240" as "listen",
        /// Answer in plain text, not JSON, when the caller accepts anything.
        text_by_default: bool = "false",
        /// The environment: its name is accepted as a first path segment, as in /prod/api/..., and its routes are ours.
        environment: Option<String> = "",
        /// Largest request body.
        body: ByteSize = "16MiB",
        /// Time a caller has to send a request's head.
        head_deadline: Duration = "8s",
        /// Time a caller has to send a request's body.
        body_deadline: Duration = "20s",
        /// How long a caller may hold up a reply before its speed is judged.
        write_deadline: Duration = "30s",
        /// How long a connection may idle; must exceed the balancer's, or it will use what we just closed.
        idle: Duration = "75s",
        /// How long the balancer in front keeps an idle connection.
        balancer_idle: Duration = "60s",
        /// Connections open at once; beyond them, the oldest idle one has to go.
        connections: usize = "1024",
        /// How long clients and caches in between may keep an answer.
        keep_for: Duration = "10m",
        /// Networks that may clear the caches, beside this machine itself.
        clear_cache_from: Vec<Network> = "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7",
    }

    /// Health, metrics and commands, on a thread of their own.
    admin: Admin {
        /// Address of /metrics, /health and /admin; port 0 picks a free one.
        listen: SocketAddr = "127.0.0.1:10241",
    }

    /// Which compilers there are.
    catalogue: Catalogue {
        /// Properties files, or directories of them, in the order of their precedence.
        paths: Vec<PathBuf> = "" as "catalogue",
        /// Find the machine's own compilers too.
        discover: bool = "true",
        /// Directories in which compilers are looked for.
        search_path: Vec<PathBuf> = "/usr/local/bin,/usr/bin,/bin",
        /// Environments whose properties apply, each over the one before.
        environments: Vec<String> = "",
    }

    /// What keeps jobs from the machine.
    sandbox: Sandbox {
        /// jail: with what this kernel offers; strict: with everything or not at all; none: for development only.
        mode: Mode = "jail" as "sandbox",
        /// Further paths that jobs may read, such as the prefix of a compiler outside /usr.
        readable: Vec<PathBuf> = "",
        /// Control group beneath which each job gets its own; nothing means our own group.
        cgroup_parent: Option<PathBuf> = "",
    }

    /// What one job may use.
    limits: Limits {
        /// Wall time of one compile.
        wall: Duration = "20s",
        /// Memory, scratch files included.
        memory: ByteSize = "1280MiB",
        /// Processes and threads.
        pids: u64 = "72",
        /// CPU time per second of wall time, in thousandths of one core.
        cpu_millis: u64 = "1000",
        /// Largest single file.
        file_size: ByteSize = "1GiB",
        /// Open descriptors per process.
        open_files: u64 = "300",
        /// Room in the work directory, and again in /tmp.
        scratch: ByteSize = "512MiB",
        /// Files and directories in the work directory, and again in /tmp.
        scratch_inodes: u64 = "1000",
        /// Kept of standard output, and again of standard error.
        output: ByteSize = "1MiB",
        /// Largest listing that is read.
        artifact: ByteSize = "64MiB",
    }

    /// How work is admitted and remembered.
    engine: Engine {
        /// Compiles at once; auto is as many as cores and memory hold.
        slots: usize = "auto",
        /// Compiles that may wait for a slot; further ones are refused as busy.
        queue_length: usize = "64",
        /// Longest wait for a slot.
        queue_wait: Duration = "15s",
        /// Time from a request's arrival to its answer, all told.
        request_budget: Duration = "55s",
        /// Memory for finished answers.
        answer_cache: ByteSize = "32MiB",
        /// Memory for raw compiler output, from which answers with other filters are made.
        output_cache: ByteSize = "32MiB",
    }

    /// Where requests go that are better served elsewhere.
    routing: Routing {
        /// Table of queues and URLs by compiler; without one, only what this machine has is known.
        table: Option<String> = "",
        /// How long a row is believed at most.
        ttl: Duration = "5m",
        /// How long it is believed that a compiler has no row.
        negative_ttl: Duration = "5s",
        /// Read the whole table at the start, so that no request waits for its row.
        warm_up: bool = "false",
    }

    /// The queues that jobs go to and come from.
    queues: Queues {
        /// Queue for compilers without a row that this machine lacks; those that rows name are its neighbors.
        default: Option<QueueAddress> = "",
        /// Each queue is two, NAME-blue and NAME-green, and jobs go to the one that is live.
        colours: bool = "false",
        /// Queue this machine takes jobs from.
        own: Option<QueueAddress> = "",
        /// Queue for messages that no worker can do; without one they are deleted, and told to the log.
        dead_letters: Option<QueueAddress> = "",
        /// How long a message is ours each time we say that we work on it, which is three times in this; whole seconds.
        visibility: Duration = "10s",
    }

    /// A second service that is asked what it would have answered, and compared.
    shadow: Shadow {
        /// The service's http:// or https:// URL, without /api and what follows; without one nobody is asked.
        url: Option<String> = "",
        /// Which part of the compile requests that are answered here or through the queue it is asked too.
        share: Share = "1%",
        /// Requests it is asked at once; what would be one more is not asked.
        at_once: usize = "4",
        /// How long it may take.
        patience: Duration = "60s",
        /// Directory for a hundred examples of what differs, with the sources that clients sent; nothing keeps none.
        samples: Option<PathBuf> = "",
    }

    /// How results travel between routers and workers.
    events: Events {
        /// The events hub, a ws:// or wss:// URL; without one, results stay within this process.
        url: Option<String> = "",
        /// Largest result that travels whole; a larger one is stored. API Gateway relays no more than the default.
        largest_frame: ByteSize = "31KiB",
    }

    /// Where lies what is too large for a message.
    storage: Storage {
        /// Bucket for large jobs; without one they are refused.
        overflow_bucket: Option<String> = "",
        /// What the keys of large jobs start with.
        overflow_prefix: String = "sqs-overflow/",
        /// Bucket for large results; without one they become errors.
        results_bucket: Option<String> = "",
        /// What the keys of results start with.
        results_prefix: String = "cache/",
    }

    /// Amazon's services, for queues that are URLs, for the table and the buckets.
    aws: Aws {
        /// Region of the table, the parameter and the buckets, and of queues whose URL does not tell; nobody is asked for it.
        region: String = "us-east-1",
        /// Parameter that says which color is live.
        color_parameter: Option<String> = "",
        /// URL of all services, if it is not Amazon who serves.
        endpoint: Option<String> = "",
        /// The same for the queues alone.
        endpoint_sqs: Option<String> = "",
        /// The same for the table alone.
        endpoint_dynamodb: Option<String> = "",
        /// The same for the buckets alone.
        endpoint_s3: Option<String> = "",
        /// The same for the parameter alone.
        endpoint_ssm: Option<String> = "",
        /// The same for Auto Scaling alone.
        endpoint_autoscaling: Option<String> = "",
        /// The same for the load balancer alone.
        endpoint_elbv2: Option<String> = "",
        /// The same for metrics alone.
        endpoint_cloudwatch: Option<String> = "",
        /// The same for logs alone.
        endpoint_logs: Option<String> = "",
    }

    /// The fleet that this machine belongs to: how figures name it, and where the operator's commands look for it.
    fleet: Fleet {
        /// The fleet's name, in metrics and in the names of log groups.
        name: String = "compilation",
        /// Its Auto Scaling group; auto is NAME-asg.
        group: String = "auto",
        /// The balancer's target group with its instances; auto is NAME-instances.
        target_group: String = "auto",
        /// Log group of the daemons' logs; auto is /compilation-worker/NAME/daemon.
        log_group: String = "auto",
        /// Log group of their metrics; auto is /compilation-worker/NAME/metrics.
        metrics_group: String = "auto",
        /// ARN of the balancer's listener whose rules share requests among old and new.
        listener: Option<String> = "",
        /// Priority of the rule that `migrate weights --force` puts the fleet into, where no rule names it.
        rule_priority: u64 = "70",
        /// Name or ARN of the target group that served before this fleet.
        old_target_group: Option<String> = "",
    }

    /// What CloudWatch is told. Prometheus asks for itself: /metrics of the admin address has the same figures.
    metrics: Metrics {
        /// Where they go in embedded metric format: stdout, the CloudWatch agent's listener, or nowhere.
        emf: Option<Outlet> = "",
        /// How often; also how often the network's driver is asked what it has throttled.
        every: Duration = "60s",
    }

    /// Traces of single requests across routers, queues and workers, as X-Ray and OpenTelemetry have them.
    trace: Trace {
        /// Where spans go: the http:// or https:// URL of a collector that takes OTLP over HTTP, whose port is 4318; without one, ids are only passed on and logged.
        url: Option<String> = "",
        /// Share of the traces that is recorded, where X-Amzn-Trace-Id does not say (Sampled=1, Sampled=0). Routers and workers need the same.
        share: Share = "5%",
    }

    /// The instance that this process runs on, if it is one of EC2's: what others intend with it.
    instance: Instance {
        /// Ask the instance metadata service every 5 s, and act: drain before the instance ends, pause while it is in Standby.
        watch: bool = "false",
        /// URL of the instance metadata service, of which version 2 is used.
        metadata: String = "http://169.254.169.254",
        /// Hook of the Auto Scaling group that waits for the drain before the instance ends; nothing means that none does.
        lifecycle_hook: Option<String> = "",
        /// How long that hook waits for a sign of life, of which it gets three in this time.
        hook_timeout: Duration = "90s",
        /// Ask the group not to choose this instance when it scales in, while it compiles and for a minute after.
        protect_while_busy: bool = "false",
        /// Drain at a rebalance recommendation. A group with capacity rebalancing ends an instance once its successor is up; one without would only lose capacity that may never be taken.
        drain_on_rebalance: bool = "false",
        /// Directory in which a pause by hand outlives a restart; nothing means that it is forgotten.
        state: Option<PathBuf> = "",
    }

    /// The events hub, for the command of that name. The defaults are the limits of API Gateway.
    hub: Hub {
        /// Address the hub listens on; port 0 picks a free one.
        listen: SocketAddr = "127.0.0.1:10242",
        /// Largest message; a larger one ends its connection with code 1009.
        message: ByteSize = "128KiB",
        /// Largest frame of a message; likewise.
        frame: ByteSize = "32KiB",
        /// Connections open at once; further ones are refused.
        connections: usize = "4096",
        /// Subscriptions of one connection; further ones are refused.
        subscriptions: usize = "20000",
        /// What may wait to be written to one client; the rest is dropped, and its sender repeats it.
        backlog: ByteSize = "4MiB",
    }

    /// How the process ends.
    drain: Drain {
        /// After the stop signal, serve this long as usual, so that the balancer notices first.
        lame_duck: Duration = "0s",
        /// After the stop signal, how long work may take to finish before it is killed.
        budget: Duration = "60s",
    }

    /// What is written to standard error.
    log: Log {
        /// auto: pretty on a terminal, otherwise JSON.
        format: log::Format = "auto",
        /// A level (error, warn, info, debug, trace), or a list such as info,hyper=warn.
        filter: String = "info",
    }
}

impl Key {
    /// `section.key`, as in the file and in messages.
    pub fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    /// The flag that the rule gives, without dashes: `section-key`.
    pub fn long_flag(&self) -> String {
        format!("{}-{}", self.section, self.name.replace('_', "-"))
    }

    /// The flag shown first, without dashes.
    pub fn flag(&self) -> String {
        self.short_flag.map_or_else(|| self.long_flag(), str::to_owned)
    }

    /// The environment variable.
    pub fn variable(&self) -> String {
        format!("{}{}_{}", super::VARIABLE_PREFIX, self.section, self.name).to_uppercase()
    }

    /// The key with this path.
    pub fn find(path: &str) -> Option<&'static Self> {
        let (section, name) = path.split_once('.')?;
        KEYS.iter().find(|key| key.section == section && key.name == name)
    }
}

impl Aws {
    /// Where the services are.
    pub fn places(&self) -> aws::Settings {
        let endpoints = aws::Endpoints {
            every: self.endpoint.clone(),
            sqs: self.endpoint_sqs.clone(),
            dynamodb: self.endpoint_dynamodb.clone(),
            s3: self.endpoint_s3.clone(),
            ssm: self.endpoint_ssm.clone(),
            autoscaling: self.endpoint_autoscaling.clone(),
            elbv2: self.endpoint_elbv2.clone(),
            cloudwatch: self.endpoint_cloudwatch.clone(),
            logs: self.endpoint_logs.clone(),
        };
        aws::Settings { region: self.region.clone(), endpoints }
    }
}

impl Queues {
    /// The queues that are named.
    pub fn all(&self) -> impl Iterator<Item = &QueueAddress> {
        [&self.own, &self.default, &self.dead_letters].into_iter().flatten()
    }
}

impl Limits {
    /// The limits of one job in the engine's words.
    pub fn of_a_job(&self) -> limits::Limits {
        limits::Limits {
            wall: self.wall,
            memory: self.memory.bytes(),
            pids: self.pids,
            cpu_millis: self.cpu_millis,
            file_size: self.file_size.bytes(),
            open_files: self.open_files,
            scratch: self.scratch.bytes(),
            scratch_inodes: self.scratch_inodes,
            output: self.output.bytes(),
            artifact: self.artifact.bytes(),
        }
    }
}
