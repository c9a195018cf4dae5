//! A routing table for the router: DynamoDB's `GetItem`, and one row that every compiler has.

use axum::Router;
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// What the table is called. It is never looked at: there is one.
pub(crate) const TABLE: &str = "routes";

/// A table that lives as long as this does.
pub(crate) struct Table {
    /// What the router calls it by.
    pub(crate) url: String,
    _runtime: Runtime,
}

impl Table {
    /// A table that sends every compiler to `service`.
    pub(crate) fn of(service: &str) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let item = json!({ "Item": { "routingType": { "S": "url" }, "targetUrl": { "S": service } } });
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        runtime.spawn(async move {
            let answer = move || async move { reply(&item) };
            axum::serve(listener, Router::new().route("/", post(answer))).await.unwrap();
        });
        Self { url, _runtime: runtime }
    }
}

fn reply(item: &Value) -> ([(&'static str, &'static str); 1], String) {
    ([("content-type", "application/x-amz-json-1.0")], item.to_string())
}
