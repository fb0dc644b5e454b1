//! Key checks: probes of a pool's keys, and of candidates before their import.
//!
//! At most 20 keys per request. Results of enabled keys count as attempts and observations; those
//! of disabled keys and candidates are not kept. No config row is written; the attempts are sent to
//! the ledger in one report.

use std::collections::HashSet;

use futures_util::future::join_all;
use pool_shared::{
    CheckedKey, GeminiKey, KeyCheck, KeyCheckReport, KeyId, KeyVerdict, Pool, Secret, read_key,
};

use super::{AdminError, Context, HandlerResult, ok};
use crate::health::{self, Probe, ProbeModels};
use crate::ledger::{LedgerReply, LedgerRequest};
use crate::platform::Clock;
use crate::platform::lock;
use crate::pools::Snapshot;
use crate::ports::AdminHost;
use crate::reporting;
use crate::store::{ConfigStore, Page, StoreError};
use pool_engine::{Cause, Verdict};
use pool_translate::gemini::redact_keys;

/// Concurrent probes: a Worker has six connections.
const AT_ONCE: usize = 5;

/// A key to check, or why it cannot be checked.
struct Candidate {
    id: Option<KeyId>,
    masked: String,
    key: Result<GeminiKey, (KeyVerdict, String)>,
}

