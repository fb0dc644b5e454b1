//! `poolctl logout`: revokes the token and removes it from the credential store.

use pool_shared::ErrorCode;
use serde_json::json;

use crate::{
    config::{
        Setting, Source,
        credentials::{CredentialId, StoreKind},
    },
    ctx::Ctx,
    error::{CliError, Code, Outcome},
};

/// Log out: revoke this profile's token and remove it from the credential store
///
/// Keeps the profile, so that a later login needs no URL. A token from the environment is not
/// revoked.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl logout
  poolctl logout --profile local")]
pub struct Args {}

pub async fn run(ctx: &mut Ctx, _: Args) -> Result<Outcome, CliError> {
    ctx.known_profile()?;
    let profile = ctx.settings.profile.value.clone();
    let kept = ctx.settings.entry.clone().and_then(|entry| Some((entry.url, entry.token_store?)));
    let Some((url, store)) = kept else {
        ctx.out.note(&format!("profile {profile} is not logged in"));
        return report(ctx, false);
    };
    let id = CredentialId { profile, url };
    let revoked = revoke(ctx, store, &id).await;
    ctx.interrupt.wait(ctx.credentials.delete(store, &id)).await??;
    match revoked {
        Ok(revoked) => report(ctx, revoked),
        Err(error) => {
            ctx.out
                .warn("the local token was removed, but it is still valid at the service until it expires");
            Err(error)
        }
    }
}

/// Revokes the stored token. Returns `false` if there is none.
async fn revoke(ctx: &mut Ctx, store: StoreKind, id: &CredentialId) -> Result<bool, CliError> {
    let Some(token) = ctx.stored_token(store, id).await? else { return Ok(false) };
    let url = Setting { value: id.url.clone(), source: Source::Profile(id.profile.clone()) };
    let client = ctx.client_with(url, Some((token, ctx.token_source(store))))?;
    match client.logout().await {
        Ok(()) => Ok(true),
        // It has expired or was already revoked.
        Err(error) if error.code() == Code::Service(ErrorCode::Unauthorized) => Ok(true),
        Err(error) => Err(error),
    }
}

fn report(ctx: &mut Ctx, revoked: bool) -> Result<Outcome, CliError> {
    let profile = ctx.settings.profile.value.clone();
    let result = json!({ "profile": profile, "revoked": revoked });
    ctx.out.result(&result, |_| {
        if revoked { format!("logged out of profile {profile}") } else { String::new() }
    })?;
    Ok(Outcome::Done)
}
