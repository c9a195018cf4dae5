//! What a compiler's executable is now, asked for without making an async thread wait.
//!
//! Compilers may lie on network file systems, where a `stat` takes as long as the server likes and cannot be
//! interrupted. So an async thread asks only what the kernel can answer from memory, and only of file systems whose
//! memory is the truth: local ones. Whatever else is to be known, a blocking thread looks up, under a deadline; one at
//! a time for each compiler, and so many for each file system as [`place`] says. What it found on any other than a local
//! one holds for [`VALIDITY`].

mod place;

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::fs::{AtFlags, CWD, FsWord, Mode, OFlags, ResolveFlags, StatxFlags};
use tokio::time::{Instant, timeout};

use crate::lifecycle;

/// How long an executable on a file system that is not local is taken for what it last was.
pub const VALIDITY: Duration = Duration::from_secs(1);
/// How long a file system may take to answer. A busy network one takes tens of milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);
/// A name for the file, and no more: nothing is opened that could react to it.
const LOOK: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// File systems that answer from memory or a disk of this machine; ext2 to ext4 share a number. An overlay is one: what
/// is replaced through it, it knows, and what changes in a layer below it is undefined for everybody.
const LOCAL: [FsWord; 6] = [
    libc::EXT4_SUPER_MAGIC,
    libc::XFS_SUPER_MAGIC,
    libc::BTRFS_SUPER_MAGIC,
    libc::TMPFS_MAGIC,
    libc::F2FS_SUPER_MAGIC,
    libc::OVERLAYFS_SUPER_MAGIC,
];

/// The identity of an executable: it changes when the compiler is replaced, and then so does what it says.
///
/// The path counts too, because `g++` and `gcc` may be one file that looks at what it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Toolchain {
    path: [u8; 32],
    device: [u32; 2],
    inode: u64,
    size: u64,
    modified: (i64, u32),
}

/// What was last seen of one executable.
#[derive(Debug, Default)]
pub(super) struct Sight {
    state: Arc<Mutex<State>>,
    /// Held by the thread that looks.
    turn: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Default)]
struct State {
    seen: Option<Seen>,
    /// Since when a thread has been looking.
    looking: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    toolchain: Toolchain,
    local: bool,
    /// When the look began.
    at: Instant,
}

impl Toolchain {
    /// The identity as bytes, for a digest.
    pub fn to_bytes(self) -> [u8; 68] {
        let (major, minor) = (u64::from(self.device[0]), u64::from(self.device[1]));
        let numbers = [major << 32 | minor, self.inode, self.size, self.modified.0.cast_unsigned()];
        let mut bytes = [0; 68];
        let (path, rest) = bytes.split_at_mut(32);
        path.copy_from_slice(&self.path);
        let (places, nanoseconds) = rest.as_chunks_mut::<8>();
        for (place, number) in places.iter_mut().zip(numbers) {
            *place = number.to_le_bytes();
        }
        nanoseconds.copy_from_slice(&self.modified.1.to_le_bytes());
        bytes
    }

    /// What the open file `exe` is.
    fn of(exe: &Path, file: &OwnedFd, how: AtFlags) -> rustix::io::Result<Self> {
        let what = StatxFlags::INO | StatxFlags::SIZE | StatxFlags::MTIME;
        let told = rustix::fs::statx(file, c"", how | AtFlags::EMPTY_PATH, what)?;
        Ok(Self {
            path: *blake3::hash(exe.as_os_str().as_encoded_bytes()).as_bytes(),
            device: [told.stx_dev_major, told.stx_dev_minor],
            inode: told.stx_ino,
            size: told.stx_size,
            modified: (told.stx_mtime.tv_sec, told.stx_mtime.tv_nsec),
        })
    }
}

impl Sight {
    /// What `exe` is now.
    pub(super) async fn toolchain(&self, exe: &Path) -> io::Result<Toolchain> {
        match self.known(exe) {
            Some(toolchain) => Ok(toolchain),
            None => self.look(exe).await,
        }
    }

    /// What `exe` was at some moment after `since`.
    pub(super) async fn toolchain_since(&self, exe: &Path, since: Instant) -> io::Result<Toolchain> {
        let current = state(&self.state).seen.is_some_and(|seen| seen.local || seen.at >= since);
        match self.known(exe).filter(|_| current) {
            Some(toolchain) => Ok(toolchain),
            None => self.look(exe).await,
        }
    }

