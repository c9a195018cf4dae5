//! Stands between the socket and the HTTP library: hands over one checked request at a time, and watches the clocks.
//!
//! ```text
//! Idle ──first byte──▶ Head ──empty line──▶ Body ──last byte──▶ Reply ──reply written──▶ Idle
//! ```
//!
//! Bytes of a later request are kept back until the reply to the earlier one is written, so that while a reply is
//! being made every read is free to find out that the client has gone, even one that has sent requests ahead.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use hyper::rt::{Read, ReadBufCursor, Write};
use rustix::event::{PollFd, PollFlags, Timespec};
use tokio::io::{AsyncReadExt as _, AsyncWrite as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, Interval, MissedTickBehavior, Sleep, sleep_until, timeout};
use tokio_util::io::poll_read_buf;

use super::chunked::Chunks;
use super::head::{self, Framing};
use super::line::Line;
use super::pace::Pace;
use super::refusal::Refusal;
use super::settings::HttpSettings;

/// How much is read ahead of the reply that is being made, in bytes: a hundred pipelined requests of 2 KB.
const MOST_AHEAD: usize = 256 * 1024;
/// How often it is asked whether a peer that is so far ahead is still there.
const GLANCE: Duration = Duration::from_millis(50);
/// Room made for one read of a head, and of a body.
const HEAD_ROOM: usize = 4 * 1024;
const BODY_ROOM: usize = 64 * 1024;

/// The guarded socket.
#[derive(Debug)]
pub(super) struct Guard {
    stream: TcpStream,
    line: Arc<Line>,
    settings: Arc<HttpSettings>,
    /// When the server started: the zero of [`Line::idle_since`].
    epoch: Instant,
    stage: Stage,
    /// What has been read and not been handed over yet.
    input: BytesMut,
    /// How much of it has been checked, and may be handed over.
    checked: usize,
    /// Set once, when a request cannot be received and nobody else will say so.
    refusal: Option<Refusal>,
    /// The peer, or its patience with us, is gone: nothing can be said any more.
    gone: bool,
    /// Present while the peer does not take what we write.
    blocked: Option<Pace>,
    timer: Pin<Box<Sleep>>,
    /// Present once [`MOST_AHEAD`] was reached.
    glances: Option<Interval>,
}

#[derive(Debug)]
enum Stage {
    Idle {
        until: Instant,
    },
    Head {
        until: Instant,
        searched: usize,
    },
    Body {
        rest: Rest,
        until: Instant,
        pace: Pace,
    },
    /// The body so far has been checked; what follows it is refused.
    Broken(Refusal),
    Reply,
    Over,
}

/// What is still to come of a body.
#[derive(Debug)]
enum Rest {
    Length(u64),
    Chunks(Chunks),
}

impl Guard {
    pub(super) fn new(
        stream: TcpStream,
        line: Arc<Line>,
        settings: Arc<HttpSettings>,
        epoch: Instant,
    ) -> Self {
        let until = Instant::now() + settings.idle;
        Self {
            stream,
            line,
            settings,
            epoch,
            stage: Stage::Idle { until },
            input: BytesMut::new(),
            checked: 0,
            refusal: None,
            gone: false,
            blocked: None,
            timer: Box::pin(sleep_until(until)),
            glances: None,
        }
    }

    /// Ends the conversation so that our last words arrive: says the refusal that nobody has said yet, closes our
    /// half, and reads on for a moment, because closing a socket with unread bytes in it throws away what we sent.
    pub(super) async fn finish(mut self, last_words: impl FnOnce(Refusal) -> Vec<u8>) {
        if self.gone {
            return;
        }
        if let Some(refusal) = self.refusal {
            let words = last_words(refusal);
            if !matches!(timeout(self.settings.write_window, self.stream.write_all(&words)).await, Ok(Ok(())))
            {
                return;
            }
        }
        if self.stream.shutdown().await.is_err() {
            return;
        }
        let mut waste = vec![0; 4096];
        let drain = async { while self.stream.read(&mut waste).await.is_ok_and(|bytes| bytes > 0) {} };
        let _in_time = timeout(self.settings.linger, drain).await.is_ok();
    }

