//! Response formats: JSON, speech and images, from `response_format`, `modalities`, `audio` and
//! `image_config`.
//!
//! A format that the model does not support is rejected, or requested in words and listed as ignored.

use std::borrow::Cow;

use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

use crate::error::ApiError;
use crate::gemini::{GenerationConfig, ImageConfig, PrebuiltVoice, SpeechConfig, VoiceConfig};
use crate::json::Text;
use crate::openai::{self, ChatRequest, ResponseFormat, said};
use crate::request::call::{AudioFormat, ResponseContext};
use crate::request::capabilities::Capabilities;
use crate::request::ignored_params::IgnoredParams;
use crate::request::repair::{Repair, Repairs};
use crate::request::schema::{self, Richness};
use crate::request::words;

const JSON: &str = "application/json";

/// The tools beside which a response is to have its form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Beside {
    /// Whether there are functions.
    pub(crate) functions: bool,
    /// From which richness on schemas are told in the older way.
    pub(crate) older: Option<Richness>,
}

/// Applies `response_format`. Returns what has to be said to the model in words instead.
pub(crate) fn response_format(
    request: &ChatRequest<'_>,
    capabilities: &Capabilities,
    repairs: Repairs,
    tools: Beside,
    config: &mut GenerationConfig<'_>,
    context: &mut ResponseContext,
    ignored: &mut IgnoredParams,
) -> Result<Option<String>, ApiError> {
    let Some(format) = &request.response_format else { return Ok(None) };
    let raw = match &*format.r#type {
        "text" => return Ok(None),
        "json_object" | "json_schema" => raw_schema(format),
        _ => {
            return Err(ApiError::invalid_value(
                "response_format.type",
                "Invalid value for 'response_format.type'. Supported values are: 'text', 'json_object' and 'json_schema'.",
            ));
        }
    };
    if !capabilities.json {
        let message = format!("The model '{}' does not answer in JSON.", request.model());
        return Err(ApiError::unsupported_value("response_format.type", message));
    }
    context.json = true;
    let mut schema = raw.map(|raw| read_schema(raw, format, ignored)).transpose()?;
    if let Some(schema) = schema.as_mut().filter(|_| capabilities.property_order) {
        schema::tell_order(schema);
    }
    if tools.functions && !capabilities.json_with_tools {
        ignored.add("response_format");
        return Ok(Some(match schema {
            Some(schema) => in_words(&schema),
            None => "Respond only with JSON.".to_owned(),
        }));
    }
    config.response_mime_type = Some(JSON);
    let Some(mut schema) = schema else { return Ok(None) };
    if repairs.contains(Repair::SchemaInWords) {
        return Ok(Some(in_words(&schema)));
    }
    let mut lossy = schema::keep_within_budget([&mut schema]);
    if repairs.contains(Repair::LooseCalling) {
        schema::loosen(&mut schema);
    }
    if repairs.contains(Repair::NoBounds) {
        lossy |= schema::unbind(&mut schema);
    }
    if tools.older.is_some_and(|from| Richness::of(&schema) >= from) {
        let older = schema::legacy(&schema);
        lossy |= older.lossy;
        config.response_schema = to_raw_value(&older.schema).ok();
        context.json_shape = older.shape;
    } else {
        config.response_json_schema = to_raw_value(&schema).ok();
    }
    ignored.add_if(lossy, "response_format.json_schema");
    Ok(None)
}

/// Returns the schema, wherever it is.
fn raw_schema<'r>(format: &'r ResponseFormat<'_>) -> Option<&'r RawValue> {
    if &*format.r#type == "json_object" {
        return format.response_schema.or(format.schema);
    }
    let standard = format.json_schema.as_ref().and_then(|schema| schema.schema);
    standard.or(format.schema).or(format.response_schema)
}

/// Returns how rich the schema of the response is, where that matters.
pub(crate) fn richness(request: &ChatRequest<'_>, repairs: Repairs) -> Richness {
    let raw =
        request.response_format.as_ref().filter(|_| repairs.older_channel().is_some()).and_then(raw_schema);
    let schema = raw.and_then(|raw| schema::read(raw).ok());
    schema.map(|schema| Richness::of(&schema::normalise(schema).schema)).unwrap_or_default()
}

fn in_words(schema: &Value) -> String {
    format!("Respond only with JSON matching this schema: {schema}")
}

fn read_schema(
    raw: &RawValue,
    format: &ResponseFormat<'_>,
    ignored: &mut IgnoredParams,
) -> Result<Value, ApiError> {
    let param = "response_format.json_schema.schema";
    let invalid =
        |what: &str| ApiError::invalid_value(param, format!("Invalid schema for '{param}': {what}."));
    let parsed = schema::read(raw).map_err(|what| invalid(&what))?;
    if !parsed.is_object() && !parsed.is_boolean() {
        return Err(invalid("not an object"));
    }
    let normalised = schema::normalise(parsed);
    ignored.add_if(normalised.lossy, "response_format.json_schema");
    Ok(match normalised.schema {
        Value::Object(schema) => Value::Object(named(schema, format)),
        other => other,
    })
}

