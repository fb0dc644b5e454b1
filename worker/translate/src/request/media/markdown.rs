//! Images in Markdown, as some services return them.

use std::borrow::Cow;

use memchr::memmem;

use super::data;
use crate::gemini::{Blob, Part, PartData};
use crate::json::RawText;

/// Text with images in Markdown (`![…](data:image/…)`), as some services deliver them, into its parts.
pub(crate) fn markdown_parts(text: RawText<'_>) -> Vec<Part<'_>> {
    if text.is_empty() {
        return Vec::new();
    }
    let json = text.raw().get().as_bytes();
    // Both characters of the mark may have been escaped, for no good reason.
    if memmem::find(json, b"](data:image").is_none() && memmem::find(json, b"\\u00").is_none() {
        return vec![Part::text(text)];
    }
    match text.decode() {
        Cow::Borrowed(text) => pieces(text).into_iter().map(Piece::part).collect(),
        Cow::Owned(text) => pieces(&text).into_iter().map(Piece::into_owned).collect(),
    }
}

/// What is between images, and the images.
enum Piece<'t> {
    Text(&'t str),
    Picture(Blob<'t>),
}

impl<'t> Piece<'t> {
    fn part(self) -> Part<'t> {
        match self {
            Self::Text(text) => Part::text(text),
            Self::Picture(blob) => PartData::InlineData(blob).into(),
        }
    }

    fn into_owned(self) -> Part<'static> {
        match self {
            Self::Text(text) => Part::text(text.to_owned()),
            Self::Picture(blob) => PartData::InlineData(blob.into_owned()).into(),
        }
    }
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((start, end, url)) = markdown_image(rest) {
        let Some(blob) = data::picture(url) else { break };
        pieces.extend(rest.get(..start).filter(|before| !before.is_empty()).map(Piece::Text));
        pieces.push(Piece::Picture(blob));
        rest = rest.get(end..).unwrap_or_default();
    }
    pieces.extend(Some(rest).filter(|rest| !rest.is_empty()).map(Piece::Text));
    pieces
}

/// Returns where the first image begins and ends, and its URL.
fn markdown_image(text: &str) -> Option<(usize, usize, &str)> {
    text.match_indices("](data:image/").find_map(|(middle, _)| {
        // What is in the brackets holds none itself; without the mark before them it is a link.
        let start = text.get(..middle)?.rfind(['[', ']'])?.checked_sub(1)?;
        text.get(start..)?.strip_prefix("![")?;
        let url_start = middle + "](".len();
        let length = text.get(url_start..)?.find(')')?;
        Some((start, url_start + length + 1, text.get(url_start..url_start + length)?))
    })
}
