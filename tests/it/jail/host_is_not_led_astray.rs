//! Whatever a job leaves under the name of an output, the host reads a regular file of its own or nothing.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use compilation_worker::domain::result::Stop;
use compilation_worker::sandbox::{Mode, ReadError, Settings};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use tokio::time::Instant;

use crate::jail::bed::{Bed, job, path, script, settings, stdout};

#[test]
fn what_is_no_regular_file_is_no_output() {
    let bed = Bed::make();
    for plant in [
        "ln -s /etc/shadow out",
        "ln -s /etc/passwd out",
        "ln -s ../../../../../../etc/passwd out",
        "ln -s /proc/self/root/etc/passwd out",
        "echo > real; ln -s real out",
        "mkdir out",
        "mkfifo out",
        "ln -s out out",
        "mkdir d; echo secret > d/out; ln -s d link; mv d/out .; rm out; ln -s d/out out",
    ] {
        let finished = bed.run(script(plant));
        assert_eq!(finished.stop, Stop::Exited(0), "{plant}");
        let read = bed.runtime.block_on(finished.workspace.read(&path("out"), 1 << 20)).unwrap();
        assert_eq!(read, None, "{plant}");
    }
}

#[test]
fn a_linked_directory_is_not_walked_through() {
    let bed = Bed::make();
    let finished = bed.run(script("ln -s /etc link; ln -s / root; mkdir d; echo x > d/x"));
    for name in ["link/passwd", "root/etc/passwd"] {
        assert_eq!(bed.read(&finished, name), None, "{name}");
    }
    assert_eq!(bed.read(&finished, "d/x").as_deref(), Some("x\n"));
}

#[test]
fn ordinary_files_are_read_whatever_their_mode_and_links() {
    let bed = Bed::make();
    let finished = bed.run(script("echo one > a; ln a b; echo two > s; chmod 4755 s; echo three > c"));
    for (name, want) in [("a", "one\n"), ("b", "one\n"), ("s", "two\n"), ("c", "three\n")] {
        assert_eq!(bed.read(&finished, name).as_deref(), Some(want), "{name}");
    }
    assert_eq!(bed.read(&finished, "missing"), None);
}

#[test]
fn a_huge_file_is_not_read() {
    let bed = Bed::make();
    let finished = bed.run(script("truncate -s 1000000000 sparse; head -c 100 /dev/zero > small"));
    let read = |name: &str, cap| bed.runtime.block_on(finished.workspace.read(&path(name), cap));
    assert!(matches!(
        read("sparse", 1 << 20),
        Err(ReadError::TooLarge { size: 1_000_000_000, cap: 1_048_576, .. })
    ));
    assert!(matches!(read("small", 99), Err(ReadError::TooLarge { size: 100, cap: 99, .. })));
    assert_eq!(read("small", 100).unwrap().map(|bytes| bytes.len()), Some(100));
}

#[test]
fn a_link_among_the_readable_paths_leads_to_no_file_of_the_host() {
    // Not in /tmp, where every jail has its own; open to the helper, which is another user.
    let place = tempfile::tempdir_in("/var/tmp").unwrap();
    let allow = |path: &Path, mode| {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    };
    let (real, link) = (place.path().join("real"), place.path().join("link"));
    std::fs::create_dir(&real).unwrap();
    std::fs::write(real.join("tool"), "precious").unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    allow(place.path(), 0o755);
    allow(&real, 0o777);
    allow(&real.join("tool"), 0o666);
    let mut readable = Settings::default_readable();
    readable.extend([link.clone(), link.join("tool")]);
    {
        let bed = Bed::with(Settings { readable, ..settings(1) });
        let shown = bed.run(job("/usr/bin/cat", &[link.join("tool").to_str().unwrap()]));
        assert_eq!(stdout(&shown), "precious");
    }
    assert_eq!(std::fs::read_to_string(real.join("tool")).unwrap(), "precious");
}

/// Names are exchanged under the reader ten thousand times each. Behind a jail nobody is left to do that; without one
/// the directory is this machine's, and the test takes the part of what a job left running.
#[test]
fn a_name_that_changes_under_the_reader_leads_nowhere_else() {
    const ROUNDS: usize = 10_000;
    const CAP: u64 = 1 << 10;
    let bed = Bed::with(Settings { mode: Mode::None, ..settings(1) });
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("x"), "precious").unwrap();
    let plant = format!(
        "echo own > file; ln -s {0}/x link; mkdir out; echo own > out/x; ln -s {0} host; \
         echo own > small; truncate -s 1G large",
        outside.path().display()
    );
    let finished = bed.run(script(&plant));
    let place = Path::new(finished.workspace.directory());
    let pairs = [("file", "link"), ("out", "host"), ("small", "large")];
    let (exchanges, enough) = (AtomicUsize::new(0), AtomicBool::new(false));
    let begun = Instant::now();
    let (mut own, mut other) = ([0; 3], [0; 3]);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !enough.load(Ordering::Relaxed) {
                for (one, another) in pairs {
                    renameat_with(CWD, place.join(one), CWD, place.join(another), RenameFlags::EXCHANGE)
                        .unwrap();
                }
                exchanges.fetch_add(1, Ordering::Relaxed);
            }
        });
        let mut reads = 0;
        while reads < ROUNDS || exchanges.load(Ordering::Relaxed) < ROUNDS {
            if begun.elapsed() > Duration::from_mins(1) {
                break;
            }
            reads += 1;
            for (index, name) in ["file", "out/x", "small"].into_iter().enumerate() {
                match bed.runtime.block_on(finished.workspace.read(&path(name), CAP)) {
                    Ok(Some(bytes)) if bytes == b"own\n" => own[index] += 1,
                    Ok(None) if index < 2 => other[index] += 1,
                    Err(ReadError::TooLarge { .. }) if index == 2 => other[index] += 1,
                    outcome => {
                        enough.store(true, Ordering::Relaxed);
                        panic!("{name} in round {reads}: {outcome:?}");
                    }
                }
            }
        }
        enough.store(true, Ordering::Relaxed);
    });
    println!("{exchanges:?} exchanges; the file itself {own:?}, something else {other:?}");
    assert!(exchanges.into_inner() >= ROUNDS, "too slow to prove anything");
    assert!(own.iter().chain(&other).all(|&times| times > ROUNDS / 100), "no race: {own:?} {other:?}");
}
