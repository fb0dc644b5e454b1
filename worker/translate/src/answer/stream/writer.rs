//! What a client protocol's writer of stream events does.

use std::fmt;

use crate::answer::calls::Call;
use crate::answer::candidate::{Ending, Extras, Piece};
use crate::answer::failure::PromptBlock;
use crate::answer::ids::{Envelope, Ids};
use crate::answer::logprobs::TokenLogprob;
use crate::answer::usage::Usage;
use crate::error::ApiError;
use crate::request::call::ResponseContext;

/// The end of a candidate.
pub(crate) struct CandidateEnd {
    pub(crate) index: u32,
    /// The last call, which no later part can continue any more.
    pub(crate) call: Option<Call>,
    pub(crate) extras: Extras,
    pub(crate) ending: Ending,
}

/// Writes the events of one stream. It keeps what it has to know of each candidate by its index.
pub(crate) trait StreamWriter: fmt::Debug {
    /// Prefix of generated response ids.
    const ID_PREFIX: &'static str;

    /// Creates a writer that has written nothing yet.
    fn new(context: &ResponseContext) -> Self;

    /// Returns `true` after [`Self::open`].
    fn is_open(&self) -> bool;

    /// Takes what all events have in common.
    fn open(&mut self, id: &str, created_s: u64, model: &str);

    /// A candidate begins.
    fn begin(&mut self, index: u32, out: &mut Vec<u8>);

    /// Writes a piece. `has_content` says whether the candidate has visible content, this piece
    /// included. `logprobs` are those of the frame, to be taken with its first text.
    #[allow(clippy::too_many_arguments, reason = "all is borrowed from different owners")]
    fn piece<'a>(
        &mut self,
        index: u32,
        piece: Piece<'a>,
        has_content: bool,
        logprobs: &mut Option<Vec<TokenLogprob<'a>>>,
        context: &ResponseContext,
        ids: &mut Ids,
        out: &mut Vec<u8>,
    );

    /// Writes log probabilities of a frame without text.
    fn logprobs(&mut self, index: u32, logprobs: Vec<TokenLogprob<'_>>, out: &mut Vec<u8>);

    /// Writes the end of a candidate.
    fn end_candidate(
        &mut self,
        end: CandidateEnd,
        context: &ResponseContext,
        envelope: &Envelope,
        out: &mut Vec<u8>,
    );

    /// Writes a blocked prompt in place of a candidate.
    fn block(&mut self, block: &PromptBlock, out: &mut Vec<u8>);

    /// Writes the end of a complete stream.
    fn end(&mut self, usage: Option<Usage>, out: &mut Vec<u8>);

    /// Forgets what the failed attempt held back. What was written stays.
    fn restart(&mut self);

    /// Returns the number of events written.
    fn events(&self) -> u64;

    /// Returns how many of them had content.
    fn deltas(&self) -> u64;

    /// Writes an error event.
    fn error(error: &ApiError, out: &mut Vec<u8>);
}
