//! Media types that Gemini accepts, from declared types, first bytes and file names.
//!
//! Unambiguous first bytes override a wrong declared type of the same family (image, audio, video),
//! because Gemini rejects data of another type.

mod bytes;
mod extensions;

use std::borrow::Cow;

pub(crate) use bytes::of_text;
use extensions::EXTENSIONS;

/// What goes to Gemini under its own name.
const KNOWN: &[&str] = &[
    "application/pdf",
    "audio/aac",
    "audio/aiff",
    "audio/flac",
    "audio/mp4",
    "audio/mpeg",
    "audio/ogg",
    "audio/pcm",
    "audio/wav",
    "audio/webm",
    "image/avif",
    "image/bmp",
    "image/gif",
    "image/heic",
    "image/heif",
    "image/jpeg",
    "image/png",
    "image/svg+xml",
    "image/tiff",
    "image/webp",
    "text/css",
    "text/csv",
    "text/html",
    "text/javascript",
    "text/markdown",
    "text/plain",
    "text/rtf",
    "text/x-python",
    "text/xml",
    "video/3gpp",
    "video/avi",
    "video/mp4",
    "video/mpeg",
    "video/quicktime",
    "video/webm",
    "video/wmv",
    "video/x-flv",
];

/// Other names, without `x-` before what comes after the slash.
const ALIASES: &[(&str, &str)] = &[
    ("application/csv", "text/csv"),
    ("application/markdown", "text/markdown"),
    ("application/mp4", "video/mp4"),
    ("application/ogg", "audio/ogg"),
    ("application/rtf", "text/rtf"),
    ("application/vnd.ms-asf", "video/wmv"),
    ("application/xhtml+xml", "text/html"),
    ("application/xml", "text/xml"),
    ("audio/3gpp", "audio/mp4"),
    ("audio/adts", "audio/aac"),
    ("audio/vnd.dlna.adts", "audio/aac"),
    ("audio/aif", "audio/aiff"),
    ("audio/aifc", "audio/aiff"),
    ("audio/aacp", "audio/aac"),
    ("audio/l16", "audio/pcm"),
    ("audio/m4a", "audio/mp4"),
    ("audio/m4b", "audio/mp4"),
    ("audio/mp2", "audio/mpeg"),
    ("audio/mp3", "audio/mpeg"),
    ("audio/mp4a", "audio/mp4"),
    ("audio/mp4a-latm", "audio/mp4"),
    ("audio/mpeg4", "audio/mp4"),
    ("audio/mpeg4-generic", "audio/mp4"),
    ("audio/mpeg3", "audio/mpeg"),
    ("audio/mpeg-3", "audio/mpeg"),
    ("audio/mpg", "audio/mpeg"),
    ("audio/mpga", "audio/mpeg"),
    ("audio/oga", "audio/ogg"),
    ("audio/opus", "audio/ogg"),
    ("audio/pcm16", "audio/pcm"),
    ("audio/pcm_s16le", "audio/pcm"),
    ("audio/pn-wav", "audio/wav"),
    ("audio/raw", "audio/pcm"),
    ("audio/s16le", "audio/pcm"),
    ("audio/vnd.wave", "audio/wav"),
    ("audio/vorbis", "audio/ogg"),
    ("audio/wave", "audio/wav"),
    ("audio/weba", "audio/webm"),
    ("image/apng", "image/png"),
    ("image/heic-sequence", "image/heic"),
    ("image/heif-sequence", "image/heif"),
    ("image/jfif", "image/jpeg"),
    ("image/jpg", "image/jpeg"),
    ("image/ms-bmp", "image/bmp"),
    ("image/pjpeg", "image/jpeg"),
    ("image/svg", "image/svg+xml"),
    ("image/tif", "image/tiff"),
    ("text/md", "text/markdown"),
    ("video/3gp", "video/3gpp"),
    ("video/flv", "video/x-flv"),
    ("video/m4v", "video/mp4"),
    ("video/mov", "video/quicktime"),
    ("video/mp4v-es", "video/mp4"),
    ("video/mpg", "video/mpeg"),
    ("video/ms-wmv", "video/wmv"),
    ("video/ms-asf", "video/wmv"),
    ("video/msvideo", "video/avi"),
    ("video/vnd.avi", "video/avi"),
];

/// What after `application/` and `x-` is text to read.
const TEXTS: &[&str] = &[
    "ecmascript",
    "graphql",
    "httpd-php",
    "javascript",
    "json",
    "json5",
    "jsonl",
    "jsonlines",
    "latex",
    "ndjson",
    "perl",
    "php",
    "python",
    "ruby",
    "sh",
    "sql",
    "subrip",
    "tex",
    "toml",
    "typescript",
    "yaml",
    "yml",
];

