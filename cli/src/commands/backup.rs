//! `poolctl backup` and `poolctl restore`: the configuration in one file.
//!
//! A restore applies the backup like a manifest, so it is idempotent and shows its changes. The
//! service stores client keys only as hashes, so a backup cannot contain the keys themselves.

mod client_keys;
mod file;

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use pool_shared::{ExportedKey, Key, KeyChange, KeyId, KeyImportEntry, Pool, PoolSettings};
use serde_json::json;

use self::file::{Backup, FORMAT, SavedClientKey, SavedClientKeys, SavedPool};
use super::{
    key::can_reveal,
    manifest::{
        Absent, Change, FirstClientKeys, Manifest, PoolSpec, Present, changes, make, new_pool, old_pool,
    },
};
use crate::{
    client::{Client, KeyFilter},
    config::write_file,
    ctx::Ctx,
    error::{CliError, Code, Outcome},
    flags::Confirm,
    input::{KeySource, bytes},
    output::counted,
};

/// Back up the whole configuration to a file with mode 600
///
/// Includes pools with their settings, and client keys with limits, models, networks and expiry.
/// --client-keys adds the hashes of the client keys, so that they keep working after a restore to a
/// service with the same MASTER_KEY. --keys adds the Gemini keys in clear and requires --reveal.
/// Both require a token with the scope keys:export. The service stores client keys only as hashes,
/// so a backup never contains the client keys themselves. Statistics are not included.
#[allow(clippy::doc_markdown, reason = "the help shows the text as it stands")]
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl backup --to pools-backup.json
  poolctl backup --to full-backup.json --client-keys --keys --reveal")]
pub struct BackupArgs {
    /// Output file; must not exist
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Include the Gemini keys
    #[arg(long)]
    keys: bool,
    /// Write the keys in clear
    #[arg(long, requires = "keys")]
    reveal: bool,
    /// Include the hashes of the client keys
    #[arg(long)]
    client_keys: bool,
}

/// Restore pools from a backup
///
/// Idempotent. Creates missing pools, sets settings and the limits of client keys, and adds missing
/// keys if the backup has keys. Missing client keys are restored from their hashes if the backup
/// has them and the service has the same MASTER_KEY; otherwise each gets a new secret, which is
/// shown once. Client keys that have expired since the backup are not restored. --prune removes
/// what the backup does not have.
#[allow(clippy::doc_markdown, reason = "the help shows the text as it stands")]
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl restore full-backup.json --dry-run
  poolctl restore full-backup.json
  poolctl restore full-backup.json --prune --yes")]
pub struct RestoreArgs {
    /// The backup, - for standard input
    #[arg(value_name = "FILE")]
    from: KeySource,
    /// Remove what the backup does not have
    #[arg(long)]
    prune: bool,
    #[command(flatten)]
    confirm: Confirm,
}

pub async fn backup(ctx: &mut Ctx, args: BackupArgs) -> Result<Outcome, CliError> {
    if args.keys {
        can_reveal(args.reveal)?;
    }
    if args.to.exists() {
        return Err(CliError::new(Code::Conflict, format!("{} already exists", args.to.display()))
            .hint("choose another file name, or move the existing file"));
    }
    let client = ctx.client().await?;
    let token_hash_key =
        if args.client_keys { Some(client.master_key_state().await?.token_hash_key) } else { None };
    let pools = client.pools().await?.pools;
    let progress = ctx.out.progress("backing up pools", pools.len() as u64);
    let mut saved = Vec::new();
    for pool in pools {
        saved.push(save(&client, pool, &args).await?);
        progress.add(1);
    }
    drop(progress);
    let keys: usize = saved.iter().filter_map(|pool| pool.keys.as_ref().map(Vec::len)).sum();
    let client_keys: usize = saved.iter().map(|pool| pool.client_keys.len()).sum();
    let backup = Backup {
        format: FORMAT,
        at: Timestamp::now(),
        service: client.url().to_string(),
        token_hash_key,
        pools: saved,
    };
    let text = serde_json::to_string_pretty(&backup)
        .map_err(|error| CliError::new(Code::Local, "cannot write this as JSON").cause(error.to_string()))?;
    write_file(&args.to, &text, 0o600).map_err(|error| CliError::file("write", &args.to, &error))?;
    let pools = backup.pools.len();
    let result = json!({ "file": args.to, "pools": pools, "keys": keys, "client_keys": client_keys });
    ctx.out.result(&result, |_| {
        let (pools, keys) = (counted(pools, "pool"), counted(keys, "key"));
        let client_keys = counted(client_keys, "client key");
        let hashed = if args.client_keys { "with their hashes" } else { "without their hashes" };
        format!("{pools}, {keys} and {client_keys} ({hashed}) written to {}, mode 600", args.to.display())
    })?;
    Ok(Outcome::Done)
}

