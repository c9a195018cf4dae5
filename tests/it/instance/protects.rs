//! Protection from scale-in, as the control plane sees it.

use super::imds::Imds;
use super::{Group, serve, until};
use crate::support::daemon::compile;
use crate::support::obedient::{ID, Obedient, held};

#[tokio::test]
async fn a_worker_that_works_is_spared_until_it_drains() {
    let (imds, group, obedient) = (Imds::start().await, Group::start().await, Obedient::make());
    let (metadata, control) = (format!("--instance-metadata={}", imds.url()), group.flag());
    let flags = ["--instance-watch", "--instance-protect-while-busy", &metadata, &control];
    let daemon = serve(&obedient, &flags).await;
    let mut client = daemon.client().await;
    client.send(compile(ID, &held("protected", 0))).await;
    until("it is protected", || !group.heard().is_empty()).await;
    assert_eq!(group.heard(), ["SetInstanceProtection true"]);
    obedient.release("protected");
    assert_eq!(client.reply().await.status, 200);
    daemon.stop().await;
    assert_eq!(group.heard(), ["SetInstanceProtection true", "SetInstanceProtection false"]);
}

#[tokio::test]
async fn a_control_plane_that_is_away_harms_nobody() {
    let (imds, obedient) = (Imds::start().await, Obedient::make());
    let metadata = format!("--instance-metadata={}", imds.url());
    let all = ["--instance-watch", "--instance-protect-while-busy", "--instance-lifecycle-hook=drain"];
    let nowhere = ["--aws-endpoint-autoscaling=http://127.0.0.1:1", metadata.as_str()];
    let daemon = serve(&obedient, &[&all[..], &nowhere].concat()).await;
    let mut client = daemon.client().await;
    client.send(compile(ID, &held("alone", 0))).await;
    until("it was tried", || super::said(&daemon, "could not tell the group whether to spare us") == 1).await;
    obedient.release("alone");
    assert_eq!(client.reply().await.status, 200);
    daemon.stop().await;
}
