//! F: names that lead astray, and what a job leaves where the daemon reads.

use serde_json::{Value, json};

use crate::hostile::case::{Case, run};
use crate::hostile::daemon::{ALL, Daemon, LONG, Who};
use crate::support::client::post;

/// F01-F09, F12: what becomes of a request whose extra files are called this; the answer's status, that of the job,
/// and a word of the explanation. `source` is what the main file is called for the compiler asked.
fn names(source: &str) -> Vec<(Vec<String>, u16, &'static str, &str)> {
    let one = |name: &str| vec![name.to_owned()];
    let all = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    vec![
        (one("../x"), 200, "rejected", "Invalid filename"),
        (one("a/../../b"), 200, "rejected", "Invalid filename"),
        (one("../../../../etc/cron.d/x"), 200, "rejected", "Invalid filename"),
        (one("."), 200, "rejected", "Invalid filename"),
        (one(".."), 200, "rejected", "Invalid filename"),
        (one("/"), 200, "rejected", "Invalid filename"),
        (one("a/"), 200, "rejected", "Invalid filename"),
        (one(""), 200, "rejected", "do not have a filename"),
        (one("/etc/abs"), 200, "ok", ""),
        (one("\0"), 400, "rejected", ""),
        (one("a\0b"), 400, "rejected", ""),
        (one(&"x".repeat(255)), 200, "ok", ""),
        (one(&"x".repeat(256)), 400, "rejected", "255"),
        (one(&"é".repeat(128)), 400, "rejected", "255"),
        (one(&"d/".repeat(2048)), 400, "rejected", "1024"),
        (one(&format!("{}x", "d/".repeat(200))), 400, "rejected", "deep"),
        (all(&["\u{e9}", "e\u{301}"]), 200, "ok", ""),
        (all(&["a.h", "A.h"]), 200, "ok", ""),
        (one("\u{202e}gpj.exe"), 200, "ok", ""),
        (one("a\nb"), 400, "rejected", "control character"),
        (one("\u{1b}[2J"), 400, "rejected", "control character"),
        (one("\u{9b}31m"), 400, "rejected", "control character"),
        (one("<script>alert(1)</script>"), 200, "ok", ""),
        (all(&["-o", "-fplugin=x", "@f", "--", "-", "*", "$(id)", "a b", "'", "\"", "\\"]), 200, "ok", ""),
        (one(source), 400, "rejected", source),
        (one(&format!("./{source}")), 400, "rejected", source),
        (one("output.s"), 400, "rejected", "output.s"),
        (one("output.s/x"), 400, "rejected", "output.s"),
        (one("compile.json"), 200, "ok", ""),
        (all(&["a", "a"]), 400, "rejected", "twice"),
        (all(&["a", "b/../a"]), 400, "rejected", "twice"),
        (all(&["a", "a/b"]), 400, "rejected", "directory"),
        (all(&["a/b/c", "a/b"]), 400, "rejected", "directory"),
        ((0..10_000).map(|number| number.to_string()).collect(), 400, "rejected", "64"),
        ((0..64).map(|number| number.to_string()).collect(), 200, "ok", ""),
        ((0..33).map(|number| format!("{number}/{}f", "d/".repeat(8))).collect(), 413, "rejected", "256"),
    ]
}

