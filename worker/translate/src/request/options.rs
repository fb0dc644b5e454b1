//! What shapes a request besides its content: the pool's settings and what is known about the model.

use jiff::Timestamp;
use pool_shared::TranslationSettings;

use super::capabilities::Capabilities;
use super::media::MediaSource;
use super::repair::{Repair, Repairs};
use super::signatures::SignatureCache;
use super::suffix::ModelSuffix;
use crate::gemini::ModelId;

/// Settings of the pool and facts about the model that shape a request.
#[derive(Debug, Clone, Copy, Default)]
pub struct TranslateOptions<'a> {
    /// The time, which decides what answers under some names.
    pub now: Timestamp,
    /// The model that lately answered under the name, where that was another one.
    pub answered_by: Option<&'a ModelId>,
    /// The model's `outputTokenLimit`, when its description is at hand.
    pub output_token_limit: Option<u64>,
    /// Whether the caller makes [`crate::GeminiCall::copies`] calls; otherwise `n` is rejected where the model
    /// gives one choice only.
    pub several_calls: bool,
    /// How many bytes the client's body has; Gemini's has about as many.
    pub length: usize,
    /// What Gemini's errors have taught about this model or this request.
    pub repairs: Repairs,
    /// The pool's settings; the defaults without.
    pub settings: Option<&'a TranslationSettings>,
    /// What the model's name asks for besides the model.
    pub suffix: ModelSuffix,
    /// What was fetched of [`crate::remote_media`]; without it, such addresses are rejected.
    pub media: Option<&'a dyn MediaSource>,
    /// Signatures of calls that this service has seen, for clients that do not send them back.
    pub signatures: Option<&'a dyn SignatureCache>,
}

impl TranslateOptions<'_> {
    /// Returns what the model that answers under this name can do, corrected by what its errors have told.
    #[must_use]
    pub fn capabilities(&self, model: &ModelId) -> Capabilities {
        self.repairs.apply(self.row(model))
    }

    fn row(&self, model: &ModelId) -> Capabilities {
        let name = model.as_str();
        let family = self.settings.and_then(|settings| settings.families.get(name));
        match (family, self.answered_by) {
            _ if self.repairs.contains(Repair::OwnFamily) => Capabilities::of_name(name),
            (Some(family), _) => Capabilities::of_name(family),
            (None, Some(answering)) => Capabilities::of_name(answering.as_str()),
            (None, None) => Capabilities::of(model, self.now),
        }
    }

    /// Whether the pool wishes something.
    pub(crate) fn wishes(&self, wish: impl FnOnce(&TranslationSettings) -> bool) -> bool {
        self.settings.is_some_and(wish)
    }
}
