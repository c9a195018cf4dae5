//! `doctor`: what this machine and kernel support, and what to do about the rest.

use std::fmt;
use std::net::{SocketAddr, TcpListener};

use crate::config::Loaded;
use crate::config::machine::Machine;

/// One thing looked at.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// What was looked at.
    pub name: String,
    /// How it stands.
    pub verdict: Verdict,
    /// What was seen.
    pub detail: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// How something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, with less than there could be.
    Warn,
    /// `serve` will not start like this.
    Fail,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<5} {}: {}", self.verdict, self.name, self.detail)?;
        self.fix.iter().try_for_each(|fix| write!(f, "\n      fix: {fix}"))
    }
}

/// What can be seen from the configuration alone: the machine's size and the ports.
pub(super) fn examine(loaded: &Loaded, machine: &Machine) -> Vec<Finding> {
    let slots = loaded.config.engine.slots;
    let detail = format!("{}; {slots} compiles at once", machine.describe());
    let mut findings = vec![Finding { name: "machine".to_owned(), verdict: Verdict::Ok, detail, fix: None }];
    findings.extend(loaded.warnings.iter().map(|warning| {
        let (detail, fix) = warning.split_once("; ").unwrap_or((warning, ""));
        Finding {
            name: "configuration".to_owned(),
            verdict: Verdict::Warn,
            detail: detail.to_owned(),
            fix: Some(fix.to_owned()).filter(|fix| !fix.is_empty()),
        }
    }));
    findings.push(port("http.listen", loaded.config.http.listen));
    findings.push(port("admin.listen", loaded.config.admin.listen));
    findings
}

fn port(key: &str, address: SocketAddr) -> Finding {
    let (verdict, detail, fix) = match TcpListener::bind(address) {
        Ok(_closed_at_once) => (Verdict::Ok, format!("{address} is free"), None),
        Err(error) => {
            let fix = format!("stop what uses it, or choose another address with {key}");
            (Verdict::Fail, format!("could not bind {address}: {error}"), Some(fix))
        }
    };
    Finding { name: key.to_owned(), verdict, detail, fix }
}
