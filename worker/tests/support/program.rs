//! The native program as a process of its own.

#![allow(dead_code, reason = "not every test file needs everything")]

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// Longer than any start and any end takes, the 30 s included that running responses have when it is stopped.
const DEADLINE: Duration = Duration::from_secs(90);

/// A running `pool-server`; killed when dropped.
pub struct Program {
    child: Child,
    /// What it prints, line by line.
    output: Receiver<String>,
    /// `http://127.0.0.1:PORT`
    pub url: String,
}

impl Program {
    /// Starts it on a free port with its state in a folder.
    pub fn start(data_dir: &Path, environment: &[(&str, &str)]) -> Self {
        Self::run(&mut command(data_dir, environment))
    }

    /// Runs a command that starts it.
    pub fn run(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, output) = mpsc::channel();
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut program = Self { child, output, url: String::new() };
        let line = program.output.recv_timeout(DEADLINE).unwrap_or_default();
        let url = line.trim().strip_prefix("pool-server listens on ");
        url.unwrap_or_else(|| panic!("it printed {line:?} and not its address")).clone_into(&mut program.url);
        program
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// As a power cut does: nothing is left to be done.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// As Ctrl-C does; gives how it ended and what it printed since its first line.
    pub fn interrupt(self) -> (ExitStatus, String) {
        self.signal("INT")
    }

    /// The same by another signal.
    pub fn signal(mut self, name: &str) -> (ExitStatus, String) {
        let deadline = Instant::now() + DEADLINE;
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
        let mut rest = String::new();
        loop {
            match self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => rest = rest + &line + "\n",
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("{name} does not end it; it printed {rest:?}"),
            }
        }
        // Its output has ended, and so will it.
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, rest);
            }
            assert!(Instant::now() < deadline, "{name} does not end it");
            thread::yield_now();
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first line that a program prints; empty if it prints none in time.
pub fn first_line(printed: impl Read + Send + 'static) -> String {
    let (sender, first) = mpsc::channel();
    thread::spawn(move || {
        let mut line = String::new();
        let _ = BufReader::new(printed).read_line(&mut line);
        sender.send(line)
    });
    first.recv_timeout(DEADLINE).unwrap_or_default()
}

/// Runs a command that ends by itself.
pub fn output_of(command: &mut Command) -> Output {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let id = child.id().to_string();
    let (sender, ended) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    let ended = ended.recv_timeout(DEADLINE);
    if ended.is_err() {
        let _ = Command::new("kill").args(["-KILL", &id]).status();
    }
    ended.unwrap().unwrap()
}

/// The command that starts it, with nothing of the environment that would change it.
pub fn command(data_dir: &Path, environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pool-server"));
    for name in [
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
        "NO_PROXY",
        "no_proxy",
        "TRUSTED_PROXIES",
    ] {
        command.env_remove(name);
    }
    for name in
        ["HOST", "MASTER_KEY", "ADMIN_PASSWORD", "GEMINI_BASE_URL", "GEMINI_ALLOWED_HOSTS", "LOG_LEVEL"]
    {
        command.env_remove(name);
    }
    command.env("PORT", "0").env("DATA_DIR", data_dir).envs(environment.iter().copied());
    command
}
