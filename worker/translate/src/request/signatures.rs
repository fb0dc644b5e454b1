//! Thought signatures: opaque proofs of newer models that a call or a text is their own.
//!
//! A signature stays on the part that it came with. Implausible values are not sent.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::Text;

/// What Google accepts in place of a signature that is lost.
pub(crate) const STAND_IN: &str = "skip_thought_signature_validator";
/// Another of those, which some clients send.
pub(crate) const OTHER_STAND_IN: &str = "context_engineering_is_the_way_to_go";
/// Real ones are much longer.
const MIN_LENGTH: usize = 16;

/// Separates the id of a call from its signature, where a pool's clients keep both in the id, as `LiteLLM` does.
pub(crate) const ID_SEPARATOR: &str = "__thought__";

/// Splits the id of a call from the signature that was appended to it.
pub(crate) fn split_id(id: &str) -> (&str, Option<&str>) {
    id.split_once(ID_SEPARATOR).map_or((id, None), |(id, signature)| (id, Some(signature)))
}

/// Remembers the signatures of calls, for clients that drop what they do not know.
pub trait SignatureCache: fmt::Debug {
    /// Returns the signature that came with the call of this id to this function.
    fn signature(&self, call_id: &str, function: &str) -> Option<String>;
}

/// A signature that came with a call, to be remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallSignature {
    /// The call's id, as the client has got it.
    pub call_id: String,
    /// The function, as the client calls it.
    pub function: String,
    /// The signature.
    pub signature: String,
}

/// Returns the signature in a vendor's `extra_content`.
pub(crate) fn in_extra(extra: Option<&RawValue>) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Signed<'a> {
        #[serde(borrow, alias = "thoughtSignature")]
        thought_signature: Option<Text<'a>>,
    }
    #[derive(Deserialize)]
    struct Extra<'a> {
        #[serde(borrow)]
        google: Option<Signed<'a>>,
        #[serde(borrow)]
        vertex: Option<Signed<'a>>,
        #[serde(borrow, alias = "thoughtSignature")]
        thought_signature: Option<Text<'a>>,
    }
    // A vendor's extra of another shape is none of our business.
    let extra: Extra = serde_json::from_str(extra?.get()).ok()?;
    [extra.google, extra.vertex]
        .into_iter()
        .flatten()
        .filter_map(|signed| signed.thought_signature)
        .chain(extra.thought_signature)
        .map(|text| text.0)
        .find(|text| is_plausible(text))
}

/// Returns `true` if the text can be a signature.
pub(crate) fn is_plausible(signature: &str) -> bool {
    let base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=');
    matches!(signature, STAND_IN | OTHER_STAND_IN)
        || (signature.len() >= MIN_LENGTH && signature.bytes().all(base64))
}
