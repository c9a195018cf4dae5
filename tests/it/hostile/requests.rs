//! H12 and H13: requests that are hard to read, as far as they reach a compile.

use serde_json::json;

use crate::hostile::daemon::{ALL, Daemon, LLVM, LONG, Who};

/// Bodies, what they are answered with, and the job's status; where the families differ, GCC's and Clang's.
fn bodies() -> Vec<(&'static str, Vec<u8>, u16, &'static str)> {
    let text = |text: &str| text.as_bytes().to_vec();
    let options = |options: &str| {
        json!({"source": "int x;", "options": {"userArguments": options}}).to_string().into_bytes()
    };
    let deep = |depth: usize| {
        format!(
            "{{\"source\":\"int x;\",\"options\":{{}},\"x\":{}1{}}}",
            "[".repeat(depth),
            "]".repeat(depth)
        )
        .into_bytes()
    };
    let keys: Vec<String> = (0..100_000).map(|number| format!("\"k{number}\":0")).collect();
    let keys = format!("{{\"source\":\"int x;\",\"options\":{{}},{}}}", keys.join(","));
    vec![
        ("depth 200", deep(200), 400, "rejected"),
        ("depth 400000", deep(400_000), 400, "rejected"),
        ("duplicate key", text("{\"source\":\"int x;\",\"source\":\"int y;\",\"options\":{}}"), 400, "rejected"),
        ("duplicate key in options", text("{\"source\":\"int x;\",\"options\":{\"userArguments\":\"\",\"userArguments\":\"-O2\"}}"), 400, "rejected"),
        ("duplicate key out of sight", text("{\"source\":\"int x;\",\"options\":{},\"x\":{\"a\":1,\"a\":2}}"), 400, "rejected"),
        ("duplicate key spelt otherwise", text("{\"source\":\"int x;\",\"\\u0073ource\":\"int y;\",\"options\":{}}"), 400, "rejected"),
        ("no UTF-8", text("{\"source\":\"").into_iter().chain(*b"\xff\",\"options\":{}}").collect(), 400, "rejected"),
        ("lone surrogate", text("{\"source\":\"\\ud800\",\"options\":{}}"), 400, "rejected"),
        ("byte order mark", text("\u{feff}{\"source\":\"int x;\",\"options\":{}}"), 400, "rejected"),
        ("number without measure", text("{\"source\":\"int x;\",\"options\":{},\"bypassCache\":1e999}"), 400, "rejected"),
        ("trailing junk", text("{\"source\":\"int x;\",\"options\":{}} x"), 400, "rejected"),
        ("not an object", text("[]"), 400, "rejected"),
        ("nothing", Vec::new(), 400, "rejected"),
        ("source of another type", text("{\"source\":1,\"options\":{}}"), 400, "rejected"),
        ("no source", text("{\"source\":\"\",\"options\":{}}"), 200, "rejected"),
        ("zero in the source", text("{\"source\":\"int x;\\u0000\",\"options\":{}}"), 200, "ok"),
        ("zero in an argument", options("-DX=\0"), 400, "rejected"),
        ("million elements", format!("{{\"source\":\"int x;\",\"options\":{{}},\"files\":[{}0]}}", "0,".repeat(1_000_000)).into_bytes(), 400, "rejected"),
        ("hundred thousand keys", text(&keys), 400, "rejected"),
        ("option of 100 KB", options(&format!("-DX={}", "x".repeat(100_000))), 400, "rejected"),
        ("ten thousand options", options(&"-DABCDEF ".repeat(10_000)), 400, "rejected"),
        ("as many options as may be", options(&"-DABC ".repeat(8_000)), 200, "ok"),
        ("unclosed quotes", options("\"'-DX=\\"), 200, "compile_error"),
        ("empty options", options(&" ".repeat(60_000)), 200, "ok"),
        ("option that is a file name", options("-- -x"), 200, "compile_error"),
        ("environment", json!({"source": "int x;", "options": {"compilerOptions": {"overrides": [{"name": "env", "values": [{"name": "LD_PRELOAD", "value": "/app/x.so"}, {"name": "GCC_EXEC_PREFIX", "value": "/app/"}, {"name": "TMPDIR", "value": "/etc"}]}]}}}).to_string().into_bytes(), 200, "compile_error|ok"),
        ("output elsewhere", json!({"source": "int x;", "options": {"compilerOptions": {"customOutputFilename": "../../etc/hostile"}}}).to_string().into_bytes(), 400, "rejected"),
        ("output by absolute path", json!({"source": "int x;", "options": {"compilerOptions": {"customOutputFilename": "/etc/passwd"}}}).to_string().into_bytes(), 200, "compile_error"),
        ("output is the source", json!({"source": "int x;", "options": {"compilerOptions": {"customOutputFilename": "example.c"}}}).to_string().into_bytes(), 400, "rejected"),
        ("source of 4 MiB of comment", json!({"source": format!("/*{}*/ int x;", "x".repeat(4 << 20)), "options": {}}).to_string().into_bytes(), 200, "ok"),
        ("body beyond what is taken", json!({"source": "x".repeat(17 << 20), "options": {}}).to_string().into_bytes(), 413, "rejected"),
    ]
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_and_the_rest_compiles() {
    let daemon = Daemon::start(&[LONG]).await;
    let before = daemon.at_rest().await;
    let mut wrong = Vec::new();
    for (name, body, status, job) in bodies() {
        // What is refused is refused before anyone asks for which compiler.
        let compilers = if status == 200 { ALL } else { &[Who::Gcc] };
        for who in compilers {
            let (gnu, llvm) = job.split_once('|').unwrap_or((job, job));
            let job = if LLVM.contains(who) { llvm } else { gnu };
            let reply = daemon.compile_bytes(*who, &body).await;
            let got = (reply.status, reply.header("x-job-status").unwrap_or("none"));
            if got != (status, job) {
                let want = (status, job);
                wrong.push(format!("{name} on {who:?}: {got:?}, not {want:?}: {:.300}", reply.text()));
            }
            wrong.extend(daemon.ordinary_job(*who).await.err());
        }
    }
    wrong.extend(daemon.is_back_at(&before).await.err());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
