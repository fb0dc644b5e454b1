//! `poolctl apply` and `poolctl diff`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use pool_shared::{
    ClientKeyCreate, HashedClientKeys, KeyChange, KeyId, KeyImportReport, PoolCreate, PoolId, PoolUpdate,
    Secret,
};
use serde::Serialize;
use serde_json::json;

use super::{
    plan::{self, Absent, Action, Change, FirstClientKeys, Present, Step},
    spec::{ClientKeySpec, Manifest, PoolSpec},
};
use crate::{
    client::{Client, KeyFilter, chunks},
    config::write_file,
    ctx::Ctx,
    error::{CliError, Outcome},
    flags::Confirm,
    output::{Cell, Sheet, Table, View, counted, left, text},
};

/// Create, update or delete pools to match a file
///
/// Idempotent. What the file does not name is unchanged. --prune removes pools, keys and client
/// keys that it does not name (keys only if the pool's entry has keys, client keys only if it has
/// client_keys). The file names secrets by file or variable and never contains them:
///
///   [pools.prod]
///   description = "the shop"
///   allowed_models = ["gemini-3.8-*"]
///   keys = [{ file = "prod-keys.txt", tag = "team-a" }, { env = "PAID_KEYS", weight = 5 }]
///   client_keys = [{ name = "web", file = "web-client-key.txt" }]
///   [pools.prod.aliases]
///   gpt-4o = "gemini-3.8-flash"
#[allow(clippy::doc_markdown, clippy::doc_link_with_quotes, reason = "the help shows the text as it stands")]
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_long_help = "\
Examples:
  poolctl apply
  poolctl apply -f pools.toml --dry-run
  poolctl apply -f pools.toml --prune --yes"
)]
pub struct ApplyArgs {
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    confirm: Confirm,
}

/// Show what apply would change; exit code 8 if there are changes
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl diff
  poolctl diff -f pools.toml --prune -o json | jq '.changes[].detail'")]
pub struct DiffArgs {
    #[command(flatten)]
    source: SourceArgs,
}

#[derive(clap::Args)]
struct SourceArgs {
    /// The file
    #[arg(short, long, value_name = "FILE", default_value = "pools.toml")]
    file: PathBuf,
    /// Remove what the file does not name
    #[arg(long)]
    prune: bool,
}

impl SourceArgs {
    fn folder(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new(""))
    }
}

pub async fn diff(ctx: &mut Ctx, args: DiffArgs) -> Result<Outcome, CliError> {
    let manifest = Manifest::read(&args.source.file)?;
    let client = ctx.client().await?;
    let changes = compare(ctx, &client, &manifest, &args.source).await?;
    show(ctx, &changes, false, &[])?;
    Ok(if changes.is_empty() { Outcome::Done } else { Outcome::Pending })
}

pub async fn apply(ctx: &mut Ctx, args: ApplyArgs) -> Result<Outcome, CliError> {
    let manifest = Manifest::read(&args.source.file)?;
    let client = ctx.client().await?;
    let changes = compare(ctx, &client, &manifest, &args.source).await?;
    make(ctx, &client, &manifest, &changes, args.source.folder(), args.confirm).await?;
    Ok(Outcome::Done)
}

/// A new client key, which is shown once.
#[derive(Serialize)]
struct NewSecret {
    pool: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    client_key: Secret,
}

/// Makes the changes and shows them; asks for confirmation of removals.
pub async fn make(
    ctx: &mut Ctx,
    client: &Client,
    manifest: &Manifest,
    changes: &[Change],
    folder: &Path,
    confirm: Confirm,
) -> Result<(), CliError> {
    if confirm.dry_run() || changes.is_empty() {
        return show(ctx, changes, false, &[]);
    }
    let removed = changes.iter().filter(|change| change.action == Action::Delete).count();
    if removed > 0 {
        ctx.can_confirm(confirm)?;
        if confirm.asks() {
            let lines = table(changes).render(&View::new(false, false));
            ctx.out.note(&lines);
        }
        ctx.confirm(
            confirm,
            &format!(
                "Apply {}, including {}?",
                counted(changes.len(), "change"),
                counted(removed, "removal")
            ),
        )
        .await?;
    }
    let mut secrets = Vec::new();
    for (done, change) in changes.iter().enumerate() {
        if let Err(error) = carry_out(ctx, client, manifest, change, folder, &mut secrets).await {
            let left = changes.len() - done;
            // Also after an error, because a new pool's client key is shown only once.
            show(ctx, changes.get(..done).unwrap_or_default(), true, &secrets)?;
            return Err(error.hint(format!(
                "{} made, {left} not; run the command again to continue",
                counted(done, "change")
            )));
        }
    }
    show(ctx, changes, true, &secrets)
}

