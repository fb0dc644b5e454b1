//! `poolctl key enable`, `disable`, `weight`, `tag`, `set`, `reset` and `remove`: changes of
//! several keys.

use std::collections::HashSet;

use pool_shared::{Key, KeyBatchResult, KeyChange, KeyId, Pool, Weight};
use serde_json::json;

use super::{
    add::LimitArgs,
    select::{SelectArgs, Selection},
};
use crate::{
    client::{Client, KeyFilter},
    ctx::Ctx,
    error::{CliError, Outcome},
    output::{View, counted},
};

/// Maximum number of keys, or of missing ids, that a message lists.
const MAX_SHOWN: usize = 10;

/// Enable keys
///
/// Also resets their cooldowns, states and observed limits.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl key enable prod key-00c0ffee00c0ffee
  poolctl key enable prod --disabled
  poolctl key enable --pool prod --search project-7 --yes")]
pub struct EnableArgs {
    #[command(flatten)]
    select: SelectArgs,
}

/// Disable keys
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl key disable prod key-00c0ffee00c0ffee
  poolctl key disable prod --search project-7
  poolctl key list prod --search old -o json | jq -r '.keys[].id' | poolctl key disable prod -")]
pub struct DisableArgs {
    #[command(flatten)]
    select: SelectArgs,
}

/// Set the weight of keys: their relative share of the traffic
///
/// A key of weight 3 gets three times the traffic of a key of weight 1. Weight 0 makes a reserve
/// key, which is used only when no other key is available.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl key weight prod key-00c0ffee00c0ffee --to 3
  poolctl key weight prod --search paid --to 10")]
pub struct WeightArgs {
    #[command(flatten)]
    select: SelectArgs,
    /// New weight, 0 to 1000
    #[arg(long, value_name = "WEIGHT", alias = "weight")]
    to: Weight,
}

/// Tag keys, to select them together
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl key tag prod key-00c0ffee00c0ffee --to team-b
  poolctl key tag prod --search laptop --to ''")]
pub struct TagArgs {
    #[command(flatten)]
    select: SelectArgs,
    /// New tag; an empty one removes it
    #[arg(long, value_name = "TAG")]
    to: String,
}

/// Update keys: weight, tag, name, project, billing account, limits
///
/// Only the given fields change. Keys of one Google project share their quotas. With known limits
/// the service avoids an exhausted key before Gemini returns an error.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl key set prod key-00c0ffee00c0ffee --name laptop --weight 3
  poolctl key set prod --tag team-b --project team-b-project --rpm 10 --rpd 500
  poolctl key set prod --all --no-limits")]
#[command(group(
    clap::ArgGroup::new("change")
        .required(true)
        .multiple(true)
        .args(["weight", "to_tag", "name", "project", "billing_account", "rpm", "rpd", "tpm", "tpd", "no_limits"])
))]
pub struct SetArgs {
    #[command(flatten)]
    select: SelectArgs,
    /// New weight, 0 to 1000
    #[arg(long)]
    weight: Option<Weight>,
    /// New tag
    #[arg(long, value_name = "TAG")]
    to_tag: Option<String>,
    /// New name
    #[arg(long)]
    name: Option<String>,
    /// New Google project; an empty one is detected from Gemini's errors
    #[arg(long)]
    project: Option<String>,
    /// New billing account; an empty one is detected from spend limit errors
    #[arg(long, value_name = "ACCOUNT")]
    billing_account: Option<String>,
    #[command(flatten)]
    limits: LimitArgs,
    /// Remove the limits
    #[arg(long, conflicts_with_all = ["rpm", "rpd", "tpm", "tpd"])]
    no_limits: bool,
}

/// Reset the observed state of keys: cooldowns, health, limits
///
/// Resets cooldowns, health and observed limits of the keys and of their projects, for every model,
/// in all instances of the service. A successful key check and key enable do the same. Disabled
/// keys stay disabled.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl key reset prod key-00c0ffee00c0ffee
  poolctl key reset prod --state cooling,limited
  poolctl key reset prod --all --yes")]
pub struct ResetArgs {
    #[command(flatten)]
    select: SelectArgs,
}

