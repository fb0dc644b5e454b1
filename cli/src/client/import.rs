//! Operations in many requests with retries: imports, checks, migrations, rotations.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use pool_shared::{
    KeyCheck, KeyCheckReport, KeyImport, KeyImportEntry, KeyImportReport, MasterKeyRotate, MasterKeyRotation,
    Migrate, MigrationStep, PoolId,
};

use super::{Client, ClientError};
use crate::{error::CliError, output::Progress};

/// Maximum number of attempts of one request.
const MAX_ATTEMPTS: u32 = 5;
/// First backoff; it doubles with each retry.
const MIN_BACKOFF: Duration = Duration::from_millis(500);
/// Maximum number of concurrent check requests; each makes up to two calls to Gemini per key.
const MAX_PARALLEL_CHECKS: usize = 4;
/// Maximum backoff, also if `retry-after` is longer.
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// Splits entries into requests of the maximum size.
pub fn chunks(entries: &[KeyImportEntry]) -> impl Iterator<Item = KeyImport> {
    entries.chunks(KeyImport::MAX_ENTRIES).map(|keys| KeyImport { keys: keys.to_vec() })
}

impl Client {
    /// Sends the chunks one after another and adds their results to `report`, which is also valid
    /// after an error. A chunk is retried if the service was busy or the response was lost, because
    /// the import is idempotent.
    pub async fn import(
        &self,
        pool: &PoolId,
        chunks: impl Iterator<Item = KeyImport>,
        report: &mut KeyImportReport,
        progress: &Progress,
    ) -> Result<(), CliError> {
        for chunk in chunks {
            report.merge(self.with_retries(progress, async || self.import_chunk(pool, &chunk).await).await?);
            progress.add(chunk.keys.len() as u64);
        }
        Ok(())
    }

    /// Runs one step of a migration, with retries.
    pub async fn migrate(&self, step: &Migrate, progress: &Progress) -> Result<MigrationStep, CliError> {
        self.with_retries(progress, async || self.migrate_once(step).await).await
    }

    /// Checks keys, in concurrent requests of at most [`KeyCheck::MAX_KEYS`]. Returns the results
    /// in the order of the checks, also after an error.
    pub async fn check(
        &self,
        pool: &PoolId,
        checks: Vec<KeyCheck>,
        progress: &Progress,
    ) -> (KeyCheckReport, Result<(), CliError>) {
        let one = async |check: KeyCheck| {
            let report = self.with_retries(progress, async || self.check_once(pool, &check).await).await;
            progress.add((check.ids.len() + check.keys.len()) as u64);
            report
        };
        let mut all = KeyCheckReport { results: Vec::new(), missing: Vec::new() };
        let mut reports = std::pin::pin!(stream::iter(checks).map(one).buffered(MAX_PARALLEL_CHECKS));
        while let Some(report) = reports.next().await {
            match report {
                Ok(report) => {
                    all.results.extend(report.results);
                    all.missing.extend(report.missing);
                }
                Err(error) => return (all, Err(error)),
            }
        }
        (all, Ok(()))
    }

    /// Runs one step of a master key rotation, with retries.
    pub async fn rotate_master_key(
        &self,
        step: &MasterKeyRotate,
        progress: &Progress,
    ) -> Result<MasterKeyRotation, CliError> {
        self.with_retries(progress, async || self.rotate_master_key_once(step).await).await
    }

    async fn with_retries<T>(
        &self,
        progress: &Progress,
        call: impl AsyncFn() -> Result<T, ClientError>,
    ) -> Result<T, CliError> {
        let mut attempt = 1;
        loop {
            let error = match call().await {
                Ok(answer) => return Ok(answer),
                Err(error) if attempt < MAX_ATTEMPTS && error.is_transient() => error,
                Err(error) => return Err(self.explain(error)),
            };
            let pause = pause(attempt, error.retry_after());
            progress.message(format!("- no response, retrying in {} s", pause.as_secs_f32()));
            self.interrupt.wait(tokio::time::sleep(pause)).await?;
            progress.message(String::new());
            attempt += 1;
        }
    }
}

fn pause(attempt: u32, wanted: Option<Duration>) -> Duration {
    wanted.unwrap_or_else(|| MIN_BACKOFF * 2_u32.saturating_pow(attempt - 1)).min(MAX_BACKOFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_the_service_s_own_wish_counts_within_reason() {
        let pauses: Vec<_> = (1..=3).map(|attempt| pause(attempt, None).as_millis()).collect();
        assert_eq!(pauses, [500, 1_000, 2_000]);
        assert_eq!(pause(1, Some(Duration::ZERO)), Duration::ZERO);
        assert_eq!(pause(1, Some(Duration::from_hours(1))), MAX_BACKOFF);
        assert_eq!(pause(MAX_ATTEMPTS * 10, None), MAX_BACKOFF);
    }
}
