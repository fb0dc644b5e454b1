//! Minimal HTTP/1.1 client that can send malformed bytes.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

/// Deadline of a response; a request that reaches it was never answered.
const READ_TIMEOUT: Duration = Duration::from_secs(20);

/// A connection and its received bytes.
pub struct Connection {
    stream: BufReader<TcpStream>,
    over: bool,
}

impl Connection {
    pub fn open(address: &str) -> Self {
        Self::open_for(address, READ_TIMEOUT)
    }

    /// Opens a connection with another read and write timeout.
    pub fn open_for(address: &str, timeout: Duration) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(timeout)).unwrap();
        stream.set_write_timeout(Some(timeout)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(stream), over: false }
    }

    /// Sends bytes. A closed connection shows only on the next read.
    pub fn write(&mut self, bytes: &[u8]) {
        if let Err(error) = self.stream.get_mut().write_all(bytes) {
            assert!(is_closing(error.kind()), "{error}");
            self.over = true;
        }
    }

    /// Sends bytes, closes the sending side, and reads to the end. Returns the status codes of the
    /// responses.
    pub fn send_to_the_end(mut self, bytes: &[u8]) -> Vec<u16> {
        self.write(bytes);
        // The connection may be closed already.
        let _ = self.stream.get_ref().shutdown(Shutdown::Write);
        let mut answers = Vec::new();
        if let Err(error) = self.stream.read_to_end(&mut answers) {
            assert!(is_closing(error.kind()), "no end: {error}");
        }
        // A status line is at the start or follows a body, whose end is not parsed.
        let text = String::from_utf8_lossy(&answers);
        let lines = text.match_indices("HTTP/1.").map(|(at, _)| text.get(at + 9..at + 12));
        lines.filter_map(|status| status?.parse().ok()).collect()
    }

    /// Returns the status of the next response; `None` if the connection is closed.
    pub fn read_answer(&mut self, to_head: bool) -> Option<u16> {
        let (mut status, mut length, mut closes) = (0, Some(0_usize), false);
        while status < 200 {
            status = self.line()?.split(' ').nth(1).unwrap().parse().unwrap();
            length = Some(0);
            loop {
                let line = self.line()?.to_ascii_lowercase();
                match line.split_once(':').map(|(name, value)| (name, value.trim())) {
                    None => break,
                    Some(("content-length", value)) => length = Some(value.parse().unwrap()),
                    Some(("transfer-encoding", _)) => length = None,
                    Some(("connection", value)) => closes |= value.contains("close"),
                    Some(_) => {}
                }
            }
        }
        match length {
            _ if to_head || status == 204 => {}
            Some(length) => self.skip(length)?,
            None => while self.chunk()? > 0 {},
        }
        self.over |= closes;
        Some(status)
    }

    /// Returns `true` if no further request can be sent.
    pub fn is_over(&self) -> bool {
        self.over
    }

    fn chunk(&mut self) -> Option<usize> {
        let length = usize::from_str_radix(self.line()?.trim(), 16).unwrap();
        self.skip(length + 2)?;
        Some(length)
    }

    fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        match self.stream.read_until(b'\n', &mut line) {
            Ok(0) => self.closed(),
            Ok(_) => Some(String::from_utf8(line).unwrap().trim_end().to_owned()),
            Err(error) if is_closing(error.kind()) => self.closed(),
            Err(error) => panic!("no answer: {error}"),
        }
    }

    fn skip(&mut self, length: usize) -> Option<()> {
        let mut body = vec![0; length];
        match self.stream.read_exact(&mut body) {
            Ok(()) => Some(()),
            Err(error) if is_closing(error.kind()) => self.closed(),
            Err(error) => panic!("half an answer: {error}"),
        }
    }

    fn closed<T>(&mut self) -> Option<T> {
        self.over = true;
        None
    }
}

fn is_closing(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ConnectionReset
            | ErrorKind::BrokenPipe
            | ErrorKind::UnexpectedEof
            | ErrorKind::ConnectionAborted
    )
}
