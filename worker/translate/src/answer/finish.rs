//! Why an answer ended.
//!
//! In: Gemini's `finishReason` and what was delivered until then. Out: OpenAI's `finish_reason`, or the verdict that
//! this answer is none. An agent that is told `stop` about nothing gives up in silence; that must not happen.
//! Two empty `STOP`s are answers. One follows results of tools: the model has nothing to add to them. The other is cut by
//! a stop sequence of the request at its first token. Gemini does not tell which of its `STOP`s those are, so the request
//! is sent once more, and what is empty again is believed: a failure of Gemini's that passes costs an attempt, and a
//! client that stops at once gets its empty text.

use crate::request::call::CallStyle;

/// What a choice has delivered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Said {
    /// Text with something visible in it.
    pub(crate) text: bool,
    pub(crate) calls: bool,
    /// Pictures or sound.
    pub(crate) media: bool,
}

impl Said {
    pub(crate) fn anything(self) -> bool {
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

/// How a choice ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finish {
    /// OpenAI's reason, and whether Gemini's own says more.
    Reason { reason: &'static str, native: bool },
    /// Nothing usable; asking again may help.
    Unusable,
}

/// Maps `finishReason`. `may_be_empty` says whether a response without content is a whole turn.
pub(crate) fn finish(native: Option<&str>, said: Said, calls: CallStyle, may_be_empty: bool) -> Finish {
    let done = match (said.calls, calls) {
        (true, CallStyle::Function) => "function_call",
        (true, _) => "tool_calls",
        (false, _) => "stop",
    };
    let told = |reason| Finish::Reason { reason, native: true };
    match native {
        Some("STOP") if said.anything() || may_be_empty => Finish::Reason { reason: done, native: false },
        None | Some("") if said.anything() => Finish::Reason { reason: done, native: false },
        None | Some("") => Finish::Unusable,
        Some("MAX_TOKENS" | "CONTINUATION") => told("length"),
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
        ) => told("content_filter"),
        Some("IMAGE_OTHER" | "NO_IMAGE" | "OTHER" | "ESCALATION" | "PUP_LIMITED_DISABLED")
            if !said.anything() =>
        {
            told("content_filter")
        }
        // `STOP` about nothing, malformed and unexpected calls, missing signatures, and reasons that are not known.
        Some(_) if said.anything() => told(done),
        Some(_) => Finish::Unusable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_with_text_with_a_call_and_with_nothing() {
        const NOTHING: Said = Said { text: false, calls: false, media: false };
        for (native, text, call, nothing) in [
            (None, "stop", "tool_calls", "-"),
            (Some("STOP"), "stop", "tool_calls", "-"),
            (Some("FINISH_REASON_UNSPECIFIED"), "stop*", "tool_calls*", "-"),
            (Some("MAX_TOKENS"), "length*", "length*", "length*"),
            (Some("CONTINUATION"), "length*", "length*", "length*"),
            (Some("SAFETY"), "content_filter*", "content_filter*", "content_filter*"),
            (Some("RECITATION"), "content_filter*", "content_filter*", "content_filter*"),
            (Some("LANGUAGE"), "content_filter*", "content_filter*", "content_filter*"),
            (Some("BLOCKLIST"), "content_filter*", "content_filter*", "content_filter*"),
            (Some("PROHIBITED_CONTENT"), "content_filter*", "content_filter*", "content_filter*"),
            (Some("SPII"), "content_filter*", "content_filter*", "content_filter*"),
            (Some("IMAGE_SAFETY"), "content_filter*", "content_filter*", "content_filter*"),
            (Some("IMAGE_PROHIBITED_CONTENT"), "content_filter*", "content_filter*", "content_filter*"),
            (Some("IMAGE_RECITATION"), "content_filter*", "content_filter*", "content_filter*"),
            (Some("MODEL_ARMOR"), "content_filter*", "content_filter*", "content_filter*"),
            (Some("IMAGE_OTHER"), "stop*", "tool_calls*", "content_filter*"),
            (Some("NO_IMAGE"), "stop*", "tool_calls*", "content_filter*"),
            (Some("OTHER"), "stop*", "tool_calls*", "content_filter*"),
            (Some("ESCALATION"), "stop*", "tool_calls*", "content_filter*"),
            (Some("PUP_LIMITED_DISABLED"), "stop*", "tool_calls*", "content_filter*"),
            (Some("MALFORMED_FUNCTION_CALL"), "stop*", "tool_calls*", "-"),
            (Some("UNEXPECTED_TOOL_CALL"), "stop*", "tool_calls*", "-"),
            (Some("TOO_MANY_TOOL_CALLS"), "stop*", "tool_calls*", "-"),
            (Some("MALFORMED_RESPONSE"), "stop*", "tool_calls*", "-"),
            (Some("MISSING_THOUGHT_SIGNATURE"), "stop*", "tool_calls*", "-"),
            (Some("SOMETHING_NEW"), "stop*", "tool_calls*", "-"),
        ] {
            let shown = |said| match finish(native, said, CallStyle::Tools, false) {
                Finish::Reason { reason, native } => format!("{reason}{}", if native { "*" } else { "" }),
                Finish::Unusable => "-".to_owned(),
            };
            assert_eq!(shown(Said { text: true, ..NOTHING }), text, "{native:?} with text");
            assert_eq!(shown(Said { calls: true, ..NOTHING }), call, "{native:?} with a call");
            assert_eq!(shown(NOTHING), nothing, "{native:?} with nothing");
        }
        let legacy = finish(Some("STOP"), Said { calls: true, ..NOTHING }, CallStyle::Function, false);
        assert_eq!(legacy, Finish::Reason { reason: "function_call", native: false });
    }

    #[test]
    fn only_a_stop_may_be_empty_and_only_where_the_turn_allows_it() {
        let nothing = Said::default();
        let stop = Finish::Reason { reason: "stop", native: false };
        assert_eq!(finish(Some("STOP"), nothing, CallStyle::Tools, true), stop);
        for native in [None, Some(""), Some("FINISH_REASON_UNSPECIFIED"), Some("MALFORMED_FUNCTION_CALL")] {
            assert_eq!(finish(native, nothing, CallStyle::Tools, true), Finish::Unusable, "{native:?}");
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