    /// Looks at what has been read; afterwards something is checked, or more must be read.
    fn look(&mut self) -> Result<(), Refusal> {
        if let Stage::Idle { .. } = self.stage
            && !self.input.is_empty()
        {
            self.stage = Stage::Head { until: Instant::now() + self.settings.head, searched: 0 };
        }
        if let Stage::Head { searched, .. } = &mut self.stage {
            let Some(end) = head::end(&self.input, *searched, &self.settings)? else {
                *searched = self.input.len();
                return Ok(());
            };
            let framing = head::check(&self.input[..end], &self.settings)?;
            self.checked = end;
            self.line.begin();
            self.stage = self.receive(framing);
        }
        if let Stage::Body { rest, pace, .. } = &mut self.stage {
            let fresh = &self.input[self.checked..];
            match rest.advance(fresh, self.settings.body_bytes as u64) {
                Ok((taken, over)) => {
                    pace.add(taken);
                    self.line.traffic.received.inc_by(taken as u64);
                    self.checked += taken;
                    if over {
                        self.stage = Stage::Reply;
                    }
                }
                Err(refusal) => self.stage = Stage::Broken(refusal),
            }
        }
        Ok(())
    }

    fn receive(&self, framing: Framing) -> Stage {
        let rest = match framing {
            Framing::Length(0) => return Stage::Reply,
            Framing::Length(length) => Rest::Length(length),
            Framing::Chunked => Rest::Chunks(Chunks::new()),
        };
        let pace = Pace::start(self.settings.body_window, self.settings.slowest);
        Stage::Body { rest, until: Instant::now() + self.settings.body, pace }
    }

    /// Refuses: in a body through the reader of the body, who will answer; before it through our last words.
    fn refuse(&mut self, refusal: Refusal) -> io::Result<()> {
        let in_body = matches!(self.stage, Stage::Body { .. } | Stage::Broken(_));
        self.stage = Stage::Over;
        if in_body {
            return Err(io::Error::other(refusal));
        }
        self.refusal = Some(refusal);
        Ok(())
    }