/// Returns the schema with the name and the description that are beside it, if it has none of its own.
fn named(schema: Map<String, Value>, format: &ResponseFormat<'_>) -> Map<String, Value> {
    let mut named = Map::new();
    if let Some(beside) = &format.json_schema {
        for (key, text) in [("title", &beside.name), ("description", &beside.description)] {
            if let Some(text) = text.as_deref().filter(|text| !text.is_empty() && !schema.contains_key(key)) {
                named.insert(key.into(), text.into());
            }
        }
    }
    named.extend(schema);
    named
}

/// OpenAI's voices, and which of Gemini's comes near.
const VOICES: &[(&str, &str)] = &[
    ("alloy", "Kore"),
    ("ash", "Iapetus"),
    ("ballad", "Algieba"),
    ("cedar", "Achird"),
    ("coral", "Sulafat"),
    ("echo", "Charon"),
    ("fable", "Umbriel"),
    ("marin", "Despina"),
    ("nova", "Aoede"),
    ("onyx", "Orus"),
    ("sage", "Vindemiatrix"),
    ("shimmer", "Achernar"),
    ("verse", "Puck"),
];

/// Applies `modalities`, `audio` and `image_config`.
pub(crate) fn modalities<'r>(
    request: &'r ChatRequest<'_>,
    capabilities: &Capabilities,
    config: &mut GenerationConfig<'r>,
    context: &mut ResponseContext,
) -> Result<(), ApiError> {
    let wants =
        |kind: &str| request.modalities.iter().flatten().any(|modality| modality.eq_ignore_ascii_case(kind));
    let cannot = |what: &str| {
        let message = format!("The model '{}' does not answer with {what}.", request.model());
        Err(ApiError::unsupported_value("modalities", message))
    };
    if wants("audio") && !capabilities.speech {
        return cannot("audio");
    }
    if wants("image") && !capabilities.images {
        return cannot("images");
    }
    if capabilities.speech {
        config.response_modalities = vec!["AUDIO"];
        speech(request, config, context)?;
    } else if capabilities.images && (wants("image") || request.modalities.is_none()) {
        config.response_modalities = vec!["TEXT", "IMAGE"];
    }
    if let Some(own) = request.google().find_map(|google| google.response_modalities.as_ref()) {
        let param = "extra_body.google.response_modalities";
        config.response_modalities =
            own.iter().map(|own| words::modality(param, own)).collect::<Result<_, _>>()?;
    }
    if let Some(raw) = request.google().find_map(|google| google.speech_config) {
        let raw = words::settings("extra_body.google.speech_config", raw)?;
        config.speech_config = Some(SpeechConfig::Raw(raw));
    }
    let image = request
        .image_config
        .as_ref()
        .or_else(|| request.google().find_map(|google| google.image_config.as_ref()));
    config.image_config = image.map(image_config).transpose()?.flatten();
    Ok(())
}

fn image_config<'r>(image: &'r openai::ImageConfig<'_>) -> Result<Option<ImageConfig<'r>>, ApiError> {
    let said = |text: &'r Option<Text<'_>>| said(text.as_ref());
    let aspect_ratio = said(&image.aspect_ratio)
        .map(|text| words::aspect_ratio("image_config.aspect_ratio", text))
        .transpose()?
        .flatten();
    let image_size = said(&image.image_size)
        .map(|text| words::image_size("image_config.image_size", text))
        .transpose()?
        .flatten();
    let says_anything = aspect_ratio.is_some() || image_size.is_some();
    Ok(says_anything.then_some(ImageConfig { aspect_ratio, image_size }))
}

fn speech<'r>(
    request: &'r ChatRequest<'_>,
    config: &mut GenerationConfig<'r>,
    context: &mut ResponseContext,
) -> Result<(), ApiError> {
    let Some(audio) = &request.audio else { return Ok(()) };
    context.audio_format = match audio.format.as_deref() {
        Some("pcm16" | "pcm") => AudioFormat::Pcm16,
        // The length is at the beginning of a WAV file and is not known while it is being spoken.
        None if request.stream() => AudioFormat::Pcm16,
        None | Some("wav") if !request.stream() => AudioFormat::Wav,
        _ => {
            let formats = if request.stream() { "'pcm16'" } else { "'wav' and 'pcm16'" };
            let message = format!("Unsupported value for 'audio.format'. Supported values are: {formats}.");
            return Err(ApiError::unsupported_value("audio.format", message));
        }
    };
    if let Some(voice) = said(audio.voice.as_ref()) {
        let voice = words::voice("audio.voice", voice.trim())?;
        let native =
            VOICES.iter().find(|(name, _)| voice.eq_ignore_ascii_case(name)).map(|(_, native)| *native);
        let voice_name = native.map_or_else(|| capitalised(voice), Cow::Borrowed);
        let voice_config = VoiceConfig { prebuilt_voice_config: PrebuiltVoice { voice_name } };
        config.speech_config = Some(SpeechConfig::Voice { voice_config });
    }
    Ok(())
}

/// Gemini's own voices are written with a capital.
fn capitalised(voice: &str) -> Cow<'_, str> {
    let mut letters = voice.chars();
    match letters.next() {
        Some(first) if first.is_ascii_lowercase() => {
            Cow::Owned(first.to_ascii_uppercase().to_string() + &letters.as_str().to_ascii_lowercase())
        }
        _ => Cow::Borrowed(voice),
    }
}
