//! The native program as a process of its own.

#![allow(dead_code, reason = "not every test file needs everything")]

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

/// A running `pool-server`; killed when dropped.
pub struct Program {
    child: Child,
    output: BufReader<ChildStdout>,
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
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let url = line
            .trim()
            .strip_prefix("pool-server listens on ")
            .unwrap_or_else(|| panic!("{line}"))
            .to_owned();
        Self { child, output, url }
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
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap(), rest)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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
