// Asks the kernel for everything a job has no business with; one line for each: name, answer.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static void tell(const char *name, long answer) {
    fprintf(stderr, "%s %s\n", name, answer == -1 ? strerrorname_np(errno) : "WORKS");
}

#define ASK(name, ...) tell(name, syscall(__VA_ARGS__))

static long zeros[64];

int main(void) {
    ASK("inet", SYS_socket, 2, 1, 0);
    ASK("inet6", SYS_socket, 10, 1, 0);
    ASK("inet-udp", SYS_socket, 2, 2, 0);
    ASK("inet-raw", SYS_socket, 2, 3, 1);
    ASK("unix", SYS_socket, 1, 1, 0);
    ASK("netlink", SYS_socket, 16, 3, 0);
    ASK("packet", SYS_socket, 17, 3, 0);
    ASK("alg", SYS_socket, 38, 5, 0);
    ASK("vsock", SYS_socket, 40, 1, 0);
    ASK("bluetooth", SYS_socket, 31, 3, 0);
    ASK("socketpair", SYS_socketpair, 1, 1, 0, zeros);
    ASK("io_uring_setup", SYS_io_uring_setup, 4, zeros);
    ASK("ptrace-traceme", SYS_ptrace, 0, 0, 0, 0);
    ASK("ptrace-attach", SYS_ptrace, 16, 1, 0, 0);
    ASK("ptrace-seize", SYS_ptrace, 0x4206, 1, 0, 0);
    ASK("process_vm_readv", SYS_process_vm_readv, 1, zeros, 1, zeros, 1, 0);
    ASK("process_vm_writev", SYS_process_vm_writev, 1, zeros, 1, zeros, 1, 0);
    ASK("process_madvise", SYS_process_madvise, 0, zeros, 1, 21, 0);
    ASK("pidfd_open", SYS_pidfd_open, 1, 0);
    ASK("pidfd_getfd", SYS_pidfd_getfd, 0, 0, 0);
    ASK("kcmp", SYS_kcmp, 1, 1, 0, 0, 0);
    ASK("kill-init", SYS_kill, 1, SIGKILL);
    ASK("kill-daemon", SYS_kill, DAEMON, SIGKILL);
    ASK("unshare-user", SYS_unshare, CLONE_NEWUSER);
    ASK("unshare-time", SYS_unshare, 0x80);
    ASK("clone-user", SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
    ASK("clone-net", SYS_clone, CLONE_NEWNET | SIGCHLD, 0, 0, 0, 0);
    ASK("clone-high-bits", SYS_clone, 0x100000000ul | CLONE_NEWNS | SIGCHLD, 0, 0, 0, 0);
    ASK("clone3", SYS_clone3, zeros, 64);
    ASK("setns", SYS_setns, 0, 0);
    ASK("mount", SYS_mount, "none", "/tmp", "tmpfs", 0, 0);
    ASK("remount", SYS_mount, "none", "/", 0, 32, 0);
    ASK("umount", SYS_umount2, "/proc", 2);
    ASK("pivot_root", SYS_pivot_root, "/app", "/app");
    ASK("chroot", SYS_chroot, "/app");
    ASK("open_tree", SYS_open_tree, -100, "/", 1);
    ASK("move_mount", SYS_move_mount, -100, "/app", -100, "/tmp", 0);
    ASK("fsopen", SYS_fsopen, "tmpfs", 0);
    ASK("mount_setattr", SYS_mount_setattr, -100, "/", 0, zeros, 32);
    ASK("keyctl", SYS_keyctl, 0, -3, 1);
    ASK("add_key", SYS_add_key, "user", "k", "v", 1, -4);
    ASK("request_key", SYS_request_key, "user", "k", 0, -4);
    ASK("bpf", SYS_bpf, 0, zeros, 64);
    ASK("perf_event_open", SYS_perf_event_open, zeros, 0, -1, -1, 0);
    ASK("userfaultfd", SYS_userfaultfd, 1);
    ASK("kexec_load", SYS_kexec_load, 0, 0, 0, 0);
    ASK("kexec_file_load", SYS_kexec_file_load, 0, 0, 0, 0, 0);
    ASK("init_module", SYS_init_module, zeros, 1, "");
    ASK("finit_module", SYS_finit_module, 0, "", 0);
    ASK("delete_module", SYS_delete_module, "x", 0);
    ASK("ioctl-tiocsti", SYS_ioctl, 0, 0x5412ul, "x");
    ASK("ioctl-tiocsti-high-bits", SYS_ioctl, 0, 0x100005412ul, "x");
    ASK("ioctl-tioclinux", SYS_ioctl, 0, 0x541cul, zeros);
    ASK("ioctl-fs", SYS_ioctl, 0, 0x40086602ul, zeros);
    ASK("personality-read-implies-exec", SYS_personality, 0x0400000);
    ASK("personality-no-address-zero", SYS_personality, 0x0100000);
    ASK("shmget", SYS_shmget, 0, 4096, 01600);
    ASK("semget", SYS_semget, 0, 1, 01600);
    ASK("msgget", SYS_msgget, 0, 01600);
    ASK("mq_open", SYS_mq_open, "left", O_CREAT | O_RDWR, 0600, 0);
    ASK("inotify", SYS_inotify_init1, 0);
    ASK("fanotify", SYS_fanotify_init, 0, 0);
    ASK("name_to_handle_at", SYS_name_to_handle_at, -100, "/", zeros, zeros, 0);
    ASK("open_by_handle_at", SYS_open_by_handle_at, 3, zeros, 0);
    ASK("memfd_create", SYS_memfd_create, "x", 0);
    ASK("memfd_secret", SYS_memfd_secret, 0);
    ASK("seccomp", SYS_seccomp, 1, 0, 0);
    ASK("prctl-seccomp", SYS_prctl, 22, 2, 0, 0, 0);
    ASK("prctl-ambient", SYS_prctl, 47, 2, 21, 0, 0);
    ASK("prctl-ptracer", SYS_prctl, 0x59616d61, -1, 0, 0, 0);
    ASK("prctl-mm", SYS_prctl, 35, 1, 0, 0, 0);
    ASK("prctl-subreaper", SYS_prctl, 36, 1, 0, 0, 0);
    ASK("landlock", SYS_landlock_create_ruleset, zeros, 8, 0);
    ASK("setuid", SYS_setuid, 0);
    ASK("setresuid", SYS_setresuid, 0, 0, 0);
    ASK("setresgid", SYS_setresgid, 0, 0, 0);
    ASK("setgroups", SYS_setgroups, 0, zeros);
    ASK("capset", SYS_capset, zeros, zeros);
    ASK("chown", SYS_chown, "/app/p", 0, 0);
    ASK("setxattr", SYS_setxattr, "/app/p", "user.x", "x", 1, 0);
    ASK("mknod-device", SYS_mknod, "/app/device", 0020666, 0x0101);
    ASK("quotactl", SYS_quotactl, 0, 0, 0, 0);
    ASK("swapon", SYS_swapon, "/app/p", 0);
    ASK("reboot", SYS_reboot, 0xfee1dead, 672274793, 0, 0);
    ASK("sethostname", SYS_sethostname, "x", 1);
    ASK("syslog", SYS_syslog, 3, zeros, 64);
    ASK("acct", SYS_acct, "/app/p");
    ASK("settimeofday", SYS_settimeofday, zeros, 0);
    ASK("clock_settime", SYS_clock_settime, 0, zeros);
    ASK("adjtimex", SYS_adjtimex, zeros);
    ASK("modify_ldt", SYS_modify_ldt, 1, zeros, 16);
    ASK("ioperm", SYS_ioperm, 0, 1, 1);
    ASK("iopl", SYS_iopl, 3);
    ASK("vmsplice", SYS_vmsplice, 1, zeros, 1, 0);
    ASK("move_pages", SYS_move_pages, 1, 0, 0, 0, 0, 0);
    ASK("migrate_pages", SYS_migrate_pages, 1, 0, 0, 0);
    ASK("set_mempolicy", SYS_set_mempolicy, 0, 0, 0);
    ASK("sched_setscheduler", SYS_sched_setscheduler, 0, 1, zeros);
    ASK("setpriority", SYS_setpriority, 0, 0, -20);
    ASK("ioprio_set", SYS_ioprio_set, 1, 0, 0x2000);
    ASK("prlimit-of-init", SYS_prlimit64, 1, 0, 0, zeros);
    ASK("raise-own-limit", SYS_setrlimit, 7, (long[]){1 << 20, 1 << 20});
    ASK("execveat", SYS_execveat, 0, "", 0, 0, 0x1000);
    ASK("x32", 0x40000000ul | SYS_getpid);
    ASK("no-such-call", 1023);
    return 0;
}
