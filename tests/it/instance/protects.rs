//! Protection from scale-in, as the control plane sees it.

use serde_json::json;

use super::imds::Imds;
use super::{Group, serve, until};
use crate::aws::server::{Act, Server};
use crate::support::bed::Bed;
use crate::support::daemon::{Daemon, compile, program};
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

/// Whoever speaks to Amazon's services does so with the same keys, which are fetched once.
#[tokio::test]
async fn the_table_and_the_group_share_one_set_of_credentials() {
    let (imds, group, obedient, bed) =
        (Imds::start().await, Group::start().await, Obedient::make(), Bed::start().await);
    let keys = json!({
        "AccessKeyId": "AKIDTEST", "SecretAccessKey": "secret", "Token": "token", "Expiration": "2096-01-01T00:00:00Z",
    });
    let keys =
        Act::Answer(200, "content-type: application/json\r\n".to_owned(), keys.to_string().into_bytes());
    let vault = Server::start(move |_| keys.clone()).await;
    let mut command = program();
    command.env("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("http://{}/keys", vault.host()));
    command.env("HOME", obedient.directory());
    let mut flags = obedient.flags();
    flags.extend(
        ["--instance-watch", "--instance-protect-while-busy", "--routing-table=CompilerRouting"]
            .map(str::to_owned),
    );
    flags.extend([
        group.flag(),
        format!("--instance-metadata={}", imds.url()),
        format!("--aws-endpoint={}", bed.url()),
    ]);
    let daemon = Daemon::start_as(command, &flags.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let mut client = daemon.client().await;
    client.send(compile(ID, &held("shared", 0))).await;
    until("it is protected", || !group.heard().is_empty()).await;
    obedient.release("shared");
    assert_eq!(client.reply().await.status, 200);
    assert!(bed.count("GetItem") > 0, "the table was not asked");
    assert_eq!(vault.asked(), 1);
    daemon.stop().await;
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
