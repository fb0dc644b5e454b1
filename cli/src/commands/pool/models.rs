//! `poolctl pool models`: allowed models, aliases, fallback models and session affinity.

use std::collections::BTreeMap;

use pool_shared::{Pool, PoolModels, PoolUpdate, model_notice, model_notices};
use serde_json::json;

use super::show::{aliases, allowed, fallbacks};
use crate::{
    ctx::Ctx,
    error::{CliError, Outcome},
    flags::{DryRun, PoolRef},
    output::{Cell, Sheet, Table, View, left, right, text},
};

/// Show or change which models a pool serves
///
/// Without flags, shows them. An alias is another name for a model. A fallback model is used when a
/// model is overloaded or its quota is exhausted. A sticky pool (session affinity) sends requests
/// of one conversation to the same key, so that Gemini's cache applies.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl pool models prod
  poolctl pool models prod --live
  poolctl pool models prod --allow 'gemini-3.8-*' --allow gemini-embedding-001
  poolctl pool models prod --alias gpt-4o=gemini-3.8-flash
  poolctl pool models prod --fallback gemini-3.8-flash=gemini-3.6-flash,gemini-3.5-flash-lite
  poolctl pool models prod --remove-alias gpt-4o --sticky on")]
pub struct Args {
    /// The pool's name or id
    pool: PoolRef,
    /// Allowed model; can be repeated, * is a wildcard
    #[arg(long, value_name = "MODEL")]
    allow: Vec<String>,
    /// Allow every model
    #[arg(long, conflicts_with = "allow")]
    allow_all: bool,
    /// Add an alias for a model; can be repeated
    #[arg(long, value_name = "NAME=MODEL", value_parser = alias)]
    alias: Vec<(String, String)>,
    /// Remove an alias; can be repeated
    #[arg(long, value_name = "NAME")]
    remove_alias: Vec<String>,
    /// Fallback models of a model, in order; can be repeated, * matches all other models
    #[arg(long, value_name = "MODEL=MODEL,...", value_parser = fallback)]
    fallback: Vec<(String, Vec<String>)>,
    /// Remove the fallback models of a model; can be repeated
    #[arg(long, value_name = "MODEL")]
    remove_fallback: Vec<String>,
    /// Session affinity: send requests of one conversation to the same key
    #[arg(long, value_name = "on|off", value_parser = on_off)]
    sticky: Option<bool>,
    /// List the models that Gemini offers to one of the pool's keys
    #[arg(long, conflicts_with_all = ["allow", "allow_all", "alias", "remove_alias", "fallback", "remove_fallback", "sticky", "dry_run"])]
    live: bool,
    #[command(flatten)]
    dry: DryRun,
}

/// `NAME=MODEL`
pub fn alias(text: &str) -> Result<(String, String), String> {
    match text.split_once('=').map(|(name, model)| (name.trim(), model.trim())) {
        Some((name, model)) if !name.is_empty() && !model.is_empty() => {
            Ok((name.to_owned(), model.to_owned()))
        }
        _ => Err("expected NAME=MODEL".to_owned()),
    }
}

/// `MODEL=MODEL,MODEL`
pub fn fallback(text: &str) -> Result<(String, Vec<String>), String> {
    let (model, list) = alias(text).map_err(|_| "expected MODEL=MODEL,MODEL".to_owned())?;
    let list: Vec<String> =
        list.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect();
    if list.is_empty() { Err("expected MODEL=MODEL,MODEL".to_owned()) } else { Ok((model, list)) }
}

pub fn on_off(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("expected on or off".to_owned()),
    }
}

impl Args {
    /// Returns the update of the pool; `None` without flags.
    fn update(&self, pool: &Pool) -> Result<PoolUpdate, CliError> {
        let mut update = PoolUpdate { sticky: self.sticky, ..PoolUpdate::default() };
        if self.allow_all || !self.allow.is_empty() {
            update.allowed_models = Some(self.allow.clone());
        }
        let settings = &pool.settings;
        update.aliases = edited(&settings.aliases, &self.alias, &self.remove_alias, "alias")?;
        update.fallbacks = edited(&settings.fallbacks, &self.fallback, &self.remove_fallback, "fallback of")?;
        Ok(update)
    }
}

