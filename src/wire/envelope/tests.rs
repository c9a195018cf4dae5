//! One row per sentence of the contract on queue messages.

use super::*;
use crate::domain::filters::Filters;
use proptest::prelude::*;

fn id() -> RequestId {
    RequestId::parse("7d3c0a4e-0000-4000-8000-000000000001").unwrap()
}

fn outgoing<'a>(id: &'a RequestId, body: Body<'a>) -> Outgoing<'a> {
    Outgoing { id, compiler: "g132", build: &Build::Compile, query: "", body }
}

#[test]
fn characters_that_queues_refuse_are_escaped() {
    let id = RequestId::parse("a").unwrap();
    for body in [
        Body::Text("x\u{ffff}y\u{fffe}".as_bytes()),
        Body::Json("{\"source\":\"x\u{ffff}y\u{fffe}\",\"options\":{}}".as_bytes()),
    ] {
        let outgoing = Outgoing { id: &id, compiler: "g", build: &Build::Compile, query: "", body };
        let message = write(&outgoing).unwrap();
        assert!(!message.contains(['\u{fffe}', '\u{ffff}']), "{message}");
        assert_eq!(job(&message).draft.unwrap().finish(|_| Vec::new()).unwrap().source, "x\u{ffff}y\u{fffe}");
    }
}

fn job(message: &str) -> Job {
    match read(message).unwrap() {
        Incoming::Job(job) => *job,
        Incoming::Parked(parked) => panic!("parked: {parked:?}"),
    }
}

fn finish(job: Job) -> crate::domain::request::CompileRequest {
    job.draft.unwrap().finish(|line| line.split_whitespace().map(str::to_owned).collect()).unwrap()
}

#[test]
fn a_json_body_travels_as_todays_router_sends_it() {
    let id = id();
    let body = br#"{"source":"int x;", "options":{"userArguments":"-O1"},"lang":"c++"}"#;
    let message = write(&Outgoing { query: "a=1&b=%22", ..outgoing(&id, Body::Json(body)) });
    let expected = r#"{"guid":"7d3c0a4e-0000-4000-8000-000000000001","compilerId":"g132","isCMake":false,"headers":{"content-type":"application/json"},"queryStringParameters":{"a":"1","b":"\""},"source":"int x;","options":{"userArguments":"-O1"},"lang":"c++","filters":{},"backendOptions":{},"tools":[],"libraries":[],"files":[],"executeParameters":{}}"#;
    assert_eq!(message.unwrap(), expected);
    let job = job(expected);
    assert_eq!((job.id.clone(), job.compiler.as_str(), job.build.clone()), (id, "g132", Build::Compile));
    let request = finish(job);
    assert_eq!(request.arguments, ["-O1"]);
    assert_eq!(request.source, "int x;");
}

