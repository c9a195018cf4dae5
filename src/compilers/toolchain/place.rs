//! How many threads may wait for which file system, so that one that hangs takes nobody along who asks another.
//!
//! Which file system a path leads to is guessed without asking any: by the mount point it lies under, and by the device
//! on which its file was last seen, if it was; a link to elsewhere is seen through from the second look on.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::{Seen, VALIDITY};

/// Threads that may wait for one file system.
const MOST_IN_PLACE: usize = 16;
/// Threads that may wait for all that are not known to be local, of the runtime's 512.
const MOST_LOOKS: usize = 256;

static LOOKS: LazyLock<Looks> = LazyLock::new(|| Looks::new(mount_points));

/// A file system, as far as that can be told: where it is mounted, and the device.
type Place = (PathBuf, Option<[u32; 2]>);

/// Leave to look, until it is dropped.
#[derive(Debug)]
pub(super) struct Leave(#[expect(dead_code, reason = "held")] [Option<OwnedSemaphorePermit>; 2]);

/// Who looks where.
#[derive(Debug)]
struct Looks {
    all: Arc<Semaphore>,
    /// Those in which somebody looks.
    places: Mutex<HashMap<Place, Arc<Semaphore>>>,
    mounts: Mutex<Option<(Instant, Arc<HashSet<PathBuf>>)>>,
    read_mounts: fn() -> HashSet<PathBuf>,
}

/// Waits for leave to look at `exe`, of which `seen` was seen last.
pub(super) async fn enter(exe: &Path, seen: Option<Seen>) -> Leave {
    LOOKS.enter(exe, seen).await
}

impl Looks {
    fn new(read_mounts: fn() -> HashSet<PathBuf>) -> Self {
        Self {
            all: Arc::new(Semaphore::new(MOST_LOOKS)),
            places: Mutex::default(),
            mounts: Mutex::default(),
            read_mounts,
        }
    }

    async fn enter(&self, exe: &Path, seen: Option<Seen>) -> Leave {
        let here = self.at(self.place(exe, seen)).acquire_owned().await.ok();
        let local = seen.is_some_and(|seen| seen.local);
        let all = if local { None } else { Arc::clone(&self.all).acquire_owned().await.ok() };
        Leave([here, all])
    }

    fn at(&self, place: Place) -> Arc<Semaphore> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody else has those that are in no place and in no leave.
        places.retain(|_, looks| Arc::strong_count(looks) > 1);
        let looks = places.entry(place).or_insert_with(|| Arc::new(Semaphore::new(MOST_IN_PLACE)));
        Arc::clone(looks)
    }

    fn place(&self, exe: &Path, seen: Option<Seen>) -> Place {
        let mounts = self.mounts();
        let mount = exe.ancestors().find(|above| mounts.contains(*above)).unwrap_or(Path::new("/"));
        (mount.to_owned(), seen.map(|seen| seen.toolchain.device))
    }

    /// Where something is mounted, or was a second ago.
    fn mounts(&self) -> Arc<HashSet<PathBuf>> {
        let mut mounts = self.mounts.lock().unwrap_or_else(PoisonError::into_inner);
        match &*mounts {
            Some((read, mounts)) if read.elapsed() < VALIDITY => Arc::clone(mounts),
            _ => {
                let now = Arc::new((self.read_mounts)());
                *mounts = Some((Instant::now(), Arc::clone(&now)));
                now
            }
        }
    }
}

/// Every mount point, from the kernel's memory. Those with blanks in their names are written in another way there, and
/// count as part of what they are in.
fn mount_points() -> HashSet<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    table.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compilers::toolchain::Toolchain;
    use std::time::Duration;
    use tokio::time::timeout;

    fn seen(device: u32, local: bool) -> Seen {
        let toolchain = Toolchain { path: [0; 32], device: [0, device], inode: 1, size: 1, modified: (0, 0) };
        Seen { toolchain, local, at: Instant::now() }
    }

    fn looks() -> Looks {
        Looks::new(|| ["/", "/nfs", "/nfs/deep"].map(PathBuf::from).into())
    }

    async fn may_look(looks: &Looks, exe: &str, seen: Option<Seen>) -> Option<Leave> {
        timeout(Duration::from_secs(2), looks.enter(Path::new(exe), seen)).await.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn who_hangs_takes_nobody_along_who_asks_another_file_system() {
        let looks = looks();
        let mut hung = Vec::new();
        for number in 0..MOST_IN_PLACE {
            hung.push(may_look(&looks, &format!("/nfs/{number}/cc"), None).await.unwrap());
        }
        for silent in ["/nfs/x/cc", "/nfs/cc", "/nfs/../cc"] {
            assert!(may_look(&looks, silent, None).await.is_none(), "{silent}");
        }
        for (healthy, seen) in [
            ("/usr/bin/cc", None),
            ("/usr/bin/cc", Some(seen(1, true))),
            ("/nfs/deep/cc", None),
            ("/nfs link", None),
            ("/nfs/cc", Some(seen(7, false))),
        ] {
            assert!(may_look(&looks, healthy, seen).await.is_some(), "{healthy}");
        }
        hung.pop();
        assert!(may_look(&looks, "/nfs/x/cc", None).await.is_some());
        drop(hung);
        let _one = may_look(&looks, "/usr/bin/cc", None).await.unwrap();
        assert_eq!(looks.places.lock().unwrap().len(), 1, "what nobody looks at is forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn however_many_hang_what_is_local_is_looked_at() {
        let looks = looks();
        let mut hung = Vec::new();
        for number in 0..MOST_LOOKS {
            let device = u32::try_from(number / MOST_IN_PLACE).unwrap();
            hung.push(may_look(&looks, "/nfs/cc", Some(seen(device, false))).await.unwrap());
        }
        assert!(may_look(&looks, "/nfs/deep/cc", None).await.is_none());
        assert!(may_look(&looks, "/usr/bin/cc", Some(seen(99, true))).await.is_some());
    }

    #[test]
    fn the_kernel_tells_where_something_is_mounted() {
        let mounts = mount_points();
        assert!(mounts.contains(Path::new("/")) && mounts.contains(Path::new("/proc")), "{mounts:?}");
    }
}
