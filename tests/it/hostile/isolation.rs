//! I: jobs that look for a way out, or for each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::hostile::case::{Case, run, told};
use crate::hostile::census::commands_below;
use crate::hostile::daemon::{ALL, Daemon, GNU, LLVM, LONG, SHORT, Who};
use crate::hostile::secrets::Secrets;
use crate::hostile::vector;
use crate::support::client::{Client, get};

/// What the kernel answers to what no job has any business with. `EAFNOSUPPORT`, `EPERM` and `ENOSYS` are the
/// filter's; the rest is what an unprivileged process gets from the kernel itself.
const ANSWERS: &str = include_str!("attacks/answers.txt");

#[tokio::test]
async fn the_kernel_refuses_what_no_job_needs() {
    let daemon = Daemon::start(&[LONG]).await;
    for who in [Who::Gcc, Who::Clangxx] {
        let body = json!({
            "source": "int x;",
            "options": {"userArguments": "-fplugin=./x.so"},
            "files": [
                {"filename": "x.so", "contents": vector::plugin()},
                {"filename": "x.sh", "contents": format!("gcc -w -DDAEMON={} -o p p.c && exec ./p", daemon.process())},
                {"filename": "p.c", "contents": include_str!("attacks/probe.c")},
            ],
        });
        let reply = daemon.compile(who, &body).await;
        assert_eq!(reply.header("x-job-status"), Some("ok"), "{}", reply.text());
        let got = told(&reply.json());
        let different: Vec<_> = ANSWERS
            .lines()
            .map(|want| (want, got.lines().find(|got| got.split(' ').next() == want.split(' ').next())))
            .filter(|(want, got)| Some(*want) != *got)
            .collect();
        assert!(different.is_empty(), "{who:?}: {different:?} in\n{got}");
        let asked = got.lines().filter(|line| line.split(' ').count() == 2).count();
        assert!(asked >= ANSWERS.lines().count() && asked >= 100, "{asked} answers:\n{got}");
        daemon.ordinary_job(who).await.unwrap();
    }
}

