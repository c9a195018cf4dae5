//! The one WebSocket that a deployed router or worker has.

use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

/// A connection. Dropped, it is gone.
pub(super) struct Socket {
    lines: mpsc::UnboundedSender<String>,
    _pump: JoinSet<()>,
}

impl Socket {
    /// Dials a hub. `answer` is given every text that comes, and says what is to be said to it, if anything.
    pub(super) async fn dial(
        hub: SocketAddr,
        answer: impl Fn(&str) -> Option<String> + Send + 'static,
    ) -> Self {
        let stream = TcpStream::connect(hub).await.unwrap();
        let (socket, _) = client_async(format!("ws://{hub}/prod"), stream).await.unwrap();
        let (mut sink, mut heard) = socket.split();
        let (lines, mut told) = mpsc::unbounded_channel::<String>();
        let mut pump = JoinSet::new();
        pump.spawn(async move {
            loop {
                let text = tokio::select! {
                    Some(text) = told.recv() => Some(text),
                    heard = heard.next() => match heard {
                        Some(Ok(Message::Text(text))) => answer(text.as_str()),
                        Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                        Some(Ok(_)) => None,
                    },
                };
                if let Some(text) = text {
                    sink.send(Message::text(text)).await.unwrap();
                }
            }
        });
        Self { lines, _pump: pump }
    }

    pub(super) fn say(&self, text: String) {
        self.lines.send(text).expect("the hub has hung up");
    }
}
