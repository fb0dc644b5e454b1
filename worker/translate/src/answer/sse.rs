//! Parser of server-sent events.
//!
//! Takes bytes cut anywhere and returns the data of whole events. Text that is no event is returned
//! separately: Gemini ends some failed streams with plain JSON. Buffers are bounded.

use memchr::memchr2;

use crate::json::BYTE_ORDER_MARK;

/// The longest event that is taken: an image of the largest size fits several times.
const MAX_EVENT: usize = 64 << 20;
/// What is kept of what is no event.
const MAX_STRAY: usize = 64 << 10;

/// An event is longer than any real one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// Splits a stream into events.
#[derive(Debug, Default)]
pub(crate) struct EventSplitter {
    /// The beginning of a line whose end has not come yet.
    line: Vec<u8>,
    /// The data lines of the event in the making.
    data: Vec<u8>,
    has_data: bool,
    /// The last byte was CR: an LF that follows belongs to it.
    after_cr: bool,
    /// A line has come: no mark of the byte order can follow.
    has_begun: bool,
    stray: Vec<u8>,
}

/// What a line has completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Nothing,
    Event,
    Stray,
}

/// One thing found in the stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// The data of an event.
    Event(&'a [u8]),
    /// Everything so far that is no event, after another line of it.
    Stray(&'a [u8]),
}

impl EventSplitter {
    /// Takes bytes and hands out what they complete. Stops at the first error of `found`.
    pub(crate) fn push<E: From<TooLong>>(
        &mut self,
        mut bytes: &[u8],
        mut found: impl FnMut(Found<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        while !bytes.is_empty() {
            if std::mem::take(&mut self.after_cr)
                && let Some(rest) = bytes.strip_prefix(b"\n")
            {
                bytes = rest;
                continue;
            }
            let Some(end) = memchr2(b'\n', b'\r', bytes) else {
                if self.line.len() + bytes.len() > MAX_EVENT {
                    return Err(TooLong.into());
                }
                self.line.extend_from_slice(bytes);
                return Ok(());
            };
            let (head, tail) = bytes.split_at(end);
            self.after_cr = tail.first() == Some(&b'\r');
            bytes = tail.get(1..).unwrap_or_default();
            self.end_line(head, &mut found)?;
        }
        Ok(())
    }

    /// Ends the stream: a last line or event without its end counts.
    pub(crate) fn finish<E: From<TooLong>>(
        &mut self,
        mut found: impl FnMut(Found<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if !self.line.is_empty() {
            self.end_line(b"", &mut found)?;
        }
        self.end_line(b"", &mut found)
    }

    fn end_line<E: From<TooLong>>(
        &mut self,
        head: &[u8],
        found: &mut impl FnMut(Found<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let line = if self.line.is_empty() {
            self.read_line(head)?
        } else {
            let mut whole = std::mem::take(&mut self.line);
            whole.extend_from_slice(head);
            let line = self.read_line(&whole)?;
            // Keeps the buffer for the next line.
            whole.clear();
            self.line = whole;
            line
        };
        match line {
            Line::Nothing => Ok(()),
            Line::Stray => found(Found::Stray(&self.stray)),
            Line::Event => {
                let result = found(Found::Event(&self.data));
                self.data.clear();
                self.has_data = false;
                result
            }
        }
    }

    fn read_line(&mut self, line: &[u8]) -> Result<Line, TooLong> {
        let may_be_marked = !std::mem::replace(&mut self.has_begun, true);
        let line = line.strip_prefix(BYTE_ORDER_MARK).filter(|_| may_be_marked).unwrap_or(line);
        if line.is_empty() {
            return Ok(if self.has_data { Line::Event } else { Line::Nothing });
        }
        if let Some(data) = line.strip_prefix(b"data:") {
            let data = data.strip_prefix(b" ").unwrap_or(data);
            if self.data.len() + data.len() > MAX_EVENT {
                return Err(TooLong);
            }
            if std::mem::replace(&mut self.has_data, true) {
                self.data.push(b'\n');
            }
            self.data.extend_from_slice(data);
            return Ok(Line::Nothing);
        }
        let known = [b":".as_slice(), b"event:", b"id:", b"retry:"];
        if known.iter().any(|field| line.starts_with(field)) || line.iter().all(u8::is_ascii_whitespace) {
            return Ok(Line::Nothing);
        }
        if self.stray.len() + line.len() >= MAX_STRAY {
            return Ok(Line::Nothing);
        }
        self.stray.extend_from_slice(line);
        self.stray.push(b'\n');
        Ok(Line::Stray)
    }

    /// Everything that was no event.
    pub(crate) fn stray(&self) -> &[u8] {
        &self.stray
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(chunks: &[&[u8]]) -> (Vec<String>, String) {
        let mut splitter = EventSplitter::default();
        let mut events = Vec::new();
        let mut keep = |found: Found<'_>| {
            if let Found::Event(data) = found {
                events.push(String::from_utf8(data.to_vec()).unwrap());
            }
            Ok::<(), TooLong>(())
        };
        for chunk in chunks {
            splitter.push(chunk, &mut keep).unwrap();
        }
        splitter.finish(&mut keep).unwrap();
        (events, String::from_utf8(splitter.stray().to_vec()).unwrap())
    }

    #[test]
    fn every_framing_at_every_cut() {
        for newline in ["\n", "\r\n", "\r"] {
            let lines = [
                ": note",
                "event: x",
                "data: {\"é\":1}",
                "",
                "data:two",
                "data: lines",
                "",
                "",
                "data: last",
            ];
            let stream = lines.join(newline);
            let expected = vec!["{\"é\":1}".to_owned(), "two\nlines".to_owned(), "last".to_owned()];
            for stream in [stream.clone(), format!("\u{feff}{stream}"), format!("\u{feff}{newline}{stream}")]
            {
                for cut in 0..=stream.len() {
                    let (head, tail) = stream.as_bytes().split_at(cut);
                    assert_eq!(
                        split(&[head, tail]),
                        (expected.clone(), String::new()),
                        "{newline:?} at {cut}"
                    );
                }
            }
            let single: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
            assert_eq!(split(&single).0, expected);
        }
    }

    #[test]
    fn what_is_no_event_is_kept_apart() {
        let (events, stray) = split(&[b"data: 1\n\n{\n \"error\": {}\n}\n"]);
        assert_eq!(events, ["1"]);
        assert_eq!(stray, "{\n \"error\": {}\n}\n");
    }

    #[test]
    fn nothing_grows_without_end() {
        let mut splitter = EventSplitter::default();
        let block = vec![b'x'; 16 << 20];
        let mut result = Ok(());
        for _ in 0..6 {
            result = splitter.push(&block, |_| Ok::<(), TooLong>(()));
        }
        assert_eq!(result, Err(TooLong));
        let mut splitter = EventSplitter::default();
        for _ in 0..100_000 {
            splitter.push(b"noise\n", |_| Ok::<(), TooLong>(())).unwrap();
        }
        assert!(splitter.stray().len() <= MAX_STRAY);
    }
}
