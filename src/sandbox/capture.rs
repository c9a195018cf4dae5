//! Reading what a job prints, up to a cap that counts bytes.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::sandbox::jail::sys;
use crate::sandbox::spec::Captured;

/// Least room for a read. Most jobs print little, and the first touch of a page is dear; the room of a stream that goes
/// on doubles.
const LEAST_ROOM: usize = 4 * 1024;

/// One of a job's output streams.
#[derive(Debug)]
pub(super) struct Capture {
    pipe: Option<AsyncFd<OwnedFd>>,
    kept: Captured,
    cap: usize,
}

/// What one look at a stream found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// More, and room for it.
    Some,
    /// More than is kept.
    TooMuch,
    /// Its end.
    End,
}

impl Capture {
    pub(super) fn new(pipe: OwnedFd, cap: u64) -> io::Result<Self> {
        let pipe = sys::watch(pipe, Interest::READABLE)?;
        Ok(Self {
            pipe: Some(pipe),
            kept: Captured::default(),
            cap: usize::try_from(cap).unwrap_or(usize::MAX),
        })
    }

    pub(super) fn open(&self) -> bool {
        self.pipe.is_some()
    }

    /// Waits for something to read, and reads it. Cancel-safe: nothing read is lost.
    pub(super) async fn hear(&mut self) -> io::Result<Heard> {
        loop {
            let Some(pipe) = &self.pipe else { return Ok(Heard::End) };
            let mut ready = pipe.readable().await?;
            let kept = &mut self.kept;
            match ready.try_io(|pipe| read_some(pipe.get_ref(), kept, self.cap)) {
                Ok(heard) => {
                    let heard = heard?;
                    if heard == Heard::End {
                        self.pipe = None;
                    }
                    return Ok(heard);
                }
                Err(_would_block) => {}
            }
        }
    }

    /// Reads what waits in the pipe without waiting for more, when everyone who could write is dead.
    pub(super) fn drain(&mut self) -> io::Result<Heard> {
        while let Some(pipe) = &self.pipe {
            match read_some(pipe.get_ref(), &mut self.kept, self.cap) {
                Ok(Heard::Some) => {}
                Ok(heard) => {
                    self.pipe = None;
                    return Ok(heard);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.pipe = None,
                Err(error) => return Err(error),
            }
        }
        Ok(Heard::End)
    }

    pub(super) fn finish(self) -> Captured {
        self.kept
    }
}

fn read_some(pipe: &OwnedFd, kept: &mut Captured, cap: usize) -> io::Result<Heard> {
    if kept.bytes.spare_capacity_mut().len() < LEAST_ROOM {
        kept.bytes.reserve(LEAST_ROOM);
    }
    let room = cap.saturating_sub(kept.bytes.len());
    let before = kept.bytes.len();
    let got = rustix::io::read(pipe, rustix::buffer::spare_capacity(&mut kept.bytes))?;
    if got == 0 {
        return Ok(Heard::End);
    }
    if got > room {
        kept.bytes.truncate(before + room);
        kept.truncated = true;
        return Ok(Heard::TooMuch);
    }
    Ok(Heard::Some)
}
