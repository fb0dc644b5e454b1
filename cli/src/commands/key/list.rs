//! `poolctl key list`.

use pool_shared::{Key, KeyList};

use super::{PoolArg, select::FilterArgs};
use crate::{
    commands::pool::state,
    ctx::Ctx,
    error::{CliError, Outcome},
    output::{Align, Table, View},
};

/// List a pool's keys
///
/// Keys are shown by their first and last four characters and a fingerprint, never whole.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl key list prod
  poolctl key list prod --disabled
  poolctl key list prod --search project-7 -o json | jq -r '.keys[].id'")]
pub struct Args {
    #[command(flatten)]
    pool: PoolArg,
    #[command(flatten)]
    filter: FilterArgs,
    /// Stop after so many keys
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
}

pub async fn run(ctx: &mut Ctx, args: Args) -> Result<Outcome, CliError> {
    let pool = args.pool.get()?;
    let list = ctx.client().await?.keys(pool.as_str(), &args.filter.get(), args.limit).await?;
    ctx.out.result(&list, |view| human(&list, view))?;
    let shown = list.keys.len() as u64;
    if list.keys.is_empty() {
        ctx.out.note(&format!("no keys of pool {pool} to show"));
    } else if shown < list.total {
        ctx.out.note(&format!("{shown} of {} keys", list.total));
    }
    Ok(Outcome::Done)
}

fn human(list: &KeyList, view: &View) -> String {
    if list.keys.is_empty() {
        return String::new();
    }
    let mut table = Table::new([
        ("ID", Align::Left),
        ("KEY", Align::Left),
        ("FINGERPRINT", Align::Left),
        ("STATE", Align::Left),
        ("WEIGHT", Align::Right),
        ("TAG", Align::Left),
        ("NAME", Align::Left),
        ("ADDED", Align::Left),
    ]);
    for key in &list.keys {
        let Key {
            id,
            masked,
            fingerprint,
            name,
            tag,
            weight,
            enabled,
            created_at,
            updated_at: _,
            project: _,
            limits: _,
            condition: _,
        } = key;
        table.row([
            id.to_string().into(),
            masked.clone().into(),
            fingerprint.clone().into(),
            state(*enabled),
            view.count(weight.get().into()).into(),
            tag.clone().into(),
            name.clone().into(),
            view.time(*created_at).into(),
        ]);
    }
    table.render(view)
}
