//! One row per sentence of the contract on frames.

use super::*;
use proptest::prelude::*;

fn id() -> RequestId {
    RequestId::parse("7d3c").unwrap()
}

#[test]
fn requests_are_bare_texts() {
    for (request, text) in [
        (Request::Subscribe(id()), "subscribe: 7d3c"),
        (Request::Unsubscribe(id()), "unsubscribe: 7d3c"),
        (Request::Acknowledge(id()), "ack: 7d3c"),
        (Request::Ping, "ping"),
    ] {
        assert_eq!(request.text(), text);
        assert_eq!(Request::read(text), Ok(request));
    }
    for text in ["subscribe:7d3c", "subscribe: ", "Subscribe: a", "ping ", "", "ack"] {
        assert_eq!(Request::read(text), Err(FrameError::Unknown), "{text:?}");
    }
}

#[test]
fn notices_are_told_apart() {
    let result =
        |parked: Option<&str>| Notice::Result { id: id(), parked: parked.map(str::to_owned), queued: None };
    for (text, notice) in [
        ("pong", Notice::Pong),
        (r#"{"type":"ack","guid":"7d3c","acknowledgedBy":"x="}"#, Notice::Acknowledged(id())),
        (r#"{"guid":"7d3c","code":0,"type":"ack"}"#, result(None)),
        (r#"{"guid":"7d3c","s3Key":"abc","okToCache":true,"execTime":3}"#, result(Some("abc"))),
        (r#"{"guid":"7d3c","s3Key":"abc","stdout":[]}"#, result(None)),
        (r#"{"guid":"7d3c","s3Key":7}"#, result(None)),
    ] {
        assert_eq!(Notice::read(text), Ok(notice), "{text}");
    }
    assert_eq!(Notice::read("unknown text message"), Err(FrameError::Unknown));
    assert_eq!(Notice::read(r#"{"code":0}"#), Err(FrameError::Nameless));
    assert_eq!(Notice::read(r#"{"guid":""}"#), Err(FrameError::Nameless));
    assert!(matches!(Notice::read(r#"{"guid":"#), Err(FrameError::Json(_))));
}

#[test]
fn the_time_on_the_queue_is_read() {
    for (told, queued) in [
        ("1250", Some(Duration::from_millis(1250))),
        ("0.5", Some(Duration::from_micros(500))),
        ("-1", None),
        ("1e300", None),
        ("null", None),
        (r#""7""#, None),
    ] {
        let text = format!(r#"{{"guid":"7d3c","queueTime":{told}}}"#);
        assert_eq!(Notice::read(&text), Ok(Notice::Result { id: id(), parked: None, queued }), "{told}");
    }
}

#[test]
fn a_result_gets_its_name_in_front() {
    let took = Duration::from_millis(12);
    let frame = result(&id(), &[br#"{"code":0,"#, br#""asm":[]}"#], Some(took));
    assert_eq!(frame, br#"{"guid":"7d3c","code":0,"asm":[],"queueTime":12}"#);
    let frame = result(&id(), &[&failure("no \"such\" thing", took)], None);
    assert_eq!(
        String::from_utf8(frame).unwrap(),
        r#"{"guid":"7d3c","code":-1,"stderr":[{"text":"no \"such\" thing"}],"stdout":[],"okToCache":false,"timedOut":false,"inputFilename":"","asm":[],"tools":[],"execTime":12}"#
    );
}

#[test]
fn what_lies_elsewhere_is_announced() {
    let frame = announcement(&id(), "temp/7d3c", false, Duration::from_millis(5));
    assert_eq!(frame, br#"{"guid":"7d3c","s3Key":"temp/7d3c","okToCache":false,"execTime":5}"#);
    let text = std::str::from_utf8(&frame).unwrap();
    let parked = Some("temp/7d3c".to_owned());
    assert_eq!(Notice::read(text), Ok(Notice::Result { id: id(), parked, queued: None }));
    assert_eq!(Notice::read(&acknowledgement(&id(), "conn")), Ok(Notice::Acknowledged(id())));
}

proptest! {
    #[test]
    fn any_text_is_answered(text in ".*", json in "\\{[\\[\\]{}\":,a-z0-9\\\\\u{e9}\u{1f600}\0\r\u{1b}]{0,60}") {
        let _answered = (Notice::read(&text).is_ok(), Notice::read(&json).is_ok(), Request::read(&text).is_ok());
    }
}

#[test]
fn cancellations_are_told_and_read() {
    let aliases = ["7d3c", "81aa"].map(|alias| RequestId::parse(alias).unwrap());
    let frame = cancellation(&aliases);
    assert_eq!(frame, br#"{"guid":"cancelled-jobs","cancelled":["7d3c","81aa"]}"#);
    assert_eq!(cancelled(&frame), aliases);
    assert_eq!(cancelled(br#"{"cancelled":[7,"",["x"],"7d3c"]}"#), aliases[..1]);
    for odd in ["", "[]", "{}", r#"{"cancelled":7}"#, r#"{"cancelled":"a"}"#, r#"{"cancelled":["a"]}x"#] {
        assert_eq!(cancelled(odd.as_bytes()), [], "{odd}");
    }
    for bytes in [1, 200, 31_744, 120_000] {
        let most = most_cancelled(bytes);
        let frame = cancellation(&vec![alias(&aliases[0]).unwrap(); most]);
        assert!(most == 1 || frame.len() <= bytes && frame.len() + 2 * 67 > bytes, "{bytes}: {most}");
    }
}
