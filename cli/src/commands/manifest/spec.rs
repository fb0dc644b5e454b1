//! Format of the manifest.

use std::{
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
};

use pool_shared::{KeyImportEntry, Limits, ModelLimits, TranslationUpdate, Weight, parse_key_file};
use serde::{Deserialize, Serialize};

use crate::{env, error::CliError};

/// `pools.toml`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Pools by name.
    #[serde(default)]
    pub pools: BTreeMap<String, PoolSpec>,
}

/// A pool. Absent fields are unchanged; a new pool gets the service's defaults.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PoolSpec {
    /// Description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether it is enabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Allowed models; none means all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_models: Option<Vec<String>>,
    /// Session affinity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sticky: Option<bool>,
    /// Whether native Gemini API requests are accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pass_through: Option<bool>,
    /// Whether each project counts as its own billing account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub separate_billing: Option<bool>,
    /// Limits of models.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_limits: Option<Vec<ModelLimits>>,
    /// Sources of its keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<Vec<KeysSpec>>,
    /// Client keys, and the files that new ones are written to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_keys: Option<Vec<ClientKeySpec>>,
    /// Aliases of models.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aliases: Option<BTreeMap<String, String>>,
    /// Fallback models.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallbacks: Option<BTreeMap<String, Vec<String>>>,
    /// Translation settings that differ from the defaults.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub translation: Option<TranslationUpdate>,
}

/// A source of keys, and defaults for keys without own columns.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeysSpec {
    /// A key file in the format of `key import`, relative to the manifest's folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// An environment variable with the same content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
    /// Weight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<Weight>,
    /// Tag.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tag: String,
    /// Google project.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub project: String,
    /// Billing account of the project.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub billing_account: String,
    /// Limits of the project.
    #[serde(skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
}

/// A client key.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientKeySpec {
    /// Its name.
    pub name: String,
    /// File for a new client key, mode 600.
    pub file: PathBuf,
}

impl Manifest {
    /// Reads the file and checks it.
    pub fn read(path: &Path) -> Result<Self, CliError> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            CliError::usage(format!("cannot read {}", path.display()))
                .cause(error.to_string())
                .hint("create one with poolctl export --file pools.toml")
        })?;
        let manifest: Self =
            toml_edit::de::from_str(&text).map_err(|error| malformed(path, &text, &error))?;
        for (name, spec) in &manifest.pools {
            spec.check(name).map_err(|why| {
                CliError::usage(format!("{}: invalid pool '{name}'", path.display())).cause(why)
            })?;
        }
        Ok(manifest)
    }
}

/// Returns an error without the parser's message, which may contain a key.
fn malformed(path: &Path, text: &str, error: &toml_edit::de::Error) -> CliError {
    let line =
        error.span().and_then(|span| text.get(..span.start)).map_or(1, |text| text.lines().count().max(1));
    let why = error.message().split('"').next().unwrap_or_default().trim_end_matches([' ', ':']).to_owned();
    CliError::usage(format!("invalid manifest {}", path.display()))
        .cause(format!("near line {line}: {why}"))
        .hint("secrets are named, never included: keys = [{ file = \"keys.txt\" }] or [{ env = \"KEYS\" }]")
}

impl PoolSpec {
    fn check(&self, name: &str) -> Result<(), String> {
        let plain = pool_shared::pool_name(name).map_err(|error| error.to_string())?;
        if plain != name {
            return Err("the name begins or ends with a space".to_owned());
        }
        for source in self.keys.iter().flatten() {
            if source.file.is_some() == source.env.is_some() {
                return Err("each source of keys needs either a file or an env".to_owned());
            }
        }
        let mut names = HashSet::new();
        match self.client_keys.iter().flatten().find(|key| key.name.is_empty() || !names.insert(&key.name)) {
            Some(key) => Err(format!("each client key needs a unique name ('{}')", key.name)),
            None => Ok(()),
        }
    }

