//! Prompts on the terminal. Only called if stdin and stderr are terminals.
//!
//! Echo and cursor are always restored, also after Ctrl-C.

use std::io;

use dialoguer::{Confirm, Input, Password, console::Term};
use pool_shared::Secret;

use crate::{
    error::{CliError, Code},
    interrupt::Interrupt,
};

/// Prompts for a secret without echoing it.
pub async fn password(interrupt: &Interrupt, question: &str) -> Result<Secret, CliError> {
    let question = question.to_owned();
    ask(interrupt, move || Password::new().with_prompt(question).interact().map(Secret::new)).await
}

/// Prompts for yes or no; the default is no.
pub async fn confirm(interrupt: &Interrupt, question: &str) -> Result<bool, CliError> {
    let question = question.to_owned();
    ask(interrupt, move || {
        Confirm::new().with_prompt(question).default(false).interact_opt().map(Option::unwrap_or_default)
    })
    .await
}

/// Prompts for a line of text.
pub async fn line(interrupt: &Interrupt, question: &str) -> Result<String, CliError> {
    let question = question.to_owned();
    ask(interrupt, move || Input::new().with_prompt(question).allow_empty(true).interact_text()).await
}

async fn ask<T: Send + 'static>(
    interrupt: &Interrupt,
    question: impl FnOnce() -> dialoguer::Result<T> + Send + 'static,
) -> Result<T, CliError> {
    let _restored = TerminalGuard::new();
    let task = tokio::task::spawn_blocking(question);
    let answer = interrupt.wait(task).await.inspect_err(|_| {
        // The prompt ends in the middle of its line.
        let _ = Term::stderr().write_line("");
    });
    match answer? {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(dialoguer::Error::IO(error))) if error.kind() == io::ErrorKind::Interrupted => {
            Err(CliError::interrupted())
        }
        Ok(Err(dialoguer::Error::IO(error))) => {
            Err(CliError::new(Code::Local, "cannot prompt on this terminal").cause(error.to_string()))
        }
        Err(_) => Err(CliError::new(Code::Local, "cannot prompt on this terminal")),
    }
}

/// Restores the terminal, because an interrupted prompt does not.
struct TerminalGuard {
    #[cfg(unix)]
    modes: Option<rustix::termios::Termios>,
}

impl TerminalGuard {
    fn new() -> Self {
        Self {
            #[cfg(unix)]
            modes: rustix::termios::tcgetattr(rustix::stdio::stdin()).ok(),
        }
    }
}

impl Drop for TerminalGuard {
    fn drop(&mut self) {
        // An error of a closed terminal cannot be handled or reported.
        #[cfg(unix)]
        if let Some(modes) = &self.modes {
            let stdin = rustix::stdio::stdin();
            let _ = rustix::termios::tcsetattr(stdin, rustix::termios::OptionalActions::Now, modes);
        }
        let _ = Term::stderr().show_cursor();
    }
}
