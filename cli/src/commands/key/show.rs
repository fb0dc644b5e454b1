//! `poolctl key show`: one key and its statistics.

use pool_shared::{ErrorCode, Key, KeyId, KeyStats};
use serde_json::json;

use super::list::{state_cell, why};
use crate::{
    client::{Client, KeyFilter},
    ctx::Ctx,
    describe::limits_text,
    error::{CliError, Code, Outcome},
    flags::PoolRef,
    output::{Cell, Table, View},
};

/// Show one key of a pool and its statistics
///
/// The key is masked; poolctl key export writes keys in clear.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl key show prod key-00c0ffee00c0ffee
  poolctl key show prod 0badcafe -o json")]
pub struct Args {
    /// The pool's name or id
    pool: PoolRef,
    /// The key's id or fingerprint, as key list shows them
    key: String,
}

pub async fn run(ctx: &mut Ctx, args: Args) -> Result<Outcome, CliError> {
    let client = ctx.client().await?;
    let key = find(&client, args.pool.as_str(), &args.key).await?;
    let stats = client.pool_stats(args.pool.as_str(), &[]).await?;
    let served = stats.keys.into_iter().find(|row| row.key == key.id);
    let document = json!({ "key": key, "stats": served });
    ctx.out.result(&document, |view| details(&key, served.as_ref(), view))?;
    Ok(Outcome::Done)
}

/// Returns the key with this id or fingerprint.
async fn find(client: &Client, pool: &str, wanted: &str) -> Result<Key, CliError> {
    if pool_shared::GeminiKey::parse(wanted).is_ok() && !wanted.starts_with(KeyId::PREFIX) {
        return Err(CliError::usage("expected the key's id or fingerprint, not the key itself")
            .hint(format!("poolctl key list {pool}")));
    }
    let filter = KeyFilter { search: Some(wanted.to_owned()), ..KeyFilter::default() };
    let found = client.keys(pool, &filter, None).await?.keys;
    let mut found = found.into_iter().filter(|key| key.id.as_str() == wanted || key.fingerprint == wanted);
    found.next().ok_or_else(|| {
        CliError::new(Code::Service(ErrorCode::NotFound), format!("pool {pool} has no key {wanted}"))
            .hint(format!("poolctl key list {pool}"))
    })
}

fn details(key: &Key, served: Option<&KeyStats>, view: &View) -> Table {
    let counters = served.map(|row| row.counters).unwrap_or_default();
    let mut pairs: Vec<(&'static str, Cell)> = vec![
        ("id", key.id.to_string().into()),
        ("key", key.masked.clone().into()),
        ("fingerprint", key.fingerprint.clone().into()),
        ("name", key.name.clone().into()),
        ("tag", key.tag.clone().into()),
        ("state", state_cell(key)),
    ];
    let condition = &key.condition;
    if condition.reason.is_some() || condition.until.is_some() {
        pairs.push(("why", why(condition, view).into()));
    }
    if let Some(message) = &condition.message {
        pairs.push(("Gemini error", message.clone().into()));
    }
    for resting in &condition.models {
        pairs
            .push(("cooldown", format!("{} until {}", resting.model, view.exact_time(resting.until)).into()));
    }
    pairs.extend([
        ("weight", key.weight.get().to_string().into()),
        ("project", key.project.clone().into()),
        ("billing account", key.billing_account.clone().into()),
        ("limits", limits_text(&key.limits).into()),
        ("attempts", view.count(counters.attempts).into()),
        ("failed", view.count(counters.failures).into()),
        (
            "last used",
            served.and_then(|row| row.last_used).map(|time| view.exact_time(time)).unwrap_or_default().into(),
        ),
        ("added", view.exact_time(key.created_at).into()),
        ("updated", view.exact_time(key.updated_at).into()),
    ]);
    Table::pairs(pairs)
}
