//! The live color, from a parameter of Systems Manager.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use crate::aws::clients::{Clients, Patience};
use crate::aws::fault::{Fault, Kind};
use crate::aws::signed::{Service, Signed};
use crate::ports::Color;

/// How long the whole call may take. There is no second try, because the router has the last known color and asks again
/// within 30 s.
const PATIENCE: Patience = Patience { attempt: Duration::from_secs(2), attempts: 1 };

/// A parameter that names the live color.
#[derive(Debug)]
pub(super) struct ColorParameter {
    name: String,
    service: Signed,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Parameter", default)]
    parameter: Parameter,
}

#[derive(Deserialize, Default)]
struct Parameter {
    #[serde(rename = "Value", default)]
    value: String,
}

impl ColorParameter {
    pub(super) fn new(clients: &Clients, name: String) -> Result<Self, Fault> {
        Ok(Self { name, service: Signed::new(clients, Service::Parameters, PATIENCE)? })
    }

    /// The name, for messages.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The color it names now. A parameter that is not there means blue, as to the deployed router.
    pub(super) async fn color(&self) -> Result<Color, Fault> {
        match self.service.json("AmazonSSM.GetParameter", &json!({ "Name": self.name })).await {
            Ok(answer) => read(&answer),
            Err(fault) if fault.code.as_deref() == Some("ParameterNotFound") => Ok(Color::Blue),
            Err(fault) => Err(fault),
        }
    }
}

fn read(answer: &[u8]) -> Result<Color, Fault> {
    let answer: Answer =
        serde_json::from_slice(answer).map_err(|error| Fault::new(Kind::Garbled, &error.to_string()))?;
    Ok(if answer.parameter.value == "green" { Color::Green } else { Color::Blue })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_not_green_is_blue() {
        for (body, expected) in [
            (r#"{"Parameter":{"Name":"n","Value":"green","Version":3}}"#, Color::Green),
            (r#"{"Parameter":{"Value":"blue"}}"#, Color::Blue),
            (r#"{"Parameter":{"Value":"GREEN"}}"#, Color::Blue),
            (r#"{"Parameter":{}}"#, Color::Blue),
            ("{}", Color::Blue),
        ] {
            assert_eq!(read(body.as_bytes()).unwrap(), expected, "{body}");
        }
        for body in ["<html>", r#"{"Parameter":{"Value":1}}"#] {
            assert_eq!(read(body.as_bytes()).unwrap_err().kind, Kind::Garbled, "{body}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_answer_is_too_odd(body: Vec<u8>) {
            let _color = read(&body);
        }
    }
}