    /// What can be told without waiting.
    fn known(&self, exe: &Path) -> Option<Toolchain> {
        let seen = state(&self.state).seen?;
        if !seen.local {
            return (seen.at.elapsed() < VALIDITY).then_some(seen.toolchain);
        }
        let now = glance(exe).ok()?;
        // Where something was mounted in its place, nothing is known of that.
        (now.device == seen.toolchain.device).then_some(now)
    }

    /// Has a thread look, or waits for one that does.
    async fn look(&self, exe: &Path) -> io::Result<Toolchain> {
        let asked = Instant::now();
        // Who waits any longer is waiting for something that has failed others already.
        if state(&self.state).looking.is_some_and(|since| since.elapsed() >= PATIENCE) {
            return Err(silent());
        }
        let looked = async {
            let turn = Arc::clone(&self.turn).lock_owned().await;
            let last = state(&self.state).seen;
            if let Some(seen) = last
                && seen.at >= asked
            {
                return Ok(seen.toolchain);
            }
            let leave = place::enter(exe, last).await;
            let (shared, exe) = (Arc::clone(&self.state), exe.to_owned());
            let thread = lifecycle::blocking("look at compiler", move || {
                state(&shared).looking = Some(Instant::now());
                let seen = see(&exe);
                *state(&shared) = State { seen: seen.as_ref().ok().copied(), looking: None };
                drop((turn, leave));
                seen
            });
            Ok(thread.await.map_err(io::Error::other)??.toolchain)
        };
        timeout(PATIENCE, looked).await.unwrap_or_else(|_| Err(silent()))
    }
}

/// What the kernel knows without asking anybody; an error where it would have to wait.
fn glance(exe: &Path) -> rustix::io::Result<Toolchain> {
    let file = rustix::fs::openat2(CWD, exe, LOOK, Mode::empty(), ResolveFlags::CACHED)?;
    Toolchain::of(exe, &file, AtFlags::STATX_DONT_SYNC)
}

/// Looks, however long it takes.
fn see(exe: &Path) -> io::Result<Seen> {
    let at = Instant::now();
    let file = rustix::fs::open(exe, LOOK, Mode::empty())?;
    let toolchain = Toolchain::of(exe, &file, AtFlags::empty())?;
    let local = LOCAL.contains(&rustix::fs::fstatfs(&file)?.f_type);
    Ok(Seen { toolchain, local, at })
}

