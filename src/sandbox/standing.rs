//! The seam between "a jail stands ready" and "this job starts in it".
//!
//! A [`StandingJail`] is every wall and no job; starting a job in it consumes it, and gives a [`RunningJail`], which
//! kills all it holds when it is dropped. Whatever else can stand ready one day (a compiler already warm inside its
//! jail) takes the place of the first type, and the second need not know.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use bytes::{Buf, Bytes};
use rustix::process::{Signal, pidfd_send_signal};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::sandbox::capture::Capture;
use crate::sandbox::jail::protocol::{self, JailEnds, RECORD, RLIMITS, Record};
use crate::sandbox::jail::sys;
use crate::sandbox::never_mind;
use crate::sandbox::spec::Job;

/// A jail that waits for a job.
#[derive(Debug)]
pub(super) struct StandingJail {
    /// Names its cgroup.
    pub(super) serial: u64,
    ends: JailEnds<OwnedFd>,
}

/// Kills a jail's first process, and with it all others, when dropped.
#[derive(Debug)]
pub(super) struct Leash(AsyncFd<OwnedFd>);

impl Leash {
    /// Kills now. A jail that has ended already is no error.
    pub(super) fn kill(&self) {
        never_mind(pidfd_send_signal(self.0.as_fd(), Signal::KILL));
    }

    /// Waits until every process is gone: the first of a process namespace ends last.
    pub(super) async fn gone(&self) -> io::Result<()> {
        self.0.readable().await.map(drop)
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A job in its jail.
#[derive(Debug)]
pub(super) struct RunningJail {
    pub(super) leash: Leash,
    pub(super) control: Control,
    pub(super) stdin: Feed,
    pub(super) stdout: Capture,
    pub(super) stderr: Capture,
    pub(super) directory: OwnedFd,
    pub(super) tmp: OwnedFd,
}

impl StandingJail {
    pub(super) fn new(serial: u64, ends: JailEnds<OwnedFd>) -> Self {
        Self { serial, ends }
    }

    /// Sends the job off, as far as it goes without waiting.
    pub(super) fn start(self, job: &Job, limits: &[u64; RLIMITS]) -> io::Result<RunningJail> {
        let JailEnds { control, process, directory, tmp, stdin, stdout, stderr } = self.ends;
        let start = Bytes::from(protocol::encode_start(job, limits));
        let control = Control { order: Feed::new(control, start)?, heard: Vec::with_capacity(RECORD) };
        Ok(RunningJail {
            leash: Leash(sys::watch(process, Interest::READABLE)?),
            control,
            stdin: Feed::new(stdin, job.stdin.clone())?.closing(),
            stdout: Capture::new(stdout, job.limits.output)?,
            stderr: Capture::new(stderr, job.limits.output)?,
            directory,
            tmp,
        })
    }
}

/// Bytes on their way into a descriptor.
#[derive(Debug)]
pub(super) struct Feed {
    to: Option<AsyncFd<OwnedFd>>,
    rest: Bytes,
    close: bool,
}

impl Feed {
    /// Writes what fits at once.
    pub(super) fn new(to: OwnedFd, mut rest: Bytes) -> io::Result<Self> {
        write_some(&to, &mut rest)?;
        Ok(Self { to: Some(sys::watch(to, Interest::READABLE | Interest::WRITABLE)?), rest, close: false })
    }

    /// Closes the descriptor when all is written.
    pub(super) fn closing(mut self) -> Self {
        self.close = true;
        if self.rest.is_empty() {
            self.to = None;
        }
        self
    }

    pub(super) fn pending(&self) -> bool {
        self.to.is_some() && !self.rest.is_empty()
    }

    /// Writes more once it fits. Cancel-safe. A reader that went away wants no more.
    pub(super) async fn push(&mut self) -> io::Result<()> {
        if let Some(to) = &self.to {
            let mut ready = to.writable().await?;
            let rest = &mut self.rest;
            if let Ok(written) = ready.try_io(|to| {
                let before = rest.len();
                write_some(to.get_ref(), rest)?;
                if rest.len() == before && before > 0 {
                    Err(io::ErrorKind::WouldBlock.into())
                } else {
                    Ok(())
                }
            }) {
                written?;
            }
        }
        if self.close && self.rest.is_empty() {
            self.to = None;
        }
        Ok(())
    }
}

fn write_some(to: &OwnedFd, rest: &mut Bytes) -> io::Result<()> {
    use rustix::io::Errno;
    while !rest.is_empty() {
        match rustix::io::write(to, rest) {
            Ok(written) => rest.advance(written),
            Err(Errno::AGAIN) => break,
            Err(Errno::INTR) => {}
            Err(Errno::PIPE | Errno::CONNRESET) => rest.clear(),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// A jail's own socket: the job goes in, records come out.
#[derive(Debug)]
pub(super) struct Control {
    /// The job on its way in.
    order: Feed,
    heard: Vec<u8>,
}

impl Control {
    /// The next record, once the job is wholly sent. Cancel-safe.
    pub(super) async fn record(&mut self) -> io::Result<Record> {
        while self.order.pending() {
            self.order.push().await?;
        }
        loop {
            if let Some(record) = self.parse()? {
                return Ok(record);
            }
            let Some(socket) = &self.order.to else { return Err(io::ErrorKind::UnexpectedEof.into()) };
            let mut ready = socket.readable().await?;
            let heard = &mut self.heard;
            if let Ok(got) = ready.try_io(|socket| read_some(socket.get_ref(), heard))
                && got? == 0
            {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// The next record among those that have arrived, when no more can.
    pub(super) fn last(&mut self) -> io::Result<Option<Record>> {
        if let Some(socket) = &self.order.to {
            match read_some(socket.get_ref(), &mut self.heard) {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
        }
        self.parse()
    }

    fn parse(&mut self) -> io::Result<Option<Record>> {
        let Some(bytes) = self.heard.first_chunk::<RECORD>() else { return Ok(None) };
        let record = Record::decode(bytes).ok_or(io::ErrorKind::InvalidData)?;
        self.heard.drain(..RECORD);
        Ok(Some(record))
    }

    /// The socket itself, which is the lease on the jail.
    pub(super) fn into_lease(self) -> Option<OwnedFd> {
        self.order.to.map(AsyncFd::into_inner)
    }
}

fn read_some(socket: &OwnedFd, heard: &mut Vec<u8>) -> io::Result<usize> {
    heard.reserve(4 * RECORD);
    Ok(rustix::io::read(socket, rustix::buffer::spare_capacity(heard))?)
}
