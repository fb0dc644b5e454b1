//! `poolctl master-key`: rotation of the master key.

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
    /// Before: deploy the service with the new key as `MASTER_KEY` and the previous one as
    /// `MASTER_KEY_PREV`. After: deploy it without `MASTER_KEY_PREV`. The service stays available,
    /// and the command is resumable.
    ///
    /// Envelope encryption: the master key encrypts a data key of each pool, which encrypts the
    /// pool's Gemini keys. If both the store and the master key have leaked, rotate the data keys
    /// too.
    #[command(after_long_help = "\
Examples:
  poolctl master-key rotate
  poolctl master-key rotate --data-keys
  poolctl master-key rotate -o json | jq .rows

Exit code 0 when MASTER_KEY alone opens everything, 1 when it does not.")]
    Rotate {
        /// Also rotate each pool's data key and re-encrypt its Gemini keys
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
    let progress = ctx.out.progress("re-encrypting", 0);
    let (mut step, mut rewrapped, mut unreadable_keys) = (MasterKeyRotate { cursor: None, data_keys }, 0, 0);
    let rows = loop {
        let answer = client.rotate_master_key(&step, &progress).await?;
        rewrapped += answer.rewrapped;
        unreadable_keys += answer.unreadable_keys;
        progress.message(format!("- {rewrapped} rows"));
        match (answer.cursor, answer.rows) {
            (None, Some(rows)) => break rows,
            // A cursor that does not advance would loop forever.
            (cursor @ Some(_), _) if cursor != step.cursor => step.cursor = cursor,
            _ => {
                return Err(CliError::new(Code::UnexpectedResponse, "the rotation does not make progress"));
            }
        }
    };
    drop(progress);
    ctx.out.result(&json!({ "rewrapped": rewrapped, "rows": rows }), |view| human(rewrapped, rows, view))?;
    if rows.unreadable > 0 {
        ctx.out.warn(
            "some rows cannot be decrypted with either key: deploy with the previous key as MASTER_KEY_PREV",
        );
        return Ok(Outcome::Unhealthy);
    }
    if unreadable_keys > 0 {
        ctx.out.warn("some Gemini keys cannot be decrypted: find them with poolctl key check");
        return Ok(Outcome::Unhealthy);
    }
    if data_keys && rows.previous == 0 {
        return Ok(Outcome::Done);
    }
    if rows.previous > 0 {
        ctx.out.warn("some rows are still encrypted under the previous key: run the command again");
        return Ok(Outcome::Unhealthy);
    }
    ctx.out.note("next: when poolctl health reports ok, deploy without MASTER_KEY_PREV");
    Ok(Outcome::Done)
}

fn human(rewrapped: u64, rows: MasterKeyRows, view: &View) -> String {
    let MasterKeyRows { current, previous, unreadable } = rows;
    let [rewrapped, current, previous, unreadable] =
        [rewrapped, current, previous, unreadable].map(|count| view.count(count));
    format!(
        "rows re-encrypted: {rewrapped}\n\nunder MASTER_KEY       {current}\n\
         under MASTER_KEY_PREV  {previous}\nunder neither          {unreadable}"
    )
}
