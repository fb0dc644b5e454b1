//! `poolctl pool translation`: the translation settings of a pool.

use pool_shared::{Pool, PoolUpdate, TranslationUpdate};
use serde_json::{Map, Value, json};

use crate::{
    ctx::Ctx,
    error::{CliError, Outcome},
    flags::{DryRun, PoolRef},
    output::{Cell, Table, left},
};

/// Show or change how OpenAI requests are converted for Gemini
///
/// Without flags, shows every setting. docs/translation.md describes each of them.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl pool translation prod
  poolctl pool translation prod --set prompt_block=error --set strict_params=true
  poolctl pool translation prod --set pacing='{\"by\": \"characters\"}'
  poolctl pool translation prod --set fetch_media='[\"*.example.com\"]'
  poolctl pool translation prod --reset pacing")]
pub struct Args {
    /// The pool's name or id
    pool: PoolRef,
    /// Change a setting; VALUE is a word or JSON; can be repeated
    #[arg(long, value_name = "SETTING=VALUE", value_parser = setting)]
    set: Vec<(String, Value)>,
    /// Return a setting to its default; can be repeated
    #[arg(long, value_name = "SETTING")]
    reset: Vec<String>,
    #[command(flatten)]
    dry: DryRun,
}

/// `SETTING=VALUE`
fn setting(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("expected SETTING=VALUE")?;
    let (name, value) = (name.trim(), value.trim());
    if name.is_empty() || value.is_empty() {
        return Err("expected SETTING=VALUE".to_owned());
    }
    Ok((name.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| value.into())))
}

pub async fn run(ctx: &mut Ctx, args: Args) -> Result<Outcome, CliError> {
    let resets = args.reset.into_iter().map(|name| (name, Value::Null));
    let patch: Map<String, Value> = args.set.into_iter().chain(resets).collect();
    let translation = TranslationUpdate::try_from(patch)
        .map_err(|error| CliError::usage("invalid translation setting").cause(error.to_string()))?;
    let client = ctx.client().await?;
    let pool = client.pool(args.pool.as_str()).await?;
    if translation.is_empty() {
        return show(ctx, &pool);
    }
    let update = PoolUpdate { translation, ..PoolUpdate::default() };
    if args.dry.dry_run {
        ctx.out.would(&format!("update the translation settings of pool {}", pool.name), json!(update))?;
        return Ok(Outcome::Done);
    }
    show(ctx, &client.update_pool(pool.id.as_str(), &update).await?.pool)
}

fn show(ctx: &mut Ctx, pool: &Pool) -> Result<Outcome, CliError> {
    let settings = json!(pool.settings.translation);
    let changed = json!(pool.settings.translation.changes_from_defaults());
    let document = json!({ "pool": pool.id, "name": pool.name, "translation": settings });
    ctx.out.result(&document, |_| {
        let mut table = Table::new([left("SETTING"), left("VALUE")]).wrapped();
        for (name, value) in settings.as_object().into_iter().flatten() {
            let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
            let cell = if changed.get(name).is_some() { Cell::Fair(text) } else { text.into() };
            table.row([name.clone().into(), cell]);
        }
        table
    })?;
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_json_or_a_word() {
        assert_eq!(setting("prompt_block = error"), Ok(("prompt_block".to_owned(), json!("error"))));
        assert_eq!(setting("strict_params=true"), Ok(("strict_params".to_owned(), json!(true))));
        assert_eq!(setting("fetch_media=[\"a.example\"]").unwrap().1, json!(["a.example"]));
        for text in ["", "a", "a=", "=b"] {
            assert!(setting(text).is_err(), "{text}");
        }
    }
}
