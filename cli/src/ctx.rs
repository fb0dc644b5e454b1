//! Context of a command: output, settings, credential store and client. Created from the global
//! flags, the environment and the config folder, and passed to every command, so that no command
//! reads the process's state.

use std::ffi::OsString;

use pool_shared::Secret;

use crate::{
    client::{Client, ClientOptions, TokenSource},
    config::{
        ConfigDir, ConfigFile, ProfileName, ServiceUrl, Setting, Settings, Source, TokenPlan,
        credentials::{CredentialId, Credentials, StoreKind},
        loose_mode,
    },
    env::Env,
    error::{CliError, Code},
    flags::{Confirm, GlobalArgs},
    interrupt::Interrupt,
    output::{Output, prompt},
};

/// The context of a command.
pub struct Ctx {
    /// Results, notes and warnings.
    pub out: Output,
    /// Ctrl-C.
    pub interrupt: Interrupt,
    /// The resolved settings.
    pub settings: Settings,
    /// The config folder.
    pub dir: ConfigDir,
    /// The credential store.
    pub credentials: Credentials,
    /// The profiles.
    pub config: ConfigFile,
    argv: Vec<OsString>,
}

impl Ctx {
    /// Reads the config and resolves the settings.
    pub fn new(
        out: Output,
        global: &GlobalArgs,
        env: &Env,
        argv: Vec<OsString>,
    ) -> Result<Self, Box<(Output, CliError)>> {
        let prepared = ConfigDir::find(env).and_then(|dir| {
            let config = ConfigFile::load(&dir.config())?;
            let settings = Settings::resolve(&global.overrides(), env, &config)?;
            Ok((dir, config, settings))
        });
        match prepared {
            Ok((dir, config, settings)) => {
                let credentials = Credentials::new(&dir, settings.only_store);
                Ok(Self { out, interrupt: Interrupt::listen(), settings, dir, credentials, config, argv })
            }
            Err(error) => Err(Box::new((out, error))),
        }
    }

    /// Returns a client with the service's token.
    pub async fn client(&mut self) -> Result<Client, CliError> {
        self.known_profile()?;
        let url = self.settings.service()?.clone();
        let token = self.token(&url.value).await?;
        self.client_with(url, Some(token))
    }

    /// Returns a client with this token, or without one.
    pub fn client_with(
        &self,
        url: Setting<ServiceUrl>,
        token: Option<(Secret, TokenSource)>,
    ) -> Result<Client, CliError> {
        let options = ClientOptions {
            login_command: self.settings.login_command(&url.value),
            url: url.value,
            url_source: url.source.to_string(),
            token,
            timeout: self.settings.timeout.value,
        };
        Client::new(options, self.interrupt.clone())
    }

    /// Returns an error if a profile that was named by flag or environment does not exist.
    pub fn known_profile(&self) -> Result<(), CliError> {
        let profile = &self.settings.profile;
        let asked = matches!(profile.source, Source::Flag(_) | Source::Environment(_));
        if self.settings.entry.is_some() || !asked {
            return Ok(());
        }
        Err(self.unknown_profile(&profile.value, &format!(" (from {})", profile.source)))
    }

    /// Returns the error for an unknown profile, with the nearest known name.
    pub fn unknown_profile(&self, name: &ProfileName, source: &str) -> CliError {
        let error = CliError::usage(format!("profile {name} not found{source}"));
        let known = self.config.profiles.keys().map(ProfileName::as_str);
        match nearest(name.as_str(), known) {
            Some(known) => error.hint(format!("did you mean {known}?")),
            None => error.hint(format!("poolctl login --url URL --profile {name}")),
        }
    }

