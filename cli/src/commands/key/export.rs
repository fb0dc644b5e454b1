//! `poolctl key export`: a pool's keys in clear, into a file of one's own.

use std::path::PathBuf;

use pool_shared::ExportedKey;
use serde_json::json;

use super::select;
use crate::{
    config::write_file,
    ctx::Ctx,
    error::{CliError, Code, Outcome},
    flags::{PoolArg, PoolRef},
    output::counted,
};

/// Write a pool's keys in clear into a file that only you can read
///
/// Needs a token with the scope keys:export, and --reveal. The file has the columns that key import
/// takes. The service's audit has an entry for it.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl key export prod --reveal --to prod-keys.txt
  poolctl key export prod --reveal --to some.txt --key key-00c0ffee00c0ffee")]
pub struct Args {
    #[command(flatten)]
    pool: PoolArg,
    /// The file; it must not be there yet
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Only this key; can be repeated
    #[arg(long, value_name = "ID")]
    key: Vec<String>,
    /// Write the keys in clear
    #[arg(long)]
    reveal: bool,
}

pub async fn run(ctx: &mut Ctx, args: Args) -> Result<Outcome, CliError> {
    let pool: PoolRef = args.pool.get()?;
    let ids = if args.key.is_empty() { Vec::new() } else { select::ids(&args.key.join(" "))? };
    can_reveal(args.reveal)?;
    if args.to.exists() {
        return Err(CliError::new(Code::Conflict, format!("{} already exists", args.to.display()))
            .hint("give another name, or move it away"));
    }
    let client = ctx.client().await?;
    let pool = client.pool(pool.as_str()).await?;
    let keys = client.export_keys(&pool.id, &ids).await?;
    let text = format!("# keys of pool {}: key,weight,tag,name\n{}", pool.name, lines(&keys));
    write_file(&args.to, &text, 0o600).map_err(|error| CliError::file("write", &args.to, &error))?;
    let result = json!({ "pool": pool.id, "keys": keys.len(), "file": args.to });
    ctx.out.result(&result, |_| {
        format!(
            "{} of pool {} written to {}, mode 600",
            counted(keys.len(), "key"),
            pool.name,
            args.to.display()
        )
    })?;
    Ok(Outcome::Done)
}

/// Keys in clear are never written by mistake.
pub fn can_reveal(reveal: bool) -> Result<(), CliError> {
    if reveal {
        return Ok(());
    }
    Err(CliError::usage("this writes keys in clear").hint("add --reveal if that is what you want"))
}

/// One line a key; a comma inside a tag or a name would begin a column of its own.
fn lines(keys: &[ExportedKey]) -> String {
    let plain = |text: &str| text.replace([',', '\n', '\r'], ";");
    let line = |key: &ExportedKey| {
        let entry = &key.entry;
        let (tag, name) = (plain(&entry.tag), plain(&entry.name));
        format!("{},{},{tag},{name}\n", entry.key.expose(), entry.weight.get())
    };
    keys.iter().map(line).collect()
}
