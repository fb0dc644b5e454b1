//! Images, audio, video and documents of a message, as Gemini's `inlineData` and `fileData`.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::error::ApiError;
use crate::gemini::{Blob, FileData, Part, PartData};
use crate::json::NameOr;
use crate::openai::{ChatRequest, ContentPart, FileContent, ImageUrl, InputAudio, MessageContent, said};
use crate::request::media::data::{Inline, NoBase64};
use crate::request::media::{
    Location, MediaContext, RemoteMedia, address_data, classify, is_remote, no_base64, resolution, trimmed,
    url_data,
};
use crate::request::mime;
use crate::request::words;

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

/// Returns where a part's medium may be named by its address, and what is there.
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

/// A URL and what is beside it.
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

/// Returns the part as Gemini's; `None` if it is of a kind that is no medium. `param` is its place in the request.
pub(crate) fn media_part<'r>(
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

/// Returns an image that an assistant made.
pub(crate) fn assistant_image<'r>(
    url: &'r NameOr<'_, ImageUrl<'_>>,
    param: &str,
    context: MediaContext<'r>,
) -> Result<Part<'r>, ApiError> {
    url_data(read_url(url).address, &format!("{param}.image_url.url"), context).map(Part::from)
}

/// Returns the one resolution for all media that older models take: only if all images want the same.
pub(crate) fn common_resolution(request: &ChatRequest<'_>) -> Option<&'static str> {
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
