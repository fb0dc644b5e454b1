//! `poolctl key list`.

use pool_shared::{Key, KeyCondition, KeyList, KeyState};

use super::select::FilterArgs;
use crate::{
    ctx::Ctx,
    describe::{limits_text, state},
    error::{CliError, Outcome},
    flags::PoolArg,
    output::{Cell, Table, View, counted, left, right, text},
};

/// List a pool's keys
///
/// Keys are masked: only their first and last four characters and a fingerprint are shown.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl key list prod
  poolctl key list prod --state invalid,leaked
  poolctl key list prod --tag team-b -o wide
  poolctl key list prod --search project-7 -o json | jq -r '.keys[].id'")]
pub struct Args {
    #[command(flatten)]
    pool: PoolArg,
    #[command(flatten)]
    filter: FilterArgs,
    /// Maximum number of keys
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
}

pub async fn run(ctx: &mut Ctx, args: Args) -> Result<Outcome, CliError> {
    let pool = args.pool.get()?;
    let list = ctx.client().await?.keys(pool.as_str(), &args.filter.get(), args.limit).await?;
    ctx.out.result(&list, |view| table(&list, view))?;
    let shown = list.keys.len() as u64;
    if list.keys.is_empty() {
        ctx.out.note(&format!("no matching keys in pool {pool}"));
    } else if shown < list.total {
        ctx.out.note(&format!("{shown} of {}", counted(list.total, "key")));
    }
    Ok(Outcome::Done)
}

fn table(list: &KeyList, view: &View) -> Table {
    let columns = [
        left("ID"),
        left("KEY"),
        left("FINGERPRINT").rank(5),
        left("STATE"),
        text("WHY"),
        right("WEIGHT").rank(3),
        text("TAG").rank(3),
        text("NAME").rank(2),
        left("PROJECT").rank(4).wide(),
        left("LIMITS").rank(4).wide(),
        left("ADDED").rank(4),
        left("UPDATED").rank(6).wide(),
    ];
    let mut table = Table::list("keys", columns);
    for key in &list.keys {
        let Key {
            id,
            masked,
            fingerprint,
            name,
            tag,
            weight,
            enabled: _,
            condition,
            created_at,
            updated_at,
            project,
            billing_account: _,
            limits,
        } = key;
        table.row([
            id.to_string().into(),
            masked.clone().into(),
            fingerprint.clone().into(),
            state_cell(key),
            why(condition, view).into(),
            view.count(weight.get().into()).into(),
            tag.clone().into(),
            name.clone().into(),
            project.clone().into(),
            limits_text(limits).into(),
            view.time(*created_at).into(),
            view.time(*updated_at).into(),
        ]);
    }
    table
}

/// Returns the key's condition.
pub fn state_cell(key: &Key) -> Cell {
    let name = key.condition.state.name().to_owned();
    match key.condition.state {
        // Without a state from the service, `enabled` is known.
        KeyState::Unknown => state(key.enabled),
        KeyState::Healthy if key.condition.failing.is_some() => Cell::Fair(name),
        KeyState::Healthy => Cell::Good(name),
        KeyState::Cooling | KeyState::Limited | KeyState::Suspect => Cell::Fair(name),
        KeyState::Disabled | KeyState::Removed => Cell::Plain(name),
        _ => Cell::Bad(name),
    }
}

/// Returns the reason and end of a state: `day, until 2026-11-04T08:00:00Z`; of a healthy key
/// `failing (14 of 14: internal)`.
pub fn why(condition: &KeyCondition, view: &View) -> String {
    // A state that does not expire is rechecked at that time.
    let what = if condition.state.is_rechecked() { "rechecked" } else { "until" };
    let until = condition.until.map(|until| format!("{what} {}", view.time(until)));
    let failing = condition.failing.map(|failing| failing.to_string());
    let parts = [condition.reason.clone(), until, failing];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
