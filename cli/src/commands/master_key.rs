//! `poolctl master`: the key that everything else is sealed under.

use clap::Subcommand;
use pool_shared::{MasterKeyRotate, MasterKeyRows};
use serde_json::json;

use crate::{
    ctx::Ctx,
    error::{CliError, Code, Outcome},
    output::View,
};

/// Manage the service's master key
#[derive(Subcommand)]
#[allow(clippy::doc_markdown, reason = "the help shows the text as it stands")]
pub enum Command {
    /// Re-encrypt everything under the new master key
    ///
    /// Before: deploy the service with a new `MASTER_KEY`, and the one of before as `MASTER_KEY_PREV`.
    /// After: deploy it without `MASTER_KEY_PREV`. The service answers all the while, and the command
    /// may be broken off and run again.
    ///
    /// The master key seals a data key of each pool, and that one the pool's Gemini keys. After a leak of
    /// both the store and the master key, give the pools new data keys too.
    #[command(after_long_help = "\
Examples:
  poolctl master-key rotate
  poolctl master-key rotate --data-keys
  poolctl master-key rotate -o json | jq .rows

Exit code 0 when MASTER_KEY alone opens everything, 1 when it does not.")]
    Rotate {
        /// Give each pool a new data key, and seal its Gemini keys anew under it
        #[arg(long)]
        data_keys: bool,
    },
}

pub async fn run(ctx: &mut Ctx, command: Command) -> Result<Outcome, CliError> {
    match command {
        Command::Rotate { data_keys } => rotate(ctx, data_keys).await,
    }
}

async fn rotate(ctx: &mut Ctx, data_keys: bool) -> Result<Outcome, CliError> {
    let client = ctx.client().await?;
    let progress = ctx.out.progress("sealing anew", 0);
    let (mut step, mut rewrapped, mut unreadable_keys) = (MasterKeyRotate { cursor: None, data_keys }, 0, 0);
    let rows = loop {
        let answer = client.rotate_master_key(&step, &progress).await?;
        rewrapped += answer.rewrapped;
        unreadable_keys += answer.unreadable_keys;
        progress.message(format!("- {rewrapped} rows"));
        match (answer.cursor, answer.rows) {
            (None, Some(rows)) => break rows,
            // An answer that leads back to where it came from would never end.
            (cursor @ Some(_), _) if cursor != step.cursor => step.cursor = cursor,
            _ => {
                return Err(CliError::new(Code::UnexpectedAnswer, "the rotation does not get any further"));
            }
        }
    };
    drop(progress);
    ctx.out.result(&json!({ "rewrapped": rewrapped, "rows": rows }), |view| human(rewrapped, rows, view))?;
    if rows.unreadable > 0 {
        ctx.out.warn("some rows open under neither key: deploy with the key of before as MASTER_KEY_PREV");
        return Ok(Outcome::Unhealthy);
    }
    if unreadable_keys > 0 {
        ctx.out.warn("some Gemini keys do not open: poolctl key check finds them");
        return Ok(Outcome::Unhealthy);
    }
    if data_keys && rows.previous == 0 {
        return Ok(Outcome::Done);
    }
    if rows.previous > 0 {
        ctx.out.warn("some rows are still under the previous key: run it again");
        return Ok(Outcome::Unhealthy);
    }
    ctx.out.note("next: once poolctl health says ok, deploy without MASTER_KEY_PREV");
    Ok(Outcome::Done)
}

fn human(rewrapped: u64, rows: MasterKeyRows, view: &View) -> String {
    let MasterKeyRows { current, previous, unreadable } = rows;
    let [rewrapped, current, previous, unreadable] =
        [rewrapped, current, previous, unreadable].map(|count| view.count(count));
    format!(
        "sealed {rewrapped} rows anew\n\nunder MASTER_KEY       {current}\n\
         under MASTER_KEY_PREV  {previous}\nunder neither          {unreadable}"
    )
}