#[tokio::test]
async fn nothing_of_the_host_is_in_sight() {
    let daemon = Daemon::start(&[LONG]).await;
    let table = vec![
        Case::script("I03 environment", "ok", "env; exit 0").silent("AWS"),
        Case::script("I03 environment of everyone", "ok", "cat /proc/*/environ; exit 0").silent("AWS"),
        Case::script("I03 files of the host", "ok", "cat /etc/shadow @CREDENTIALS@ /proc/@PID@/environ /proc/1/root@CREDENTIALS@ /proc/1/cwd/Cargo.toml; exit 0"),
        Case::script("I03 configuration of the daemon", "ok", "cat @CONFIGURATION@ /proc/@PID@/root@CONFIGURATION@ /proc/1/root@CONFIGURATION@ /proc/@PID@/cmdline; grep -r sqs.invalid /etc /app /tmp; exit 0"),
        Case::program("I03 memory of the daemon", "ok", include_str!("attacks/memory.c")).says("asked"),
        Case::script("I03 memory of others", "ok", "for p in /proc/[0-9]*; do head -c 100 $p/mem $p/maps; done; exit 0"),
        Case::script("I03 disguised", "ok", "base64 @CREDENTIALS@; od -x @CREDENTIALS@; rev @CREDENTIALS@; exit 0"),
        Case::script("I04 no one else to see", "ok", "ls -d /proc/[0-9]* | wc -l | sed 's/^/processes: /'; exit 0").silent("processes: 6"),
        Case::script("I04 signals reach nobody", "ok", "kill -9 @PID@ && echo hit; kill -9 1 && echo hit; kill -STOP 1 && echo hit; exit 0").silent("hit"),
        Case::script("I05 only processes in /proc", "ok", "ls /proc; cat /proc/kcore /proc/keys /proc/timer_list /proc/kallsyms /proc/sys/kernel/hostname; exit 0").silent("\nsys\n").silent("kcore\n"),
        Case::script("I05 nothing to write in /proc", "ok", "echo b > /proc/sysrq-trigger && echo wrote; echo 1 > /proc/sys/kernel/panic && echo wrote; echo x > /proc/1/oom_score_adj && echo wrote; exit 0").silent("wrote"),
        Case::script("I05 no control groups", "ok", "ls /sys /sys/fs/cgroup /dev/shm /dev/mqueue /run /var /home /root && echo seen; exit 0").silent("seen"),
        Case::script("I06 setuid file of its own", "ok", "gcc -w -o p p.c && chmod 4755 p && ./p; exit 0").file("p.c", "#include <stdio.h>\n#include <unistd.h>\nint main(void){ setuid(0); printf(\"uid %d\\n\", geteuid()); }").silent("uid 0\n").says("uid "),
        Case::script("I06 setuid file of the host", "ok", "su -c id; passwd; mount -t tmpfs x /tmp && echo mounted; grep NoNewPrivs /proc/self/status; grep Cap /proc/self/status; exit 0").says("NoNewPrivs:\t1").says("CapEff:\t0000000000000000").says("CapBnd:\t0000000000000000").silent("mounted").silent("uid=0"),
        Case::script("I08 only three descriptors", "ok", "ls /proc/self/fd | tr '\\n' ' ' | sed 's/^/open: /'; exit 0").says("open: 0 1 2 3"),
        Case::script("I08 nothing behind the descriptors", "ok", "i=0; while [ $i -lt 64 ]; do ls /proc/self/fd/$i/../.. /proc/self/fd/$i/etc/shadow && echo seen; i=$((i+1)); done 2>/dev/null; cat /proc/1/fd/*; exit 0").silent("seen"),
        Case::script("I08 own executable", "ok", "cat /dev/null > /proc/self/exe && echo wrote; cat /dev/null > /usr/bin/gcc && echo wrote; exit 0").silent("wrote"),
        Case::script("I08 the jail's first process", "ok", "ls -l /proc/1/exe /proc/1/fd /proc/1/root /proc/1/cwd; cat /proc/1/maps; exit 0").silent("->"),
        Case::script("I01 the network is empty", "ok", "cat /proc/self/net/dev /proc/net/dev; gcc -w -o p p.c && ./p; exit 0").file("p.c", include_str!("attacks/connect.c")).silent("connected").silent("LEAK").says("socket: Address family not supported by protocol"),
        Case::script("I01 devices of bash", "ok", "bash -c 'exec 3<>/dev/tcp/127.0.0.1/@PORT@ && echo connected; exec 3<>/dev/udp/169.254.169.254/80 && echo connected'; exit 0").silent("connected"),
        Case::script("I01 a socket's path", "ok", "cat @SOCKET@; ls -l @SOCKET@ && echo seen; exit 0").silent("seen"),
        Case::script("I07 tools of namespaces", "ok", "unshare -U true && echo got in; unshare -m true && echo got in; nsenter -t 1 -m true && echo got in; setpriv --reuid 0 id && echo got in; chroot /app true && echo got in; exit 0").silent("got in"),
        Case::program("I07 calls of another architecture", "signalled", "int main(void){ long a; __asm__ volatile(\"int $0x80\" : \"=a\"(a) : \"a\"(20)); return 0; }").on(LLVM),
        Case::program("I07 calls of another architecture", "compile_error", "int main(void){ long a; __asm__ volatile(\"int $0x80\" : \"=a\"(a) : \"a\"(20)); return 0; }").on(GNU).says("Bad system call"),
        Case::script("I11 escapes pass as data", "ok", "printf '\\033[31mred\\033[0m \\007 <script>alert(1)</script> \\377\\376 \\n'; exit 0").says("<script>"),
        Case::script("I11 a forged record", "ok", "printf '\\001\\000\\000\\000\\000\\000\\000\\000' >&0; for fd in 3 4 5 6 7 8 9; do (eval \"printf forged >&$fd\") 2>/dev/null && echo \"wrote to $fd\"; done; exit 0").silent("wrote to"),
    ];
    run(&daemon, table).await;
}

