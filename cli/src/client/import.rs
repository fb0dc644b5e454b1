//! Importing many keys: chunk by chunk, each again until the service took it.

use std::time::Duration;

use pool_shared::{KeyImport, KeyImportEntry, KeyImportReport, PoolId};

use super::Client;
use crate::{error::CliError, output::Progress};

/// How often one chunk is sent before the import gives up.
const ATTEMPTS: u32 = 5;
/// Half a second, then twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// No service is waited for longer than this at a time, whatever it asks for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Cuts entries into requests that the service takes.
pub fn chunks(entries: &[KeyImportEntry]) -> impl Iterator<Item = KeyImport> {
    entries.chunks(KeyImport::MAX_ENTRIES).map(|keys| KeyImport { keys: keys.to_vec() })
}

impl Client {
    /// Sends the chunks one after the other and adds what became of them to `report`, which
    /// therefore also holds what was done before an error. A chunk that the service was too busy
    /// for, or whose answer was lost, is sent again: the import is idempotent.
    pub async fn import(
        &self,
        pool: &PoolId,
        chunks: impl Iterator<Item = KeyImport>,
        report: &mut KeyImportReport,
        progress: &Progress,
    ) -> Result<(), CliError> {
        for chunk in chunks {
            report.merge(self.import_with_retry(pool, &chunk, progress).await?);
            progress.add(chunk.keys.len() as u64);
        }
        Ok(())
    }

    async fn import_with_retry(
        &self,
        pool: &PoolId,
        chunk: &KeyImport,
        progress: &Progress,
    ) -> Result<KeyImportReport, CliError> {
        let mut attempt = 1;
        loop {
            let error = match self.import_chunk(pool, chunk).await {
                Ok(report) => return Ok(report),
                Err(error) if attempt < ATTEMPTS && error.is_transient() => error,
                Err(error) => return Err(self.explain(error)),
            };
            let pause = pause(attempt, error.retry_after());
            progress.message(format!("- no answer, trying again in {} s", pause.as_secs_f32()));
            self.interrupt.wait(tokio::time::sleep(pause)).await?;
            progress.message(String::new());
            attempt += 1;
        }
    }
}

fn pause(attempt: u32, wanted: Option<Duration>) -> Duration {
    wanted.unwrap_or_else(|| FIRST_PAUSE * 2_u32.saturating_pow(attempt - 1)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_the_service_s_own_wish_counts_within_reason() {
        let pauses: Vec<_> = (1..=3).map(|attempt| pause(attempt, None).as_millis()).collect();
        assert_eq!(pauses, [500, 1_000, 2_000]);
        assert_eq!(pause(1, Some(Duration::ZERO)), Duration::ZERO);
        assert_eq!(pause(1, Some(Duration::from_hours(1))), LONGEST_PAUSE);
        assert_eq!(pause(ATTEMPTS * 10, None), LONGEST_PAUSE);
    }
}
