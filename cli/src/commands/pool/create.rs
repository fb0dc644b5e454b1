//! `poolctl pool create`: a pool, its first client key and, from a file, its Gemini keys.

use pool_shared::{KeyFile, PoolCreate, PoolCreated, TranslationUpdate};
use serde::Serialize;
use serde_json::json;

use super::{
    models::{alias, fallback},
    name,
};
use crate::{
    client::{Client, chunks},
    commands::test_pool::usable_model,
    ctx::{Ctx, quoted},
    error::{CliError, Code, Outcome},
    flags::DryRun,
    input::KeySource,
    key_import::{
        file,
        probe::probe,
        report::{self, LineReport, Probed},
    },
    output::{Sheet, View, counted},
};

/// Create a pool and get its client key
///
/// The keys file has the format of key import: one Gemini key per line, or several separated by
/// commas. Quotes, NAME=value, URLs with ?key= and JSON are accepted. Blank lines and comments are
/// ignored. A line may have columns: key,weight,tag,name, or those of a header. Invalid lines are
/// reported by number (exit code 3); the others are imported. The client key is shown once: the
/// service stores only a hash of it.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl pool create --keys keys.txt
  poolctl pool create prod --keys keys.txt --check
  grep -h AIza *.env | cut -d= -f2 | poolctl pool create prod --keys -
  poolctl pool create search --keys keys.txt --allow-model 'gemini-embedding-*'
  poolctl pool create ci --keys keys.txt -o json | jq -r .client_key")]
pub struct Args {
    /// Name of the new pool [default: prompt on a terminal, else the name of the keys file]
    #[arg(value_parser = pool_name)]
    name: Option<String>,
    /// File of Gemini keys to import, - for standard input
    #[arg(long, value_name = "FILE")]
    keys: Option<KeySource>,
    /// Check each key first and skip rejected ones, as key import --check does
    #[arg(long, requires = "keys")]
    check: bool,
    /// Description
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    description: String,
    /// Allowed model; can be repeated, * is a wildcard
    #[arg(long, value_name = "MODEL")]
    allow_model: Vec<String>,
    /// Alias that clients may use for a model; can be repeated
    #[arg(long, value_name = "NAME=MODEL", value_parser = alias)]
    alias: Vec<(String, String)>,
    /// Fallback models when a model is overloaded or its quota is exhausted; can be repeated
    #[arg(long, value_name = "MODEL=MODEL,...", value_parser = fallback)]
    fallback: Vec<(String, Vec<String>)>,
    /// Session affinity: send requests of one conversation to the same key
    #[arg(long)]
    sticky: bool,
    /// Also accept native Gemini API requests and forward them unchanged
    #[arg(long)]
    pass_through: bool,
    #[command(flatten)]
    dry: DryRun,
}

/// Checks a name before the first request.
pub fn pool_name(text: &str) -> Result<String, pool_shared::PoolNameError> {
    pool_shared::pool_name(text).map(str::to_owned)
}

/// The service's response, and the results of the checks.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    created: &'a PoolCreated,
    #[serde(flatten)]
    probed: Option<&'a Probed>,
}