async fn save(client: &Client, pool: Pool, args: &BackupArgs) -> Result<SavedPool, CliError> {
    let id = pool.id.as_str();
    let client_keys: Vec<_> = if args.client_keys {
        client.export_client_keys(id).await?.client_keys.into_iter().map(SavedClientKey::from).collect()
    } else {
        client.client_keys(id).await?.client_keys.into_iter().map(SavedClientKey::from).collect()
    };
    let keys = if args.keys { Some(client.export_keys(&pool.id, &[]).await?) } else { None };
    Ok(SavedPool {
        name: pool.name,
        description: pool.description,
        enabled: pool.enabled,
        allowed_models: pool.allowed_models,
        settings: pool.settings,
        client_keys: SavedClientKeys::Rules(client_keys),
        keys,
    })
}

pub async fn restore(ctx: &mut Ctx, args: RestoreArgs) -> Result<Outcome, CliError> {
    let text = bytes(ctx, &args.from).await?;
    let backup = Backup::read(&text, &args.from)?;
    let client = ctx.client().await?;
    let manifest = manifest(&backup);
    let hashes = usable_hashes(ctx, &client, &backup).await?;
    let planned = plan(ctx, &client, &backup, &manifest, (args.prune, hashes.as_deref())).await?;
    make(ctx, &client, &manifest, &planned, Path::new(""), args.confirm).await?;
    if args.confirm.dry_run() {
        return Ok(Outcome::Done);
    }
    set_enabled(ctx, &client, &backup).await?;
    Ok(Outcome::Done)
}

/// Returns the name of the key of the backup's hashes if this service hashes with the same one.
async fn usable_hashes(ctx: &mut Ctx, client: &Client, backup: &Backup) -> Result<Option<String>, CliError> {
    let Some(key) = &backup.token_hash_key else { return Ok(None) };
    if client.master_key_state().await?.token_hash_key == *key {
        return Ok(Some(key.clone()));
    }
    let count: usize = backup.pools.iter().map(|pool| pool.client_keys.len()).sum();
    ctx.out.warn(&format!(
        "the backup was made under another MASTER_KEY than this service has: the secrets of its {} do not work \
         here, and those that are missing get new ones",
        counted(count, "client key")
    ));
    Ok(None)
}

fn manifest(backup: &Backup) -> Manifest {
    Manifest { pools: backup.pools.iter().map(|pool| (pool.name.clone(), spec(pool))).collect() }
}

/// Returns all settings of a pool, including defaults.
fn spec(pool: &SavedPool) -> PoolSpec {
    // Every field is listed, so that a new setting does not compile until it is added here.
    let PoolSettings {
        aliases,
        fallbacks,
        sticky,
        pass_through,
        separate_billing,
        model_limits,
        translation,
    } = pool.settings.clone();
    PoolSpec {
        description: Some(pool.description.clone()),
        enabled: Some(pool.enabled),
        allowed_models: Some(pool.allowed_models.clone()),
        sticky: Some(sticky),
        pass_through: Some(pass_through),
        separate_billing: Some(separate_billing),
        model_limits: Some(model_limits),
        aliases: Some(aliases),
        fallbacks: Some(fallbacks),
        translation: Some(translation.changes_from_defaults()),
        keys: None,
        client_keys: None,
    }
}