    /// Returns the token for this service and its source.
    async fn token(&mut self, url: &ServiceUrl) -> Result<(Secret, TokenSource), CliError> {
        let hint = self.settings.login_command(url);
        let not_logged_in = CliError::new(Code::NotLoggedIn, format!("not logged in to {url}")).hint(hint);
        match self.settings.token_plan(url)? {
            TokenPlan::Environment(token) => Ok((token, TokenSource::Environment)),
            TokenPlan::Stored(store, id) => match self.stored_token(store, &id).await? {
                Some(token) => Ok((token, self.token_source(store))),
                None => Err(not_logged_in.cause(format!("no token for it in {}", self.place(store)))),
            },
            TokenPlan::Withheld(own) => Err(not_logged_in.cause(format!(
                "the token of profile {} is for {own} and is not sent to another service",
                self.settings.profile.value
            ))),
            TokenPlan::Missing => Err(not_logged_in),
        }
    }

    /// Returns the token that a login stored.
    pub async fn stored_token(
        &mut self,
        store: StoreKind,
        id: &CredentialId,
    ) -> Result<Option<Secret>, CliError> {
        let path = self.dir.credentials();
        if self.settings.only_store.unwrap_or(store) == StoreKind::File
            && let Some(mode) = loose_mode(&path)
        {
            let path = path.display();
            self.out
                .warn(&format!("{path} is readable by other users (mode {mode:03o}); run chmod 600 {path}"));
        }
        self.interrupt.wait(self.credentials.get(store, id)).await?
    }

    /// Returns the source of a stored token, for `whoami` and errors.
    pub fn token_source(&self, store: StoreKind) -> TokenSource {
        TokenSource::Login(format!(
            "profile {}, stored in {}",
            self.settings.profile.value,
            self.place(store)
        ))
    }

    /// Returns the display name of a store.
    pub fn place(&self, store: StoreKind) -> String {
        match self.settings.only_store.unwrap_or(store) {
            StoreKind::Keyring => "the system keyring".to_owned(),
            StoreKind::File => self.dir.credentials().display().to_string(),
        }
    }

    /// Returns an error if a confirmation is required but there is no terminal.
    pub fn can_confirm(&self, flags: Confirm) -> Result<(), CliError> {
        if !flags.asks() || self.out.interactive() {
            return Ok(());
        }
        Err(CliError::new(Code::ConfirmationRequired, "confirmation required, but stdin is not a terminal")
            .hint(command_with_yes(&self.argv)))
    }

    /// Asks for confirmation of an irreversible change.
    pub async fn confirm(&mut self, flags: Confirm, question: &str) -> Result<(), CliError> {
        self.can_confirm(flags)?;
        let agreed = !flags.asks() || prompt::confirm(&self.interrupt, question).await?;
        if agreed { Ok(()) } else { Err(declined()) }
    }

    /// Asks for confirmation by typing a name.
    pub async fn confirm_by_name(
        &mut self,
        flags: Confirm,
        question: &str,
        name: &str,
    ) -> Result<(), CliError> {
        self.can_confirm(flags)?;
        let agreed = !flags.asks() || prompt::line(&self.interrupt, question).await?.trim() == name;
        if agreed { Ok(()) } else { Err(declined()) }
    }
}

fn declined() -> CliError {
    CliError::new(Code::Declined, "cancelled; nothing was changed")
}

/// Returns the nearest known name, within an edit distance of 2.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let distances = known.map(|known| (strsim::damerau_levenshtein(known, name), known));
    distances.filter(|(distance, _)| *distance <= 2).min().map(|(_, known)| known)
}

/// Quotes a word for a POSIX shell.
pub fn quoted(word: &str) -> String {
    // A word with a NUL cannot be quoted, and cannot come from a shell.
    shlex::try_quote(word).map_or_else(|_| word.to_owned(), std::borrow::Cow::into_owned)
}

/// Returns the command line with `--yes`, quoted for a shell.
fn command_with_yes(argv: &[OsString]) -> String {
    let words = argv.iter().skip(1).map(|word| word.to_string_lossy());
    std::iter::once("poolctl".to_owned())
        .chain(words.map(|word| quoted(&word)))
        .chain(["--yes".to_owned()])
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_to_type_can_be_pasted() {
        let argv = ["/bin/poolctl", "pool", "delete", "my pool", "it's"].map(OsString::from);
        assert_eq!(command_with_yes(&argv), r#"poolctl pool delete 'my pool' "it's" --yes"#);
    }
}
