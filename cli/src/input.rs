//! Files and standard input as arguments of commands.

use std::{
    io::{self, BufRead, Read},
    path::PathBuf,
};

use pool_shared::Secret;

use crate::{
    ctx::Ctx,
    error::{CliError, Code},
};

/// Source of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// `-`
    Stdin,
    /// A file.
    File(PathBuf),
}

impl From<std::ffi::OsString> for KeySource {
    fn from(text: std::ffi::OsString) -> Self {
        if text == "-" { Self::Stdin } else { Self::File(text.into()) }
    }
}

impl std::fmt::Display for KeySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stdin => f.write_str("standard input"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// Reads a file or standard input to its end.
pub async fn bytes(ctx: &Ctx, source: &KeySource) -> Result<Vec<u8>, CliError> {
    let opened = source.clone();
    let task = tokio::task::spawn_blocking(move || match opened {
        KeySource::Stdin => {
            let mut bytes = Vec::new();
            io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
        }
        KeySource::File(path) => std::fs::read(path),
    });
    match ctx.interrupt.wait(task).await? {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => Err(CliError::usage(format!("cannot read {source}")).cause(error.to_string())),
        Err(_) => Err(CliError::new(Code::Local, format!("cannot read {source}"))),
    }
}

/// Reads a secret from the first line of standard input.
pub async fn first_line(ctx: &Ctx, what: &str) -> Result<Secret, CliError> {
    let read = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).map(|_| Secret::new(line.trim()))
    });
    match ctx.interrupt.wait(read).await? {
        Ok(Ok(line)) => Ok(line),
        _ => Err(CliError::usage(format!("cannot read {what} from standard input"))),
    }
}

/// Decodes UTF-8, or UTF-16 with a byte order mark, which PowerShell's `>` writes. An error has the
/// line number.
pub fn text(source: &KeySource, bytes: Vec<u8>) -> Result<String, CliError> {
    let decode: Option<fn([u8; 2]) -> u16> = match bytes.get(..2) {
        Some([0xff, 0xfe]) => Some(u16::from_le_bytes),
        Some([0xfe, 0xff]) => Some(u16::from_be_bytes),
        _ => None,
    };
    if let Some(decode) = decode
        && let Some(text) = utf_16(&bytes, decode)
    {
        return Ok(text);
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = valid.split(|byte| *byte == b'\n').count();
        CliError::usage(format!("{source} is not UTF-8 text"))
            .cause(format!("invalid bytes in line {line}"))
            .hint("save it as plain UTF-8 text, one Gemini key per line")
    })
}

fn utf_16(bytes: &[u8], decode: fn([u8; 2]) -> u16) -> Option<String> {
    let (units, rest) = bytes.as_chunks::<2>();
    let units: Vec<u16> = units.iter().map(|unit| decode(*unit)).collect();
    String::from_utf16(&units).ok().filter(|_| rest.is_empty())
}

#[cfg(test)]
mod tests {
    use pool_shared::parse_key_file;

    use super::*;

    #[test]
    fn bytes_that_are_no_text_are_placed_by_line() {
        let error = text(&KeySource::Stdin, b"AIza\nAIzb\n\xff\xfe".to_vec()).unwrap_err();
        assert!(error.to_string().contains("line 3\n"), "{error}");
        assert_eq!(error.exit() as u8, 2);
    }

    #[test]
    fn text_in_utf_16_is_read_by_its_mark() {
        let key = "AIzaSyReal-000000000000000000000000001";
        let written = format!("\u{feff}# Schl\u{fc}ssel\r\n{key}\r\n");
        for encode in [u16::to_le_bytes, u16::to_be_bytes] {
            let bytes: Vec<u8> = written.encode_utf16().flat_map(encode).collect();
            let read = parse_key_file(&text(&KeySource::Stdin, bytes.clone()).unwrap());
            assert_eq!((read.entries.len(), read.malformed.len()), (1, 0));
            assert_eq!(read.entries[0].key.expose(), key);
            let cut = text(&KeySource::Stdin, bytes[..bytes.len() - 1].to_vec()).unwrap_err();
            assert!(cut.to_string().contains("UTF-8"), "{cut}");
        }
    }
}
