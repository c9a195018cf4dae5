//! Credentials that end, are missing, or are signed by a clock that is off.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use compilation_worker::aws::{AwsRoutes, Clients, Kind, Settings, SqsSource};
use compilation_worker::ports::{Ask, QueueSource as _, Receipt, RouteStore as _};
use jiff::Timestamp;
use serde_json::json;

use super::server::{Act, Request, Server};
use super::{kind, unreachable};

const ASK: Ask = Ask { most: 1, wait: Duration::ZERO, hidden_for: Duration::from_secs(10) };

/// Gives out numbered keys, or none.
#[derive(Debug, Clone, Default)]
struct Source {
    given: Arc<AtomicU32>,
    empty: bool,
}

impl ProvideCredentials for Source {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let number = self.given.fetch_add(1, Ordering::Relaxed);
        let key = Credentials::new(format!("AKID{number}"), "secret", Some("token".to_owned()), None, "test");
        let empty = || Err(CredentialsError::not_loaded("the metadata service is silent"));
        future::ProvideCredentials::ready(if self.empty { empty() } else { Ok(key) })
    }
}

fn clients(server: &Server, source: Source) -> Clients {
    Clients::new(Settings { region: "us-east-1".to_owned(), endpoints: server.endpoints() }, source)
}

fn source(server: &Server, clients: &Clients) -> SqsSource {
    SqsSource::new(clients, server.queue("work.fifo")).unwrap()
}

#[tokio::test]
async fn what_a_service_calls_expired_is_fetched_anew_for_the_next_call() {
    for code in ["ExpiredToken", "ExpiredTokenException"] {
        let server = Server::doing([Act::error(403, code, "it is over"), Act::ok(&json!({}))]).await;
        let clients = clients(&server, Source::default());
        let source = source(&server, &clients);
        let error = source.receive(ASK).await.unwrap_err();
        assert_eq!(unreachable(&error, "receive"), Kind::Expired, "{code}");
        assert_eq!(super::said(&error), format!("expired credentials: {code}: it is over"));
        source.receive(ASK).await.unwrap();
        source.receive(ASK).await.unwrap();
        let keys: Vec<String> = server.seen().iter().map(|request| request.access_key().to_owned()).collect();
        assert_eq!(keys, ["AKID0", "AKID1", "AKID1"], "{code}");
    }
}

#[tokio::test]
async fn an_expired_color_renews_the_same_credentials() {
    let act = Act::error(400, "ExpiredTokenException", "it is over");
    let server = Server::doing([act, Act::ok(&json!({ "Parameter": {} }))]).await;
    let clients = clients(&server, Source::default());
    let routes = AwsRoutes::new(&clients, "t".to_owned(), Some("c".to_owned())).unwrap();
    assert_eq!(kind(&routes.active_color().await.unwrap_err()), Kind::Expired);
    routes.active_color().await.unwrap();
    source(&server, &clients).receive(ASK).await.unwrap();
    let keys: Vec<String> = server.seen().iter().map(|request| request.access_key().to_owned()).collect();
    assert_eq!(keys, ["AKID0", "AKID1", "AKID1"]);
    assert_eq!(server.seen()[1].header("x-amz-security-token"), Some("token"));
}

#[tokio::test]
async fn without_credentials_nothing_is_asked_and_the_error_says_so() {
    let server = Server::doing([Act::ok(&json!({}))]).await;
    let clients = clients(&server, Source { empty: true, ..Source::default() });
    let error = source(&server, &clients).receive(ASK).await.unwrap_err();
    assert_eq!(unreachable(&error, "receive"), Kind::NoCredentials);
    assert!(super::said(&error).contains("the metadata service is silent"), "{}", super::said(&error));
    assert_eq!(server.asked(), 0);
}

/// Signed within five minutes of this time, as the services demand.
fn signed_about(request: &Request, time: Timestamp) -> bool {
    let signed = request.header("x-amz-date").unwrap();
    let signed = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", signed).unwrap();
    let signed = signed.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp();
    (signed.as_second() - time.as_second()).abs() < 300
}

/// A server whose clock is so many minutes ahead, and which refuses other times.
async fn ahead(minutes: i64) -> Server {
    Server::start(move |request| {
        let time = Timestamp::from_second(Timestamp::now().as_second() + minutes * 60).unwrap();
        let date = time.strftime("Date: %a, %d %b %Y %H:%M:%S GMT\r\n").to_string();
        let (status, body) = if signed_about(request, time) {
            (200, json!({ "Successful": [{ "Id": "0" }], "Failed": [] }))
        } else {
            (403, json!({ "__type": "InvalidSignatureException", "message": "Signature expired" }))
        };
        Act::Answer(status, date, body.to_string().into_bytes())
    })
    .await
}

#[tokio::test]
async fn a_clock_that_is_off_is_corrected_by_the_services_date() {
    for minutes in [-10, 10] {
        let server = ahead(minutes).await;
        let source = source(&server, &clients(&server, Source::default()));
        source.delete(vec![Receipt::new("r")]).await.unwrap();
        assert_eq!(server.asked(), 2, "the second attempt has the right time");
        let error = source.receive(ASK).await.unwrap_err();
        assert_eq!(unreachable(&error, "receive"), Kind::Denied, "a receive is not repeated");
        source.receive(ASK).await.unwrap();
    }
}

#[tokio::test]
async fn the_color_is_signed_by_the_services_clock_from_the_second_call_on() {
    let server = ahead(10).await;
    let clients = clients(&server, Source::default());
    let routes = AwsRoutes::new(&clients, "t".to_owned(), Some("c".to_owned())).unwrap();
    assert_eq!(kind(&routes.active_color().await.unwrap_err()), Kind::Denied);
    routes.active_color().await.unwrap();
}
