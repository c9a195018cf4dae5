//! The ports on Amazon's services, or on whatever speaks their protocols.
//!
//! | port | adapter | service |
//! |---|---|---|
//! | [`QueueSource`](crate::ports::QueueSource) | [`SqsSource`] | SQS, one queue |
//! | [`QueueSink`](crate::ports::QueueSink) | [`SqsSink`] | SQS, any queue |
//! | [`RouteStore`](crate::ports::RouteStore) | [`AwsRoutes`] | a DynamoDB table, and a parameter of Systems Manager |
//! | [`BlobStore`](crate::ports::BlobStore) | [`S3Blobs`] | S3, any bucket |
//!
//! Beside the ports there is [`AutoScalingGroup`], for the life of an instance, and for the operator [`SqsOverseer`],
//! [`RouteTable`], [`Balancer`], [`LogGroup`] and [`Statistics`].
//!
//! All are made from one [`Clients`], which is the one place that knows endpoints, credentials and the HTTP stack.
//! No type of the SDK is seen above this folder. Patience and retries are said beside each verb, with the reason.
//!
//! The credential chain reads the variables, files and metadata services that every AWS program reads; it does so
//! inside its own crate. Everything else that an environment can say (endpoints, region) comes in through
//! [`Settings`], so that `config` can show where it is from.

mod answers;
mod autoscaling;
mod balancer;
mod blobs;
mod clients;
mod clock;
mod color;
mod fault;
mod keys;
mod logs;
mod messages;
mod overseer;
mod place;
mod route_table;
mod routes;
mod signed;
mod sink;
mod source;
mod statistics;
mod xml;

pub use autoscaling::{Activity, AutoScalingGroup, Group, Member, Pace, Refresh};
pub use balancer::{Balancer, Forward, Rule, Share, TargetGroup, TargetHealth};
pub use blobs::S3Blobs;
pub use clients::Clients;
pub use fault::{Fault, Kind};
pub use logs::{Event, LogGroup, Page, Search};
pub use overseer::SqsOverseer;
pub use route_table::{RouteTable, TableRow, Written};
pub use routes::AwsRoutes;
pub use sink::SqsSink;
pub use source::SqsSource;
pub use statistics::{Figures, Metric, Span, Statistics};

/// Where the services are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The region of the table, the parameter and the buckets, and of queues whose URL does not tell (`AWS_REGION`).
    pub region: String,
    /// Who serves, if not Amazon.
    pub endpoints: Endpoints,
}

/// Base URLs that stand in for Amazon's own, such as `http://127.0.0.1:4566`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// For every service that has none of its own below (`AWS_ENDPOINT_URL`).
    pub every: Option<String>,
    /// `AWS_ENDPOINT_URL_SQS`. Without it and [`Self::every`], a queue is asked for at the host in its URL.
    pub sqs: Option<String>,
    /// `AWS_ENDPOINT_URL_DYNAMODB`.
    pub dynamodb: Option<String>,
    /// `AWS_ENDPOINT_URL_S3`. Buckets are then named in the path instead of the host.
    pub s3: Option<String>,
    /// `AWS_ENDPOINT_URL_SSM`.
    pub ssm: Option<String>,
    /// `AWS_ENDPOINT_URL_AUTO_SCALING`.
    pub autoscaling: Option<String>,
    /// `AWS_ENDPOINT_URL_ELASTIC_LOAD_BALANCING_V2`.
    pub elbv2: Option<String>,
    /// `AWS_ENDPOINT_URL_CLOUDWATCH`.
    pub cloudwatch: Option<String>,
    /// `AWS_ENDPOINT_URL_CLOUDWATCH_LOGS`.
    pub logs: Option<String>,
}

impl Endpoints {
    /// A service's own stand-in, or everybody's.
    fn or_every(&self, own: Option<&String>) -> Option<String> {
        own.or(self.every.as_ref()).cloned()
    }
}
