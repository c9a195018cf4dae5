//! Looking up: two attempts at a row, one at the color, and no answer too odd.

use compilation_worker::aws::{AwsRoutes, Kind};
use compilation_worker::ports::{Color, LookupError, RouteStore as _};
use serde_json::json;

use super::kind;
use super::server::{Act, Server};

fn routes(server: &Server) -> AwsRoutes {
    AwsRoutes::new(&server.clients(), "CompilerRouting".to_owned(), Some("/prod/active-color".to_owned()))
        .unwrap()
}

#[tokio::test]
async fn a_row_is_asked_for_twice_at_most() {
    let throttled = "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException";
    for (act, expected, asked) in [
        (Act::error(400, throttled, "too fast"), Kind::Throttled, 2),
        (Act::garbage(500), Kind::Broken, 2),
        (Act::Reset, Kind::Unreachable, 2),
        (
            Act::error(400, "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException", "no table"),
            Kind::Refused,
            1,
        ),
        (Act::error(400, "com.amazon.coral.service#UnrecognizedClientException", "who?"), Kind::Denied, 1),
    ] {
        let server = Server::doing([act.clone()]).await;
        let error = routes(&server).lookup("prod#g132").await.unwrap_err();
        assert!(matches!(&error, LookupError::Unreachable { what, .. } if what == "prod#g132"), "{error}");
        assert_eq!((kind(&error), server.asked()), (expected, asked), "{act:?}");
    }
}

#[tokio::test]
async fn wrong_types_are_named_and_odd_keys_are_not_asked_for() {
    let item = json!({ "Item": { "routingType": { "S": "queue" }, "queueName": { "N": "12" } } });
    let server = Server::doing([Act::ok(&item)]).await;
    let routes = routes(&server);
    let error = routes.lookup("prod#g132").await.unwrap_err();
    assert_eq!(error.to_string(), "the row prod#g132 is malformed: queueName is no text");
    for key in ["", &"x".repeat(2049)] {
        assert_eq!(routes.lookup(key).await.unwrap(), None);
    }
    assert_eq!(server.asked(), 1);
    let asked = server.seen().pop().unwrap().json();
    assert_eq!(asked["Key"], json!({ "compilerId": { "S": "prod#g132" } }));
}

#[tokio::test]
async fn an_answer_that_is_no_item_is_an_error() {
    for body in [json!({ "Item": "g132" }), json!([]), json!({ "Item": { "queueName": "bare" } })] {
        let server = Server::doing([Act::ok(&body)]).await;
        let error = routes(&server).lookup("prod#g132").await.unwrap_err();
        assert_eq!(kind(&error), Kind::Garbled, "{body}");
    }
}

#[tokio::test]
async fn the_color_is_asked_for_with_one_signed_call() {
    let server = Server::doing([Act::ok(&json!({ "Parameter": { "Value": "green" } }))]).await;
    assert_eq!(routes(&server).active_color().await.unwrap(), Color::Green);
    let asked = server.seen().pop().unwrap();
    assert_eq!(asked.header("x-amz-target"), Some("AmazonSSM.GetParameter"));
    assert_eq!(asked.json(), json!({ "Name": "/prod/active-color" }));
    let signature = asked.header("authorization").unwrap();
    assert!(signature.starts_with("AWS4-HMAC-SHA256 Credential=AKIDTEST/"), "{signature}");
    assert!(
        signature.contains(
            "/us-east-1/ssm/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-target,"
        )
    );
}

#[tokio::test]
async fn a_color_that_cannot_be_had_is_an_error_and_a_missing_one_is_blue() {
    let giant = Act::Answer(200, String::new(), vec![b' '; 65 * 1024]);
    for (act, expected) in [
        (Act::error(400, "ThrottlingException", "Rate exceeded"), Kind::Throttled),
        (Act::error(400, "AccessDeniedException", "no"), Kind::Denied),
        (Act::garbage(200), Kind::Garbled),
        (giant, Kind::Garbled),
        (Act::garbage(502), Kind::Broken),
        (Act::Reset, Kind::Unreachable),
    ] {
        let server = Server::doing([act]).await;
        let error = routes(&server).active_color().await.unwrap_err();
        assert!(
            matches!(&error, LookupError::Unreachable { what, .. } if what == "/prod/active-color"),
            "{error}"
        );
        assert_eq!((kind(&error), server.asked()), (expected, 1), "{error}");
    }
    let server = Server::doing([Act::error(400, "ParameterNotFound", "")]).await;
    assert_eq!(routes(&server).active_color().await.unwrap(), Color::Blue);
    let nobody = AwsRoutes::new(&server.clients(), "CompilerRouting".to_owned(), None).unwrap();
    assert_eq!(nobody.active_color().await.unwrap(), Color::Blue);
    assert_eq!(server.asked(), 1, "without a parameter nobody is asked");
}
