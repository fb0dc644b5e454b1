//! Why a candidate ended, from Gemini's `finishReason` and the content delivered until then.
//!
//! An agent that receives `stop` without content gives up silently, so a candidate without content is
//! unusable unless Gemini's reason explains it.
//!
//! Two empty `STOP`s are whole turns. One follows tool results, to which the model has nothing to add.
//! The other was truncated by a stop sequence of the request at its first token. Gemini does not tell
//! which of its `STOP`s those are, so the request is sent once more, and a second empty response is
//! accepted: a transient fault of Gemini costs one attempt, and a client whose stop sequence matched at
//! once gets its empty text.

/// Kinds of content that a candidate has delivered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Content {
    /// Text with something visible in it.
    pub(crate) text: bool,
    pub(crate) calls: bool,
    /// Images or audio.
    pub(crate) media: bool,
}

impl Content {
    pub(crate) fn any(self) -> bool {
        self.text || self.calls || self.media
    }
}

/// Returns `true` if a reader of the text sees nothing: it is empty, or made of white space and of characters without
/// width.
pub(crate) fn is_blank(text: &str) -> bool {
    text.chars().all(|c| {
        c.is_whitespace() || c.is_control() || matches!(c, '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}')
    })
}

/// Why a candidate ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FinishReason {
    /// The turn is complete.
    Stop,
    /// The model waits for the results of its calls.
    Calls,
    /// The token limit was reached.
    Length,
    /// Gemini's filters stopped it.
    ContentFilter,
}

/// How a candidate ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finish {
    /// With a reason; `native` is set if Gemini's own says more.
    Reason { reason: FinishReason, native: bool },
    /// Without anything usable; another attempt may help.
    Unusable,
}

/// Maps `finishReason`. With `may_be_empty` a candidate without content is a whole turn.
pub(crate) fn finish(native: Option<&str>, content: Content, may_be_empty: bool) -> Finish {
    let done = if content.calls { FinishReason::Calls } else { FinishReason::Stop };
    let with_native = |reason| Finish::Reason { reason, native: true };
    match native {
        Some("STOP") if content.any() || may_be_empty => Finish::Reason { reason: done, native: false },
        None | Some("") if content.any() => Finish::Reason { reason: done, native: false },
        None | Some("") => Finish::Unusable,
        Some("MAX_TOKENS" | "CONTINUATION") => with_native(FinishReason::Length),
        Some(
            "SAFETY"
            | "RECITATION"
            | "LANGUAGE"
            | "BLOCKLIST"
            | "PROHIBITED_CONTENT"
            | "SPII"
            | "IMAGE_SAFETY"
            | "IMAGE_PROHIBITED_CONTENT"
            | "IMAGE_RECITATION"
            | "MODEL_ARMOR",
        ) => with_native(FinishReason::ContentFilter),
        Some("IMAGE_OTHER" | "NO_IMAGE" | "OTHER" | "ESCALATION" | "PUP_LIMITED_DISABLED")
            if !content.any() =>
        {
            with_native(FinishReason::ContentFilter)
        }
        // `STOP` about nothing, malformed and unexpected calls, missing signatures, and reasons that are not known.
        Some(_) if content.any() => with_native(done),
        Some(_) => Finish::Unusable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_with_text_with_a_call_and_with_nothing() {
        const NOTHING: Content = Content { text: false, calls: false, media: false };
        for (native, text, call, nothing) in [
            (None, "Stop", "Calls", "-"),
            (Some("STOP"), "Stop", "Calls", "-"),
            (Some("FINISH_REASON_UNSPECIFIED"), "Stop*", "Calls*", "-"),
            (Some("MAX_TOKENS"), "Length*", "Length*", "Length*"),
            (Some("CONTINUATION"), "Length*", "Length*", "Length*"),
            (Some("SAFETY"), "ContentFilter*", "ContentFilter*", "ContentFilter*"),
            (Some("RECITATION"), "ContentFilter*", "ContentFilter*", "ContentFilter*"),
            (Some("LANGUAGE"), "ContentFilter*", "ContentFilter*", "ContentFilter*"),
            (Some("BLOCKLIST"), "ContentFilter*", "ContentFilter*", "ContentFilter*"),
            (Some("PROHIBITED_CONTENT"), "ContentFilter*", "ContentFilter*", "ContentFilter*"),
            (Some("SPII"), "ContentFilter*", "ContentFilter*", "ContentFilter*"),
            (Some("IMAGE_SAFETY"), "ContentFilter*", "ContentFilter*", "ContentFilter*"),
            (Some("IMAGE_PROHIBITED_CONTENT"), "ContentFilter*", "ContentFilter*", "ContentFilter*"),
            (Some("IMAGE_RECITATION"), "ContentFilter*", "ContentFilter*", "ContentFilter*"),
            (Some("MODEL_ARMOR"), "ContentFilter*", "ContentFilter*", "ContentFilter*"),
            (Some("IMAGE_OTHER"), "Stop*", "Calls*", "ContentFilter*"),
            (Some("NO_IMAGE"), "Stop*", "Calls*", "ContentFilter*"),
            (Some("OTHER"), "Stop*", "Calls*", "ContentFilter*"),
            (Some("ESCALATION"), "Stop*", "Calls*", "ContentFilter*"),
            (Some("PUP_LIMITED_DISABLED"), "Stop*", "Calls*", "ContentFilter*"),
            (Some("MALFORMED_FUNCTION_CALL"), "Stop*", "Calls*", "-"),
            (Some("UNEXPECTED_TOOL_CALL"), "Stop*", "Calls*", "-"),
            (Some("TOO_MANY_TOOL_CALLS"), "Stop*", "Calls*", "-"),
            (Some("MALFORMED_RESPONSE"), "Stop*", "Calls*", "-"),
            (Some("MISSING_THOUGHT_SIGNATURE"), "Stop*", "Calls*", "-"),
            (Some("SOMETHING_NEW"), "Stop*", "Calls*", "-"),
        ] {
            let shown = |content| match finish(native, content, false) {
                Finish::Reason { reason, native } => format!("{reason:?}{}", if native { "*" } else { "" }),
                Finish::Unusable => "-".to_owned(),
            };
            assert_eq!(shown(Content { text: true, ..NOTHING }), text, "{native:?} with text");
            assert_eq!(shown(Content { calls: true, ..NOTHING }), call, "{native:?} with a call");
            assert_eq!(shown(NOTHING), nothing, "{native:?} with nothing");
        }
    }

    #[test]
    fn only_a_stop_may_be_empty_and_only_where_the_turn_allows_it() {
        let nothing = Content::default();
        let stop = Finish::Reason { reason: FinishReason::Stop, native: false };
        assert_eq!(finish(Some("STOP"), nothing, true), stop);
        for native in [None, Some(""), Some("FINISH_REASON_UNSPECIFIED"), Some("MALFORMED_FUNCTION_CALL")] {
            assert_eq!(finish(native, nothing, true), Finish::Unusable, "{native:?}");
        }
    }

    #[test]
    fn blank_is_what_nobody_sees() {
        for blank in ["", " ", "\n\n\t", "\u{a0}\u{3000}", "\u{200b}\u{feff}\u{2060}\u{0}"] {
            assert!(is_blank(blank), "{blank:?}");
        }
        for text in ["0", " a", ".\n", "\u{2800}x", "🌍"] {
            assert!(!is_blank(text), "{text:?}");
        }
    }
}
