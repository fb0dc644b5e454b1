//! What this program remembers: profiles, tokens, and which setting came from where.
//!
//! In: flags, environment, `config.toml` and the credential store. Out: [`Settings`], in which each
//! value knows its source. Never: a token for a URL other than the one that it was issued for.

pub mod credentials;
mod file;
mod profile;
mod service_url;
mod settings;

pub use file::{ConfigDir, loose_mode, write as write_file};
pub use profile::{ConfigEdit, ConfigFile, Profile, ProfileName};
pub use service_url::ServiceUrl;
#[cfg(test)]
pub use settings::DEFAULT_TIMEOUT;
pub use settings::{Overrides, Setting, Settings, Source, TokenPlan, seconds};
