//! Flags that many commands take.

/// The flag of every command that changes something.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
pub struct DryRun {
    /// Show what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// The flags of the commands that ask before they change something.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
pub struct Confirm {
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    #[command(flatten)]
    dry: DryRun,
}

impl Confirm {
    /// Whether somebody has to be asked.
    pub fn asks(self) -> bool {
        !self.yes && !self.dry.dry_run
    }

    /// Whether nothing is to be changed.
    pub fn dry_run(self) -> bool {
        self.dry.dry_run
    }
}
