//! Pictures, sound, films and documents of a message.
//!
//! In: parts as OpenAI has them: `data:` URLs, addresses, ids. Out: Gemini's `inlineData` and `fileData`. Nothing is fetched
//! here: what is to be fetched is listed, and used if someone has fetched it. An address reaches Gemini only where Gemini
//! fetches it: its own files, YouTube, and what the pool leaves to Gemini.

mod data;
mod markdown;

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;

use super::mime;
use super::words;
use crate::gemini::{Base64, Blob, FileData, MediaResolution, Part, PartData};
use crate::json::NameOr;
use crate::openai::{
    ApiError, ChatRequest, ContentPart, FileContent, ImageUrl, InputAudio, MessageContent, said,
};
use data::{Inline, NoBase64};
pub(super) use markdown::markdown_parts;

/// Something that was fetched for the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedMedia {
    /// `image/png`
    pub mime_type: String,
    /// Standard base64.
    pub data: String,
}

impl FetchedMedia {
    /// Whether what is served as this may be something that Gemini could look at.
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
    /// What stands at the address, if it was fetched.
    fn get(&self, url: &str) -> Option<&FetchedMedia>;

    /// Whether Gemini is to fetch from the address itself.
    fn is_left_to_gemini(&self, _url: &str) -> bool {
        false
    }
}

/// An address that must be fetched before the request can be translated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteMedia {
    /// Where it stands in the request, for errors.
    pub param: String,
    /// `http:` or `https:`.
    pub url: String,
}

/// Lists everything that must be fetched: addresses that Gemini does not know how to reach.
#[must_use]
pub fn remote_media(request: &ChatRequest<'_>) -> Vec<RemoteMedia> {
    let mut remote = Vec::new();
    for (index, message) in request.messages().iter().enumerate() {
        let mut note = |place: &dyn Fn() -> String, address: &str| {
            if is_remote(address) {
                remote.push(RemoteMedia { param: place(), url: address.to_owned() });
            }
        };
        if let Some(MessageContent::Many(parts)) = &message.content {
            for (place, part) in parts.iter().enumerate() {
                let Some((field, address)) = address(part) else { continue };
                note(&|| format!("messages[{index}].content[{place}].{field}"), address);
            }
        }
        for (place, image) in message.images.iter().flatten().enumerate() {
            let address = read_url(&image.image_url).address;
            note(&|| format!("messages[{index}].images[{place}].image_url.url"), address);
        }
    }
    remote
}

/// Where a part's medium may be named by its address, and what stands there.
fn address<'r>(part: &'r ContentPart<'_>) -> Option<(String, &'r str)> {
    if let Some((kind, url)) = url_of(part) {
        return Some((format!("{kind}.url"), url.address));
    }
    match &*part.r#type {
        "input_audio" => Some(("input_audio.data".to_owned(), trimmed(&part.input_audio.as_ref()?.data))),
        "file" => Some(("file.file_data".to_owned(), trimmed(said(part.file.as_ref()?.file_data.as_ref())?))),
        _ => None,
    }
}

/// The error for an address that was not, or could not be, fetched.
#[must_use]
pub fn invalid_url(param: &str, message: &str) -> ApiError {
    ApiError::invalid(Some(param), "invalid_image_url", message)
}

/// What the translation of media depends on.
#[derive(Clone, Copy)]
pub(super) struct MediaContext<'c> {
    /// Whether each picture may have its own resolution.
    pub(super) resolutions: bool,
    pub(super) fetched: Option<&'c dyn MediaSource>,
}

/// A URL and what stands beside it.
struct Url<'r> {
    address: &'r str,
    detail: Option<&'r str>,
    video_metadata: Option<&'r RawValue>,
}

fn url_of<'r>(part: &'r ContentPart<'_>) -> Option<(&'static str, Url<'r>)> {
    let (kind, url) = match &*part.r#type {
        "image_url" => ("image_url", part.image_url.as_ref()?),
        "video_url" => ("video_url", part.video_url.as_ref()?),
        "audio_url" => ("audio_url", part.audio_url.as_ref()?),
        _ => return None,
    };
    Some((kind, read_url(url)))
}

