//! `poolctl key export`: writes a pool's keys in clear to a file.

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

/// Export a pool's keys in clear to a file with mode 600
///
/// Requires --reveal and a token with the scope keys:export. The file has the format of key import.
/// The export is recorded in the service's audit log.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl key export prod --reveal --to prod-keys.txt
  poolctl key export prod --reveal --to some.txt --key key-00c0ffee00c0ffee")]
pub struct Args {
    #[command(flatten)]
    pool: PoolArg,
    /// Output file; must not exist
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
            .hint("choose another file name, or move the existing file"));
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

/// Requires --reveal, so that keys are not written in clear by mistake.
pub fn can_reveal(reveal: bool) -> Result<(), CliError> {
    if reveal {
        return Ok(());
    }
    Err(CliError::usage("--reveal is required, because the file has keys in clear")
        .hint("add --reveal to the command"))
}

/// Returns one line per key. Commas in tags and names are replaced, because they separate columns.
fn lines(keys: &[ExportedKey]) -> String {
    let plain = |text: &str| text.replace([',', '\n', '\r'], ";");
    let line = |key: &ExportedKey| {
        let entry = &key.entry;
        let (tag, name) = (plain(&entry.tag), plain(&entry.name));
        format!("{},{},{tag},{name}\n", entry.key.expose(), entry.weight.get())
    };
    keys.iter().map(line).collect()
}
