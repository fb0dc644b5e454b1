//! Images, audio, video and documents: `data:` URLs, base64 and addresses as `inlineData` and
//! `fileData`.
//!
//! Nothing is fetched here. [`RemoteMedia`] lists what must be fetched before, and [`MediaSource`]
//! holds it. An address is sent to Gemini only where Gemini fetches it: its own files, YouTube, and
//! what the pool leaves to Gemini.

pub(crate) mod data;
mod markdown;

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{mime, words};
use crate::error::ApiError;
use crate::gemini::{Base64, Blob, FileData, MediaResolution, PartData};
use data::{Inline, NoBase64};
pub(crate) use markdown::markdown_parts;

/// Something that was fetched for the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedMedia {
    /// `image/png`
    pub mime_type: String,
    /// Standard base64.
    pub data: String,
}

impl FetchedMedia {
    /// Returns `true` if what is served as this may be something that Gemini could look at.
    #[must_use]
    pub fn may_be(content_type: Option<&str>) -> bool {
        mime::may_be_media(content_type)
    }

    /// Wraps what was fetched; `None` if it is nothing that Gemini could look at.
    #[must_use]
    pub fn new(url: &str, content_type: Option<&str>, bytes: &[u8]) -> Option<Self> {
        let mime_type = mime::of_fetched(url, content_type, bytes)?;
        Some(Self { mime_type: mime_type.into_owned(), data: STANDARD.encode(bytes) })
    }
}

/// What was fetched for a request before its translation.
pub trait MediaSource: fmt::Debug {
    /// Returns what is at the address, if it was fetched.
    fn get(&self, url: &str) -> Option<&FetchedMedia>;

    /// Returns `true` if Gemini is to fetch from the address itself.
    fn is_left_to_gemini(&self, _url: &str) -> bool {
        false
    }
}

/// An address that must be fetched before the request can be translated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteMedia {
    /// Where it is in the request, for errors.
    pub param: String,
    /// `http:` or `https:`.
    pub url: String,
}

/// Returns the error for an address that was not, or could not be, fetched.
#[must_use]
pub fn invalid_url(param: &str, message: &str) -> ApiError {
    ApiError::invalid(Some(param), "invalid_image_url", message)
}

/// What the translation of media depends on.
#[derive(Clone, Copy)]
pub(crate) struct MediaContext<'c> {
    /// Whether each image may have its own resolution.
    pub(crate) resolutions: bool,
    pub(crate) fetched: Option<&'c dyn MediaSource>,
}

/// Without the white space and the byte order mark that clients leave around what they have read from a file.
pub(crate) fn trimmed(text: &str) -> &str {
    text.trim_matches(|letter: char| letter.is_whitespace() || letter == '\u{feff}')
}

