//! The one lever that stands on the public door.

use std::net::SocketAddr;

use axum::Extension;
use axum::extract::State;

use super::Shared;
use super::reject::Rejection;
use crate::doors::reply::{self, Reply};
use crate::doors::workshop::Workshop;

/// `/admin/clear-cache`: for this machine itself, and for the networks its owner names.
pub(super) async fn clear_cache<W: Workshop>(
    State(desk): State<Shared<W>>,
    Extension(peer): Extension<SocketAddr>,
) -> Result<Reply, Rejection> {
    let address = peer.ip().to_canonical();
    let known = desk.parts.settings.clear_cache_from.iter().any(|network| network.contains(address));
    if !known && !address.is_loopback() {
        return Err(Rejection::forbidden("caches are not cleared from your address"));
    }
    desk.parts.workshop.clear_caches();
    if let Some(fleet) = &desk.parts.fleet {
        fleet.router.clear();
    }
    Ok(reply::cleared())
}
