//! Profiles: named services, in `config.toml`.

use std::{collections::BTreeMap, fmt, path::Path};

use serde::{Deserialize, Serialize};
use toml_edit::{DocumentMut, Item, Table, TableLike, value};

use super::{ServiceUrl, credentials::StoreKind, file};
use crate::error::{CliError, Code};

/// A profile's name: letters, digits, `-` and `_`, at most 64.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProfileName(String);

/// An invalid profile name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a profile name has 1 to 64 letters, digits, '-' and '_'")]
pub struct ProfileNameError;

impl ProfileName {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for ProfileName {
    fn default() -> Self {
        Self("default".to_owned())
    }
}

impl std::str::FromStr for ProfileName {
    type Err = ProfileNameError;

    fn from_str(text: &str) -> Result<Self, ProfileNameError> {
        text.to_owned().try_into()
    }
}

impl TryFrom<String> for ProfileName {
    type Error = ProfileNameError;

    fn try_from(text: String) -> Result<Self, ProfileNameError> {
        let fits = (1..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if fits { Ok(Self(text)) } else { Err(ProfileNameError) }
    }
}

impl From<ProfileName> for String {
    fn from(name: ProfileName) -> Self {
        name.0
    }
}

impl fmt::Display for ProfileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A profile: one service.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Profile {
    /// Its address.
    pub url: ServiceUrl,
    /// Whether unencrypted http to a remote host was allowed at login.
    #[serde(default)]
    pub insecure: bool,
    /// The store of its token.
    #[serde(default)]
    pub token_store: Option<StoreKind>,
}

/// `config.toml`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ConfigFile {
    /// The default profile.
    #[serde(default)]
    pub default_profile: Option<ProfileName>,
    /// The profiles.
    #[serde(default)]
    pub profiles: BTreeMap<ProfileName, Profile>,
}

impl ConfigFile {
    /// Reads the file; a missing one has no profiles.
    pub fn load(path: &Path) -> Result<Self, CliError> {
        let text = file::read(path).map_err(|error| CliError::file("read", path, &error))?;
        toml_edit::de::from_str(&text).map_err(|error| malformed(path, error.message()))
    }
}

/// An edit of `config.toml`. Comments and unknown fields are preserved.
pub struct ConfigEdit<'a> {
    path: &'a Path,
    document: DocumentMut,
}

impl<'a> ConfigEdit<'a> {
    /// Reads the file, which must be valid or missing.
    pub fn open(path: &'a Path) -> Result<Self, CliError> {
        ConfigFile::load(path)?;
        let text = file::read(path).map_err(|error| CliError::file("read", path, &error))?;
        Ok(Self { path, document: text.parse().map_err(|_| malformed(path, "not TOML"))? })
    }

    fn profiles(&mut self) -> Result<&mut dyn TableLike, CliError> {
        let profiles = self.document.entry("profiles").or_insert_with(|| {
            let mut table = Table::new();
            table.set_implicit(true);
            Item::Table(table)
        });
        profiles.as_table_like_mut().ok_or_else(|| malformed(self.path, "profiles is not a table"))
    }

    /// Adds or replaces a profile; the first one becomes the default.
    pub fn put(&mut self, name: &ProfileName, profile: &Profile) -> Result<(), CliError> {
        if !self.document.contains_key("default_profile") {
            self.set_default(name);
        }
        let path = self.path;
        let entry = self.profiles()?.entry(name.as_str()).or_insert_with(|| Item::Table(Table::new()));
        let entry = entry.as_table_like_mut().ok_or_else(|| malformed(path, "a profile is not a table"))?;
        entry.insert("url", value(profile.url.to_string()));
        if profile.insecure {
            entry.insert("insecure", value(true));
        } else {
            entry.remove("insecure");
        }
        if let Some(store) = profile.token_store {
            entry.insert("token_store", value(store.as_str()));
        }
        Ok(())
    }

    /// Sets the default profile.
    pub fn set_default(&mut self, name: &ProfileName) {
        self.document.insert("default_profile", value(name.as_str()));
    }