/// Remove keys from a pool permanently
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl key remove prod key-00c0ffee00c0ffee
  poolctl key remove prod --disabled
  poolctl key remove prod - --yes < ids.txt")]
pub struct RemoveArgs {
    #[command(flatten)]
    select: SelectArgs,
}

pub async fn enable(ctx: &mut Ctx, args: EnableArgs) -> Result<Outcome, CliError> {
    let set = KeyChange { enabled: Some(true), ..KeyChange::default() };
    run(ctx, &args.select, &Action::change("enable", "enabled", "already enabled", set)).await
}

pub async fn disable(ctx: &mut Ctx, args: DisableArgs) -> Result<Outcome, CliError> {
    let set = KeyChange { enabled: Some(false), ..KeyChange::default() };
    run(ctx, &args.select, &Action::change("disable", "disabled", "already disabled", set)).await
}

pub async fn weight(ctx: &mut Ctx, args: WeightArgs) -> Result<Outcome, CliError> {
    let (weight, set) = (args.to.get(), KeyChange { weight: Some(args.to), ..KeyChange::default() });
    let action = Action::change(
        &format!("set weight {weight} on"),
        &format!("weight {weight} set on"),
        &format!("already have weight {weight}"),
        set,
    );
    run(ctx, &args.select, &action).await
}

pub async fn tag(ctx: &mut Ctx, args: TagArgs) -> Result<Outcome, CliError> {
    let set = KeyChange { tag: Some(args.to), ..KeyChange::default() };
    run(ctx, &args.select, &Action::change("tag", "tagged", "already have this tag", set)).await
}

pub async fn set(ctx: &mut Ctx, args: SetArgs) -> Result<Outcome, CliError> {
    let limits = args.limits.get();
    let set = KeyChange {
        enabled: None,
        weight: args.weight,
        name: args.name,
        tag: args.to_tag,
        project: args.project,
        billing_account: args.billing_account,
        limits: (args.no_limits || !limits.is_empty()).then_some(limits),
    };
    run(ctx, &args.select, &Action::change("change", "changed", "unchanged", set)).await
}

pub async fn remove(ctx: &mut Ctx, args: RemoveArgs) -> Result<Outcome, CliError> {
    run(ctx, &args.select, &Action::other("remove", "removed", Work::Remove)).await
}

pub async fn reset(ctx: &mut Ctx, args: ResetArgs) -> Result<Outcome, CliError> {
    run(ctx, &args.select, &Action::other("reset", "reset", Work::Reset)).await
}

/// A change of keys, and the words for it.
struct Action {
    /// `disable`
    verb: String,
    /// `disabled`
    done: String,
    /// `already disabled`
    already: String,
    work: Work,
}

enum Work {
    /// Updates fields.
    Set(KeyChange),
    /// Resets the observed state.
    Reset,
    /// Removes the keys.
    Remove,
}

impl Action {
    fn change(verb: &str, done: &str, already: &str, set: KeyChange) -> Self {
        Self { verb: verb.into(), done: done.into(), already: already.into(), work: Work::Set(set) }
    }

    fn other(verb: &str, done: &str, work: Work) -> Self {
        Self { verb: verb.into(), done: done.into(), already: "unchanged".into(), work }
    }

    /// `disabled 3 keys in pool prod, 1 key already disabled`
    fn summary(&self, result: &KeyBatchResult, pool: &Pool) -> String {
        let mut parts = Vec::new();
        if result.changed > 0 || result.unchanged == 0 {
            parts.push(describe(&self.done, result.changed, pool));
        }
        if result.unchanged > 0 {
            parts.push(format!("{} {}", counted(result.unchanged, "key"), self.already));
        }
        if result.recovered > 0 {
            parts.push(format!("cooldown or health of {} reset", counted(result.recovered, "key")));
        }
        parts.join(", ")
    }

    async fn apply(&self, client: &Client, pool: &Pool, ids: &[KeyId]) -> Result<KeyBatchResult, CliError> {
        match &self.work {
            Work::Set(set) => client.update_keys(&pool.id, ids, set).await,
            Work::Reset => client.reset_keys(&pool.id, ids).await,
            Work::Remove => client.delete_keys(&pool.id, ids).await,
        }
    }
}

