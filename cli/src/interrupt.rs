//! Ctrl-C as an error that every wait can end with.
//!
//! In: SIGINT. Out: [`CliError::interrupted`] from the wait that goes on at that moment, so that a
//! command can still print what it has done. A second Ctrl-C ends the process at once.

use std::process;

use tokio::sync::watch;

use crate::error::{CliError, Exit};

/// A handle on Ctrl-C; clones are the same one.
#[derive(Clone)]
pub struct Interrupt(watch::Receiver<bool>);

impl Interrupt {
    /// Listens from now on. Needs a tokio runtime.
    pub fn listen() -> Self {
        let (sender, receiver) = watch::channel(false);
        tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                let _ = sender.send(true);
                if tokio::signal::ctrl_c().await.is_ok() {
                    process::exit(Exit::Interrupted as i32);
                }
            }
        });
        Self(receiver)
    }

    /// One that never comes.
    pub fn never() -> Self {
        Self(watch::channel(false).1)
    }

    /// Waits for a future or for Ctrl-C, whichever comes first.
    pub async fn wait<T>(&self, future: impl Future<Output = T>) -> Result<T, CliError> {
        let mut receiver = self.0.clone();
        let interrupted = async move {
            if receiver.wait_for(|interrupted| *interrupted).await.is_err() {
                // Nobody listens to the signal (any more): it ends the process by itself.
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            () = interrupted => Err(CliError::interrupted()),
            value = future => Ok(value),
        }
    }
}