fn read_url<'r>(url: &'r NameOr<'_, ImageUrl<'_>>) -> Url<'r> {
    match url {
        NameOr::Name(url) => Url { address: trimmed(url), detail: None, video_metadata: None },
        NameOr::Object(url) => Url {
            address: trimmed(&url.url),
            detail: url.detail.as_deref(),
            video_metadata: url.video_metadata,
        },
    }
}

/// Without the white space and the byte order mark that clients leave around what they have read from a file.
fn trimmed(text: &str) -> &str {
    text.trim_matches(|letter: char| letter.is_whitespace() || letter == '\u{feff}')
}

/// The part as Gemini's; `None` if it is of a kind that is no medium. `param` is its place in the request.
pub(super) fn media_part<'r>(
    part: &'r ContentPart<'_>,
    param: &str,
    context: MediaContext<'r>,
) -> Result<Option<Part<'r>>, ApiError> {
    let data = match &*part.r#type {
        kind @ ("image_url" | "video_url" | "audio_url") => {
            let Some((kind, url)) = url_of(part) else {
                return Err(ApiError::missing(&format!("{param}.{kind}")));
            };
            let data = url_data(url.address, &format!("{param}.{kind}.url"), context)?;
            return Ok(Some(Part {
                media_resolution: url.detail.filter(|_| context.resolutions).and_then(resolution),
                video_metadata: video_metadata(url.video_metadata, param)?,
                ..data.into()
            }));
        }
        "input_audio" => {
            let audio = part
                .input_audio
                .as_ref()
                .ok_or_else(|| ApiError::missing(&format!("{param}.input_audio")))?;
            sound(audio, param, context)?
        }
        "file" => {
            let file = part.file.as_ref().ok_or_else(|| ApiError::missing(&format!("{param}.file")))?;
            return Ok(Some(Part {
                video_metadata: video_metadata(file.video_metadata, param)?,
                ..document(file, param, context)?.into()
            }));
        }
        _ => return Ok(None),
    };
    Ok(Some(data.into()))
}

fn video_metadata<'r>(raw: Option<&'r RawValue>, param: &str) -> Result<Option<&'r RawValue>, ApiError> {
    raw.map(|raw| words::settings(&format!("{param}.video_metadata"), raw)).transpose()
}

/// A picture that an assistant made.
pub(super) fn assistant_image<'r>(
    url: &'r NameOr<'_, ImageUrl<'_>>,
    param: &str,
    context: MediaContext<'r>,
) -> Result<Part<'r>, ApiError> {
    url_data(read_url(url).address, &format!("{param}.image_url.url"), context).map(Part::from)
}

enum Location<'u> {
    Data(Result<Inline<'u>, NoBase64>),
    /// Of the Files API, or a film on YouTube.
    Known(Cow<'u, str>),
    Remote,
    Nonsense,
}

const FILES: &str = "https://generativelanguage.googleapis.com/";

fn classify(url: &str) -> Location<'_> {
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

/// Whether it is an address that Gemini does not know how to reach, or how to read as a file of its own.
fn is_remote(address: &str) -> bool {
    // A `data:` URL may be long, and need not be read for this.
    let scheme = address.get(..4).unwrap_or_default();
    scheme.eq_ignore_ascii_case("http") && matches!(classify(address), Location::Remote)
}

fn url_data<'r>(url: &'r str, param: &str, context: MediaContext<'r>) -> Result<PartData<'r>, ApiError> {
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

/// What was fetched from an address.
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

/// What stands where base64 is expected: an address is read as one everywhere.
fn address_data<'r>(
    text: &'r str,
    param: &str,
    context: MediaContext<'r>,
) -> Option<Result<PartData<'r>, ApiError>> {
    let address =
        text.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("http")) && text.contains("://");
    let stored = || stored_file(text).is_some() && text.starts_with("files/");
    (address || stored()).then(|| url_data(text, param, context))
}

fn no_base64(param: &str) -> ApiError {
    ApiError::invalid_value(
        param,
        format!("Invalid value for '{param}': expected base64 or a data: URL of it."),
    )
}

/// `detail` of a picture, for models that look at each picture in its own way.
fn resolution(detail: &str) -> Option<MediaResolution> {
    let level = match detail {
        "low" => "MEDIA_RESOLUTION_LOW",
        "medium" => "MEDIA_RESOLUTION_MEDIUM",
        "high" => "MEDIA_RESOLUTION_HIGH",
        "original" => "MEDIA_RESOLUTION_ULTRA_HIGH",
        _ => return None,
    };
    Some(MediaResolution { level })
}

