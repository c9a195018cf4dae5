//! What another service is sent, and what of its answer comes back, byte for byte (contract-cloud 5, 8.4 and 8.6).

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::yard::{TABLE, Yard};
use crate::support::bed::url_row;
use crate::support::client::post;

/// An answer with everything that belongs to one connection, and much that does not.
const ANSWER: &[u8] = b"HTTP/1.1 203 Sure\r\nVia: 1.1 them\r\nKeep-Alive: timeout=5\r\nConnection: keep-alive\r\n\
    Proxy-Connection: keep-alive\r\nTransfer-Encoding: chunked\r\nETag: W/\"1\"\r\nCache-Control: public, max-age=60\r\n\
    Set-Cookie: a=b\r\nSet-Cookie: c=d\r\nX-Cache: Miss\r\nServer: theirs\r\nContent-Type: application/octet-stream\r\n\r\n\
    4\r\n\x00\xff\r\n\r\n0\r\n\r\n";

/// A request's head in lower case but for its first line, and its body.
async fn hear(listener: &TcpListener, answer: &[u8]) -> (Vec<String>, Vec<u8>) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "half a request");
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines: Vec<String> = head.lines().map(str::to_owned).collect();
    lines[1..].iter_mut().for_each(|line| line.make_ascii_lowercase());
    let length = lines.iter().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    while bytes.len() < end + 4 + length.unwrap_or(0) {
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "half a body");
    }
    stream.write_all(answer).await.unwrap();
    (lines, bytes.split_off(end + 4))
}

#[tokio::test]
async fn what_belongs_to_a_connection_stays_and_all_else_passes_both_ways() {
    let yard = Yard::open().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let there = listener.local_addr().unwrap();
    let url = format!("http://{there}/gpu/api/compiler/far/compile/");
    yard.bed().route(TABLE, "prod#far", url_row(&url));
    let router = yard.router(&[&format!("--routing-table={TABLE}")]).await;
    // Not what a program would have written: what is read and written anew has another length.
    let body = "{ \"source\" : \"\\u00e9\\/\", \"options\":{} }";
    let headers = "Connection: close, X-Mine\r\nX-Mine: 1\r\nUpgrade: h2c\r\nTE: trailers\r\nTrailers: x\r\n\
        Proxy-Authenticate: a\r\nProxy-Authorization: b\r\nContent-Type: application/json\r\nAuthorization: token\r\n\
        Cookie: a=b\r\nX-Forwarded-For: 192.0.2.1\r\nX-Twice: one\r\nX-Twice: two\r\nAccept-Encoding: gzip\r\n";
    for (path, line) in [
        (
            "compile?filters=a%2Cb&skipAsm",
            "POST /gpu/api/compiler/far/compile?filters=a%2Cb&skipAsm HTTP/1.1",
        ),
        ("cmake", "POST /gpu/api/compiler/far/cmake HTTP/1.1"),
        ("build/cargo?x", "POST /gpu/api/compiler/far/build/cargo?x HTTP/1.1"),
    ] {
        let mut client = router.client().await;
        client.send(post(&format!("/prod/api/compiler/far/{path}"), headers, body)).await;
        let ((head, sent), reply) = tokio::join!(hear(&listener, ANSWER), client.rest());
        assert_eq!((head[0].as_str(), sent.as_slice()), (line, body.as_bytes()));
        for header in [
            format!("host: {there}"),
            format!("content-length: {}", body.len()),
            "content-type: application/json".to_owned(),
            "authorization: token".to_owned(),
            "cookie: a=b".to_owned(),
            "x-forwarded-for: 192.0.2.1".to_owned(),
            "x-twice: one".to_owned(),
            "x-twice: two".to_owned(),
            "accept-encoding: gzip".to_owned(),
        ] {
            assert_eq!(head.iter().filter(|line| **line == header).count(), 1, "{header} in {head:?}");
        }
        for name in ["connection", "upgrade", "proxy-", "te:", "trailers", "transfer-encoding", "x-mine"] {
            assert!(!head[1..].iter().any(|line| line.starts_with(name)), "{name} in {head:?}");
        }
        let end = reply.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(reply[..end].to_vec()).unwrap().to_lowercase();
        assert!(head.starts_with("http/1.1 203 "), "{head}");
        for header in [
            "etag: w/\"1\"",
            "cache-control: public, max-age=60",
            "set-cookie: a=b",
            "set-cookie: c=d",
            "x-cache: miss",
            "content-type: application/octet-stream",
            "access-control-allow-origin: *",
        ] {
            assert_eq!(head.lines().filter(|line| *line == header).count(), 1, "{header} in {head}");
        }
        for name in ["via:", "keep-alive:", "proxy-connection:", "upgrade:"] {
            assert!(!head.lines().any(|line| line.starts_with(name)), "{name} in {head}");
        }
        assert!(reply[end..].windows(4).any(|window| window == b"\x00\xff\r\n"), "{reply:?}");
    }
    assert_eq!(yard.bed().count("SendMessageBatch"), 0, "no queue has heard of it");
    assert_eq!(yard.fleet.status().subscriptions, 0, "nor has the hub");
}
