//! The page of the real program, from its first compile to its end.

use serde_json::json;

use crate::support::browser::Browser;
use crate::support::client::{get, post};
use crate::support::daemon::compile;
use crate::support::obedient::{ID, Obedient, held};

/// The machine's own compiler, in the catalogue of a test.
const GCC: &str = "real";
/// What a caller may call a request, at its oddest.
const ODD: &str = "a+b/c=..:-_";
/// What a caller may call a compiler.
const HOSTILE: &str = "<img src=x onerror=document.title='broken'>";

fn named(id: &str, request: Vec<u8>) -> String {
    let request = String::from_utf8(request).unwrap();
    request.replacen("\r\n\r\n", &format!("\r\nX-Request-Id: {id}\r\n\r\n"), 1)
}

/// The row of the request with this name, cell by cell, without its time.
async fn row(browser: &mut Browser, id: &str) -> Vec<String> {
    let row = format!(
        "[...document.querySelectorAll('#recent tr')].map((row) => [...row.cells].map((cell) => cell.textContent))\
         .find((cells) => cells[9] === '{id}') ?? []"
    );
    let cells: Vec<String> = serde_json::from_value(browser.ask(&row).await).unwrap();
    assert_eq!(cells.len(), 10, "no row of {id}");
    cells[1..9].to_vec()
}

#[tokio::test]
async fn it_tells_of_real_work_to_the_end() {
    let Some(mut browser) = Browser::start().await else { return };
    let obedient = Obedient::make();
    let exe = obedient.directory().join("compiler");
    obedient.catalogue(&format!(
        "compilers={ID}:{GCC}\ncompiler.{ID}.exe={}\ncompiler.{GCC}.exe=/usr/bin/g++\n",
        exe.display()
    ));
    let mut daemon = obedient.serve(&["--engine-slots=2"]).await;
    let source = json!({"source": "int square(int n) { return n * n; }", "options": {}});
    let wrong = json!({"source": "int square(", "options": {}});
    for (id, request, status) in [
        ("first", compile(GCC, &source), 200),
        ("again", compile(GCC, &source), 200),
        (ODD, compile(GCC, &wrong), 200),
        ("unread", compile(GCC, &json!({})), 400),
        ("nowhere", compile(&percent_encoded(HOSTILE), &source), 404),
        ("lost", post("/api/nothing", "", ""), 404),
        ("probe", get("/healthcheck", "").into_bytes(), 200),
    ] {
        assert_eq!(daemon.ask(named(id, request)).await.status, status, "{id}");
    }
    let mut running = daemon.client().await;
    running.send(compile(ID, &held("browser", 0))).await;
    daemon.health_until(|health| health["slotsBusy"] == 1).await;

    let page = format!("http://{}/admin/", daemon.admin);
    browser.go(&page, 1280, "light").await;
    browser.until("document.body?.dataset.state === 'serving'").await;
    assert_eq!(browser.text("slots").await, "1 of 2 busy");
    assert_eq!(browser.text("requests-more").await.lines().next(), Some("5 in a minute"), "one went astray");
    assert_eq!(browser.text("problems").await, "Nothing is wrong.");
    // The first, the wrong one and what was asked of the compilers before.
    let compiles = daemon.compiles().await;
    assert!(
        compiles >= 2 && browser.text("compile-time-more").await.ends_with(&format!("\n{compiles} compiles"))
    );
    assert_eq!(browser.text("remembered-more").await.lines().next(), Some("1 of 6"));
    let listed = format!(
        "[...document.querySelectorAll('#compilers td')].some((cell) => cell.textContent === '{GCC}')"
    );
    assert_eq!(browser.ask(&listed).await, true);

    let first = row(&mut browser, "first").await;
    assert_eq!(first[..5], ["http", "compile", GCC, "200", "ok"]);
    assert!(first[5].ends_with("ms") && first[6].contains('s') && first[7] == "no", "{first:?}");
    let again = row(&mut browser, "again").await;
    assert_eq!([&again[2], &again[4], &again[5], &again[7]], [GCC, "ok", "–", "yes"]);
    assert_eq!(row(&mut browser, ODD).await[2..5], [GCC, "200", "compile_error"]);
    assert_eq!(row(&mut browser, "unread").await[2..5], [GCC, "400", "rejected"]);
    assert_eq!(row(&mut browser, "nowhere").await[2..5], [HOSTILE, "404", "rejected"]);
    assert_eq!(row(&mut browser, "lost").await[1..5], ["none", "–", "404", "–"]);
    assert_eq!(browser.ask("document.querySelectorAll('#recent tr').length").await, 6, "probes are left out");
    assert_eq!(browser.ask("document.querySelector('main img')").await, json!(null));
    browser.ask("byId('only-bad').click()").await;
    assert_eq!(browser.ask("document.querySelectorAll('#recent tr').length").await, 3);

    let picture = browser.picture().await;
    assert!(picture.starts_with("iVBORw0KGgo") && picture.len() > 40_000, "it shows next to nothing");

    assert_eq!(daemon.pull("/admin/drain").await.status, 200);
    browser.ask("read()").await;
    assert_eq!(browser.text("state").await, "draining");
    assert!(browser.text("problems").await.starts_with("Draining: it finishes what it has"));
    assert_eq!(browser.complaints, Vec::<String>::new());
    obedient.release("browser");
    assert_eq!(running.reply().await.status, 200);
    assert!(daemon.exit().await.success());
    browser.ask("read()").await;
    assert_eq!(browser.ask("document.body.dataset.link === 'lost' && !byId('lost').hidden").await, true);
    assert_eq!(browser.text("state").await, "lost");
    let lost = browser.text("lost").await;
    assert!(
        lost.starts_with("Connection lost. What you see is of ") && lost.contains(" ago; asking"),
        "{lost}"
    );
    assert!(browser.text("slots").await.ends_with(" of 2 busy"), "what was seen last stays");
    browser.close().await;
}

fn percent_encoded(text: &str) -> String {
    let letters: Vec<String> = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
    letters.concat()
}