impl<H: AdminHost> Context<'_, H> {
    pub(super) async fn check_keys(&self, reference: &str, check: KeyCheck) -> HandlerResult {
        let KeyCheck { ids, keys } = check;
        if !(1..=KeyCheck::MAX_KEYS).contains(&(ids.len() + keys.len())) {
            let most = KeyCheck::MAX_KEYS;
            return Err(AdminError::Invalid(format!(
                "1 to {most} keys per request: send the rest in further requests"
            )));
        }
        let pool = self.pool(reference).await?;
        let snapshot = self
            .admin
            .state
            .pools
            .get_current(self.host, &pool.id)
            .await
            .map_err(|error| StoreError::Unavailable(error.to_string()))?
            .ok_or_else(|| AdminError::UnknownPool { reference: reference.to_owned(), nearest: None })?;
        let (mut candidates, missing) = self.stored_candidates(&pool, &ids).await?;
        candidates.extend(keys.iter().map(given_candidate));
        self.fetch_observations(&pool, &snapshot).await?;

        let models = ProbeModels::of(&snapshot);
        let mut results = Vec::with_capacity(candidates.len());
        // The first probe finds a model that exists; then the others run concurrently.
        let (first, rest) = candidates.split_at(1.min(candidates.len()));
        for some in std::iter::once(first).chain(rest.chunks(AT_ONCE)) {
            results.extend(join_all(some.iter().map(|one| self.try_one(&snapshot, one, &models))).await);
        }
        let valid = results.iter().filter(|checked| checked.verdict == KeyVerdict::Valid);
        let valid: Vec<KeyId> = valid.filter_map(|checked| checked.id.clone()).collect();
        if valid.is_empty() {
            self.admin.state.reporter.flush_once(self.host).await;
        } else {
            // The operator has seen that they work, so earlier observations must not exclude them.
            self.clear(&pool.id, &valid).await?;
        }
        ok(&KeyCheckReport { results, missing })
    }

    /// Returns the keys of some ids in the order of the ids, and the ids that the pool does not
    /// have.
    async fn stored_candidates(
        &self,
        pool: &Pool,
        ids: &[KeyId],
    ) -> Result<(Vec<Candidate>, Vec<KeyId>), AdminError> {
        if ids.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let (data_key, _) = self.data_key(&pool.id).await?;
        let page = Page { after: 0, limit: u32::try_from(ids.len()).unwrap_or(u32::MAX) };
        let (mut stored, _) = self.host.store().encrypted_keys(&pool.id, Some(ids), page).await?;
        let (mut candidates, mut missing, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
        for id in ids.iter().filter(|id| seen.insert(*id)) {
            let Some(place) = stored.iter().position(|key| key.id == *id) else {
                missing.push(id.clone());
                continue;
            };
            let key = stored.swap_remove(place);
            let opened = data_key.decrypt(&pool.id, id, &key.encrypted);
            let opened = opened.map_err(|error| (KeyVerdict::Error, error.to_string()));
            candidates.push(Candidate { id: Some(key.id), masked: key.masked, key: opened });
        }
        Ok((candidates, missing))
    }

    /// Applies the observations of other instances: a reported invalid key is final only if it was
    /// reported before.
    async fn fetch_observations(&self, pool: &Pool, snapshot: &Snapshot) -> Result<(), AdminError> {
        let now = self.host.clock().now();
        lock(&self.admin.state.pools.states).of(&pool.id, now).register_keys(snapshot.key_set(), now);
        let request = LedgerRequest::Learnt { prefix: reporting::prefix_of(&pool.id) };
        for reply in self.ask_ledgers_of(Some(&pool.id), &request).await? {
            if let LedgerReply::Learnt(records) = reply {
                self.admin.state.reporter.apply(&records, now);
            }
        }
        Ok(())
    }

    async fn try_one(&self, pool: &Snapshot, candidate: &Candidate, models: &ProbeModels) -> CheckedKey {
        let (state, host) = (&self.admin.state, self.host);
        let checked = |verdict, message| CheckedKey {
            id: candidate.id.clone(),
            masked: candidate.masked.clone(),
            verdict,
            message,
            model: None,
            until: None,
        };
        let key = match &candidate.key {
            Ok(key) => key,
            Err((verdict, message)) => return checked(*verdict, message.clone()),
        };
        let member = candidate.id.as_ref().filter(|id| pool.find_key(id).is_some());
        let Probe { model, refusal, .. } = match member {
            Some(id) => health::probe_member(state, host, pool, id, key, models).await,
            None => health::probe(state, host, key, models).await,
        };
        let model = model.map(|model| model.as_str().to_owned());
        let Some(refusal) = refusal else {
            return CheckedKey { model, ..checked(KeyVerdict::Valid, String::new()) };
        };
        let verdict = verdict_of(&refusal);
        let until = refusal.until.filter(|_| verdict == KeyVerdict::Limited);
        let message = redact_keys(&refusal.answer.message);
        let message = match refusal.status.filter(|_| verdict == KeyVerdict::Error) {
            Some(status) => format!("{}: {message}", status.as_u16()),
            None => message,
        };
        CheckedKey { model, until, ..checked(verdict, message) }
    }
}

fn given_candidate(secret: &Secret) -> Candidate {
    let parsed = read_key(secret.expose());
    let masked = parsed.as_ref().map(GeminiKey::masked).unwrap_or_default();
    Candidate { id: None, masked, key: parsed.map_err(|error| (KeyVerdict::Malformed, error.to_string())) }
}

/// Returns what an upstream error says about the key: nothing, if Gemini failed or was not reached.
fn verdict_of(refusal: &Verdict) -> KeyVerdict {
    match refusal.cause {
        Cause::InvalidKey => KeyVerdict::Invalid,
        Cause::LeakedKey => KeyVerdict::Leaked,
        Cause::Suspended => KeyVerdict::Suspended,
        Cause::Blocked(_) => KeyVerdict::Blocked,
        Cause::Billing => KeyVerdict::Billing,
        Cause::RequestQuota
        | Cause::TokenQuota
        | Cause::DayQuota
        | Cause::NoQuota
        | Cause::Burst
        | Cause::SpendWindow => KeyVerdict::Limited,
        // None of the probed models exists.
        Cause::UnknownModel => KeyVerdict::Error,
        _ if refusal.status.is_some() => KeyVerdict::Error,
        _ => KeyVerdict::Unreachable,
    }
}
