//! `poolctl profile`: named services and their credentials.

use clap::Subcommand;
use serde::Serialize;
use serde_json::json;

use crate::{
    config::{ConfigEdit, Profile, ProfileName, ServiceUrl, credentials::CredentialId},
    ctx::Ctx,
    error::{CliError, Code, Outcome},
    flags::{Confirm, DryRun},
    output::{Cell, Table, left, text},
};

/// Manage profiles: named services and their credentials
#[derive(Subcommand)]
pub enum Command {
    /// List the profiles
    #[command(
        visible_alias = "ls",
        after_long_help = "\
Examples:
  poolctl profile list
  poolctl profile list -o name"
    )]
    List,
    /// Set the default profile
    #[command(after_long_help = "\
Examples:
  poolctl profile use prod")]
    Use {
        /// The profile
        name: ProfileName,
        #[command(flatten)]
        dry: DryRun,
    },
    /// Show a profile
    #[command(after_long_help = "\
Examples:
  poolctl profile show
  poolctl profile show prod -o json")]
    Show {
        /// Profile [default: the one in use]
        name: Option<ProfileName>,
    },
    /// Rename a profile
    #[command(after_long_help = "\
Examples:
  poolctl profile rename default prod")]
    Rename {
        /// The profile
        name: ProfileName,
        /// Its new name
        to: ProfileName,
        #[command(flatten)]
        dry: DryRun,
    },
    /// Remove a profile and its stored token
    ///
    /// The token stays valid at the service; poolctl logout --profile NAME revokes it first.
    #[command(
        visible_alias = "rm",
        after_long_help = "\
Examples:
  poolctl profile remove local
  poolctl profile remove local --yes"
    )]
    Remove {
        /// The profile
        name: ProfileName,
        #[command(flatten)]
        confirm: Confirm,
    },
}

/// A profile in results.
#[derive(Serialize)]
struct Shown<'a> {
    name: &'a ProfileName,
    url: &'a ServiceUrl,
    default: bool,
    insecure: bool,
    token_store: Option<&'static str>,
}

impl<'a> Shown<'a> {
    fn of(ctx: &'a Ctx, name: &'a ProfileName, profile: &'a Profile) -> Self {
        Self {
            name,
            url: &profile.url,
            default: ctx.config.default_profile.as_ref() == Some(name),
            insecure: profile.insecure,
            token_store: profile.token_store.map(crate::config::credentials::StoreKind::as_str),
        }
    }

    fn token(&self) -> Cell {
        self.token_store.map_or_else(|| "not logged in".into(), Cell::from)
    }
}

pub async fn run(ctx: &mut Ctx, command: Command) -> Result<Outcome, CliError> {
    match command {
        Command::List => list(ctx)?,
        Command::Use { name, dry } => make_default(ctx, &name, dry)?,
        Command::Show { name } => show(ctx, name)?,
        Command::Rename { name, to, dry } => rename(ctx, &name, &to, dry).await?,
        Command::Remove { name, confirm } => remove(ctx, &name, confirm).await?,
    }
    Ok(Outcome::Done)
}

fn known(ctx: &Ctx, name: &ProfileName) -> Result<Profile, CliError> {
    ctx.config.profiles.get(name).cloned().ok_or_else(|| ctx.unknown_profile(name, ""))
}

fn list(ctx: &mut Ctx) -> Result<(), CliError> {
    let config = ctx.config.clone();
    let shown: Vec<_> = config.profiles.iter().map(|(name, entry)| Shown::of(ctx, name, entry)).collect();
    let document = json!({ "profiles": shown });
    let mut table = Table::list("profiles", [left("NAME"), text("URL"), left("DEFAULT"), text("TOKEN")]);
    for profile in &shown {
        let default = if profile.default { Cell::Good("default".into()) } else { "".into() };
        table.row([
            profile.name.to_string().into(),
            profile.url.to_string().into(),
            default,
            profile.token(),
        ]);
    }
    if shown.is_empty() {
        ctx.out.note("no profiles; create one with poolctl login --url URL");
    }
    ctx.out.result(&document, |_| table)
}

fn make_default(ctx: &mut Ctx, name: &ProfileName, dry: DryRun) -> Result<(), CliError> {
    known(ctx, name)?;
    if dry.dry_run {
        return ctx
            .out
            .would(&format!("set {name} as the default profile"), json!({ "default_profile": name }));
    }
    let path = ctx.dir.config();
    let mut edit = ConfigEdit::open(&path)?;
    edit.set_default(name);
    edit.save()?;
    ctx.out.result(&json!({ "default_profile": name }), |_| format!("{name} is now the default profile"))
}

fn show(ctx: &mut Ctx, name: Option<ProfileName>) -> Result<(), CliError> {
    let name = name.unwrap_or_else(|| ctx.settings.profile.value.clone());
    let profile = known(ctx, &name)?;
    let shown = Shown::of(ctx, &name, &profile);
    let table = Table::pairs([
        ("name", name.to_string().into()),
        ("url", profile.url.to_string().into()),
        ("default", if shown.default { "yes" } else { "no" }.into()),
        ("token", shown.token()),
        ("plain http", if profile.insecure { "allowed" } else { "to this machine only" }.into()),
    ]);
    let document = json!(shown);
    ctx.out.result(&document, |_| table)
}

async fn rename(ctx: &mut Ctx, name: &ProfileName, to: &ProfileName, dry: DryRun) -> Result<(), CliError> {
    let profile = known(ctx, name)?;
    if ctx.config.profiles.contains_key(to) {
        return Err(CliError::new(Code::Conflict, format!("profile {to} already exists"))
            .hint(format!("poolctl profile remove {to}")));
    }
    let result = json!({ "renamed": { "from": name, "name": to } });
    if dry.dry_run {
        return ctx.out.would(&format!("rename profile {name} to {to}"), result);
    }
    // The token is stored under the profile's name. It is first stored under both names, so that a
    // failure does not lose it.
    let id =
        |profile_name: &ProfileName| CredentialId { profile: profile_name.clone(), url: profile.url.clone() };
    let mut renamed = profile.clone();
    let mut kept = None;
    if let Some(store) = profile.token_store
        && let Some(token) = ctx.stored_token(store, &id(name)).await?
    {
        renamed.token_store = Some(ctx.interrupt.wait(ctx.credentials.set(&id(to), &token)).await??);
        kept = Some(store);
    }
    let path = ctx.dir.config();
    let mut edit = ConfigEdit::open(&path)?;
    edit.rename(name, to)?;
    edit.put(to, &renamed)?;
    edit.save()?;
    if let Some(store) = kept {
        ctx.interrupt.wait(ctx.credentials.delete(store, &id(name))).await??;
    }
    ctx.out.result(&result, |_| format!("renamed profile {name} to {to}"))
}

async fn remove(ctx: &mut Ctx, name: &ProfileName, confirm: Confirm) -> Result<(), CliError> {
    let profile = known(ctx, name)?;
    let result = json!({ "removed": { "name": name, "url": profile.url } });
    if confirm.dry_run() {
        return ctx.out.would(&format!("remove profile {name} ({})", profile.url), result);
    }
    ctx.confirm(confirm, &format!("Remove profile {name} ({})?", profile.url)).await?;
    if let Some(store) = profile.token_store {
        let id = CredentialId { profile: name.clone(), url: profile.url.clone() };
        ctx.interrupt.wait(ctx.credentials.delete(store, &id)).await??;
    }
    let path = ctx.dir.config();
    let mut edit = ConfigEdit::open(&path)?;
    edit.remove(name)?;
    edit.save()?;
    ctx.out.result(&result, |_| format!("removed profile {name}"))
}
