//! The request log on standard error, written by a thread of its own: no request waits for a terminal
//! or a full pipe.

use std::io::{Write, stderr};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use crate::reporting::{Log, LogLevel};

/// Lines that may wait. What comes when as many wait already is left out.
const MAX_PENDING: usize = 4_096;
/// How long the thread rests after it wrote: lines that come meanwhile are written at once, and wake nobody. Each time
/// that it wakes, it takes the processor from a request: two hundred times a second more than one request in a hundred
/// would wait for it, and the 99th percentile with them.
const FLUSH_INTERVAL: Duration = Duration::from_millis(50);
/// How long the end of the program waits for what is not written yet.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

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
        // Standard error has no buffer: what is written there is written at once.
        Self::start_to(stderr())
    }

    fn start_to(out: impl Write + Send + 'static) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel(MAX_PENDING);
        std::thread::Builder::new().name("log".to_owned()).spawn(move || write_all(&receiver, out))?;
        Ok(Self(sender))
    }

    /// Returns a log that goes there.
    #[must_use]
    pub fn log(&self, level: LogLevel) -> Log {
        let sender = self.0.clone();
        Log::new(level, move |line| drop(sender.try_send(Order::Line(line))))
    }

    /// Waits until everything that was said is written, for a second at most.
    pub fn flush(&self) {
        let end = Instant::now() + FLUSH_TIMEOUT;
        let (done, written) = sync_channel(1);
        let mut order = Order::Flush(done);
        while let Err(TrySendError::Full(back)) = self.0.try_send(order) {
            if Instant::now() >= end {
                return;
            }
            order = back;
            std::thread::sleep(FLUSH_INTERVAL);
        }
        let _ = written.recv_timeout(end.saturating_duration_since(Instant::now()));
    }
}

/// Writes the lines that wait, all in one go, until nobody can send any more.
fn write_all(receiver: &Receiver<Order>, mut out: impl Write) {
    let mut lines = String::new();
    while let Ok(first) = receiver.recv() {
        let mut written = Vec::new();
        for order in std::iter::once(first).chain(receiver.try_iter().take(MAX_PENDING)) {
            match order {
                Order::Line(line) => {
                    lines.push_str(&line);
                    lines.push('\n');
                }
                Order::Flush(done) => written.push(done),
            }
        }
        // A closed standard error takes nothing: there is nobody to tell.
        let _ = out.write_all(lines.as_bytes());
        lines.clear();
        for done in written {
            let _ = done.try_send(());
        }
        std::thread::sleep(FLUSH_INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What was written, each time.
    #[derive(Clone, Default)]
    struct Writes(Arc<Mutex<Vec<String>>>);

    impl Write for Writes {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().push(String::from_utf8(bytes.to_vec()).unwrap());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_wait_are_written_at_once_and_none_is_lost() {
        let writes = Writes::default();
        let (sender, receiver) = sync_channel(MAX_PENDING);
        let said: Vec<String> = (0..1_000).map(|number| format!("line {number}")).collect();
        for line in &said {
            sender.try_send(Order::Line(line.clone())).unwrap();
        }
        drop(sender);
        write_all(&receiver, writes.clone());
        let written = writes.0.lock().unwrap();
        assert_eq!(*written, [said.join("\n") + "\n"]);
    }

    #[test]
    fn a_flush_ends_when_everything_before_it_is_written() {
        let writes = Writes::default();
        let log = StderrLog::start_to(writes.clone()).unwrap();
        for number in 0..100 {
            log.0.send(Order::Line(number.to_string())).unwrap();
        }
        log.flush();
        assert_eq!(writes.0.lock().unwrap().concat().lines().count(), 100);
    }
}
