//! What a command works with: the streams, the settings, the credential store, a client.
//!
//! In: the parsed global flags, the environment and the config folder. Out: one value that is
//! handed to every command, so that no command reaches for the process itself.

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

/// The surroundings of a command.
pub struct Ctx {
    /// Where results, notes and warnings go.
    pub out: Output,
    /// Ctrl-C.
    pub interrupt: Interrupt,
    /// What holds for this run.
    pub settings: Settings,
    /// The folder of this program's files.
    pub dir: ConfigDir,
    /// Where tokens are kept.
    pub credentials: Credentials,
    /// The profiles.
    pub config: ConfigFile,
    argv: Vec<OsString>,
}

impl Ctx {
    /// Reads the config and settles the settings.
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

    /// A client that presents the token which belongs to the service.
    pub async fn client(&mut self) -> Result<Client, CliError> {
        self.known_profile()?;
        let url = self.settings.service()?.clone();
        let token = self.token(&url.value).await?;
        self.client_with(url, Some(token))
    }

    /// A client with this token, or with none.
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

    /// A profile that was asked for by name has to exist.
    pub fn known_profile(&self) -> Result<(), CliError> {
        let profile = &self.settings.profile;
        let asked = matches!(profile.source, Source::Flag(_) | Source::Environment(_));
        if self.settings.entry.is_some() || !asked {
            return Ok(());
        }
        Err(self.unknown_profile(&profile.value, &format!(" (from {})", profile.source)))
    }

    /// The error for a profile that is not there, with the nearest name that is.
    pub fn unknown_profile(&self, name: &ProfileName, source: &str) -> CliError {
        let error = CliError::usage(format!("there is no profile {name}{source}"));
        let known = self.config.profiles.keys().map(ProfileName::as_str);
        match nearest(name.as_str(), known) {
            Some(known) => error.hint(format!("did you mean {known}?")),
            None => error.hint(format!("poolctl login --url URL --profile {name} makes it")),
        }
    }

    /// The token for this service and where it came from.
    async fn token(&mut self, url: &ServiceUrl) -> Result<(Secret, TokenSource), CliError> {
        let hint = self.settings.login_command(url);
        let not_logged_in = CliError::new(Code::NotLoggedIn, format!("not logged in to {url}")).hint(hint);
        match self.settings.token_plan(url)? {
            TokenPlan::Environment(token) => Ok((token, TokenSource::Environment)),
            TokenPlan::Stored(store, id) => match self.stored_token(store, &id).await? {
                Some(token) => Ok((token, self.token_source(store))),
                None => Err(not_logged_in.cause(format!("{} has no token for it", self.place(store)))),
            },
            TokenPlan::Withheld(own) => Err(not_logged_in.cause(format!(
                "the token of profile {} belongs to {own} and is sent nowhere else",
                self.settings.profile.value
            ))),
            TokenPlan::Missing => Err(not_logged_in),
        }
    }

    /// The token that a login left in this store.
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
            self.out.warn(&format!("others can read {path} (mode {mode:03o}); run chmod 600 {path}"));
        }
        self.interrupt.wait(self.credentials.get(store, id)).await?
    }

    /// What `whoami` and errors call the source of a stored token.
    pub fn token_source(&self, store: StoreKind) -> TokenSource {
        TokenSource::Login(format!("profile {}, kept in {}", self.settings.profile.value, self.place(store)))
    }

    /// A store's name for people.
    pub fn place(&self, store: StoreKind) -> String {
        match self.settings.only_store.unwrap_or(store) {
            StoreKind::Keyring => "the system's keyring".to_owned(),
            StoreKind::File => self.dir.credentials().display().to_string(),
        }
    }

    /// Refuses early what would have to ask when nobody is there to answer.
    pub fn can_confirm(&self, flags: Confirm) -> Result<(), CliError> {
        if !flags.asks() || self.out.interactive() {
            return Ok(());
        }
        Err(CliError::new(Code::ConfirmationRequired, "confirmation required, but stdin is not a terminal")
            .hint(command_with_yes(&self.argv)))
    }

    /// Asks before something is done that cannot be undone.
    pub async fn confirm(&mut self, flags: Confirm, question: &str) -> Result<(), CliError> {
        self.can_confirm(flags)?;
        let agreed = !flags.asks() || prompt::confirm(&self.interrupt, question).await?;
        if agreed { Ok(()) } else { Err(declined()) }
    }

    /// Asks for a name to be typed before something is done that many would notice.
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

/// The name that was most likely meant.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let distances = known.map(|known| (strsim::damerau_levenshtein(known, name), known));
    distances.filter(|(distance, _)| *distance <= 2).min().map(|(_, known)| known)
}

/// A word as a POSIX shell takes it.
pub fn quoted(word: &str) -> String {
    // A word with a NUL in it never came through a shell.
    shlex::try_quote(word).map_or_else(|_| word.to_owned(), std::borrow::Cow::into_owned)
}

/// The command that was typed, ready to be pasted, with the confirmation in it.
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
