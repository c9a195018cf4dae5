//! `SIOCETHTOOL`, which nothing wraps safely: what a network driver counts is told by this call alone.

#![expect(unsafe_code, reason = "the kernel has no other interface to a driver's own counters")]

use std::ffi::c_char;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixDatagram;
use std::ptr::NonNull;

/// The request, from `linux/sockios.h`.
const SIOCETHTOOL: libc::Ioctl = 0x8946;

/// Bytes of a page where pages are largest; it is a multiple of all others.
const LARGEST_PAGE: usize = 64 * 1024;

/// Memory for a question and its answer. How much the kernel writes depends on how many counters the driver has when it
/// writes, not on how many it was told there is room for. It writes from front to back, and the page behind this memory
/// is nobody's: an answer that is too long fails there.
#[derive(Debug)]
pub(super) struct Room {
    start: NonNull<u8>,
    usable: usize,
    mapped: usize,
}

impl Room {
    /// Zeroed room for at least so many bytes.
    pub(super) fn new(bytes: usize) -> io::Result<Self> {
        let usable = bytes.max(1).next_multiple_of(LARGEST_PAGE);
        let mapped = usable + LARGEST_PAGE;
        let (access, kind) = (libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping where the kernel likes; no memory that is in use is touched.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), mapped, access, kind, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let Some(start) = NonNull::new(start.cast()) else { return Err(io::ErrorKind::OutOfMemory.into()) };
        let room = Self { start, usable, mapped };
        // SAFETY: these pages are the front of the mapping just made, which nobody else knows.
        let opened =
            unsafe { libc::mprotect(start.as_ptr().cast(), usable, libc::PROT_READ | libc::PROT_WRITE) };
        if opened == 0 { Ok(room) } else { Err(io::Error::last_os_error()) }
    }

    /// What it holds.
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: so many bytes are mapped, readable and initialized (anonymous memory is zero) while `self` lives, and
        // only a method that borrows `self` mutably has them written to.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.usable) }
    }

    /// The same, to write to.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `bytes`; that `self` is borrowed mutably makes this the only reference.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.usable) }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // SAFETY: the whole mapping, of which no reference outlives `self`.
        let _cannot_fail = unsafe { libc::munmap(self.start.as_ptr().cast(), self.mapped) };
    }
}

/// Puts the question in `room` to the driver of `interface`, whose answer replaces it.
pub(super) fn ask(interface: &str, room: &mut Room) -> io::Result<()> {
    let mut name: [c_char; libc::IFNAMSIZ] = [0; libc::IFNAMSIZ];
    // The last byte stays zero.
    if interface.is_empty() || interface.len() >= name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (into, byte) in name.iter_mut().zip(interface.bytes()) {
        *into = byte.cast_signed() as c_char;
    }
    let data = room.bytes_mut().as_mut_ptr().cast::<c_char>();
    let mut request =
        libc::ifreq { ifr_name: name, ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_data: data } };
    // Any socket will do; this kind needs no address, and a unit that restricts families allows it.
    let socket = UnixDatagram::unbound()?;
    // SAFETY: the request outlives the call, its name ends in a zero, and its data is the room, which is borrowed mutably
    // and which the kernel cannot write beyond.
    let answer = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_as_large_as_asked_for_and_its_own() {
        for bytes in [0, 1, LARGEST_PAGE, LARGEST_PAGE + 1] {
            let mut room = Room::new(bytes).unwrap();
            assert!(room.bytes().len() >= bytes.max(1));
            assert!(room.bytes().iter().all(|byte| *byte == 0));
            room.bytes_mut().fill(7);
            assert!(room.bytes().iter().all(|byte| *byte == 7));
        }
    }

    #[test]
    fn what_is_no_interface_is_refused() {
        let mut room = Room::new(64).unwrap();
        for name in ["", "a name that is far too long", "none-such"] {
            ask(name, &mut room).unwrap_err();
        }
    }
}
