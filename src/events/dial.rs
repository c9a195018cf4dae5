//! How a connection to the hub comes about.

use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};

use crate::events::socket::Rules;
use crate::trust;

/// A connection whose handshake is done.
pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Where the hub is, and how it is spoken to.
#[derive(Clone)]
pub(super) struct Dialer {
    url: Uri,
    connector: Connector,
    deadline: Duration,
}

/// Why there can be no bus at all.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address is not that of a WebSocket.
    #[error("{0} is not the address of an events hub: write ws://host:port or wss://host/stage")]
    Address(Uri),
    /// TLS without anybody to trust.
    #[error("found no certificate authorities for {0}: install the package ca-certificates")]
    Trust(Uri),
    /// TLS could not be set up.
    #[error("could not set up TLS")]
    Tls(#[source] rustls::Error),
}

/// Why a dial failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    #[error("no handshake within {} ms", .0.as_millis())]
    Slow(Duration),
    #[error("the handshake failed")]
    Handshake(#[source] Box<tungstenite::Error>),
}

impl Dialer {
    /// A dialer that gives up on a dial after `deadline`.
    pub(super) fn new(url: Uri, deadline: Duration) -> Result<Self, OpenError> {
        let connector = match (url.scheme_str(), url.host()) {
            (Some("ws"), Some(_)) => Connector::Plain,
            (Some("wss"), Some(_)) => Connector::Rustls(Arc::new(tls(&url)?)),
            _ => return Err(OpenError::Address(url)),
        };
        Ok(Self { url, connector, deadline })
    }

    /// One dial, handshake included.
    pub(super) async fn dial(&self, rules: Rules) -> Result<Socket, DialError> {
        let connector = Some(self.connector.clone());
        let dial = connect_async_tls_with_config(&self.url, Some(rules.config()), true, connector);
        match timeout(self.deadline, Box::pin(dial)).await {
            Ok(Ok((socket, _))) => Ok(socket),
            Ok(Err(error)) => Err(DialError::Handshake(Box::new(error))),
            Err(_) => Err(DialError::Slow(self.deadline)),
        }
    }
}

/// What this machine trusts, which has to be somebody.
fn tls(url: &Uri) -> Result<ClientConfig, OpenError> {
    match trust::client().map_err(OpenError::Tls)? {
        (_, 0) => Err(OpenError::Trust(url.clone())),
        (config, _authorities) => Ok(config),
    }
}

impl std::fmt::Debug for Dialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialer").field("url", &self.url).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_websocket_addresses_are_dialed() {
        let dialer = |url: &str| Dialer::new(url.parse().unwrap(), Duration::from_secs(1));
        assert!(dialer("ws://127.0.0.1:1").is_ok());
        for url in ["http://127.0.0.1:1", "/prod", "127.0.0.1:1"] {
            let error = dialer(url).unwrap_err().to_string();
            assert!(error.starts_with(url) && error.contains("wss://"), "{error}");
        }
    }

    #[test]
    fn tls_is_set_up_before_the_first_dial() {
        // A machine may have no authorities; then that is told at the start, not at the first result.
        match Dialer::new("wss://127.0.0.1:1/prod".parse().unwrap(), Duration::from_secs(1)) {
            Ok(dialer) => assert!(matches!(dialer.connector, Connector::Rustls(_))),
            Err(error) => assert!(error.to_string().contains("ca-certificates"), "{error}"),
        }
    }
}
