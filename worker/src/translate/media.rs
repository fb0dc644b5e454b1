//! Pictures, sound, films and documents of a message.
//!
//! In: parts as OpenAI has them: `data:` URLs, addresses, ids. Out: Gemini's `inlineData` and `fileData`. Nothing is fetched
//! here: what is to be fetched is listed, and used if someone has fetched it. An address may never reach Gemini as if
//! Gemini could fetch it.

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use memchr::memmem;
use percent_encoding::percent_decode_str;

use super::mime;
use crate::gemini::{Base64, Blob, FileData, MediaResolution, Part, PartData};
use crate::openai::{
    ApiError, ChatRequest, ContentPart, FileContent, ImageUrl, InputAudio, MessageContent, NameOr, RawText,
};

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
        mime::told(content_type).is_none_or(|mime| mime::is_media(&mime))
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
        let mut note = |place: &dyn Fn() -> String, url: &Url<'_>| {
            if matches!(classify(url.address), Location::Remote) {
                remote.push(RemoteMedia { param: place(), url: url.address.to_owned() });
            }
        };
        if let Some(MessageContent::Many(parts)) = &message.content {
            for (place, part) in parts.iter().enumerate() {
                let Some((kind, url)) = image_url(part) else { continue };
                note(&|| format!("messages[{index}].content[{place}].{kind}.url"), &url);
            }
        }
        for (place, image) in message.images.iter().flatten().enumerate() {
            note(&|| format!("messages[{index}].images[{place}].image_url.url"), &read_url(&image.image_url));
        }
    }
    remote
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
    video_metadata: Option<&'r serde_json::value::RawValue>,
}

fn image_url<'r>(part: &'r ContentPart<'_>) -> Option<(&'static str, Url<'r>)> {
    let (kind, url) = match &*part.r#type {
        "image_url" => ("image_url", part.image_url.as_ref()?),
        "video_url" => ("video_url", part.video_url.as_ref()?),
        _ => return None,
    };
    Some((kind, read_url(url)))
}

fn read_url<'r>(url: &'r NameOr<'_, ImageUrl<'_>>) -> Url<'r> {
    match url {
        NameOr::Name(url) => Url { address: url, detail: None, video_metadata: None },
        NameOr::Object(url) => {
            Url { address: &url.url, detail: url.detail.as_deref(), video_metadata: url.video_metadata }
        }
    }
}

/// The part as Gemini's; `None` if it is of a kind that is no medium. `param` is its place in the request.
pub(super) fn media_part<'r>(
    part: &'r ContentPart<'_>,
    param: &str,
    context: MediaContext<'r>,
) -> Result<Option<Part<'r>>, ApiError> {
    let data = match &*part.r#type {
        kind @ ("image_url" | "video_url") => {
            let Some((kind, url)) = image_url(part) else {
                return Err(ApiError::missing(&format!("{param}.{kind}")));
            };
            let data = url_data(url.address, &format!("{param}.{kind}.url"), context)?;
            return Ok(Some(Part {
                media_resolution: url.detail.filter(|_| context.resolutions).and_then(resolution),
                video_metadata: url.video_metadata,
                ..data.into()
            }));
        }
        "input_audio" => {
            let audio = part
                .input_audio
                .as_ref()
                .ok_or_else(|| ApiError::missing(&format!("{param}.input_audio")))?;
            PartData::InlineData(sound(audio, param)?)
        }
        "file" => {
            let file = part.file.as_ref().ok_or_else(|| ApiError::missing(&format!("{param}.file")))?;
            return Ok(Some(Part { video_metadata: file.video_metadata, ..document(file, param)?.into() }));
        }
        _ => return Ok(None),
    };
    Ok(Some(data.into()))
}

/// A picture that an assistant made.
pub(super) fn assistant_image<'r>(
    url: &'r NameOr<'_, ImageUrl<'_>>,
    param: &str,
    context: MediaContext<'r>,
) -> Result<Part<'r>, ApiError> {
    url_data(read_url(url).address, &format!("{param}.image_url.url"), context).map(Part::from)
}

/// `data:` URL into `inlineData`.
pub(super) fn data_url(url: &str) -> Option<Blob<'_>> {
    let (head, data) = url
        .get(..5)
        .filter(|scheme| scheme.eq_ignore_ascii_case("data:"))
        .and(url.get(5..))?
        .split_once(',')?;
    let mut attributes = head.split(';');
    let mime_type = mime::canonical(attributes.next().unwrap_or_default());
    let data = if attributes.any(|attribute| attribute.trim().eq_ignore_ascii_case("base64")) {
        standard_base64(data)
    } else {
        Base64::new(STANDARD.encode(percent_decode_str(data).collect::<Vec<u8>>()))
    };
    Some(Blob { mime_type, data })
}

/// Base64 of any dialect, in the standard one.
fn standard_base64(data: &str) -> Base64<'_> {
    let as_it_is = Base64::new(data);
    if as_it_is.is_plain() {
        return as_it_is;
    }
    let data = percent_decode_str(data).decode_utf8_lossy();
    let kept = data.chars().filter(|c| !c.is_ascii_whitespace());
    let standard = kept.map(|c| match c {
        '-' => '+',
        '_' => '/',
        c => c,
    });
    Base64::new(standard.collect::<String>())
}

