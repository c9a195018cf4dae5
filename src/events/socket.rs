//! One connection from its handshake to its end, the same on both sides: reading, writing, and noticing silence.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures_util::SinkExt as _;
use futures_util::stream::{SplitSink, StreamExt as _};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message, Utf8Bytes};

use crate::events::frames::frames;
use crate::events::line::Feed;

/// Read and write buffers of one connection, in bytes: most texts are short, and there may be thousands of connections.
const BUFFER: usize = 8 * 1024;
/// How long the other side has to answer a close.
const CLOSE_GRACE: Duration = Duration::from_secs(2);
/// Bytes read and thrown away after a refused message, so that the refusal is not lost in a reset.
const MOST_DISCARDED: u64 = 128 * 1024 * 1024;

/// What holds on one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rules {
    /// Largest message read, in bytes; a larger one ends the connection with code 1009.
    pub(super) largest_message: usize,
    /// Largest frame read, in bytes; likewise.
    pub(super) largest_frame: usize,
    /// Largest frame written, in bytes; longer texts are fragmented.
    pub(super) fragment: usize,
    /// After this long without a byte from the other side, it is pinged. Any byte is a sign of life: to a side that
    /// does not hear us, TCP soon sends nothing more.
    pub(super) quiet: Duration,
    /// Without a byte for this long after the ping, the connection is dead.
    pub(super) pong: Duration,
    /// One text that takes longer to write means that the other side does not read.
    pub(super) stall: Duration,
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// With a close, by either side; some send no code.
    Closed(Option<CloseCode>),
    /// No pong in time: the other side, or the way to it, is gone.
    Silent,
    /// The other side does not read what we write.
    Stalled,
    /// The other side sent more than we take.
    Oversized,
    /// The transport, or the protocol on it, failed.
    Broken(String),
}

impl Rules {
    /// The same in the library's words.
    pub(super) fn config(&self) -> WebSocketConfig {
        WebSocketConfig::default()
            .read_buffer_size(BUFFER)
            .write_buffer_size(BUFFER)
            .max_message_size(Some(self.largest_message))
            .max_frame_size(Some(self.largest_frame))
    }
}

impl End {
    fn of(error: Error) -> Self {
        match error {
            Error::ConnectionClosed | Error::AlreadyClosed => Self::Closed(None),
            Error::Capacity(_) => Self::Oversized,
            other => Self::Broken(other.to_string()),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(Some(code)) => write!(f, "closed with code {}", u16::from(*code)),
            Self::Closed(None) => f.write_str("closed without a code"),
            Self::Silent => f.write_str("no pong in time"),
            Self::Stalled => f.write_str("the other side does not read"),
            Self::Oversized => f.write_str("the other side sent too large a message"),
            Self::Broken(why) => f.write_str(why),
        }
    }
}

/// Lives one connection: writes what `feed` yields and gives every text to `hear`, until either side ends it. Closes
/// with the code that `leave` yields.
pub(super) async fn live<S>(
    socket: WebSocketStream<S>,
    mut feed: Feed,
    rules: Rules,
    mut hear: impl FnMut(Utf8Bytes),
    leave: impl Future<Output = CloseCode>,
) -> End
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut writer, mut reader) = socket.split();
    let (pinging, pings) = watch::channel(());
    let end = {
        let mut writing = pin!(write(&mut writer, &mut feed, rules, pings, leave));
        let mut pinged = false;
        let mut due = Instant::now() + rules.quiet;
        loop {
            tokio::select! {
                message = reader.next() => {
                    (pinged, due) = (false, Instant::now() + rules.quiet);
                    match message {
                        Some(Ok(Message::Text(text))) => hear(text),
                        // Answered like any other text that nobody agreed on.
                        Some(Ok(Message::Binary(_))) => hear(Utf8Bytes::from_static("")),
                        Some(Ok(Message::Close(frame))) => break End::Closed(frame.map(|frame| frame.code)),
                        Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                        Some(Err(error)) => break End::of(error),
                        None => break End::Closed(None),
                    }
                }
                end = &mut writing => break end,
                () = sleep_until(due) => {
                    if pinged {
                        break End::Silent;
                    }
                    pinging.send_replace(());
                    (pinged, due) = (true, Instant::now() + rules.pong);
                }
            }
        }
    };
    // What the library still has to say by itself: the answer to a close, and our refusal.
    if let Ok(mut socket) = reader.reunite(writer) {
        if end == End::Oversized {
            let _in_time = timeout(CLOSE_GRACE, refuse(&mut socket)).await.is_ok();
        } else if matches!(end, End::Closed(_)) {
            let _in_time = timeout(CLOSE_GRACE, socket.flush()).await.is_ok();
        }
    }
    end
}

