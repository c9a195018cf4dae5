//! One file through the daemon's own engine, from the shell.

use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};

use crate::app::parts;
use crate::cli::{Compiled, OneShot};
use crate::compilers::{Catalogue, Compiler};
use crate::config::Loaded;
use crate::domain::limits::Deadline;
use crate::domain::request::CompileRequest;
use crate::domain::result::Asm;
use crate::engine::Engine;
use crate::lifecycle::Lifecycle;
use crate::sandbox::Sandbox;
use crate::telemetry::metrics::Metrics;
use crate::wire;

/// Compiles `shot` in a sandbox of its own.
pub(super) fn compile(loaded: Loaded, shot: OneShot) -> anyhow::Result<Compiled> {
    let config = loaded.config;
    let sandbox = Sandbox::launch(parts::sandbox(&config, 1))?;
    let catalogue = Arc::new(parts::catalogue(&config)?.catalogue);
    let compiler = choose(&catalogue, &shot)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (lifecycle, metrics) = (Lifecycle::new(), Arc::new(Metrics::new()));
        let sandbox = sandbox.attach()?;
        let engine = Engine::new(&parts::engine(&config), catalogue, sandbox.clone(), lifecycle, metrics);
        let request = CompileRequest {
            source: shot.source,
            arguments: shot.arguments,
            filters: shot.filters,
            ..CompileRequest::default()
        };
        let deadline = Deadline::after(config.engine.request_budget);
        let result = engine.result(&compiler, &request, deadline).await?;
        sandbox.shut_down().await;
        let data = if shot.json {
            let mut json = wire::result::json(&result);
            json.push(b'\n');
            json
        } else {
            match &result.asm {
                Asm::Listing(listing) => {
                    listing.lines().flat_map(|line| [line.text, "\n"]).collect::<String>().into_bytes()
                }
                Asm::Skipped => Vec::new(),
                Asm::Remark(text) | Asm::Raw(text) => format!("{text}\n").into_bytes(),
            }
        };
        let said: Vec<&str> =
            result.stdout.iter().chain(&result.stderr).map(|line| line.text.as_str()).collect();
        Ok(Compiled { data, said: said.join("\n"), success: result.code == 0 })
    })
}

/// The compiler that was named, or the default one of the first language that has the file's extension.
fn choose(catalogue: &Catalogue, shot: &OneShot) -> anyhow::Result<Arc<Compiler>> {
    if let Some(id) = &shot.compiler {
        return catalogue.find(None, id).with_context(|| {
            let known: Vec<&str> = catalogue.compilers(None).map(|compiler| compiler.id.as_str()).collect();
            format!("there is no compiler {id:?}; there are {}", known.join(", "))
        });
    }
    let extension = shot.file.extension().map(|extension| format!(".{}", extension.to_string_lossy()));
    // Standard input has no name; C++ takes most of what C is.
    let extension = extension.unwrap_or_else(|| ".cpp".to_owned());
    let mut listed =
        catalogue.languages().filter(|listed| listed.language.extensions.contains(&extension.as_str()));
    let Some(listed) = listed.next() else {
        bail!("no compiler takes files ending in {extension}; name one with --compiler");
    };
    let id = listed.default_compiler.ok_or_else(|| anyhow!("{} has no compilers", listed.language.name))?;
    catalogue.find(None, id).context("the default compiler is gone")
}