/// Returns the name in lower case, without parameters, under the name that Gemini knows.
pub(crate) fn canonical(mime: &str) -> Cow<'_, str> {
    let bare = mime.split(';').next().unwrap_or_default().trim();
    let lower = if bare.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(bare.to_ascii_lowercase())
    } else {
        Cow::Borrowed(bare)
    };
    known_as(&lower).map_or(lower, Cow::Borrowed)
}

/// Gemini's name for a kind that it takes.
fn known_as(mime: &str) -> Option<&'static str> {
    let known = |mime: &str| KNOWN.iter().find(|known| **known == mime).copied();
    let alias = |mime: &str| ALIASES.iter().find(|(alias, _)| *alias == mime).map(|(_, known)| *known);
    if let Some(known) = known(mime).or_else(|| alias(mime)) {
        return Some(known);
    }
    let (family, name) = mime.split_once('/')?;
    let plain = name.strip_prefix("x-").unwrap_or(name);
    if plain != name {
        let bare = format!("{family}/{plain}");
        if let Some(known) = known(&bare).or_else(|| alias(&bare)) {
            return Some(known);
        }
    }
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'+' | b'_');
    if plain.is_empty() || !plain.bytes().all(is_token) {
        return None;
    }
    match family {
        "text" => Some("text/plain"),
        "application" if TEXTS.contains(&plain) || plain.ends_with("+json") || plain.ends_with("+yaml") => {
            Some("text/plain")
        }
        "application" if plain.ends_with("+xml") => Some("text/xml"),
        _ => None,
    }
}

/// Returns `true` if Gemini takes a kind of this name.
pub(crate) fn is_known(mime: &str) -> bool {
    KNOWN.contains(&mime)
}

/// Returns the kind of `input_audio.format`, which may be a name, an extension, or a whole MIME type.
pub(crate) fn of_audio_format(format: &str) -> Cow<'_, str> {
    let format = format.trim().trim_start_matches('.');
    if format.contains('/') {
        return canonical(format);
    }
    Cow::Owned(canonical(&format!("audio/{format}")).into_owned())
}

/// Returns what audio in a file of this kind is called.
pub(crate) fn as_sound(mime: &str) -> Option<&'static str> {
    match mime {
        "video/webm" => Some("audio/webm"),
        "video/mp4" | "video/quicktime" | "video/3gpp" => Some("audio/mp4"),
        _ => None,
    }
}

/// Returns the kind of something, given what is told of it, its first bytes, and the name of its file.
pub(crate) fn kind<'a>(told: Cow<'a, str>, head: &[u8], filename: Option<&str>) -> Option<Cow<'a, str>> {
    let seen = bytes::kind(head);
    if is_known(&told) {
        let family = |mime: &str| mime.split('/').next().map(ToOwned::to_owned);
        // Audio alone has the same file formats as video.
        let in_family = |mime: &'static str| {
            let as_sound = as_sound(mime).filter(|_| told.starts_with("audio/"));
            as_sound.or(Some(mime)).filter(|mime| family(mime) == family(&told))
        };
        // What may begin so is believed where what is told would surely begin otherwise.
        let better = seen.filter(|seen| seen.is_clear || bytes::is_marked(&told));
        let better = better.and_then(|seen| in_family(seen.mime));
        return Some(better.map_or(told, Cow::Borrowed));
    }
    seen.map(|seen| seen.mime).or_else(|| filename.and_then(of_name)).map(Cow::Borrowed)
}

/// Returns the kind of something at an address, by the end of its path.
pub(crate) fn of_address(url: &str) -> Option<&'static str> {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    of_name(path.rsplit('/').next().unwrap_or_default())
}

fn of_name(name: &str) -> Option<&'static str> {
    let name = name.split(['?', '#']).next().unwrap_or_default();
    let (_, extension) = name.rsplit_once('.')?;
    let extension = extension.to_ascii_lowercase();
    EXTENSIONS.iter().find(|(known, _)| *known == extension).map(|(_, mime)| *mime)
}

/// Returns `true` if it is something to look at or to listen to.
pub(crate) fn is_media(mime: &str) -> bool {
    ["image/", "audio/", "video/"].iter().any(|kind| mime.starts_with(kind)) || mime == "application/pdf"
}

