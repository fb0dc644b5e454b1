//! The command tree is a contract: its changes show in review, in `docs/cli.json` and the snapshots
//! of help, man page and completions.

use std::{fmt::Write as _, time::Duration};

use clap::CommandFactory;
use serde_json::{Value, json};

use super::*;
use crate::config::seconds;

#[test]
fn the_tree_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_has_examples() {
    fn check(command: &clap::Command, path: &str) {
        let path = format!("{path} {}", command.get_name());
        if command.has_subcommands() {
            command.get_subcommands().for_each(|sub| check(sub, &path));
        } else {
            let help = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Examples:\n  poolctl"), "{path}");
        }
    }
    Cli::command().get_subcommands().for_each(|command| check(command, "poolctl"));
}

#[test]
fn seconds_are_bounded() {
    assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
    assert_eq!(seconds("30s"), Ok(Duration::from_secs(30)));
    for text in ["0", "-1", "3601", "nan", "x", ""] {
        assert!(seconds(text).is_err(), "{text}");
    }
}

#[test]
fn the_format_is_known_before_the_rest_can_be_read() {
    let format_with =
        |line: &str, env: &Env| format_of(&line.split(' ').map(OsString::from).collect::<Vec<_>>(), env);
    let format = |line: &str| format_with(line, &Env::default());
    for line in ["poolctl -o json x", "poolctl x --output json", "poolctl --output=json", "poolctl -ojson"] {
        assert_eq!(format(line), Format::Json, "{line}");
    }
    assert_eq!(format("poolctl json -o table"), Format::Table);
    assert_eq!(format("poolctl x -o jsonl"), Format::Jsonl);
    let env = Env::from([(env::OUTPUT, "json")]);
    assert_eq!(format_with("poolctl x", &env), Format::Json);
    assert_eq!(format_with("poolctl x -o csv", &env), Format::Csv);
}

#[test]
fn the_help_names_the_time_limits_that_hold() {
    let page = Cli::command().render_long_help().to_string();
    let (usual, chat) = (
        crate::config::DEFAULT_TIMEOUT.as_secs(),
        crate::commands::test_pool::DEFAULT_CHAT_TIMEOUT.as_secs(),
    );
    assert!(page.contains(&format!("[default: {usual}; for test {chat}, of silence]")), "{page}");
    let mut command = Cli::command();
    let page = command.find_subcommand_mut("test").unwrap().render_long_help().to_string();
    assert!(page.contains(&format!("[default: {chat} s,")), "{page}");
}

/// Every command with its arguments.
fn tree(command: &clap::Command) -> Value {
    let arguments: Vec<Value> = command
        .get_arguments()
        .filter(|argument| !argument.is_global_set() || command.get_name() == "poolctl")
        .filter(|argument| !matches!(argument.get_id().as_str(), "help" | "version"))
        .map(|argument| {
            json!({
                "name": argument.get_long().map_or_else(
                    || argument.get_value_names().map(|names| names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")),
                    |long| Some(format!("--{long}")),
                ),
                "short": argument.get_short(),
                "required": argument.is_required_set(),
                "values": argument.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect::<Vec<_>>(),
                "default": argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect::<Vec<_>>(),
            })
        })
        .collect();
    let commands: serde_json::Map<String, Value> =
        command.get_subcommands().map(|sub| (sub.get_name().to_owned(), tree(sub))).collect();
    json!({
        "about": command.get_about().map(ToString::to_string),
        "aliases": command.get_visible_aliases().collect::<Vec<_>>(),
        "arguments": arguments,
        "commands": commands,
    })
}

/// `UPDATE_DOCS=1 cargo test -p poolctl` updates the file.
#[test]
fn the_tree_is_the_one_in_the_documents() {
    let mut text = serde_json::to_string_pretty(&tree(&Cli::command())).unwrap();
    text.push('\n');
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/cli.json");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap();
    assert!(kept == text, "the command tree changed: see how in `git diff` after UPDATE_DOCS=1 cargo test");
}

#[test]
fn every_page_of_help_is_known() {
    fn pages(command: &mut clap::Command, path: &str, into: &mut String) {
        let path = format!("{path} {}", command.get_name()).trim_start().to_owned();
        let page = command.clone().term_width(100).render_long_help().to_string();
        // The global options are the same in each page.
        let (own, rest) = page.split_once("Global options:").unwrap_or((&page, ""));
        let after = rest.find("\nExamples:").map_or("", |at| rest.get(at..).unwrap_or_default());
        let (own, after) = (own.trim_end(), after.trim_end());
        write!(into, "===== {path}\n{own}\n{after}\n\n").unwrap();
        for sub in command.get_subcommands_mut() {
            pages(sub, &path, into);
        }
    }
    let mut command = Cli::command();
    command.build();
    let mut all = String::new();
    pages(&mut command, "", &mut all);
    insta::assert_snapshot!("help_pages", all);
}

#[test]
fn completions_know_every_command() {
    fn check(command: &clap::Command, script: &str, shell: clap_complete::Shell) {
        for sub in command.get_subcommands() {
            assert!(script.contains(sub.get_name()), "{shell}: {}", sub.get_name());
            check(sub, script, shell);
        }
    }
    use clap_complete::Shell;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::PowerShell, Shell::Elvish] {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "poolctl", &mut script);
        let script = String::from_utf8(script).unwrap();
        check(&Cli::command(), &script, shell);
        if shell == Shell::Fish {
            insta::assert_snapshot!("completions_fish", script);
        }
    }
}

#[test]
fn the_manual_page_is_known() {
    let mut command = Cli::command();
    command.build();
    let page = |command: clap::Command| {
        let mut page = Vec::new();
        clap_mangen::Man::new(command).date("").render(&mut page).unwrap();
        String::from_utf8(page).unwrap()
    };
    insta::assert_snapshot!("man", page(command.clone()));
    let create = command.find_subcommand("pool").unwrap().find_subcommand("create").unwrap();
    insta::assert_snapshot!("man_pool_create", page(create.clone()));
}
