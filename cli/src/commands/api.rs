//! `poolctl api`: an authenticated request to the admin API.

use std::ffi::OsString;

use percent_encoding::percent_decode_str;
use reqwest::Method;
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::{
    ctx::Ctx,
    error::{CliError, Outcome},
    flags::DryRun,
    input::{self, KeySource},
};

/// Send an authenticated request to the admin API
///
/// The path is relative to /admin/v1, with or without that prefix. The response is written
/// unchanged to standard output; -o formats it if it is JSON.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl api GET pools
  poolctl api GET 'pools/prod/stats?since=2026-11-03T00:00:00Z' | jq .total
  echo '{\"enabled\":false}' | poolctl api PATCH pools/prod --input -")]
pub struct Args {
    /// GET, POST, PATCH, PUT or DELETE
    #[arg(value_parser = method)]
    method: Method,
    /// The path, such as pools/prod
    path: String,
    /// Send this JSON file, - for standard input
    #[arg(long, value_name = "FILE")]
    input: Option<OsString>,
    #[command(flatten)]
    dry: DryRun,
}

fn method(text: &str) -> Result<Method, String> {
    let method = Method::from_bytes(text.to_uppercase().as_bytes()).ok();
    method
        .filter(|method| {
            [Method::GET, Method::POST, Method::PATCH, Method::PUT, Method::DELETE].contains(method)
        })
        .ok_or_else(|| "expected GET, POST, PATCH, PUT or DELETE".to_owned())
}

pub async fn run(ctx: &mut Ctx, args: Args) -> Result<Outcome, CliError> {
    let body = match args.input {
        Some(input) => Some(document(ctx, input).await?),
        None => None,
    };
    let (path, query) = split(&args.path)?;
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let query: Vec<(&str, String)> =
        query.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    let client = ctx.client().await?;
    if args.dry.dry_run && args.method != Method::GET {
        let what = format!("send {} {}", args.method, client.url().admin(&path));
        ctx.out.would(&what, json!(body))?;
        return Ok(Outcome::Done);
    }
    let answer = client.raw(args.method, &path, &query, body.as_ref()).await?;
    match serde_json::from_slice::<Value>(&answer) {
        Ok(value) => ctx
            .out
            .result(&value, |_| serde_json::to_string_pretty(&value).unwrap_or_else(|_| value.to_string()))?,
        Err(_) => ctx.out.raw(String::from_utf8_lossy(&answer).trim_end())?,
    }
    Ok(Outcome::Done)
}

/// Names and values of a query.
type Pairs = Vec<(String, String)>;

/// Splits a path into segments and query. Rejects paths to another host or outside the admin API.
fn split(text: &str) -> Result<(Vec<String>, Pairs), CliError> {
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    let path = path.trim_matches('/');
    let path = path.strip_prefix(pool_shared::ADMIN_PREFIX.trim_start_matches('/')).unwrap_or(path);
    let decoded = |segment| percent_decode_str(segment).decode_utf8_lossy().into_owned();
    let segments: Vec<_> = path.split('/').filter(|segment| !segment.is_empty()).map(decoded).collect();
    let outside =
        segments.is_empty() || segments.iter().any(|segment| matches!(segment.as_str(), "." | ".."));
    if outside || text.contains("://") {
        return Err(CliError::usage("expected a path below /admin/v1, such as pools/prod"));
    }
    Ok((segments, form_urlencoded::parse(query.as_bytes()).into_owned().collect()))
}

async fn document(ctx: &mut Ctx, input: OsString) -> Result<Value, CliError> {
    let source = KeySource::from(input);
    let bytes = input::bytes(ctx, &source).await?;
    serde_json::from_slice(&bytes)
        .map_err(|error| CliError::usage(format!("{source} is not JSON")).cause(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_below_the_admin_api() {
        let (path, query) = split("/admin/v1/pools/my%20pool/keys?limit=1&search=a%20b").unwrap();
        assert_eq!(path, ["pools", "my pool", "keys"]);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(query, [pair("limit", "1"), pair("search", "a b")]);
        for text in ["", "/", "..", "pools/%2e%2e/../v1/models", "https://elsewhere.example/admin/v1/pools"] {
            assert!(split(text).is_err(), "{text}");
        }
    }
}
