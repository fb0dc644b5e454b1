//! Tests of startup: rejected settings, file permissions, resumption of an interrupted first start.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use crate::program::{Program, command, first_line, output_of};

/// Returns `true` if a message repeats a part, such as its cause.
fn repeats_a_part(message: &str) -> bool {
    let mut parts: Vec<_> = message.split([':', '\n']).map(str::trim).filter(|part| part.len() > 3).collect();
    let count = parts.len();
    parts.sort_unstable();
    parts.dedup();
    parts.len() < count
}

#[test]
fn an_invalid_setting_is_rejected_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "no folder").unwrap();
    for (name, value, expected) in [
        ("DATA_DIR", file.to_str().unwrap(), "os error"),
        ("GEMINI_BASE_URL", "ftp://example.com", "GEMINI_BASE_URL"),
        ("GEMINI_BASE_URL", "https://example.com/?key=x", "GEMINI_BASE_URL"),
        ("GEMINI_BASE_URL", "https://example.com", "GEMINI_ALLOWED_HOSTS"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL"),
        ("ADMIN_PASSWORD", "short", "ADMIN_PASSWORD"),
        ("MASTER_KEY", "c2hvcnQ=", "MASTER_KEY"),
        ("HOST", "203.0.113.1", "cannot listen on 203.0.113.1"),
        ("ADMIN_PASSWORD", "aaaaaaaaaaaaaaaaaaaa", "repeated"),
    ] {
        let output = output_of(&mut command(folder.path(), &[(name, value)]));
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{name}={value}");
        assert!(error.starts_with("error: ") && error.contains(expected), "{error}");
        assert!(!repeats_a_part(&error), "{error}");
    }
}

#[test]
fn a_startup_error_is_printed_once_with_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let first = Program::start(&folder.path().join("first"), &[]);
    let port = first.url.rsplit(':').next().unwrap().to_owned();
    let refused = |data: &str, environment: &[(&str, &str)]| {
        let output = output_of(&mut command(&folder.path().join(data), environment));
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let error = refused("second", &[("PORT", &port)]);
    assert_eq!(error.matches("os error").count(), 1, "{error}");
    assert!(error.contains("\nhint: ") && error.contains("PORT"), "{error}");

    let error = refused("first", &[]);
    assert!(error.contains(&format!("process {}", first.id())) && error.contains("DATA_DIR"), "{error}");
    assert!(first.interrupt().0.success());

    let data = folder.path().join("first");
    let database = rusqlite::Connection::open(data.join("pool.db")).unwrap();
    let newer = "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL);
        DELETE FROM schema_version; INSERT INTO schema_version VALUES (999);";
    database.execute_batch(newer).unwrap();
    drop(database);
    let error = refused("first", &[]);
    assert!(error.contains("version 999") && error.contains("pool.db"), "{error}");
    assert!(error.contains("this program knows version"), "{error}");
}

#[test]
fn a_different_master_key_is_rejected_at_startup() {
    let folder = tempfile::tempdir().unwrap();
    let keys = ["A", "B"].map(|letter| letter.repeat(43) + "=");
    let [own, other] = keys.each_ref().map(|key| key.replace("B=", "A="));
    let environment = |key| [("ADMIN_PASSWORD", "a password for the test"), ("MASTER_KEY", key)];
    assert!(Program::start(folder.path(), &environment(&own)).interrupt().0.success());
    let output = output_of(&mut command(folder.path(), &environment(&other)));
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("MASTER_KEY is not the key that this store was encrypted with"), "{error}");
    // It is rejected as the previous key of a third one too.
    let third = "C".repeat(42) + "A=";
    let both = [("MASTER_KEY", &*third), ("MASTER_KEY_PREV", &*other)];
    assert_eq!(output_of(&mut command(folder.path(), &both)).status.code(), Some(1));
    assert!(
        Program::start(folder.path(), &environment(&own)).interrupt().0.success(),
        "the data is unchanged"
    );
}

#[cfg(unix)]
#[test]
fn files_are_private_and_a_world_readable_secret_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let set = |name: &str, mode| {
        std::fs::set_permissions(data.join(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let server = Program::start(&data, &[]);
    assert_eq!(mode(&data), 0o700);
    let names: Vec<_> = std::fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(names.len() >= 7, "{names:?}");
    for path in names {
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    assert!(server.interrupt().0.success());

    set("pool.db", 0o644);
    set("ADMIN_PASSWORD", 0o640);
    let mut program = command(&data, &[]);
    let mut child = program.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let line = first_line(child.stderr.take().unwrap());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(line.starts_with("warning: ") && line.contains("ADMIN_PASSWORD"), "{line}");
    assert_eq!(mode(&data.join("pool.db")), 0o600);

    set("MASTER_KEY", 0o644);
    let output = output_of(&mut command(&data, &[]));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("MASTER_KEY can be read by every user"), "{error}");
}

#[test]
fn an_interrupted_first_start_is_resumed() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["MASTER_KEY", "ADMIN_PASSWORD", "pool.db"] {
        std::fs::write(folder.path().join(name), "").unwrap();
    }
    let server = Program::start(folder.path(), &[]);
    let (status, printed) = server.interrupt();
    assert!(status.success());
    for name in ["MASTER_KEY", "ADMIN_PASSWORD"] {
        let path = folder.path().join(name);
        assert!(printed.contains(&path.display().to_string()), "{printed}");
        assert!(std::fs::metadata(path).unwrap().len() > 0);
    }
    // The error names a file of the folder that is unusable.
    for name in ["unreported", "pool.db", "pool-server.lock", "MASTER_KEY"] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(name)).unwrap();
        let output = output_of(&mut command(folder.path(), &[("MASTER_KEY_PREV", " ")]));
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(&folder.path().join(name).display().to_string()), "{name}: {error}");
    }
    let half = folder.path().join("MASTER_KEY");
    std::fs::write(&half, "c2hvcnQ=").unwrap();
    let output = output_of(&mut command(folder.path(), &[]));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains(&half.display().to_string()), "{error}");
}
