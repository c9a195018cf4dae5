//! The client of the metadata service: tokens, and whatever the service does instead of answering.

use std::time::Duration;

use compilation_worker::instance::{Item, Metadata, MetadataError, Source as _};
use tokio::time::{Instant, timeout};

use super::imds::{INSTANCE, Imds};
use crate::aws::server::{Act, Server};

/// One look, in two seconds for each of its requests and a little more.
async fn look(metadata: &Metadata, item: Item) -> Result<Option<String>, MetadataError> {
    timeout(Duration::from_secs(9), metadata.look(item)).await.expect("it hangs")
}

#[tokio::test]
async fn a_token_is_had_once_and_again_when_it_is_void_or_half_its_life_is_over() {
    let imds = Imds::start().await;
    let metadata = Metadata::new(&format!("{}/", imds.url()));
    for _ in 0..10 {
        assert_eq!(look(&metadata, Item::Instance).await.unwrap().as_deref(), Some(INSTANCE));
    }
    assert_eq!((imds.tokens(), imds.asked()), (1, 11));
    imds.revoke();
    assert_eq!(look(&metadata, Item::Target).await.unwrap().as_deref(), Some("InService"));
    assert_eq!((imds.tokens(), imds.asked()), (2, 14), "one refusal, one token, one look");
    // The next is good for no time at all, so each look has its own.
    imds.shorten(0);
    imds.revoke();
    for _ in 0..3 {
        look(&metadata, Item::Zone).await.unwrap();
    }
    assert_eq!(imds.tokens(), 5);
}

#[tokio::test]
async fn what_is_not_there_is_nothing() {
    let imds = Imds::start().await;
    let metadata = Metadata::new(&imds.url());
    for item in [Item::Spot, Item::Rebalance] {
        assert_eq!(look(&metadata, item).await.unwrap(), None);
    }
    imds.say(Item::Spot, " {}\n");
    assert_eq!(look(&metadata, Item::Spot).await.unwrap().as_deref(), Some("{}"));
}

#[tokio::test]
async fn whatever_else_it_does_is_an_error_in_time() {
    let answer = |status, headers: &str, body: &[u8]| Act::Answer(status, headers.to_owned(), body.to_vec());
    let endless = answer(200, "Content-Length: 10000000000\r\n", b"i-1");
    for act in [
        Act::Hang,
        Act::Reset,
        Act::garbage(500),
        Act::garbage(200),
        answer(302, "Location: http://127.0.0.1:1/\r\n", b""),
        answer(403, "", b"disabled"),
        answer(401, "", b"never good enough"),
        answer(200, "", &[b'x'; 5000]),
        answer(200, "Transfer-Encoding: chunked\r\n", b"zz\r\n"),
        endless,
        Act::Last(Box::new(answer(200, "Content-Length: 100\r\n", b"i-1"))),
    ] {
        let imds = Imds::start().await;
        let metadata = Metadata::new(&imds.url());
        imds.act(Item::Spot, act.clone());
        let found = look(&metadata, Item::Spot).await;
        assert!(found.is_err(), "{act:?}: {found:?}");
        assert!(imds.asked() < 6, "{act:?}: it was asked {} times", imds.asked());
        // The same instead of a token.
        let instead = Server::doing([act.clone()]).await;
        let found = look(&Metadata::new(&format!("http://{}", instead.host())), Item::Spot).await;
        assert!(found.is_err(), "{act:?}: {found:?}");
    }
    let nobody = Metadata::new("http://127.0.0.1:1");
    assert!(matches!(look(&nobody, Item::Spot).await, Err(MetadataError::Unreachable(_))));
}

#[tokio::test]
async fn an_hour_of_looks_costs_seconds() {
    let imds = Imds::start().await;
    let metadata = Metadata::new(&imds.url());
    let (begun, mut late) = (Instant::now(), 0);
    for _ in 0..720 {
        for item in [Item::Target, Item::Spot, Item::Rebalance] {
            match look(&metadata, item).await {
                // This machine may be busy.
                Err(MetadataError::Silent) => late += 1,
                found => drop(found.unwrap()),
            }
        }
    }
    println!("720 rounds of three looks: {:?}, {late} answers were late", begun.elapsed());
    assert!(late < 20 && imds.tokens() <= 1 + late && imds.asked() <= 2161 + late, "{late} were late");
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}
