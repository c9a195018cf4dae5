//! The connections to other services: used again, never when they may not be, and closed when nobody waits.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use compilation_worker::domain::limits::Deadline;
use compilation_worker::relay::forward::{Body, Forward, ForwardError};
use http::request::Parts;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt as _, Full, StreamBody};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

const PATIENCE: Duration = Duration::from_secs(10);
const WHOLE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
const IN_PIECES: &str =
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n";
const EMPTY: &str = "HTTP/1.1 204 No Content\r\n\r\n";
const LAST: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
const TILL_THE_END: &str = "HTTP/1.1 200 OK\r\n\r\nhello";
const HALF: &str = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello";

/// A worker that forwards to the service at `address`.
struct Near {
    forward: Forward,
    service: Uri,
}

impl Near {
    fn to(listener: &TcpListener) -> Self {
        let service = format!("http://{}/compile", listener.local_addr().unwrap()).parse().unwrap();
        Self { forward: Forward::new(trusting(rustls::RootCertStore::empty())), service }
    }

    async fn ask(&self) -> Result<Response<Body>, ForwardError> {
        self.ask_within(PATIENCE).await
    }

    async fn ask_within(&self, patience: Duration) -> Result<Response<Body>, ForwardError> {
        let body = Full::new(Bytes::from_static(b"question"));
        self.forward.send(&self.service, "compile", &head(8), body, Deadline::after(patience)).await
    }

    /// Asks, and reads the whole answer.
    async fn answer(&self) -> String {
        text(self.ask().await.unwrap()).await.unwrap()
    }
}

fn head(length: usize) -> Parts {
    let request = Request::post("/api/compiler/far/compile").header("content-length", length);
    request.body(()).unwrap().into_parts().0
}

async fn text(reply: Response<Body>) -> Result<String, String> {
    let body = reply.into_body().collect().await.map_err(|error| error.to_string())?;
    Ok(String::from_utf8(body.to_bytes().to_vec()).unwrap())
}

fn trusting(roots: rustls::RootCertStore) -> rustls::ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    config.unwrap().with_root_certificates(roots).with_no_client_auth()
}

/// Reads one request.
async fn hear(stream: &mut (impl AsyncRead + Unpin)) {
    let mut heard = Vec::new();
    while !heard.ends_with(b"question") {
        assert_ne!(stream.read_buf(&mut heard).await.unwrap(), 0, "half a request");
    }
}

async fn accept(listener: &TcpListener) -> TcpStream {
    let accepted = tokio::time::timeout(PATIENCE, listener.accept()).await.expect("nobody dials");
    accepted.unwrap().0
}

/// Answers requests on one connection.
async fn serve(stream: &mut TcpStream, answers: &[&str]) {
    for answer in answers {
        hear(stream).await;
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

#[tokio::test]
async fn a_connection_serves_one_request_after_the_other() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = Near::to(&listener);
    let answers = [WHOLE, IN_PIECES, EMPTY, WHOLE, IN_PIECES, EMPTY, WHOLE];
    let serving = async {
        let mut stream = accept(&listener).await;
        serve(&mut stream, &answers).await;
    };
    let asking = async {
        for answer in answers {
            assert_eq!(near.answer().await, if answer == EMPTY { "" } else { "hello" });
        }
    };
    tokio::join!(serving, asking);
}

#[tokio::test]
async fn requests_at_one_time_have_connections_of_their_own() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = Near::to(&listener);
    for _ in 0..2 {
        let serving = async {
            let (mut one, mut other) = (accept(&listener).await, accept(&listener).await);
            tokio::join!(hear(&mut one), hear(&mut other));
            for stream in [&mut one, &mut other] {
                stream.write_all(LAST.as_bytes()).await.unwrap();
            }
        };
        let ((), one, other) = tokio::join!(serving, near.answer(), near.answer());
        assert_eq!((one.as_str(), other.as_str()), ("hello", "hello"));
    }
}

#[tokio::test]
async fn a_connection_that_the_service_closes_is_not_used_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = Near::to(&listener);
    for answer in [WHOLE, LAST, TILL_THE_END, WHOLE] {
        let serving = async {
            let mut stream = accept(&listener).await;
            serve(&mut stream, &[answer]).await;
        };
        let ((), told) = tokio::join!(serving, near.answer());
        assert_eq!(told, "hello", "{answer}");
    }
}

#[tokio::test]
async fn what_a_service_says_unasked_is_nobody_s_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = Near::to(&listener);
    let forged = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged";
    let serving = async {
        let mut first = accept(&listener).await;
        serve(&mut first, &[&format!("{WHOLE}{forged}")]).await;
        let mut second = accept(&listener).await;
        serve(&mut second, &[WHOLE]).await;
        first
    };
    let asking = async {
        assert_eq!(near.answer().await, "hello");
        assert_eq!(near.answer().await, "hello");
    };
    tokio::join!(serving, asking);
}

#[tokio::test]
async fn what_a_service_says_to_nobody_ends_its_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = Near::to(&listener);
    let serving = async { accept(&listener).await };
    let asking = near.ask();
    let mut asking = Box::pin(asking);
    let mut first = tokio::select! {
        stream = serving => stream,
        reply = &mut asking => panic!("{reply:?}"),
    };
    let ((), reply) = tokio::join!(serve(&mut first, &[WHOLE]), &mut asking);
    assert_eq!(text(reply.unwrap()).await.unwrap(), "hello");
    // It is idle now, and nobody polls it.
    first.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged").await.unwrap();
    let serving = async { serve(&mut accept(&listener).await, &[WHOLE]).await };
    let ((), answer) = tokio::join!(serving, near.answer());
    assert_eq!(answer, "hello");
}

