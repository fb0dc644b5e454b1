//! Configuration: profiles, credentials, and settings with their sources.
//!
//! [`Settings`] are resolved from flags, environment and `config.toml`. A token is only returned
//! for the URL that it was issued for.

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
