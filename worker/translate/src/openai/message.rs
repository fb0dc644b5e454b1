//! The messages of a chat request and their parts.

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::lenient::{text_or_nothing, text_or_number};
use super::{CalledFunction, ToolCall};
use crate::json::{Integer, NameOr, OneOrMany, RawText, Text, read_inside};

/// What a message says.
#[derive(Debug)]
pub enum MessageContent<'a> {
    /// One string.
    One(RawText<'a>),
    /// Typed parts.
    Many(Vec<ContentPart<'a>>),
}

impl<'de: 'a, 'a> Deserialize<'de> for MessageContent<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        if let Some(text) = RawText::new(raw) {
            return Ok(Self::One(text));
        }
        if raw.get().starts_with('[') {
            return read_inside(raw).map(Self::Many);
        }
        // It is neither, which this says.
        read_inside::<OneOrMany<'_, IgnoredAny>, _>(raw).map(|_| Self::Many(Vec::new()))
    }
}

/// One message of the conversation. Which members mean something depends on `role`.
#[derive(Debug, Deserialize)]
pub struct Message<'a> {
    /// `system`, `developer`, `user`, `assistant`, `tool` or `function`.
    #[serde(borrow)]
    pub role: Text<'a>,
    /// May be `null` for an assistant that called tools.
    #[serde(borrow, default)]
    pub content: Option<MessageContent<'a>>,
    /// The speaker, or the function for role `function`.
    #[serde(borrow, default)]
    pub name: Option<Text<'a>>,
    /// What an assistant said instead of content.
    #[serde(borrow, default)]
    pub refusal: Option<RawText<'a>>,
    /// What an assistant called.
    #[serde(borrow, default)]
    pub tool_calls: Option<Vec<ToolCall<'a>>>,
    /// The forerunner of `tool_calls`.
    #[serde(borrow, default)]
    pub function_call: Option<CalledFunction<'a>>,
    /// Which call a tool message answers.
    #[serde(borrow, default, deserialize_with = "text_or_number")]
    pub tool_call_id: Option<Text<'a>>,
    /// Images that an assistant made.
    #[serde(borrow, default)]
    pub images: Option<Vec<MessageImage<'a>>>,
    /// What a vendor added; Google keeps thought signatures there.
    #[serde(borrow, default)]
    pub extra_content: Option<&'a RawValue>,
}

/// One part of a message. `type` says which of the members counts.
#[derive(Debug, Deserialize)]
pub struct ContentPart<'a> {
    /// `text`, `image_url`, `input_audio`, `file`, `video_url`, `audio_url`, `refusal`.
    #[serde(borrow)]
    pub r#type: Text<'a>,
    /// For `text`.
    #[serde(borrow, default)]
    pub text: Option<RawText<'a>>,
    /// For `refusal`.
    #[serde(borrow, default)]
    pub refusal: Option<RawText<'a>>,
    /// For `image_url`.
    #[serde(borrow, default)]
    pub image_url: Option<NameOr<'a, ImageUrl<'a>>>,
    /// For `video_url`.
    #[serde(borrow, default)]
    pub video_url: Option<NameOr<'a, ImageUrl<'a>>>,
    /// For `audio_url`.
    #[serde(borrow, default)]
    pub audio_url: Option<NameOr<'a, ImageUrl<'a>>>,
    /// For `input_audio`.
    #[serde(borrow, default)]
    pub input_audio: Option<InputAudio<'a>>,
    /// For `file`.
    #[serde(borrow, default)]
    pub file: Option<FileContent<'a>>,
    /// For `tool_use`, Anthropic's way to keep a call.
    #[serde(borrow, default, deserialize_with = "text_or_nothing")]
    pub id: Option<Text<'a>>,
    /// For `tool_use`.
    #[serde(borrow, default, deserialize_with = "text_or_nothing")]
    pub name: Option<Text<'a>>,
    /// For `tool_use`.
    #[serde(borrow, default)]
    pub input: Option<&'a RawValue>,
    /// Other vendors' name of the call's id, beside which `id` is that of the part.
    #[serde(
        borrow,
        default,
        alias = "toolCallId",
        alias = "tool_call_id",
        deserialize_with = "text_or_nothing"
    )]
    pub call_id: Option<Text<'a>>,
    /// Other vendors' name of the function.
    #[serde(borrow, default, rename = "toolName", alias = "tool_name", deserialize_with = "text_or_nothing")]
    pub tool_name: Option<Text<'a>>,
    /// Other vendors' name of `input`.
    #[serde(borrow, default, alias = "arguments")]
    pub args: Option<&'a RawValue>,
}

/// An image or video by URL, often a `data:` one.
#[derive(Debug, Deserialize)]
pub struct ImageUrl<'a> {
    /// Where it is, or what it is.
    #[serde(borrow)]
    pub url: Text<'a>,
    /// `low`, `high`, `original`, `auto`.
    #[serde(borrow, default)]
    pub detail: Option<Text<'a>>,
    /// Which piece of a video, and how many frames a second.
    #[serde(borrow, default)]
    pub video_metadata: Option<&'a RawValue>,
}

/// Audio, in base64.
#[derive(Debug, Deserialize)]
pub struct InputAudio<'a> {
    /// Base64, or a whole `data:` URL.
    #[serde(borrow)]
    pub data: Text<'a>,
    /// `wav`, `mp3` and so on.
    #[serde(borrow, default)]
    pub format: Option<Text<'a>>,
}

/// A document.
#[derive(Debug, Deserialize)]
pub struct FileContent<'a> {
    /// Base64, or a whole `data:` URL.
    #[serde(borrow, default)]
    pub file_data: Option<Text<'a>>,
    /// Its name, from which its type may be told.
    #[serde(borrow, default)]
    pub filename: Option<Text<'a>>,
    /// A file stored before.
    #[serde(borrow, default)]
    pub file_id: Option<Text<'a>>,
    /// A vendor's place for the type.
    #[serde(borrow, default)]
    pub format: Option<Text<'a>>,
    /// A vendor's place for the piece of a video.
    #[serde(borrow, default)]
    pub video_metadata: Option<&'a RawValue>,
}

/// An image in an assistant's message.
#[derive(Debug, Deserialize)]
pub struct MessageImage<'a> {
    /// The image.
    #[serde(borrow)]
    pub image_url: NameOr<'a, ImageUrl<'a>>,
    /// Its place among the images.
    #[serde(default)]
    pub index: Option<Integer>,
    /// Holds its thought signature.
    #[serde(borrow, default)]
    pub extra_content: Option<&'a RawValue>,
}
