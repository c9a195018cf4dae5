//! A file system that never answers takes only those requests with it that need it.

use std::fmt::Write as _;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use serde_json::json;
use tokio::time::Instant;

use crate::support::daemon::{Daemon, compile};
use crate::support::obedient::{ID, Obedient, sleep};

/// A file system whose server takes every question and answers none.
struct Hung {
    place: PathBuf,
    server: Option<File>,
}

impl Hung {
    /// `None` where such a thing may not be mounted.
    fn over(place: &Path) -> Option<Self> {
        use std::os::fd::AsRawFd as _;
        let server = File::options().read(true).write(true).open("/dev/fuse").ok()?;
        let options = format!("fd={},rootmode=40000,user_id=0,group_id=0,allow_other", server.as_raw_fd());
        let options = std::ffi::CString::new(options).unwrap();
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        mount("hung", place, "fuse", flags, options.as_c_str()).ok()?;
        Some(Self { place: place.to_owned(), server: Some(server) })
    }
}

impl Drop for Hung {
    fn drop(&mut self) {
        // Without its server everybody who waits gets an error.
        drop(self.server.take());
        unmount(&self.place, UnmountFlags::DETACH).unwrap();
    }
}

/// How long it takes to compile as many sources, none of them seen before.
async fn healthy(daemon: &Daemon, numbers: Range<usize>) -> Duration {
    let begun = Instant::now();
    for number in numbers {
        let source = json!({"source": format!("int good{number};"), "options": {}});
        assert_eq!(daemon.compile("good", &source).await.status, 200);
    }
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_compiler_stops_nobody_else() {
    let obedient = Obedient::make();
    obedient.catalogue(&format!(
        "compilers={ID}:good\ncompiler.good.exe=/usr/bin/g++\ncompiler.{ID}.exe={}/compiler\n",
        obedient.directory().display()
    ));
    let daemon = obedient.serve(&[]).await;
    assert_eq!(daemon.compile(ID, &sleep("0", 0)).await.status, 200);
    // The first compile of `good` is not measured: it asks the compiler what it can do.
    healthy(&daemon, 0..1).await;
    let alone = healthy(&daemon, 1..4).await;
    let Some(hung) = Hung::over(obedient.directory()) else {
        println!("skipped: FUSE takes root and /dev/fuse");
        return;
    };
    let mut waiting = Vec::new();
    for number in 0..40 {
        let mut client = daemon.client().await;
        // Half of them were answered before, and are remembered.
        client.send(compile(ID, &sleep("0", number / 2))).await;
        waiting.push(client);
    }
    let beside = healthy(&daemon, 4..7).await;
    // A file system is waited for that long; a busy machine may take longer anyway.
    let most = Duration::from_secs(2).max(5 * alone);
    assert!(beside < most, "the healthy waited {beside:?}, and {alone:?} before");
    for mut client in waiting {
        let reply = client.reply().await;
        assert_eq!((reply.status, reply.header("x-job-status")), (500, Some("infra_error")));
    }
    assert!(daemon.log().contains("has not answered"), "{}", daemon.log());
    let mut quickest = Duration::MAX;
    for _ in 0..3 {
        let begun = Instant::now();
        assert_eq!(daemon.compile(ID, &sleep("0", 0)).await.status, 500);
        quickest = quickest.min(begun.elapsed());
    }
    // Who asked the file system again would wait for it: two seconds each time.
    assert!(quickest < Duration::from_secs(1), "hung for {quickest:?} again");
    drop(hung);
    let begun = Instant::now();
    while daemon.compile(ID, &sleep("0", 0)).await.status != 200 {
        assert!(begun.elapsed() < Duration::from_secs(10), "it never came back");
    }
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_hung_compilers_stop_nobody_else() {
    // More than may wait for one file system, and none of them was ever seen.
    const HUNG: usize = 17;
    let obedient = Obedient::make();
    let silent = obedient.directory().join("silent");
    std::fs::create_dir(&silent).unwrap();
    let late = obedient.directory().join("late");
    let mut catalogue = format!("compilers={ID}:late");
    for number in 0..HUNG {
        write!(catalogue, ":hung{number}").unwrap();
    }
    write!(
        catalogue,
        "\nexe={}/compiler\ncompiler.late.exe={}\n",
        obedient.directory().display(),
        late.display()
    )
    .unwrap();
    for number in 0..HUNG {
        let exe = silent.join(number.to_string());
        std::fs::copy(obedient.directory().join("compiler"), &exe).unwrap();
        writeln!(catalogue, "compiler.hung{number}.exe={}", exe.display()).unwrap();
    }
    obedient.catalogue(&catalogue);
    std::fs::copy(obedient.directory().join("compiler"), &late).unwrap();
    let daemon = obedient.serve(&[]).await;
    // What was known of it is forgotten.
    std::fs::remove_file(&late).unwrap();
    assert_eq!(daemon.compile("late", &sleep("0", 0)).await.status, 500);
    let Some(hung) = Hung::over(&silent) else {
        println!("skipped: FUSE takes root and /dev/fuse");
        return;
    };
    let mut waiting = Vec::new();
    for number in 0..HUNG {
        let mut client = daemon.client().await;
        client.send(compile(&format!("hung{number}"), &sleep("0", 0))).await;
        waiting.push(client);
    }
    std::fs::copy(obedient.directory().join("compiler"), &late).unwrap();
    assert_eq!(daemon.compile("late", &sleep("0", 0)).await.status, 200);
    assert_eq!(daemon.compile(ID, &sleep("0", 0)).await.status, 200);
    for mut client in waiting {
        assert_eq!(client.reply().await.status, 500);
    }
    // The threads still hang.
    assert_eq!(daemon.compile("late", &sleep("0", 1)).await.status, 200);
    drop(hung);
    daemon.stop().await;
}