/// Returns the changes by pool name; within a pool settings, then keys, then removals.
async fn compare(
    ctx: &mut Ctx,
    client: &Client,
    manifest: &Manifest,
    source: &SourceArgs,
) -> Result<Vec<Change>, CliError> {
    let mut present: BTreeMap<_, _> =
        client.pools().await?.pools.into_iter().map(|pool| (pool.name.clone(), pool)).collect();
    let mut all = Vec::new();
    for (name, spec) in &manifest.pools {
        let entries = spec.entries(source.folder())?;
        let Some(pool) = present.remove(name) else {
            let client_keys = spec.client_keys.clone().map_or(FirstClientKeys::One, FirstClientKeys::Files);
            all.push(plan::new_pool(name, spec, entries, client_keys));
            continue;
        };
        let id = pool.id.as_str();
        let keys = match &entries {
            Some(_) => client.keys(id, &KeyFilter::default(), None).await?.keys,
            None => Vec::new(),
        };
        let client_keys = match &spec.client_keys {
            Some(_) => client.client_keys(id).await?.client_keys,
            None => Vec::new(),
        };
        let there = Present { pool, keys, client_keys };
        let (changes, notes) = plan::changes(spec, &there, entries.as_deref(), source.prune, Absent::Stays);
        all.extend(changes);
        for note in notes {
            ctx.out.note(&note);
        }
    }
    if source.prune {
        all.extend(present.values().map(plan::old_pool));
    } else if !present.is_empty() {
        ctx.out.note(&format!("{} not in the file; use --prune to remove", counted(present.len(), "pool")));
    }
    Ok(all)
}

fn show(ctx: &mut Ctx, changes: &[Change], applied: bool, secrets: &[NewSecret]) -> Result<(), CliError> {
    let mut document = json!({ "applied": applied, "changes": changes });
    if let Some(fields) = document.as_object_mut().filter(|_| !secrets.is_empty()) {
        fields.insert("client_keys".to_owned(), json!(secrets));
    }
    ctx.out.result(&document, |view| {
        let summary = match (changes.len(), applied) {
            (0, false) => "no changes".to_owned(),
            (count, true) => format!("{} made", counted(count, "change")),
            (count, false) => format!("{} to make", counted(count, "change")),
        };
        let sheet = Sheet::new().table(table(changes)).text(summary);
        secrets.iter().fold(sheet, |sheet, NewSecret { pool, name, client_key }| {
            let what = match name {
                None => format!("client key of the new pool {pool}"),
                Some(name) => format!("client key {name} of pool {pool}"),
            };
            let title = view.heading(&format!("{what} (shown once; store it now)"));
            sheet.text(format!("{title}\n  {}", client_key.expose()))
        })
    })
}

fn table(changes: &[Change]) -> Table {
    let mut table =
        Table::list("changes", [left("CHANGE"), left("KIND"), text("POOL"), left("DETAIL")]).wrapped();
    for change in changes {
        let action = match change.action {
            Action::Create => Cell::Good("+ create".into()),
            Action::Update => Cell::Fair("~ update".into()),
            Action::Delete => Cell::Bad("- delete".into()),
        };
        table.row([action, change.kind.into(), change.pool.clone().into(), change.detail.clone().into()]);
    }
    table
}

async fn carry_out(
    ctx: &mut Ctx,
    client: &Client,
    manifest: &Manifest,
    change: &Change,
    folder: &Path,
    secrets: &mut Vec<NewSecret>,
) -> Result<(), CliError> {
    match &change.step {
        Step::CreatePool { enabled, entries, client_keys } => {
            let create = pool_create(&change.pool, manifest.pools.get(&change.pool));
            let created = client.create_pool(&create).await?;
            let id = &created.pool.id;
            if matches!(client_keys, FirstClientKeys::One) {
                let pool = change.pool.clone();
                secrets.push(NewSecret { pool, name: None, client_key: created.client_key });
            } else {
                // The service created a client key that the manifest does not have.
                for key in client.client_keys(id.as_str()).await?.client_keys {
                    client.revoke_client_key(id.as_str(), &key.id).await?;
                }
            }
            match client_keys {
                FirstClientKeys::One => {}
                FirstClientKeys::Files(wanted) => {
                    for spec in wanted {
                        create_client_key(client, id, spec, folder).await?;
                    }
                }
                FirstClientKeys::Saved { hashed, new } => {
                    if let Some(hashed) = hashed {
                        restore_client_keys(ctx, client, &change.pool, id, hashed).await?;
                    }
                    for create in new {
                        secrets.push(new_client_key(client, &change.pool, id, create).await?);
                    }
                }
            }
            import(ctx, client, id, entries).await?;
            if !enabled {
                let off = PoolUpdate { enabled: Some(false), ..PoolUpdate::default() };
                client.update_pool(id.as_str(), &off).await?;
            }
        }
        Step::UpdatePool(pool, update) => drop(client.update_pool(pool.as_str(), update).await?),
        Step::Import(pool, entries) => import(ctx, client, pool, entries).await?,
        Step::SetKeys(pool, changes) => set_keys(client, pool, changes).await?,
        Step::RemoveKeys(pool, ids) => drop(client.delete_keys(pool, ids).await?),
        Step::CreateClientKey(pool, spec) => create_client_key(client, pool, spec, folder).await?,
        Step::NewClientKey(pool, create) => {
            secrets.push(new_client_key(client, &change.pool, pool, create).await?);
        }
        Step::RestoreClientKeys(pool, hashed) => {
            restore_client_keys(ctx, client, &change.pool, pool, hashed).await?;
        }
        Step::UpdateClientKey(pool, id, update) => {
            drop(client.update_client_key(pool.as_str(), id, update).await?);
        }
        Step::RevokeClientKey(pool, id) => client.revoke_client_key(pool.as_str(), id).await?,
        Step::DeletePool(pool) => client.delete_pool(pool).await?,
    }
    Ok(())
}

