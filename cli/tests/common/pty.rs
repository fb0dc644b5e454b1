//! `poolctl` on a pseudo-terminal, and the content of its screen.

use std::{
    io::{Read, Write},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::{Duration, Instant},
};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, SlavePty, native_pty_system};

use super::{Poolctl, secrets_in};

/// How long a test waits for output before it fails.
const READ_TIMEOUT: Duration = Duration::from_mins(1);

/// The screen, and a condition variable for its changes.
type Drawn = Arc<(Mutex<vt100::Parser>, Condvar)>;
/// Every byte that was written to the terminal.
type Recording = Arc<Mutex<Vec<u8>>>;

/// A program on a terminal.
pub struct Pty {
    child: Box<dyn Child + Send + Sync>,
    master: Box<dyn MasterPty + Send>,
    // Kept open, so that the terminal's modes can be read at the end.
    _slave: Box<dyn SlavePty + Send>,
    writer: Box<dyn Write + Send>,
    drawn: Drawn,
    recording: Recording,
    modes: String,
}

impl Pty {
    /// Starts a program with the environment of `poolctl` on a terminal of 80x24.
    pub fn start(poolctl: &Poolctl, program: &str, args: &[&str]) -> Self {
        let pair = native_pty_system().openpty(size(80, 24)).unwrap();
        let mut command = CommandBuilder::new(program);
        command.args(args);
        command.cwd(poolctl.path());
        command.env_clear();
        for (name, value) in [
            ("HOME", poolctl.path().display().to_string()),
            ("POOLCTL_CONFIG_DIR", poolctl.path().join("config").display().to_string()),
            ("POOLCTL_CREDENTIALS", "file".to_owned()),
            ("PATH", std::env::var("PATH").unwrap()),
            ("TERM", "xterm-256color".to_owned()),
            ("LANG", "C.UTF-8".to_owned()),
        ] {
            command.env(name, value);
        }
        let modes = modes(pair.master.as_ref());
        let child = pair.slave.spawn_command(command).unwrap();
        let drawn: Drawn = Arc::new((Mutex::new(vt100::Parser::default()), Condvar::new()));
        let (mut reader, seen) = (pair.master.try_clone_reader().unwrap(), Arc::clone(&drawn));
        let recording = Recording::default();
        let recorded = Arc::clone(&recording);
        thread::spawn(move || {
            let mut bytes = [0; 4_096];
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                recorded.lock().unwrap().extend_from_slice(&bytes[..count]);
                seen.0.lock().unwrap().process(&bytes[..count]);
                seen.1.notify_all();
            }
        });
        let writer = pair.master.take_writer().unwrap();
        Self { child, master: pair.master, _slave: pair.slave, writer, drawn, recording, modes }
    }

    pub fn send(&mut self, keys: &str) {
        self.writer.write_all(keys.as_bytes()).unwrap();
    }

    pub fn resize(&mut self, columns: u16, rows: u16) {
        let mut parser = self.drawn.0.lock().unwrap();
        parser.screen_mut().set_size(rows.try_into().unwrap(), columns.try_into().unwrap());
        drop(parser);
        self.master.resize(size(columns, rows)).unwrap();
    }

    /// Waits until the screen satisfies a condition.
    pub fn wait_until(&self, what: &str, reached: impl Fn(&vt100::Screen) -> bool) {
        let deadline = Instant::now() + READ_TIMEOUT;
        let mut parser = self.drawn.0.lock().unwrap();
        while !reached(parser.screen()) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "never {what}:\n{}", parser.screen().contents());
            parser = self.drawn.1.wait_timeout(parser, left).unwrap().0;
        }
    }

    /// Waits until the screen contains a text.
    pub fn wait_for(&self, text: &str) {
        self.wait_until(text, |screen| screen.contents().contains(text));
    }

    pub fn process_id(&self) -> u32 {
        self.child.process_id().unwrap()
    }

    /// Waits for the end and returns the exit code.
    pub fn end(&mut self) -> u32 {
        let deadline = Instant::now() + READ_TIMEOUT;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.exit_code();
            }
            assert!(Instant::now() < deadline, "it does not end");
            thread::yield_now();
        }
    }

    /// Waits until the terminal is restored: main screen, cursor, no mouse, previous modes.
    pub fn wait_until_given_back(&self) {
        self.wait_until("given back", |screen| {
            !screen.alternate_screen()
                && !screen.hide_cursor()
                && screen.mouse_protocol_mode() == vt100::MouseProtocolMode::None
        });
        assert_eq!(modes(self.master.as_ref()), self.modes);
    }

    pub fn is_raw(&self) -> bool {
        modes(self.master.as_ref()) != self.modes
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        if thread::panicking() {
            return;
        }
        // Neither the written bytes nor the screen, on which separately written parts are adjacent,
        // may contain a secret.
        let recording = String::from_utf8_lossy(&self.recording.lock().unwrap()).into_owned();
        let screen = self.drawn.0.lock().unwrap().screen().contents();
        for text in [recording, screen] {
            assert_eq!(secrets_in(&text), Vec::<&str>::new());
        }
    }
}

fn size(cols: u16, rows: u16) -> PtySize {
    PtySize { rows, cols, ..PtySize::default() }
}

/// Returns the terminal's modes: canonical input, echo and signals.
fn modes(master: &dyn MasterPty) -> String {
    format!("{:?}", master.get_termios().unwrap().local_flags)
}
