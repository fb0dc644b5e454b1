//! Media types by first bytes.

/// A kind that was seen.
pub(super) struct Seen {
    pub(super) mime: &'static str,
    /// Whether the bytes leave no doubt, so that they beat what is told.
    pub(super) is_clear: bool,
}

/// First bytes that tell what follows.
const CLEAR: &[(&[u8], &str)] = &[
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"%PDF", "application/pdf"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"\x1a\x45\xdf\xa3", "video/webm"),
    (b"FLV\x01", "video/x-flv"),
    (b"\x00\x00\x01\xba", "video/mpeg"),
    (b"\x00\x00\x01\xb3", "video/mpeg"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "video/wmv"),
];

/// The same, but other things may begin so too.
const LIKELY: &[(&[u8], &str)] = &[
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"\xff\xf3", "audio/mpeg"),
    (b"\xff\xf2", "audio/mpeg"),
    (b"\xff\xf1", "audio/aac"),
    (b"\xff\xf9", "audio/aac"),
    (b"<svg", "image/svg+xml"),
];

/// The kinds of RIFF and IFF files.
const CHUNKED: &[(&[u8], &[u8], &str)] = &[
    (b"RIFF", b"WEBP", "image/webp"),
    (b"RIFF", b"WAVE", "audio/wav"),
    (b"RIFF", b"AVI ", "video/avi"),
    (b"FORM", b"AIFF", "audio/aiff"),
    (b"FORM", b"AIFC", "audio/aiff"),
];

/// Brands of the MP4 family; what is not here is a video.
const BRANDS: &[(&[u8], &str)] = &[
    (b"M4A", "audio/mp4"),
    (b"M4B", "audio/mp4"),
    (b"avi", "image/avif"),
    (b"hei", "image/heic"),
    (b"hev", "image/heic"),
    (b"mif", "image/heif"),
    (b"msf", "image/heif"),
    (b"qt ", "video/quicktime"),
    (b"3g", "video/3gpp"),
];

/// Returns `true` if everything of this kind begins in a way that is clear.
pub(super) fn is_marked(mime: &str) -> bool {
    let chunked = CHUNKED.iter().map(|(_, _, mime)| mime);
    let tables = [CLEAR, BRANDS].into_iter().flatten().map(|(_, mime)| mime);
    tables.chain(chunked).any(|marked| *marked == mime)
}

pub(super) fn kind(head: &[u8]) -> Option<Seen> {
    let seen = |mime, is_clear| Seen { mime, is_clear };
    let kind = head.get(8..12);
    let chunked = CHUNKED.iter().find(|(start, name, _)| head.starts_with(start) && kind == Some(name));
    if let Some((_, _, mime)) = chunked {
        return Some(seen(mime, true));
    }
    if head.get(4..8) == Some(b"ftyp") {
        let brand = kind.unwrap_or_default();
        let mime = BRANDS.iter().find(|(start, _)| brand.starts_with(start)).map(|(_, mime)| *mime);
        return Some(seen(mime.unwrap_or("video/mp4"), true));
    }
    // Two letters alone are no sign; the reserved bytes are.
    if head.starts_with(b"BM") && head.get(6..10) == Some(&[0; 4]) {
        return Some(seen("image/bmp", true));
    }
    let of = |table: &[(&[u8], &'static str)]| {
        table.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, mime)| *mime)
    };
    of(CLEAR).map(|mime| seen(mime, true)).or_else(|| of(LIKELY).map(|mime| seen(mime, false)))
}

/// Text, where the first bytes are that of one.
pub(crate) fn of_text(head: &[u8]) -> Option<&'static str> {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // The last character may be cut.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(head.get(..error.valid_up_to())?).ok()?
        }
        Err(_) => return None,
    };
    let is_text = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t' | '\u{c}');
    (!text.is_empty() && text.chars().all(is_text)).then_some("text/plain")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_is_seen() {
        for (head, mime, is_clear) in [
            (b"RIFF\x10\0\0\0WAVEfmt ".as_slice(), "audio/wav", true),
            (b"RIFF\x10\0\0\0AVI LIST", "video/avi", true),
            (b"FORM\0\0\0\x10AIFCFVER", "audio/aiff", true),
            (b"\0\0\0\x18ftypM4A \0\0", "audio/mp4", true),
            (b"\0\0\0\x18ftypheic\0\0", "image/heic", true),
            (b"\0\0\0\x18ftypavif\0\0", "image/avif", true),
            (b"\0\0\0\x18ftypqt  \0\0", "video/quicktime", true),
            (b"\0\0\0\x18ftyp3gp4\0\0", "video/3gpp", true),
            (b"\0\0\0\x18ftypisom\0\0", "video/mp4", true),
            (b"BM\x10\0\0\0\0\0\0\0", "image/bmp", true),
            (b"\xff\xfb\x90\x44", "audio/mpeg", false),
            (b"ID3\x03", "audio/mpeg", false),
        ] {
            let seen = kind(head).unwrap();
            assert_eq!((seen.mime, seen.is_clear), (mime, is_clear));
        }
        for head in [b"".as_slice(), b"RIFF", b"BMW drives", b"hello", b"\0\0\0"] {
            assert!(kind(head).is_none(), "{head:?}");
        }
        assert_eq!(of_text("a,b\nä".as_bytes()), Some("text/plain"));
        assert_eq!(of_text(&"aä".as_bytes()[..2]), Some("text/plain"), "cut");
        assert_eq!(of_text(b"\0\0\0").or(of_text(b"\xff\xff")).or(of_text(b"")), None);
    }
}