/// What an address names.
pub(crate) enum Location<'u> {
    Data(Result<Inline<'u>, NoBase64>),
    /// Of the Files API, or a video on YouTube.
    Known(Cow<'u, str>),
    Remote,
    Nonsense,
}

const FILES: &str = "https://generativelanguage.googleapis.com/";

pub(crate) fn classify(url: &str) -> Location<'_> {
    if let Some(inline) = Inline::of_url(url) {
        return Location::Data(inline);
    }
    if let Some(uri) = stored_file(url) {
        return Location::Known(uri);
    }
    let scheme = ["https://", "http://"]
        .iter()
        .find(|scheme| url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
    match scheme.and_then(|scheme| url.get(scheme.len()..)) {
        None | Some("") => Location::Nonsense,
        Some(rest) if is_youtube(rest) && words::is_uri(url) => Location::Known(Cow::Borrowed(url)),
        Some(_) => Location::Remote,
    }
}

/// Returns the URI of a file of the Gemini Files API.
fn stored_file(id: &str) -> Option<Cow<'_, str>> {
    let is_id = |id: &str| {
        !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if id.strip_prefix("files/").is_some_and(is_id) {
        return Some(Cow::Owned(format!("{FILES}v1beta/{id}")));
    }
    let path = id.strip_prefix(FILES)?;
    let (_, file) = path.split_once("/files/")?;
    (is_id(file) && words::is_uri(id)).then_some(Cow::Borrowed(id))
}

fn is_youtube(rest: &str) -> bool {
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    match host.to_ascii_lowercase().as_str() {
        "youtu.be" => !path.is_empty(),
        "youtube.com" | "www.youtube.com" | "m.youtube.com" => {
            ["watch?", "shorts/", "live/", "embed/"].iter().any(|start| path.starts_with(start))
        }
        _ => false,
    }
}

/// Returns `true` if it is an address that Gemini does not know how to reach, or how to read as a file of its own.
pub(crate) fn is_remote(address: &str) -> bool {
    // A `data:` URL may be long, and need not be read for this.
    let scheme = address.get(..4).unwrap_or_default();
    scheme.eq_ignore_ascii_case("http") && matches!(classify(address), Location::Remote)
}

/// Returns what a URL names, as Gemini's part.
pub(crate) fn url_data<'r>(
    url: &'r str,
    param: &str,
    context: MediaContext<'r>,
) -> Result<PartData<'r>, ApiError> {
    match classify(url) {
        Location::Data(inline) => {
            let inline =
                inline.map_err(|NoBase64| invalid_url(param, "The data: URL holds no valid base64."))?;
            let blob = inline.blob(None).ok_or_else(|| {
                invalid_url(
                    param,
                    "Neither the type of the data: URL nor its first bytes tell what it holds.",
                )
            })?;
            Ok(PartData::InlineData(blob))
        }
        Location::Known(file_uri) => Ok(PartData::FileData(FileData { mime_type: None, file_uri })),
        Location::Remote => fetched(url, param, context),
        Location::Nonsense => {
            // Base64 without the prefix, if the bytes are those of something known.
            let bare = Inline::of_text(url).ok().and_then(|inline| inline.blob(None));
            bare.map(PartData::InlineData).ok_or_else(|| {
                invalid_url(
                    param,
                    "Invalid URL: expected a data: URL, an http(s) URL or a file of the Gemini Files API.",
                )
            })
        }
    }
}

/// Returns what was fetched from an address.
fn fetched<'r>(url: &'r str, param: &str, context: MediaContext<'r>) -> Result<PartData<'r>, ApiError> {
    if context.fetched.is_some_and(|fetched| fetched.is_left_to_gemini(url)) {
        if !words::is_uri(url) {
            return Err(invalid_url(
                param,
                "Invalid URL: expected no blanks, quotes or characters beyond ASCII.",
            ));
        }
        let mime_type = mime::of_address(url).map(Cow::Borrowed);
        return Ok(PartData::FileData(FileData { mime_type, file_uri: Cow::Borrowed(url) }));
    }
    let fetched = context.fetched.and_then(|fetched| fetched.get(url));
    let fetched = fetched.ok_or_else(|| {
        invalid_url(param, "This pool does not fetch images by URL. Send the image as a data: URL.")
    })?;
    let (mime_type, data) = (fetched.mime_type.as_str(), fetched.data.as_str());
    Ok(PartData::InlineData(Blob { mime_type: mime_type.into(), data: Base64::new(data) }))
}

/// Returns what is where base64 is expected: an address is read as one everywhere.
pub(crate) fn address_data<'r>(
    text: &'r str,
    param: &str,
    context: MediaContext<'r>,
) -> Option<Result<PartData<'r>, ApiError>> {
    let address =
        text.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("http")) && text.contains("://");
    let stored = || stored_file(text).is_some() && text.starts_with("files/");
    (address || stored()).then(|| url_data(text, param, context))
}

pub(crate) fn no_base64(param: &str) -> ApiError {
    ApiError::invalid_value(
        param,
        format!("Invalid value for '{param}': expected base64 or a data: URL of it."),
    )
}

/// `detail` of an image, for models that look at each image in its own way.
pub(crate) fn resolution(detail: &str) -> Option<MediaResolution> {
    let level = match detail {
        "low" => "MEDIA_RESOLUTION_LOW",
        "medium" => "MEDIA_RESOLUTION_MEDIUM",
        "high" => "MEDIA_RESOLUTION_HIGH",
        "original" => "MEDIA_RESOLUTION_ULTRA_HIGH",
        _ => return None,
    };
    Some(MediaResolution { level })
}
