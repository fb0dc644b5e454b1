//! Text output of the dashboard's rows as table, CSV or JSON, without a terminal or with `--once`.

use std::time::Duration;

use jiff::Timestamp;
use pool_shared::{ClientKey, Event, Key, Pool, PoolStats, Stats, StatsStep};
use ratatui::layout::Size;
use serde::Serialize;

use super::{
    fetch,
    list::Tab,
    message::{Command, Fetch, Message},
    model::{Model, Options},
    update::update,
    value::Value,
};
use crate::{
    client::Client,
    ctx::Ctx,
    error::{CliError, Code, Outcome},
    output::{Cell, Table, View, left, right},
};

/// The JSON document: the admin API's own documents.
#[derive(Serialize)]
struct Document<'a> {
    at: Timestamp,
    pools: &'a [Pool],
    stats: Option<&'a Stats>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pool: Option<&'a PoolStats>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<Vec<&'a Key>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<Vec<&'a Event>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_keys: Option<&'a [ClientKey]>,
}

/// Writes the open tab's rows `count` times, one per interval.
pub async fn run(
    ctx: &mut Ctx,
    client: &Client,
    options: Options,
    interval: Duration,
    count: u64,
) -> Result<Outcome, CliError> {
    for turn in 0..count {
        let began = tokio::time::Instant::now();
        let model = ask(client, options.clone(), interval).await?;
        let document = document(&model);
        ctx.out.result(&document, |view| table(&model, view, turn == 0))?;
        if turn + 1 < count {
            ctx.interrupt.wait(tokio::time::sleep_until(began + interval)).await?;
        }
    }
    Ok(Outcome::Done)
}

/// Fetches the data of the tab, in the order of its dependencies.
async fn ask(client: &Client, options: Options, interval: Duration) -> Result<Model, CliError> {
    let mut model = Model::new(options, interval, Size::default(), Timestamp::now());
    let overview = model.confined_to().map_or(Fetch::Overview, Fetch::OverviewOf);
    take(client, &mut model, overview).await?;
    let pools: Vec<_> = model.live.pools().iter().map(|pool| pool.id.clone()).collect();
    let step = StatsStep::Minute;
    match (model.tab, model.pool.clone()) {
        (Tab::Pools, _) => {
            for pool in pools {
                take(client, &mut model, Fetch::Sweep { pool, step }).await?;
            }
        }
        (Tab::Events, _) => take(client, &mut model, Fetch::Events(None)).await?,
        (_, None) => {
            return Err(CliError::usage("no pools").hint("poolctl pool create NAME --keys FILE"));
        }
        (Tab::Keys, Some(pool)) => {
            take(client, &mut model, Fetch::Keys { pool: pool.clone(), version: 0 }).await?;
            take(client, &mut model, Fetch::Focus { pool, step, keys: true }).await?;
        }
        (Tab::Models, Some(pool)) => {
            take(client, &mut model, Fetch::Focus { pool, step, keys: false }).await?;
        }
        (Tab::ClientKeys, Some(pool)) => {
            take(client, &mut model, Fetch::ClientKeys(pool.clone())).await?;
            take(client, &mut model, Fetch::Focus { pool, step, keys: false }).await?;
        }
    }
    Ok(model)
}

async fn take(client: &Client, model: &mut Model, question: Fetch) -> Result<(), CliError> {
    let result = match fetch::fetch(client, &question).await {
        // The pool may have been deleted in between.
        Err(error)
            if error.code() == Code::Service(pool_shared::ErrorCode::NotFound) && !question.is_overview() =>
        {
            return Ok(());
        }
        result => result?,
    };
    let message = Message::Fetched { fetch: question, took: Duration::ZERO, result: Ok(result) };
    // The commands are ignored, because this loop fetches in its own order.
    for command in update(model, message) {
        if let Command::Fail(error) = command {
            return Err(error);
        }
    }
    Ok(())
}

fn document(model: &Model) -> Document<'_> {
    let data = &model.live;
    let tab = model.tab;
    let pool = model.pool.as_ref().and_then(|pool| data.recent.get(pool));
    let keys = data.keys.as_ref().filter(|_| tab == Tab::Keys);
    Document {
        at: model.now,
        pools: data.pools(),
        stats: data.overview.as_ref().map(|overview| &overview.stats),
        pool: pool.map(|recent| &recent.stats),
        keys: keys.map(|keys| keys.rows.iter().map(|row| &row.key).collect()),
        events: (tab == Tab::Events).then(|| data.events.iter().map(AsRef::as_ref).collect()),
        client_keys: data.client_keys.as_ref().map(|(_, keys)| keys.as_slice()),
    }
}

fn table(model: &Model, view: &View, header: bool) -> Table {
    let time = left("TIME").wide();
    let columns = model.tab.columns().iter();
    let heads = columns.map(|column| if column.right { right(column.title) } else { left(column.title) });
    let field = match model.tab {
        Tab::Pools => "pools",
        Tab::Keys => "keys",
        Tab::Models => "models",
        Tab::Events => "events",
        Tab::ClientKeys => "client_keys",
    };
    let mut table = Table::list(field, heads.chain([time]));
    // Later rows of the same file have no header.
    if !header && !view.terminal {
        table = table.without_header();
    }
    let records = model.records();
    for record in model.list().rows.iter().filter_map(|place| records.get(*place)) {
        let cells =
            model.tab.columns().iter().map(|column| cell(&record.value(column.field), model.now, view));
        table.row(cells.chain([Cell::from(model.now.to_string())]));
    }
    table
}

fn cell(value: &Value, now: Timestamp, view: &View) -> Cell {
    if view.terminal { Cell::from(value.shown(now).0) } else { Cell::from(value.exact()) }
}
