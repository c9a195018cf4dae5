//! A man in the middle who forwards bytes, until he is told to swallow them or to cut.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use compilation_worker::lifecycle::Lifecycle;

/// What the middle does to what passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    /// Forwards.
    Honest,
    /// Takes bytes and never passes them on; connections stay open. New ones are forwarded: their number is given.
    Swallow {
        /// Connections made so far.
        older_than: u64,
    },
    /// Cuts everything, and everything new.
    Cut,
}

/// The middle.
pub(super) struct Proxy {
    pub(super) address: SocketAddr,
    mood: Arc<watch::Sender<Mood>>,
    made: Arc<watch::Sender<u64>>,
}

impl Proxy {
    /// Stands before `target`.
    pub(super) async fn before(target: SocketAddr, lifecycle: &Lifecycle) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mood = Arc::new(watch::Sender::new(Mood::Honest));
        let made = Arc::new(watch::Sender::new(0));
        let (moods, count, life) = (Arc::clone(&mood), Arc::clone(&made), lifecycle.clone());
        lifecycle.accompany("proxy", async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let number = *count.borrow();
                count.send_replace(number + 1);
                let mut mood = moods.subscribe();
                life.accompany("proxied", async move {
                    tokio::select! {
                        () = forward(client, target, number, mood.clone()) => {}
                        _ = mood.wait_for(|mood| *mood == Mood::Cut) => {}
                    }
                });
            }
        });
        Self { address, mood, made }
    }

    /// Connections made so far.
    pub(super) fn dials(&self) -> u64 {
        *self.made.borrow()
    }

    pub(super) fn set(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// From now on, the connections made so far lead nowhere, without anybody being told.
    pub(super) fn swallow(&self) {
        self.set(Mood::Swallow { older_than: self.dials() });
    }
}

async fn forward(client: TcpStream, target: SocketAddr, number: u64, mood: watch::Receiver<Mood>) {
    let Ok(server) = TcpStream::connect(target).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let swallowed = move || match *mood.borrow() {
        Mood::Swallow { older_than } => number < older_than,
        Mood::Honest | Mood::Cut => false,
    };
    let there = async {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
            if !swallowed() && to_server.write_all(&buffer[..length]).await.is_err() {
                return;
            }
        }
    };
    let back = async {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from_server.read(&mut buffer).await {
            if !swallowed() && to_client.write_all(&buffer[..length]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! { () = there => {}, () = back => {} }
}
