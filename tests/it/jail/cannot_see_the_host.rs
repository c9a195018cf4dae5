//! Files, processes, environment, kernel settings of the machine: none of it is there.

use compilation_worker::domain::limits::Limits;
use compilation_worker::domain::result::Stop;

use crate::jail::bed::{Bed, file, job, script, stderr, stdout};

#[test]
fn only_the_template_is_there() {
    let bed = Bed::make();
    let finished = bed.run(script("ls -A /; ls -A /etc /dev /app /tmp /proc/1 2>/dev/null; cat /etc/passwd"));
    let listing = stdout(&finished);
    for name in
        ["root", "home", "var", "run", "sys", "boot", "mnt", "work", "shadow", "shm", "mem", "kmsg", "tty"]
    {
        assert!(listing.lines().all(|line| line != name), "{name} is visible:\n{listing}");
    }
    assert!(listing.contains("ce:x:10240:"), "{listing}");
}

#[test]
fn secrets_of_the_host_are_out_of_reach() {
    let bed = Bed::make();
    for path in [
        "/etc/shadow",
        "/etc/hostname",
        "/proc/1/environ",
        "/proc/1/mem",
        "/proc/1/root/etc/shadow",
        "/proc/self/root/etc/shadow",
        "/proc/sys/kernel/hostname",
        "/proc/sysrq-trigger",
        "/proc/kcore",
        "/proc/keys",
        "/proc/timer_list",
        "/proc/meminfo",
        "/.host-proc/1/environ",
        "/.host-proc/meminfo",
        "/sys/kernel",
        "/dev/mem",
    ] {
        let finished = bed.run(job("/usr/bin/head", &["-c1", path]));
        assert_ne!(finished.stop, Stop::Exited(0), "{path}");
        assert_eq!(stdout(&finished), "", "{path}");
    }
}

#[test]
fn a_compiler_that_is_asked_for_secrets_has_none() {
    let bed = Bed::make();
    for arguments in [
        &["-x", "c", "/etc/shadow", "-fsyntax-only"] as &[&str],
        &["-include", "/etc/shadow", "/app/a.c", "-fsyntax-only"],
        &["@/etc/shadow", "/app/a.c", "-fsyntax-only"],
        &["/app/incbin.s", "-c", "-o", "/app/o"],
    ] {
        let mut compile = job("/usr/bin/gcc", arguments);
        compile.files = vec![file("a.c", "int x;\n"), file("incbin.s", ".incbin \"/etc/shadow\"\n")];
        let finished = bed.run(compile);
        assert!(
            matches!(finished.stop, Stop::Exited(code) if code != 0),
            "{arguments:?}: {:?}",
            finished.stop
        );
        let said = stderr(&finished);
        assert!(!said.contains("root:"), "{arguments:?}: {said}");
    }
}

#[test]
fn the_environment_is_what_the_job_says() {
    let bed = Bed::make();
    let mut env = job("/usr/bin/env", &[]);
    env.environment = vec![("ONLY".into(), "this".into())];
    assert_eq!(stdout(&bed.run(env)), "ONLY=this\n");
}

#[test]
fn only_three_descriptors_are_inherited() {
    let bed = Bed::make();
    let finished = bed.run(script(
        "for f in /proc/self/fd/*; do echo fd ${f##*/}; done; for p in /proc/*; do echo $p; done",
    ));
    let listing = stdout(&finished);
    let descriptors = listing.lines().filter(|line| line.starts_with("fd ")).count();
    // The shell itself holds one more while it lists.
    assert!((3..=4).contains(&descriptors), "{listing}");
    assert!(listing.lines().all(|line| line != "/proc/1"), "init is visible: {listing}");
}

#[test]
fn nobody_is_privileged() {
    let bed = Bed::make();
    let finished = bed.run(script("cat /proc/self/status; cat /proc/self/uid_map"));
    let status = stdout(&finished);
    for line in [
        "CapPrm:\t0000000000000000",
        "CapEff:\t0000000000000000",
        "CapBnd:\t0000000000000000",
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
    ] {
        assert!(status.contains(line), "{line} is missing:\n{status}");
    }
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:\t")).unwrap();
    assert!(!uid.split('\t').any(|id| id == "0"), "{uid}");
}

#[test]
fn the_root_is_read_only() {
    let bed = Bed::make();
    let finished = bed.run(script(
        "for d in / /usr /usr/bin /etc /dev /proc; do touch $d/x 2>/dev/null && echo wrote $d; done; \
         chmod 777 /etc/passwd 2>/dev/null && echo chmod; \
         ln /usr/bin/true /app/true 2>/dev/null && echo link; \
         mknod /app/null c 1 3 2>/dev/null && echo device; \
         cp /usr/bin/true /tmp/true && /tmp/true 2>/dev/null && echo ran /tmp; \
         touch /app/x /tmp/x && echo done",
    ));
    assert_eq!(stdout(&finished), "done\n");
}