    /// Reads some more from the socket. Room is made when there is something to read, because most connections wait
    /// most of the time, for their peer or for a reply.
    fn fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
        ready!(self.stream.poll_read_ready(context))?;
        self.input.reserve(if matches!(self.stage, Stage::Body { .. }) { BODY_ROOM } else { HEAD_ROOM });
        // Unlike `try_read_buf`, this takes a room that was not filled to mean that there is no more.
        poll_read_buf(Pin::new(&mut self.stream), context, &mut self.input)
    }

    /// Ready when the peer has left, for when nothing more is read that would tell. Readiness cannot be waited for: the
    /// socket is readable all the while. A peer whose end stands behind bytes that find no room is not seen leaving.
    fn poll_departure(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let glances = self.glances.get_or_insert_with(|| {
            let mut glances = tokio::time::interval(GLANCE);
            // What was missed while nobody asked is not made up for.
            glances.set_missed_tick_behavior(MissedTickBehavior::Delay);
            glances
        });
        loop {
            let mut socket = [PollFd::new(&self.stream, PollFlags::RDHUP)];
            // Errors and hang-ups are told unasked.
            if rustix::event::poll(&mut socket, Some(&Timespec::default())).is_ok_and(|events| events > 0) {
                return Poll::Ready(());
            }
            ready!(glances.poll_tick(context));
        }
    }

    /// When patience ends next.
    fn due(&self) -> Option<Instant> {
        let stage = match &self.stage {
            Stage::Idle { until } | Stage::Head { until, .. } => Some(*until),
            Stage::Body { until, pace, .. } => Some(pace.end().min(*until)),
            Stage::Broken(_) | Stage::Reply | Stage::Over => None,
        };
        let blocked = self.blocked.as_ref().map(Pace::end);
        stage.into_iter().chain(blocked).min()
    }

    /// Ready when patience has ended. The timer is only ever moved when it is due or too late, so that an ordinary
    /// request moves it not at all.
    fn poll_clock(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while let Some(due) = self.due() {
            if due < self.timer.deadline() {
                self.timer.as_mut().reset(due);
            }
            ready!(self.timer.as_mut().poll(context));
            if due <= Instant::now() {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(due);
        }
        Poll::Pending
    }

    /// What the end of patience means; `Ok` means that the conversation goes on, or ends by [`Stage::Over`].
    fn strike(&mut self) -> io::Result<()> {
        let now = Instant::now();
        if let Some(pace) = &mut self.blocked
            && pace.end() <= now
            && !pace.holds()
        {
            self.gone = true;
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the peer does not read its reply"));
        }
        match &mut self.stage {
            Stage::Idle { until } if *until <= now => self.stage = Stage::Over,
            Stage::Head { until, .. } if *until <= now => return self.refuse(Refusal::Slow),
            Stage::Body { until, pace, .. } => {
                let in_time = *until > now && (pace.end() > now || pace.holds());
                if !in_time {
                    return self.refuse(Refusal::Slow);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The socket has nothing more to give, or broke.
    fn end_of_input(&mut self, outcome: io::Result<usize>) -> io::Result<()> {
        self.gone = true;
        let in_body = matches!(self.stage, Stage::Body { .. });
        self.stage = Stage::Over;
        match outcome {
            Ok(_) if in_body => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Notes what a write has moved, or that it could not move anything.
    fn wrote(
        &mut self,
        context: &mut Context<'_>,
        outcome: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match outcome {
            Poll::Pending => {
                let (window, slowest) = (self.settings.write_window, self.settings.slowest);
                self.blocked.get_or_insert_with(|| Pace::start(window, slowest));
                while self.poll_clock(context).is_ready() {
                    self.strike()?;
                }
            }
            Poll::Ready(Ok(bytes)) => {
                if let Some(pace) = &mut self.blocked {
                    pace.add(bytes);
                }
            }
            Poll::Ready(Err(_)) => self.gone = true,
        }
        outcome
    }
}

impl Rest {
    /// How much of `input` belongs to the body, and whether that completes it.
    fn advance(&mut self, input: &[u8], most: u64) -> Result<(usize, bool), Refusal> {
        match self {
            Self::Length(length) => {
                let taken = usize::try_from(*length).unwrap_or(usize::MAX).min(input.len());
                *length -= taken as u64;
                Ok((taken, *length == 0))
            }
            Self::Chunks(chunks) => chunks.advance(input, most).map(|taken| (taken, chunks.is_over())),
        }
    }
}

impl Read for Guard {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let guard = self.get_mut();
        loop {
            if guard.checked > 0 {
                let bytes = guard.checked.min(buffer.remaining());
                buffer.put_slice(&guard.input[..bytes]);
                guard.input.advance(bytes);
                guard.checked -= bytes;
                return Poll::Ready(Ok(()));
            }
            match guard.look() {
                Ok(()) if guard.checked > 0 => continue,
                Ok(()) => {}
                Err(refusal) => guard.refuse(refusal)?,
            }
            match guard.stage {
                Stage::Broken(refusal) => guard.refuse(refusal)?,
                Stage::Over => return Poll::Ready(Ok(())),
                _ => {}
            }
            if let Stage::Reply = guard.stage
                && guard.input.len() >= MOST_AHEAD
            {
                ready!(guard.poll_departure(context));
                return Poll::Ready(guard.end_of_input(Ok(0)));
            }
            match guard.fill(context) {
                Poll::Ready(Ok(bytes)) if bytes > 0 => {}
                Poll::Ready(outcome) => return Poll::Ready(guard.end_of_input(outcome)),
                Poll::Pending => {
                    // Asked to leave: the socket was empty just now, so no request is lost by it.
                    if let Stage::Idle { .. } = guard.stage
                        && guard.line.is_leaving()
                    {
                        guard.stage = Stage::Over;
                        return Poll::Ready(Ok(()));
                    }
                    ready!(guard.poll_clock(context));
                    guard.strike()?;
                }
            }
        }
    }
}

impl Write for Guard {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let guard = self.get_mut();
        let outcome = Pin::new(&mut guard.stream).poll_write(context, bytes);
        guard.wrote(context, outcome)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let guard = self.get_mut();
        let outcome = Pin::new(&mut guard.stream).poll_write_vectored(context, pieces);
        guard.wrote(context, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// The HTTP library flushes when it has written all it has: the moment in which a reply is complete.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let guard = self.get_mut();
        guard.blocked = None;
        if let Stage::Reply = guard.stage
            && guard.line.take_answered()
        {
            let now = Instant::now();
            guard.stage = Stage::Idle { until: now + guard.settings.idle };
            let elapsed = now.duration_since(guard.epoch).as_millis();
            guard.line.rest(u64::try_from(elapsed).unwrap_or(u64::MAX));
            // The library waits for the socket to wake it before it reads again. That is not enough when the next
            // request is here already, nor for the clock of the idle time that begins now.
            if !guard.input.is_empty() || guard.line.is_leaving() || guard.poll_clock(context).is_ready() {
                context.waker().wake_by_ref();
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