async fn plan(
    ctx: &mut Ctx,
    client: &Client,
    backup: &Backup,
    manifest: &Manifest,
    (prune, hashes): (bool, Option<&str>),
) -> Result<Vec<Change>, CliError> {
    let now = Timestamp::now();
    let mut present: BTreeMap<_, _> =
        client.pools().await?.pools.into_iter().map(|pool| (pool.name.clone(), pool)).collect();
    let mut all = Vec::new();
    for saved in &backup.pools {
        let Some(spec) = manifest.pools.get(&saved.name) else { continue };
        let entries: Option<Vec<KeyImportEntry>> =
            saved.keys.as_ref().map(|keys| keys.iter().map(|key| key.entry.clone()).collect());
        match present.remove(&saved.name) {
            None => {
                let client_keys = match &saved.client_keys {
                    SavedClientKeys::Names(_) => FirstClientKeys::One,
                    SavedClientKeys::Rules(saved) => {
                        let client_keys::Compared { hashed, new, .. } =
                            client_keys::compare(saved, &[], hashes, now);
                        FirstClientKeys::Saved { hashed, new }
                    }
                };
                all.push(new_pool(&saved.name, spec, entries, client_keys));
            }
            Some(pool) => {
                let keys = match &entries {
                    Some(_) => client.keys(pool.id.as_str(), &KeyFilter::default(), None).await?.keys,
                    None => Vec::new(),
                };
                let there = Present { pool, keys, client_keys: Vec::new() };
                let (found, mut notes) = changes(spec, &there, entries.as_deref(), prune, Absent::IsDefault);
                all.extend(found);
                if let SavedClientKeys::Rules(saved) = &saved.client_keys {
                    let present = client.client_keys(there.pool.id.as_str()).await?.client_keys;
                    let compared = client_keys::compare(saved, &present, hashes, now);
                    let (found, note) = compared.changes(&there.pool, prune);
                    all.extend(found);
                    notes.extend(note);
                }
                for note in notes {
                    ctx.out.note(&note);
                }
            }
        }
    }
    if prune {
        all.extend(present.values().map(old_pool));
    }
    Ok(all)
}

/// Enables and disables keys as in the backup. An import creates enabled keys, so this runs after
/// it. Keys are matched by their masked form.
async fn set_enabled(ctx: &mut Ctx, client: &Client, backup: &Backup) -> Result<(), CliError> {
    for saved in backup.pools.iter().filter(|pool| pool.keys.is_some()) {
        let pool = client.pool(&saved.name).await?;
        let keys = client.keys(pool.id.as_str(), &KeyFilter::default(), None).await?.keys;
        let (differing, unclear) = differing(saved.keys.as_deref().unwrap_or_default(), &keys);
        if unclear > 0 {
            ctx.out.warn(&format!(
                "pool {}: {} cannot be distinguished from others and may be enabled now",
                pool.name,
                counted(unclear, "key")
            ));
        }
        for enabled in [true, false] {
            let is = differing.iter().filter(|(_, wanted)| *wanted == enabled);
            let ids: Vec<KeyId> = is.map(|(id, _)| id.clone()).collect();
            if !ids.is_empty() {
                let set = KeyChange { enabled: Some(enabled), ..KeyChange::default() };
                client.update_keys(&pool.id, &ids, &set).await?;
            }
        }
    }
    Ok(())
}

/// Returns the keys whose enabled state differs, and the number of disabled keys that are
/// ambiguous.
fn differing(saved: &[ExportedKey], keys: &[Key]) -> (Vec<(KeyId, bool)>, usize) {
    let mut present: HashMap<&str, Vec<&Key>> = HashMap::new();
    for key in keys {
        present.entry(key.masked.as_str()).or_default().push(key);
    }
    let (mut differing, mut unclear) = (Vec::new(), 0);
    for wanted in saved {
        match present.get(masked(wanted).as_str()).map(Vec::as_slice) {
            Some([key]) if key.enabled != wanted.enabled => differing.push((key.id.clone(), wanted.enabled)),
            Some([_]) => {}
            _ if wanted.enabled => {}
            _ => unclear += 1,
        }
    }
    (differing, unclear)
}

fn masked(key: &ExportedKey) -> String {
    pool_shared::GeminiKey::parse(key.entry.key.expose()).map(|key| key.masked()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
