//! Puts the program together: configuration into settings, settings into parts, parts into a running whole.

mod clients;
mod fleet;
mod hub;
mod instance;
mod meter;
mod once;
mod parts;
mod route;
mod serve;
mod shadow;
mod status;
mod trace;

use std::collections::BTreeSet;
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::cli::Roles;
use crate::cli::doctor::{Finding, Verdict};
use crate::config;
use crate::config::keys::Config;
use crate::domain::listing::Listing;
use crate::sandbox::probe::{self, Grade};
use crate::{text, wire};

/// What the commands do.
pub const ROLES: Roles = Roles {
    serve: serve::serve,
    hub: hub::hub,
    compile: once::compile,
    route: route::explain,
    installed,
    examine,
    filter: text::asm::process,
    render: |listing: &Listing, took: Duration| wire::result::listing(listing, took),
};

/// Lets this process open as many descriptors as it may. What is usual is meant for programs that use `select`, and every
/// connection takes one.
fn open_many() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "could not raise the limit of open descriptors");
    }
}

/// The names of the compilers that this machine has.
fn installed(config: &Config) -> anyhow::Result<BTreeSet<String>> {
    let catalogue = parts::catalogue(config)?.catalogue;
    Ok(catalogue.compilers(None).map(|compiler| compiler.id.to_string()).collect())
}

/// What the kernel and the catalogue look like, for `doctor`.
fn examine(loaded: &config::Loaded) -> Vec<Finding> {
    let sandbox = &loaded.config.sandbox;
    let mut findings: Vec<Finding> =
        probe::examine(sandbox.mode, sandbox.cgroup_parent.as_deref()).into_iter().map(said).collect();
    findings.push(match parts::catalogue(&loaded.config) {
        Ok(found) => {
            let names: Vec<&str> =
                found.catalogue.compilers(None).map(|compiler| compiler.id.as_str()).take(20).collect();
            let detail = match found.catalogue.len() {
                0 => "none found".to_owned(),
                count => format!("{count} found: {}", names.join(", ")),
            };
            let fix = found.catalogue.is_empty().then(|| {
                "install some (Debian: apt-get install g++ clang) or name a catalogue with --catalogue"
                    .to_owned()
            });
            let verdict = if fix.is_some() { Verdict::Fail } else { Verdict::Ok };
            Finding { name: "compilers".to_owned(), verdict, detail, fix }
        }
        Err(error) => Finding {
            name: "compilers".to_owned(),
            verdict: Verdict::Fail,
            detail: format!("{error:#}"),
            fix: Some("mend catalogue.paths".to_owned()),
        },
    });
    findings
}

fn said(finding: probe::Finding) -> Finding {
    let verdict = match finding.grade {
        Grade::Ok => Verdict::Ok,
        Grade::Warn => Verdict::Warn,
        Grade::Fail => Verdict::Fail,
    };
    let fix = (!finding.fix.is_empty()).then(|| finding.fix.to_owned());
    Finding { name: finding.name.to_owned(), verdict, detail: finding.detail, fix }
}
