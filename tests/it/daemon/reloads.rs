//! A catalogue can be swapped while it serves; a bad one changes nothing.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep as pause};

use crate::support::client::get;
use crate::support::daemon::{Daemon, compile};
use crate::support::obedient::{ID, Obedient, held, sleep};

async fn ids(daemon: &Daemon) -> Vec<String> {
    let list = daemon.page("/api/compilers?fields=id").await.json();
    let id = |compiler: &Value| compiler["id"].as_str().unwrap().to_owned();
    list.as_array().unwrap().iter().map(id).collect()
}

#[tokio::test]
async fn a_hang_up_swaps_the_catalogue_under_running_work() {
    let obedient = Obedient::make();
    let daemon = obedient.serve(&[]).await;
    let mut running = daemon.client().await;
    running.send(compile(ID, &held("swap", 0))).await;
    daemon.health_until(|health| health["slotsBusy"] == 1).await;
    obedient.list(&["first", "second"]);
    daemon.signal(Signal::HUP);
    let begun = Instant::now();
    while ids(&daemon).await != ["first", "second"] {
        assert!(begun.elapsed() < Duration::from_secs(10), "the catalogue was not swapped: {}", daemon.log());
        pause(Duration::from_millis(10)).await;
    }
    obedient.release("swap");
    assert_eq!(running.reply().await.status, 200, "the swap ended a compile of the old catalogue");
    assert_eq!(daemon.compile(ID, &sleep("0", 0)).await.status, 404);
    assert_eq!(daemon.compile("second", &sleep("0", 0)).await.status, 200);
    daemon.stop().await;
}

#[tokio::test]
async fn the_operators_lever_swaps_it_too_and_tells_what_came_of_it() {
    let obedient = Obedient::make();
    let daemon = obedient.serve(&[]).await;
    obedient.list(&["other", ID]);
    let reply = daemon.pull("/admin/reload").await;
    assert_eq!(
        (reply.status, reply.json()),
        (200, json!({"success": true, "message": "2 compilers, 0 problems"}))
    );
    assert_eq!(ids(&daemon).await, [ID, "other"]);
    let reading = daemon.admin_page("/admin/reload").await;
    assert_eq!(reading.status, 405, "reading must not reload");
    let public = daemon.ask(get("/admin/reload", "")).await;
    assert_eq!(public.status, 404, "the lever is not for the public");
    daemon.stop().await;
}

#[tokio::test]
async fn a_bad_catalogue_keeps_the_old_one() {
    let obedient = Obedient::make();
    let daemon = obedient.serve(&[]).await;
    for (turn, bad) in
        ["", "compilers=a:b\nexe=/usr/bin/no-such-compiler\n", "\u{0}\u{ff}nonsense"].iter().enumerate()
    {
        obedient.catalogue(bad);
        let reply = daemon.pull("/admin/reload").await;
        assert_eq!(reply.status, 422, "{bad:?}: {}", reply.text());
        assert!(reply.text().contains("kept the old catalogue"), "{}", reply.text());
        assert_eq!(daemon.metric("catalogue_reload_failures_total").await, turn as u64 + 1);
        assert_eq!(ids(&daemon).await, [ID]);
        assert_eq!(daemon.compile(ID, &sleep("0", turn)).await.status, 200);
    }
    daemon.signal(Signal::HUP);
    daemon.metric_until("catalogue_reload_failures_total", 4).await;
    assert_eq!(ids(&daemon).await, [ID]);
    obedient.list(&["mended"]);
    assert_eq!(daemon.pull("/admin/reload").await.status, 200);
    assert_eq!(ids(&daemon).await, ["mended"]);
    daemon.stop().await;
}
