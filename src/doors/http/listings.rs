//! What there is to choose from, and which release this is.

use axum::extract::{FromRequestParts, Path, State};
use http::StatusCode;
use http::header::HeaderValue;
use http::request;

use super::reject::Rejection;
use super::{Desk, Shared, negotiate};
use crate::doors::reply::{self, JSON, Reply, TEXT};
use crate::doors::workshop::{Listing, Workshop};
use crate::engine::Rendition;
use crate::wire;

/// Text that has always been sent as HTML.
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// How a listing shall be written.
pub(super) struct Wish {
    rendition: Rendition,
    fields: Option<String>,
}

impl<W: Workshop> FromRequestParts<Shared<W>> for Wish {
    type Rejection = Rejection;

    async fn from_request_parts(head: &mut request::Parts, desk: &Shared<W>) -> Result<Self, Rejection> {
        let fields = wire::request::query_value(head.uri.query().unwrap_or_default(), "fields")?;
        let rendition = negotiate::rendition(&head.headers, desk.parts.settings.default_rendition);
        Ok(Self { rendition, fields })
    }
}

/// `/api/compilers`, `/api/compilers/{language}`
pub(super) async fn compilers<W: Workshop>(
    State(desk): State<Shared<W>>,
    language: Option<Path<String>>,
    wish: Wish,
) -> Result<Reply, Rejection> {
    desk.list(Listing::Compilers(language.as_deref().map(String::as_str)), &wish)
}

/// `/api/languages`
pub(super) async fn languages<W: Workshop>(
    State(desk): State<Shared<W>>,
    wish: Wish,
) -> Result<Reply, Rejection> {
    desk.list(Listing::Languages, &wish)
}

/// `/api/libraries`, `/api/libraries/{language}`
pub(super) async fn libraries<W: Workshop>(
    State(desk): State<Shared<W>>,
    language: Option<Path<String>>,
    wish: Wish,
) -> Result<Reply, Rejection> {
    desk.list(Listing::Libraries(language.as_deref().map(String::as_str)), &wish)
}

/// `/api/tools/{language}`
pub(super) async fn tools<W: Workshop>(
    State(desk): State<Shared<W>>,
    Path(language): Path<String>,
    wish: Wish,
) -> Result<Reply, Rejection> {
    desk.list(Listing::Tools(&language), &wish)
}

/// `/api/popularArguments/{id}`, `/api/optimizationArguments/{id}`: nobody counts them here.
pub(super) async fn arguments<W: Workshop>(
    State(desk): State<Shared<W>>,
    Path(id): Path<String>,
) -> Result<Reply, Rejection> {
    match desk.parts.workshop.find(None, &id) {
        Some(_) => Ok(reply::reply(StatusCode::OK, JSON, "{}")),
        None => Err(Rejection::no_compiler(&id)),
    }
}

/// `/api/version`
pub(super) async fn version<W: Workshop>(State(desk): State<Shared<W>>) -> Reply {
    let version = desk.parts.settings.version.as_deref();
    reply::reply(StatusCode::OK, HTML, version.unwrap_or("<no git hash found>").to_owned())
}

/// `/api/releaseBuild`
pub(super) async fn release_build<W: Workshop>(State(desk): State<Shared<W>>) -> Reply {
    let build = desk.parts.settings.build.as_deref();
    reply::reply(StatusCode::OK, HTML, build.unwrap_or("<no build number found>").to_owned())
}

impl<W: Workshop> Desk<W> {
    fn list(&self, listing: Listing<'_>, wish: &Wish) -> Result<Reply, Rejection> {
        let table = matches!(listing, Listing::Compilers(_) | Listing::Languages);
        let (rendition, content_type) = match wish.rendition {
            Rendition::Text if table => (Rendition::Text, TEXT),
            _ => (Rendition::Json, JSON),
        };
        let body = self.parts.workshop.list(listing, wish.fields.as_deref(), rendition)?;
        Ok(reply::reply(StatusCode::OK, content_type, body))
    }
}