/// `disable 3 keys in pool prod`
fn describe(verb: &str, count: u64, pool: &Pool) -> String {
    format!("{verb} {} in pool {}", counted(count, "key"), pool.name)
}

/// Applies a change to the selected keys.
///
/// A removal, or a change of the keys that match a filter, is listed for confirmation first. A
/// change of keys that are given by id is not.
async fn run(ctx: &mut Ctx, args: &SelectArgs, action: &Action) -> Result<Outcome, CliError> {
    let (pool, selection) = args.get(ctx).await?;
    let asks = matches!(action.work, Work::Remove) || matches!(selection, Selection::Filter(_));
    if asks {
        ctx.can_confirm(args.confirm)?;
    }
    let client = ctx.client().await?;
    let pool = client.pool(pool.as_str()).await?;
    let (ids, keys) = match selection {
        Selection::Filter(filter) => {
            let keys = client.keys(pool.id.as_str(), &filter, None).await?.keys;
            (keys.iter().map(|key| key.id.clone()).collect(), keys)
        }
        Selection::Ids(ids) if args.confirm.dry_run() || (asks && !args.confirm.yes) => {
            let wanted: HashSet<_> = ids.iter().collect();
            let mut keys = client.keys(pool.id.as_str(), &KeyFilter::default(), None).await?.keys;
            keys.retain(|key| wanted.contains(&key.id));
            (ids, keys)
        }
        Selection::Ids(ids) => (ids, Vec::new()),
    };
    let what = describe(&action.verb, ids.len() as u64, &pool);
    if args.confirm.dry_run() {
        return dry_run(ctx, &describe(&action.verb, keys.len() as u64, &pool), action, &ids, &keys);
    }
    if ids.is_empty() {
        ctx.out.note(&format!("no matching keys in pool {}", pool.name));
    } else if asks {
        if !keys.is_empty() {
            ctx.out.note(&preview(&what, &keys));
        }
        ctx.confirm(args.confirm, &format!("{}?", capitalised(&what))).await?;
    }
    let result = action.apply(&client, &pool, &ids).await?;
    ctx.out.result(&result, |view| human(&action.summary(&result, &pool), &result, view))?;
    Ok(if result.missing.is_empty() { Outcome::Done } else { Outcome::Partial })
}

fn dry_run(
    ctx: &mut Ctx,
    what: &str,
    action: &Action,
    ids: &[KeyId],
    keys: &[Key],
) -> Result<Outcome, CliError> {
    let found: HashSet<_> = keys.iter().map(|key| &key.id).collect();
    let missing: Vec<_> = ids.iter().filter(|id| !found.contains(id)).collect();
    if !keys.is_empty() {
        ctx.out.note(&preview(what, keys));
    }
    let touched: Vec<_> = keys.iter().map(|key| &key.id).collect();
    let set = match &action.work {
        Work::Set(set) => Some(set),
        Work::Reset | Work::Remove => None,
    };
    ctx.out.would(what, json!({ "ids": touched, "missing": missing, "set": set }))?;
    Ok(if missing.is_empty() { Outcome::Done } else { Outcome::Partial })
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

fn preview(what: &str, keys: &[Key]) -> String {
    let mut lines = vec![format!("{what}:")];
    for key in keys.iter().take(MAX_SHOWN) {
        let line = format!("  {}  {}  {} {}", key.id, key.masked, key.tag, key.name);
        lines.push(line.trim_end().to_owned());
    }
    if keys.len() > MAX_SHOWN {
        lines.push(format!("  ... and {} more", keys.len() - MAX_SHOWN));
    }
    lines.join("\n")
}

fn human(what: &str, result: &KeyBatchResult, view: &View) -> String {
    let missing = result.missing.len();
    if missing == 0 {
        return what.to_owned();
    }
    let mut lines = vec![format!("{what}, {}", view.bad(&format!("{missing} not found:")))];
    lines.extend(result.missing.iter().take(MAX_SHOWN).map(|id| format!("  {id}")));
    if missing > MAX_SHOWN {
        lines.push(format!("  ... and {} more", missing - MAX_SHOWN));
    }
    lines.join("\n")
}