pub async fn run(ctx: &mut Ctx, args: Args) -> Result<Outcome, CliError> {
    let keys = match &args.keys {
        Some(source) => file::read(ctx, source).await?,
        None => KeyFile::default(),
    };
    let client = ctx.client().await?;
    let name = match args.name {
        Some(name) => name,
        None => name::choose(ctx, &client, args.keys.as_ref()).await?,
    };
    let create = PoolCreate {
        name,
        description: args.description,
        allowed_models: args.allow_model,
        aliases: args.alias.into_iter().collect(),
        fallbacks: args.fallback.into_iter().collect(),
        sticky: args.sticky,
        pass_through: args.pass_through,
        separate_billing: false,
        model_limits: Vec::new(),
        translation: TranslationUpdate::default(),
        // Keys are checked through a pool, so with --check they are imported after it is created.
        import: if args.check { None } else { chunks(&keys.entries).next() },
    };
    if args.dry.dry_run {
        return dry_run(ctx, &client, create, keys.entries.len()).await;
    }
    let mut created = client.create_pool(&create).await.map_err(|error| match error.code() {
        Code::Timeout => error
            .hint(format!("it may have been created; check with poolctl pool show {}", quoted(&create.name))),
        _ => error,
    })?;
    let sent = create.import.map_or(0, |chunk| chunk.keys.len());
    let (probed, filled) = fill(ctx, &client, &mut created, keys, sent, args.check).await;
    let base = client.url().openai_base();
    let shown = Shown { created: &created, probed: probed.as_ref() };
    // Also after a later error, because the client key is shown only once.
    ctx.out.result(&shown, |view| human(&shown, args.keys.is_some(), &base, view))?;
    if args.keys.is_none() {
        ctx.out.note(&format!("next: poolctl key import {} --keys FILE", created.pool.name));
    }
    filled.map_err(|error| {
        let name = &created.pool.name;
        error.hint(format!(
            "the pool was created; add the missing keys with poolctl key import {} --keys FILE",
            quoted(name)
        ))
    })?;
    let refused = probed.is_some_and(|probed| !probed.refused.is_empty());
    Ok(if refused { Outcome::Partial } else { report::outcome(&created.import) })
}

/// Imports the keys that were not part of the creation, checked first with --check.
async fn fill(
    ctx: &mut Ctx,
    client: &Client,
    created: &mut PoolCreated,
    mut keys: KeyFile,
    sent: usize,
    check: bool,
) -> (Option<Probed>, Result<(), CliError>) {
    let mut lines = LineReport::of(&keys);
    let mut probed = None;
    if check {
        match probe(ctx, client, &created.pool.id, &mut keys, &mut lines).await {
            Ok(said) => probed = Some(said),
            Err(error) => return (None, Err(error)),
        }
    }
    let rest = keys.entries.get(sent..).unwrap_or_default();
    let progress = ctx.out.progress("importing", rest.len() as u64);
    let imported = client.import(&created.pool.id, chunks(rest), &mut created.import, &progress).await;
    drop(progress);
    report::add_local(&mut created.import, &keys);
    if !rest.is_empty()
        && let Ok(pool) = client.pool(created.pool.id.as_str()).await
    {
        // The response to the creation counts only its own keys.
        created.pool = pool;
    }
    (probed, imported)
}

/// Shows the creation; the only request checks whether the name is free.
async fn dry_run(
    ctx: &mut Ctx,
    client: &Client,
    create: PoolCreate,
    keys: usize,
) -> Result<Outcome, CliError> {
    let pools = client.pools().await?.pools;
    if pools.iter().any(|pool| pool.name == create.name) {
        return Err(CliError::new(Code::Conflict, format!("pool '{}' already exists", create.name)));
    }
    let what = format!("create pool {} with {}", create.name, counted(keys, "key"));
    let mut request = json!(PoolCreate { import: None, ..create });
    if let Some(fields) = request.as_object_mut() {
        fields.insert("keys".to_owned(), json!(keys));
    }
    ctx.out.would(&what, request)?;
    Ok(Outcome::Done)
}

fn human(shown: &Shown, with_keys: bool, base: &str, view: &View) -> Sheet {
    let PoolCreated { pool, client_key, import } = shown.created;
    let mut parts = vec![format!("{} {} ({})", view.good("created pool"), pool.name, pool.id)];
    if with_keys {
        parts.push(report::with_checks(import, shown.probed, view).render(view));
    }
    let title = view.heading("client key (shown once; store it now)");
    parts.push(format!("{title}\n  {}", client_key.expose()));
    let title = view.heading("use it with any OpenAI SDK");
    let key = client_key.expose();
    parts.push(format!("{title}\n  export OPENAI_BASE_URL={base}\n  export OPENAI_API_KEY={key}"));
    parts.push(format!(
        "{}\n  curl {base}/chat/completions -H \"Authorization: Bearer $OPENAI_API_KEY\" \\\n    \
         -H 'Content-Type: application/json' \\\n    \
         -d '{{\"model\":\"{}\",\"messages\":[{{\"role\":\"user\",\"content\":\"Say hello.\"}}]}}'",
        view.heading("try it"),
        usable_model(pool),
    ));
    Sheet::from(parts.join("\n\n")).named(pool.name.clone())
}