/// What one job leaves, in every place that takes it, the next one must not find.
#[tokio::test]
async fn one_job_leaves_nothing_to_the_next() {
    let daemon = Daemon::start(&[LONG]).await;
    let before = daemon.at_rest().await;
    let mark = &daemon.secrets.predecessor;
    let leave = format!(
        "for d in / /app /tmp /dev /dev/shm /run /var/tmp /proc /usr/tmp; do echo {mark} > $d/{mark} && echo left in $d; done 2>/dev/null; \
         mkfifo /app/{mark}.fifo; setsid sh -c 'sleep 3179; : {mark}' & exit 0"
    );
    let search = "ls -laR /app /tmp /dev /run /var 2>/dev/null; cat /app/CAN* /tmp/CAN*; cat /proc/*/cmdline; ipcs 2>/dev/null; exit 0";
    let files = |script: &str| json!([{"filename": "x.so", "contents": vector::plugin()}, {"filename": "x.sh", "contents": script}]);
    for who in ALL {
        let job = |script: &str, number: usize| {
            json!({
                "source": format!("int x{number};"),
                "options": {"userArguments": "-fplugin=./x.so"},
                "files": files(script),
            })
        };
        let reply = daemon.compile(*who, &job(&leave, 0)).await;
        assert_eq!(reply.header("x-job-status"), Some("ok"), "{}", reply.text());
        let told = told(&reply.json());
        assert!(told.contains("left in /app") && told.contains("left in /tmp"), "{told}");
        assert_eq!(told.lines().filter(|line| line.starts_with("left in")).count(), 2, "{told}");
        // Every jail that stands ready, and then some.
        for number in 1..=8 {
            let reply = daemon.compile(*who, &job(search, number)).await;
            assert_eq!(reply.header("x-job-status"), Some("ok"), "{}", reply.text());
        }
    }
    daemon.is_back_at(&before).await.unwrap();
}

/// Two live jobs: one holds secrets in its source, its files, its environment, its arguments, what it prints and
/// what it writes; the other searches.
#[tokio::test]
async fn a_live_neighbor_is_out_of_reach() {
    let daemon = Daemon::start(&[SHORT]).await;
    let Secrets { neighbor: mark, output, request, .. } = &daemon.secrets;
    let hold = format!(
        "export SECRET={mark}; echo {output}; echo {output} >&2; echo '{output}: ret' > output.s; echo {output} > /tmp/secret; \
         exec sh -c 'sleep 3180; : {mark}'"
    );
    let search = "cat /proc/*/cmdline /proc/*/environ /app/secret /tmp/secret /app/output.s /proc/*/root/app/secret \
                  /proc/*/root/app/output.s /proc/*/cwd/* /dev/fd/* </dev/null; \
                  for p in /proc/[0-9]*; do for f in 0 1 2 3 4 5; do timeout 0.01 head -c 100 $p/fd/$f; done; done 2>/dev/null; exit 0";
    for (holder, searcher) in [(Who::Gcc, Who::Clang), (Who::Clangxx, Who::Gxx)] {
        let job = |source: String, script: &str, secret: &str| {
            json!({
                "source": source,
                "options": {"userArguments": "-fplugin=./x.so"},
                "files": [
                    {"filename": "x.so", "contents": vector::plugin()},
                    {"filename": "x.sh", "contents": script},
                    {"filename": "secret", "contents": secret},
                ],
            })
        };
        let search = json!({
            "source": "int y;",
            "options": {"userArguments": "-fplugin=./x.so"},
            "files": [
                {"filename": "x.so", "contents": vector::plugin()},
                {"filename": "x.sh", "contents": search},
            ],
        });
        let searching = async {
            let begun = tokio::time::Instant::now();
            while !commands_below(daemon.process()).iter().any(|command| command.contains("sleep 3180")) {
                assert!(begun.elapsed() < Duration::from_secs(20), "the holder never ran");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            daemon.compile(searcher, &search).await
        };
        // Its own reply may say its secrets: it is not searched.
        let (hold, named) =
            (job(format!("/* {mark} */ int x;"), &hold, mark), format!("X-Request-Id: {request}\r\n"));
        let (ended, searched) = tokio::join!(daemon.told(holder, &named, &hold), searching);
        assert_eq!(
            (ended.header("x-job-status"), searched.header("x-job-status")),
            (Some("timeout_wall"), Some("ok")),
            "{}",
            searched.text()
        );
        assert!(ended.text().contains(output) && ended.header("x-request-id") == Some(request), "{ended:?}");
        daemon.ordinary_job(searcher).await.unwrap();
    }
}

/// Set for the process that lives where the metadata service is.
const METADATA: &str = "HOSTILE_TEST_METADATA";

/// I01: what a cloud tells every process of its machines reaches the daemon, but no job. The service is a fake, and
/// its network one that this test made: there the test starts itself again.
#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "the harness starts itself again, and tells itself so by environment"
)]
async fn the_metadata_service_is_out_of_reach() {
    if std::env::var_os(METADATA).is_some() {
        return beside_the_metadata_service().await;
    }
    if !rustix::process::geteuid().is_root() {
        println!("skipped: an ordinary user makes no networks");
        return;
    }
    let network = "ip link set lo up && ip address add 169.254.169.254/32 dev lo && exec \"$0\" \"$@\"";
    let output = std::process::Command::new("unshare")
        .args(["--net", "sh", "-c", network])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "hostile::isolation::the_metadata_service_is_out_of_reach", "--nocapture"])
        .env(METADATA, "1")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && told.contains("1 passed"),
        "{told}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