#[tokio::test]
async fn names_are_only_names_or_refused() {
    let daemon = Daemon::start(&[LONG]).await;
    let before = daemon.at_rest().await;
    let mut wrong = Vec::new();
    for who in ALL {
        let source = if matches!(who, Who::Gcc | Who::Clang) { "example.c" } else { "example.cpp" };
        for (number, (names, status, job, word)) in names(source).into_iter().enumerate() {
            let files: Vec<Value> =
                names.iter().map(|name| json!({"filename": name, "contents": "int in_a_file;"})).collect();
            let source = format!("int named{number};");
            let reply = daemon.compile(*who, &json!({"source": source, "options": {}, "files": files})).await;
            let got = (reply.status, reply.header("x-job-status").unwrap_or("none"));
            if got != (status, job) || !reply.text().contains(word) {
                let shown: String = names.join(" ").chars().take(60).collect();
                let want = (status, job);
                wrong.push(format!("{shown:?} on {who:?}: {got:?}, not {want:?}: {:.200}", reply.text()));
            }
        }
        wrong.extend(daemon.ordinary_job(*who).await.err());
    }
    for (bytes, why) in [
        (&b"\xff\xfe"[..], "no UTF-8"),
        (b"\xc0\xae\xc0\xae/x", "overlong dots"),
        (b"\xed\xa0\x80", "an encoded surrogate"),
        (b"\\ud800", "a lone surrogate"),
    ] {
        let body = [
            b"{\"source\":\"int x;\",\"options\":{},\"files\":[{\"filename\":\"",
            bytes,
            b"\",\"contents\":\"\"}]}",
        ]
        .concat();
        let reply = daemon.compile_bytes(Who::Gcc, body).await;
        let got = (reply.status, reply.header("x-job-status").unwrap_or("none"));
        if got != (400, "rejected") {
            wrong.push(format!("{why}: {got:?}"));
        }
    }
    let gigabyte = post("/api/compiler/x/compile", "Content-Type: application/json\r\n", "");
    let gigabyte = String::from_utf8(gigabyte).unwrap().replace("Length: 0", "Length: 1073741824");
    assert_eq!(daemon.ask(daemon.http, gigabyte).await.status, 413);
    wrong.extend(daemon.is_back_at(&before).await.err());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// F10-F16: a job that leaves something else where its output is looked for.
#[tokio::test]
async fn what_a_job_leaves_leads_nobody_astray() {
    let daemon = Daemon::start(&[LONG]).await;
    let none = "<No output file>";
    let table = vec![
        Case::script("F10 link to shadow", "ok", "ln -s /etc/shadow output.s; exit 0").says(none),
        Case::script("F10 link to secrets", "ok", "ln -s @CREDENTIALS@ output.s; exit 0").says(none),
        Case::script("F10 link to what the daemon has", "ok", "ln -s /proc/self/environ output.s; exit 0").says(none),
        Case::script("F10 link to a descriptor of the daemon", "ok", "ln -s /proc/self/fd/9 output.s; exit 0").says(none),
        Case::script("F10 link to its own file", "ok", "echo 'x:' > a; ln -s a output.s; exit 0").says(none),
        Case::script("F10 link to itself", "ok", "ln -s output.s output.s; exit 0").says(none),
        Case::script("F10 linked directory", "ok", "rm -rf out; ln -s /etc out; exit 0").output("out/shadow").says(none),
        Case::script("F10 directory of a process", "ok", "ln -s /proc/self/root out; exit 0").output("out/etc/passwd").says(none),
        Case::script("F11 hard link to the host", "ok", "ln /etc/passwd output.s && echo linked; ln /usr/bin/gcc output.s && echo linked; ln /proc/self/environ output.s && echo linked; exit 0").says(none).silent("linked"),
        Case::script("F11 hard link of its own", "ok", "echo 'own: ret' > a; ln a output.s; exit 0").says("own:"),
        Case::script("F13 FIFO", "ok", "mkfifo output.s || exit 3; exit 0").says(none),
        Case::script("F13 device", "ok", "mknod output.s c 1 5; mknod output.s b 8 0; [ -e output.s ] && echo made; exit 0").says(none).silent("made"),
        Case::script("F13 directory", "ok", "mkdir output.s; exit 0").says(none),
        Case::script("F13 directory with a file", "ok", "mkdir -p output.s/output.s; echo x: > output.s/output.s/x; exit 0").says(none),
        Case::script("F13 setuid", "ok", "echo 'own: ret' > output.s; chmod 6777 output.s; exit 0").says("own:"),
        // Whether root serves decides whether it may read them; both answers are right, and nothing else is.
        Case::script("F15 nobody may read it", "ok", "echo 'own: ret' > output.s; chmod 000 output.s; exit 0").says_one_of(["own:", none]),
        Case::script("F15 nobody may enter", "ok", "mkdir -p d/e; echo x > d/e/f; chmod 000 d/e d; exit 0").says(none),
        Case::script("F15 nobody may enter where the output is", "ok", "mkdir -p d/e; echo 'own: ret' > d/e/o.s; chmod 000 d/e d; exit 0").output("d/e/o.s").says_one_of(["own:", none]),
        Case::script("F15 nobody may enter the work directory", "ok", "echo 'own: ret' > output.s; chmod 000 /app; exit 0").says_one_of(["own:", none]),
        Case::script("F16 work directory removed", "ok", "rm -rf /app; rmdir /app; mv /app /tmp/app && echo moved; exit 0").says(none).silent("moved"),
        Case::script("F16 work directory covered", "ok", "mkdir /tmp/app; mount --bind /tmp/app /app && echo covered; exit 0").silent("covered"),
        // The renamer has done its rounds, and is at it until it is killed.
        Case::program("F14 race of a link and a file", "ok", include_str!("attacks/renamer.c")).says_one_of(["own:", none]).says("10000 exchanges"),
        Case::program("F14 race within the name", "ok", include_str!("attacks/renamer.c")).output("out/x/o.s").says_one_of(["own:", none]).says("10000 exchanges"),
        Case::script("odd bytes in the listing", "ok", "printf 'a:\\n\\t.ascii \\377\\376\\000\\033[31m\\nb:\\n\\tret\\n' > output.s; exit 0"),
        Case::script("a line without end", "ok", "head -c 1500000 /dev/zero | tr '\\000' x > output.s; exit 0"),
        Case::script("nothing but line ends", "ok", "head -c 100000 /dev/zero | tr '\\000' '\\n' > output.s; exit 0"),
    ];
    run(&daemon, table).await;
}
