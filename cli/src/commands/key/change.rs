//! `poolctl key enable`, `disable`, `weight` and `remove`: the same change to several keys.

use std::collections::HashSet;

use pool_shared::{Key, KeyBatchResult, KeyChange, KeyId, Pool, Weight};

use super::select::{SelectArgs, Selection};
use crate::{
    client::{Client, KeyFilter},
    ctx::Ctx,
    error::{CliError, Outcome},
    output::View,
};

/// So many keys are named before a change, and so many missing ids after it.
const SHOWN: usize = 10;

/// Put keys into use again
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

/// Take keys out of use without removing them
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

/// Set keys' share of the traffic
///
/// A key of weight 3 gets three times the traffic of a key of weight 1; weight 0 makes it
/// a reserve that is used only when no other key is left.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl key weight prod key-00c0ffee00c0ffee --to 3
  poolctl key weight prod --search paid --to 10")]
pub struct WeightArgs {
    #[command(flatten)]
    select: SelectArgs,
    /// The new weight, 0 to 1000
    #[arg(long, value_name = "WEIGHT", alias = "weight")]
    to: Weight,
}

/// Remove keys from a pool for good
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
    run(ctx, &args.select, Action::Enable).await
}

pub async fn disable(ctx: &mut Ctx, args: DisableArgs) -> Result<Outcome, CliError> {
    run(ctx, &args.select, Action::Disable).await
}

pub async fn weight(ctx: &mut Ctx, args: WeightArgs) -> Result<Outcome, CliError> {
    run(ctx, &args.select, Action::Weight(args.to)).await
}

pub async fn remove(ctx: &mut Ctx, args: RemoveArgs) -> Result<Outcome, CliError> {
    run(ctx, &args.select, Action::Remove).await
}

#[derive(Clone, Copy)]
enum Action {
    Enable,
    Disable,
    Weight(Weight),
    Remove,
}

impl Action {
    /// "disable 3 keys of pool prod", or with `done` "disabled …".
    fn describe(self, count: u64, pool: &Pool, done: bool) -> String {
        let keys = if count == 1 { "key" } else { "keys" };
        let verb = match (self, done) {
            (Self::Enable, false) => "enable",
            (Self::Enable, true) => "enabled",
            (Self::Disable, false) => "disable",
            (Self::Disable, true) => "disabled",
            (Self::Weight(weight), false) => {
                return format!("set weight {} on {count} {keys} of pool {}", weight.get(), pool.name);
            }
            (Self::Weight(weight), true) => {
                return format!("weight {} set on {count} {keys} of pool {}", weight.get(), pool.name);
            }
            (Self::Remove, false) => "remove",
            (Self::Remove, true) => "removed",
        };
        format!("{verb} {count} {keys} of pool {}", pool.name)
    }

    async fn apply(self, client: &Client, pool: &Pool, ids: &[KeyId]) -> Result<KeyBatchResult, CliError> {
        let set = match self {
            Self::Enable => KeyChange { enabled: Some(true), ..KeyChange::default() },
            Self::Disable => KeyChange { enabled: Some(false), ..KeyChange::default() },
            Self::Weight(weight) => KeyChange { weight: Some(weight), ..KeyChange::default() },
            Self::Remove => return client.delete_keys(&pool.id, ids).await,
        };
        client.update_keys(&pool.id, ids, &set).await
    }
}

/// Named keys are changed at once; removing them, or changing whatever a filter lets through, is
/// shown first and asked for.
async fn run(ctx: &mut Ctx, args: &SelectArgs, action: Action) -> Result<Outcome, CliError> {
    let (pool, selection) = args.get(ctx).await?;
    let asks = matches!(action, Action::Remove) || matches!(selection, Selection::Filter(_));
    if asks {
        ctx.can_confirm(args.yes)?;
    }
    let client = ctx.client().await?;
    let pool = client.pool(pool.as_str()).await?;
    let (ids, keys) = match selection {
        Selection::Filter(filter) => {
            let keys = client.keys(pool.id.as_str(), &filter, None).await?.keys;
            (keys.iter().map(|key| key.id.clone()).collect(), keys)
        }
        Selection::Ids(ids) if asks && !args.yes => {
            let wanted: HashSet<_> = ids.iter().collect();
            let mut keys = client.keys(pool.id.as_str(), &KeyFilter::default(), None).await?.keys;
            keys.retain(|key| wanted.contains(&key.id));
            (ids, keys)
        }
        Selection::Ids(ids) => (ids, Vec::new()),
    };
    if ids.is_empty() {
        ctx.out.note(&format!("no key of pool {} matches", pool.name));
    } else if asks {
        let what = action.describe(ids.len() as u64, &pool, false);
        if !keys.is_empty() {
            ctx.out.note(&preview(&what, &keys));
        }
        ctx.confirm(args.yes, &format!("Really {what}?")).await?;
    }
    let result = action.apply(&client, &pool, &ids).await?;
    ctx.out.result(&result, |view| human(&action.describe(result.changed, &pool, true), &result, view))?;
    Ok(if result.missing.is_empty() { Outcome::Done } else { Outcome::Partial })
}

fn preview(what: &str, keys: &[Key]) -> String {
    let mut lines = vec![format!("about to {what}:")];
    for key in keys.iter().take(SHOWN) {
        let line = format!("  {}  {}  {} {}", key.id, key.masked, key.tag, key.name);
        lines.push(line.trim_end().to_owned());
    }
    if keys.len() > SHOWN {
        lines.push(format!("  ... and {} more", keys.len() - SHOWN));
    }
    lines.join("\n")
}

fn human(what: &str, result: &KeyBatchResult, view: &View) -> String {
    let missing = result.missing.len();
    if missing == 0 {
        return what.to_owned();
    }
    let mut lines = vec![format!("{what}, {}", view.bad(&format!("{missing} not found:")))];
    lines.extend(result.missing.iter().take(SHOWN).map(|id| format!("  {id}")));
    if missing > SHOWN {
        lines.push(format!("  ... and {} more", missing - SHOWN));
    }
    lines.join("\n")
}