/// One answer per line; `ok` for anything that worked and should not have.
#[test]
fn dangerous_system_calls_are_refused() {
    let bed = Bed::make();
    let finished = bed.run_c(
        r#"
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <sys/ioctl.h>
#define TRY(name, ...) do { errno = 0; long r = syscall(__VA_ARGS__); if (r >= 0 || (errno != EPERM && errno != ENOSYS)) printf("%s: %ld %d\n", name, r, errno); } while (0)
int main(void) {
  TRY("clone newuser", SYS_clone, CLONE_NEWUSER | 17, 0, 0, 0, 0);
  TRY("clone newns", SYS_clone, CLONE_NEWNS | 17, 0, 0, 0, 0);
  TRY("clone3", SYS_clone3, 0, 0);
  TRY("unshare", SYS_unshare, CLONE_NEWUSER);
  TRY("setns", SYS_setns, 0, 0);
  TRY("mount", SYS_mount, "none", "/tmp", "tmpfs", 0, 0);
  TRY("umount", SYS_umount2, "/proc", 0);
  TRY("pivot_root", SYS_pivot_root, "/", "/");
  TRY("chroot", SYS_chroot, "/tmp");
  TRY("open_tree", 428, -100, "/", 0);
  TRY("fsopen", 430, "tmpfs", 0);
  TRY("ptrace", SYS_ptrace, 16, 1, 0, 0);
  TRY("process_vm_readv", SYS_process_vm_readv, 1, 0, 0, 0, 0, 0);
  TRY("pidfd_open", 434, 1, 0);
  TRY("pidfd_getfd", 438, 0, 0, 0);
  TRY("keyctl", SYS_keyctl, 0, 0, 0, 0, 0);
  TRY("add_key", SYS_add_key, "user", "x", "x", 1, -3);
  TRY("bpf", SYS_bpf, 0, 0, 0);
  TRY("perf", SYS_perf_event_open, 0, 0, 0, 0, 0);
  TRY("userfaultfd", SYS_userfaultfd, 0);
  TRY("io_uring_setup", 425, 1, 0);
  TRY("io_uring_enter", 426, 0, 0, 0, 0, 0, 0);
  TRY("kexec", SYS_kexec_load, 0, 0, 0, 0);
  TRY("init_module", SYS_init_module, 0, 0, "");
  TRY("reboot", SYS_reboot, 0, 0, 0, 0);
  TRY("swapon", SYS_swapon, "/tmp", 0);
  TRY("sethostname", SYS_sethostname, "x", 1);
  TRY("memfd_create", SYS_memfd_create, "x", 0);
  TRY("memfd_secret", 447, 0);
  TRY("name_to_handle_at", SYS_name_to_handle_at, 0, 0, 0, 0, 0);
  TRY("open_by_handle_at", SYS_open_by_handle_at, 0, 0, 0);
  TRY("quotactl", SYS_quotactl, 0, 0, 0, 0);
  TRY("acct", SYS_acct, 0);
  TRY("syslog", SYS_syslog, 3, 0, 0);
  TRY("personality", SYS_personality, 0x0400000);
  TRY("prlimit of init", SYS_prlimit64, 1, 0, 0, 0);
  TRY("TIOCSTI", SYS_ioctl, 0, 0x5412L, "x");
  TRY("TIOCSTI with high bits", SYS_ioctl, 0, 0x100005412L, "x");
  TRY("TIOCLINUX", SYS_ioctl, 0, 0x541CL, "x");
  TRY("shmget", SYS_shmget, 1, 4096, 0);
  TRY("msgget", SYS_msgget, 1, 0);
  TRY("mq_open", SYS_mq_open, "x", 0, 0, 0);
  TRY("setuid", SYS_setuid, 0);
#ifdef __x86_64__
  TRY("ioperm", SYS_ioperm, 0, 1, 1);
  TRY("iopl", SYS_iopl, 3);
  TRY("modify_ldt", SYS_modify_ldt, 0, 0, 0);
  TRY("x32 getpid", 0x40000000 + 39);
#endif
  puts("done");
}"#,
        Limits::default(),
    );
    assert_eq!(stdout(&finished), "done\n", "{:?} {}", finished.stop, stderr(&finished));
}

#[cfg(target_arch = "x86_64")]
#[test]
fn the_32_bit_calls_of_another_architecture_are_death() {
    let bed = Bed::make();
    let finished = bed.run_c(
        "int main(void) { int r; __asm__ volatile(\"int $0x80\" : \"=a\"(r) : \"a\"(20)); return r > 0 ? 7 : 8; }",
        Limits::default(),
    );
    assert_eq!(finished.stop, Stop::Signalled(31), "SIGSYS");
}

/// The kernel shows a process its mounts. What it tells of them must be what the process sees anyway, and of the host
/// only where that comes from: device, kind and options.
#[test]
fn the_table_of_mounts_names_only_what_is_shown() {
    let bed = Bed::make();
    let table = stdout(&bed.run(script("cat /proc/self/mountinfo")));
    let shown = compilation_worker::sandbox::Settings::default_readable();
    for line in table.lines() {
        let point = std::path::Path::new(line.split(' ').nth(4).unwrap());
        let own = ["/", "/app", "/tmp", "/proc"].iter().any(|own| point == std::path::Path::new(own));
        let known = own || point.starts_with("/dev") || shown.iter().any(|path| point.starts_with(path));
        assert!(known, "{line}");
    }
    assert!(table.lines().count() > 8, "{table}");
}
