//! The browser page in Chromium, against both hosts.
//!
//! The suite itself is `page/*.test.mjs`; here it gets a service, and behind it a stand-in for Gemini. It needs Node,
//! Chromium (`.ci/chromium.sh` finds or installs it) and the built Worker: `make bundle`, then `--features page`.
//! Screenshots are left in `target/page/`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "clippy.toml allows them in tests, but not in a test's own helper functions"
)]

#[path = "support/native.rs"]
mod native;
mod support;
#[path = "support/workerd_kv.rs"]
mod workerd_kv;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use pool_fake_gemini::{Behaviour, FakeGemini, KeySpec, Scenario};
use pool_shared::parse_key_file;
use serde_json::{Value, json};
use workerd_kv::workerd;

const GOOD: [&str; 3] = [
    "AIzaSyPage-good-one-000000000000000001",
    "AIzaSyPage-good-two-000000000000000002",
    "AQ.Page-good-three-0000000000000000003",
];
const INVALID: &str = "AIzaSyPage-invalid-000000000000000004";

/// The browser: looked for, and installed where it is missing, by one test while the others wait.
static CHROMIUM: LazyLock<String> = LazyLock::new(|| {
    let found = Command::new(root().join(".ci/chromium.sh")).output().unwrap();
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    String::from_utf8(found.stdout).unwrap().trim().to_owned()
});

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Texts that people paste, each with what `poolctl` makes of it.
fn key_texts() -> Value {
    let [a, b, c] = GOOD;
    let texts = [
        String::new(),
        format!("\u{feff}# mine\r\n\r\n  {a}  \n{b}, {a},\n"),
        format!("{a},3,project-1,laptop\n{b},,project-2\n{c},0"),
        format!("short\n{a}\n{b},9999\n{b},-1\n{b},1.5\n{b}"),
        format!("{a},{b},{c},{a}"),
        format!("{a},\n{b},,\n{c},,,"),
        format!("{a},1,tag,name,more\n{b},1,,{}", "x".repeat(200)),
        format!("{a} {b}\n{a}\u{e9}\n{}\n", "y".repeat(513)),
        format!("{a}\n{a},5\n{b}\t\n\t{b}"),
        format!("{a},1000\n{b},1001\n{c},+1"),
        "# nothing\n#\n  # else\n".to_owned(),
        format!(",1\n,,x\n{a},1,  spaced tag ,  spaced name "),
        format!("\"{a}\"\n'{b}',\n`{c}`;"),
        format!("export K=\"{a},{b}\" # mine\nGOOGLE_API_KEY='{c}'"),
        format!("{a};2;team, x;n\n{b}\t3\tt\n| {c} | 4 |"),
        format!("https://x?key={a}&alt=sse\ncurl \"https://x?key={b}\" -H 'a: b'\nhttps://x/{c}"),
        format!("keys = [\n  \"{a}\",\n  \"{b}\",\n]\nkeys:\n- {c}"),
        format!("K=({a} '{b}')\n1. {c}\n* **{a}**"),
        format!("name;\"API key\";other;weight\nlaptop;{a};x;7\n\"a;b\";{b}\n;{c};;;"),
        format!("\"{a}\",\"2\",\"team, \"\"x\"\"\",laptop\r{b}\r{c}"),
        format!(
            "[\"{a}\", \"{b}\",\n {{\"key\": \"{c}\", \"weight\": 9, \"tag\": \"t\"}}, \"{a}\", \"short\"]"
        ),
        format!("{{\"key\":\"{a}\"}}\n{{\"apiKey\":\"{b}\",\"key_id\":\"{c}\"}}"),
        format!("{{\"type\":\"service_account\",\"private_key\":\"{a}\"}}"),
        format!("['{a}']"),
        format!("{{\"project\":\"{a}\"}}"),
        format!("-----BEGIN PRIVATE KEY-----\n{a}"),
        format!("AIza…wxyz\n{a}****\n***\n---\n```\n{b}\n```\nsk-pool-{}", "a".repeat(40)),
        format!("“{a}”，{b}、{c}；"),
        format!("Authorization: Bearer {a}\nalice:{b}\nKEY={c}@"),
        format!("\u{200b}{a}\u{a0}\n<{b}>\n{c}\\"),
        format!("{a}:{b}\n{a}={c}\n\"{b}\": \"{c}\"\nK={}{a}", "(".repeat(20_000)),
        format!("[\n\"{b}\",\n\"{}\",\n\"{c}\"]", a.replacen('A', "\\u0041", 1)),
    ];
    texts
        .iter()
        .map(|text| {
            let file = parse_key_file(text);
            let entry = |entry: &pool_shared::KeyImportEntry| {
                json!({
                    "key": entry.key.expose(), "line": entry.line, "weight": entry.weight.get(),
                    "tag": entry.tag, "name": entry.name,
                })
            };
            json!({
                "text": text,
                "entries": file.entries.iter().map(entry).collect::<Vec<_>>(),
                "duplicate_lines": file.duplicate_lines,
                "malformed_lines": file.malformed.iter().map(|entry| entry.line).collect::<Vec<_>>(),
            })
        })
        .collect()
}

