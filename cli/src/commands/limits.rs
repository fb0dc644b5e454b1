//! `poolctl limits`: configured and observed rate limits of a pool's models.

use pool_shared::{LearntLimit, Limits, ModelLimits, PoolLimits, PoolUpdate, Quota};
use serde::Serialize;
use serde_json::json;

use crate::{
    ctx::Ctx,
    error::{CliError, Outcome},
    flags::{DryRun, PoolRef},
    output::{Cell, Table, View, left, right, text},
};

/// The quotas that a limit may have.
const QUOTAS: [Quota; 4] =
    [Quota::RequestsPerMinute, Quota::RequestsPerDay, Quota::TokensPerMinute, Quota::TokensPerDay];

/// Show or set the rate limits of a pool's models
///
/// Without --set and --unset, shows the configured limits and those that Gemini named in its errors
/// in the last 7 days. Gemini publishes no limits of the free tier, so its errors are the only
/// source. A limit applies to each Google project separately; of several, the strictest applies. A
/// key without a known project counts as its own project.
///
/// --set takes a model, or a pattern with * for any characters, and its limits: rpm and rpd
/// (requests per minute and per day), tpm and tpd (input tokens). Limits that are not given are
/// unchanged; none removes a limit.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl limits prod
  poolctl limits prod --model gemini-3.8-flash -o csv
  poolctl limits prod --set gemini-3.8-flash:rpm=10,rpd=250 --set '*:tpm=250000'
  poolctl limits prod --set gemini-3.8-flash:rpd=none,rpm=1000 --project projects/123456
  poolctl limits prod --unset '*'")]
pub struct Args {
    /// The pool's name or id
    pool: PoolRef,
    /// Show only the limits that apply to this model
    #[arg(long, value_name = "MODEL", conflicts_with_all = ["set", "unset"])]
    model: Option<String>,
    /// Set limits of a model; can be repeated
    #[arg(long, value_name = "MODEL:LIMIT=NUMBER,...", value_parser = setting)]
    set: Vec<Setting>,
    /// Remove the configured limits of this model or pattern; can be repeated
    #[arg(long, value_name = "MODEL")]
    unset: Vec<String>,
    /// Apply --set and --unset to this Google project only
    #[arg(long, value_name = "PROJECT", default_value = "", hide_default_value = true)]
    project: String,
    #[command(flatten)]
    dry: DryRun,
}

/// `MODEL:rpm=10,rpd=none`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    model: String,
    limits: Vec<(Quota, Option<u64>)>,
}

fn setting(argument: &str) -> Result<Setting, String> {
    const EXPECTED: &str = "expected MODEL:rpm=10,rpd=250, with rpm, rpd, tpm or tpd";
    let (model, limits) = argument.rsplit_once(':').ok_or(EXPECTED)?;
    let mut found: Vec<(Quota, Option<u64>)> = Vec::new();
    for part in limits.split(',') {
        let (name, value) = part.split_once('=').ok_or(EXPECTED)?;
        let name = name.trim().to_ascii_lowercase();
        let quota = QUOTAS.into_iter().find(|quota| name == quota.short_name() || name == quota.name());
        let quota = quota.ok_or_else(|| format!("unknown limit '{name}': expected rpm, rpd, tpm or tpd"))?;
        let value = match value.trim() {
            "none" => None,
            number => match number.parse::<u64>() {
                Ok(number) if number <= pool_shared::bounds::LIMIT => Some(number),
                _ => return Err(format!("{name} must be a whole number or none")),
            },
        };
        if found.iter().any(|(known, _)| *known == quota) {
            return Err(format!("{name} is set twice"));
        }
        found.push((quota, value));
    }
    let model = model.trim();
    if model.is_empty() {
        Err(EXPECTED.to_owned())
    } else {
        Ok(Setting { model: model.to_owned(), limits: found })
    }
}

/// A limit in results.
#[derive(Serialize)]
struct Row {
    model: String,
    quota: Quota,
    value: u64,
    /// `set` or `learnt`.
    source: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    masked: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    learnt_at: Option<jiff::Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metric: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<String>,
}

pub async fn run(ctx: &mut Ctx, args: Args) -> Result<Outcome, CliError> {
    let client = ctx.client().await?;
    if args.set.is_empty() && args.unset.is_empty() {
        if !args.project.is_empty() {
            return Err(CliError::usage("--project requires --set or --unset"));
        }
    } else {
        let pool = client.pool(args.pool.as_str()).await?;
        let model_limits = edited(&pool.settings.model_limits, &args)?;
        let update = PoolUpdate { model_limits: Some(model_limits), ..PoolUpdate::default() };
        if args.dry.dry_run {
            ctx.out.would(&format!("set model limits of pool {}", pool.name), json!(update))?;
            return Ok(Outcome::Done);
        }
        client.update_pool(pool.id.as_str(), &update).await?;
    }
    let limits = client.pool_limits(args.pool.as_str(), args.model.as_deref()).await?;
    let rows = rows(&limits, args.model.as_deref());
    if rows.is_empty() {
        ctx.out.note("no known limits: none is set, and Gemini named none in the last 7 days");
    }
    let document = json!({ "limits": rows, "total_learnt": limits.total });
    ctx.out.result(&document, |view| table(&rows, view))?;
    if limits.total > limits.learnt.len() as u64 {
        ctx.out.note(&format!(
            "{} of {} observed limits; filter with --model",
            limits.learnt.len(),
            limits.total
        ));
    }
    Ok(Outcome::Done)
}

