//! The help pages are part of the contract: a change shows in review.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking; the lints' own exception stops at the #[test] functions"
)]

mod common;

use std::path::{Path, PathBuf};

use common::Poolctl;

#[test]
fn help() {
    let poolctl = Poolctl::new();
    insta::assert_snapshot!("help", poolctl.run(&["--help"]));
    insta::assert_snapshot!("help_short", poolctl.run(&["-h"]));
    insta::assert_snapshot!("help_pool_create", poolctl.run(&["pool", "create", "--help"]));
    insta::assert_snapshot!("help_key_disable", poolctl.run(&["key", "disable", "--help"]));
    assert_eq!(poolctl.run(&[]).code, 2);
}

/// Every help text, the demo, and the documents but `docs/translation.md`, which lists such models.
fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let pages = std::fs::read_dir(root.join("docs")).unwrap().map(|page| page.unwrap().path());
    let is_page = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "md");
    let mut documents: Vec<PathBuf> =
        pages.filter(is_page).filter(|path| !path.ends_with("translation.md")).collect();
    assert!(documents.len() > 10, "{documents:?}");
    documents.extend(
        [
            "cli/src/app/snapshots/poolctl__app__tests__help_pages.snap",
            "README.md",
            "README.zh-CN.md",
            "worker/examples/demo.rs",
        ]
        .map(|name| root.join(name)),
    );
    documents
}

#[test]
fn examples_name_no_model_that_ends_or_that_another_one_answers() {
    for document in documents() {
        let text = std::fs::read_to_string(&document).unwrap();
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.');
        let words = text.split(|letter: char| !is_part(letter)).map(|word| word.trim_end_matches(['.', '-']));
        for model in words.filter(|word| word.starts_with("gemini-")) {
            assert_eq!(pool_shared::model_notice(model), None, "{}", document.display());
            assert!(!model.starts_with("gemini-2."), "{}: {model}", document.display());
        }
    }
}

#[test]
fn topics() {
    let poolctl = Poolctl::new();
    for topic in ["environment", "exit-codes", "formats", "selection"] {
        insta::assert_snapshot!(format!("topic_{topic}"), poolctl.run(&["help", topic]));
    }
    assert_eq!(
        poolctl.run(&["help", "pool", "create"]).stdout,
        poolctl.run(&["pool", "create", "--help"]).stdout
    );
    insta::assert_snapshot!("topic_unknown", poolctl.run(&["help", "exit-code"]));
    assert!(poolctl.run(&["help", "pool", "crate"]).stderr.contains("did you mean create?"));
}

#[test]
fn manual_pages_are_written_into_a_folder() {
    let poolctl = Poolctl::new();
    let run = poolctl.run(&["man", "--dir", "man1", "-o", "json"]);
    let pages = run.json()["pages"].as_array().unwrap().len();
    assert_eq!(std::fs::read_dir(poolctl.path().join("man1")).unwrap().count(), pages);
    let page = std::fs::read_to_string(poolctl.path().join("man1/poolctl-key-import.1")).unwrap();
    assert!(page.contains("poolctl\\-key\\-import") || page.contains("poolctl key import"), "{page}");
    assert!(poolctl.run(&["man"]).stdout.starts_with(".ie"));
}

#[test]
fn version_and_completions() {
    let poolctl = Poolctl::new();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(poolctl.run(&["--version"]).stdout, format!("poolctl {version}\n"));
    assert_eq!(poolctl.run(&["version", "-o", "json"]).json()["version"], version);
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let run = poolctl.run(&["completions", shell]);
        assert!(run.code == 0 && run.stdout.contains("client-key"), "{shell}");
    }
}
