//! What every route store promises.

use std::sync::Arc;

use compilation_worker::local::routes::LocalRoutes;
use compilation_worker::ports::{Color, RouteRow, RouteStore, RouteTarget};

use super::suite;

/// A store that holds [`rows`], with green live.
fn local() -> Arc<dyn RouteStore> {
    let routes = LocalRoutes::new();
    for row in rows() {
        routes.put(row);
    }
    routes.activate(Color::Green);
    Arc::new(routes)
}

suite! { Arc<dyn RouteStore>; in_process = super::local:
    a_row_is_found_under_its_exact_key
    a_missing_row_is_not_a_failure
    all_rows_are_told
    the_color_is_the_live_one
}

pub(super) fn rows() -> [RouteRow; 3] {
    let row =
        |key: &str, target| RouteRow { key: key.to_owned(), target, environment: Some("prod".to_owned()) };
    [
        row("prod#g132", RouteTarget::Queue("prod-compilation-queue".to_owned())),
        row("prod#nvcc130", RouteTarget::Url("https://gpu.example/api/compiler/nvcc130/compile".to_owned())),
        row("g132", RouteTarget::DefaultQueue),
    ]
}

async fn a_row_is_found_under_its_exact_key(routes: Arc<dyn RouteStore>) {
    for row in rows() {
        assert_eq!(routes.lookup(&row.key).await.unwrap(), Some(row));
    }
}

async fn a_missing_row_is_not_a_failure(routes: Arc<dyn RouteStore>) {
    for key in ["", "prod#", "prod#G132", "staging#g132", "nvcc130"] {
        assert_eq!(routes.lookup(key).await.unwrap(), None, "{key}");
    }
}

async fn all_rows_are_told(routes: Arc<dyn RouteStore>) {
    let mut all = routes.all().await.unwrap();
    all.sort_by(|one, other| one.0.cmp(&other.0));
    let mut expected = rows().map(|row| (row.key.clone(), Some(row)));
    expected.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(all, expected);
}

async fn the_color_is_the_live_one(routes: Arc<dyn RouteStore>) {
    assert_eq!(routes.active_color().await.unwrap(), Color::Green);
}

#[tokio::test]
async fn a_table_in_this_process_can_change() {
    let routes = LocalRoutes::new();
    assert_eq!(routes.active_color().await.unwrap(), Color::Blue, "what nobody set is blue");
    let [row, ..] = rows();
    routes.put(row.clone());
    assert!(routes.remove(&row.key) && !routes.remove(&row.key));
    assert_eq!(routes.lookup(&row.key).await.unwrap(), None);
}
