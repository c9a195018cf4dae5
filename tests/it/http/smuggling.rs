//! What two parsers could read differently is refused by the first.

use crate::support::client::{End, compile, get};
use crate::support::house::House;

async fn refused(request: &[u8], status: u16) {
    let house = House::open().await;
    let mut client = house.client().await;
    // What comes after it must never be taken for a request.
    client.send([request, &compile("smuggled")].concat()).await;
    let reply = client.reply().await;
    let shown = String::from_utf8_lossy(&request[..request.len().min(120)]).into_owned();
    assert_eq!(
        (reply.status, reply.header("connection")),
        (status, Some("close")),
        "{shown:?} {}",
        reply.text()
    );
    assert!(
        reply.header("x-request-id").is_some() && reply.header("access-control-allow-origin") == Some("*")
    );
    assert!(reply.json()["error"].is_string() || reply.json()["error"] == true, "{shown:?} {}", reply.text());
    assert_eq!(client.end().await, End::Closed, "{shown:?}");
    assert_eq!(house.workshop.begun(), 0, "{shown:?}");
}

const POST: &str = "POST /api/compiler/g1/compile HTTP/1.1\r\nHost: t\r\n";

#[tokio::test]
async fn h06_odd_lengths() {
    for length in ["18446744073709551616", "-1", "+14", "5\r\nContent-Length: 6", "5, 5", "0x5", "5 5", ""] {
        refused(format!("{POST}Content-Length: {length}\r\n\r\n").as_bytes(), 400).await;
    }
    let house = House::open().await;
    let twice = format!("{POST}Content-Length: 6\r\nContent-Length: 6\r\n\r\nint x;");
    assert_eq!(house.client().await.ask(twice).await.status, 200);
}

#[tokio::test]
async fn h07_odd_codings() {
    for headers in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding:\tchunked\r\nTransfer-Encoding: identity",
    ] {
        refused(format!("{POST}{headers}\r\n\r\n0\r\n\r\n").as_bytes(), 400).await;
    }
}

#[tokio::test]
async fn h08_odd_chunks() {
    for body in [
        "FFFFFFFFFFFFFFFF\r\n",
        "3\nabc\n0\n\n",
        "3;a=b\r\nabc\r\n",
        "3 \r\nabc\r\n",
        "3\r\nabcX\r\n",
        "0x3\r\nabc\r\n",
        "0\r\nA: b\n\r\n",
    ] {
        refused(format!("{POST}Transfer-Encoding: chunked\r\n\r\n{body}").as_bytes(), 400).await;
    }
    let extension = format!("{POST}Transfer-Encoding: chunked\r\n\r\n3;{}\r\nabc\r\n", "x".repeat(100_000));
    refused(extension.as_bytes(), 400).await;
    let trailers = format!("{POST}Transfer-Encoding: chunked\r\n\r\n0\r\n{}\r\n", "A: b\r\n".repeat(1000));
    refused(trailers.as_bytes(), 431).await;
}

#[tokio::test]
async fn h09_odd_heads() {
    for request in [
        "GET /health HTTP/1.1\nHost: t\n\n",
        "GET /health HTTP/1.1\r\nHost: t\n\r\n",
        "GET /health HTTP/1.1\r\n\r\n",
        "GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /health HTTP/1.1\r\nHost: t\r\nX : y\r\n\r\n",
        "GET /health HTTP/1.1\r\nHost: t\r\nX: y\r\n z\r\n\r\n",
        "GET /health HTTP/1.1\r\nHost: t\r\nX: \0\r\n\r\n",
        "GET http://t/health HTTP/1.1\r\nHost: t\r\n\r\n",
        "CONNECT t:80 HTTP/1.1\r\nHost: t\r\n\r\n",
        "G(T /health HTTP/1.1\r\nHost: t\r\n\r\n",
        "GET /health\r\n\r\n",
        "GET /he alth HTTP/1.1\r\nHost: t\r\n\r\n",
        "\u{16}\u{3}\u{1}",
    ] {
        refused(request.as_bytes(), 400).await;
    }
    refused(b"GET /\xff HTTP/1.1\r\nHost: t\r\n\r\n", 400).await;
}

#[tokio::test]
async fn h11_http_2_is_not_spoken() {
    refused(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505).await;
    let house = House::open().await;
    let upgrade = get(
        "/health/live",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
    );
    assert_eq!(house.client().await.ask(upgrade).await.status, 200);
}

#[tokio::test]
async fn earlier_requests_are_answered_before_a_later_one_is_refused() {
    let house = House::open().await;
    let mut client = house.client().await;
    client.send([compile("sleep 50"), b"BAD\r\n\r\n".to_vec()].concat()).await;
    assert_eq!(client.reply().await.status, 200);
    assert_eq!(client.reply().await.status, 400);
    assert_eq!(client.end().await, End::Closed);
}
