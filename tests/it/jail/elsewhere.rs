//! The same tests under other circumstances: this test binary, started again as somebody else or somewhere else.

#![expect(
    clippy::disallowed_methods,
    reason = "the harness starts itself again, and tells itself so by environment"
)]

use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use compilation_worker::domain::limits::Limits;
use compilation_worker::domain::result::Stop;
use compilation_worker::sandbox::{LaunchError, Mode, Sandbox, Settings};

use crate::jail::bed::{BINARY, Bed, HELPER_OVERRIDE, eventually, processes_with, script, settings, stdout};

/// Set for the process that holds its slots until it is killed.
const HOLD: &str = "JAIL_TEST_HOLD";
/// Set where no jail can be built; its value is what the refusal must say.
const REFUSAL: &str = "JAIL_TEST_REFUSAL";

/// Set in a mount namespace that may be changed.
const MOUNT: &str = "JAIL_TEST_MOUNT";

/// This test binary and the helper, where everyone may execute them.
struct Copies(tempfile::TempDir);

impl Copies {
    fn make() -> Self {
        let place = tempfile::tempdir_in("/var/tmp").unwrap();
        std::fs::set_permissions(place.path(), PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::copy(std::env::current_exe().unwrap(), place.path().join("tests")).unwrap();
        std::fs::copy(BINARY, place.path().join("helper")).unwrap();
        Self(place)
    }

    /// Starts the copy by way of `wrapper`.
    fn start(&self, wrapper: &[&str], arguments: &[&str]) -> Command {
        let tests = self.0.path().join("tests");
        let mut command = match wrapper {
            [] => Command::new(tests),
            [program, rest @ ..] => {
                let mut command = Command::new(program);
                command.args(rest).arg(tests);
                command
            }
        };
        command.args(arguments).args(["--nocapture", "--test-threads=1"]);
        command.env(HELPER_OVERRIDE, self.0.path().join("helper")).env_remove("NEXTEST");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

fn told(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn an_ordinary_user_has_the_same_walls() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: this user is an ordinary one");
        return;
    }
    let copies = Copies::make();
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let output = copies
        .start(&nobody, &["jail::", "--skip", "jail::elsewhere::", "--skip", "jail::on_cgroup_v2::"])
        .output()
        .unwrap();
    let told = told(&output);
    assert!(output.status.success(), "{told}");
    let result = told.lines().find_map(|line| line.strip_prefix("test result: ok. ")).unwrap_or_default();
    let passed: usize = result.split(' ').next().and_then(|count| count.parse().ok()).unwrap_or(0);
    assert!(passed >= 35, "hardly anything ran: {told}");
}

#[test]
fn a_narrow_umask_closes_no_jail() {
    let copies = Copies::make();
    let narrow = ["sh", "-c", "umask 077; exec \"$0\" \"$@\""];
    let test = "jail::cannot_see_the_host::only_the_template_is_there";
    let output = copies.start(&narrow, &["--exact", test]).output().unwrap();
    assert!(output.status.success() && told(&output).contains("1 passed"), "{}", told(&output));
}

#[test]
fn a_daemon_that_is_killed_leaves_no_job() {
    let copies = Copies::make();
    let mut daemon = copies
        .start(&[], &["--exact", "jail::elsewhere::slots_full_of_sleepers"])
        .env(HOLD, "1")
        .spawn()
        .unwrap();
    let mark = format!("sleep\0{}", 2_000_000 + daemon.id());
    let mut lines = BufReader::new(daemon.stdout.take().unwrap()).lines();
    let holding = lines.by_ref().any(|line| line.unwrap_or_default().contains("holding"));
    assert!(holding, "it never began");
    assert!(eventually(Duration::from_secs(10), || processes_with(&mark).len() == 4));
    let helpers = children_of(&daemon.id().to_string());
    let jails: Vec<String> = helpers.iter().flat_map(|helper| children_of(helper)).collect();
    assert!(helpers.len() == 1 && jails.len() >= 4, "{helpers:?} {jails:?}");
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    // One that is dead and not yet reaped by whoever inherits it has no command line.
    let alive = || {
        let running = processes_with("jail-helper");
        helpers.iter().chain(&jails).filter(|process| running.contains(process)).count()
    };
    let ended = || processes_with(&mark).is_empty() && alive() == 0;
    assert!(eventually(Duration::from_secs(5), ended), "something outlives its daemon");
}

/// The helpers and jails among a process's children.
fn children_of(parent: &str) -> Vec<String> {
    let is_child = |process: &String| {
        let status = std::fs::read_to_string(Path::new("/proc").join(process).join("status"));
        status.unwrap_or_default().lines().any(|line| line == format!("PPid:\t{parent}"))
    };
    processes_with("jail-helper").into_iter().filter(is_child).collect()
}

/// By itself: a job in every slot, each stopped by the clock. Held, it waits to be killed with all slots full.
#[test]
fn slots_full_of_sleepers() {
    let hold = std::env::var_os(HOLD).is_some();
    let wall = if hold { Duration::from_mins(1) } else { Duration::from_millis(200) };
    let bed = Bed::with(settings(4));
    bed.runtime.block_on(async {
        let mut jobs = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let mut sleep =
                script(&format!("trap '' TERM HUP; exec sleep {}", 2_000_000 + std::process::id()));
            sleep.limits = Limits { wall, ..Limits::default() };
            let sandbox = bed.sandbox.clone();
            jobs.spawn(async move { sandbox.run(sleep).await.unwrap().stop });
        }
        if hold {
            println!("holding");
        }
        assert_eq!(jobs.join_all().await, [Stop::WallTime; 4]);
    });
}

#[test]
fn a_kernel_without_user_namespaces_is_named() {
    let copies = Copies::make();
    let none = [
        "unshare",
        "--user",
        "--map-root-user",
        "sh",
        "-c",
        "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$0\" \"$@\"",
    ];
    let output = copies
        .start(&none, &["--exact", "jail::elsewhere::launching_works_or_says_why"])
        .env(REFUSAL, "user.max_user_namespaces")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", told(&output));
}

#[test]
fn a_filter_that_does_not_know_openat2_is_named() {
    let copies = Copies::make();
    let wrapper = copies.0.path().join("without-openat2");
    let built =
        Command::new("gcc").arg("-o").arg(&wrapper).args(["-x", "c", "-"]).stdin(Stdio::piped()).spawn();
    let mut built = built.unwrap();
    built.stdin.take().unwrap().write_all(include_bytes!("without_openat2.c")).unwrap();
    assert!(built.wait().unwrap().success());
    let output = copies
        .start(&[wrapper.to_str().unwrap()], &["--exact", "jail::elsewhere::launching_works_or_says_why"])
        .env(REFUSAL, "leave out RestrictSUIDSGID")
        .output()
        .unwrap();
    assert!(output.status.success() && told(&output).contains("1 passed"), "{}", told(&output));
}

#[test]
fn a_masked_proc_is_named() {
    let copies = Copies::make();
    let masked = [
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        "mount -t tmpfs none /proc/fs && exec \"$0\" \"$@\"",
    ];
    let output = copies
        .start(&masked, &["--exact", "jail::elsewhere::launching_works_or_says_why"])
        .env(REFUSAL, "unmasked /proc")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", told(&output));
}

#[test]
fn strict_mode_without_cgroups_is_refused() {
    let copies = Copies::make();
    let nowhere = [
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        "mount -t tmpfs none /sys/fs/cgroup && exec \"$0\" \"$@\"",
    ];
    let output = copies
        .start(&nowhere, &["--exact", "jail::elsewhere::strict_mode_limits_whole_jobs_or_says_why"])
        .env(REFUSAL, "delegate a cgroup")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", told(&output));
}

#[test]
fn what_the_host_mounts_later_is_seen_and_nothing_goes_back() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root mounts");
        return;
    }
    let copies = Copies::make();
    let shared = ["unshare", "--mount", "--propagation", "shared"];
    let test = "jail::elsewhere::late_mounts_are_readable_only";
    let output = copies.start(&shared, &["--exact", test]).env(MOUNT, "1").output().unwrap();
    assert!(output.status.success() && told(&output).contains("1 passed"), "{}", told(&output));
}

