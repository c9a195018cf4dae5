//! What an instance says to its Auto Scaling group: forms, signed, and said again where that may help.

use compilation_worker::aws::{AutoScalingGroup, Kind};

use super::server::{Act, Server};
use crate::support::emulator::Emulator;

const INSTANCE: &str = "i-0123456789abcdef0";

fn xml(status: u16, body: &str) -> Act {
    Act::Answer(status, "content-type: text/xml\r\n".to_owned(), body.as_bytes().to_vec())
}

fn refusal(status: u16, code: &str) -> Act {
    let body =
        format!("<ErrorResponse><Error><Code>{code}</Code><Message>why</Message></Error></ErrorResponse>");
    xml(status, &body)
}

fn group(server: &Server) -> AutoScalingGroup {
    AutoScalingGroup::new(&server.clients(), "compilation-asg".to_owned()).unwrap()
}

#[tokio::test]
async fn each_verb_is_one_signed_form() {
    let server = Server::doing([xml(200, "<Response/>")]).await;
    let group = group(&server);
    group.protect(INSTANCE, true).await.unwrap();
    group.heartbeat("drain & leave", INSTANCE).await.unwrap();
    group.complete("drain & leave", INSTANCE).await.unwrap();
    let seen = server.seen();
    let said: Vec<_> = seen.iter().map(|request| std::str::from_utf8(&request.body).unwrap()).collect();
    let hook = "Version=2011-01-01&AutoScalingGroupName=compilation-asg&LifecycleHookName=drain+%26+leave";
    assert_eq!(
        said,
        [
            format!(
                "Action=SetInstanceProtection&Version=2011-01-01&AutoScalingGroupName=compilation-asg\
                 &InstanceIds.member.1={INSTANCE}&ProtectedFromScaleIn=true"
            ),
            format!("Action=RecordLifecycleActionHeartbeat&{hook}&InstanceId={INSTANCE}"),
            format!(
                "Action=CompleteLifecycleAction&{hook}&InstanceId={INSTANCE}&LifecycleActionResult=CONTINUE"
            ),
        ]
    );
    let signature = seen[0].header("authorization").unwrap();
    assert!(
        signature
            .contains("/us-east-1/autoscaling/aws4_request, SignedHeaders=content-type;host;x-amz-date,")
    );
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_the_rest_is_told() {
    for (act, expected, calls) in [
        (refusal(400, "Throttling"), Kind::Throttled, 5),
        (refusal(500, "InternalFailure"), Kind::Broken, 5),
        (refusal(400, "ValidationError"), Kind::Refused, 1),
        (refusal(403, "AccessDenied"), Kind::Denied, 1),
    ] {
        let server = Server::doing([act]).await;
        let fault = group(&server).protect(INSTANCE, false).await.unwrap_err();
        assert_eq!((fault.kind, server.asked()), (expected, calls), "{fault}");
    }
    let server = Server::doing([refusal(400, "Throttling"), xml(200, "<Response/>")]).await;
    group(&server).protect(INSTANCE, false).await.unwrap();
    assert_eq!(server.asked(), 2);
}

#[tokio::test]
async fn who_asks_again_by_himself_is_told_at_once() {
    let server = Server::doing([refusal(400, "Throttling")]).await;
    let group = AutoScalingGroup::asked_once(&server.clients(), "compilation-asg".to_owned()).unwrap();
    assert_eq!(group.protect(INSTANCE, true).await.unwrap_err().kind, Kind::Throttled);
    assert_eq!(server.asked(), 1);
}

/// It knows the verbs of hooks, and no protection.
#[tokio::test]
async fn a_third_party_understands_what_is_said() {
    let emulator = Emulator::start().await;
    let group = AutoScalingGroup::new(&emulator.clients(), "compilation-asg".to_owned()).unwrap();
    group.heartbeat("drain", INSTANCE).await.unwrap();
    group.complete("drain", INSTANCE).await.unwrap();
    let unknown = group.protect(INSTANCE, true).await.unwrap_err();
    assert_eq!((unknown.kind, unknown.code.as_deref()), (Kind::Refused, Some("InvalidAction")), "{unknown}");
}