fn pool_create(name: &str, spec: Option<&PoolSpec>) -> PoolCreate {
    let default = PoolSpec::default();
    let spec = spec.unwrap_or(&default);
    PoolCreate {
        name: name.to_owned(),
        description: spec.description.clone().unwrap_or_default(),
        allowed_models: spec.allowed_models.clone().unwrap_or_default(),
        aliases: spec.aliases.clone().unwrap_or_default(),
        fallbacks: spec.fallbacks.clone().unwrap_or_default(),
        sticky: spec.sticky.unwrap_or_default(),
        pass_through: spec.pass_through.unwrap_or_default(),
        separate_billing: spec.separate_billing.unwrap_or_default(),
        model_limits: spec.model_limits.clone().unwrap_or_default(),
        translation: spec.translation.clone().unwrap_or_default(),
        import: None,
    }
}

async fn new_client_key(
    client: &Client,
    pool: &str,
    id: &PoolId,
    create: &ClientKeyCreate,
) -> Result<NewSecret, CliError> {
    let created = client.create_client_key(id.as_str(), create).await?;
    let name = if create.name.is_empty() { created.client_key.id.to_string() } else { create.name.clone() };
    Ok(NewSecret { pool: pool.to_owned(), name: Some(name), client_key: created.secret })
}

async fn restore_client_keys(
    ctx: &mut Ctx,
    client: &Client,
    pool: &str,
    id: &PoolId,
    hashed: &HashedClientKeys,
) -> Result<(), CliError> {
    let report = client.restore_client_keys(id.as_str(), hashed).await?;
    if report.duplicate > 0 {
        let keys = counted(report.duplicate, "client key");
        ctx.out
            .warn(&format!("pool {pool}: {keys} not restored, because a pool already has the same secret"));
    }
    Ok(())
}

async fn import(
    ctx: &mut Ctx,
    client: &Client,
    pool: &PoolId,
    entries: &[pool_shared::KeyImportEntry],
) -> Result<(), CliError> {
    let progress = ctx.out.progress("importing", entries.len() as u64);
    client.import(pool, chunks(entries), &mut KeyImportReport::default(), &progress).await
}

/// Groups keys by change, to send one request per change.
async fn set_keys(client: &Client, pool: &PoolId, changes: &[(KeyId, KeyChange)]) -> Result<(), CliError> {
    let mut groups: Vec<(&KeyChange, Vec<KeyId>)> = Vec::new();
    for (id, change) in changes {
        match groups.iter_mut().find(|(known, _)| *known == change) {
            Some((_, ids)) => ids.push(id.clone()),
            None => groups.push((change, vec![id.clone()])),
        }
    }
    for (change, ids) in groups {
        client.update_keys(pool, &ids, change).await?;
    }
    Ok(())
}

/// Creates a client key and writes it to its file; revokes it if the file cannot be written.
async fn create_client_key(
    client: &Client,
    pool: &PoolId,
    spec: &ClientKeySpec,
    folder: &Path,
) -> Result<(), CliError> {
    let create = ClientKeyCreate { name: spec.name.clone(), ..ClientKeyCreate::default() };
    let created = client.create_client_key(pool.as_str(), &create).await?;
    let path = folder.join(&spec.file);
    let written = write_file(&path, &format!("{}\n", created.secret.expose()), 0o600);
    if let Err(error) = written {
        client.revoke_temporary_client_key(pool.as_str(), &created.client_key.id).await?;
        return Err(CliError::file("write", &path, &error));
    }
    Ok(())
}
