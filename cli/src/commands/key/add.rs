//! `poolctl key add`: adds one key.

use pool_shared::{GeminiKey, KeyImport, KeyImportEntry, Limits, Secret, Weight, read_key};
use serde_json::json;

use crate::{
    ctx::Ctx,
    error::{CliError, Outcome},
    flags::{DryRun, PoolArg},
    input::first_line,
    key_import::report,
    output::prompt,
};

/// Add one Gemini key to a pool
///
/// Prompts for the key without echoing it, or reads it from standard input. A key is never an
/// argument, because other processes can read arguments.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl key add prod --name laptop --tag team-b
  pass show gemini/paid | poolctl key add prod --weight 10 --project my-project --rpm 1000 --rpd 10000")]
pub struct Args {
    #[command(flatten)]
    pool: PoolArg,
    /// Relative share of the traffic, 0 to 1000; 0 makes it a reserve key
    #[arg(long, default_value = "1")]
    weight: Weight,
    /// Tag, to select the key by
    #[arg(long, default_value = "", hide_default_value = true)]
    tag: String,
    /// Name
    #[arg(long, default_value = "", hide_default_value = true)]
    name: String,
    /// Google project; keys of one project share their quotas
    #[arg(long, default_value = "", hide_default_value = true)]
    project: String,
    /// Billing account of the project; projects of one account share a spend limit
    #[arg(long, default_value = "", hide_default_value = true, value_name = "ACCOUNT")]
    billing_account: String,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    dry: DryRun,
}

/// Limits of a project, for each model.
#[derive(clap::Args, Clone, Copy)]
pub struct LimitArgs {
    /// Requests per minute of its project, for each model
    #[arg(long, value_name = "COUNT")]
    rpm: Option<u64>,
    /// Requests per day
    #[arg(long, value_name = "COUNT")]
    rpd: Option<u64>,
    /// Input tokens per minute
    #[arg(long, value_name = "COUNT")]
    tpm: Option<u64>,
    /// Input tokens per day
    #[arg(long, value_name = "COUNT")]
    tpd: Option<u64>,
}

impl LimitArgs {
    /// Returns the given limits.
    pub fn get(self) -> Limits {
        Limits {
            requests_per_minute: self.rpm,
            requests_per_day: self.rpd,
            tokens_per_minute: self.tpm,
            tokens_per_day: self.tpd,
        }
    }
}

pub async fn run(ctx: &mut Ctx, args: Args) -> Result<Outcome, CliError> {
    let pool = args.pool.get()?;
    let key = read(ctx).await?;
    let client = ctx.client().await?;
    let pool = client.pool(pool.as_str()).await?;
    let entry = KeyImportEntry {
        key: Secret::new(key.expose()),
        line: None,
        weight: args.weight,
        tag: args.tag,
        name: args.name,
        project: args.project,
        billing_account: args.billing_account,
        limits: args.limits.get(),
    };
    if args.dry.dry_run {
        let request = json!({ "key": key.masked(), "weight": entry.weight, "tag": entry.tag,
            "name": entry.name, "project": entry.project,
            "billing_account": entry.billing_account, "limits": entry.limits });
        ctx.out.would(&format!("add {key} to pool {}", pool.name), request)?;
        return Ok(Outcome::Done);
    }
    let progress = ctx.out.progress("adding", 1);
    let mut report = pool_shared::KeyImportReport::default();
    let chunk = KeyImport { keys: vec![entry] };
    client.import(&pool.id, std::iter::once(chunk), &mut report, &progress).await?;
    drop(progress);
    ctx.out.result(&report, |_| match report.added {
        0 => format!("{key} is already in pool {}; not changed", pool.name),
        _ => format!("added {key} to pool {}", pool.name),
    })?;
    Ok(report::outcome(&report))
}

async fn read(ctx: &mut Ctx) -> Result<GeminiKey, CliError> {
    let text = if ctx.out.interactive() {
        prompt::password(&ctx.interrupt, "Gemini key").await?
    } else {
        first_line(ctx, "the key").await?
    };
    read_key(text.expose()).map_err(|error| {
        CliError::usage("invalid Gemini key")
            .cause(error.to_string())
            .hint("import several keys from a file with poolctl key import")
    })
}
