//! Which config store a deployment uses, and how both planes reach it.
//!
//! `DB` is D1. `API_TOKENS` is KV, with the truth in the config object behind it. Where both are bound
//! the variable `CONFIG_STORE` says which one is in use, D1 if it is not set; the other one is where a
//! migration goes to.

use std::rc::Rc;

use pool_shared::PoolId;
use worker::Env;

use super::config_object::{ConfigStub, ObjectDatabase};
use super::d1::D1;
use super::kv::WorkersKv;
use crate::crypto::{Encrypted, TokenHash};
use crate::setup::SetupError;
use crate::sql::{Outcome, SqlError, Statement};
use crate::store::copy::{CopyReply, CopyRequest, Replica};
use crate::store::kv::KvStore;
use crate::store::sql::{SqlDatabase, SqlStore};
use crate::store::{PoolConfig, PoolReader, Refreshed, StoreError};

/// The name of the D1 binding.
const DB: &str = "DB";
/// The name of the KV binding.
const API_TOKENS: &str = "API_TOKENS";

/// The store in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// D1.
    D1,
    /// KV.
    Kv,
}

impl Choice {
    /// Returns what the bindings and the variable say.
    pub(super) fn of(env: &Env) -> Result<Self, SetupError> {
        let missing = SetupError::MissingBinding;
        let wanted = env.var("CONFIG_STORE").ok().map(|wanted| wanted.to_string());
        let (d1, kv) = (env.d1(DB).is_ok(), env.kv(API_TOKENS).is_ok());
        match (wanted.as_deref().unwrap_or_default(), d1, kv) {
            ("d1" | "", true, _) => Ok(Self::D1),
            ("kv", _, true) | ("", false, true) => Ok(Self::Kv),
            ("d1", false, _) => Err(missing("DB (a D1 database), which CONFIG_STORE names")),
            ("kv", _, false) => Err(missing("API_TOKENS (a KV namespace), which CONFIG_STORE names")),
            ("", false, false) => Err(missing("DB (a D1 database) or API_TOKENS (a KV namespace)")),
            _ => Err(SetupError::Setting("CONFIG_STORE is neither d1 nor kv".to_owned())),
        }
    }
}

/// Returns the D1 database, if one is bound.
pub(super) fn d1(env: &Env) -> Option<D1> {
    env.d1(DB).ok().map(D1::new)
}

/// Returns the KV namespace.
pub(super) fn kv(env: &Env) -> Result<WorkersKv, SetupError> {
    let missing = SetupError::MissingBinding("API_TOKENS (a KV namespace)");
    env.kv(API_TOKENS).map(WorkersKv::new).map_err(|_| missing)
}

/// What the data plane reads.
pub enum CloudflareReader {
    /// The store itself.
    Sql(SqlStore<CloudflareSql>),
    /// What the config object published.
    Kv(KvStore<WorkersKv>),
}

impl CloudflareReader {
    pub(super) fn new(choice: Choice, env: &Env) -> Result<Self, SetupError> {
        Ok(match choice {
            Choice::D1 => Self::Sql(d1_store(env)?),
            Choice::Kv => Self::Kv(KvStore::new(kv(env)?)),
        })
    }
}

impl PoolReader for CloudflareReader {
    async fn load_by_client_key(&self, hash: &TokenHash) -> Result<Option<PoolConfig>, StoreError> {
        match self {
            Self::Sql(store) => store.load_by_client_key(hash).await,
            Self::Kv(store) => store.load_by_client_key(hash).await,
        }
    }

    async fn refresh(&self, pool: &PoolId, version: u64) -> Result<Refreshed, StoreError> {
        match self {
            Self::Sql(store) => store.refresh(pool, version).await,
            Self::Kv(store) => store.refresh(pool, version).await,
        }
    }

    async fn hash_keys(&self) -> Result<Option<Encrypted>, StoreError> {
        match self {
            Self::Sql(store) => store.hash_keys().await,
            Self::Kv(store) => store.hash_keys().await,
        }
    }
}

/// The database behind the admin API: one type for both, so that its code is once in the Worker.
pub enum CloudflareSql {
    /// D1; beside it the config object, where KV is bound too.
    D1(D1, Option<ConfigStub>),
    /// The config object's own, seen from inside; beside it D1, where that is bound too.
    Object(Rc<ObjectDatabase>, Option<D1>),
}

/// Returns the D1 store, as the Worker sees it.
pub(super) fn d1_store(env: &Env) -> Result<SqlStore<CloudflareSql>, SetupError> {
    let database = d1(env).ok_or(SetupError::MissingBinding("DB (a D1 database)"))?;
    let other = env.kv(API_TOKENS).ok().and_then(|_| ConfigStub::new(env).ok());
    Ok(SqlStore::new(CloudflareSql::D1(database, other)))
}

impl SqlDatabase for CloudflareSql {
    fn kind(&self) -> &'static str {
        match self {
            Self::D1(..) => "d1",
            Self::Object(..) => "kv",
        }
    }

    async fn batch(&self, statements: Vec<Statement>) -> Result<Vec<Outcome>, SqlError> {
        match self {
            Self::D1(database, _) => database.batch(statements).await,
            Self::Object(database, _) => database.batch(statements).await,
        }
    }

    async fn publish(&self, everything: bool) -> Result<u64, StoreError> {
        match self {
            Self::D1(..) => Ok(0),
            Self::Object(database, _) => database.publish(everything).await,
        }
    }

    async fn lag(&self) -> Option<String> {
        match self {
            Self::D1(..) => None,
            Self::Object(database, _) => database.lag().await,
        }
    }

    fn other(&self) -> Option<impl Replica> {
        match self {
            Self::D1(_, other) => other.as_ref().map(Other::Object),
            Self::Object(_, other) => {
                other.as_ref().map(|database| Other::D1(SqlStore::new(database.clone())))
            }
        }
    }
}

/// The store that is not in use.
enum Other<'a> {
    D1(SqlStore<D1>),
    Object(&'a ConfigStub),
}

impl Replica for Other<'_> {
    fn kind(&self) -> &'static str {
        match self {
            Self::D1(_) => "d1",
            Self::Object(_) => "kv",
        }
    }

    async fn ask(&self, request: &CopyRequest) -> Result<CopyReply, StoreError> {
        match self {
            Self::D1(store) => store.ask(request).await,
            Self::Object(stub) => stub.ask(request).await,
        }
    }
}
