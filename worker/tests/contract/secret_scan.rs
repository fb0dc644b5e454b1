//! Scan of a service's data folder for secrets in any encoding.

use std::collections::HashMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use rusqlite::types::ValueRef;
use sha2::{Digest, Sha256};

use super::harness::{databases_below, files_below};

/// Length in bytes of the prefix by which an encoding is looked up.
const START: usize = 8;

/// Index of a secret, name of the encoding, and the encoded bytes.
type Wanted = (usize, &'static str, Vec<u8>);

/// The stored bytes of a data folder, each piece with its origin.
///
/// Includes every raw file, so also write-ahead logs, deleted rows and KV blobs. Database values are
/// included once more, because SQLite splits long values into pages.
pub struct SecretScan(Vec<(String, Vec<u8>)>);

impl SecretScan {
    pub fn of(folder: &Path) -> Self {
        let files = files_below(folder).into_iter();
        let mut pieces: Vec<_> =
            files.map(|path| (path.display().to_string(), fs::read(path).unwrap())).collect();
        for (path, database) in databases_below(folder) {
            let tables = "SELECT name FROM sqlite_master WHERE type = 'table'";
            let mut tables = database.prepare(tables).unwrap();
            let tables = tables.query_map([], |row| row.get::<_, String>(0)).unwrap();
            for table in tables.map(Result::unwrap) {
                let Ok(mut rows) = database.prepare(&format!("SELECT * FROM \"{table}\"")) else { continue };
                let columns = rows.column_count();
                let mut rows = rows.query([]).unwrap();
                let mut values = Vec::new();
                while let Some(row) = rows.next().unwrap() {
                    for column in 0..columns {
                        if let ValueRef::Text(value) | ValueRef::Blob(value) = row.get_ref(column).unwrap() {
                            values.extend_from_slice(value);
                            values.push(b'\n');
                        }
                    }
                }
                pieces.push((format!("{} {table}", path.display()), values));
            }
        }
        Self(pieces)
    }

    /// Returns the origins of all pieces that contain a text verbatim.
    pub fn places_of(&self, text: &str) -> Vec<&str> {
        let holds = |bytes: &[u8]| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        self.0.iter().filter(|(_, bytes)| holds(bytes)).map(|(place, _)| place.as_str()).collect()
    }

    /// Panics if any piece contains a secret in any [encoding](encodings).
    pub fn assert_free_of(&self, secrets: &[String]) {
        let mut wanted: HashMap<[u8; START], Vec<Wanted>> = HashMap::new();
        for (number, secret) in secrets.iter().enumerate() {
            for (what, form) in encodings(secret) {
                wanted.entry(*form.first_chunk().unwrap()).or_default().push((number, what, form));
            }
        }
        for (place, bytes) in &self.0 {
            for (at, start) in bytes.windows(START).enumerate() {
                for (number, what, form) in wanted.get(start).into_iter().flatten() {
                    assert!(!bytes[at..].starts_with(form), "{place} holds secret {number} as {what}");
                }
            }
        }
    }
}

/// Returns the encodings of a secret and its unkeyed hashes, which allow offline guessing.
fn encodings(secret: &str) -> Vec<(&'static str, Vec<u8>)> {
    let bytes = secret.as_bytes();
    let hash = Sha256::digest(bytes);
    let hex = |bytes: &[u8]| {
        bytes.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        })
    };
    let wide = |order: fn(u16) -> [u8; 2]| secret.encode_utf16().flat_map(order).collect();
    let mut forms = vec![
        ("it is", bytes.to_vec()),
        ("hexadecimal", hex(bytes).into_bytes()),
        ("capital hexadecimal", hex(bytes).to_uppercase().into_bytes()),
        ("UTF-16", wide(u16::to_le_bytes)),
        ("UTF-16 the other way round", wide(u16::to_be_bytes)),
        ("a hash", hash.to_vec()),
        ("a hash in hexadecimal", hex(&hash).into_bytes()),
        ("a hash in base64", STANDARD_NO_PAD.encode(hash).into_bytes()),
        ("a hash in base64 for URLs", URL_SAFE.encode(hash).trim_end_matches('=').into()),
    ];
    for before in 0..3 {
        // Base64 characters that neighbouring bytes influence are left out.
        let part = |text: String| text.trim_end_matches('=').as_bytes()[[0, 2, 3][before]..].to_vec();
        let cut = bytes.len() - (before + bytes.len()) % 3;
        let padded = [&b"..."[..before], &bytes[..cut]].concat();
        forms.push(("base64", part(STANDARD.encode(&padded))));
        forms.push(("base64 for URLs", part(URL_SAFE.encode(&padded))));
    }
    forms
}

#[test]
fn every_encoding_of_a_secret_is_found() {
    let secret = "a secret of some length".to_owned();
    let encoded = |before: &str| STANDARD.encode(format!("{before}{secret} and the rest"));
    let found = [
        secret.clone(),
        encoded(""),
        encoded("1"),
        encoded("12"),
        encoded("123"),
        "6120736563726574206f6620736f6d65206c656e677468".to_owned(),
        secret.chars().flat_map(|char| [char, '\0']).collect(),
        STANDARD.encode(Sha256::digest(&secret)),
    ];
    for text in found {
        let scan = SecretScan(vec![("a file".to_owned(), format!("before {text} after").into_bytes())]);
        let looked = std::panic::catch_unwind(|| scan.assert_free_of(std::slice::from_ref(&secret)));
        assert!(looked.is_err(), "{text}");
    }
    SecretScan(vec![("a file".to_owned(), b"a secret of another length".to_vec())]).assert_free_of(&[secret]);
}