/// Writes texts, pings and in the end the close. Ends by itself only when that has gone unanswered, or writing failed.
async fn write<S>(
    writer: &mut SplitSink<WebSocketStream<S>, Message>,
    feed: &mut Feed,
    rules: Rules,
    mut pings: watch::Receiver<()>,
    leave: impl Future<Output = CloseCode>,
) -> End
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut leave = pin!(leave);
    let (code, until) = loop {
        let next = tokio::select! {
            Some(text) = feed.next() => Some(text),
            Ok(()) = pings.changed() => None,
            code = &mut leave => break (code, Instant::now() + CLOSE_GRACE),
        };
        let sending = async {
            match next {
                Some(text) => send(writer, text, rules.fragment, !feed.is_empty()).await,
                None => writer.send(Message::Ping(Bytes::new())).await,
            }
        };
        let mut sending = pin!(timeout(rules.stall, sending));
        let (sent, left) = tokio::select! {
            biased;
            sent = &mut sending => (sent, None),
            // What is under way is said to its end, if the other side takes it.
            code = &mut leave => {
                let until = Instant::now() + CLOSE_GRACE;
                match timeout_at(until, sending).await {
                    Ok(sent) => (sent, Some((code, until))),
                    Err(_) => return End::Stalled,
                }
            }
        };
        match sent {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return End::of(error),
            Err(_) => return End::Stalled,
        }
        if let Some(left) = left {
            break left;
        }
    };
    match timeout_at(until, part(writer, feed, rules.fragment, code)).await {
        Ok(Ok(())) => {
            // The reader hears the answer, and ends us.
            sleep(CLOSE_GRACE).await;
            End::Closed(Some(code))
        }
        Ok(Err(error)) => End::of(error),
        Err(_) => End::Stalled,
    }
}

/// Writes what waits, and then the close: what is not said now, such as a receipt, is never said.
async fn part<S>(
    writer: &mut SplitSink<WebSocketStream<S>, Message>,
    feed: &mut Feed,
    fragment: usize,
    code: CloseCode,
) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    while !feed.is_empty()
        && let Some(text) = feed.next().await
    {
        send(writer, text, fragment, true).await?;
    }
    writer.send(Message::Close(Some(CloseFrame { code, reason: Utf8Bytes::default() }))).await
}

/// Writes one text. Without `more` to come, it leaves at once; otherwise, the next one takes it along.
async fn send<S>(
    writer: &mut SplitSink<WebSocketStream<S>, Message>,
    text: Utf8Bytes,
    fragment: usize,
    more: bool,
) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    for frame in frames(text, fragment) {
        writer.feed(frame).await?;
    }
    if more { Ok(()) } else { writer.flush().await }
}

/// Closes with 1009, and reads away what is still under way: a socket closed on unread bytes is reset, and the code
/// would be lost with it.
async fn refuse<S>(socket: &mut WebSocketStream<S>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let frame = CloseFrame { code: CloseCode::Size, reason: Utf8Bytes::default() };
    if socket.send(Message::Close(Some(frame))).await.is_ok() {
        let mut rest = socket.get_mut().take(MOST_DISCARDED);
        let _gone = tokio::io::copy(&mut rest, &mut tokio::io::sink()).await.is_err();
    }
}