/// In a mount namespace made for it. A kernel without Landlock could not keep a late mount from being written to, so
/// there none arrives.
#[test]
fn late_mounts_are_readable_only() {
    if std::env::var_os(MOUNT).is_none() {
        println!("skipped: this is for a mount namespace of its own");
        return;
    }
    let place = tempfile::tempdir_in("/var/tmp").unwrap();
    std::fs::set_permissions(place.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let late = place.path().join("late");
    std::fs::create_dir(&late).unwrap();
    let mut settings = settings(1);
    settings.readable.push(place.path().to_owned());
    let bed = Bed::with(settings);
    let arrives = bed.sandbox.protections().landlock > 0;
    let look = script(&format!(
        "cat {0}/file; (echo x > {0}/new) 2>/dev/null && echo written; grep -c shared: /proc/self/mountinfo",
        late.display()
    ));
    assert_eq!(stdout(&bed.run(look.clone())), "0\n");
    rustix::mount::mount("late", &late, "tmpfs", rustix::mount::MountFlags::empty(), c"mode=777").unwrap();
    std::fs::write(late.join("file"), "there\n").unwrap();
    let mounts = || std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let before = mounts();
    // The first jails stood before; the others were built afterwards, and their mount is read-only by itself.
    for _ in 0..5 {
        assert_eq!(stdout(&bed.run(look.clone())), if arrives { "there\n0\n" } else { "0\n" });
    }
    let flags = script(&format!("grep ' {} ' /proc/self/mountinfo | cut -d' ' -f6", late.display()));
    let flags = stdout(&bed.run(flags));
    if arrives {
        assert!(["ro", "nosuid", "nodev"].iter().all(|flag| flags.contains(flag)), "{flags}");
    } else {
        assert_eq!(flags, "", "it is mounted in a jail");
    }
    assert_eq!(mounts(), before, "a mount of a jail came out of it");
    rustix::mount::unmount(&late, rustix::mount::UnmountFlags::empty()).unwrap();
    assert_eq!(stdout(&bed.run(look)), "0\n", "what is unmounted is gone");
}

/// By itself: it works. Where it cannot, the refusal must say what the starter expects.
#[test]
fn launching_works_or_says_why() {
    launch(settings(1));
}

/// The same in mode strict.
#[test]
fn strict_mode_limits_whole_jobs_or_says_why() {
    if std::env::var_os(REFUSAL).is_none() && !rustix::process::geteuid().is_root() {
        println!("skipped: whether an ordinary user has cgroups is this machine's choice");
        return;
    }
    launch(Settings { mode: Mode::Strict, ..settings(1) });
}

fn launch(settings: Settings) {
    match (Sandbox::launch(settings), std::env::var(REFUSAL)) {
        (Ok(_), Err(_)) => {}
        (Err(error @ (LaunchError::Refused { .. } | LaunchError::NoCgroups(_))), Ok(want)) => {
            assert!(error.to_string().contains(&want), "{error}");
        }
        (launched, expected) => panic!("{launched:?} {expected:?}"),
    }
}

#[test]
fn a_helper_that_dies_takes_no_daemon_along() {
    let bed = std::mem::ManuallyDrop::new(Bed::make());
    let children = std::fs::read_to_string(format!(
        "/proc/self/task/{}/children",
        rustix::thread::gettid().as_raw_nonzero()
    ));
    let Ok(children) = children else {
        println!("skipped: this kernel does not list children");
        return;
    };
    let helper = children.split_whitespace().find(|process| {
        let line = std::fs::read_to_string(Path::new("/proc").join(process).join("cmdline"));
        line.unwrap_or_default().contains("jail-helper")
    });
    let helper =
        helper.and_then(|process| process.parse().ok()).and_then(rustix::process::Pid::from_raw).unwrap();
    rustix::process::kill_process(helper, rustix::process::Signal::KILL).unwrap();
    let failed = eventually(Duration::from_secs(2), || bed.try_run(script("true")).is_err());
    assert!(failed, "jobs still run without a helper");
}
