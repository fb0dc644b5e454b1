//! `poolctl pool`.

mod change;
mod copy;
mod create;
mod delete;
mod models;
mod name;
mod show;
mod translation;

use clap::Subcommand;

use crate::{
    ctx::Ctx,
    error::{CliError, Outcome},
};

/// Manage pools: sets of Gemini keys behind one endpoint
#[derive(Subcommand)]
pub enum Command {
    #[command(visible_alias = "ls")]
    List(show::ListArgs),
    Create(create::Args),
    Show(show::ShowArgs),
    Copy(copy::Args),
    Update(change::UpdateArgs),
    Models(models::Args),
    Translation(translation::Args),
    Enable(change::EnableArgs),
    Disable(change::DisableArgs),
    #[command(visible_alias = "rm")]
    Delete(delete::Args),
}

pub async fn run(ctx: &mut Ctx, command: Command) -> Result<Outcome, CliError> {
    match command {
        Command::List(args) => show::list(ctx, args).await,
        Command::Create(args) => create::run(ctx, args).await,
        Command::Show(args) => show::show(ctx, args).await,
        Command::Copy(args) => copy::run(ctx, args).await,
        Command::Update(args) => change::update(ctx, args).await,
        Command::Models(args) => models::run(ctx, args).await,
        Command::Translation(args) => translation::run(ctx, args).await,
        Command::Enable(args) => change::enable(ctx, args).await,
        Command::Disable(args) => change::disable(ctx, args).await,
        Command::Delete(args) => delete::run(ctx, args).await,
    }
}