/// Returns the pool's model limits after the change.
fn edited(present: &[ModelLimits], args: &Args) -> Result<Vec<ModelLimits>, CliError> {
    let mut limits = present.to_vec();
    let is = |entry: &ModelLimits, model: &str| entry.model == model && entry.project == args.project;
    for model in &args.unset {
        let before = limits.len();
        limits.retain(|entry| !is(entry, model));
        if limits.len() == before {
            return Err(CliError::usage(format!("no limit is set for {model}"))
                .hint(format!("poolctl limits {}", args.pool)));
        }
    }
    for Setting { model, limits: changes } in &args.set {
        let at = limits.iter().position(|entry| is(entry, model)).unwrap_or(limits.len());
        if at == limits.len() {
            let project = args.project.clone();
            limits.push(ModelLimits { model: model.clone(), project, limits: Limits::default() });
        }
        if let Some(entry) = limits.get_mut(at) {
            for (quota, value) in changes {
                match value {
                    Some(value) => entry.limits.set(*quota, *value),
                    None => entry.limits.remove(*quota),
                }
            }
        }
    }
    limits.retain(|entry| !entry.limits.is_empty());
    Ok(limits)
}

/// Returns configured limits first, then the latest observed ones.
fn rows(limits: &PoolLimits, model: Option<&str>) -> Vec<Row> {
    let holds =
        |entry: &&ModelLimits| model.is_none_or(|model| pool_shared::matches_model(&entry.model, model));
    let set = limits.set.iter().filter(holds).flat_map(|entry| {
        entry.limits.known().map(|(quota, value)| Row {
            model: entry.model.clone(),
            quota,
            value,
            source: "set",
            project: Some(entry.project.clone()).filter(|project| !project.is_empty()),
            key_id: None,
            masked: None,
            learnt_at: None,
            metric: None,
            limit: None,
        })
    });
    set.chain(limits.learnt.iter().cloned().map(learnt)).collect()
}

fn learnt(limit: LearntLimit) -> Row {
    let LearntLimit { model, quota, value, metric, limit, project, key_id, masked, learnt_at } = limit;
    Row {
        model,
        quota,
        value,
        source: "learnt",
        project,
        key_id: key_id.map(|id| id.to_string()),
        masked,
        learnt_at: Some(learnt_at),
        metric,
        limit,
    }
}

fn table(rows: &[Row], view: &View) -> Table {
    let columns = [
        left("MODEL"),
        left("QUOTA"),
        right("VALUE"),
        left("SOURCE"),
        left("PROJECT").rank(2),
        left("KEY").rank(3),
        left("LEARNT").rank(1),
        left("KEY ID").rank(5).wide(),
        text("METRIC").rank(6).wide(),
        text("LIMIT").rank(6).wide(),
    ];
    let mut table = Table::list("limits", columns);
    let or_empty = |text: &Option<String>| Cell::from(text.clone().unwrap_or_default());
    for row in rows {
        let shown_key = row.masked.as_ref().or(row.key_id.as_ref()).cloned();
        table.row([
            row.model.clone().into(),
            row.quota.short_name().into(),
            view.count(row.value).into(),
            row.source.into(),
            or_empty(&row.project),
            or_empty(&shown_key),
            view.time_if_any(row.learnt_at).into(),
            or_empty(&row.key_id),
            or_empty(&row.metric),
            or_empty(&row.limit),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::describe::model_limits_text;

    fn args(set: &[&str], unset: &[&str], project: &str) -> Args {
        Args {
            pool: "prod".parse().unwrap(),
            model: None,
            set: set.iter().map(|text| setting(text).unwrap()).collect(),
            unset: unset.iter().map(ToString::to_string).collect(),
            project: project.to_owned(),
            dry: DryRun { dry_run: false },
        }
    }

    #[test]
    fn a_setting_is_a_model_and_its_limits() {
        let read = setting("gemini-3.8-flash:rpm=10, RPD=none").unwrap();
        assert_eq!(read.model, "gemini-3.8-flash");
        assert_eq!(read.limits, [(Quota::RequestsPerMinute, Some(10)), (Quota::RequestsPerDay, None)]);
        assert_eq!(setting("*:requests_per_day=0").unwrap().limits, [(Quota::RequestsPerDay, Some(0))]);
        for wrong in [
            "",
            "m",
            "m:",
            ":rpm=1",
            "m:rpm",
            "m:rpm=",
            "m:rpm=x",
            "m:rps=1",
            "m:rpm=-1",
            "m:rpm=1,rpm=2",
            "m:rpm=1.5",
            "m:rpm=99999999999999999999",
            "m:rpm=9007199254740992",
        ] {
            assert!(setting(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_change_keeps_what_it_does_not_name() {
        let present = edited(&[], &args(&["a:rpm=1,rpd=2", "*:tpm=3"], &[], "")).unwrap();
        let with_project = edited(&present, &args(&["a:rpm=9"], &[], "projects/1")).unwrap();
        assert_eq!(
            with_project.iter().map(model_limits_text).collect::<Vec<_>>(),
            ["a: 1 rpm, 2 rpd", "*: 3 tpm", "a: 9 rpm (projects/1)"]
        );
        let changed = edited(&with_project, &args(&["a:rpm=none,tpd=5"], &["*"], "")).unwrap();
        assert_eq!(
            changed.iter().map(model_limits_text).collect::<Vec<_>>(),
            ["a: 2 rpd, 5 tpd", "a: 9 rpm (projects/1)"]
        );
        assert_eq!(edited(&changed, &args(&["a:rpd=none,tpd=none"], &[], "")).unwrap().len(), 1);
        assert!(edited(&changed, &args(&[], &["b"], "")).is_err());
        assert!(edited(&changed, &args(&[], &["a"], "projects/2")).is_err());
    }
}