    /// Renames a profile; a default profile stays the default.
    pub fn rename(&mut self, from: &ProfileName, to: &ProfileName) -> Result<(), CliError> {
        if let Some(entry) = self.profiles()?.remove(from.as_str()) {
            self.profiles()?.insert(to.as_str(), entry);
        }
        if self.default() == Some(from.as_str()) {
            self.set_default(to);
        }
        Ok(())
    }

    /// Removes a profile; if it was the default, there is none afterwards.
    pub fn remove(&mut self, name: &ProfileName) -> Result<(), CliError> {
        self.profiles()?.remove(name.as_str());
        if self.default() == Some(name.as_str()) {
            self.document.remove("default_profile");
        }
        Ok(())
    }

    fn default(&self) -> Option<&str> {
        self.document.get("default_profile").and_then(Item::as_str)
    }

    /// Writes the file.
    pub fn save(self) -> Result<(), CliError> {
        file::write(self.path, &self.document.to_string(), 0o644)
            .map_err(|error| CliError::file("write", self.path, &error))
    }
}

fn malformed(path: &Path, why: &str) -> CliError {
    CliError::new(Code::Local, format!("{} is not a configuration file", path.display()))
        .cause(why.trim().to_owned())
        .hint("fix it, or move it and log in again")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn save(path: &Path, name: &ProfileName, profile: &Profile) -> Result<(), CliError> {
        let mut edit = ConfigEdit::open(path)?;
        edit.put(name, profile)?;
        edit.save()
    }

    fn profile(url: &str) -> Profile {
        Profile { url: url.parse().unwrap(), insecure: false, token_store: Some(StoreKind::File) }
    }

    #[test]
    fn the_first_profile_becomes_the_default_and_comments_survive() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        let (prod, local) = ("prod".parse().unwrap(), "local".parse().unwrap());
        save(&path, &prod, &profile("https://prod.example.com")).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("# mine\nfuture = 1\n{text}")).unwrap();
        save(&path, &local, &profile("http://127.0.0.1:8787")).unwrap();

        let config = ConfigFile::load(&path).unwrap();
        assert_eq!(config.default_profile, Some(prod));
        assert_eq!(config.profiles.len(), 2);
        assert_eq!(config.profiles[&local], profile("http://127.0.0.1:8787"));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# mine\nfuture = 1\n"), "{text}");
    }

    #[test]
    fn a_profile_is_renamed_made_the_default_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        let (prod, local, main) =
            ("prod".parse().unwrap(), "local".parse().unwrap(), "main".parse::<ProfileName>().unwrap());
        save(&path, &prod, &profile("https://prod.example.com")).unwrap();
        save(&path, &local, &profile("http://127.0.0.1:8787")).unwrap();
        let edit = |change: &dyn Fn(&mut ConfigEdit)| {
            let mut edit = ConfigEdit::open(&path).unwrap();
            change(&mut edit);
            edit.save().unwrap();
            ConfigFile::load(&path).unwrap()
        };
        let config = edit(&|edit| edit.rename(&prod, &main).unwrap());
        assert_eq!(config.default_profile.as_ref(), Some(&main));
        assert_eq!(config.profiles[&main], profile("https://prod.example.com"));
        assert_eq!(edit(&|edit| edit.set_default(&local)).default_profile.as_ref(), Some(&local));
        let config = edit(&|edit| edit.remove(&local).unwrap());
        assert_eq!((config.default_profile, config.profiles.len()), (None, 1));
    }

    #[test]
    fn a_broken_file_is_named_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        for text in ["profiles = 3", "[profiles.x]\nurl = 'ftp://x'", "=", "[profiles.'a b']\nurl='http://x'"]
        {
            std::fs::write(&path, text).unwrap();
            let error = save(&path, &ProfileName::default(), &profile("https://e.com")).unwrap_err();
            assert!(error.to_string().contains("config.toml"), "{error}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn names_are_plain() {
        for name in ["", "a b", "a.b", "ä", &"x".repeat(65)] {
            assert!(name.parse::<ProfileName>().is_err(), "{name}");
        }
    }
}