/// Returns `true` if what is served as this may be something to look at or to listen to.
pub(crate) fn may_be_media(content_type: Option<&str>) -> bool {
    let told = content_type.map(canonical).unwrap_or_default();
    is_media(&told) || !told.contains('/') || told.ends_with("/octet-stream") || told == "*/*"
}

/// Returns the kind of something fetched. `None` if it is nothing to look at or listen to.
pub(crate) fn of_fetched<'a>(url: &str, content_type: Option<&'a str>, bytes: &[u8]) -> Option<Cow<'a, str>> {
    if !may_be_media(content_type) {
        return None;
    }
    let told = content_type.map(canonical).unwrap_or_default();
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let head = bytes.get(..64).unwrap_or(bytes);
    kind(told, head, path.rsplit('/').next()).filter(|mime| is_media(mime))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_bytes_tell() {
        assert_eq!(canonical("Image/JPG; charset=x"), "image/jpeg");
        for (url, told, bytes, expected) in [
            ("https://x/a", Some("image/PNG"), b"".as_slice(), Some("image/png")),
            ("https://x/a.png", Some("text/html"), b"\x89PNG\r\n\x1a\n", None),
            ("https://x/a.png", Some("binary/octet-stream"), b"", Some("image/png")),
            ("https://x/a", Some("application/octet-stream"), b"RIFF0000WEBP", Some("image/webp")),
            ("https://x.png/a", None, b"<html>", None),
            ("https://x/a.PDF?b.c", None, b"", Some("application/pdf")),
            ("https://x/a.png", Some("image/png"), b"\xff\xd8\xff\xe0", Some("image/jpeg")),
            ("https://x/a", Some("image/*"), b"GIF89a", Some("image/gif")),
            ("https://x/a", Some("image/x-unheard-of"), b"?", None),
            ("https://x/a", Some("audio/wav"), b"ID3\x03", Some("audio/mpeg")),
            ("https://x/a", Some("audio/aac"), b"ID3\x03", Some("audio/aac")),
            ("https://x/a", Some("audio/wav"), b"\x1a\x45\xdf\xa3", Some("audio/webm")),
            ("https://x/a", Some("audio/webm"), b"\x1a\x45\xdf\xa3", Some("audio/webm")),
            ("https://x/a", Some("audio/mpeg"), b"\0\0\0\x18ftypisom", Some("audio/mp4")),
            ("https://x/a", Some("image/png"), b"\0\0\0\x18ftypisom", Some("image/png")),
            ("https://x/a", Some("image/png"), b"<svg ", Some("image/svg+xml")),
        ] {
            assert_eq!(of_fetched(url, told, bytes).as_deref(), expected, "{url} {told:?}");
        }
    }

    #[test]
    fn other_names_are_led_back_to_those_that_gemini_documents() {
        for (told, expected) in [
            ("application/ogg", "audio/ogg"),
            ("application/csv", "text/csv"),
            ("text/x-csv", "text/csv"),
            ("application/x-ndjson", "text/plain"),
            ("application/ld+json", "text/plain"),
            ("application/atom+xml", "text/xml"),
            ("application/x-javascript", "text/plain"),
            ("text/x-rust; charset=utf-8", "text/plain"),
            ("text/x-python", "text/x-python"),
            ("audio/x-aiff", "audio/aiff"),
            ("audio/vnd.wave", "audio/wav"),
            ("video/x-msvideo", "video/avi"),
            ("video/x-ms-wmv", "video/wmv"),
            ("video/flv", "video/x-flv"),
            ("image/x-png", "image/png"),
        ] {
            assert_eq!(canonical(told), expected, "{told}");
            assert!(is_known(&canonical(told)), "{told}");
        }
        for told in
            ["png", "", "image/*", "undefined", "application/zip", "text/", "text/a b", "api key expired"]
        {
            assert!(!is_known(&canonical(told)), "{told}");
        }
        for (format, expected) in [
            ("wav", "audio/wav"),
            ("x-wav", "audio/wav"),
            ("wave", "audio/wav"),
            ("audio/wav", "audio/wav"),
            ("AIFF", "audio/aiff"),
            ("x-m4a", "audio/mp4"),
            ("mpga", "audio/mpeg"),
            ("mpeg", "audio/mpeg"),
            (".mp3", "audio/mpeg"),
            ("opus", "audio/ogg"),
            ("pcm16", "audio/pcm"),
            ("audio/webm;codecs=opus", "audio/webm"),
            ("video/webm", "video/webm"),
        ] {
            assert_eq!(of_audio_format(format), expected, "{format}");
        }
    }
}
