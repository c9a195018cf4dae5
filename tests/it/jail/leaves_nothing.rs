//! After any number of jobs: no descriptor, no process, no file, no group more than before.

use std::time::Duration;

use compilation_worker::domain::result::Stop;
use rustix::process::{Pid, Resource, Rlimit};

use crate::jail::bed::{Bed, eventually, file, processes_with, script, stdout};

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn descriptors_are_as_many_after_as_before() {
    let bed = Bed::make();
    bed.run(script("true"));
    let before = descriptors();
    for turn in 0..200 {
        let mut job = script(if turn % 3 == 0 { "yes" } else { "echo x; exit $1" });
        job.limits.output = 4096;
        job.files = vec![file("d/x", "x")];
        bed.run(job);
    }
    assert_eq!(descriptors(), before);
}

#[test]
fn one_job_finds_nothing_of_another() {
    let bed = Bed::with(crate::jail::bed::settings(1));
    for _ in 0..8 {
        let finished = bed.run(script("ls -A /app /tmp; echo secret > /app/left; echo secret > /tmp/left"));
        assert_eq!(finished.stop, Stop::Exited(0));
        assert_eq!(stdout(&finished), "/app:\n\n/tmp:\n");
    }
}

#[test]
fn many_at_once_do_not_mix() {
    let bed = Bed::with(crate::jail::bed::settings(4));
    bed.runtime.block_on(async {
        let mut jobs = tokio::task::JoinSet::new();
        for number in 0..40 {
            let sandbox = bed.sandbox.clone();
            let mut job = script("cat in; cat; cat in > out");
            job.files = vec![file("in", &format!("file {number}\n"))];
            job.stdin = format!("input {number}\n").into();
            jobs.spawn(async move { (number, sandbox.run(job).await.unwrap()) });
        }
        while let Some(done) = jobs.join_next().await {
            let (number, finished) = done.unwrap();
            assert_eq!(stdout(&finished), format!("file {number}\ninput {number}\n"));
            let out = finished.workspace.read(&crate::jail::bed::path("out"), 100).await.unwrap().unwrap();
            assert_eq!(out, format!("file {number}\n").into_bytes());
        }
    });
}

#[test]
fn a_large_input_arrives_whole() {
    let bed = Bed::make();
    let megabyte = "0123456789abcde\n".repeat(1 << 16);
    let mut job = script("cat in | wc -c; wc -c");
    job.files = vec![file("in", &megabyte.repeat(8))];
    job.stdin = megabyte.repeat(4).into();
    let finished = bed.run(job);
    let counts: Vec<String> = stdout(&finished).split_whitespace().map(str::to_owned).collect();
    assert_eq!(counts, [(8 << 20).to_string(), (4 << 20).to_string()]);
}

#[test]
fn groups_go_with_their_jobs() {
    let bed = Bed::make();
    let mine = format!("{}-", std::process::id());
    let groups = || -> Vec<usize> {
        let memberships = std::fs::read_to_string("/proc/self/cgroup").unwrap();
        let places = memberships.lines().filter_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            Some((fields.next()?.to_owned(), fields.next()?.to_owned()))
        });
        let parents = places.flat_map(|(controller, own)| {
            [
                format!("/sys/fs/cgroup/{controller}{own}/compilation-worker"),
                format!("/sys/fs/cgroup{own}/compilation-worker"),
            ]
        });
        let ours = parents.flat_map(|parent| std::fs::read_dir(parent).into_iter().flatten().flatten());
        ours.filter(|entry| entry.file_name().to_string_lossy().starts_with(&mine))
            .map(|entry| std::fs::read_dir(entry.path()).into_iter().flatten().flatten())
            .map(|groups| {
                groups.filter(|group| group.file_name().to_string_lossy().parse::<u64>().is_ok()).count()
            })
            .collect()
    };
    for _ in 0..20 {
        bed.run(script("true"));
    }
    // Two slots, and twice as many jails standing: six groups in each hierarchy, and none of those that were used.
    let only_lanes = || groups().iter().all(|&count| count <= 6);
    assert!(eventually(Duration::from_secs(10), only_lanes), "{:?}", groups());
}