async fn beside_the_metadata_service() {
    let daemon = Daemon::start(&[LONG]).await;
    let service = TcpListener::bind("169.254.169.254:80").await.unwrap();
    let address = service.local_addr().unwrap();
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", daemon.secrets.metadata.len())
        + &daemon.secrets.metadata;
    let callers = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&callers);
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        while let Ok((mut caller, _)) = service.accept().await {
            counter.fetch_add(1, Ordering::Relaxed);
            let _hung_up = caller.write_all(answer.as_bytes()).await;
        }
    });
    let reply =
        Client::connect(address).await.ask(get("/latest/meta-data/iam/security-credentials/", "")).await;
    assert_eq!(
        (reply.status, reply.text()),
        (200, daemon.secrets.metadata.as_str()),
        "beside the daemon it answers"
    );
    assert_eq!(callers.swap(0, Ordering::Relaxed), 1);
    let token = "exec 3<>/dev/tcp/169.254.169.254/80 && echo connected; printf 'PUT /latest/api/token HTTP/1.1\\r\\n\\r\\n' >&3; cat <&3";
    let table = vec![
        Case::script("I01 metadata by socket", "ok", "gcc -w -o p p.c && ./p; exit 0")
            .file("p.c", include_str!("attacks/connect.c"))
            .silent("connected")
            .says("socket: Address family not supported by protocol")
            .on(ALL),
        Case::script("I01 metadata by bash", "ok", &format!("bash -c '{token}'; exit 0"))
            .silent("connected")
            .on(ALL),
        Case::source("I01 metadata by include", "compile_error", "#include \"/dev/tcp/169.254.169.254/80\"")
            .on(ALL),
    ];
    run(&daemon, table).await;
    assert_eq!(callers.load(Ordering::Relaxed), 0, "somebody in a jail reached it");
}

/// I10: what one job used up is not counted against the next, nor against the one beside it.
#[tokio::test]
async fn limits_are_each_jobs_own() {
    let daemon = Daemon::start(&[LONG]).await;
    let most = "head -c 150M /dev/zero | tail -c 150M > /dev/null; sleep 0.2; exit 0";
    let table = vec![
        Case::script("I10 most of the memory", "ok", most).on(GNU),
        Case::script("I10 most of the memory", "ok", most).on(LLVM),
        Case::script("I10 too much", "oom", "exec tail /dev/zero").ungrouped("compile_error"),
        Case::script("I10 most of the memory again", "ok", most),
        Case::script(
            "I10 most of the processes",
            "ok",
            "i=0; while [ $i -lt 30 ]; do sleep 0.3 & i=$((i+1)); done; wait; exit 0",
        ),
        Case::script(
            "I10 most of the scratch",
            "ok",
            "for i in 1 2 3; do head -c 7M /dev/zero > f$i; done; exit 0",
        ),
    ];
    run(&daemon, table).await;
}
