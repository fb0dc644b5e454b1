//! `poolctl key`: the Gemini keys of a pool.

mod add;
mod change;
mod check;
mod export;
mod import;
mod list;
mod select;
mod show;

pub use self::export::can_reveal;

use clap::Subcommand;

use crate::{
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
