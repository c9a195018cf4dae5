//! The page at `/admin/`: one document, which asks nobody but this door for anything.
//!
//! It shows the [`Status`](super::status::Status), which it reads every two seconds. A browser runs its script and applies
//! its style because both carry a number that nobody can guess; nothing else runs, and nobody may frame it.

use axum::response::IntoResponse as _;
use http::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::{HeaderName, StatusCode};

use crate::doors::reply::Reply;

/// The document, with [`NONCE`] where the number stands.
const DOCUMENT: &str = concat!(
    include_str!("page/head.html"),
    "<style nonce=\"{nonce}\">\n",
    include_str!("page/page.css"),
    "</style>\n",
    include_str!("page/body.html"),
    "<script nonce=\"{nonce}\">\n\"use strict\";\n",
    include_str!("page/words.js"),
    include_str!("page/plots.js"),
    include_str!("page/page.js"),
    "</script>\n</body>\n</html>\n"
);
const NONCE: &str = "{nonce}";
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
/// Nobody's page may hold what this door serves, nor a handle on its window.
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// The page.
pub(super) async fn page() -> Reply {
    let nonce = uuid::Uuid::new_v4().simple().to_string();
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let mut reply = (StatusCode::OK, DOCUMENT.replace(NONCE, &nonce)).into_response();
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HTML);
    if let Ok(policy) = policy.parse() {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(OPENER_POLICY, HeaderValue::from_static("same-origin"));
    guarded(reply)
}

/// The reply, as no page of another site may use it.
pub(super) fn guarded(mut reply: Reply) -> Reply {
    let headers = reply.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    reply
}
