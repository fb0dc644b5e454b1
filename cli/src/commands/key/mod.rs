//! `poolctl key`: the Gemini keys of a pool.

mod add;
mod change;
mod check;
mod export;
pub mod file;
mod import;
pub mod list;
pub mod probe;
pub mod report;
mod select;
mod show;

pub use self::{
    check::{Checked, name as verdict_name, summary},
    export::can_reveal,
    file::{KeySource, bytes},
};

use clap::Subcommand;

use crate::{
    commands::PoolRef,
    ctx::Ctx,
    error::{CliError, Outcome},
};

/// Manage the Gemini keys of a pool
#[derive(Subcommand)]
pub enum Command {
    #[command(visible_alias = "ls")]
    List(list::Args),
    Show(show::Args),
    Add(add::Args),
    Import(import::Args),
    Check(check::Args),
    Enable(change::EnableArgs),
    Disable(change::DisableArgs),
    Weight(change::WeightArgs),
    Tag(change::TagArgs),
    Set(change::SetArgs),
    Reset(change::ResetArgs),
    #[command(visible_alias = "rm")]
    Remove(change::RemoveArgs),
    Export(export::Args),
}

pub async fn run(ctx: &mut Ctx, command: Command) -> Result<Outcome, CliError> {
    match command {
        Command::List(args) => list::run(ctx, args).await,
        Command::Show(args) => show::run(ctx, args).await,
        Command::Add(args) => add::run(ctx, args).await,
        Command::Import(args) => import::run(ctx, args).await,
        Command::Check(args) => check::run(ctx, args).await,
        Command::Enable(args) => change::enable(ctx, args).await,
        Command::Disable(args) => change::disable(ctx, args).await,
        Command::Weight(args) => change::weight(ctx, args).await,
        Command::Tag(args) => change::tag(ctx, args).await,
        Command::Reset(args) => change::reset(ctx, args).await,
        Command::Set(args) => change::set(ctx, args).await,
        Command::Remove(args) => change::remove(ctx, args).await,
        Command::Export(args) => export::run(ctx, args).await,
    }
}

/// The pool whose keys are meant: as an argument, or as `--pool`.
#[derive(clap::Args)]
pub struct PoolArg {
    /// The pool's name or id
    #[arg(value_name = "POOL", required_unless_present = "pool")]
    argument: Option<PoolRef>,
    /// The pool, as a flag
    #[arg(long, value_name = "POOL", conflicts_with = "argument")]
    pool: Option<PoolRef>,
}

impl PoolArg {
    fn get(self) -> Result<PoolRef, CliError> {
        self.argument.or(self.pool).ok_or_else(|| CliError::usage("which pool?"))
    }
}
