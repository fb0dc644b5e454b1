//! The ports with storage behind them: a platform together with a config store and a ledger.

use crate::ledger::Ledger;
use crate::platform::Platform;
use crate::store::{ConfigStore, PoolReader};

/// A host of the data plane: it reads the configuration and reports counts.
pub trait Host: Platform<Store: PoolReader, Ledger: Ledger> {}

impl<P: Platform<Store: PoolReader, Ledger: Ledger>> Host for P {}

/// A host whose configuration can also be changed.
pub trait AdminHost: Host<Store: ConfigStore> {}

impl<H: Host<Store: ConfigStore>> AdminHost for H {}