/// A helper that has no descriptor left for the hand-over has a jail already: at one of these limits.
#[test]
fn a_jail_that_cannot_be_handed_over_is_buried() {
    let bed = Bed::with(crate::jail::bed::settings(1));
    let me = std::process::id().to_string();
    let helper = processes_with("jail-helper").into_iter().find(|process| parent_of(process) == me).unwrap();
    let Ok(open) = std::fs::read_dir(format!("/proc/{helper}/fd")) else {
        println!("skipped: an ordinary user may not count the helper's descriptors");
        return;
    };
    let open = open.count() as u64;
    let pid = Pid::from_raw(helper.parse().unwrap());
    let limit = |current| {
        let most = rustix::process::getrlimit(Resource::Nofile).maximum;
        let limit = Rlimit { current: Some(current), maximum: most };
        rustix::process::prlimit(pid, Resource::Nofile, limit).unwrap();
    };
    for more in 0..30 {
        let finished = bed.run(script("true"));
        limit(open + more);
        // Its lane is free at once, and the helper tries to build the next.
        drop(finished);
        std::thread::sleep(Duration::from_millis(20));
        limit(1024);
    }
    drop(bed.run(script("true")));
    let dead_children = || {
        let stats = std::fs::read_dir("/proc").unwrap().flatten();
        stats.filter(|entry| state_and_parent(&entry.path()) == Some(format!("Z {helper}"))).count()
    };
    assert!(eventually(Duration::from_secs(2), || dead_children() == 0), "{} zombies", dead_children());
}

/// F15: a job's place is free again, and another jail stands in it, soon after its files were read; as the machine
/// may be busy with other things, the best of some times counts.
#[test]
fn the_worst_that_a_job_can_leave_is_cleared_at_once() {
    const CLEARED: Duration = Duration::from_millis(50);
    let bed = Bed::with(crate::jail::bed::settings(1));
    let me = std::process::id().to_string();
    let helper = processes_with("jail-helper").into_iter().find(|process| parent_of(process) == me).unwrap();
    let jails = || {
        let all =
            std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| state_and_parent(&entry.path()));
        all.filter(|it| !it.starts_with('Z') && it.ends_with(&format!(" {helper}"))).count()
    };
    // One in the slot, and twice as many behind it.
    assert!(eventually(Duration::from_secs(5), || jails() == 3), "{}", jails());
    let leave = "i=0; while [ $i -lt 300 ]; do mkdir -p $i/e; echo x > $i/e/f; chmod 000 $i/e/f $i/e $i; i=$((i+1)); done; \
                 d=deep; while mkdir -p $d; do d=$d/deep; [ ${#d} -gt 400 ] && break; done; truncate -s 1G big; \
                 mkfifo fifo; ln -s / root; chmod 000 /app; exit 0";
    let mut times = Vec::new();
    for _ in 0..5 {
        let finished = bed.run(script(leave));
        assert_eq!(finished.stop, Stop::Exited(0), "{}", crate::jail::bed::stderr(&finished));
        assert!(eventually(Duration::from_secs(5), || jails() == 2), "{}", jails());
        let begun = tokio::time::Instant::now();
        drop(finished);
        assert!(eventually(Duration::from_secs(5), || jails() == 3), "{}", jails());
        times.push(begun.elapsed());
    }
    assert!(times.iter().min() < Some(&CLEARED), "{times:?}");
    println!("{times:?}");
}

fn parent_of(process: &str) -> String {
    let both = state_and_parent(&std::path::Path::new("/proc").join(process)).unwrap_or_default();
    both.rsplit(' ').next().unwrap_or_default().to_owned()
}

/// The fields after the name in a process's `stat`, as `Z 17`.
fn state_and_parent(process: &std::path::Path) -> Option<String> {
    let stat = std::fs::read_to_string(process.join("stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    Some(format!("{} {}", fields.next()?, fields.next()?))
}
