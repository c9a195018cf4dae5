//! What the services that answer with XML have in common.

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::aws::fault::{Fault, Kind, chain};

/// A list: elements of one name within one of another.
#[derive(Debug, Deserialize)]
pub(super) struct List<T> {
    #[serde(rename = "member", default = "Vec::new")]
    pub members: Vec<T>,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { members: Vec::new() }
    }
}

/// The part of an answer that matters, which each action calls after itself.
#[derive(Deserialize)]
struct Answer<T> {
    #[serde(
        alias = "CancelInstanceRefreshResult",
        alias = "DescribeAutoScalingGroupsResult",
        alias = "DescribeInstanceRefreshesResult",
        alias = "DescribeRulesResult",
        alias = "DescribeScalingActivitiesResult",
        alias = "DescribeTargetGroupsResult",
        alias = "DescribeTargetHealthResult",
        alias = "EnterStandbyResult",
        alias = "ExitStandbyResult",
        alias = "GetMetricDataResult",
        alias = "StartInstanceRefreshResult"
    )]
    result: T,
}

/// Reads the result of an action.
pub(super) fn result<T: DeserializeOwned>(body: &[u8]) -> Result<T, Fault> {
    let answer: Result<Answer<T>, _> = quick_xml::de::from_reader(body);
    answer.map(|answer| answer.result).map_err(|error| Fault::new(Kind::Garbled, &chain(&error)))
}

/// A moment as they write it; `None` if it is none.
pub(super) fn moment(text: &str) -> Option<Timestamp> {
    text.trim().parse().ok()
}

/// A moment as they read it.
pub(super) fn write_moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// What is said at all, that is, not an empty word; in one line.
pub(super) fn said(text: &str) -> Option<String> {
    Some(text.trim().replace(char::is_control, " ")).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Deserialize, Default)]
    #[serde(default)]
    struct Some {
        #[serde(rename = "Names")]
        names: List<String>,
    }

    #[test]
    fn lists_are_read_whether_full_empty_or_absent() {
        for (names, expected) in [
            ("<Names><member>a</member><member>b &amp; c</member></Names>", vec!["a", "b & c"]),
            ("<Names/>", vec![]),
            ("<Names></Names>", vec![]),
            ("", vec![]),
            ("<Other><x/></Other><Names><member>a</member></Names>", vec!["a"]),
        ] {
            let body = format!(
                "<?xml version=\"1.0\"?><R xmlns=\"x\"><DescribeRulesResult>{names}</DescribeRulesResult>\
                 <ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></R>"
            );
            assert_eq!(result::<Some>(body.as_bytes()).unwrap().names.members, expected, "{names}");
        }
        assert_eq!(result::<Some>(b"<html>").unwrap_err().kind, Kind::Garbled);
    }

    #[test]
    fn moments_are_read_and_written() {
        let at = moment("2026-11-28T10:00:00.123Z").unwrap();
        assert_eq!(write_moment(at), "2026-11-28T10:00:00Z");
        assert_eq!(moment(""), None);
        assert_eq!(said(" \n"), None);
        assert_eq!(
            said(" two\nlines\u{1b} ").as_deref(),
            Some("two lines "),
            "nothing that a terminal would obey"
        );
    }

    proptest! {
        #[test]
        fn no_answer_is_too_odd(
            body: Vec<u8>,
            text in "(<Names>|</Names>|<member>|</member>|<Names/>|<!\\[CDATA\\[|\\]\\]>|&amp;|&#0;|&|<|.){0,20}",
        ) {
            let whole = format!("<R><DescribeRulesResult>{text}</DescribeRulesResult></R>");
            for body in [&body, text.as_bytes(), whole.as_bytes()] {
                let _read = result::<Some>(body).is_ok();
            }
            let told = said(&text);
            prop_assert!(told.is_none_or(|told| !told.is_empty() && !told.contains(char::is_control)));
            let _moment = moment(&text);
        }
    }
}