#[test]
fn a_text_body_becomes_the_source() {
    let id = id();
    let text = "int a[3];\n\"\u{e9}\"";
    let message = write(&Outgoing {
        query: "options=-O2&filters=labels",
        ..outgoing(&id, Body::Text(text.as_bytes()))
    })
    .unwrap();
    assert!(message.contains(r#""headers":{"content-type":"text/plain"}"#), "{message}");
    let request = finish(job(&message));
    assert_eq!((request.source.as_str(), request.arguments), (text, vec!["-O2".to_owned()]));
    let mut labels = Filters::NONE;
    assert!(labels.set("labels", true));
    assert_eq!(request.filters, labels);
}

#[test]
fn a_client_cannot_write_the_router_members() {
    let id = id();
    let body = br#"{"guid":"g","compilerId":"evil","isCMake":true,"buildSystem":"make","headers":{"content-type":"x"},"queryStringParameters":{"options":"-O3"},"type":"s3-overflow","s3Bucket":"b","s3Key":"k","queueTimeMs":1,"source":"x","options":{}}"#;
    let message = write(&outgoing(&id, Body::Json(body))).unwrap();
    for name in ["evil", "make", "s3", "-O3", "queueTimeMs"] {
        assert!(!message.contains(name), "{name} in {message}");
    }
    let job = job(&message);
    assert_eq!((job.id, job.compiler, job.build), (id, "g132".to_owned(), Build::Compile));
}

#[test]
fn builds_are_told_in_both_vocabularies() {
    let id = id();
    for (system, cmake) in [("cmake", true), ("cargo", false)] {
        let build = Build::Project(system.to_owned());
        let message =
            write(&Outgoing { build: &build, ..outgoing(&id, Body::Json(br#"{"source":"","options":{}}"#)) });
        let message = message.unwrap();
        assert!(message.contains(&format!(r#""isCMake":{cmake},"buildSystem":"{system}""#)), "{message}");
        assert_eq!(job(&message).build, build);
    }
    let old = job(r#"{"guid":"a","compilerId":"c","isCMake":true,"headers":{},"source":"x"}"#);
    assert_eq!(old.build, Build::Project("cmake".to_owned()));
}

#[test]
fn both_spellings_of_the_json_type_are_json() {
    for (kind, arguments) in [
        ("application/json", vec!["-O1"]),
        ("Application/JSON; charset=utf-8", vec!["-O1"]),
        ("text/plain", vec!["-O2"]),
        ("application/x-www-form-urlencoded", vec!["-O2"]),
    ] {
        let message = format!(
            r#"{{"guid":"a","compilerId":"c","headers":{{"Content-Type":"{kind}"}},"queryStringParameters":{{"options":["-O2","-O3"]}},"source":"x","options":{{"userArguments":"-O1"}}}}"#
        );
        assert_eq!(finish(job(&message)).arguments, arguments, "{kind}");
    }
}

#[test]
fn parked_jobs_are_found_again() {
    let key = "sqs-overflow/prod/2026-01-02/x.json".to_owned();
    let parked = Parked { id: id(), bucket: "b".to_owned(), key };
    let note = write_parked(&parked, "g132", 300_123, "2026-01-02T03:04:05.678Z");
    assert_eq!(
        note,
        r#"{"type":"s3-overflow","guid":"7d3c0a4e-0000-4000-8000-000000000001","compilerId":"g132","s3Bucket":"b","s3Key":"sqs-overflow/prod/2026-01-02/x.json","originalSize":300123,"timestamp":"2026-01-02T03:04:05.678Z"}"#
    );
    match read(&note).unwrap() {
        Incoming::Parked(found) => assert_eq!(found, parked),
        Incoming::Job(job) => panic!("{job:?}"),
    }
}

#[test]
fn what_is_no_job_says_why_and_whose_it_was() {
    for (message, id, wrong) in [
        ("", None, "invalid JSON at byte 0: expected an object"),
        ("[]", None, "invalid JSON at byte 0: expected an object"),
        ("{}", None, "it has no guid"),
        (r#"{"guid":7}"#, None, "guid must be a string"),
        (r#"{"guid":""}"#, None, "the request id is empty"),
        (r#"{"guid":"a"}"#, Some("a"), "it has no compilerId"),
        (r#"{"guid":"a","compilerId":["x"]}"#, Some("a"), "compilerId must be a string"),
        (r#"{"guid":"a","compilerId":"c","headers":1}"#, Some("a"), "headers must be an object"),
        (r#"{"guid":"a","source":"\ud800"}"#, Some("a"), "invalid JSON at byte 22: lone surrogate"),
        (r#"{"guid":"a"} x"#, Some("a"), "invalid JSON at byte 13: expected nothing more"),
    ] {
        let error = read(message).unwrap_err();
        assert_eq!(error.id.as_ref().map(RequestId::as_str), id, "{message}");
        assert_eq!(error.wrong.to_string(), wrong, "{message}");
    }
    let odd = job(r#"{"guid":"a","compilerId":"c","headers":{"content-type":"application/json"}}"#);
    assert_eq!(odd.draft.unwrap_err(), RequestError::Missing("options"));
}

proptest! {
    #[test]
    fn whatever_is_written_is_read(source in "(\\PC|[\n\0\r\u{1b}])+", compiler in "[a-z0-9+-]{1,20}", query in "[a-z=&%0-9]{0,30}") {
        let id = id();
        let text = Outgoing { compiler: &compiler, query: &query, ..outgoing(&id, Body::Text(source.as_bytes())) };
        if let Ok(message) = write(&text) {
            let job = job(&message);
            prop_assert_eq!(&job.compiler, &compiler);
            prop_assert_eq!(finish(job).source, source);
        }
    }

    #[test]
    fn any_text_is_answered(text in ".*", json in "[\\[\\]{}\":,a-z0-9\\\\\u{e9}\u{1f600}\0\r\u{1b}]{0,60}") {
        let _answered = (read(&text).is_ok(), read(&json).is_ok());
    }
}