fn edited<T: Clone>(
    before: &BTreeMap<String, T>,
    add: &[(String, T)],
    remove: &[String],
    what: &str,
) -> Result<Option<BTreeMap<String, T>>, CliError> {
    if add.is_empty() && remove.is_empty() {
        return Ok(None);
    }
    let mut after = before.clone();
    for name in remove {
        if after.remove(name).is_none() {
            return Err(CliError::usage(format!("the pool has no {what} {name}")));
        }
    }
    after.extend(add.iter().cloned());
    Ok(Some(after))
}

pub async fn run(ctx: &mut Ctx, args: Args) -> Result<Outcome, CliError> {
    let client = ctx.client().await?;
    if args.live {
        let list = client.pool_models(args.pool.as_str()).await?;
        ctx.out.result(&list, |view| live(&list, view))?;
        return Ok(Outcome::Done);
    }
    let pool = client.pool(args.pool.as_str()).await?;
    let update = args.update(&pool)?;
    let shown = if update == PoolUpdate::default() {
        pool
    } else if args.dry.dry_run {
        ctx.out.would(&format!("update the models of pool {}", pool.name), json!(update))?;
        return Ok(Outcome::Done);
    } else {
        client.update_pool(pool.id.as_str(), &update).await?.pool
    };
    show(ctx, &shown)
}

fn show(ctx: &mut Ctx, pool: &Pool) -> Result<Outcome, CliError> {
    let notices = model_notices(&pool.allowed_models, &pool.settings);
    let document = json!({
        "pool": pool.id,
        "name": pool.name,
        "allowed_models": pool.allowed_models,
        "aliases": pool.settings.aliases,
        "fallbacks": pool.settings.fallbacks,
        "sticky": pool.settings.sticky,
        "notices": notices,
    });
    ctx.out.result(&document, |_| {
        let mut table = Table::new([left("SETTING"), left("VALUE")]).wrapped();
        let mut rows = vec![("allowed", allowed(pool))];
        rows.extend(aliases(pool).into_iter().map(|alias| ("alias", alias)));
        rows.extend(fallbacks(pool).into_iter().map(|fallback| ("fallback", fallback)));
        rows.push(("sticky", if pool.settings.sticky { "on" } else { "off" }.to_owned()));
        for (name, value) in rows {
            table.row([name.into(), value.into()]);
        }
        let notices = notices.iter().map(|notice| format!("{}: {}", notice.setting, notice.message));
        Sheet::from(table).text(notices.collect::<Vec<_>>().join("\n"))
    })?;
    Ok(Outcome::Done)
}

fn live(list: &PoolModels, view: &View) -> Sheet {
    let columns = [
        left("MODEL"),
        left("ALLOWED"),
        text("ALIASES").rank(3),
        right("INPUT TOKENS"),
        right("OUTPUT TOKENS"),
        text("METHODS").rank(4).wide(),
        text("NAME").rank(5).wide(),
    ];
    let mut table = Table::list("models", columns);
    let count = |limit: Option<u64>| limit.map(|limit| view.count(limit)).unwrap_or_default();
    for model in &list.models {
        table.row([
            model.id.clone().into(),
            if model.allowed { Cell::Good("yes".into()) } else { Cell::Plain("no".into()) },
            model.aliases.join(", ").into(),
            count(model.input_token_limit).into(),
            count(model.output_token_limit).into(),
            model.methods.join(", ").into(),
            model.display_name.clone().unwrap_or_default().into(),
        ]);
    }
    let notices = list.models.iter().filter(|model| model.allowed);
    let notices: Vec<String> = notices.filter_map(|model| model_notice(&model.id)).collect();
    Sheet::from(table).text(notices.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_and_fallbacks_are_read_strictly() {
        assert_eq!(alias("gpt-4o = gemini-x"), Ok(("gpt-4o".to_owned(), "gemini-x".to_owned())));
        assert_eq!(fallback("a=b, c,"), Ok(("a".to_owned(), vec!["b".to_owned(), "c".to_owned()])));
        for text in ["", "a", "a=", "=b"] {
            assert!(alias(text).is_err() && fallback(text).is_err(), "{text}");
        }
        assert!(fallback("a=,").is_err());
    }

    #[test]
    fn an_edit_keeps_the_others_and_removes_only_what_is_there() {
        let before = BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 2)]);
        let after = edited(&before, &[("c".to_owned(), 3)], &["a".to_owned()], "alias").unwrap();
        assert_eq!(after, Some(BTreeMap::from([("b".to_owned(), 2), ("c".to_owned(), 3)])));
        assert_eq!(edited(&before, &[], &[], "alias").unwrap(), None);
        assert!(edited(&before, &[], &["x".to_owned()], "alias").is_err());
    }
}
