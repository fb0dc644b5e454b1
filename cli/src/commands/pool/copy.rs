//! `poolctl pool copy`.

use pool_shared::PoolCopy;
use serde_json::json;

use super::create::pool_name;
use crate::{
    ctx::Ctx,
    error::{CliError, Code, Outcome},
    flags::{DryRun, PoolRef},
    output::{Sheet, View, counted},
};

/// Copy a pool's settings, and optionally its keys, to a new pool
///
/// The new pool gets its own client key, which is shown once. Copying keys requires a token with
/// the scope keys:export.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl pool copy prod staging
  poolctl pool copy prod staging --keys")]
pub struct Args {
    /// The pool to copy, by name or id
    pool: PoolRef,
    /// The new pool's name
    #[arg(value_parser = pool_name)]
    name: String,
    /// Also copy the keys
    #[arg(long)]
    keys: bool,
    #[command(flatten)]
    dry: DryRun,
}

pub async fn run(ctx: &mut Ctx, args: Args) -> Result<Outcome, CliError> {
    let client = ctx.client().await?;
    let from = client.pool(args.pool.as_str()).await?;
    let mut copy = PoolCopy { name: Some(args.name.clone()), keys: args.keys, cursor: None };
    if args.dry.dry_run {
        let with = if copy.keys { format!(" with {}", counted(from.keys, "key")) } else { String::new() };
        ctx.out.would(&format!("copy pool {} to {}{with}", from.name, args.name), json!(copy))?;
        return Ok(Outcome::Done);
    }
    let progress = ctx.out.progress("copying", if copy.keys { from.keys } else { 0 });
    let mut copied = client.copy_pool(from.id.as_str(), &copy).await?;
    let (client_key, mut total) = (copied.client_key.take(), copied.copied);
    progress.add(copied.copied);
    let mut failed = None;
    while let Some(cursor) = copied.cursor.take() {
        // A cursor that does not advance would loop forever.
        if copy.cursor.as_ref() == Some(&cursor) {
            failed = Some(CliError::new(Code::UnexpectedResponse, "the copy does not make progress"));
            break;
        }
        copy = PoolCopy { name: None, keys: true, cursor: Some(cursor) };
        match client.copy_pool(from.id.as_str(), &copy).await {
            Ok(next) => {
                progress.add(next.copied);
                total += next.copied;
                copied = next;
            }
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    drop(progress);
    let pool = &copied.pool;
    let document = json!({ "pool": pool, "client_key": client_key, "copied": total });
    // Also after a later error, because the client key is shown only once.
    ctx.out.result(&document, |view: &View| {
        let made = format!(
            "{} {} ({}) with {}",
            view.good("created pool"),
            pool.name,
            pool.id,
            counted(total, "key")
        );
        let secret = client_key.as_ref().map(|key| {
            format!("{}\n  {}", view.heading("client key (shown once; store it now)"), key.expose())
        });
        Sheet::from(made).text(secret.unwrap_or_default()).named(pool.name.clone())
    })?;
    match failed {
        None => Ok(Outcome::Done),
        Some(error) => {
            Err(error
                .hint(format!("the new pool has {total} of {} keys; delete it and copy again", from.keys)))
        }
    }
}
