//! Parts of `chat.completion` documents and of their stream events, made from pieces of a response.

use std::borrow::Cow;

use crate::answer::calls::{Call, CallInput};
use crate::answer::candidate::{Extras, Image};
use crate::answer::finish::FinishReason;
use crate::answer::grounding::Source;
use crate::answer::logprobs::TokenLogprob;
use crate::answer::usage::Usage;
use crate::openai::{
    Annotation, CompletionDetails, CustomCallAnswer, FunctionCallAnswer, GoogleExtra, ImageAnswer,
    ImageUrlAnswer, LogProb, LogProbs, PromptDetails, ToolCallAnswer, TopLogProb, UrlCitation, UsageBody,
};
use crate::request::call::{CallStyle, ResponseContext};

/// Prefix of a completion's id.
pub(super) const ID_PREFIX: &str = "chatcmpl-";

/// Returns `finish_reason`.
pub(super) fn finish_reason(reason: FinishReason, context: &ResponseContext) -> &'static str {
    match reason {
        FinishReason::Stop => "stop",
        FinishReason::Calls if context.calls == CallStyle::Function => "function_call",
        FinishReason::Calls => "tool_calls",
        FinishReason::Length => "length",
        FinishReason::ContentFilter => "content_filter",
    }
}

/// Returns an element of `tool_calls`.
pub(super) fn call<'a>(call: Call) -> ToolCallAnswer<'a> {
    let Call { index, id, name, input, signature } = call;
    let name = Cow::Owned(name);
    let (r#type, function, custom) = match input {
        CallInput::Arguments(arguments) => {
            let arguments = Cow::Owned(arguments);
            ("function", Some(FunctionCallAnswer { name, arguments }), None)
        }
        CallInput::Text(input) => {
            let input = Cow::Owned(input);
            ("custom", None, Some(CustomCallAnswer { name, input }))
        }
    };
    let extra = signature.map(|signature| GoogleExtra::signed(Cow::Owned(signature)));
    ToolCallAnswer {
        index: Some(index),
        id: Cow::Owned(id),
        r#type,
        function,
        custom,
        extra_content: extra.and_then(GoogleExtra::into_content),
    }
}

/// Returns an element of `images`.
pub(super) fn image(image: Image<'_>) -> ImageAnswer<'_> {
    let image_url = ImageUrlAnswer { url: image.url() };
    let extra = image.signature.map(|signature| GoogleExtra::signed(signature.0));
    ImageAnswer {
        r#type: "image_url",
        index: image.index,
        image_url,
        extra_content: extra.and_then(GoogleExtra::into_content),
    }
}

/// Returns `annotations` and `extra_content.google`.
pub(super) fn extras<'a>(extras: Extras) -> (Vec<Annotation<'a>>, GoogleExtra<'a>) {
    let extra = GoogleExtra {
        grounding_metadata: extras.grounding,
        url_context_metadata: extras.url_context,
        safety_ratings: extras.safety_ratings,
        avg_logprobs: extras.avg_logprobs,
        web_search_requests: extras.searches,
        thought_signature: extras.signature.map(Cow::Owned),
        code_execution: extras.code_execution,
        server_tool_parts: extras.server_tool_parts,
        continuation_token: extras.continuation_token.map(Cow::Owned),
    };
    (extras.sources.into_iter().map(annotation).collect(), extra)
}

fn annotation<'a>(source: Source) -> Annotation<'a> {
    let Source { url, title, start, end } = source;
    let (url, title) = (Cow::Owned(url), Cow::Owned(title));
    let url_citation = UrlCitation { url, title, start_index: start, end_index: end };
    Annotation { index: None, r#type: "url_citation", url_citation }
}

/// Returns `logprobs`.
pub(super) fn logprobs(tokens: Vec<TokenLogprob<'_>>) -> LogProbs<'_> {
    let content = tokens.into_iter().map(|TokenLogprob { token, logprob, top }| {
        let top = top.into_iter().map(|(token, logprob)| TopLogProb {
            bytes: token.as_bytes().to_vec(),
            token,
            logprob,
        });
        LogProb { bytes: token.as_bytes().to_vec(), token, logprob, top_logprobs: top.collect() }
    });
    LogProbs { content: content.collect(), refusal: None }
}

/// Returns `usage`.
pub(super) fn usage(usage: Usage) -> UsageBody {
    let (prompt, completion) = (usage.prompt_kinds, usage.completion_kinds);
    UsageBody {
        prompt_tokens: usage.prompt,
        completion_tokens: usage.completion,
        total_tokens: usage.total,
        prompt_tokens_details: PromptDetails {
            cached_tokens: usage.cached,
            audio_tokens: prompt.unwrap_or_default().audio.into(),
            text_tokens: prompt.map(|kinds| kinds.text.into()),
            image_tokens: prompt.map(|kinds| kinds.image.into()),
        },
        completion_tokens_details: CompletionDetails {
            reasoning_tokens: usage.thoughts,
            audio_tokens: completion.unwrap_or_default().audio.into(),
            text_tokens: completion.map(|kinds| kinds.text.into()),
            image_tokens: completion.map(|kinds| kinds.image.into()),
        },
    }
}