#[tokio::test]
async fn a_reply_that_breaks_off_is_no_whole_one() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = Near::to(&listener);
    let serving = async { serve(&mut accept(&listener).await, &[HALF]).await };
    let ((), reply) = tokio::join!(serving, near.ask());
    text(reply.unwrap()).await.unwrap_err();
    let serving = async { hear(&mut accept(&listener).await).await };
    let ((), reply) = tokio::join!(serving, near.ask());
    assert!(matches!(reply, Err(ForwardError::Exchange(_))), "{reply:?}");
}

#[tokio::test]
async fn the_service_learns_that_nobody_waits() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = Near::to(&listener);
    // While it thinks, and while it answers.
    for answer in ["", HALF] {
        let asking = near.ask();
        let mut asking = Box::pin(asking);
        let serving = async {
            let mut stream = accept(&listener).await;
            serve(&mut stream, &[answer]).await;
            stream
        };
        let mut stream = if answer.is_empty() {
            tokio::select! {
                stream = serving => stream,
                reply = &mut asking => panic!("{reply:?}"),
            }
        } else {
            let (stream, reply) = tokio::join!(serving, &mut asking);
            let mut reply = reply.unwrap().into_body();
            assert_eq!(reply.frame().await.unwrap().unwrap().into_data().unwrap(), "hello");
            stream
        };
        drop(asking);
        let end = tokio::time::timeout(PATIENCE, stream.read_u8()).await.expect("the connection stays");
        end.unwrap_err();
    }
}

#[tokio::test]
async fn head_and_body_are_there_by_the_deadline_or_not_at_all() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = Near::to(&listener);
    let patience = Duration::from_millis(300);
    let serving = async {
        let mut stream = accept(&listener).await;
        hear(&mut stream).await;
        stream
    };
    let (_silent, reply) = tokio::join!(serving, near.ask_within(patience));
    assert!(matches!(reply, Err(ForwardError::Late)), "{reply:?}");
    let serving = async {
        let mut stream = accept(&listener).await;
        serve(&mut stream, &[HALF]).await;
        stream
    };
    let (_slow, reply) = tokio::join!(serving, near.ask_within(patience));
    let error = text(reply.unwrap()).await.unwrap_err();
    assert!(error.contains("did not answer in time"), "{error}");
}

#[tokio::test]
async fn an_answer_that_never_ends_ends_at_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = Near::to(&listener);
    let serving = async {
        let mut stream = accept(&listener).await;
        serve(&mut stream, &["HTTP/1.1 200 OK\r\n\r\n"]).await;
        let mut sent = 0;
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {
            sent += 4096;
        }
        sent
    };
    let asking = async {
        let mut reply = near.ask_within(Duration::from_millis(500)).await.unwrap().into_body();
        loop {
            match reply.frame().await.expect("the end of what has none") {
                Ok(_) => tokio::task::yield_now().await,
                Err(error) => break error.to_string(),
            }
        }
    };
    let both = async { tokio::join!(serving, asking) };
    let (sent, error) = tokio::time::timeout(PATIENCE, both).await.expect("it goes on");
    assert!(error.contains("did not answer in time") && sent > 0, "{error}");
}

#[tokio::test]
async fn an_answer_may_come_before_the_question_is_whole() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = Near::to(&listener);
    let endless =
        StreamBody::new(futures_util::stream::pending::<Result<http_body::Frame<Bytes>, std::io::Error>>());
    let serving = async {
        let mut stream = accept(&listener).await;
        let mut heard = Vec::new();
        while !heard.ends_with(b"\r\n\r\n") {
            assert_ne!(stream.read_buf(&mut heard).await.unwrap(), 0, "half a head");
        }
        stream.write_all(WHOLE.as_bytes()).await.unwrap();
        stream
    };
    let deadline = Deadline::after(PATIENCE);
    let (head, asked) = (head(8), near.service.clone());
    let asking = near.forward.send(&asked, "compile", &head, endless, deadline);
    let (mut stream, reply) = tokio::join!(serving, asking);
    assert_eq!(text(reply.unwrap()).await.unwrap(), "hello");
    // What is left of the question would be taken for the next one.
    let end = tokio::time::timeout(PATIENCE, stream.read_u8()).await.expect("the connection stays");
    end.unwrap_err();
}

#[tokio::test]
async fn a_service_has_to_be_who_it_says() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = signed.cert.der().clone();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signed.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.unwrap().with_no_client_auth();
    let acceptor =
        TlsAcceptor::from(Arc::new(config.with_single_cert(vec![certificate.clone()], key).unwrap()));
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).unwrap();
    for (trusted, name, is_served) in [
        (roots.clone(), "localhost", true),
        (rustls::RootCertStore::empty(), "localhost", false),
        (roots, "127.0.0.1", false),
    ] {
        let service = format!("https://{name}:{}/compile", address.port()).parse().unwrap();
        let near = Near { forward: Forward::new(trusting(trusted)), service };
        let serving = async {
            let mut answered = 0;
            let Ok(mut stream) = acceptor.accept(accept(&listener).await).await else { return answered };
            for _ in 0..2 {
                hear(&mut stream).await;
                stream.write_all(WHOLE.as_bytes()).await.unwrap();
                answered += 1;
            }
            answered
        };
        let asking = async {
            let first = near.ask().await;
            if !is_served {
                assert!(matches!(first, Err(ForwardError::Exchange(_))), "{name}: {first:?}");
                return;
            }
            assert_eq!(text(first.unwrap()).await.unwrap(), "hello");
            assert_eq!(near.answer().await, "hello");
        };
        let (answered, ()) = tokio::join!(serving, asking);
        assert_eq!(answered, if is_served { 2 } else { 0 });
    }
}
