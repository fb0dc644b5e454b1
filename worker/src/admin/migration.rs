//! Migration to the other store, one bounded step per request.

use pool_shared::{Migrate, MigratedTable, MigrationReport, MigrationStep};
use serde::Serialize;

use super::audit::fields;
use super::{AdminError, Context, HandlerResult, foreign_cursor, ok};
use crate::ports::AdminHost;
use crate::store::ConfigStore;
use crate::store::copy::{Copy, Phase, Replica};

impl<H: AdminHost> Context<'_, H> {
    pub(super) async fn migrate(&self, migrate: Migrate) -> HandlerResult {
        let source = self.host.store();
        let (from, to) = (source.kind(), migrate.to.as_str());
        if from == to {
            return Err(AdminError::Invalid(format!("{to} is the active store already")));
        }
        let target = source.other().filter(|other| other.kind() == to).ok_or_else(|| {
            AdminError::Invalid(format!("{from} is the active store, and no second store is bound"))
        })?;
        let mut copy = match &migrate.cursor {
            None => {
                if !migrate.dry_run {
                    let mut change = self.change("store.migrate", None, Some(to.to_owned()))?;
                    change.after = Some(fields([("from", from.into()), ("to", to.into())]));
                    source.note(change, 1).await?;
                }
                Copy::new(migrate.dry_run)
            }
            Some(cursor) => serde_json::from_str(cursor).map_err(|_| foreign_cursor())?,
        };
        copy.step(source, &target).await?;
        let cursor = (copy.phase != Phase::Done).then(|| serde_json::to_string(&copy)).transpose();
        let cursor = cursor.map_err(|error| AdminError::Internal(error.to_string()))?;
        ok(&MigrationStep { cursor, report: report(from, to, &copy) })
    }
}

fn report(from: &str, to: &str, copy: &Copy) -> MigrationReport {
    let tables = copy.tables.iter().map(|(table, counts)| MigratedTable {
        table: name(table),
        source_rows: counts.source_rows,
        target_rows: counts.target_rows,
        written: counts.written,
        removed: counts.removed,
    });
    MigrationReport {
        from: from.to_owned(),
        to: to.to_owned(),
        dry_run: copy.dry_run,
        phase: name(&copy.phase),
        verified: copy.is_verified(),
        tables: tables.collect(),
        source_digest: copy.source_digest.clone(),
        target_digest: copy.target_digest.clone(),
    }
}

/// Returns serde's name of a variant.
pub(super) fn name(variant: &impl Serialize) -> String {
    serde_json::to_value(variant)
        .ok()
        .and_then(|value| value.as_str().map(ToOwned::to_owned))
        .unwrap_or_default()
}
