//! `poolctl login`: exchanges the admin password for a token and stores it.

use pool_shared::{Login, Secret};
use serde_json::json;

use crate::{
    config::{ConfigEdit, Profile, credentials::CredentialId},
    ctx::Ctx,
    env,
    error::{CliError, Outcome},
    input::first_line,
    output::{Table, prompt},
};

/// Log in to a pool service
///
/// Prompts for the service's admin password without echoing it. Stores the token that the service
/// returns in the system keyring, or, where there is none, in a file with mode 600. The first login
/// creates the default profile; --profile NAME adds another service.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl login --url https://pool.example.com
  poolctl login --url http://127.0.0.1:8787 --profile local
  poolctl login --url https://pool.example.com --with-password < password.txt")]
pub struct Args {
    /// Read the password from the first line of standard input
    #[arg(long)]
    with_password: bool,
}

pub async fn run(ctx: &mut Ctx, args: Args) -> Result<Outcome, CliError> {
    if ctx.settings.url.is_none() {
        return Err(CliError::usage("--url is required").hint("poolctl login --url https://pool.example.com"));
    }
    let service = ctx.settings.service()?.clone();
    let url = service.value.clone();
    let password = password(ctx, args.with_password).await?;
    let client = ctx.client_with(service, None)?;
    let name = format!("poolctl on {}", gethostname::gethostname().to_string_lossy());
    let answer = client.login(&Login { password, name, expires_in_s: None }).await?;

    let profile = ctx.settings.profile.value.clone();
    let id = CredentialId { profile: profile.clone(), url: url.clone() };
    let store = ctx.interrupt.wait(ctx.credentials.set(&id, &answer.token)).await??;
    let entry = Profile {
        url: url.clone(),
        insecure: !url.is_private() && ctx.settings.insecure,
        token_store: Some(store),
    };
    let path = ctx.dir.config();
    let mut edit = ConfigEdit::open(&path)?;
    edit.put(&profile, &entry)?;
    edit.save()?;
    if let Some(before) = ctx.settings.entry.as_ref().map(|entry| &entry.url).filter(|before| **before != url)
    {
        ctx.out.note(&format!("profile {profile} pointed to {before}; use --profile NAME to keep both"));
    }
    if ctx.settings.env_token.is_some() {
        ctx.out.warn(&format!("{} is set and overrides the stored token", env::TOKEN));
    }
    let place = ctx.place(store);
    let result = json!({
        "profile": profile,
        "url": url,
        "token_id": answer.id,
        "expires_at": answer.expires_at,
        "token_store": store,
    });
    ctx.out.result(&result, |view| {
        let facts = Table::pairs([
            ("profile", profile.to_string().into()),
            ("token", place.into()),
            ("expires", view.exact_time(answer.expires_at).into()),
        ]);
        format!("{} {url}\n{}", view.good("logged in to"), facts.render(view))
    })?;
    ctx.out.note("next: poolctl pool create NAME --keys FILE");
    Ok(Outcome::Done)
}

async fn password(ctx: &mut Ctx, from_stdin: bool) -> Result<Secret, CliError> {
    let password = if from_stdin {
        first_line(ctx, "a password").await?
    } else if ctx.out.interactive() {
        prompt::password(&ctx.interrupt, "Admin password").await?
    } else {
        return Err(CliError::usage("cannot prompt for the password: stdin is not a terminal")
            .hint("poolctl login --with-password < FILE"));
    };
    if password.expose().is_empty() {
        return Err(CliError::usage("the password is empty"));
    }
    Ok(password)
}
