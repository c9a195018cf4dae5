//! Where events go: to standard output, or to the CloudWatch agent.
//!
//! The agent's listener reads lines until its client has no more to say, and then closes the connection; nothing else
//! tells that an event has been read. So each event has a connection to itself, on which we say that it was the last: the
//! close that follows is the receipt. A reset, or a connection that could not be made, means that it was not read.

use std::fmt;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use futures_channel::oneshot;
use rustix::io::Errno;
use rustix::net::RecvFlags;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Deliver;
use crate::lifecycle;

/// What stands before the agent's address.
const SCHEME: &str = "tcp://";
/// How long the agent may take to accept, and again to take what is written. It is on this machine, and an event fits
/// into a socket's buffer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who collects events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outlet {
    /// Whoever reads our standard output: what it takes counts as read.
    Stdout,
    /// The CloudWatch agent's listener. On this machine: events are neither encrypted nor signed.
    Agent(SocketAddr),
}

/// The text is no outlet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OutletError {
    /// It is neither of the two.
    #[error("is neither stdout nor an address such as tcp://127.0.0.1:25888")]
    Unknown,
    /// It is elsewhere.
    #[error("is not on this machine")]
    Afar,
}

impl Outlet {
    /// Opens the way.
    pub fn open(self) -> io::Result<Deliver> {
        match self {
            Self::Agent(address) => Ok(Box::new(move |event| Box::pin(send(address, event)))),
            Self::Stdout => {
                // One at a time: there is no other event while one is under way.
                let (lines, waiting) = sync_channel(1);
                // It may hang in a write for ever, so nobody waits for its end.
                drop(lifecycle::thread("stdout", move || print(&waiting))?);
                Ok(Box::new(move |event| Box::pin(hand_over(lines.clone(), event))))
            }
        }
    }
}

/// Sends an event to the agent, and waits until it has been read.
async fn send(agent: SocketAddr, event: Vec<u8>) -> io::Result<()> {
    let mut stream = in_time(TcpStream::connect(agent)).await?;
    in_time(stream.write_all(&event)).await?;
    // One that has closed already has not read to the end: it is dying.
    match rustix::net::recv(&stream, &mut [0], RecvFlags::DONTWAIT | RecvFlags::PEEK) {
        Err(Errno::AGAIN) => {}
        Ok((0, _)) => return Err(io::ErrorKind::ConnectionAborted.into()),
        Ok(_) => return Err(stranger(agent)),
        Err(error) => return Err(error.into()),
    }
    stream.shutdown().await?;
    match stream.read(&mut [0]).await? {
        0 => stream.take_error()?.map_or(Ok(()), Err),
        _ => Err(stranger(agent)),
    }
}

fn stranger(address: SocketAddr) -> io::Error {
    let who = format!("whoever listens on {address} answers, as the CloudWatch agent does not");
    io::Error::new(io::ErrorKind::InvalidData, who)
}

async fn in_time<T>(step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(PATIENCE, step).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// An event, and who wants to know what became of it.
type Line = (Vec<u8>, oneshot::Sender<io::Result<()>>);

async fn hand_over(lines: SyncSender<Line>, event: Vec<u8>) -> io::Result<()> {
    let (done, outcome) = oneshot::channel();
    lines.try_send((event, done)).map_err(io::Error::other)?;
    outcome.await.unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()))
}

/// Prints whole lines, however long that takes.
fn print(waiting: &Receiver<Line>) {
    for (event, done) in waiting {
        let mut out = io::stdout().lock();
        let outcome = out.write_all(&event).and_then(|()| out.flush());
        drop(out);
        let _nobody_waits = done.send(outcome).is_err();
    }
}

impl FromStr for Outlet {
    type Err = OutletError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "stdout" {
            return Ok(Self::Stdout);
        }
        let address = text.strip_prefix(SCHEME).and_then(|address| address.parse().ok());
        let address: SocketAddr =
            address.filter(|address: &SocketAddr| address.port() != 0).ok_or(OutletError::Unknown)?;
        if address.ip().to_canonical().is_loopback() {
            Ok(Self::Agent(address))
        } else {
            Err(OutletError::Afar)
        }
    }
}

impl fmt::Display for Outlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("stdout"),
            Self::Agent(address) => write!(f, "{SCHEME}{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::event::{PollFd, PollFlags, Timespec};
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn outlets_are_read_and_shown() {
        for text in ["stdout", "tcp://127.0.0.1:25888", "tcp://[::1]:25888"] {
            assert_eq!(text.parse::<Outlet>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "Stdout",
            "tcp://localhost:25888",
            "udp://127.0.0.1:25888",
            "tcp://127.0.0.1",
            "tcp://127.0.0.1:0",
        ] {
            assert_eq!(text.parse::<Outlet>(), Err(OutletError::Unknown), "{text}");
        }
        assert_eq!("tcp://192.0.2.1:25888".parse::<Outlet>(), Err(OutletError::Afar));
    }

    async fn listener() -> (TcpListener, Deliver) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let deliver = Outlet::Agent(listener.local_addr().unwrap()).open().unwrap();
        (listener, deliver)
    }

    #[tokio::test]
    async fn what_is_taken_to_its_end_has_been_read() {
        let (listener, deliver) = listener().await;
        let mut delivery = deliver(b"event\n".to_vec());
        let mut stream = tokio::select! {
            accepted = listener.accept() => accepted.unwrap().0,
            outcome = &mut delivery => panic!("it has not been read: {outcome:?}"),
        };
        let mut read = Vec::new();
        tokio::select! {
            end = stream.read_to_end(&mut read) => assert_eq!(end.unwrap(), 6),
            outcome = &mut delivery => panic!("it is still being read: {outcome:?}"),
        }
        assert_eq!(read, b"event\n");
        drop(stream);
        delivery.await.unwrap();
    }

    #[tokio::test]
    async fn what_nobody_accepts_has_not_been_read() {
        let (listener, deliver) = listener().await;
        let mut delivery = deliver(b"event\n".to_vec());
        let mut waiting = [PollFd::new(&listener, PollFlags::IN)];
        while rustix::event::poll(&mut waiting, Some(&Timespec::default())).unwrap() == 0 {
            tokio::select! {
                outcome = &mut delivery => panic!("it has not been read: {outcome:?}"),
                () = tokio::task::yield_now() => {}
            }
        }
        drop(listener);
        delivery.await.unwrap_err();
        let refused = deliver(b"event\n".to_vec()).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn a_connection_that_was_only_accepted_has_not_been_read() {
        let (listener, deliver) = listener().await;
        for wait_for_it in [true, false].repeat(50) {
            let accept_and_close = async {
                let (stream, _) = listener.accept().await.unwrap();
                if wait_for_it {
                    assert_eq!(stream.peek(&mut [0]).await.unwrap(), 1);
                }
            };
            let (outcome, ()) = tokio::join!(deliver(b"event\n".to_vec()), accept_and_close);
            outcome.unwrap_err();
        }
    }

    #[tokio::test]
    async fn who_answers_is_no_listener_for_events() {
        let (listener, deliver) = listener().await;
        let delivery = deliver(b"event\n".to_vec());
        let answer = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
            stream
        };
        let (outcome, _stream) = tokio::join!(delivery, answer);
        assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
