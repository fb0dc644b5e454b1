//! Commands on a terminal: prompts, and tables within its width.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking; the lints' own exception stops at the #[test] functions"
)]

mod common;

use common::{Poolctl, Response, Server, error, gemini_key, key, pool, pty::Pty, token};
use serde_json::json;

/// Runs a shell line on a terminal, logged in to `server`; `$POOLCTL` is the program.
fn shell(server: &Server, poolctl: &Poolctl, line: &str) -> Pty {
    let line = format!(
        "export POOLCTL_URL={} POOLCTL_TOKEN={} POOLCTL={}; stty cols 80 rows 24; {line}",
        server.url,
        token(),
        env!("CARGO_BIN_EXE_poolctl")
    );
    Pty::start(poolctl, "sh", &["-c", &line])
}

fn a_service() -> Server {
    Server::start(|request| match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/admin/v1/pools") => Response::Json(200, json!({"pools": [pool("keys", 3)]})),
        ("GET", path) if path.starts_with("/admin/v1/pools/prod/keys") => {
            let mut sick = key(12, true);
            sick["state"] = json!("suspended");
            sick["reason"] = json!("the project of this key has been suspended for a very long reason");
            sick["name"] = json!("the laptop of the person in the back office");
            Response::Json(200, json!({"keys": [sick, key(13, true)], "total": 2}))
        }
        ("POST", "/admin/v1/pools") => {
            let pool = pool(request.body["name"].as_str().unwrap(), 1);
            let import = json!({"added": 1, "duplicate": 0, "malformed": []});
            Response::Json(201, json!({"pool": pool, "client_key": "sk-pool-x", "import": import}))
        }
        _ => error(404, "not_found", "no such route", None),
    })
}

#[test]
fn the_name_of_a_new_pool_is_asked_for() {
    let server = a_service();
    let poolctl = Poolctl::new();
    poolctl.file("keys.txt", gemini_key(1));
    let mut pty = shell(&server, &poolctl, "$POOLCTL pool create --keys keys.txt; echo ended $?");
    // `keys` is taken.
    pty.wait_for("Name of the new pool [keys-2]");
    pty.send("keys\r");
    pty.wait_for("pool 'keys' already exists");
    pty.send("\r");
    pty.wait_for("ended 0");
    let created = server.requests().into_iter().find(|request| request.method == "POST").unwrap();
    assert_eq!(created.body["name"], "keys-2");
}

#[test]
fn a_row_is_one_line_with_colour_without_and_where_the_size_is_not_known() {
    let server = a_service();
    let poolctl = Poolctl::new();
    for (setting, size) in
        [("", "cols 80"), ("NO_COLOR=1", "cols 80"), ("TERM=dumb", "cols 80"), ("", "cols 0 rows 0")]
    {
        let line = format!("stty {size}; {setting} $POOLCTL key list prod; echo ended $?");
        let pty = shell(&server, &poolctl, &line);
        pty.wait_for("ended 0");
        pty.wait_until("a table of four lines", |screen| {
            let contents = screen.contents();
            let lines: Vec<_> = contents.lines().take_while(|line| !line.starts_with("ended")).collect();
            lines.len() == 4
                && lines[0].starts_with("ID ")
                && lines[2].starts_with("key-000000000000000c")
                && lines[2].contains("suspended")
                && lines[2].contains('…')
        });
    }
}