enum Location<'u> {
    Data(Blob<'u>),
    /// Of the Files API, or a film on YouTube.
    Known(Cow<'u, str>),
    Remote,
    Nonsense,
}

const FILES: &str = "https://generativelanguage.googleapis.com/";

fn classify(url: &str) -> Location<'_> {
    if let Some(blob) = data_url(url) {
        return Location::Data(blob);
    }
    if let Some(uri) = stored_file(url) {
        return Location::Known(uri);
    }
    let scheme = ["https://", "http://"]
        .iter()
        .find(|scheme| url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
    match scheme.and_then(|scheme| url.get(scheme.len()..)) {
        None | Some("") => Location::Nonsense,
        Some(rest) if is_youtube(rest) => Location::Known(Cow::Borrowed(url)),
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
    is_id(file).then_some(Cow::Borrowed(id))
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

fn url_data<'r>(url: &'r str, param: &str, context: MediaContext<'r>) -> Result<PartData<'r>, ApiError> {
    match classify(url) {
        Location::Data(blob) => Ok(PartData::InlineData(blob)),
        Location::Known(file_uri) => Ok(PartData::FileData(FileData { mime_type: None, file_uri })),
        Location::Remote => {
            let fetched = context.fetched.and_then(|fetched| fetched.get(url));
            let fetched = fetched.ok_or_else(|| {
                invalid_url(param, "This pool does not fetch images by URL. Send the image as a data: URL.")
            })?;
            let (mime_type, data) = (fetched.mime_type.as_str(), fetched.data.as_str());
            Ok(PartData::InlineData(Blob { mime_type: mime_type.into(), data: Base64::new(data) }))
        }
        Location::Nonsense => Err(invalid_url(
            param,
            "Invalid URL: expected a data: URL, an http(s) URL or a file of the Gemini Files API.",
        )),
    }
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
        for (_, url) in parts.iter().filter_map(image_url) {
            let level = url.detail.and_then(resolution).map(|resolution| resolution.level)?;
            if *wanted.get_or_insert(level) != level {
                return None;
            }
        }
    }
    wanted.filter(|level| matches!(*level, "MEDIA_RESOLUTION_LOW" | "MEDIA_RESOLUTION_HIGH"))
}

fn sound<'r>(audio: &'r InputAudio<'_>, param: &str) -> Result<Blob<'r>, ApiError> {
    if let Some(blob) = data_url(&audio.data) {
        return Ok(blob);
    }
    let format = audio.format.as_deref().unwrap_or("wav");
    let Some(mime_type) = mime::of_audio_format(format) else {
        let param = format!("{param}.input_audio.format");
        let message = format!(
            "Invalid value for '{param}'. Supported values are: 'wav', 'mp3', 'flac', 'ogg', 'opus', 'aac', 'm4a', 'webm' and 'pcm16'."
        );
        return Err(ApiError::invalid_value(&param, message));
    };
    Ok(Blob { mime_type: Cow::Borrowed(mime_type), data: standard_base64(&audio.data) })
}

fn document<'r>(file: &'r FileContent<'_>, param: &str) -> Result<PartData<'r>, ApiError> {
    if let Some(data) = file.file_data.as_deref() {
        let blob = data_url(data)
            .unwrap_or_else(|| Blob { mime_type: Cow::Borrowed(""), data: standard_base64(data) });
        let told = file.format.as_deref().map_or(blob.mime_type, mime::canonical);
        let mime_type = mime::of_document(told, file.filename.as_deref());
        return Ok(PartData::InlineData(Blob { mime_type, data: blob.data }));
    }
    let Some(id) = file.file_id.as_deref() else {
        return Err(ApiError::missing(&format!("{param}.file.file_data")));
    };
    if let Location::Known(file_uri) = classify(id) {
        let mime_type = file.format.as_deref().map(mime::canonical);
        return Ok(PartData::FileData(FileData { mime_type, file_uri }));
    }
    let shown: String = id.chars().take(64).collect();
    let message = format!(
        "No such file: '{shown}'. Files have to be sent in 'file_data' or stored with the Gemini Files API."
    );
    Err(ApiError::invalid(Some(&format!("{param}.file.file_id")), "file_not_found", message))
}

/// Text with pictures in Markdown (`![…](data:image/…)`), as some services deliver them, into its parts.
pub(super) fn markdown_parts(text: RawText<'_>) -> Vec<Part<'_>> {
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

/// What stands between pictures, and the pictures.
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
        let Some(blob) = data_url(url) else { break };
        pieces.extend(rest.get(..start).filter(|before| !before.is_empty()).map(Piece::Text));
        pieces.push(Piece::Picture(blob));
        rest = rest.get(end..).unwrap_or_default();
    }
    pieces.extend(Some(rest).filter(|rest| !rest.is_empty()).map(Piece::Text));
    pieces
}

/// Where the first picture begins and ends, and its URL.
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

#[cfg(test)]
mod tests;
