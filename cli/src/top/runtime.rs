//! Event loop: waits for input, passes it to `update`, runs the commands and draws.
//!
//! Draws only when the screen has changed, and at most 30 frames per second.

use std::{io, pin::Pin, time::Duration};

use crossterm::event::{Event, EventStream};
use futures_util::{StreamExt, stream::FuturesUnordered};
use jiff::Timestamp;
use ratatui::layout::Size;
use tokio::time::{Instant, MissedTickBehavior};

use super::{
    fetch,
    message::{Command, Message},
    model::{Model, Options},
    terminal::Screen,
    update::update,
    view::view,
};
use crate::{
    client::Client,
    error::{CliError, Code, Outcome},
    interrupt::Interrupt,
};

/// Interval of timer ticks, short enough for every refresh interval and for countdowns.
const TICK_INTERVAL: Duration = Duration::from_millis(250);
/// Minimum interval between two frames.
const MIN_FRAME_INTERVAL: Duration = Duration::from_millis(33);

type Job<'a> = Pin<Box<dyn Future<Output = Message> + 'a>>;

/// Runs the dashboard until the user quits.
pub async fn run(
    client: &Client,
    interrupt: &Interrupt,
    options: Options,
    interval: Duration,
    mouse: bool,
) -> Result<Outcome, CliError> {
    let mut signals = Signals::listen().map_err(terminal)?;
    let mut screen = Screen::take(mouse).map_err(terminal)?;
    let began = Instant::now();
    let size = screen.size().map_err(terminal)?;
    let mut model = Model::new(options, interval, size, Timestamp::now());
    let mut input = EventStream::new();
    let mut ticks = tokio::time::interval(TICK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut jobs: FuturesUnordered<Job> = FuturesUnordered::new();
    let mut frame_at = Instant::now();
    loop {
        let message = tokio::select! {
            biased;
            interrupted = interrupt.wait(std::future::pending::<()>()) => return interrupted.map(|()| Outcome::Done),
            signal = signals.next() => match signal {
                Signal::End => return Err(CliError::interrupted()),
                Signal::Continue => {
                    screen.resume().map_err(terminal)?;
                    Message::Resumed
                }
            },
            event = input.next() => match event {
                Some(Ok(Event::Key(key))) => Message::Key(key),
                Some(Ok(Event::Mouse(mouse))) => Message::Mouse(mouse),
                Some(Ok(Event::Resize(width, height))) => Message::Resize(Size { width, height }),
                Some(Ok(_)) => continue,
                Some(Err(error)) => return Err(terminal(error)),
                None => return Err(CliError::interrupted()),
            },
            () = tokio::time::sleep_until(frame_at), if model.dirty => {
                screen.draw(|frame| {
                    // The terminal may have been resized meanwhile.
                    model.size = frame.area().as_size();
                    view(&model, frame);
                }).map_err(terminal)?;
                model.dirty = false;
                frame_at = Instant::now() + MIN_FRAME_INTERVAL;
                continue;
            }
            Some(message) = jobs.next(), if !jobs.is_empty() => message,
            _ = ticks.tick() => Message::Tick { now: Timestamp::now(), clock: began.elapsed() },
        };
        for command in update(&mut model, message) {
            match command {
                Command::Fetch(question) => jobs.push(Box::pin(async move {
                    let asked = Instant::now();
                    let result = fetch::fetch(client, &question).await;
                    Message::Fetched { fetch: question, took: asked.elapsed(), result }
                })),
                Command::Act(target, change) => jobs
                    .push(Box::pin(async move { Message::Acted(fetch::act(client, &target, change).await) })),
                Command::Suspend => {
                    screen.suspend().map_err(terminal)?;
                    model.dirty = true;
                }
                Command::Quit => return Ok(Outcome::Done),
                Command::Fail(error) => return Err(error),
            }
        }
    }
}

#[allow(clippy::needless_pass_by_value, reason = "what `map_err` hands over")]
fn terminal(error: io::Error) -> CliError {
    CliError::new(Code::Local, "cannot use the terminal").cause(error.to_string())
}

/// Signals.
enum Signal {
    /// Exit and restore the terminal.
    End,
    /// Continue after a suspension; the shell may have changed the terminal.
    Continue,
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
    continue_: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            continue_: signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::End,
            _ = self.hang_up.recv() => Signal::End,
            _ = self.continue_.recv() => Signal::Continue,
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> Signal {
        std::future::pending().await
    }
}
