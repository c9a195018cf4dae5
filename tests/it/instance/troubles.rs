//! A metadata service that is away, hangs or talks nonsense: the worker works, and says so once.

use compilation_worker::instance::Item;
use serde_json::json;
use tokio::task::JoinSet;

use super::imds::Imds;
use super::{said, serve, until};
use crate::aws::server::Act;
use crate::support::obedient::{ID, Obedient, sleep};

const AWAY: &str = "the instance metadata service does not answer";

/// Works without the service, hears it when it is there, and loses it again.
async fn troubled_by(act: Act) {
    let (imds, obedient) = (Imds::start().await, Obedient::make());
    imds.always(Some(act.clone()));
    let metadata = format!("--instance-metadata={}", imds.url());
    let daemon = serve(&obedient, &["--instance-watch", &metadata]).await;
    assert_eq!(daemon.compile(ID, &sleep("0", 0)).await.status, 200);
    let asked = imds.asked();
    until("it is asked again", || imds.asked() >= asked + 2).await;
    assert_eq!(said(&daemon, AWAY), 1, "{act:?}: {}", daemon.log());
    imds.always(None);
    imds.say(Item::Target, "Standby");
    daemon.health_until(|health| health["pausedBy"] == json!(["group"])).await;
    until("a whole look went well", || said(&daemon, "the instance metadata service answers again") == 1)
        .await;
    imds.always(Some(act.clone()));
    until("it is away again", || said(&daemon, AWAY) == 2).await;
    assert_eq!(daemon.page("/healthcheck").await.json()["pausedBy"][0], "group", "{act:?}: it has forgotten");
    assert_eq!(daemon.compile(ID, &sleep("0", 1)).await.status, 200);
    daemon.stop().await;
}

#[tokio::test]
async fn it_is_missed_by_nobody() {
    let mut troubles = JoinSet::new();
    for act in [Act::garbage(200), Act::Hang, Act::Reset] {
        troubles.spawn(troubled_by(act));
    }
    troubles.join_all().await;
}

#[tokio::test]
async fn nonsense_in_its_answers_means_nothing() {
    let (imds, obedient) = (Imds::start().await, Obedient::make());
    for item in Item::ALL {
        imds.act(item, Act::Answer(200, String::new(), b"<html>it works!".to_vec()));
    }
    let metadata = format!("--instance-metadata={}", imds.url());
    let flags = ["--instance-watch", "--instance-drain-on-rebalance", &metadata];
    let daemon = serve(&obedient, &flags).await;
    let asked = imds.asked();
    until("another look", || imds.asked() >= asked + 6).await;
    assert_eq!(daemon.compile(ID, &sleep("0", 0)).await.status, 200);
    assert_eq!(daemon.page("/healthcheck").await.json()["consuming"], true);
    assert_eq!(said(&daemon, "something unknown about taking this instance away"), 1);
    daemon.stop().await;
}
