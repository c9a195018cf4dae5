//! A bare WebSocket: the other side of whatever is tested, saying exactly what it is told to.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, accept_async, client_async_with_config};

use super::bed::PATIENCE;

/// One WebSocket.
pub(super) struct Peer(pub(super) WebSocketStream<TcpStream>);

impl Peer {
    /// Dials a hub.
    pub(super) async fn dial(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let config = WebSocketConfig::default();
        let (socket, _) =
            client_async_with_config(format!("ws://{address}/"), stream, Some(config)).await.unwrap();
        Self(socket)
    }

    /// Accepts a client, as a hub does.
    pub(super) async fn accept(listener: &TcpListener) -> Self {
        let (stream, _) = timeout(PATIENCE, listener.accept()).await.expect("nobody dials").unwrap();
        Self(timeout(PATIENCE, accept_async(stream)).await.expect("no handshake").unwrap())
    }

    pub(super) async fn say(&mut self, text: impl Into<String>) {
        self.0.send(Message::text(text.into())).await.unwrap();
    }

    /// The next text; control frames are answered on the way.
    pub(super) async fn hear(&mut self) -> String {
        self.hear_within(PATIENCE).await.expect("nothing was said")
    }

    /// The next text, if one comes in time.
    pub(super) async fn hear_within(&mut self, patience: Duration) -> Option<String> {
        let text = async {
            loop {
                if let Message::Text(text) = self.0.next().await.unwrap().unwrap() {
                    return text.as_str().to_owned();
                }
            }
        };
        timeout(patience, text).await.ok()
    }

    /// The next text that is no ping; pings are answered.
    pub(super) async fn hear_request(&mut self) -> String {
        loop {
            let text = self.hear().await;
            if text != "ping" {
                return text;
            }
            self.say("pong").await;
        }
    }

    /// The code with which the other side closes.
    pub(super) async fn close_code(&mut self) -> Option<u16> {
        let closed = async {
            loop {
                match self.0.next().await? {
                    Ok(Message::Close(frame)) => return frame.map(|frame| frame.code.into()),
                    Ok(_) => {}
                    Err(error) => panic!("ended by {error}, not by a close"),
                }
            }
        };
        timeout(PATIENCE, closed).await.expect("it is not closed")
    }
}
