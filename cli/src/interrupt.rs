//! Interruption by Ctrl-C, as an error that ends a wait.
//!
//! SIGINT ends the current wait with [`CliError::interrupted`], so that a command can print its
//! partial result. A second Ctrl-C ends the process immediately.

use std::process;

use tokio::sync::watch;

use crate::error::{CliError, Exit};

/// Handle of the Ctrl-C signal; clones share it.
#[derive(Clone)]
pub struct Interrupt(watch::Receiver<bool>);

impl Interrupt {
    /// Starts listening. Requires a tokio runtime.
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

    /// Returns a handle that is never interrupted.
    pub fn never() -> Self {
        Self(watch::channel(false).1)
    }

    /// Waits for a future or for Ctrl-C.
    pub async fn wait<T>(&self, future: impl Future<Output = T>) -> Result<T, CliError> {
        let mut receiver = self.0.clone();
        let interrupted = async move {
            if receiver.wait_for(|interrupted| *interrupted).await.is_err() {
                // Without a listener, the signal itself ends the process.
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
