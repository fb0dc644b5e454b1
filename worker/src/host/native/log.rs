//! The request log on standard error, written by a thread of its own: no request waits for a terminal
//! or a full pipe.

use std::io::{Write, stderr};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use crate::log::{Log, LogLevel};

/// Lines that may wait. What comes when as many wait already is left out.
const MOST_WAITING: usize = 4_096;
/// How long the end of the program waits for what is not written yet.
const PATIENCE: Duration = Duration::from_secs(1);

enum Order {
    Line(String),
    /// Tell when everything before this is written.
    Flush(SyncSender<()>),
}

/// The way to the thread that writes.
#[derive(Debug)]
pub struct StderrLog(SyncSender<Order>);

impl StderrLog {
    /// Starts the thread.
    pub fn start() -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel(MOST_WAITING);
        std::thread::Builder::new().name("log".to_owned()).spawn(move || write_all(&receiver))?;
        Ok(Self(sender))
    }

    /// A log that goes there.
    #[must_use]
    pub fn log(&self, level: LogLevel) -> Log {
        let sender = self.0.clone();
        Log::new(level, move |line| drop(sender.try_send(Order::Line(line))))
    }

    /// Waits until everything that was said is written, for a second at most.
    pub fn flush(&self) {
        let (done, written) = sync_channel(1);
        if self.0.try_send(Order::Flush(done)).is_ok() {
            let _ = written.recv_timeout(PATIENCE);
        }
    }
}

fn write_all(receiver: &Receiver<Order>) {
    while let Ok(order) = receiver.recv() {
        // A closed standard error takes nothing: there is nobody to tell.
        let _ = match order {
            Order::Line(line) => stderr().lock().write_all(format!("{line}\n").as_bytes()),
            Order::Flush(done) => done.try_send(()).map_err(std::io::Error::other),
        };
    }
}
