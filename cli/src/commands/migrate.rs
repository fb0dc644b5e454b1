//! `poolctl migrate`: copies all data to the other config store.

use clap::ValueEnum;
use pool_shared::{Migrate, MigrationReport, StoreKind};

use crate::{
    ctx::Ctx,
    error::{CliError, Code, Outcome},
    output::{Sheet, Table, View, left, right},
};

/// Copy all data to the service's other config store
///
/// For a service on Cloudflare Workers with both a D1 database and a KV namespace bound. Copies
/// pools, client keys, Gemini keys (still encrypted) and admin tokens from the active store to the
/// other one, and removes rows that the active store does not have. Then compares both stores. The
/// active store is only read. The command is idempotent: it copies only what has changed. Exit code
/// 1 if data changed during the copy.
#[allow(clippy::doc_markdown, reason = "the help shows the text as it stands")]
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl migrate --to kv --dry-run
  poolctl migrate --to kv
  poolctl migrate --to d1 -o json | jq .verified

Then change the bindings in wrangler.toml, so that the other store is the one in use, and deploy.")]
pub struct Args {
    /// Target: the store that is not active
    #[arg(long, value_enum, value_name = "STORE")]
    to: Target,
    /// Compare only; write nothing
    #[arg(long)]
    dry_run: bool,
}

// The variants have no doc comments, because clap would add them to the help.
#[derive(Clone, Copy, ValueEnum)]
enum Target {
    D1,
    Kv,
}

impl From<Target> for StoreKind {
    fn from(target: Target) -> Self {
        match target {
            Target::D1 => Self::D1,
            Target::Kv => Self::Kv,
        }
    }
}

pub async fn run(ctx: &mut Ctx, args: Args) -> Result<Outcome, CliError> {
    let client = ctx.client().await?;
    let progress = ctx.out.progress("migrating", 0);
    let mut migrate = Migrate { to: args.to.into(), dry_run: args.dry_run, cursor: None };
    let report = loop {
        let step = client.migrate(&migrate, &progress).await?;
        progress.message(format!("- {}, {} rows written", step.report.phase, written(&step.report)));
        if step.cursor.is_none() {
            break step.report;
        }
        // A cursor that does not advance would loop forever.
        if step.cursor == migrate.cursor {
            return Err(CliError::new(Code::UnexpectedResponse, "the migration does not make progress"));
        }
        migrate.cursor = step.cursor;
    };
    drop(progress);
    ctx.out.result(&report, |view| human(&report, view))?;
    if report.dry_run {
        return Ok(Outcome::Done);
    }
    if report.verified {
        let to = &report.to;
        ctx.out.note(&format!("next: make {to} the active store in wrangler.toml, and deploy"));
        Ok(Outcome::Done)
    } else {
        ctx.out.warn("the stores differ because data changed during the copy; run the command again");
        Ok(Outcome::Unhealthy)
    }
}

fn written(report: &MigrationReport) -> u64 {
    report.tables.iter().map(|table| table.written).sum()
}

fn human(report: &MigrationReport, view: &View) -> Sheet {
    let (written, removed) = if report.dry_run { ("TO WRITE", "TO REMOVE") } else { ("WRITTEN", "REMOVED") };
    let numbers = ["IN USE", "OTHER", written, removed].map(right);
    let mut table = Table::list("tables", std::iter::once(left("TABLE")).chain(numbers));
    for row in &report.tables {
        let counts = [row.source_rows, row.target_rows, row.written, row.removed];
        let counts = counts.map(|count| view.count(count).into());
        table.row(std::iter::once(row.table.clone().into()).chain(counts));
    }
    let same = if report.verified { view.good("identical") } else { view.bad("different") };
    let MigrationReport { from, to, source_digest, target_digest, .. } = report;
    let title = view.heading(&format!("{from} (active) to {to}"));
    let digests = format!("digest of {from}: {source_digest}\ndigest of {to}: {target_digest}");
    Sheet::from(title).table(table).text(format!("{same}\n{digests}"))
}
