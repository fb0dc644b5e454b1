//! `poolctl export`: the pools as a manifest for `apply`.

use std::{fmt::Write as _, path::PathBuf};

use pool_shared::{ErrorCode, Pool};
use serde_json::json;

use super::spec::{Manifest, PoolSpec};
use crate::{
    config::write_file,
    ctx::{Ctx, nearest},
    error::{CliError, Code, Outcome},
    flags::PoolRef,
    output::counted,
};

/// Export the pools to a file for apply
///
/// Keys and client keys are secrets and are not exported; comments show where to name them.
/// Applying the unchanged file changes nothing.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl export > pools.toml
  poolctl export prod test --file pools.toml")]
pub struct ExportArgs {
    /// Export only these pools, by name or id
    pools: Vec<PoolRef>,
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
}

pub async fn export(ctx: &mut Ctx, args: ExportArgs) -> Result<Outcome, CliError> {
    let mut pools = ctx.client().await?.pools().await?.pools;
    let is =
        |pool: &Pool, wanted: &PoolRef| pool.name == wanted.as_str() || pool.id.as_str() == wanted.as_str();
    if let Some(missing) = args.pools.iter().find(|wanted| !pools.iter().any(|pool| is(pool, wanted))) {
        let error = CliError::new(Code::Service(ErrorCode::NotFound), format!("no pool '{missing}'"));
        return Err(match nearest(missing.as_str(), pools.iter().map(|pool| pool.name.as_str())) {
            Some(name) => error.hint(format!("did you mean '{name}'?")),
            None => error,
        });
    }
    pools.retain(|pool| args.pools.is_empty() || args.pools.iter().any(|wanted| is(pool, wanted)));
    let text = manifest(&pools)?;
    match args.file {
        None => ctx.out.raw(text.trim_end())?,
        Some(path) => {
            write_file(&path, &text, 0o644).map_err(|error| CliError::file("write", &path, &error))?;
            let result = json!({ "file": path, "pools": pools.len() });
            ctx.out.result(&result, |_| {
                format!("{} written to {}", counted(pools.len(), "pool"), path.display())
            })?;
        }
    }
    Ok(Outcome::Done)
}

fn manifest(pools: &[Pool]) -> Result<String, CliError> {
    let mut text = "# Pools for `poolctl apply`; `poolctl diff` shows what it would change.\n".to_owned();
    for pool in pools {
        let settings = &pool.settings;
        let spec = PoolSpec {
            description: Some(pool.description.clone()).filter(|text| !text.is_empty()),
            // Always present, so that each pool has a table header for manual additions.
            enabled: Some(pool.enabled),
            allowed_models: Some(pool.allowed_models.clone()).filter(|models| !models.is_empty()),
            sticky: Some(settings.sticky).filter(|sticky| *sticky),
            pass_through: Some(settings.pass_through).filter(|pass_through| *pass_through),
            separate_billing: Some(settings.separate_billing).filter(|separate| *separate),
            model_limits: Some(settings.model_limits.clone()).filter(|limits| !limits.is_empty()),
            aliases: Some(settings.aliases.clone()).filter(|aliases| !aliases.is_empty()),
            fallbacks: Some(settings.fallbacks.clone()).filter(|fallbacks| !fallbacks.is_empty()),
            translation: Some(settings.translation.changes_from_defaults())
                .filter(|update| !update.is_empty()),
            ..PoolSpec::default()
        };
        let one = Manifest { pools: [(pool.name.clone(), spec)].into() };
        let entry = toml_edit::ser::to_string_pretty(&one).map_err(|error| {
            CliError::new(Code::Local, "cannot write this as TOML").cause(error.to_string())
        })?;
        // The comment follows the pool's table header, before its aliases.
        let (header, rest) = entry.split_once("]\n").unwrap_or((&entry, ""));
        let keys = counted(pool.keys, "key");
        let keys = format!("# it has {keys}: keys = [{{ file = \"keys.txt\" }}]");
        let _ = write!(text, "\n{header}]\n{keys}\n{rest}");
    }
    Ok(text)
}