fn state(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn silent() -> io::Error {
    io::Error::new(
        io::ErrorKind::TimedOut,
        format!("the file system has not answered within {} s", PATIENCE.as_secs()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::time::SystemTime;

    #[tokio::test]
    async fn a_replaced_executable_is_another_toolchain() {
        let directory = tempfile::tempdir().unwrap();
        let (exe, link) = (directory.path().join("cc"), directory.path().join("link"));
        fs::write(&exe, "one").unwrap();
        symlink(&exe, &link).unwrap();
        let (seen, linked) = (Sight::default(), Sight::default());
        let now = async || seen.toolchain(&exe).await.unwrap();
        let first = now().await;
        assert_eq!(now().await, first);
        let by_link = linked.toolchain(&link).await.unwrap();
        assert_ne!(by_link, first, "the name counts");
        assert_ne!(by_link.to_bytes(), first.to_bytes());

        let set_time = |time| fs::File::options().write(true).open(&exe).unwrap().set_modified(time);
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        set_time(time).unwrap();
        let dated = now().await;
        fs::write(&exe, "longer").unwrap();
        set_time(time).unwrap();
        assert_ne!(now().await, dated, "the size counts");
        fs::write(&exe, "two").unwrap();
        set_time(time).unwrap();
        assert_eq!(now().await, dated);
        set_time(time + Duration::from_nanos(1)).unwrap();
        assert_ne!(now().await, dated, "the time counts");
        assert_ne!(now().await.to_bytes(), dated.to_bytes());
        set_time(time).unwrap();
        let other = directory.path().join("other");
        fs::write(&other, "two").unwrap();
        fs::rename(&other, &exe).unwrap();
        set_time(time).unwrap();
        assert_ne!(now().await, dated, "the inode counts");
        let before = linked.toolchain(&link).await.unwrap();
        fs::write(directory.path().join("newer"), "three").unwrap();
        symlink("newer", directory.path().join("new link")).unwrap();
        fs::rename(directory.path().join("new link"), &link).unwrap();
        assert_ne!(linked.toolchain(&link).await.unwrap(), before, "what a link leads to counts");

        fs::remove_file(&exe).unwrap();
        assert_eq!(seen.toolchain(&exe).await.unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn what_lies_on_this_machine_is_seen_without_a_thread() {
        let directory = tempfile::tempdir().unwrap();
        let exe = directory.path().join("cc");
        fs::write(&exe, "one").unwrap();
        let sight = Sight::default();
        assert_eq!(sight.known(&exe), None, "nobody has looked yet");
        let first = sight.toolchain(&exe).await.unwrap();
        if !state(&sight.state).seen.unwrap().local {
            println!("skipped: {} is on no local file system", directory.path().display());
            return;
        }
        assert_eq!(sight.known(&exe), Some(first));
        fs::write(&exe, "longer").unwrap();
        assert!(sight.known(&exe).is_some_and(|now| now != first));
        let elsewhere = Toolchain { device: [0, 0], ..first };
        state(&sight.state).seen = Some(Seen { toolchain: elsewhere, local: true, at: Instant::now() });
        assert_eq!(sight.known(&exe), None, "another device was mounted in its place");
    }

    #[tokio::test(start_paused = true)]
    async fn what_lies_elsewhere_is_looked_at_once_a_second() {
        let directory = tempfile::tempdir().unwrap();
        let exe = directory.path().join("cc");
        fs::write(&exe, "one").unwrap();
        let sight = Sight::default();
        let first = sight.toolchain(&exe).await.unwrap();
        state(&sight.state).seen = Some(Seen { toolchain: first, local: false, at: Instant::now() });
        fs::write(&exe, "longer").unwrap();
        let moment = Duration::from_millis(1);
        tokio::time::advance(VALIDITY.checked_sub(moment).unwrap()).await;
        assert_eq!(sight.toolchain(&exe).await.unwrap(), first);
        tokio::time::advance(moment).await;
        assert_ne!(sight.toolchain(&exe).await.unwrap(), first);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_seen_before_is_no_answer_for_after() {
        let directory = tempfile::tempdir().unwrap();
        let exe = directory.path().join("cc");
        fs::write(&exe, "one").unwrap();
        let sight = Sight::default();
        let first = sight.toolchain(&exe).await.unwrap();
        let seen = Instant::now();
        state(&sight.state).seen = Some(Seen { toolchain: first, local: false, at: seen });
        fs::write(&exe, "longer").unwrap();
        assert_eq!(sight.toolchain_since(&exe, seen).await.unwrap(), first);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_ne!(sight.toolchain_since(&exe, Instant::now()).await.unwrap(), first);
    }

    #[tokio::test]
    async fn on_an_overlay_a_replaced_executable_is_seen_without_a_thread() {
        use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
        let directory = tempfile::tempdir().unwrap();
        let place = |name: &str| directory.path().join(name);
        for name in ["lower", "upper", "work", "merged"] {
            fs::create_dir(place(name)).unwrap();
        }
        fs::write(place("lower/cc"), "one").unwrap();
        let [lower, upper, work] = ["lower", "upper", "work"].map(|name| place(name).display().to_string());
        let options = format!("lowerdir={lower},upperdir={upper},workdir={work}");
        let options = std::ffi::CString::new(options).unwrap();
        if mount("overlay", place("merged"), "overlay", MountFlags::empty(), options.as_c_str()).is_err() {
            println!("skipped: no overlay may be mounted here");
            return;
        }
        let exe = place("merged/cc");
        let sight = Sight::default();
        let first = sight.toolchain(&exe).await.unwrap();
        let again = sight.known(&exe);
        fs::write(place("merged/new"), "two").unwrap();
        fs::rename(place("merged/new"), &exe).unwrap();
        let replaced = sight.toolchain(&exe).await.unwrap();
        let seen = sight.known(&exe);
        unmount(place("merged"), UnmountFlags::DETACH).unwrap();
        assert_eq!(again, Some(first));
        assert_ne!(replaced, first);
        assert_eq!(seen, Some(replaced));
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_to_a_silent_file_system_is_told_at_once() {
        let sight = Sight::default();
        let hung = Arc::clone(&sight.turn).lock_owned().await;
        state(&sight.state).looking = Some(Instant::now());
        let asked = Instant::now();
        let error = sight.toolchain(Path::new("/usr")).await.unwrap_err();
        assert_eq!((error.kind(), asked.elapsed()), (io::ErrorKind::TimedOut, PATIENCE));
        let error = sight.toolchain(Path::new("/usr")).await.unwrap_err();
        assert_eq!((error.kind(), asked.elapsed()), (io::ErrorKind::TimedOut, PATIENCE));
        state(&sight.state).looking = None;
        drop(hung);
        sight.toolchain(Path::new("/usr")).await.unwrap();
    }
}
