//! Kinds of media: names that Gemini knows, from whatever tells.

use std::borrow::Cow;

/// Extensions of files, and what Gemini takes them for. Text of any kind is text to it.
const EXTENSIONS: &[(&str, &str)] = &[
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("webp", "image/webp"),
    ("gif", "image/gif"),
    ("heic", "image/heic"),
    ("heif", "image/heif"),
    ("pdf", "application/pdf"),
    ("wav", "audio/wav"),
    ("mp3", "audio/mpeg"),
    ("flac", "audio/flac"),
    ("ogg", "audio/ogg"),
    ("opus", "audio/ogg"),
    ("aac", "audio/aac"),
    ("m4a", "audio/mp4"),
    ("mp4", "video/mp4"),
    ("mpeg", "video/mpeg"),
    ("mpg", "video/mpeg"),
    ("mov", "video/quicktime"),
    ("avi", "video/avi"),
    ("webm", "video/webm"),
    ("wmv", "video/wmv"),
    ("3gp", "video/3gpp"),
    ("csv", "text/csv"),
    ("html", "text/html"),
    ("htm", "text/html"),
    ("md", "text/markdown"),
    ("xml", "text/xml"),
    ("txt", "text/plain"),
    ("json", "text/plain"),
    ("yaml", "text/plain"),
    ("yml", "text/plain"),
    ("toml", "text/plain"),
    ("log", "text/plain"),
    ("py", "text/plain"),
    ("js", "text/plain"),
    ("ts", "text/plain"),
    ("rs", "text/plain"),
    ("go", "text/plain"),
    ("java", "text/plain"),
    ("c", "text/plain"),
    ("h", "text/plain"),
    ("cpp", "text/plain"),
    ("cs", "text/plain"),
    ("rb", "text/plain"),
    ("php", "text/plain"),
    ("sh", "text/plain"),
    ("sql", "text/plain"),
    ("css", "text/plain"),
];

/// First bytes that tell what follows.
const MAGIC: &[(&[u8], &str)] = &[
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"%PDF", "application/pdf"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"ID3", "audio/mpeg"),
    (b"\x1a\x45\xdf\xa3", "video/webm"),
];

/// The name in lower case, without parameters, under the name that Gemini knows.
pub(super) fn canonical(mime: &str) -> Cow<'_, str> {
    let bare = mime.split(';').next().unwrap_or_default().trim();
    let lower = if bare.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(bare.to_ascii_lowercase())
    } else {
        Cow::Borrowed(bare)
    };
    let known = match &*lower {
        "image/jpg" | "image/pjpeg" => "image/jpeg",
        "audio/mp3" | "audio/mpeg3" => "audio/mpeg",
        "audio/x-wav" | "audio/wave" => "audio/wav",
        "audio/x-m4a" | "audio/m4a" => "audio/mp4",
        "application/x-pdf" => "application/pdf",
        _ => return lower,
    };
    Cow::Borrowed(known)
}

/// `input_audio.format`.
pub(super) fn of_audio_format(format: &str) -> Option<&'static str> {
    Some(match format.to_ascii_lowercase().as_str() {
        "wav" => "audio/wav",
        "mp3" | "mpeg" => "audio/mpeg",
        "flac" => "audio/flac",
        "ogg" | "opus" => "audio/ogg",
        "aac" => "audio/aac",
        "m4a" | "mp4" => "audio/mp4",
        "webm" => "audio/webm",
        "pcm16" | "pcm" => "audio/pcm",
        _ => return None,
    })
}

/// The kind of a document: as told, or by its name; text in any language as text.
pub(super) fn of_document<'a>(told: Cow<'a, str>, filename: Option<&str>) -> Cow<'a, str> {
    match &*told {
        "" | "application/octet-stream" => {
            filename.and_then(of_name).map_or(Cow::Borrowed("application/octet-stream"), Cow::Borrowed)
        }
        "application/json"
        | "application/yaml"
        | "application/x-yaml"
        | "application/toml"
        | "application/javascript"
        | "application/x-javascript"
        | "application/typescript"
        | "application/sql"
        | "application/x-sh" => Cow::Borrowed("text/plain"),
        "application/xml" => Cow::Borrowed("text/xml"),
        _ => told,
    }
}

fn of_name(name: &str) -> Option<&'static str> {
    let name = name.split(['?', '#']).next().unwrap_or_default();
    let (_, extension) = name.rsplit_once('.')?;
    let extension = extension.to_ascii_lowercase();
    EXTENSIONS.iter().find(|(known, _)| *known == extension).map(|(_, mime)| *mime)
}

/// What a server says that it sends; `None` if that is as good as nothing.
pub(super) fn told(content_type: Option<&str>) -> Option<Cow<'_, str>> {
    let told = content_type.map(canonical)?;
    (!matches!(&*told, "" | "application/octet-stream" | "binary/octet-stream")).then_some(told)
}

/// Whether it is something to look at or to listen to.
pub(super) fn is_media(mime: &str) -> bool {
    ["image/", "audio/", "video/"].iter().any(|kind| mime.starts_with(kind)) || mime == "application/pdf"
}

/// The kind of something fetched: as its server says; if it says nothing, by its first bytes, else by its name. `None` if it
/// is nothing to look at or listen to.
pub(super) fn of_fetched<'a>(url: &str, content_type: Option<&'a str>, bytes: &[u8]) -> Option<Cow<'a, str>> {
    if let Some(told) = told(content_type) {
        return Some(told).filter(|mime| is_media(mime));
    }
    let by_name = || {
        let path = url.split(['?', '#']).next().unwrap_or_default();
        of_name(path.rsplit('/').next().unwrap_or_default()).filter(|mime| is_media(mime))
    };
    of_bytes(bytes).or_else(by_name).map(Cow::Borrowed)
}

fn of_bytes(bytes: &[u8]) -> Option<&'static str> {
    let riff = |kind: &[u8]| bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(kind);
    if riff(b"WEBP") {
        return Some("image/webp");
    }
    if riff(b"WAVE") {
        return Some("audio/wav");
    }
    if bytes.get(4..8) == Some(b"ftyp") {
        return Some("video/mp4");
    }
    MAGIC.iter().find(|(magic, _)| bytes.starts_with(magic)).map(|(_, mime)| *mime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_bytes_tell() {
        assert_eq!(canonical("Image/JPG; charset=x"), "image/jpeg");
        assert_eq!(of_document("".into(), Some("A.PDF")), "application/pdf");
        assert_eq!(of_document("application/json".into(), None), "text/plain");
        assert_eq!(of_document("application/octet-stream".into(), Some("x")), "application/octet-stream");
        for (url, told, bytes, expected) in [
            ("https://x/a", Some("image/PNG"), b"".as_slice(), Some("image/png")),
            ("https://x/a.png", Some("text/html"), b"\x89PNG", None),
            ("https://x/a.png", Some("binary/octet-stream"), b"", Some("image/png")),
            ("https://x/a", Some("application/octet-stream"), b"RIFF0000WEBP", Some("image/webp")),
            ("https://x.png/a", None, b"<html>", None),
            ("https://x/a.PDF?b.c", None, b"", Some("application/pdf")),
        ] {
            assert_eq!(of_fetched(url, told, bytes).as_deref(), expected, "{url}");
        }
    }
}
