//! `poolctl test`: sends one request through a pool.

use std::path::PathBuf;
use std::time::Duration;

use pool_shared::{ClientKeyCreate, EXAMPLE_MODEL, ErrorCode, Pool, Secret, TokenKind};
use serde_json::json;

use crate::{
    client::{Chat, ChatResult, Client, KeyFilter},
    config::{Setting, Source},
    ctx::{Ctx, quoted},
    env,
    error::{CliError, Code, Outcome},
    flags::PoolRef,
    input::{KeySource, bytes},
    output::View,
};

const PROMPT: &str = "Say hello in one short sentence.";
/// The service's default timeout for Gemini.
pub const DEFAULT_CHAT_TIMEOUT: Duration = Duration::from_mins(15);
/// Name of the temporary client key.
const KEY_NAME: &str = "poolctl test";

/// Send one request through a pool and print the response
///
/// Writes the response to standard output, and its key, attempts and latency to standard error.
/// Creates a temporary client key and revokes it afterwards, unless --client-key or the environment
/// provides one.
///
/// --timeout limits each silence, not the whole response [default: 900 s, the service's own default
/// for Gemini].
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl test prod
  poolctl test prod 'Name three rivers.' --model gemini-3.6-flash
  poolctl test prod -o json | jq '{key, attempts, first_byte_ms}'
  poolctl test prod --client-key client-key.txt")]
pub struct Args {
    /// The pool's name or id
    pool: PoolRef,
    /// Prompt
    #[arg(default_value = PROMPT, hide_default_value = true)]
    prompt: String,
    /// Model or alias [default: one that the pool allows]
    #[arg(short, long)]
    model: Option<String>,
    /// Request a buffered response instead of a stream
    #[arg(long)]
    no_stream: bool,
    /// Use the client key in this file, - for standard input
    #[arg(long, value_name = "FILE")]
    client_key: Option<PathBuf>,
}

pub async fn run(ctx: &mut Ctx, args: Args) -> Result<Outcome, CliError> {
    let given = given_key(ctx, args.client_key).await?;
    let client = ctx.client().await?;
    let pool = client.pool(args.pool.as_str()).await?;
    let chat = Chat {
        model: args.model.unwrap_or_else(|| usable_model(&pool).to_owned()),
        prompt: args.prompt,
        stream: !args.no_stream,
        timeout: timeout_of_a_chat(&ctx.settings.timeout),
    };
    let result = match given {
        Some(key) => talk(ctx, &client, &key, &chat).await,
        None => with_own_key(ctx, &client, &pool, &chat).await,
    };
    let result = result.map_err(|error| match error.code() {
        Code::Service(code) => error.hint(what_helps(&pool, code)),
        _ => error,
    })?;
    report(ctx, &client, &pool, &result).await?;
    Ok(Outcome::Done)
}

/// Returns a command that shows or fixes the cause of a failed request.
fn what_helps(pool: &Pool, code: ErrorCode) -> String {
    let name = quoted(&pool.name);
    match code {
        ErrorCode::Unauthorized => format!("poolctl client-key create {name}"),
        _ if !pool.enabled => format!("poolctl pool enable {name}"),
        ErrorCode::Forbidden => format!("poolctl pool show {name}"),
        ErrorCode::NotFound => format!("poolctl pool models {name} --live"),
        _ if pool.keys == 0 => format!("poolctl key import {name} --keys FILE"),
        _ if pool.enabled_keys == 0 => format!("poolctl key enable {name} --disabled"),
        _ => format!("poolctl events {name}"),
    }
}

/// Returns `--timeout`, else the service's own timeout for Gemini, because a model may think for
/// minutes.
fn timeout_of_a_chat(timeout: &Setting<Duration>) -> Duration {
    if timeout.source == Source::Default { DEFAULT_CHAT_TIMEOUT } else { timeout.value }
}

/// Returns a model that the pool allows.
pub fn usable_model(pool: &Pool) -> &str {
    pool.allowed_models.iter().find(|model| !model.contains('*')).map_or(EXAMPLE_MODEL, String::as_str)
}

async fn given_key(ctx: &Ctx, file: Option<PathBuf>) -> Result<Option<Secret>, CliError> {
    let (text, source) = match (file, &ctx.settings.client_key) {
        (Some(path), _) => {
            let source = KeySource::from(path.into_os_string());
            let text = String::from_utf8(bytes(ctx, &source).await?).unwrap_or_default();
            (Secret::new(text.trim()), source.to_string())
        }
        (None, Some(key)) => (key.clone(), env::CLIENT_KEY.to_owned()),
        (None, None) => return Ok(None),
    };
    TokenKind::ClientKey.verify(text.expose()).map_err(|error| {
        CliError::usage(format!("no valid client key in {source}")).cause(error.to_string())
    })?;
    Ok(Some(text))
}

