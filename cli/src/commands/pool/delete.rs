//! `poolctl pool delete`.

use serde_json::json;

use crate::{
    ctx::Ctx,
    error::{CliError, Outcome},
    flags::{Confirm, PoolRef},
    output::counted,
};

/// Delete a pool with its keys and client keys
///
/// Shows what will be deleted and asks for confirmation. To delete a pool that has served requests,
/// its name must be typed. Its clients are rejected within 30 seconds. Its counts stay in `poolctl
/// stats`.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl pool delete test
  poolctl pool delete test --dry-run
  poolctl pool delete test --yes")]
pub struct Args {
    /// The pool's name or id
    pool: PoolRef,
    #[command(flatten)]
    confirm: Confirm,
}

pub async fn run(ctx: &mut Ctx, args: Args) -> Result<Outcome, CliError> {
    ctx.can_confirm(args.confirm)?;
    let client = ctx.client().await?;
    let pool = client.pool(args.pool.as_str()).await?;
    let result = json!({ "deleted": { "id": pool.id, "name": pool.name } });
    if !args.confirm.yes {
        let id = pool.id.as_str();
        let client_keys = client.client_keys(id).await?.client_keys.len();
        let number = |count: u64| count.try_into().unwrap_or(usize::MAX);
        let requests = client.pool_stats(id, &[]).await?.requests.total;
        let loss = format!(
            "{}, {}, {} so far",
            counted(number(pool.keys), "key"),
            counted(client_keys, "client key"),
            counted(number(requests), "request")
        );
        let name = &pool.name;
        if args.confirm.dry_run() {
            ctx.out.would(&format!("delete pool {name} ({loss})"), result)?;
            return Ok(Outcome::Done);
        }
        if requests == 0 {
            ctx.confirm(args.confirm, &format!("Delete pool {name} ({loss})?")).await?;
        } else {
            let question = format!("This deletes pool {name} ({loss}). Type its name to confirm");
            ctx.confirm_by_name(args.confirm, &question, name).await?;
        }
    }
    client.delete_pool(&pool.id).await?;
    ctx.out.result(&result, |_| format!("deleted pool {} ({})", pool.name, pool.id))?;
    Ok(Outcome::Done)
}
