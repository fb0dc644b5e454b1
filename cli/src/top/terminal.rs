//! Terminal set-up: raw mode and alternate screen, restored however the program ends.
//!
//! [`Screen`] restores the terminal when it is dropped, before a panic's message, and while
//! suspended by Ctrl-Z. Meanwhile nothing else is written to stdout or stderr.

use std::{
    io::{self, BufWriter, IsTerminal, Stdout, Write},
    sync::atomic::{AtomicBool, Ordering},
};

use crossterm::{
    cursor::{Hide, Show},
    event::{DisableMouseCapture, EnableMouseCapture},
    execute, queue,
    terminal::{
        BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
        disable_raw_mode, enable_raw_mode,
    },
};
use ratatui::{
    Frame, Terminal,
    backend::CrosstermBackend,
    layout::{Position, Rect, Size},
};

/// Whether the terminal is set up; global, because a panic hook reads it.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal, set up until this is dropped.
pub struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
    mouse: bool,
}

impl Screen {
    /// Sets the terminal up.
    pub fn take(mouse: bool) -> io::Result<Self> {
        static HOOK: std::sync::Once = std::sync::Once::new();
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                give_back();
                before(panic);
            }));
        });
        take_over(mouse).inspect_err(|_| give_back())?;
        let backend = CrosstermBackend::new(BufWriter::with_capacity(1 << 16, io::stdout()));
        let terminal = Terminal::new(backend).inspect_err(|_| give_back())?;
        Ok(Self { terminal, mouse })
    }

    /// Returns its size.
    pub fn size(&self) -> io::Result<Size> {
        self.terminal.size()
    }

    /// Draws the changed cells in one synchronised update.
    pub fn draw(&mut self, render: impl FnOnce(&mut Frame)) -> io::Result<()> {
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        self.terminal.draw(render)?;
        execute!(self.terminal.backend_mut(), EndSynchronizedUpdate)
    }

    /// Restores the terminal and suspends the process until it is continued.
    pub fn suspend(&mut self) -> io::Result<()> {
        give_back();
        // Stops the whole foreground process group, as the terminal's own Ctrl-Z does.
        #[cfg(unix)]
        rustix::process::kill_current_process_group(rustix::process::Signal::TSTP)?;
        self.resume()
    }

    /// Sets the terminal up again and redraws it.
    pub fn resume(&mut self) -> io::Result<()> {
        give_back();
        take_over(self.mouse)?;
        // The backend's `clear` queries the cursor position, and the reply would be read as key
        // presses.
        let size = self.terminal.size()?;
        self.terminal.resize(Rect::from((Position::ORIGIN, size)))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn take_over(mouse: bool) -> io::Result<()> {
    TAKEN.store(true, Ordering::SeqCst);
    enable_raw_mode()?;
    let mut stdout = io::stdout();
    execute!(stdout, EnterAlternateScreen, Hide)?;
    if mouse {
        execute!(stdout, EnableMouseCapture)?;
    }
    Ok(())
}

/// Restores the terminal; a failed step does not prevent the others.
fn give_back() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut stdout = io::stdout();
    let _ = execute!(stdout, EndSynchronizedUpdate, DisableMouseCapture);
    let _ = execute!(stdout, LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
    let _ = stdout.flush();
}

/// Returns `true` if stdin and stdout are a terminal that can move its cursor.
pub fn usable() -> bool {
    io::stdin().is_terminal()
        && io::stdout().is_terminal()
        && std::env::var_os("TERM").is_none_or(|terminal| terminal != "dumb")
}

/// Returns `true` if the locale is UTF-8.
pub fn shows_unicode() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    let utf8 = |locale: String| locale.to_ascii_lowercase().replace('-', "").contains("utf8");
    cfg!(windows) || locale.is_some_and(utf8)
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::Read;

    use portable_pty::{CommandBuilder, PtySize, native_pty_system};

    use super::*;

    /// Only run by the other test, in a process and on a terminal of its own.
    #[test]
    #[ignore = "panics"]
    fn panics() {
        let mut screen = Screen::take(true).unwrap();
        screen.draw(|frame| frame.render_widget("drawn", frame.area())).unwrap();
        panic!("on purpose");
    }

    #[test]
    fn a_panic_gives_the_terminal_back_before_its_message() {
        let pair = native_pty_system().openpty(PtySize::default()).unwrap();
        let mut command = CommandBuilder::new(std::env::current_exe().unwrap());
        command.args(["--exact", "top::terminal::tests::panics", "--ignored", "--nocapture"]);
        let modes = || format!("{:?}", pair.master.get_termios().unwrap().local_flags);
        let before = modes();
        let mut child = pair.slave.spawn_command(command).unwrap();
        let mut reader = pair.master.try_clone_reader().unwrap();
        let slave = pair.slave;
        let output = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            // A terminal whose programs are gone ends in an error.
            let _ = reader.read_to_end(&mut bytes);
            bytes
        });
        assert!(!child.wait().unwrap().success());
        assert_eq!(modes(), before);
        drop(slave);
        let output = output.join().unwrap();
        let mut parser = vt100::Parser::default();
        parser.process(&output);
        let screen = parser.screen();
        assert!(!screen.alternate_screen() && !screen.hide_cursor());
        assert_eq!(screen.mouse_protocol_mode(), vt100::MouseProtocolMode::None);
        let drawn = String::from_utf8_lossy(&output);
        assert!(drawn.find("drawn") < drawn.find("\u{1b}[?1049l"), "{drawn:?}");
        assert!(drawn.find("\u{1b}[?1049l") < drawn.find("on purpose"), "{drawn:?}");
    }
}