/// Sends the request with a temporary client key, which is always revoked, also after Ctrl-C.
async fn with_own_key(
    ctx: &mut Ctx,
    client: &Client,
    pool: &Pool,
    chat: &Chat,
) -> Result<ChatResult, CliError> {
    let created = client
        .create_client_key(
            pool.id.as_str(),
            &ClientKeyCreate { name: KEY_NAME.into(), trial: true, ..ClientKeyCreate::default() },
        )
        .await?;
    let result = talk(ctx, client, &created.secret, chat).await;
    let id = &created.client_key.id;
    if let Err(error) = client.revoke_temporary_client_key(pool.id.as_str(), id).await {
        ctx.out.warn(&format!("the temporary client key {id} was not revoked: {error}"));
    }
    result
}

async fn talk(ctx: &mut Ctx, client: &Client, key: &Secret, chat: &Chat) -> Result<ChatResult, CliError> {
    let live = ctx.out.format().is_human();
    let out = &mut ctx.out;
    let mut any = false;
    let result = client.chat(key, chat, |text| {
        any |= !text.is_empty();
        if live { out.piece(text) } else { Ok(()) }
    });
    let result = result.await;
    if live && any {
        // A truncated response also ends its line.
        ctx.out.piece("\n")?;
    }
    result
}

async fn report(ctx: &mut Ctx, client: &Client, pool: &Pool, result: &ChatResult) -> Result<(), CliError> {
    let filter = KeyFilter { search: result.key.clone(), ..KeyFilter::default() };
    let key = match &result.key {
        // The key may have been removed since; then only its id is shown.
        Some(_) => client
            .keys(pool.id.as_str(), &filter, Some(1))
            .await
            .ok()
            .and_then(|list| list.keys.into_iter().next()),
        None => None,
    };
    if !ctx.out.format().is_human() {
        let mut document = json!(result);
        if let (Some(fields), Some(key)) = (document.as_object_mut(), &key) {
            fields.insert("masked".to_owned(), json!(key.masked));
        }
        return ctx.out.result(&document, |_: &View| String::new());
    }
    let tokens =
        result.usage.as_ref().and_then(|usage| usage.get("total_tokens")).and_then(serde_json::Value::as_u64);
    let known = [
        ("model", Some(result.model.clone())),
        (
            "key",
            key.map(|key| format!("{} ({}) {}", key.masked, key.id, key.name)).or_else(|| result.key.clone()),
        ),
        ("attempts", result.attempts.map(|attempts| attempts.to_string())),
        ("first byte", Some(format!("{} ms", result.first_byte_ms))),
        ("total", Some(format!("{} ms", result.total_ms))),
        ("tokens", tokens.map(|tokens| tokens.to_string())),
        ("ignored", result.ignored_params.clone()),
    ];
    for (name, value) in known.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        ctx.out.note(format!("{name:<10}  {value}").trim_end());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chat_may_take_as_long_as_the_service_waits_unless_a_limit_is_given() {
        let limit = Duration::from_secs(5);
        let of = |source| timeout_of_a_chat(&Setting { value: limit, source });
        assert_eq!(of(Source::Default), Duration::from_mins(15));
        assert_eq!(of(Source::Flag("--timeout")), limit);
        assert_eq!(of(Source::Environment("POOLCTL_TIMEOUT")), limit);
    }

    fn pool(name: &str, enabled: bool, keys: u64, enabled_keys: u64) -> Pool {
        let time = "2026-11-03T12:00:00Z";
        serde_json::from_value(json!({"id": "pool-1", "name": name, "enabled": enabled, "keys": keys,
            "enabled_keys": enabled_keys, "version": 1, "created_at": time, "updated_at": time}))
        .unwrap()
    }

    #[test]
    fn a_hint_is_a_command_that_helps_and_works_as_printed() {
        let help = |pool: &Pool, code| what_helps(pool, code);
        let full = pool("prod", true, 2, 1);
        assert_eq!(help(&full, ErrorCode::NotFound), "poolctl pool models prod --live");
        assert_eq!(help(&full, ErrorCode::Unavailable), "poolctl events prod");
        let empty = pool("it's 100%", true, 0, 0);
        assert_eq!(help(&empty, ErrorCode::Unavailable), "poolctl key import \"it's 100%\" --keys FILE");
        assert_eq!(
            help(&pool("a b", true, 2, 0), ErrorCode::Unavailable),
            "poolctl key enable 'a b' --disabled"
        );
        assert_eq!(help(&pool("prod", false, 2, 2), ErrorCode::Forbidden), "poolctl pool enable prod");
        assert_eq!(
            help(&pool("prod", false, 2, 2), ErrorCode::Unauthorized),
            "poolctl client-key create prod"
        );
    }
}