#[test]
fn the_page_reads_keys_as_poolctl_does() {
    let data = tempfile::tempdir().unwrap();
    let texts = data.path().join("texts.json");
    std::fs::write(&texts, key_texts().to_string()).unwrap();
    let suite = root().join("worker/tests/page/texts.test.mjs");
    let mut command = Command::new("node");
    command.arg("--test").arg(suite).env("POOL_KEY_TEXTS", texts);
    let output = support::output_within(support::SUITE_TIMEOUT, &mut command);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// Runs the suite; `only` is a pattern of cases' names.
async fn works(url: String, host: &'static str, only: Option<&'static str>, data: PathBuf) {
    let shots = root().join("target/page").join(host);
    std::fs::create_dir_all(&shots).unwrap();
    let [keys, texts] = ["keys.json", "texts.json"].map(|name| data.join(name));
    std::fs::write(&keys, json!({"good": GOOD, "invalid": INVALID}).to_string()).unwrap();
    std::fs::write(&texts, key_texts().to_string()).unwrap();
    // The service and the stand-in go on answering on this thread while the suite runs on another.
    let run = move || {
        let suite = root().join("worker/tests/page");
        let mut command = Command::new("node");
        command.arg("--test").args(only.map(|names| format!("--test-name-pattern={names}")));
        command.args(["texts.test.mjs", "page.test.mjs"].map(|file| suite.join(file)));
        command.env("POOL_URL", url).env("POOL_ADMIN_PASSWORD", support::ADMIN_PASSWORD);
        command.env("POOL_BROWSER", &*CHROMIUM).env("POOL_SHOTS", shots);
        command.env("POOL_KEYS", keys).env("POOL_KEY_TEXTS", texts);
        support::output_within(support::SUITE_TIMEOUT, &mut command)
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "{}", text.concat());
}

/// Makes the test of one host.
macro_rules! on {
    ($(#[$attribute:meta])* $host:ident: $test:ident, $only:expr) => {
        $(#[$attribute])*
        #[tokio::test]
        async fn $test() {
            let invalid = KeySpec::new(INVALID, Behaviour::Invalid);
            let gemini = FakeGemini::start(Scenario::with_keys(GOOD).key(invalid)).await.unwrap();
            let data = tempfile::tempdir().unwrap();
            let host = $host::Host::start(gemini.url(), data.path()).await;
            works(host.url(), stringify!($host), $only, data.path().to_owned()).await;
            host.stop().await;
        }
    };
}

on!(native: the_page_works_on_pool_server, None);
// The page is the same on every host, and the contract suites test the API behind it on each.
on! {
    #[ignore = "nightly: make test-nightly"]
    workerd: the_page_works_on_the_worker, None
}
// With KV only the API's implementation differs: each action once, without the layout.
on! {
    #[ignore = "nightly: make test-nightly"]
    workerd_kv: the_page_works_on_the_worker_with_kv, Some("pool is|keys are|right one")
}
