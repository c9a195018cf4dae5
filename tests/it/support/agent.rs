//! Something that listens for events as the CloudWatch agent does: it reads each line, and closes a connection when its
//! client has no more to say.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// The listener. Dropped, it is gone.
pub(crate) struct Agent {
    pub(crate) address: SocketAddr,
    pub(crate) events: Events,
    _reading: JoinSet<()>,
}

/// What it was told, also by those before it.
pub(crate) type Events = Arc<Mutex<Vec<Value>>>;

impl Agent {
    pub(crate) async fn listen(address: &str, events: &Events) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mut reading, told) = (JoinSet::new(), Arc::clone(events));
        reading.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (mut lines, mut read) = (BufReader::new(stream).lines(), Vec::new());
                while let Ok(Some(line)) = lines.next_line().await {
                    read.push(serde_json::from_str(&line).unwrap());
                }
                // A test may end us as soon as it sees them, and what has not been read to its end has not arrived.
                told.lock().unwrap().extend(read);
            }
        });
        Self { address, events: Arc::clone(events), _reading: reading }
    }

    pub(crate) fn count(&self) -> usize {
        self.events.lock().unwrap().len()
    }
}

/// The flags that publish there, often.
pub(crate) fn flags(agent: SocketAddr) -> [String; 2] {
    [format!("--metrics-emf=tcp://{agent}"), "--metrics-every=100ms".to_owned()]
}
