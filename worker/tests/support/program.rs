//! The native server as a separate process.

#![allow(dead_code, reason = "not every test file needs everything")]

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::output_within;

/// Deadline of a start and of a shutdown, including the 30 s in which running responses may finish.
const DEADLINE: Duration = Duration::from_secs(90);

/// A running `pool-server`, killed when dropped.
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

    /// Kills it with SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Stops it as Ctrl-C does; returns its exit status and what it printed after its first line.
    pub fn interrupt(self) -> (ExitStatus, String) {
        self.signal("INT")
    }

    /// Stops it with another signal.
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
        // The process ends right after its output.
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, rest);
            }
            assert!(Instant::now() < deadline, "{name} does not end it");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the first line that a program prints; empty if it prints none in time.
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
    output_within(DEADLINE, command)
}

/// Returns the command that starts it, without any environment variable that would change it.
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