    /// Returns the pool's keys without duplicates; `None` if the manifest has no keys.
    pub fn entries(&self, folder: &Path) -> Result<Option<Vec<KeyImportEntry>>, CliError> {
        let Some(sources) = &self.keys else { return Ok(None) };
        let (mut entries, mut seen) = (Vec::new(), HashSet::new());
        for source in sources {
            for entry in source.entries(folder)? {
                if seen.insert(entry.key.expose().to_owned()) {
                    entries.push(entry);
                }
            }
        }
        Ok(Some(entries))
    }
}

impl KeysSpec {
    fn entries(&self, folder: &Path) -> Result<Vec<KeyImportEntry>, CliError> {
        let (text, whence) = match (&self.file, &self.env) {
            (Some(file), _) => {
                let path = folder.join(file);
                let text = std::fs::read_to_string(&path).map_err(|error| {
                    CliError::usage(format!("cannot read the keys in {}", path.display()))
                        .cause(error.to_string())
                })?;
                (text, path.display().to_string())
            }
            (None, name) => {
                let name = name.clone().unwrap_or_default();
                let text = env::secret(&name)
                    .ok_or_else(|| CliError::usage(format!("the variable {name} for keys is not set")))?;
                (text.expose().to_owned(), name)
            }
        };
        let file = parse_key_file(&text);
        if let Some(bad) = file.malformed.first() {
            // With --prune, an incomplete list would remove the missing keys.
            return Err(CliError::usage(format!("invalid key in {whence}"))
                .cause(format!("line {}: {}", bad.line, bad.reason)));
        }
        Ok(file.entries.into_iter().map(|entry| self.with_defaults(entry)).collect())
    }

    fn with_defaults(&self, entry: KeyImportEntry) -> KeyImportEntry {
        let or = |own: String, default: &str| if own.is_empty() { default.to_owned() } else { own };
        KeyImportEntry {
            weight: if entry.weight == Weight::default() {
                self.weight.unwrap_or_default()
            } else {
                entry.weight
            },
            tag: or(entry.tag, &self.tag),
            project: or(entry.project, &self.project),
            billing_account: or(entry.billing_account, &self.billing_account),
            limits: if entry.limits.is_empty() { self.limits } else { entry.limits },
            ..entry
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Manifest, CliError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pools.toml");
        std::fs::write(&path, text).unwrap();
        Manifest::read(&path)
    }

    #[test]
    fn a_key_in_the_file_is_refused_and_not_repeated() {
        let key = "AIzaSyA-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
        for text in [
            format!("[pools.prod]\nkeys = [\"{key}\"]"),
            format!("[pools.prod]\nkeys = \"{key}\""),
            format!("[pools.prod]\nkeys = [{{ key = \"{key}\" }}]"),
            format!("[pools.prod]\nkeys = [{{ weight = \"{key}\" }}]"),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.to_string().contains("near line 2"), "{error}");
            assert!(!error.to_string().contains("AIza"), "{error}");
        }
    }

    #[test]
    fn names_and_sources_are_checked() {
        for text in [
            "[pools.'a/b']",
            "[pools.prod]\nkeys = [{}]",
            "[pools.prod]\nkeys = [{ file = 'a', env = 'B' }]",
            "[pools.prod]\nclient_keys = [{ name = 'a', file = 'x' }, { name = 'a', file = 'y' }]",
            "[pools.prod]\nkeyz = 1",
        ] {
            assert_eq!(read(text).unwrap_err().exit() as u8, 2, "{text}");
        }
        assert!(read("").unwrap().pools.is_empty());
    }

    #[test]
    fn a_line_s_own_columns_win_over_its_source_s() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = ("AIzaSyA-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "AIzaSyA-bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb");
        std::fs::write(dir.path().join("keys.txt"), format!("{a},7,own\n{b}\n{a}\n")).unwrap();
        let text =
            "[pools.prod]\nkeys = [{ file = 'keys.txt', weight = 3, tag = 'team' }, { file = 'keys.txt' }]";
        let manifest = read(text).unwrap();
        let entries = manifest.pools["prod"].entries(dir.path()).unwrap().unwrap();
        let seen: Vec<_> = entries.iter().map(|entry| (entry.weight.get(), entry.tag.as_str())).collect();
        assert_eq!(seen, [(7, "own"), (3, "team")]);
    }
}
