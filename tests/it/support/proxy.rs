//! A man in the middle who forwards bytes, until he is told to hold them, to swallow them or to cut.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use compilation_worker::lifecycle::Lifecycle;

/// What the middle does to what passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Forwards.
    Honest,
    /// Keeps everything, and forwards it when honest again: packets are lost, and sent again until the network heals.
    Hold,
    /// Takes bytes and never passes them on; connections stay open. New ones are forwarded: their number is given.
    Swallow {
        /// Connections made so far.
        older_than: u64,
    },
    /// Cuts everything, and everything new.
    Cut,
}

/// The middle.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    mood: Arc<watch::Sender<Mood>>,
    made: Arc<watch::Sender<u64>>,
}

impl Proxy {
    /// Stands before `target`.
    pub(crate) async fn before(target: SocketAddr, lifecycle: &Lifecycle) -> Self {
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
    pub(crate) fn dials(&self) -> u64 {
        *self.made.borrow()
    }

    pub(crate) fn set(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// From now on, the connections made so far lead nowhere, without anybody being told.
    pub(crate) fn swallow(&self) {
        self.set(Mood::Swallow { older_than: self.dials() });
    }
}

async fn forward(client: TcpStream, target: SocketAddr, number: u64, mood: watch::Receiver<Mood>) {
    let Ok(server) = TcpStream::connect(target).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let there = pass(&mut from_client, &mut to_server, number, mood.clone());
    let back = pass(&mut from_server, &mut to_client, number, mood);
    tokio::select! { () = there => {}, () = back => {} }
}

/// Passes bytes one way, until one of the two ends.
async fn pass(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    number: u64,
    mut mood: watch::Receiver<Mood>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let Ok(now) = mood.wait_for(|mood| *mood != Mood::Hold).await.map(|mood| *mood) else { return };
        let swallowed = matches!(now, Mood::Swallow { older_than } if number < older_than);
        if !swallowed && to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