/// The one resolution for all media that older models take: only if all pictures want the same.
pub(super) fn common_resolution(request: &ChatRequest<'_>) -> Option<&'static str> {
    let mut wanted = None;
    for message in request.messages() {
        let Some(MessageContent::Many(parts)) = &message.content else { continue };
        for (_, url) in parts.iter().filter_map(url_of) {
            let level = url.detail.and_then(resolution).map(|resolution| resolution.level)?;
            if *wanted.get_or_insert(level) != level {
                return None;
            }
        }
    }
    wanted.filter(|level| matches!(*level, "MEDIA_RESOLUTION_LOW" | "MEDIA_RESOLUTION_HIGH"))
}

fn sound<'r>(
    audio: &'r InputAudio<'_>,
    param: &str,
    context: MediaContext<'r>,
) -> Result<PartData<'r>, ApiError> {
    let place = format!("{param}.input_audio.data");
    let text = trimmed(&audio.data);
    if let Some(data) = address_data(text, &place, context) {
        return data;
    }
    let inline = Inline::of_text(text).map_err(|NoBase64| no_base64(&place))?;
    let format = audio.format.as_deref().filter(|format| !format.trim().is_empty());
    let beside =
        Some(inline.told()).filter(|told| !mime::is_known(told)).and(format).map(mime::of_audio_format);
    let is_told = mime::is_known(inline.told()) || format.is_some();
    // What is not told and not seen is what most clients record.
    let usual = (!is_told).then_some("a.wav");
    let inline = inline.with_kind(beside);
    let only_seen = !mime::is_known(inline.told());
    let blob = inline.blob(usual).ok_or_else(|| {
        let param = format!("{param}.input_audio.format");
        let message = format!(
            "Invalid value for '{param}'. Supported values are: 'wav', 'mp3', 'aiff', 'flac', 'ogg', 'opus', 'aac', \
             'm4a', 'webm' and 'pcm16'."
        );
        ApiError::invalid_value(&param, message)
    })?;
    let as_sound = mime::as_sound(&blob.mime_type).filter(|_| only_seen);
    let mime_type = as_sound.map_or(blob.mime_type, Cow::Borrowed);
    Ok(PartData::InlineData(Blob { mime_type, data: blob.data }))
}

fn document<'r>(
    file: &'r FileContent<'_>,
    param: &str,
    context: MediaContext<'r>,
) -> Result<PartData<'r>, ApiError> {
    if let Some(data) = said(file.file_data.as_ref()).map(trimmed) {
        let place = format!("{param}.file.file_data");
        if let Some(data) = address_data(data, &place, context) {
            return data;
        }
        let inline = Inline::of_text(data).map_err(|NoBase64| no_base64(&place))?;
        let inline = inline.with_kind(file.format.as_deref().map(mime::canonical));
        let blob = inline.document(said(file.filename.as_ref()).map(str::trim)).ok_or_else(|| {
            let message = format!(
                "Invalid value for '{place}': neither its type, nor its first bytes, nor 'filename' tell what it is."
            );
            ApiError::invalid_value(&place, message)
        })?;
        return Ok(PartData::InlineData(blob));
    }
    let Some(id) = said(file.file_id.as_ref()).map(trimmed) else {
        if file.file_data.is_some() {
            return Err(no_base64(&format!("{param}.file.file_data")));
        }
        return Err(ApiError::missing(&format!("{param}.file.file_data")));
    };
    if let Location::Known(file_uri) = classify(id) {
        let told = file.format.as_deref().map(mime::canonical);
        let mime_type = told.filter(|told| mime::is_known(told));
        return Ok(PartData::FileData(FileData { mime_type, file_uri }));
    }
    let shown: String = id.chars().take(64).collect();
    let message = format!(
        "No such file: '{shown}'. Files have to be sent in 'file_data' or stored with the Gemini Files API."
    );
    Err(ApiError::invalid(Some(&format!("{param}.file.file_id")), "file_not_found", message))
}

#[cfg(test)]
mod tests;
